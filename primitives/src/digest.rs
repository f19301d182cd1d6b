//! Hashes of prompts and outputs.
//!
//! BLAKE3 in key-derivation mode, one context string per purpose, so that a hash made for one purpose can never stand
//! for another.

use crate::{
	hash::{Hash32, InputHash, OutputHash},
	job::Input,
	Output,
};
use codec::Encode;

const INPUT: &str = "assay/v1/input";
const CHAT: &str = "assay/v1/chat";
const OUTPUT: &str = "assay/v1/output";

/// Returns BLAKE3 of `data`, keyed by the purpose.
pub(crate) fn derive(context: &str, data: &[u8]) -> Hash32 {
	let mut hasher = blake3::Hasher::new_derive_key(context);
	hasher.update(data);
	*hasher.finalize().as_bytes()
}

/// Returns the hash of an input's bytes.
pub fn input_hash<Bytes: AsRef<[u8]>>(input: &Input<Bytes>) -> InputHash {
	let context = match input {
		Input::Text(_) => INPUT,
		Input::Chat(_) => CHAT,
	};
	InputHash(derive(context, input.bytes()))
}

/// Returns the hash of an output.
pub fn output_hash(output: &Output) -> OutputHash {
	OutputHash(derive(OUTPUT, &output.encode()))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn one_purpose_never_hashes_like_another() {
		assert_ne!(derive(INPUT, b"x"), derive(OUTPUT, b"x"));
		assert_ne!(input_hash(&Input::Text(b"x")).0, *blake3::hash(b"x").as_bytes());
		assert_ne!(input_hash(&Input::Text(b"x")), input_hash(&Input::Chat(b"x")));
	}
}
