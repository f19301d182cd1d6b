//! What shows that a block is final to whoever has no node: justifications, handovers and proofs of the state.
//!
//! A node of this project puts all of it together (`assay_receiptProof`). From any other the same is built with the SDK's
//! methods, one call for each set of validators.

use super::{At, Chain};
use crate::{anchors, error::CliError};
use assay_primitives::{Hash32, JobId};
use assay_receipt::{
	trimmed_justification, unbonding_key, unbonding_seconds, Anchor, Authority, Finality, Handover, ReceiptFile,
	ANCHOR_FORMAT, MAX_HANDOVERS,
};
use codec::{Compact, Decode, DecodeAll, Encode};
use const_hex::encode_prefixed;
use serde_json::Value;
use std::time::Duration;
use subxt::{
	config::substrate::H256,
	rpcs::{client::RpcParams, rpc_params, Error as RpcError},
};
use tokio::time::{sleep, timeout, Instant};

/// How long a node may take to justify a block that it has finalized. A round of GRANDPA takes a few seconds.
const JUSTIFICATION_SECONDS: u64 = 120;
/// Codes of `assay_receiptProof` after which it is worth while to wait.
const NOT_YET: [i32; 2] = [20_031, 20_032];
/// JSON-RPC's code for a method that the node does not have.
const UNKNOWN_METHOD: i32 = -32_601;

/// A header with its justification.
struct Justified {
	number: u32,
	hash: Hash32,
	header: Header,
	justification: Vec<u8>,
}

/// What is read of a header, and its encoding.
struct Header {
	parent: H256,
	bytes: Vec<u8>,
}

impl Chain {
	/// Returns the receipt file of a job, with evidence that a block not older than `least` is final. It is put together by
	/// the node; none if the node cannot do that.
	pub(crate) async fn receipt_proof(&self, job: JobId, least: u32) -> Result<Option<ReceiptFile>, CliError> {
		let until = Instant::now() + Duration::from_secs(JUSTIFICATION_SECONDS);
		loop {
			let asked: Result<Value, RpcError> = self.rpc.request("assay_receiptProof", rpc_params![job]).await;
			match asked {
				Ok(json) => {
					let file = ReceiptFile::from_json(&json.to_string())
						.map_err(|e| CliError::Node(format!("what it returns as a receipt is none: {e}")))?;
					if (file.receipt.job, file.genesis) != (job, self.genesis()) {
						return Err(CliError::Node("it returns the receipt of another job".into()));
					}
					if file.read_at.number >= least {
						return Ok(Some(file));
					}
				}
				Err(RpcError::User(error)) if error.code == UNKNOWN_METHOD => return Ok(None),
				Err(RpcError::User(error)) if NOT_YET.contains(&error.code) => {}
				Err(error) => return Err(super::from_rpc(error)),
			}
			if Instant::now() > until {
				return Err(CliError::Node(format!(
					"it justified no block from {least} on for {JUSTIFICATION_SECONDS} s"
				)));
			}
			sleep(Duration::from_secs(1)).await;
		}
	}

	/// Returns evidence for a block not older than `least`, without the proof of its state, and the block.
	pub(crate) async fn finality(&self, least: u32) -> Result<(Finality, At), CliError> {
		let newest = self.justified(least).await?;
		// A block that changes the set is justified by the set before.
		let set_id = self.set_id(newest.header.parent).await?;
		let mut handovers = Vec::new();
		let mut after = 0u32;
		while u64::try_from(handovers.len()).unwrap_or(u64::MAX) < set_id {
			if handovers.len() >= MAX_HANDOVERS {
				return Err(CliError::Node(format!(
					"its validators have changed more than {MAX_HANDOVERS} times, more than a file can show"
				)));
			}
			let last = self.last_of_set(after.saturating_add(1)).await?;
			after = last.number;
			handovers.push(Handover {
				header: last.header.bytes,
				justification: trimmed_justification(&last.justification),
			});
		}
		let at = self.api.at_block(H256(newest.hash)).await.map_err(|e| self.failed(e))?;
		let finality = Finality {
			header: newest.header.bytes,
			justification: trimmed_justification(&newest.justification),
			set_id,
			handovers,
			state: Vec::new(),
		};
		Ok((finality, at))
	}

