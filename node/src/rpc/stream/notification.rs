//! What clients receive of a draft.

use crate::rpc::error::Elsewhere;
use assay_primitives::{
	hash::hex32,
	stream::{StreamChain, StreamToken},
	ClaimId, Hash32,
};
use assay_runtime::AccountId;
use serde::{Deserialize, Serialize};
use sp_core::Bytes;

/// Tokens of a draft, signed by its executor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
	/// The attempt, counted from 1.
	pub attempt: u8,
	/// The claim that the draft becomes, with which its chain of hashes begins.
	pub claim: ClaimId,
	/// The executor of this attempt.
	pub executor: AccountId,
	/// The inference key that has signed.
	#[serde(with = "hex32")]
	pub key: Hash32,
	/// How many tokens of the draft come before these.
	pub first: u32,
	/// The tokens, at most [`MAX_CHUNK_TOKENS`](assay_primitives::stream::MAX_CHUNK_TOKENS).
	pub tokens: Vec<StreamToken>,
	/// The chain's hash after the last of them.
	#[serde(with = "hex32")]
	pub hash: Hash32,
	/// The signature over [`StreamChain::message`] of that hash.
	pub signature: Bytes,
}

/// Why a stream has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
	/// The answer is made. The publication counts, and has what the stream may lack of its end.
	Complete,
	/// This node makes no draft of the job, or no longer: another attempt or another provider does.
	Replaced,
	/// The job is closed without an answer, and its requester has the money back.
	Refunded,
	/// The engine has given up, or this node cannot sign. The attempt fails unless an answer is published all the same.
	Failed,
	/// The subscription has lasted as long as one may, or the job is gone from the chain.
	Expired,
}

/// The last notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamEnd {
	/// Why it is the last.
	pub ended: EndReason,
	/// Of a stream that was replaced: who makes the draft now; null if nobody does yet, or for another reason.
	pub elsewhere: Option<Elsewhere>,
}

impl From<EndReason> for StreamEnd {
	fn from(ended: EndReason) -> Self {
		Self { ended, elsewhere: None }
	}
}

/// What `assay_stream` notifies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Notification {
	/// More of the draft.
	Chunk(Chunk),
	/// Its end.
	End(StreamEnd),
}

/// A place in a draft, and the signature over everything before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
	/// The chain after the tokens before it.
	pub chain: StreamChain,
	/// The executor's signature.
	pub signature: Bytes,
}
