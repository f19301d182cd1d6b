//! Transactions whose fate is not known: no command calls them failed, each says how to look, and looking tells.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod accounts;
mod chat;
mod history;
// The tests of the gateway use more of it.
#[allow(dead_code)]
mod node;

use node::{Does, Ends, Node, JOB, SINCE};
use serde_json::{json, Value};
use std::{
	process::{Command, Output, Stdio},
	time::Duration,
};

/// The last block that can have a transaction of these tests.
const LAST: u32 = SINCE + 63;

fn assay(node: &Node, args: &[&str]) -> Command {
	let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
	for name in ["ASSAY_SURI", "ASSAY_ACCOUNT", "ASSAY_KEYSTORE", "ASSAY_PASSPHRASE_FILE"] {
		command.env_remove(name);
	}
	command.env("ASSAY_URL", &node.url);
	command.args(args).stdin(Stdio::null());
	command
}

async fn run(node: &Node, args: &[&str]) -> Output {
	let mut command = assay(node, args);
	tokio::task::spawn_blocking(move || command.output().unwrap())
		.await
		.unwrap()
}

fn stderr(output: &Output) -> String {
	String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks that a command has ended without knowing what became of its transaction, and how it says so.
fn unknown(node: &Node, output: &Output) {
	let error = stderr(output);
	assert_eq!(output.status.code(), Some(3), "{error}");
	let look = format!("`assay transaction {} --since {SINCE}`", node.sent());
	for part in [
		"may be in a block",
		&format!("until block {LAST}"),
		&look,
		"--nonce 7",
		"Alice",
	] {
		assert!(error.contains(part), "{part} is missing in\n{error}");
	}
	assert!(
		!error.contains("Try again") && !error.contains("the chain refuses"),
		"{error}"
	);
}

const BOND: [&str; 3] = ["provider", "bond", "10000"];

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_behind_the_sending_leaves_a_way_to_look() {
	let commands: [&[&str]; 4] = [
		&BOND,
		&["ask", "Who pays?"],
		&["model", "retire", "3"],
		&["provider", "ready"],
	];
	for (i, args) in commands.into_iter().enumerate() {
		let does = [Does::Cuts, Does::CutsLater][i % 2].clone();
		let node = Node::start(does).await;
		unknown(&node, &run(&node, args).await);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn no_status_short_of_a_block_is_called_a_failure() {
	let other = json!(format!("0x{}", "77".repeat(32)));
	for status in [
		json!("dropped"),
		json!("invalid"),
		json!({ "usurped": other }),
		json!({ "finalityTimeout": other }),
	] {
		let node = Node::start(Does::Reports(status)).await;
		unknown(&node, &run(&node, &BOND).await);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_pool_knows_already_may_be_in_a_block() {
	for (code, message) in [(1012, "Transaction is temporarily banned"), (1013, "Already imported")] {
		let node = Node::start(Does::Refuses(code, message, "")).await;
		unknown(&node, &run(&node, &BOND).await);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_pool_refuses_was_not_sent_and_says_why() {
	for (code, data, words) in [
		(
			1010,
			"Inability to pay some fees (e.g. account balance too low)",
			"send it some ASY",
		),
		(1010, "Transaction is outdated", "the nonce is used"),
		(1014, "The transaction has too low priority", "waits with this nonce"),
		(
			1016,
			"The transaction couldn't enter the pool because of the limit",
			"pool is full",
		),
		(1010, "Custom error: 99", "Custom error: 99"),
	] {
		let node = Node::start(Does::Refuses(code, "Invalid Transaction", data)).await;
		let output = run(&node, &BOND).await;
		let error = stderr(&output);
		assert_eq!(output.status.code(), Some(1), "{error}");
		assert!(error.contains("the chain refuses") && error.contains(words), "{error}");
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_behind_the_sending_leaves_a_way_to_look() {
	for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
		let node = Node::start(Does::Nothing).await;
		let child = assay(&node, &BOND).stderr(Stdio::piped()).spawn().unwrap();
		let sent = async {
			while !node.got_one() {
				tokio::time::sleep(Duration::from_millis(20)).await;
			}
		};
		tokio::time::timeout(Duration::from_secs(60), sent).await.unwrap();
		let pid = rustix::process::Pid::from_child(&child);
		rustix::process::kill_process(pid, signal).unwrap();
		let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap())
			.await
			.unwrap();
		unknown(&node, &output);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_the_transaction_and_the_same_exit_code() {
	let node = Node::start(Does::Cuts).await;
	let output = run(&node, &["--json", "provider", "bond", "1", "--nonce", "5"]).await;
	assert_eq!(output.status.code(), Some(3));
	let json: Value = serde_json::from_slice(&output.stdout).unwrap();
	assert_eq!(json["error"]["kind"], "sent");
	let transaction = &json["error"]["transaction"];
	assert_eq!(
		(&transaction["hash"], &transaction["nonce"], &transaction["since"]),
		(&json!(node.sent()), &json!(5), &json!(SINCE))
	);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_job_outlives_the_connection() {
	let node = Node::start(Does::Includes(Ends::Requested)).await;
	let output = run(&node, &["ask", "Who pays?"]).await;
	let error = stderr(&output);
	assert_eq!(output.status.code(), Some(3), "{error}");
	for part in [&format!("`assay job {JOB}`"), "requested", "before you ask again"] {
		assert!(error.contains(part), "{part} is missing in\n{error}");
	}
	assert!(!error.contains("Try again"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_fails_in_a_final_block_is_refused() {
	let node = Node::start(Does::Includes(Ends::Failed)).await;
	let output = run(&node, &BOND).await;
	assert_eq!(output.status.code(), Some(1));
	assert!(stderr(&output).contains("Bad origin"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_tells_what_became_of_a_transaction() {
	let node = Node::start(Does::Cuts).await;
	unknown(&node, &run(&node, &BOND).await);
	let (hash, since) = (node.sent(), SINCE.to_string());
	let question = ["transaction", &hash, "--since", &since];
	let look = || run(&node, &question);
	let ends = |output: &Output, code: i32, words: &str| {
		let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(output));
		assert!(output.status.code() == Some(code) && text.contains(words), "{text}");
	};

	ends(&look().await, 3, "can still have it: look again");
	node.go_on(LAST + 5, LAST - 1);
	ends(&look().await, 3, "can still have it: look again");
	node.go_on(LAST + 5, LAST);
	ends(&look().await, 1, "nothing was paid: repeat its command");

	node.include(LAST, Ends::Failed);
	node.go_on(LAST, LAST - 1);
	ends(&look().await, 3, "it may succeed in another");
	node.go_on(LAST, LAST);
	ends(&look().await, 1, "Bad origin");

	node.include(SINCE + 1, Ends::Requested);
	node.go_on(SINCE + 2, SINCE);
	ends(&look().await, 0, &format!("requested job {JOB}"));
	ends(&look().await, 0, "not finalized");
	node.go_on(SINCE + 2, SINCE + 2);
	ends(
		&look().await,
		0,
		&format!("is in block {} and requested job", SINCE + 1),
	);
	node.prune();
	ends(&look().await, 0, "this node no longer has");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_beyond_the_next_one_is_refused_before_anything_is_sent() {
	let node = Node::start(Does::Cuts).await;
	let output = run(&node, &["provider", "ready", "--nonce", "8"]).await;
	assert_eq!(output.status.code(), Some(2));
	assert!(stderr(&output).contains("next one is 7"), "{}", stderr(&output));
	assert!(!node.got_one());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_refused_before_anything_is_paid() {
	let node = Node::start(Does::Cuts).await;
	let output = run(&node, &["ask", "Who pays?", "--save", "/nowhere/receipt.json"]).await;
	assert_eq!(output.status.code(), Some(1));
	assert!(stderr(&output).contains("/nowhere/receipt.json"), "{}", stderr(&output));
	assert!(!node.got_one());
}
