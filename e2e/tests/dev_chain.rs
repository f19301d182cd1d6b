//! One node with the keys of four providers: requests, answers, votes, payment and receipts.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_e2e::{eventually, program, Chain, Node, NodeOptions};
use assay_primitives::{digest, Verdict, Vote};
use rustix::process::Signal;
use subxt_signer::sr25519::dev;

fn dev_node() -> Node {
	Node::start(NodeOptions {
		dev: true,
		..Default::default()
	})
	.expect("the node starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_becomes_a_confirmed_and_paid_receipt() {
	let node = dev_node();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let prompt = "What is a receipt?";
	let job = chain.ask(&model, prompt, 4, &dev::alice()).await.unwrap();
	let receipt = chain.verdict(&job, 60).await.unwrap();

	assert_eq!(receipt.verdict, Verdict::Confirmed);
	assert_eq!(receipt.agreeing(), 4, "all four honest voters agree");
	assert!(receipt.committee.iter().all(|seat| seat.fault.is_none()));
	assert_eq!(receipt.attempts, 1);
	assert!(receipt.concluded_at - receipt.requested_at <= 8, "{receipt:?}");

	// Every hash follows from what is public.
	let shown = chain.job(&job).await.unwrap().unwrap();
	let output = shown.output.expect("a concluded job keeps its output");
	let answer = receipt.answer.unwrap();
	assert_eq!(receipt.input_hash, digest::input_hash(prompt.as_bytes()));
	assert_eq!(answer.output_hash, digest::output_hash(&output));
	let subject = digest::Subject {
		job,
		model,
		input_hash: receipt.input_hash,
		params: &receipt.params,
		seed: receipt.seed,
		output_hash: answer.output_hash,
	};
	assert_eq!(answer.digest, subject.digest(&answer.trace_root));
	assert!(receipt.fee > 0 && answer.output_tokens > 0 && !output.text.is_empty());

	// The library computes the same without a chain.
	let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo-model/assay-demo");
	let mut engine = assay_engine::Engine::new();
	engine
		.add(assay_engine::Model::load(directory.as_ref()).unwrap())
		.unwrap();
	let work = assay_protocol::Work {
		model,
		input: prompt.as_bytes().to_vec().try_into().unwrap(),
		params: receipt.params.clone(),
		seed: receipt.seed,
		claim: Some(output),
	};
	match engine.run(&work) {
		assay_protocol::WorkResult::Verified { vote } => {
			assert_eq!(
				vote,
				Vote::Confirm {
					trace_root: answer.trace_root
				}
			);
		}
		other => panic!("expected a vote, got {other:?}"),
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_a_committee_of_one_is_unchecked() {
	let node = dev_node();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let job = chain.ask(&model, "What is a committee?", 1, &dev::bob()).await.unwrap();
	let receipt = chain.verdict(&job, 60).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Unchecked);
	assert_eq!(receipt.committee.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_requests_are_refused_by_name_and_cost_no_escrow() {
	let node = dev_node();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let unknown = assay_primitives::ModelId([7; 32]);
	for (model, prompt, committee, error) in [
		(unknown, "Hello", 4, "UnknownModel"),
		(model, "", 4, "EmptyInput"),
		(model, "Hello", 5, "BadCommitteeSize"),
		(model, "Hello", 7, "TooFewProviders"),
	] {
		let refused = chain.ask(&model, prompt, committee, &dev::alice()).await.unwrap_err();
		assert!(
			format!("{refused:#}").contains(error),
			"expected {error}, got {refused:#}"
		);
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_is_restarted_and_the_job_concludes() {
	let node = dev_node();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let engine = eventually("the engine runs", 30, || async { Ok(Some(node.engine_pid()?)) })
		.await
		.unwrap();
	let job = chain.ask(&model, "Who pays whom?", 4, &dev::alice()).await.unwrap();
	node.signal_engine(Signal::KILL).unwrap();
	let before = chain.height().await.unwrap();
	let receipt = chain.verdict(&job, 120).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Confirmed);
	assert!(chain.height().await.unwrap() > before, "the node kept making blocks");
	assert_ne!(node.engine_pid().unwrap(), engine, "a new engine runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_an_engine_makes_blocks() {
	let options = NodeOptions {
		dev: true,
		engine: Some("/nonexistent/assay-engine".into()),
		..Default::default()
	};
	let node = Node::start(options).unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let start = chain.height().await.unwrap();
	eventually("three more blocks", 30, || async {
		Ok((chain.height().await? >= start + 3).then_some(()))
	})
	.await
	.unwrap();
	assert!(node.log().contains("engine"), "the log names what is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_asks_and_verifies_and_catches_a_changed_receipt() {
	let node = dev_node();
	Chain::connect(&node.url()).await.unwrap();
	let directory = tempfile::tempdir().unwrap();
	let file = directory.path().join("receipt.json");
	let assay = |args: &[&str]| {
		let output = std::process::Command::new(program("assay").unwrap())
			.args(args)
			.output()
			.unwrap();
		let text = format!(
			"{}{}",
			String::from_utf8_lossy(&output.stdout),
			String::from_utf8_lossy(&output.stderr)
		);
		(output.status.code(), text)
	};
	let (url, path) = (node.url(), file.to_str().unwrap().to_owned());
	let (code, text) = assay(&["ask", "What is a receipt?", "--url", &url, "--save", &path]);
	assert_eq!(code, Some(0), "{text}");
	let (code, text) = assay(&["verify", &path, "--url", &url]);
	assert_eq!(code, Some(0), "{text}");
	let (code, text) = assay(&["verify", &path, "--offline"]);
	assert_eq!(code, Some(0), "{text}");

	let honest = std::fs::read_to_string(&file).unwrap();
	let changed = honest.replacen("receipt", "reciept", 1);
	assert_ne!(honest, changed);
	std::fs::write(&file, changed).unwrap();
	let (code, text) = assay(&["verify", &path, "--offline"]);
	assert_eq!(code, Some(1), "{text}");
	let (code, text) = assay(&["ask", "", "--url", &url]);
	assert!(code != Some(0) && text.contains("empty"), "{text}");
	let (code, text) = assay(&["models", "--url", "ws://127.0.0.1:1"]);
	assert!(code == Some(1) && text.contains("no node"), "{text}");
}
