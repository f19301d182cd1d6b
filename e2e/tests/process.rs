//! The engine as a process: whatever it does, it is replaced, its exit is counted, and its node makes a block in every slot.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use assay_e2e::{eventually, program, random_model, Chain, Node, NodeOptions, SlotMonitor};
use assay_primitives::{SamplingParams, Verdict};
use assay_protocol::process::proc_bytes;
use rustix::process::Signal;
use std::{fs, path::Path};
use subxt_signer::sr25519::dev;

/// One node at a time: a slot that is missed because tests compete for the CPU proves nothing.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const EXITS: &str = "assay_engine_exits_total";
const RESTARTS: &str = "assay_engine_restarts_total";
const ABSTAINED: &str = "assay_tasks_abstained_total";

fn start(change: impl FnOnce(&mut NodeOptions)) -> Node {
	let mut options = NodeOptions {
		dev: true,
		..Default::default()
	};
	change(&mut options);
	Node::start(options).expect("the node starts")
}

/// Starts a node whose engine misbehaves.
fn start_rogue(mode: &str, args: &[&str]) -> Node {
	start(|options| {
		options.engine = Some(program("assay-rogue").unwrap());
		options.engine_env = vec![("ASSAY_ROGUE".into(), mode.into())];
		options.args = args.iter().map(|arg| (*arg).to_owned()).collect();
	})
}

async fn exits(node: &Node, cause: &str, times: u64, seconds: u64) {
	eventually(&format!("{times} exits by {cause}"), seconds, || async {
		Ok((node.metric(EXITS, Some(("cause", cause)))? >= times).then_some(()))
	})
	.await
	.unwrap();
}

