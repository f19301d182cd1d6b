//! `assay chat` with a script instead of somebody who types.

use super::{assay, stderr, Does, Node, JOB};
use crate::node::Ends;
use serde_json::{json, Value};
use std::{
	io::Write,
	process::{Output, Stdio},
};

/// Runs a chat with these lines.
async fn chat(node: &Node, args: &[&str], lines: &str) -> Output {
	let mut command = assay(node, &[&["chat"], args].concat());
	command
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		.stderr(Stdio::piped());
	let lines = lines.to_owned();
	tokio::task::spawn_blocking(move || {
		let mut child = command.spawn().unwrap();
		child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
		child.wait_with_output().unwrap()
	})
	.await
	.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chat_saves_can_be_asked() {
	let node = Node::start(Does::Cuts).await;
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("chat.json");
	let file = path.to_str().unwrap();
	let output = chat(
		&node,
		&["--system", "Be brief."],
		&format!("/system\n/help\n/save {file}\n/reset\n/quit\nnever asked"),
	)
	.await;
	let shown = String::from_utf8_lossy(&output.stdout);
	assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
	for part in ["Be brief.", "/receipt", "Saved to", "forgotten", "Nothing was asked."] {
		assert!(shown.contains(part), "{part} is missing in\n{shown}");
	}
	let saved: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
	assert_eq!(
		saved,
		json!({ "messages": [{ "role": "system", "content": "Be brief." }] })
	);
	assert!(!node.got_one());

	let asked = super::run(&node, &["ask", "--chat", file]).await;
	assert_eq!(asked.status.code(), Some(3), "{}", stderr(&asked));
	assert!(node.got_one());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_ends_at_its_first_error() {
	for (line, code, words) in [
		("/recipt", 2, "/help"),
		("/receipt", 2, "no answer yet"),
		("/save /nowhere/chat.json", 1, "/nowhere"),
	] {
		let node = Node::start(Does::Cuts).await;
		let output = chat(&node, &[], &format!("{line}\nWho pays?\n")).await;
		assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
		assert!(stderr(&output).contains(words), "{}", stderr(&output));
		assert!(!node.got_one());
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_may_be_paid_is_not_asked_again() {
	let node = Node::start(Does::Cuts).await;
	let output = chat(&node, &[], "Who pays?\nAnd who else?\n").await;
	super::unknown(&node, &output);

	let node = Node::start(Does::Includes(Ends::Requested)).await;
	let output = chat(&node, &["--json"], "Who pays?\n").await;
	assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
	let json: Value = serde_json::from_slice(&output.stdout).unwrap();
	assert_eq!(
		(&json["error"]["kind"], &json["error"]["job"]),
		(&json!("requested"), &json!(JOB))
	);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_no_model_can_read_is_refused_unsent() {
	let node = Node::start(Does::Cuts).await;
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("chat.json");
	std::fs::write(
		&path,
		r#"{"messages":[{"role":"tool","content":"7","tool_call_id":"x"}]}"#,
	)
	.unwrap();
	let output = super::run(&node, &["ask", "--chat", path.to_str().unwrap()]).await;
	assert_eq!(output.status.code(), Some(2));
	assert!(
		stderr(&output).contains("messages[0].tool_call_id"),
		"{}",
		stderr(&output)
	);
	assert!(!node.got_one());
}
