//! What a node's `assay_streamJob` sends, as JSON. A stranger's node may send anything: sizes are limited before this, and
//! values are checked in [`Draft`](super::draft::Draft).

use assay_primitives::{hash::hex32, stream::StreamToken, ClaimId, Hash32, JobId};
use serde::Deserialize;
use serde_json::{json, Value};

/// Largest message, in bytes: a chunk has at most 64 tokens, and the text of an answer at most 64 KiB.
pub(super) const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// How the stream of a whole draft ends.
pub(super) const COMPLETE: &str = "complete";
/// How a subscription ends that has lasted too long: the draft goes on in another.
pub(super) const EXPIRED: &str = "expired";

/// Signed tokens of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Chunk {
	/// The draw that the draft is made for.
	pub(super) claim: ClaimId,
	/// The position of its first token in the draft.
	pub(super) first: u32,
	/// The tokens.
	pub(super) tokens: Vec<StreamToken>,
	/// The chain of hashes after the last of them.
	#[serde(with = "hex32")]
	pub(super) hash: Hash32,
	/// The executor's signature over that.
	#[serde(with = "hex64")]
	pub(super) signature: [u8; 64],
}

/// A notification of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Notice {
	/// The last one.
	End {
		/// How it ended: [`COMPLETE`], or why there is no more.
		ended: String,
	},
	/// Tokens.
	Chunk(Chunk),
}

/// A message of the node.
#[derive(Debug, PartialEq)]
pub(super) enum Message {
	/// It took the subscription.
	Subscribed,
	/// It refuses the subscription.
	Refused(String),
	/// A notification.
	Notice(Notice),
	/// Something that this program does not wait for.
	Other,
}

/// Returns the request that subscribes to a job's draft from its token `from` on.
pub(super) fn subscribe(job: JobId, from: u32) -> String {
	json!({ "jsonrpc": "2.0", "id": 1, "method": "assay_streamJob", "params": [job, from] }).to_string()
}

/// Reads a message of the node; an error for what is no stream.
pub(super) fn read(text: &str) -> Result<Message, String> {
	#[derive(Deserialize)]
	struct Params {
		result: Notice,
	}
	let mut message: Value = serde_json::from_str(text).map_err(|_| "it sends what is no JSON".to_owned())?;
	if let Some(error) = message.get("error") {
		let reason = error
			.get("message")
			.and_then(Value::as_str)
			.unwrap_or("it gives no reason");
		return Ok(Message::Refused(reason.chars().take(300).collect()));
	}
	if message.get("method").and_then(Value::as_str) == Some("assay_stream") {
		let params: Params = serde_json::from_value(message["params"].take())
			.map_err(|e| format!("its notification is malformed: {e}"))?;
		return Ok(Message::Notice(params.result));
	}
	let subscribed = message.get("id") == Some(&json!(1)) && message.get("result").is_some();
	Ok(if subscribed {
		Message::Subscribed
	} else {
		Message::Other
	})
}

/// Reads 64 bytes as 0x and 128 hex digits.
mod hex64 {
	use serde::{de::Error, Deserialize, Deserializer};

	pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
		let text = String::deserialize(deserializer)?;
		const_hex::decode_to_array(&text).map_err(D::Error::custom)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn notifications_are_read_as_a_node_writes_them() {
		let chunk = json!({ "attempt": 1, "claim": ClaimId([7; 32]), "executor": "5G", "key": ClaimId([8; 32]), "first": 3,
			"tokens": [{ "id": 5, "text": "a" }], "hash": ClaimId([9; 32]), "signature": format!("0x{}", "0a".repeat(64)) });
		let notice = |result: Value| {
			let json = json!({ "jsonrpc": "2.0", "method": "assay_stream", "params": { "subscription": "x", "result": result } });
			read(&json.to_string())
		};
		match notice(chunk) {
			Ok(Message::Notice(Notice::Chunk(chunk))) => {
				assert_eq!((chunk.claim, chunk.first, chunk.tokens.len()), (ClaimId([7; 32]), 3, 1));
				assert_eq!((chunk.hash, chunk.signature), ([9; 32], [10; 64]));
			}
			other => panic!("{other:?}"),
		}
		for word in [COMPLETE, EXPIRED, "replaced", "failed"] {
			let end = notice(json!({ "ended": word, "executor": "5G" }));
			assert_eq!(end, Ok(Message::Notice(Notice::End { ended: word.into() })));
		}
		for malformed in [json!({}), json!({ "ended": 1 }), json!(7)] {
			assert!(notice(malformed).is_err());
		}
	}

	#[test]
	fn answers_and_refusals_are_told_apart() {
		let read = |json: Value| read(&json.to_string());
		assert_eq!(read(json!({ "id": 1, "result": "x" })), Ok(Message::Subscribed));
		let refusal = json!({ "id": 1, "error": { "code": -32602, "message": "Bob executes it" } });
		assert_eq!(read(refusal), Ok(Message::Refused("Bob executes it".into())));
		assert_eq!(read(json!([])), Ok(Message::Other));
		assert!(super::read("{").is_err());
	}

	#[test]
	fn a_subscription_names_the_job_and_the_token() {
		let json: Value = serde_json::from_str(&subscribe(JobId([1; 32]), 4)).unwrap();
		assert_eq!(json["params"], json!([JobId([1; 32]), 4]));
	}
}
