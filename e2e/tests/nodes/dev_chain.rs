//! One node with the keys of four providers: requests, answers, votes, receipts, and a power cut in every state.

use crate::proxy::{self, Handling};
use assay_e2e::{eventually, program, report, Chain, Node, NodeOptions, Receipt};
use assay_model_folder::Manifest;
use assay_primitives::{
	accumulator::{verify, Accumulator, Proof},
	digest,
	dispute::Decision,
	Finding, Input, JobId, ModelId, SamplingParams, State, Verdict,
};
use assay_test_fixtures::fetched;
use serde_json::Value;
use std::{process::Command, time::Instant};
use subxt_signer::sr25519::dev;

fn dev_node() -> Node {
	Node::start(NodeOptions {
		dev: true,
		..Default::default()
	})
	.expect("the node starts")
}

/// Checks that a confirmed answer was approved by everybody who was to check it, and never rejected.
fn assert_unanimous(receipt: &Receipt) {
	assert_eq!(receipt.verdict, Verdict::Confirmed, "{receipt:?}");
	let claim = receipt.claim.as_ref().unwrap();
	assert!(!claim.seats.iter().any(|seat| seat.rejects()), "{receipt:?}");
	assert!(claim.seats.iter().any(|seat| seat.approves()), "{receipt:?}");
	assert!(
		claim.seats.iter().all(|seat| seat.provider != claim.executor),
		"nobody checks its own answer: {receipt:?}"
	);
}

