//! `assay status`: the chain's head, the last finalized block and the node's engine.

use super::Context;
use crate::{error::CliError, output::Outcome};
use const_hex::encode_prefixed;
use serde_json::{json, Value};
use subxt::rpcs::client::RpcParams;

/// Shows the state of the node and of its chain.
pub(crate) async fn run(cx: &Context) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let best = chain.best().await?;
	let finalized = chain.finalized().await?;
	let version: String = chain.request("system_version", RpcParams::new()).await?;
	let health: Value = chain.request("system_health", RpcParams::new()).await?;
	let models = chain.models(&best).await?;
	// A node may hide its engine.
	let engine: Option<Value> = chain.request("assay_engineStatus", RpcParams::new()).await.ok();

	let peers = health.get("peers").and_then(Value::as_u64).unwrap_or_default();
	let active = models.iter().filter(|m| !m.listings.is_empty()).count();
	let text = format!(
		"chain      {} ({})\nnode       {version}, {peers} peers\nbest       block {} {}\nfinalized  block {} {}\nmodels     {active} take jobs\nengine     {}\n",
		chain.name,
		chain.runtime,
		best.block_number(),
		encode_prefixed(best.block_hash()),
		finalized.block_number(),
		encode_prefixed(finalized.block_hash()),
		engine_line(engine.as_ref()),
	);
	let block = |number: u64, hash: &[u8]| json!({ "number": number, "hash": encode_prefixed(hash) });
	let json = json!({
		"chain": chain.name,
		"runtime": chain.runtime,
		"genesis": encode_prefixed(chain.genesis()),
		"node": version,
		"health": health,
		"best": block(best.block_number(), &best.block_hash().0),
		"finalized": block(finalized.block_number(), &finalized.block_hash().0),
		"models": active,
		"engine": engine,
	});
	Ok(Outcome::new(text, json))
}

fn engine_line(engine: Option<&Value>) -> String {
	let Some(engine) = engine else {
		return "not reported by the node".into();
	};
	let state = engine.get("state").and_then(Value::as_str).unwrap_or("unknown");
	let served: Vec<&str> = match engine.get("models").and_then(Value::as_array) {
		Some(models) => models
			.iter()
			.filter_map(|m| m.get("name").and_then(Value::as_str).or_else(|| m.as_str()))
			.collect(),
		None => Vec::new(),
	};
	let error = engine
		.get("lastError")
		.and_then(Value::as_str)
		.map(|e| format!("; last error: {e}"))
		.unwrap_or_default();
	if served.is_empty() {
		format!("{state}, serves no model{error}")
	} else {
		format!("{state}, serves {}{error}", served.join(", "))
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_engine_is_described_in_one_line() {
		assert_eq!(engine_line(None), "not reported by the node");
		let ready = json!({ "state": "ready", "models": [{ "name": "assay-demo" }] });
		assert_eq!(engine_line(Some(&ready)), "ready, serves assay-demo");
		let broken = json!({ "state": "restarting", "models": [], "lastError": "killed" });
		assert_eq!(
			engine_line(Some(&broken)),
			"restarting, serves no model; last error: killed"
		);
	}
}