	/// Returns the trie nodes that prove what a block's state has under some keys.
	pub(crate) async fn state_proof(&self, keys: &[Vec<u8>], at: &At) -> Result<Vec<Vec<u8>>, CliError> {
		let keys: Vec<String> = keys.iter().map(encode_prefixed).collect();
		let proof: Value = self
			.request(
				"state_getReadProof",
				rpc_params![keys, encode_prefixed(at.block_hash().0)],
			)
			.await?;
		let nodes = proof.get("proof").and_then(Value::as_array);
		nodes
			.ok_or_else(|| unreadable("a proof of its state"))?
			.iter()
			.map(|node| bytes(node.as_str(), "a proof of its state"))
			.collect()
	}

	/// Returns the set of validators of a finalized block as an anchor. Of a development chain, whose history begins anew at
	/// each start, it is block 0 while that set lasts.
	pub(crate) async fn anchor(&self) -> Result<Anchor, CliError> {
		let at = self.finalized().await?;
		let hash = at.block_hash();
		let set_id = self.set_id(hash).await?;
		let listed: Vec<(Hash32, u64)> = self.grandpa(hash, "grandpa_authorities").await?;
		let authorities = listed
			.into_iter()
			.map(|(key, weight)| Authority { key, weight })
			.collect();
		let from_start = self.development && set_id == 0;
		let (number, hash, time) = if from_start {
			(0, self.genesis(), None)
		} else {
			let number = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
			(number, hash.0, Some(self.time(&at).await?))
		};
		Ok(Anchor {
			format: ANCHOR_FORMAT,
			chain: self.name.clone(),
			genesis: self.genesis(),
			number,
			hash,
			time,
			set_id,
			authorities,
			max_age: if self.development {
				None
			} else {
				Some(self.bonded_seconds(&at).await?)
			},
		})
	}

	/// Returns for how long bonds stay on this chain, in seconds.
	async fn bonded_seconds(&self, at: &At) -> Result<u64, CliError> {
		let stored = self.stored(&encode_prefixed(unbonding_key()), at).await?;
		unbonding_seconds(stored.as_deref()).ok_or_else(|| unreadable("its unbonding period"))
	}

	/// Returns when a block was made, in Unix seconds. Nothing proves it, so a node must not make a block younger than it can
	/// be: its anchor would never be old.
	pub(crate) async fn time(&self, at: &At) -> Result<u64, CliError> {
		// twox128("Timestamp") and twox128("Now").
		const NOW: &str = "0xf0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb";
		let stored = self.stored(NOW, at).await?.unwrap_or_default();
		let millis = u64::decode(&mut &stored[..]).map_err(|_| unreadable("its clock"))?;
		Ok((millis / 1000).min(anchors::now()))
	}

	/// Returns what a block's state has under a key, which is given in hex.
	async fn stored(&self, key: &str, at: &At) -> Result<Option<Vec<u8>>, CliError> {
		let params = rpc_params![key, encode_prefixed(at.block_hash().0)];
		let stored: Option<String> = self.request("state_getStorage", params).await?;
		stored.map(|hex| bytes(Some(&hex), "its state")).transpose()
	}

	/// Waits for a justification of a block not older than `least`.
	async fn justified(&self, least: u32) -> Result<Justified, CliError> {
		let mut stream = self
			.rpc
			.subscribe::<String>(
				"grandpa_subscribeJustifications",
				RpcParams::new(),
				"grandpa_unsubscribeJustifications",
			)
			.await
			.map_err(super::from_rpc)?;
		let next = async {
			while let Some(justification) = stream.next().await {
				let justification = bytes(Some(&justification.map_err(super::from_rpc)?), "a justification")?;
				if target(&justification)?.1 >= least {
					return self.with_header(justification).await;
				}
			}
			Err(CliError::Node("it ended the stream of justifications".into()))
		};
		timeout(Duration::from_secs(JUSTIFICATION_SECONDS), next)
			.await
			.map_err(|_| CliError::Node(format!("it justified no block for {JUSTIFICATION_SECONDS} s")))?
	}

