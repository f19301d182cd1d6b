//! The network `local` finalizes blocks and answers a job.

use anyhow::{ensure, Context, Result};
use assay_zombienet::{network_file, path_from_env, spawn};
use serde_json::Value;
use std::time::Duration;

const FINALIZED: &str = "block_height{status=\"finalized\"}";

/// Requests an answer with the `assay` program, and returns the JSON that it prints.
async fn ask(url: &str, prompt: &str) -> Result<Value> {
	let mut command = tokio::process::Command::new(path_from_env("ASSAY_CLI")?);
	command
		.args([
			"ask",
			prompt,
			"--verifiers",
			"2",
			"--suri",
			"//Eve",
			"--url",
			url,
			"--json",
		])
		.kill_on_drop(true);
	let output = tokio::time::timeout(Duration::from_secs(180), command.output())
		.await
		.context("no verdict within three minutes")??;
	let (out, err) = (
		String::from_utf8_lossy(&output.stdout),
		String::from_utf8_lossy(&output.stderr),
	);
	ensure!(
		output.status.success(),
		"assay ask ended with {}:\n{out}\n{err}",
		output.status
	);
	serde_json::from_str(&out).with_context(|| format!("this is not one JSON object: {out}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_finalize_and_a_job_is_confirmed() -> Result<()> {
	let network = spawn(&network_file("local")).await?;
	for node in network.nodes() {
		node.wait_metric_with_timeout(FINALIZED, |height| height >= 3.0, 120u64)
			.await
			.with_context(|| format!("{} does not finalize", node.name()))?;
	}

	let answer = ask(network.get_node("alice")?.ws_uri(), "What is a receipt?").await?;
	let receipt = answer.pointer("/file/receipt").context("the answer has a receipt")?;
	ensure!(
		receipt["verdict"] == "confirmed",
		"expected a confirmed receipt: {answer}"
	);
	let seats = receipt
		.pointer("/claim/seats")
		.and_then(Value::as_array)
		.context("the receipt names its verifiers")?;
	ensure!(
		seats.len() == 2 && seats.iter().all(|seat| seat["fault"].is_null()),
		"no fault: {answer}"
	);

	// Every node finalizes the block of the verdict.
	let verdict_at = receipt["verdict_at"].as_f64().context("the receipt names its block")?;
	for node in network.nodes() {
		node.wait_metric_with_timeout(FINALIZED, |height| height >= verdict_at, 120u64)
			.await
			.with_context(|| format!("{} does not finalize the verdict", node.name()))?;
	}
	network.destroy().await?;
	Ok(())
}