/// Waits until the engine has been ready `times` times, with `models` models.
async fn ready(node: &Node, times: usize, models: usize) {
	let words = format!("with {models} model(s)");
	eventually(&format!("the engine is ready, {times} times {words}"), 90, || async {
		let log = node.log();
		let lines = log
			.lines()
			.filter(|line| line.contains("Engine ready") && line.contains(&words));
		Ok((lines.count() >= times).then_some(()))
	})
	.await
	.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_and_a_stopped_engine_are_replaced_and_no_slot_is_missed() {
	let _alone = ALONE.lock().await;
	let node = start(|_| ());
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	ready(&node, 1, 1).await;
	let slots = SlotMonitor::start(&chain).await.unwrap();

	let job = chain.ask(&model, "Who pays whom?", 2, &dev::alice()).await.unwrap();
	let first = node.engine_pid().unwrap();
	node.signal_engine(Signal::KILL).unwrap();
	exits(&node, "crash", 1, 10).await;
	let receipt = chain.verdict(&job, 60).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Confirmed, "{receipt:?}");
	ready(&node, 2, 1).await;
	let second = node.engine_pid().unwrap();
	assert_ne!(first, second);

	node.signal_engine(Signal::STOP).unwrap();
	let job = chain.ask(&model, "What is a jury?", 2, &dev::alice()).await.unwrap();
	exits(&node, "hang", 1, 40).await;
	let receipt = chain.verdict(&job, 60).await.unwrap();
	assert_eq!(receipt.verdict, Verdict::Confirmed, "{receipt:?}");
	assert_ne!(node.engine_pid().unwrap(), second);

	assert_eq!(node.metric(RESTARTS, None).unwrap(), 2);
	assert_eq!(node.metric(EXITS, None).unwrap(), 2);
	assert!(slots.finish().await.unwrap() > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_violates_the_protocol_is_replaced_and_no_slot_is_missed() {
	let _alone = ALONE.lock().await;
	for mode in ["garbage", "flood"] {
		let node = start_rogue(mode, &[]);
		let chain = Chain::connect(&node.url()).await.unwrap();
		let model = chain.demo_model().await.unwrap();
		let slots = SlotMonitor::start(&chain).await.unwrap();
		let job = chain.ask(&model, "Is anybody there?", 2, &dev::alice()).await.unwrap();
		exits(&node, "protocol", 4, 60).await;
		assert!(node.metric(RESTARTS, None).unwrap() >= 3);
		assert_eq!(node.metric(EXITS, Some(("cause", "crash"))).unwrap(), 0, "{mode}");
		let job = chain.job(&job).await.unwrap().unwrap();
		assert!(
			job.output.is_none() && job.seats.is_empty(),
			"nobody answers without an engine: {job:?}"
		);
		slots.finish().await.unwrap();
	}
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_exhausts_memory_is_given_up_and_no_slot_is_missed() {
	let _alone = ALONE.lock().await;
	let node = start_rogue("hoard", &["--engine-memory", "300M"]);
	let chain = Chain::connect(&node.url()).await.unwrap();
	let model = chain.demo_model().await.unwrap();
	ready(&node, 1, 1).await;
	let slots = SlotMonitor::start(&chain).await.unwrap();
	// Long enough that it is given up before another executor gets it, as other work.
	let params = SamplingParams::greedy(400);
	let job = chain
		.ask_with(&model, "How much is enough?", &params, 2, &dev::alice())
		.await
		.unwrap();
	exits(&node, "memory", 3, 60).await;
	eventually("the task is given up", 20, || async {
		Ok((node.metric(ABSTAINED, None)? > 0).then_some(()))
	})
	.await
	.unwrap();
	assert_eq!(node.metric(EXITS, None).unwrap(), 3, "after that it stays up");
	let job = chain.job(&job).await.unwrap().unwrap();
	assert!(job.output.is_none() && job.seats.is_empty(), "{job:?}");
	slots.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_known_answer_is_tested_at_every_start_of_the_engine() {
	let _alone = ALONE.lock().await;
	let models = tempfile::tempdir().unwrap();
	let directory = models.path().to_path_buf();
	let node = start(|options| options.models = Some(directory.clone()));
	let chain = Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 1).await;

	// The model's id does not cover its known answer, so nothing but the test itself can notice.
	let file = directory.join("assay-demo/manifest.json");
	let honest = fs::read_to_string(&file).unwrap();
	let manifest: serde_json::Value = serde_json::from_str(&honest).unwrap();
	let answer = manifest["known_answer"]["answer"].as_str().unwrap();
	let last = if answer.ends_with('0') { "1" } else { "0" };
	let other = format!("{}{last}", &answer[..answer.len() - 1]);
	fs::write(&file, honest.replace(answer, &other)).unwrap();
	for restart in 1..=2 {
		node.signal_engine(Signal::KILL).unwrap();
		ready(&node, restart, 0).await;
		let failed = node.log().matches("known-answer test failed").count();
		assert_eq!(failed, 1, "said once, however often the engine starts");
	}
	let model = chain.demo_model().await.unwrap();
	let job = chain.ask(&model, "Do you answer?", 2, &dev::alice()).await.unwrap();
	eventually("the worker reports the outage", 30, || async {
		Ok(node.log().contains("The engine does not serve model").then_some(()))
	})
	.await
	.unwrap();
	let job = chain.job(&job).await.unwrap().unwrap();
	assert!(job.output.is_none() && job.seats.is_empty(), "{job:?}");

	// The outage that the chain has recorded lasts longer than this test waits.
	fs::write(&file, honest).unwrap();
	node.signal_engine(Signal::KILL).unwrap();
	ready(&node, 2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_yields_to_its_node_and_stays_within_its_limits() {
	let _alone = ALONE.lock().await;
	let node = start(|options| {
		options.args = ["--engine-memory", "1G", "--engine-nice", "7", "--engine-threads", "1"]
			.map(str::to_owned)
			.to_vec();
	});
	Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 1).await;
	let engine = node.engine_pid().unwrap();
	let proc = |file: &str| fs::read_to_string(format!("/proc/{engine}/{file}")).unwrap();
	let limits = proc("limits");
	let limit = |name: &str| {
		let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
		line.split_whitespace().next().unwrap().to_owned()
	};
	assert_eq!(limit("Max data size"), (1u64 << 30).to_string());
	assert_eq!(limit("Max core file size"), "0");
	assert_eq!(proc("oom_score_adj").trim(), "500");
	// Niceness is a property of each thread.
	for task in fs::read_dir(format!("/proc/{engine}/task")).unwrap() {
		// Niceness is not lowered: these tests may run at a higher one.
		let own = nice_of(Path::new("/proc/self/stat"));
		assert_eq!(nice_of(&task.unwrap().path().join("stat")), own.max(7));
	}
}

/// Returns the value of a key in a `status` file of `/proc`.
fn status_of(status: &Path, key: &str) -> String {
	let status = fs::read_to_string(status).unwrap();
	let value = status
		.lines()
		.find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned()));
	value.unwrap()
}

const SANDBOX: &str = "assay_engine_sandbox";

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_confined_its_node_is_not_and_answers_come() {
	let _alone = ALONE.lock().await;
	let node = start(|options| options.args = vec!["--engine-sandbox".into(), "require".into()]);
	let chain = Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 1).await;
	let engine = node.engine_pid().unwrap();
	for task in fs::read_dir(format!("/proc/{engine}/task")).unwrap() {
		let status = task.unwrap().path().join("status");
		assert_eq!(status_of(&status, "NoNewPrivs"), "1");
		assert_eq!(status_of(&status, "Seccomp"), "2");
	}
	let status = format!("/proc/{}/status", node.pid());
	assert_eq!(
		status_of(Path::new(&status), "NoNewPrivs"),
		status_of(Path::new("/proc/self/status"), "NoNewPrivs")
	);
	// Landlock shows nowhere but in what the engine reports.
	assert!(node.log().contains("The engine is confined (Landlock "));
	for part in ["landlock", "seccomp", "no_new_privs"] {
		assert_eq!(node.metric(SANDBOX, Some(("part", part))).unwrap(), 1, "{part}");
	}
	// Cargo or a shell gave the node more than this.
	let environment = String::from_utf8(fs::read(format!("/proc/{engine}/environ")).unwrap()).unwrap();
	let names = environment.split('\0').filter_map(|variable| variable.split_once('='));
	for (name, _) in names {
		let library = ["LD_LIBRARY_PATH", "GLIBC_TUNABLES"].contains(&name);
		let prefixed = ["RUST_", "CUDA_", "MALLOC_"]
			.iter()
			.any(|prefix| name.starts_with(prefix));
		assert!(library || prefixed, "{name}");
	}
	for descriptor in fs::read_dir(format!("/proc/{engine}/fd")).unwrap() {
		// It may be closed by now.
		let Ok(target) = fs::read_link(descriptor.unwrap().path()) else {
			continue;
		};
		let target = target.to_string_lossy();
		let own = ["socket:", "pipe:", "anon_inode:"]
			.iter()
			.any(|kind| target.starts_with(kind));
		let model = target.ends_with("/models/assay-demo/model.safetensors");
		assert!(own || model || target == "/dev/null", "{target} is open in the engine");
	}
	let model = chain.demo_model().await.unwrap();
	let job = chain.ask(&model, "Are you free?", 2, &dev::alice()).await.unwrap();
	assert_eq!(chain.verdict(&job, 60).await.unwrap().verdict, Verdict::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_a_sandbox_is_warned_of_or_refused() {
	let _alone = ALONE.lock().await;
	let node = start(|options| options.args = vec!["--engine-sandbox".into(), "off".into()]);
	Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 1).await;
	assert_eq!(node.metric(SANDBOX, None).unwrap(), 0);
	node.signal_engine(Signal::KILL).unwrap();
	ready(&node, 2, 1).await;
	assert_eq!(
		node.log().matches("The engine is not confined").count(),
		1,
		"once, not at each start"
	);
	drop(node);

	// This one serves well, until it gets work, and reports that nothing confines it.
	let node = start_rogue("hoard", &["--engine-sandbox", "require"]);
	Chain::connect(&node.url()).await.unwrap();
	exits(&node, "protocol", 2, 30).await;
	assert!(node.log().contains("without the sandbox that is required"));
	assert_eq!(node.metric("assay_engine_up", None).unwrap(), 0);
}

/// The 19th number of a `stat` file, the 17th after the name in parentheses.
fn nice_of(stat: &Path) -> i32 {
	let stat = fs::read_to_string(stat).unwrap();
	let after_the_name = stat.rsplit(')').next().unwrap();
	after_the_name.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// Waits until a process has exited, whether or not somebody has taken note of it.
async fn gone(pid: u32) {
	eventually(&format!("process {pid} has exited"), 30, || async {
		let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
		Ok(command.is_empty().then_some(()))
	})
	.await
	.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_or_is_killed_takes_its_engine_with_it() {
	let _alone = ALONE.lock().await;
	let mut node = start(|_| ());
	Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 1).await;
	let first = node.engine_pid().unwrap();
	node.kill_and_restart().unwrap();
	Chain::connect(&node.url()).await.unwrap();
	gone(first).await;
	ready(&node, 2, 1).await;
	let second = node.engine_pid().unwrap();
	assert!(node.terminate().unwrap().success());
	gone(second).await;
	let log = node.log();
	assert!(
		!log.contains("Essential task") && !log.contains("failed"),
		"a clean end is no failure"
	);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_are_in_memory_once_and_other_models_are_served_without_them() {
	let _alone = ALONE.lock().await;
	let models = tempfile::tempdir().unwrap();
	let (_, weights) = random_model(&models.path().join("random")).unwrap();
	assert!(weights > 90_000_000);

	let kv = 64u64 << 20;
	let node = start(|options| {
		options.models = Some(models.path().to_path_buf());
		options.args = vec!["--engine-kv-memory".into(), kv.to_string()];
	});
	let chain = Chain::connect(&node.url()).await.unwrap();
	ready(&node, 1, 2).await;
	let status = fs::read_to_string(format!("/proc/{}/status", node.engine_pid().unwrap())).unwrap();
	let resident = proc_bytes(&status, "VmRSS").unwrap();
	let fixed = 64 << 20;
	let most = weights / 100 * 115 + kv + fixed;
	assert!(
		resident > weights && resident <= most,
		"{resident} bytes for {weights} weights, {most} at most:\n{status}"
	);
	drop((chain, node));

	// With less, the engine serves what fits.
	let node = start(|options| {
		options.models = Some(models.path().to_path_buf());
		options.args = vec!["--engine-memory".into(), "90M".into()];
	});
	let chain = Chain::connect(&node.url()).await.unwrap();
	let slots = SlotMonitor::start(&chain).await.unwrap();
	ready(&node, 1, 1).await;
	assert!(
		node.log().contains("random: not served"),
		"the log names what is missing"
	);
	let model = chain.demo_model().await.unwrap();
	let job = chain.ask(&model, "What is a weight?", 2, &dev::alice()).await.unwrap();
	assert_eq!(chain.verdict(&job, 60).await.unwrap().verdict, Verdict::Confirmed);
	slots.finish().await.unwrap();
}
