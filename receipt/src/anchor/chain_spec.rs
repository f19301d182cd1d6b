//! The anchor that a raw chain specification has.

use super::{unbonding_seconds, Anchor, AnchorError, Authority, ANCHOR_FORMAT, MIN_UNBONDING_SECONDS, SLOT_SECONDS};
use crate::{
	finality::{root, Block, Header},
	storage,
};
use assay_primitives::{hash, Hash32};
use codec::Decode;
use serde::Deserialize;
use std::{
	collections::BTreeMap,
	string::{String, ToString},
	vec::Vec,
};

/// Most bytes of a specification that are read. Those of this chain have one or two million.
pub const MAX_SPEC_BYTES: usize = 64 * 1024 * 1024;
/// Longest key of the state, in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// What is read of a chain specification.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
	name: String,
	#[serde(default)]
	chain_type: serde_json::Value,
	genesis: Genesis,
	light_sync_state: Option<LightSyncState>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Genesis {
	raw: Option<Raw>,
	state_root_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
	top: BTreeMap<String, String>,
	#[serde(default)]
	children_default: BTreeMap<String, serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LightSyncState {
	finalized_block_header: String,
	grandpa_authority_set: String,
}

impl Anchor {
	/// Reads the anchor of a raw chain specification: its checkpoint (`lightSyncState`) if it has one, else block 0. The
	/// age of the anchor is limited unless the chain is one for development.
	pub fn from_chain_spec(text: &str) -> Result<Self, AnchorError> {
		if text.len() > MAX_SPEC_BYTES {
			return Err(AnchorError::TooLong(MAX_SPEC_BYTES));
		}
		let spec: Spec = serde_json::from_str(text).map_err(|e| AnchorError::Malformed(e.to_string()))?;
		let top = spec.genesis.raw.as_ref().map(entries).transpose()?;
		let state_root = match (&top, &spec.genesis.state_root_hash) {
			(Some(top), _) => root(top),
			(None, Some(root)) => hash::parse(root).map_err(|_| AnchorError::Spec("its state root is no hash"))?,
			(None, None) => return Err(AnchorError::Spec("it is not raw")),
		};
		let genesis = Header::genesis(state_root).block();
		let (block, time, set_id, authorities) = match &spec.light_sync_state {
			Some(state) => checkpoint(state)?,
			None => (genesis, None, 0, first_set(top.as_ref())?),
		};
		let bonded = bonded_seconds(top.as_ref())?;
		let public = ["Development", "Local"].iter().any(|kind| spec.chain_type == *kind);
		let anchor = Self {
			format: ANCHOR_FORMAT,
			chain: spec.name,
			genesis: genesis.hash,
			number: block.number,
			hash: block.hash,
			time,
			set_id,
			authorities: authorities
				.into_iter()
				.map(|(key, weight)| Authority { key, weight })
				.collect(),
			max_age: (!public).then_some(bonded),
		};
		anchor.check()?;
		Ok(anchor)
	}
}

type Authorities = Vec<(Hash32, u64)>;

fn bytes(text: &str) -> Result<Vec<u8>, AnchorError> {
	const_hex::decode(text).map_err(|_| AnchorError::Spec("it has something else where hex digits belong"))
}

/// Returns the state of block 0.
fn entries(raw: &Raw) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, AnchorError> {
	if !raw.children_default.is_empty() {
		return Err(AnchorError::Spec("it has child tries"));
	}
	let entries = raw.top.iter().map(|(key, value)| {
		let key = bytes(key)?;
		if key.len() > MAX_KEY_BYTES {
			return Err(AnchorError::Spec("a key of its state is too long"));
		}
		Ok((key, bytes(value)?))
	});
	entries.collect()
}

/// Returns for how long bonds stay at least, in seconds. A specification without the state does not have it.
fn bonded_seconds(top: Option<&BTreeMap<Vec<u8>, Vec<u8>>>) -> Result<u64, AnchorError> {
	let Some(top) = top else {
		return Ok(MIN_UNBONDING_SECONDS);
	};
	let stored = top.get(&storage::unbonding_key()).map(Vec::as_slice);
	unbonding_seconds(stored).ok_or(AnchorError::Spec("its unbonding period is unreadable"))
}

/// Returns the authorities of block 0.
fn first_set(top: Option<&BTreeMap<Vec<u8>, Vec<u8>>>) -> Result<Authorities, AnchorError> {
	let stored = top.and_then(|top| top.get(&storage::authorities()));
	let stored = stored.ok_or(AnchorError::Spec(
		"it has neither a checkpoint nor the authorities of GRANDPA",
	))?;
	Authorities::decode(&mut &stored[..]).map_err(|_| AnchorError::Spec("its authorities of GRANDPA are unreadable"))
}

fn checkpoint(state: &LightSyncState) -> Result<(Block, Option<u64>, u64, Authorities), AnchorError> {
	let unreadable = AnchorError::Spec("its checkpoint is unreadable");
	let header = Header::read(&bytes(&state.finalized_block_header)?).map_err(|_| unreadable.clone())?;
	let set = bytes(&state.grandpa_authority_set)?;
	// What is pending comes behind them.
	let (authorities, set_id) = <(Authorities, u64)>::decode(&mut &set[..]).map_err(|_| unreadable)?;
	let time = header.slot().map(|slot| slot.saturating_mul(SLOT_SECONDS));
	Ok((header.block(), time, set_id, authorities))
}
