//! The backend against a scripted engine at the other end of a socket pair.

mod models;
mod progress;

use super::{
	super::engine::{
		connection::{self, Disconnect, Timeouts},
		folders::Watch,
	},
	super::tests::*,
	*,
};
use assay_primitives::{FinishReason, TraceRoot};
use assay_protocol::{framing, Protection, Request, Response, SandboxStatus};
use codec::{DecodeAll, Encode};
use futures::{SinkExt, StreamExt};
use prometheus_endpoint::Registry;
use std::{
	fs,
	path::{Path, PathBuf},
	process::{Command, Stdio},
	sync::Arc,
};
use tokio::{io::DuplexStream, task::JoinHandle};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

type Wire = Framed<DuplexStream, LengthDelimitedCodec>;

fn served() -> ServedModel {
	ServedModel {
		id: ModelId([7; 32]),
		name: "test".into(),
		parameters: 1,
		load_ms: 1,
	}
}

fn open(directory: &Path) -> Arc<Backend> {
	let journal = ResultJournal::open(directory).unwrap();
	let backend = Backend::new(Some(journal), WatchedShare::default(), Metrics::new(None));
	backend.engine_starting(false);
	Arc::new(backend)
}

fn timeouts() -> Timeouts {
	Timeouts {
		ping: Duration::from_millis(20),
		silence: Duration::from_millis(200),
		..Timeouts::DEFAULT
	}
}

fn connect(backend: &Arc<Backend>, timeouts: Timeouts) -> (Wire, JoinHandle<Disconnect>) {
	let (here, there) = tokio::io::duplex(1 << 20);
	let backend = backend.clone();
	let running = tokio::spawn(async move {
		// There are no directories of models.
		let watch = Watch::start("nowhere".into(), Duration::from_secs(60));
		connection::run(here, &backend, timeouts, watch, |_| Ok(()), |_| ()).await
	});
	(Framed::new(there, framing()), running)
}

/// Has an engine serve these models, and no others.
fn serve(backend: &Backend, models: Vec<ServedModel>, sandbox: SandboxStatus) {
	backend.engine_connected(models, sandbox);
	backend.engine_ready();
}

async fn send(wire: &mut Wire, response: Response) {
	wire.send(Bytes::from(response.encode())).await.unwrap();
}

async fn ready(wire: &mut Wire) {
	let ready = Response::Ready {
		models: vec![served()],
		sandbox: SandboxStatus::OFF,
	};
	send(wire, ready).await;
}

/// The next work, answering pings on the way.
async fn next_work(wire: &mut Wire) -> (WorkId, Work) {
	loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => send(wire, Response::Pong(n)).await,
			Request::Run { id, work } => return (id, work),
			other => panic!("{other:?}"),
		}
	}
}

/// An honest engine whose results are constant.
fn compute(work: &Work) -> WorkResult {
	match &work.claim {
		None => WorkResult::Executed {
			output: output(),
			trace_root: TraceRoot([5; 32]),
		},
		Some(_) => WorkResult::Verified { finding: confirmed() },
	}
}

/// What the engine of these tests finds of every answer.
fn confirmed() -> Finding {
	Finding::Confirm {
		trace_root: TraceRoot([5; 32]),
	}
}

