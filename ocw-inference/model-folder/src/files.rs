//! Reading and naming the files of a model directory: sizes are bounded before a byte is read, and the shape of JSON
//! before it is parsed.

use crate::{Error, Result};
use assay_primitives::Hash32;
use serde::de::DeserializeOwned;
use std::{fs, io::Read, path::Path};

/// Largest `manifest.json`, `config.json`, `tokenizer_config.json` and index of shards.
pub const MAX_JSON_BYTES: u64 = 16 << 20;
/// Largest `tokenizer.json`.
pub const MAX_TOKENIZER_BYTES: u64 = 32 << 20;
/// Largest chat template.
pub const MAX_TEMPLATE_BYTES: u64 = 64 << 10;

/// The manifest's file.
pub const MANIFEST: &str = "manifest.json";
/// The architecture and its hyperparameters.
pub const CONFIG: &str = "config.json";
/// The weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// The chat template.
pub const TEMPLATE: &str = "chat_template.jinja";

/// How much a JSON file may hold.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
	/// Bytes.
	pub bytes: u64,
	/// Numbers, texts, lists and maps, a map's keys among them.
	pub values: usize,
	/// Lists and maps within each other.
	pub depth: usize,
}

impl JsonLimits {
	/// `config.json`, `tokenizer_config.json`.
	pub const CONFIG: Self = Self {
		bytes: MAX_JSON_BYTES,
		values: 200_000,
		depth: 32,
	};
	/// `manifest.json` and the index of shards: each of 20 000 tensors is a few values.
	pub const MANIFEST: Self = Self {
		bytes: MAX_JSON_BYTES,
		values: 1 << 19,
		depth: 16,
	};
	/// `tokenizer.json`: a vocabulary of 2²⁰ and as many merges stay below.
	pub const TOKENIZER: Self = Self {
		bytes: MAX_TOKENIZER_BYTES,
		values: 6 << 20,
		depth: 32,
	};

	/// Refuses JSON that is over a limit, in one pass that keeps nothing. Whether it is JSON at all is left to the parser.
	pub fn check(&self, json: &[u8]) -> std::result::Result<(), String> {
		if json.len() as u64 > self.bytes {
			return Err(format!("it has {} bytes; at most {} are read", json.len(), self.bytes));
		}
		let (mut values, mut depth) = (1usize, 0usize);
		let mut bytes = json.iter();
		while let Some(byte) = bytes.next() {
			match byte {
				b'"' => {
					// To the end of the text; an escaped quote doesn't end it.
					while let Some(byte) = bytes.next() {
						match byte {
							b'"' => break,
							b'\\' => drop(bytes.next()),
							_ => {}
						}
					}
				}
				b'[' | b'{' => {
					depth += 1;
					values += 1;
				}
				b']' | b'}' => depth = depth.saturating_sub(1),
				b',' | b':' => values += 1,
				_ => {}
			}
			if values > self.values {
				return Err(format!("it has more than {} values", self.values));
			}
			if depth > self.depth {
				return Err(format!("it nests more than {} deep", self.depth));
			}
		}
		Ok(())
	}

	/// Parses JSON within these limits. The error is a reason for people.
	pub fn parse<T: DeserializeOwned>(&self, json: &[u8]) -> std::result::Result<T, String> {
		self.check(json)?;
		serde_json::from_slice(json).map_err(|e| e.to_string())
	}
}

/// Reads a whole file that may have at most `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
	let file = fs::File::open(path).map_err(Error::io(path))?;
	let bytes = file.metadata().map_err(Error::io(path))?.len();
	if bytes > limit {
		return Err(Error::TooLarge {
			path: path.to_owned(),
			bytes,
			limit,
		});
	}
	let mut content = Vec::new();
	// The size may change meanwhile; the limit does not.
	file.take(limit).read_to_end(&mut content).map_err(Error::io(path))?;
	match stand_in(&content) {
		Some(reason) => Err(Error::StandIn {
			path: path.to_owned(),
			reason,
		}),
		None => Ok(content),
	}
}

/// Returns what a file is instead of what its name says, with the next step, if it begins as downloads do that went
/// wrong.
pub fn stand_in(begin: &[u8]) -> Option<&'static str> {
	const KNOWN: [(&[u8], &str); 4] = [
		(
			b"version https://git-lfs",
			"is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`",
		),
		(b"<!doctype html", "is a web page, not the file; download it again"),
		(b"<html", "is a web page, not the file; download it again"),
		(
			b"\xEF\xBB\xBF",
			"begins with a byte order mark; save it as UTF-8 without one",
		),
	];
	let begins = |with: &[u8]| {
		begin
			.get(..with.len())
			.is_some_and(|begin| begin.eq_ignore_ascii_case(with))
	};
	KNOWN.iter().find(|(with, _)| begins(with)).map(|(_, reason)| *reason)
}

/// BLAKE3 of a file's or tensor's bytes: the root of its bao tree.
pub fn root(content: &[u8]) -> Hash32 {
	*blake3::hash(content).as_bytes()
}

/// Refuses content whose root is not the one in the manifest.
pub fn check_root(part: &str, found: &Hash32, expected: &Hash32) -> Result<()> {
	if found == expected {
		return Ok(());
	}
	Err(Error::Root {
		part: part.to_owned(),
		found: hex::encode(found),
		expected: hex::encode(expected),
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::{json, Value};

	const SMALL: JsonLimits = JsonLimits {
		bytes: 64,
		values: 8,
		depth: 3,
	};

	#[test]
	fn json_within_its_limits_is_parsed() {
		let parsed: Value = SMALL.parse(br#"{"a": [[1, 2]], "b\\": "[[[[,,,,{\""}"#).unwrap();
		assert_eq!(parsed, json!({ "a": [[1, 2]], "b\\": "[[[[,,,,{\"" }));
	}

	#[test]
	fn a_download_that_went_wrong_is_called_what_it_is() {
		for (content, what) in [
			(
				"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
				"git lfs pull",
			),
			("<!DOCTYPE html><html>", "a web page"),
			("<HTML>", "a web page"),
			("\u{FEFF}{}", "byte order mark"),
		] {
			assert!(stand_in(content.as_bytes()).unwrap().contains(what), "{content}");
		}
		for content in ["", "v", "{}", "version 1"] {
			assert_eq!(stand_in(content.as_bytes()), None);
		}
	}

	#[test]
	fn json_over_a_limit_is_refused_before_it_is_parsed() {
		for (json, why) in [
			("[[[[", "nests more than 3 deep"),
			("[1,1,1,1,1,1,1,1", "more than 8 values"),
			(r#"{"a":1,"b":1,"c":1,"d":1}"#, "more than 8 values"),
			("[]}{[]}{[]}{[]}{[]}{", "more than 8 values"),
			(
				" 1                                                               ",
				"at most 64 are read",
			),
			("[1,]", "trailing comma"),
			("\"\\", "EOF"),
		] {
			let reason = SMALL.parse::<Value>(json.as_bytes()).unwrap_err();
			assert!(reason.contains(why), "{json}: {reason}");
		}
	}
}
