//! The hashes that are voted on.
//!
//! Everything a receipt states is bound by BLAKE3 in key-derivation mode, one context string per purpose, so that a
//! hash made for one purpose can never stand for another.

use crate::{
	hash::{Digest, Hash32, InputHash, JobId, ModelId, OutputHash, TraceRoot},
	Output, SamplingParams,
};
use codec::Encode;

const INPUT: &str = "assay/v1/input";
const OUTPUT: &str = "assay/v1/output";
const DIGEST: &str = "assay/v1/digest";

fn derive(context: &str, data: &[u8]) -> Hash32 {
	let mut hasher = blake3::Hasher::new_derive_key(context);
	hasher.update(data);
	*hasher.finalize().as_bytes()
}

/// Returns the hash of a prompt's bytes.
pub fn input_hash(input: &[u8]) -> InputHash {
	InputHash(derive(INPUT, input))
}

/// Returns the hash of an output.
pub fn output_hash(output: &Output) -> OutputHash {
	OutputHash(derive(OUTPUT, &output.encode()))
}

/// What one job's answer was made from; [`Subject::digest`] is the thing voted on.
#[derive(Clone, Debug, PartialEq, Eq, Encode)]
pub struct Subject<'a> {
	/// The job.
	pub job: JobId,
	/// The requested model.
	pub model: ModelId,
	/// [`input_hash`] of the prompt.
	pub input_hash: InputHash,
	/// How the answer was sampled.
	pub params: &'a SamplingParams,
	/// The sampling seed.
	pub seed: Hash32,
	/// [`output_hash`] of the answer.
	pub output_hash: OutputHash,
}

impl Subject<'_> {
	/// Returns BLAKE3 over the subject and the trace root: equal for two computations exactly if every input, every
	/// token and every row of the residual stream is equal.
	pub fn digest(&self, trace_root: &TraceRoot) -> Digest {
		Digest(derive(DIGEST, &(self, trace_root).encode()))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn one_purpose_never_hashes_like_another() {
		assert_ne!(derive(INPUT, b"x"), derive(OUTPUT, b"x"));
		assert_ne!(input_hash(b"x").0, *blake3::hash(b"x").as_bytes());
	}

	#[test]
	fn the_digest_depends_on_every_part() {
		let params = SamplingParams::greedy(4);
		let base = Subject {
			job: JobId([1; 32]),
			model: ModelId([2; 32]),
			input_hash: InputHash([3; 32]),
			params: &params,
			seed: [4; 32],
			output_hash: OutputHash([5; 32]),
		};
		let root = TraceRoot([6; 32]);
		let other_params = SamplingParams::greedy(5);
		let all = [
			base.digest(&root),
			base.digest(&TraceRoot([7; 32])),
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
				input_hash: InputHash([9; 32]),
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
				output_hash: OutputHash([9; 32]),
				..base.clone()
			}
			.digest(&root),
		];
		for (i, a) in all.iter().enumerate() {
			assert!(
				all.iter().skip(i + 1).all(|b| a != b),
				"part {i} does not change the digest"
			);
		}
	}
}