async fn answer_of(backend: &Backend, work: &Work) -> Answer {
	for _ in 0..500 {
		if let PollResult::Ready(answer) = backend.poll(&work.id()) {
			return answer;
		}
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	panic!("no answer: {:?}", backend.poll(&work.id()));
}

#[tokio::test]
async fn making_and_checking_an_answer_is_one_computation_each_whoever_asks() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let mut events = backend.events();
	let (mut wire, _running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let (make, check) = (work(1, false), work(1, true));
	for work in [&make, &check] {
		assert_eq!(backend.poll(&work.id()), PollResult::Unknown);
		for _ in 0..4 {
			assert_eq!(backend.enqueue(work.clone()), EnqueueResult::Pending);
		}
	}
	assert_eq!(backend.status().queue, 2);
	for _ in 0..2 {
		let (id, work) = next_work(&mut wire).await;
		events.mark_unchanged();
		let result = compute(&work);
		send(&mut wire, Response::Done { id, result }).await;
		events.changed().await.unwrap();
	}
	assert!(backend.next_work().is_none());
	let (made, checked) = (answer_of(&backend, &make).await, answer_of(&backend, &check).await);
	assert_eq!(made.output.as_ref().map(|o| o.finish), Some(FinishReason::Length));
	assert_eq!(checked.output, None);
	assert_eq!((made.finding, checked.finding), (confirmed(), confirmed()));
	assert_ne!(made.secret, checked.secret);
	assert_ne!(made.secret, [0; 32]);
	assert_eq!(
		answer_of(&backend, &check).await,
		checked,
		"every role polls one answer"
	);
	assert_eq!(backend.enqueue(check), EnqueueResult::Done);
	models::until(&backend, |status| status.state == EngineState::Ready).await;
	let status = backend.status();
	assert_eq!((status.done, status.queue), (2, 0));
}

#[tokio::test]
async fn a_rejection_is_journaled_as_the_engine_found_it() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (mut wire, _running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	backend.enqueue(work(1, true));
	let (id, _) = next_work(&mut wire).await;
	let finding = Finding::Reject {
		position: 2,
		prefix_root: TraceRoot([6; 32]),
	};
	let result = WorkResult::Verified { finding };
	send(&mut wire, Response::Done { id, result }).await;
	assert_eq!(answer_of(&backend, &work(1, true)).await.finding, finding);
}

/// Names the directory of [`after_kill_9_the_same_answer_and_secret_come_back`]'s second process.
const KILLED: &str = "ASSAY_TEST_KILLED_IN";

/// Answers work, writes the answer to a file as a worker would send it, and waits to be killed.
fn answer_and_wait(directory: &Path) -> ! {
	let backend = open(directory);
	serve(&backend, vec![served()], SandboxStatus::OFF);
	backend.enqueue(work(1, true));
	let (id, work) = backend.next_work().unwrap();
	backend.done(&id, compute(&work)).unwrap();
	let PollResult::Ready(answer) = backend.poll(&id) else {
		panic!("no answer");
	};
	fs::write(directory.join("sent.new"), answer.encode()).unwrap();
	fs::rename(directory.join("sent.new"), directory.join("sent")).unwrap();
	loop {
		std::thread::park();
	}
}

#[test]
fn after_kill_9_the_same_answer_and_secret_come_back() {
	if let Some(directory) = std::env::var_os(KILLED) {
		answer_and_wait(&PathBuf::from(directory));
	}
	let directory = tempfile::tempdir().unwrap();
	let (_, module) = module_path!().split_once("::").unwrap();
	let mut child = Command::new(std::env::current_exe().unwrap())
		.arg("--exact")
		.arg(format!("{module}::after_kill_9_the_same_answer_and_secret_come_back"))
		.env(KILLED, directory.path())
		.stdout(Stdio::null())
		.spawn()
		.unwrap();
	let sent = directory.path().join("sent");
	for _ in 0..1_000 {
		if sent.exists() {
			break;
		}
		std::thread::sleep(Duration::from_millis(10));
	}
	child.kill().unwrap();
	child.wait().unwrap();
	let sent = Answer::decode_all(&mut &fs::read(sent).unwrap()[..]).unwrap();
	let backend = open(directory.path());
	assert_eq!(backend.enqueue(work(1, true)), EnqueueResult::Done);
	assert_eq!(backend.poll(&work(1, true).id()), PollResult::Ready(sent));
	assert!(backend.next_work().is_none(), "nothing is computed again");
}

#[tokio::test]
async fn work_in_flight_is_sent_again_twice_and_then_given_up() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let work = work(1, false);
	backend.enqueue(work.clone());
	for crash in 1..=3 {
		let (mut wire, running) = connect(&backend, timeouts());
		ready(&mut wire).await;
		next_work(&mut wire).await;
		drop(wire);
		backend.engine_exited(ExitCause::Crash, running.await.unwrap().to_string());
		let expected = if crash < 3 {
			PollResult::Pending
		} else {
			PollResult::Abstained
		};
		assert_eq!(backend.poll(&work.id()), expected, "crash {crash}");
	}
	assert_eq!(backend.enqueue(work), EnqueueResult::Abstained);
	assert_eq!(backend.status().abstained, 1);
}

