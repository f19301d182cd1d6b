//! Names and roots: one family of 32-byte newtypes, each written as `0x` and 64 hex digits.

/// 32 bytes of BLAKE3 or BLAKE2b output that have no name of their own.
pub type Hash32 = [u8; 32];

/// Defines a newtype over 32 bytes that is shown, parsed and serialized as `0x…`, and SCALE-encoded as the bare bytes.
macro_rules! hash_newtype {
	($($(#[$doc:meta])* pub struct $Name:ident;)+) => {$(
		$(#[$doc])*
		#[derive(
			Clone,
			Copy,
			PartialEq,
			Eq,
			PartialOrd,
			Ord,
			Hash,
			Default,
			codec::Encode,
			codec::Decode,
			codec::DecodeWithMemTracking,
			codec::MaxEncodedLen,
			scale_info::TypeInfo,
		)]
		pub struct $Name(pub [u8; 32]);

		impl core::fmt::Display for $Name {
			fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
				$crate::hash::fmt_hex(&self.0, f)
			}
		}

		impl core::fmt::Debug for $Name {
			fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
				$crate::hash::fmt_hex(&self.0, f)
			}
		}

		impl From<[u8; 32]> for $Name {
			fn from(bytes: [u8; 32]) -> Self {
				Self(bytes)
			}
		}

		impl AsRef<[u8]> for $Name {
			fn as_ref(&self) -> &[u8] {
				&self.0
			}
		}

		impl core::str::FromStr for $Name {
			type Err = $crate::hash::NotAHash;

			fn from_str(text: &str) -> Result<Self, Self::Err> {
				$crate::hash::parse(text).map(Self)
			}
		}

		#[cfg(feature = "serde")]
		impl serde::Serialize for $Name {
			fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
				$crate::hash::hex32::serialize(&self.0, s)
			}
		}

		#[cfg(feature = "serde")]
		impl<'de> serde::Deserialize<'de> for $Name {
			fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
				$crate::hash::hex32::deserialize(d).map(Self)
			}
		}
	)+};
}

hash_newtype! {
	/// The name of a job: a hash over genesis, requester, the requester's job counter, model, input and sampling
	/// parameters, so the same request keeps its name on every fork and no two requests share one.
	pub struct JobId;

	/// The BLAKE3 root of a model's manifest: weights, tokenizer, chat template and numeric profile in one name.
	pub struct ModelId;

	/// The name of a work item, whoever needs it: all roles of one claim share one computation.
	pub struct WorkId;

	/// The hash of a prompt's bytes.
	pub struct InputHash;

	/// The hash of an output: token ids, text, prompt length and finish reason, SCALE-encoded.
	pub struct OutputHash;

	/// The root over every row of the residual stream that made an answer. It never leaves the node that computed it:
	/// what is published is a [`BoundRoot`].
	pub struct TraceRoot;

	/// The name of one attempt: a hash over chain, job, attempt, draw, executor and model.
	pub struct ExecutionId;

	/// The name of a claim: a published result that awaits verification. It follows from its [`ExecutionId`] and holds
	/// nothing that the executor chose.
	pub struct ClaimId;

	/// The name of a draw of seats, with what was drawn and what it is drawn to check.
	pub struct DrawId;

	/// The name of a claim's dispute.
	pub struct DisputeId;

	/// A trace root bound to a claim, or to one round of its dispute. Only who computed the rows can make it.
	pub struct BoundRoot;

	/// The executor's hash over its bound root, published with the output.
	pub struct Seal;

	/// A voter's hash over the bound root: the approval of a seat.
	pub struct Approval;

	/// A juror's blinded vote.
	pub struct Commitment;

	/// The BLAKE3 root of one part of a model directory, as the manifest names it.
	pub struct PartRoot;

	/// The hash of a final receipt: a leaf of the accumulator.
	pub struct LeafHash;

	/// The name of a node of the accumulator: the hash of its children, or of its leaf.
	pub struct NodeHash;

	/// The hash over the number of leaves of an accumulator and all its peaks.
	pub struct AccumulatorRoot;
}

/// Text that is not 64 hex digits, with or without `0x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHash;

impl core::fmt::Display for NotAHash {
	fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
		f.write_str("expected 64 hex digits, with or without 0x")
	}
}

impl core::error::Error for NotAHash {}

/// Returns the 32 bytes written as 64 hex digits, with or without `0x`.
pub fn parse(text: &str) -> Result<[u8; 32], NotAHash> {
	const_hex::decode_to_array(text).map_err(|_| NotAHash)
}

/// Writes `0x…` with all 64 digits: names are compared by eye.
#[doc(hidden)]
pub fn fmt_hex(bytes: &[u8; 32], f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
	f.pad(const_hex::Buffer::<32, true>::new().format(bytes))
}

/// Serde of 32 bytes without a newtype of their own as `0x…`.
#[cfg(feature = "serde")]
pub mod hex32 {
	use alloc::string::String;
	use serde::{de::Error, Deserialize, Deserializer, Serializer};

	/// Writes 32 bytes as a hex string.
	pub fn serialize<S: Serializer>(bytes: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(const_hex::Buffer::<32, true>::new().format(bytes))
	}

	/// Reads 32 bytes from a hex string, with or without `0x`.
	pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
		super::parse(&String::deserialize(d)?).map_err(D::Error::custom)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_name_is_read_as_it_is_written() {
		let id = ModelId([0xab; 32]);
		let text = id.to_string();
		assert_eq!(text.len(), 66);
		assert_eq!(text.parse(), Ok(id));
		assert_eq!(text[2..].parse(), Ok(id), "the prefix may be missing");
		assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
		assert_eq!(serde_json::from_str::<ModelId>(&format!("\"{text}\"")).unwrap(), id);
	}

	#[test]
	fn what_is_not_64_hex_digits_is_refused() {
		for text in [
			"",
			"0x",
			"0x12",
			&"g".repeat(64),
			&"0".repeat(63),
			&"0".repeat(65),
			&"é".repeat(32),
		] {
			assert_eq!(text.parse::<JobId>(), Err(NotAHash), "{text}");
		}
	}
}