	/// Returns the last block of the set that finalized a block.
	async fn last_of_set(&self, number: u32) -> Result<Justified, CliError> {
		let proof: Option<String> = self.request("grandpa_proveFinality", rpc_params![number]).await?;
		let proof = bytes(proof.as_deref(), "a proof of finality")?;
		// The headers that follow are not needed.
		let (_, justification) =
			<(Hash32, Vec<u8>)>::decode(&mut &proof[..]).map_err(|_| unreadable("a proof of finality"))?;
		self.with_header(justification).await
	}

	async fn with_header(&self, justification: Vec<u8>) -> Result<Justified, CliError> {
		let (hash, number) = target(&justification)?;
		let json: Value = self
			.request("chain_getHeader", rpc_params![encode_prefixed(hash)])
			.await?;
		let header = header(&json).ok_or_else(|| unreadable("a header"))?;
		Ok(Justified {
			number,
			hash,
			header,
			justification,
		})
	}

	async fn set_id(&self, at: H256) -> Result<u64, CliError> {
		self.grandpa(at, "current_set_id").await
	}

	async fn grandpa<R: DecodeAll>(&self, at: H256, method: &str) -> Result<R, CliError> {
		let params = rpc_params![format!("GrandpaApi_{method}"), "0x", encode_prefixed(at.0)];
		let encoded: String = self.request("state_call", params).await?;
		R::decode_all(&mut &bytes(Some(&encoded), "its validators")?[..]).map_err(|_| unreadable("its validators"))
	}
}

fn unreadable(what: &str) -> CliError {
	CliError::Node(format!("{what} cannot be read"))
}

fn bytes(hex: Option<&str>, what: &str) -> Result<Vec<u8>, CliError> {
	hex.and_then(|hex| const_hex::decode(hex).ok())
		.ok_or_else(|| unreadable(what))
}

/// Returns the block that a justification is for, which stands behind the round.
fn target(justification: &[u8]) -> Result<(Hash32, u32), CliError> {
	<(u64, Hash32, u32)>::decode(&mut &*justification)
		.map(|(_, hash, number)| (hash, number))
		.map_err(|_| unreadable("a justification"))
}

/// Returns a header's SCALE encoding from its JSON.
fn header(json: &Value) -> Option<Header> {
	let text = |name: &str| json.get(name)?.as_str();
	let hash = |name: &str| assay_primitives::hash::parse(text(name)?).ok();
	let number = u32::from_str_radix(text("number")?.strip_prefix("0x")?, 16).ok()?;
	let logs = json.get("digest")?.get("logs")?.as_array()?;
	let parent = hash("parentHash")?;
	let count = Compact(u32::try_from(logs.len()).ok()?);
	let mut bytes = (
		parent,
		Compact(number),
		hash("stateRoot")?,
		hash("extrinsicsRoot")?,
		count,
	)
		.encode();
	for log in logs {
		bytes.extend(const_hex::decode(log.as_str()?).ok()?);
	}
	Some(Header {
		parent: H256(parent),
		bytes,
	})
}

#[cfg(test)]
mod tests {
	use super::*;
	use serde_json::json;

	#[test]
	fn a_header_is_encoded_as_its_hash_wants_it() {
		let root = format!("0x{}", "02".repeat(32));
		let json = json!({
			"parentHash": format!("0x{}", "01".repeat(32)),
			"number": "0x5",
			"stateRoot": root,
			"extrinsicsRoot": root,
			"digest": { "logs": ["0x0008abcd"] },
		});
		let header = header(&json).unwrap();
		assert_eq!(header.parent, H256([1; 32]));
		let expected = [&[1u8; 32][..], &[20], &[2; 64], &[4, 0, 8, 0xab, 0xcd]].concat();
		assert_eq!(header.bytes, expected);
		for missing in ["number", "digest", "stateRoot"] {
			let mut json = json.clone();
			json.as_object_mut().unwrap().remove(missing);
			assert!(super::header(&json).is_none(), "{missing}");
		}
	}

	#[test]
	fn a_justification_names_its_block() {
		let bytes = (7u64, [9u8; 32], 12u32, [0u8; 4]).encode();
		assert_eq!(target(&bytes).unwrap(), ([9; 32], 12));
		assert!(target(&bytes[..40]).is_err());
	}
}
