//! Reading and naming the files of a model directory: sizes are bounded before a byte is read, and the shape of JSON
//! before it is parsed.

use crate::{Error, Result};
use assay_primitives::{json::JsonLimits, Hash32};
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

/// Limits of `config.json` and `tokenizer_config.json`.
pub const CONFIG_LIMITS: JsonLimits = JsonLimits {
	bytes: MAX_JSON_BYTES,
	values: 200_000,
	depth: 32,
};
/// Limits of `manifest.json` and the index of shards: each of 20 000 tensors is a few values.
pub const MANIFEST_LIMITS: JsonLimits = JsonLimits {
	bytes: MAX_JSON_BYTES,
	values: 1 << 19,
	depth: 16,
};
/// Limits of `tokenizer.json`: a vocabulary of 2²⁰ and as many merges stay below.
pub const TOKENIZER_LIMITS: JsonLimits = JsonLimits {
	bytes: MAX_TOKENIZER_BYTES,
	values: 6 << 20,
	depth: 32,
};

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
}