#[tokio::test]
async fn silence_invalid_frames_and_a_result_of_the_wrong_kind_end_the_connection() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());

	let (mut wire, running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	assert!(
		matches!(running.await.unwrap(), Disconnect::Silent(_)),
		"pings unanswered"
	);

	let (mut wire, running) = connect(&backend, timeouts());
	wire.send(Bytes::from_static(b"\xff\xff\xff")).await.unwrap();
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));

	let (mut wire, running) = connect(&backend, timeouts());
	send(&mut wire, Response::Pong(0)).await;
	assert!(
		matches!(running.await.unwrap(), Disconnect::Violation(_)),
		"not ready yet"
	);

	let (mut wire, running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	send(&mut wire, Response::Pong(u64::MAX)).await;
	assert!(
		matches!(running.await.unwrap(), Disconnect::Violation(_)),
		"a ping that never was"
	);

	let (mut wire, running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let work = work(1, false);
	backend.enqueue(work.clone());
	let (id, _) = next_work(&mut wire).await;
	let finding = confirmed();
	let result = WorkResult::Verified { finding };
	send(&mut wire, Response::Done { id, result }).await;
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));
	assert_eq!(backend.poll(&work.id()), PollResult::Abstained);

	let never = Timeouts {
		ready: Duration::from_millis(50),
		..timeouts()
	};
	let (_wire, running) = connect(&backend, never);
	assert!(matches!(running.await.unwrap(), Disconnect::NeverReady(_)));
}

#[tokio::test]
async fn work_without_end_is_noticed_although_pings_are_answered() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (mut wire, running) = connect(
		&backend,
		Timeouts {
			work: Duration::from_millis(100),
			..timeouts()
		},
	);
	ready(&mut wire).await;
	backend.enqueue(work(1, false));
	next_work(&mut wire).await;
	let pings = tokio::spawn(async move { next_work(&mut wire).await });
	assert!(matches!(running.await.unwrap(), Disconnect::Stuck(_)));
	pings.abort();
}

#[tokio::test]
async fn an_unrequested_result_and_a_second_pong_are_violations() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (mut wire, running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let result = WorkResult::Abstained { reason: "why".into() };
	send(
		&mut wire,
		Response::Done {
			id: WorkId([9; 32]),
			result,
		},
	)
	.await;
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));

	let (mut wire, running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let frame = wire.next().await.unwrap().unwrap();
	assert_eq!(Request::decode_all(&mut &frame[..]), Ok(Request::Ping(1)));
	send(&mut wire, Response::Pong(1)).await;
	send(&mut wire, Response::Pong(1)).await;
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));
}

#[tokio::test]
async fn work_that_is_no_longer_needed_is_cancelled_and_its_late_result_is_no_answer() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (mut wire, _running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let (unwanted, wanted) = (work(1, false), work(2, false));
	backend.enqueue(unwanted.clone());
	backend.enqueue(wanted.clone());
	let (first, second) = (next_work(&mut wire).await, next_work(&mut wire).await);
	for _ in 0..20 {
		backend.new_best_block();
		assert_eq!(backend.poll(&wanted.id()), PollResult::Pending);
	}
	assert_eq!(backend.status().queue, 1);
	let cancelled = loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => send(&mut wire, Response::Pong(n)).await,
			Request::Cancel { id } => break id,
			other => panic!("nothing new was requested: {other:?}"),
		}
	};
	assert_eq!(cancelled, first.0);
	assert_eq!(backend.poll(&unwanted.id()), PollResult::Unknown);
	for (id, work) in [first, second] {
		let result = compute(&work);
		send(&mut wire, Response::Done { id, result }).await;
	}
	answer_of(&backend, &wanted).await;
	assert_eq!(backend.poll(&unwanted.id()), PollResult::Unknown);
	assert_eq!((backend.status().done, backend.status().abstained), (1, 0));
}

#[test]
fn a_model_that_is_not_served_is_abstained_from_and_taken_once_it_is() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let work = work(1, false);
	assert_eq!(backend.probe(&work.model), ProbeResult::Pending);
	assert_eq!(
		backend.enqueue(work.clone()),
		EnqueueResult::Pending,
		"nobody knows yet what it will serve"
	);
	serve(&backend, Vec::new(), SandboxStatus::OFF);
	assert_eq!(backend.probe(&work.model), ProbeResult::Abstained);
	assert_eq!(backend.enqueue(work.clone()), EnqueueResult::Abstained);
	backend.engine_exited(ExitCause::Crash, "replaced".into());
	serve(&backend, vec![served()], SandboxStatus::OFF);
	assert_eq!(backend.probe(&work.model), ProbeResult::Serving);
	assert_eq!(backend.enqueue(work), EnqueueResult::Pending);
}