fn decision(receipt: &Receipt) -> Option<Decision> {
	receipt.claim.as_ref()?.dispute.as_ref()?.decision
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_checked_in_time_and_a_hundred_at_once_are_too() {
	let node = dev_node();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	refusals_have_names(&chain, &model).await;

	let prompt = "What is a receipt?";
	let begin = Instant::now();
	let job = chain.ask(&model, prompt, 2, &dev::alice()).await.unwrap();
	let receipt = chain.verdict(&job, 60).await.unwrap();
	let verdict = begin.elapsed();
	chain.finality(receipt.verdict_at, 60).await.unwrap();
	report(&format!(
		"from the request: verdict after {:.1} s, final after {:.1} s",
		verdict.as_secs_f32(),
		begin.elapsed().as_secs_f32()
	));
	assert_eq!(receipt.state, State::Window);
	assert_eq!(receipt.attempts, 1);
	assert_unanimous(&receipt);
	let claim = receipt.claim.as_ref().unwrap();
	assert_eq!((claim.verifiers, claim.seats.len(), claim.tranches.len()), (2, 2, 1));
	assert_eq!(
		claim.root, None,
		"what the seats computed is not told before the audit's lottery"
	);
	hashes_follow_from_what_is_public(&chain, &receipt, prompt).await;

	// Nobody is asked to check this one.
	let job = chain.ask(&model, "What is a verifier?", 0, &dev::bob()).await.unwrap();
	let receipt = chain.verdict(&job, 60).await.unwrap();
	assert_eq!((receipt.verdict, receipt.state), (Verdict::Unchecked, State::Window));
	assert!(receipt.claim.unwrap().seats.is_empty());

	a_hundred_at_once(&chain, &model).await;
}

async fn refusals_have_names(chain: &Chain, model: &ModelId) {
	let unknown = ModelId([7; 32]);
	for (model, prompt, verifiers, error) in [
		(&unknown, "Hello", 2, "UnknownModel"),
		(model, "", 2, "EmptyInput"),
		(model, "Hello", 9, "TooManyVerifiers"),
	] {
		let refused = chain.ask(model, prompt, verifiers, &dev::ferdie()).await.unwrap_err();
		let refused = format!("{refused:#}");
		assert!(refused.contains(error), "expected {error}, got {refused}");
	}
	let (_, held) = chain.balance(&dev::ferdie().public_key().0).await.unwrap();
	assert_eq!(held, 0, "a refused request holds nothing");
}

/// Every name and hash of a receipt follows from what is public, and so does its answer.
async fn hashes_follow_from_what_is_public(chain: &Chain, receipt: &Receipt, prompt: &str) {
	let shown = chain.job(&receipt.job).await.unwrap().unwrap();
	let output = shown.output.expect("a job keeps its output");
	let claim = receipt.claim.as_ref().unwrap();
	assert_eq!(receipt.input_hash, digest::input_hash(&Input::Text(prompt.as_bytes())));
	assert_eq!(claim.output_hash, digest::output_hash(&output));
	let job = JobId::derive(
		&shown.genesis,
		&receipt.requester,
		receipt.count,
		&receipt.model,
		receipt.named_listing(),
		&receipt.input_hash,
		&receipt.params,
	);
	assert_eq!(job, receipt.job);
	let execution = claim.execution(shown.genesis, job, receipt.model);
	let id = execution.claim();
	assert_eq!(shown.claim, Some(id));
	assert!(receipt.fee > 0 && !output.text.is_empty());

	// The library computes the same without a chain, and with it the executor's seal and every approval.
	let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../demo-model/assay-demo");
	let mut engine = assay_engine::Engine::new();
	engine
		.add(assay_engine::Model::load(directory.as_ref()).unwrap())
		.unwrap();
	let work = assay_protocol::Work {
		model: receipt.model,
		input: Input::Text(prompt.as_bytes().to_vec().try_into().unwrap()),
		params: receipt.params.clone(),
		seed: execution.sampling_seed(),
		claim: Some(output),
	};
	let assay_protocol::WorkResult::Verified {
		finding: Finding::Confirm { trace_root },
	} = engine.run(&work)
	else {
		panic!("the library does not confirm {receipt:?}");
	};
	let root = id.bind(&trace_root);
	assert_eq!(claim.seal, id.seal(&claim.executor, &root));
	for seat in &claim.seats {
		assert!(claim.fits(id, &seat.provider, seat.vote.as_ref().unwrap(), &root));
	}
}

async fn a_hundred_at_once(chain: &Chain, model: &ModelId) {
	let prompts: Vec<String> = (0..100).map(|n| format!("What is the number {n}?")).collect();
	let begin = Instant::now();
	let params = SamplingParams::greedy(32);
	let jobs = chain
		.ask_all(&[], model, &prompts, &params, 2, &dev::eve())
		.await
		.unwrap();
	for job in &jobs {
		let receipt = chain.verdict(job, 240).await.unwrap();
		assert_unanimous(&receipt);
	}
	report(&format!(
		"a hundred at once: the last verdict after {:.1} s",
		begin.elapsed().as_secs_f32()
	));
}

/// The states in which a node loses power: while it executes, while its seats vote, and while its jurors have committed votes
/// that they must reveal.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_in_any_state_changes_no_vote() {
	let mut node = dev_node();
	let mut chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let ferdie = dev::ferdie();

	let job = chain.ask(&model, "What is a power cut?", 2, &ferdie).await.unwrap();
	chain.reaches(&job, State::Executing, 30).await.unwrap();
	node.kill_and_restart().unwrap();
	chain = Chain::connect(&node.url()).await.unwrap();
	assert_unanimous(&chain.verdict(&job, 90).await.unwrap());

	let job = chain.ask(&model, "What is a journal?", 1, &ferdie).await.unwrap();
	chain.reaches(&job, State::Voting, 60).await.unwrap();
	node.kill_and_restart().unwrap();
	chain = Chain::connect(&node.url()).await.unwrap();
	let receipt = chain.verdict(&job, 90).await.unwrap();
	assert_unanimous(&receipt);

	// The requester objects, without a reason: everybody else recomputes, first blinded.
	let id = chain.job(&job).await.unwrap().unwrap().claim.unwrap();
	let output_hash = receipt.claim.unwrap().output_hash;
	chain.object(&id, &output_hash, &ferdie).await.unwrap();
	let committed = eventually("a juror has committed a vote", 60, || async {
		let jury = chain.jury(&id).await?.filter(|jury| !jury.revealing);
		let committed = jury.into_iter().flat_map(|jury| jury.members);
		let committed: Vec<_> = committed.filter(|juror| juror.commitment.is_some()).collect();
		Ok((!committed.is_empty()).then_some(committed))
	})
	.await
	.unwrap();
	node.kill_and_restart().unwrap();
	chain = Chain::connect(&node.url()).await.unwrap();
	let receipt = eventually("the dispute is decided", 120, || async {
		let receipt = chain.receipt(&job).await?;
		Ok(receipt.filter(|receipt| receipt.state == State::Window && decision(receipt).is_some()))
	})
	.await
	.unwrap();
	assert_unanimous(&receipt);
	let dispute = receipt.claim.unwrap().dispute.unwrap();
	assert_eq!(dispute.decision, Some(Decision::Upheld));
	assert_eq!((dispute.objector, dispute.round), (Some(ferdie.public_key().0), 1));
	assert_eq!(
		(dispute.approve, dispute.reject),
		(dispute.stake, 0),
		"everybody revealed the vote it had committed: {committed:?}"
	);
	assert_eq!(chain.convictions().await.unwrap(), 0);
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
#[ignore = "a quarter of an hour: make chaos"]
async fn a_node_that_indexes_proves_what_the_accumulator_holds() {
	let node = Node::start(NodeOptions {
		dev: true,
		args: ["--enable-offchain-indexing", "true"].map(Into::into).to_vec(),
		..Default::default()
	})
	.unwrap();
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	let mut jobs = Vec::new();
	for prompt in ["Who answers?", "Who else?", "Nobody?"] {
		jobs.push(chain.ask(&model, prompt, 0, &dev::ferdie()).await.unwrap());
	}
	let mut receipts = Vec::new();
	for job in &jobs {
		receipts.push(chain.settled(job, 1_200).await.unwrap());
	}
	let last = receipts.iter().filter_map(|receipt| receipt.closed_at).max().unwrap();
	chain.finality(last, 60).await.unwrap();
	let accumulator: Accumulator = chain.view("AssayApi_receipt_accumulator", ()).await.unwrap();
	assert_eq!((accumulator.leaves, accumulator.peaks.len()), (3, 2));

	let directory = tempfile::tempdir().unwrap();
	for (job, receipt) in jobs.iter().zip(&receipts) {
		let path = directory.path().join("receipt.json");
		let file = path.to_str().unwrap();
		let job = job.to_string();
		let output = Command::new(program("assay").unwrap())
			.args(["receipt", &job, "--save", file, "--url", &node.url()])
			.output()
			.unwrap();
		assert!(output.status.success(), "{output:?}");
		let saved: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
		let leaf = &saved["accumulator"];
		let proof: Proof = serde_json::from_value(leaf["proof"].clone()).expect("the node has a proof");
		let index = leaf["index"].as_u64().unwrap();
		assert!(verify(&accumulator.root(), &receipt.leaf(), index, &proof), "{leaf}");
	}
}

/// Runs the command line. Returns its exit code and all that it wrote.
fn assay(args: &[&str]) -> (Option<i32>, String) {
	let output = Command::new(program("assay").unwrap()).args(args).output().unwrap();
	let text = format!(
		"{}{}",
		String::from_utf8_lossy(&output.stdout),
		String::from_utf8_lossy(&output.stderr)
	);
	(output.status.code(), text)
}

/// From a package to a receipt.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_chat_model_answers_and_its_receipt_is_verified() {
	const PROMPT: &str = "Write a Python function that adds two numbers.";
	let Some(file) = fetched("smollm2") else { return };
	let work = tempfile::tempdir().unwrap();
	let models = work.path().join("models");
	std::fs::create_dir(&models).unwrap();
	let [directory, receipt] =
		[models.join("smollm2"), work.path().join("receipt.json")].map(|path| path.to_str().unwrap().to_owned());
	let done = |args: &[&str]| {
		let (code, text) = assay(args);
		assert_eq!(code, Some(0), "{args:?}: {text}");
		text
	};
	let file = file.to_str().unwrap();
	done(&[
		"model",
		"import",
		file,
		&directory,
		"--name",
		"smollm2",
		"--license",
		"Apache-2.0",
	]);
	let node = Node::start(NodeOptions {
		dev: true,
		models: Some(models),
		..Default::default()
	})
	.unwrap();
	let (chain, url) = (Chain::connect(&node.url()).await.unwrap(), node.url());
	let prices = ["--price-in", "0.0001", "--price-out", "0.001"];
	done(&[&["model", "register", &directory][..], &prices, &["--url", &url]].concat());
	for name in ["Alice", "Bob", "Charlie", "Dave"] {
		let suri = format!("//{name}");
		done(&["provider", "serve", "smollm2", "--suri", &suri, "--url", &url]);
	}
	// Its electorate is sealed once a period, and in force a period later.
	let model = Manifest::read(directory.as_ref()).unwrap().model_id();
	eventually("the model has an electorate", 480, || async {
		Ok(chain.quote(&model, PROMPT, 32, 2).await?.ok())
	})
	.await
	.unwrap();
	let how = ["--model", "smollm2", "--temperature", "0", "--max-tokens", "32"];
	let text = done(&[&["ask", PROMPT, "--url", &url, "--save", &receipt][..], &how].concat());
	assert!(text.contains("def add_two_numbers(num1, num2):"), "{text}");
	let text = done(&["verify", &receipt]);
	assert!(text.contains("FINAL."), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_verifies_what_was_checked_and_nothing_else() {
	let node = dev_node();
	Chain::connect(&node.url()).await.unwrap();
	let directory = tempfile::tempdir().unwrap();
	let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
	let (url, file, spec) = (node.url(), path("receipt.json"), path("chain.json"));
	let exported = Command::new(program("assay-node").unwrap())
		.args(["export-chain-spec", "--chain", "dev", "--raw", "--output", &spec])
		.status();
	assert!(exported.unwrap().success());
	let (code, text) = assay(&["ask", "What is a receipt?", "--url", &url, "--save", &file]);
	assert_eq!(code, Some(0), "{text}");
	// From block 0, from what this program keeps since it met the chain, and beside the node.
	for how in [&["--anchor", spec.as_str()][..], &[], &["--url", &url]] {
		let (code, text) = assay(&[&["verify", &file][..], how].concat());
		assert!(code == Some(0) && text.contains("FINAL."), "{how:?}: {text}");
	}
	let (code, text) = assay(&["verify", &file, "--min-verifiers", "3"]);
	assert!(code == Some(1) && text.contains("--min-verifiers"), "{text}");
	let (code, text) = assay(&["verify", &file, "--settled"]);
	assert!(code == Some(4) && text.contains("not settled"), "{text}");
	the_standard_methods_prove_the_same(&url, &file, &spec).await;

	let honest = std::fs::read_to_string(&file).unwrap();
	let changed = honest.replacen("receipt?", "reciept?", 1);
	assert_ne!(honest, changed);
	std::fs::write(&file, changed).unwrap();
	let (code, text) = assay(&["verify", &file]);
	assert!(code == Some(5) && text.contains("input_hash"), "{text}");

	// A receipt of an answer that nobody checked is as final, and is not a checked answer.
	let file = path("unchecked.json");
	let (code, text) = assay(&[
		"ask",
		"Who checks this?",
		"--verifiers",
		"0",
		"--url",
		&url,
		"--save",
		&file,
	]);
	assert_eq!(code, Some(0), "{text}");
	let (code, text) = assay(&["verify", &file]);
	assert!(code == Some(4) && text.contains("Nobody was asked to check"), "{text}");

	let (code, text) = assay(&["ask", "", "--url", &url]);
	assert!(code != Some(0) && text.contains("empty"), "{text}");
	let (code, text) = assay(&["models", "--url", "ws://127.0.0.1:1"]);
	assert!(code == Some(1) && text.contains("no node"), "{text}");
}

/// Has `assay` save the receipt from a node without this project's methods, and verify it as well.
async fn the_standard_methods_prove_the_same(url: &str, file: &str, spec: &str) {
	let plain = format!("{file}.plain");
	let job: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
	let job = job["receipt"]["job"].as_str().unwrap();
	let proxy = proxy::before(url.to_owned(), |text| {
		Handling::Pass(text.replace("assay_receiptProof", "assay_notThere"))
	})
	.await;
	let (code, text) = assay(&["receipt", job, "--url", &proxy, "--save", &plain]);
	assert_eq!(code, Some(0), "{text}");
	let (code, text) = assay(&["verify", &plain, "--anchor", spec]);
	assert!(code == Some(0) && text.contains("FINAL."), "{text}");
}
