//! `assay ask` and `assay chat` before a real node: the draft is read while it is made, and the publication extends it.

use assay_e2e::{program, Chain, Node, NodeOptions};
use serde_json::{json, Value};
use std::process::{Output, Stdio};
use tokio::{io::AsyncWriteExt, process::Command};

async fn node() -> (Node, Chain) {
	let options = NodeOptions {
		dev: true,
		..Default::default()
	};
	let node = Node::start(options).unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	(node, chain)
}

/// Runs `assay --json` with this standard input.
async fn assay(node: &Node, args: &[&str], input: &str) -> Output {
	let mut command = Command::new(program("assay").unwrap());
	command
		.args(["--json", "--url", &node.url()])
		.args(args)
		.args(["--suri", "//Ferdie"]);
	command
		.stdin(Stdio::piped())
		.stdout(Stdio::piped())
		.stderr(Stdio::piped());
	let mut child = command.spawn().unwrap();
	child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
	child.wait_with_output().await.unwrap()
}

fn result(output: &Output) -> Value {
	serde_json::from_slice(&output.stdout)
		.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn steps(output: &Output) -> Vec<Value> {
	let text = String::from_utf8_lossy(&output.stderr);
	let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
	lines.filter(|line| line["step"].is_string()).collect()
}

fn draft(steps: &[Value]) -> String {
	let drafts = steps.iter().filter(|step| step["step"] == "draft");
	drafts.filter_map(|step| step["facts"]["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_comes_before_its_publication_and_is_its_beginning() {
	let (node, _chain) = node().await;
	let output = assay(
		&node,
		&["ask", "What is a receipt?", "--max-tokens", "256", "--no-wait"],
		"",
	)
	.await;
	assert!(output.status.success(), "{output:?}");
	let (result, steps) = (result(&output), steps(&output));
	let position = |name: &str| steps.iter().position(|step| step["step"] == name);
	let (first, published) = (position("draft"), position("published"));
	assert!(first.is_some() && first < published, "{steps:?}");
	let answer = result["answer"].as_str().unwrap();
	assert!(
		answer.starts_with(&draft(&steps)),
		"{answer} is not what was streamed: {steps:?}"
	);
	assert_eq!(result["file"]["stream"], Value::Null);

	let output = assay(&node, &["ask", "What is a receipt?", "--no-stream", "--no-wait"], "").await;
	assert_eq!(draft(&self::steps(&output)), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_is_asked_and_its_receipt_names_it() {
	let (node, _chain) = node().await;
	let chat = json!({ "messages": [{ "role": "user", "content": "What is a receipt?" }] }).to_string();
	let output = assay(&node, &["ask", "--chat", "-", "--no-wait"], &chat).await;
	assert!(output.status.success(), "{output:?}");
	assert_eq!(result(&output)["file"]["input"]["chat"], json!(chat));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_a_chat_is_a_job_of_its_own() {
	let (node, _chain) = node().await;
	let output = assay(&node, &["chat"], "What is a receipt?\nAnd who pays for it?\n/quit\n").await;
	assert!(output.status.success(), "{output:?}");
	let result = result(&output);
	let turns = result["turns"].as_array().unwrap();
	assert_eq!(turns.len(), 2, "{result}");
	assert_ne!(turns[0]["job"], turns[1]["job"]);
	assert!(
		turns
			.iter()
			.all(|turn| turn["verdict"] == "confirmed" && turn["answer"].is_string()),
		"{result}"
	);
}
