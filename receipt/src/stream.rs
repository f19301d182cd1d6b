//! What an executor signed while it streamed its draft, kept as evidence against it.

use alloc::vec::Vec;
use assay_primitives::{
	stream::{StreamChain, StreamToken},
	ClaimId, Hash32,
};

/// Most signed chunks that evidence has: two are enough for a contradiction.
pub const MAX_EVIDENCE_CHUNKS: usize = 16;

/// Signed chunks of one claim's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct StreamEvidence {
	/// The claim that the draft was to become.
	pub claim: ClaimId,
	/// The inference key that signed, sr25519.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub key: Hash32,
	/// What it signed, at most [`MAX_EVIDENCE_CHUNKS`].
	pub chunks: Vec<SignedChunk>,
}

/// A signed point of a stream: the chain of hashes after so many tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(deny_unknown_fields))]
pub struct SignedChunk {
	/// How many tokens the draft had.
	pub tokens: u32,
	/// The hash of the chain after them.
	#[cfg_attr(feature = "std", serde(with = "assay_primitives::hash::hex32"))]
	pub hash: Hash32,
	/// The signature over [`StreamChain::message`].
	#[cfg_attr(feature = "std", serde(with = "hex64"))]
	pub signature: [u8; 64],
	/// The draft up to there, from its first token on. Two chunks of equally many tokens need none; to compare a chunk with
	/// a shorter one, or with the answer, it takes what was hashed.
	#[cfg_attr(feature = "std", serde(default, skip_serializing_if = "Option::is_none"))]
	pub draft: Option<Vec<StreamToken>>,
}

impl SignedChunk {
	/// Returns the signed state of the chain.
	pub fn chain(&self) -> StreamChain {
		StreamChain {
			hash: self.hash,
			tokens: self.tokens,
		}
	}
}

/// Serde of 64 bytes as `0x…`.
#[cfg(feature = "std")]
mod hex64 {
	use serde::{de::Error, Deserialize, Deserializer, Serializer};
	use std::string::String;

	pub(super) fn serialize<S: Serializer>(bytes: &[u8; 64], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(const_hex::Buffer::<64, true>::new().format(bytes))
	}

	pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 64], D::Error> {
		let text = String::deserialize(d)?;
		const_hex::decode_to_array(text).map_err(|_| D::Error::custom("expected 128 hex digits, with or without 0x"))
	}
}
