//! A draft while it is made: the executor's signed stream of tokens.
//!
//! Each token and the text that it adds extend a chain of hashes that begins with the executor's draw. A chunk carries
//! tokens and a signature over the chain after the last of them, so chunks of any size make the same chain, and two
//! signed chunks of one draw either agree or prove that their signer contradicts itself. The publication must extend the
//! chain too.

use crate::hash::{ClaimId, Hash32};
use alloc::{string::String, vec::Vec};
use codec::{Decode, Encode};
use scale_info::TypeInfo;

/// Most tokens of one chunk.
pub const MAX_CHUNK_TOKENS: usize = 64;

/// A token and the text that it adds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamToken {
	/// Its id.
	pub id: u32,
	/// What the draft's text grows by with it: nothing while a character is incomplete, or while the text may still turn
	/// out to be a stop string.
	pub text: String,
}

/// Hashes a stream token by token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StreamChain {
	/// The hash after the tokens so far.
	pub hash: Hash32,
	/// How many tokens there are so far.
	pub tokens: u32,
}

impl StreamChain {
	/// Begins the chain of a draw on a chain.
	pub fn new(genesis: &Hash32, claim: &ClaimId) -> Self {
		let hash = sp_crypto_hashing::blake2_256(&(b"assay/v2/stream", genesis, claim).encode());
		Self { hash, tokens: 0 }
	}

	/// Adds a token.
	pub fn push(&mut self, token: &StreamToken) {
		self.hash = sp_crypto_hashing::blake2_256(&(self.hash, token).encode());
		self.tokens = self.tokens.saturating_add(1);
	}

	/// Adds all tokens of a chunk.
	pub fn extend<'t>(&mut self, tokens: impl IntoIterator<Item = &'t StreamToken>) {
		tokens.into_iter().for_each(|token| self.push(token));
	}

	/// Returns the bytes that the inference key signs.
	pub fn message(&self, genesis: &Hash32, claim: &ClaimId) -> Vec<u8> {
		(b"assay/v2/stream-chunk", genesis, claim, self).encode()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn token(id: u32, text: &str) -> StreamToken {
		StreamToken { id, text: text.into() }
	}

	#[test]
	fn the_size_of_chunks_does_not_change_the_chain() {
		let tokens = [token(1, "a"), token(2, ""), token(3, "bc")];
		let begin = StreamChain::new(&[1; 32], &ClaimId([2; 32]));
		let (mut whole, mut parts) = (begin, begin);
		whole.extend(&tokens);
		parts.extend(&tokens[..1]);
		parts.extend(&tokens[1..]);
		assert_eq!(whole, parts);
		assert_eq!(whole.tokens, 3);
	}

	#[test]
	fn another_draw_token_or_split_of_the_text_is_another_chain() {
		let of = |genesis: u8, claim: u8, tokens: &[StreamToken]| {
			let mut chain = StreamChain::new(&[genesis; 32], &ClaimId([claim; 32]));
			chain.extend(tokens);
			chain.hash
		};
		let first = of(1, 2, &[token(1, "ab"), token(2, "c")]);
		for other in [
			of(9, 2, &[token(1, "ab"), token(2, "c")]),
			of(1, 9, &[token(1, "ab"), token(2, "c")]),
			of(1, 2, &[token(1, "ab"), token(3, "c")]),
			of(1, 2, &[token(1, "a"), token(2, "bc")]),
			of(1, 2, &[token(1, "ab")]),
		] {
			assert_ne!(first, other);
		}
	}
}
