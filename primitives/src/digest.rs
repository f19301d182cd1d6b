//! The hashes that are voted on.
//!
//! Everything a receipt states is bound by BLAKE3 in key-derivation mode, one context string per purpose, so that a
//! hash made for one purpose can never stand for another.

use crate::{JobId, ModelId, Output, SamplingParams};
use codec::Encode;
use core::fmt;

/// 32 bytes of BLAKE3 or BLAKE2b output.
pub type Hash32 = [u8; 32];

const INPUT: &str = "assay/v1/input";
const OUTPUT: &str = "assay/v1/output";
const DIGEST: &str = "assay/v1/digest";

fn derive(context: &str, data: &[u8]) -> Hash32 {
	let mut hasher = blake3::Hasher::new_derive_key(context);
	hasher.update(data);
	*hasher.finalize().as_bytes()
}

/// Hash of a prompt's bytes.
pub fn input_hash(input: &[u8]) -> Hash32 {
	derive(INPUT, input)
}

/// Hash of an output: token ids, text, prompt length and finish reason, SCALE-encoded.
pub fn output_hash(output: &Output) -> Hash32 {
	derive(OUTPUT, &output.encode())
}

/// What one job's answer was made from; [`Subject::digest`] is the thing voted on.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Subject<'a> {
	/// The job.
	pub job: JobId,
	/// The model asked.
	pub model: ModelId,
	/// [`input_hash`] of the prompt.
	pub input_hash: Hash32,
	/// How the answer was sampled.
	pub params: &'a SamplingParams,
	/// The sampling seed.
	pub seed: Hash32,
	/// [`output_hash`] of the answer.
	pub output_hash: Hash32,
}

impl Subject<'_> {
	/// BLAKE3 over the subject and the trace root: equal for two computations exactly if every input, every token and every
	/// row of the residual stream is equal.
	pub fn digest(&self, trace_root: &Hash32) -> Hash32 {
		derive(DIGEST, &(self, trace_root).encode())
	}
}

/// Writes `0x…` with all 64 digits: names are compared by eye.
pub(crate) fn fmt_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
	f.write_str("0x")?;
	bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

/// Serde of 32 bytes as `0x…`.
#[cfg(feature = "serde")]
pub mod hex32 {
	use alloc::string::String;
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	/// Writes 32 bytes as a hex string.
	pub fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
		struct Hex<'a>(&'a [u8; 32]);
		impl core::fmt::Display for Hex<'_> {
			fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
				super::fmt_hex(self.0, f)
			}
		}
		s.collect_str(&Hex(bytes))
	}

	/// Reads 32 bytes from a hex string, with or without `0x`.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
		let text = String::deserialize(d)?;
		parse(&text).ok_or_else(|| D::Error::custom("expected 64 hex digits, with or without 0x"))
	}

	/// 32 bytes from 64 hex digits, with or without `0x`.
	pub fn parse(text: &str) -> Option<[u8; 32]> {
		let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
		if digits.len() != 64 {
			return None;
		}
		let mut out = [0u8; 32];
		for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
			*byte = u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok()?;
		}
		Some(out)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn one_purpose_never_hashes_like_another() {
		assert_ne!(derive(INPUT, b"x"), derive(OUTPUT, b"x"));
		assert_ne!(input_hash(b"x"), *blake3::hash(b"x").as_bytes());
	}

	#[test]
	fn the_digest_moves_with_every_part() {
		let params = SamplingParams::greedy(4);
		let base = Subject {
			job: JobId([1; 32]),
			model: ModelId([2; 32]),
			input_hash: [3; 32],
			params: &params,
			seed: [4; 32],
			output_hash: [5; 32],
		};
		let root = [6; 32];
		let other_params = SamplingParams::greedy(5);
		let all = [
			base.digest(&root),
			base.digest(&[7; 32]),
			Subject {
				job: JobId([9; 32]),
				..base.clone()
			}
			.digest(&root),
			Subject {
				model: ModelId([9; 32]),
				..base.clone()
			}
			.digest(&root),
			Subject {
				input_hash: [9; 32],
				..base.clone()
			}
			.digest(&root),
			Subject {
				params: &other_params,
				..base.clone()
			}
			.digest(&root),
			Subject {
				seed: [9; 32],
				..base.clone()
			}
			.digest(&root),
			Subject {
				output_hash: [9; 32],
				..base.clone()
			}
			.digest(&root),
		];
		for (i, a) in all.iter().enumerate() {
			assert!(
				all.iter().skip(i + 1).all(|b| a != b),
				"part {i} does not move the digest"
			);
		}
	}
}
