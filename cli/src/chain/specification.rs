//! The chain's specification, as light clients need it.

use super::Chain;
use crate::error::CliError;
use codec::Decode;
use serde_json::{json, Value};
use subxt::rpcs::{client::RpcParams, rpc_params};

/// Most addresses of the node that a specification names.
const MAX_ADDRESSES: usize = 16;
/// The first epoch in which a finalized block tells light clients its own epoch and the next one: the first two are known
/// from the genesis state only.
const FIRST_EPOCH: u64 = 2;

impl Chain {
	/// Returns the specification with the newest finalized block to start from, and with the node's own addresses that a
	/// browser can reach. The genesis state, more than a megabyte, then gives way to its root. In the first two epochs of a
	/// chain there is no such block: clients start from the genesis state.
	pub(crate) async fn light_client_spec(&self) -> Result<Value, CliError> {
		let mut spec: Value = self.request("sync_state_genSyncSpec", rpc_params![true]).await?;
		let addresses: Vec<String> = self.request("system_localListenAddresses", RpcParams::new()).await?;
		add_addresses(&mut spec, addresses);
		if self.epoch().await? < FIRST_EPOCH {
			if let Some(spec) = spec.as_object_mut() {
				spec.remove("lightSyncState");
			}
			return Ok(spec);
		}
		let genesis: Value = self
			.request(
				"chain_getHeader",
				rpc_params![const_hex::encode_prefixed(self.genesis())],
			)
			.await?;
		if let Some(root) = genesis.get("stateRoot") {
			spec["genesis"] = json!({ "stateRootHash": root });
		}
		Ok(spec)
	}

	/// Returns the number of BABE's epoch in the last finalized block.
	async fn epoch(&self) -> Result<u64, CliError> {
		let block: Value = self.request("chain_getFinalizedHead", RpcParams::new()).await?;
		let params = rpc_params!["BabeApi_current_epoch", "0x", block];
		let encoded: String = self.request("state_call", params).await?;
		let bytes = const_hex::decode(&encoded).unwrap_or_default();
		u64::decode(&mut &bytes[..]).map_err(|_| CliError::Node("its epoch cannot be read".into()))
	}
}

/// Adds the addresses that speak WebSocket, which is all that browsers speak, to the nodes that a client begins with.
fn add_addresses(spec: &mut Value, addresses: Vec<String>) {
	let known = spec["bootNodes"].as_array().cloned().unwrap_or_default();
	let reachable = addresses.into_iter().filter(|address| {
		let mut parts = address.split('/');
		parts.any(|part| part == "ws" || part == "wss")
	});
	let mut all: Vec<Value> = reachable.map(Value::from).take(MAX_ADDRESSES).collect();
	all.extend(known);
	all.dedup();
	spec["bootNodes"] = all.into();
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn only_addresses_for_browsers_are_added_before_those_that_are_known() {
		let mut spec = json!({ "bootNodes": ["/dns/a/tcp/1/p2p/x"] });
		let of = |text: &str| text.to_owned();
		let found = vec![
			of("/ip4/127.0.0.1/tcp/30333/p2p/y"),
			of("/ip4/127.0.0.1/tcp/30334/ws/p2p/y"),
		];
		add_addresses(&mut spec, found);
		assert_eq!(
			spec["bootNodes"],
			json!(["/ip4/127.0.0.1/tcp/30334/ws/p2p/y", "/dns/a/tcp/1/p2p/x"])
		);
		let mut bare = json!({});
		add_addresses(&mut bare, Vec::new());
		assert_eq!(bare["bootNodes"], json!([]));
	}
}