#[test]
fn a_full_queue_is_busy_and_forgets_nothing() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let all: Vec<_> = (0..=u8::MAX).map(|job| work(job, true)).collect();
	all.iter()
		.for_each(|work| assert_eq!(backend.enqueue(work.clone()), EnqueueResult::Pending));
	assert_eq!(backend.enqueue(work(2, false)), EnqueueResult::Busy);
	assert_eq!(backend.poll(&work(2, false).id()), PollResult::Unknown);
	assert!(all.iter().all(|work| backend.poll(&work.id()) == PollResult::Pending));
	assert_eq!(
		backend.enqueue(work(2, true)),
		EnqueueResult::Pending,
		"it has its place"
	);
}

#[test]
fn many_worker_threads_enqueue_the_same_work_and_it_is_one_computation() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	std::thread::scope(|scope| {
		for _ in 0..8 {
			scope.spawn(|| (0..50).for_each(|n| assert_eq!(backend.enqueue(work(n, true)), EnqueueResult::Pending)));
		}
	});
	assert_eq!(backend.status().queue, 50);
}

#[test]
fn without_an_engine_nothing_new_is_taken_and_old_answers_are_still_returned() {
	let directory = tempfile::tempdir().unwrap();
	let old = work(1, true);
	let answer = Answer {
		output: None,
		finding: confirmed(),
		secret: [2; 32],
	};
	let record = Record {
		work: old.id(),
		answer: answer.clone(),
	};
	let journal = ResultJournal::open(directory.path()).unwrap();
	assert!(journal.write(&record).unwrap());
	let backend = Backend::new(Some(journal), WatchedShare::default(), Metrics::new(None));
	assert_eq!(backend.enqueue(work(2, true)), EnqueueResult::NotAvailable);
	assert_eq!(backend.probe(&ModelId([7; 32])), ProbeResult::NotAvailable);
	assert_eq!(backend.poll(&old.id()), PollResult::Ready(answer));
}

#[test]
fn without_a_journal_the_node_abstains_from_everything() {
	let backend = idle_backend();
	backend.engine_starting(false);
	serve(&backend, vec![served()], SandboxStatus::OFF);
	assert_eq!(backend.enqueue(work(1, true)), EnqueueResult::Abstained);
	assert_eq!(backend.poll(&WorkId([0; 32])), PollResult::Abstained);
	assert_eq!(backend.probe(&ModelId([7; 32])), ProbeResult::Abstained);
}

#[test]
fn the_worker_learns_what_share_of_the_claims_to_watch() {
	let backend = |share: &str| Backend::new(None, share.parse().unwrap(), Metrics::new(None));
	assert_eq!(backend("0").watch_permille(), 0);
	assert_eq!(backend("2.5").watch_permille(), 25);
	assert_eq!(backend("100").watch_permille(), 1_000);
}

/// Which parts of the engine's sandbox Prometheus reports to be in force.
fn confining(registry: &Registry) -> Vec<String> {
	let families = registry.gather();
	let family = families
		.iter()
		.find(|family| family.get_name() == "assay_engine_sandbox")
		.expect("registered from the start");
	assert_eq!(family.get_metric().len(), 3);
	let in_force = family.get_metric().iter().filter(|m| m.get_gauge().get_value() == 1.0);
	in_force.map(|m| m.get_label()[0].get_value().to_owned()).collect()
}

#[test]
fn what_confines_the_engine_is_reported_until_another_is_ready() {
	let registry = Registry::new();
	let backend = Backend::new(None, WatchedShare::default(), Metrics::new(Some(&registry)));
	assert_eq!((backend.status().sandbox, confining(&registry).len()), (None, 0));
	let partial = SandboxStatus {
		landlock: Protection::Partial,
		seccomp: Protection::Missing,
		no_new_privs: true,
	};
	serve(&backend, Vec::new(), partial);
	assert_eq!(confining(&registry), ["landlock", "no_new_privs"]);
	backend.engine_exited(ExitCause::Crash, "replaced".into());
	assert_eq!(backend.status().sandbox, Some(partial));
	serve(&backend, Vec::new(), SandboxStatus::OFF);
	assert_eq!(backend.status().sandbox, Some(SandboxStatus::OFF));
	assert!(confining(&registry).is_empty());
}
