//! The backend against a scripted engine at the other end of a socket pair.

use super::{
	super::engine::connection::{self, Disconnect, Timeouts},
	super::tests::*,
	*,
};
use assay_primitives::{FinishReason, TaskId, TraceRoot, WorkId};
use assay_protocol::{framing, Request, Response};
use codec::{DecodeAll, Encode};
use futures::{SinkExt, StreamExt};
use std::{path::Path, sync::Arc};
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
	let backend = Backend::new(Some(VoteJournal::open(directory).unwrap()), Metrics::new(None));
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
	let running = tokio::spawn(async move { connection::run(here, &backend, timeouts, |_| ()).await });
	(Framed::new(there, framing()), running)
}

async fn send(wire: &mut Wire, response: Response) {
	wire.send(Bytes::from(response.encode())).await.unwrap();
}

async fn ready(wire: &mut Wire) {
	send(wire, Response::Ready { models: vec![served()] }).await;
}

/// The next work, answering pings on the way.
async fn next_work(wire: &mut Wire) -> (WorkId, Work) {
	loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => send(wire, Response::Pong(n)).await,
			Request::Run { id, work } => return (id, work),
			Request::Cancel { .. } => panic!("nothing was cancelled"),
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
		Some(_) => WorkResult::Verified {
			vote: Vote::Confirm {
				trace_root: TraceRoot([5; 32]),
			},
		},
	}
}

async fn answer_of(backend: &Backend, task: &Task) -> Answer {
	for _ in 0..500 {
		if let PollResult::Ready(answer) = backend.poll(&task.id()) {
			return answer;
		}
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	panic!("no answer: {:?}", backend.poll(&task.id()));
}

#[tokio::test]
async fn an_executor_gets_output_and_vote_and_verifiers_a_vote_each_with_its_own_salt() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let mut events = backend.events();
	let (mut wire, _running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let execute = task(1, 0, false);
	assert_eq!(backend.poll(&execute.id()), PollResult::Unknown);
	assert_eq!(backend.enqueue(execute.clone()), EnqueueResult::Pending);
	assert_eq!(backend.enqueue(execute.clone()), EnqueueResult::Pending);
	let verify: Vec<_> = (1..4).map(|voter| task(1, voter, true)).collect();
	verify
		.iter()
		.for_each(|task| assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Pending));
	for _ in 0..2 {
		let (id, work) = next_work(&mut wire).await;
		events.mark_unchanged();
		send(
			&mut wire,
			Response::Done {
				id,
				result: compute(&work),
			},
		)
		.await;
		events.changed().await.unwrap();
	}
	let answer = answer_of(&backend, &execute).await;
	assert_eq!(answer.output.as_ref().map(|o| o.finish), Some(FinishReason::Length));
	assert_eq!(
		answer.vote,
		Vote::Confirm {
			trace_root: TraceRoot([5; 32])
		}
	);
	let mut salts = vec![answer.salt];
	for task in &verify {
		let answer = answer_of(&backend, task).await;
		assert_eq!(
			(answer.output, answer.vote),
			(
				None,
				Vote::Confirm {
					trace_root: TraceRoot([5; 32])
				}
			)
		);
		salts.push(answer.salt);
	}
	salts.sort_unstable();
	salts.dedup();
	assert_eq!(salts.len(), 4);
	let status = backend.status();
	assert_eq!((status.done, status.queue, status.state), (4, 0, EngineState::Ready));
}

#[tokio::test]
async fn after_a_restart_the_old_answer_is_returned_and_nothing_is_computed_again() {
	let directory = tempfile::tempdir().unwrap();
	let task = task(1, 0, true);
	let first = {
		let backend = open(directory.path());
		let (mut wire, running) = connect(&backend, timeouts());
		ready(&mut wire).await;
		backend.enqueue(task.clone());
		let (id, work) = next_work(&mut wire).await;
		send(
			&mut wire,
			Response::Done {
				id,
				result: compute(&work),
			},
		)
		.await;
		let first = answer_of(&backend, &task).await;
		running.abort();
		drop(running.await);
		first
	};
	let backend = open(directory.path());
	assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Done);
	assert_eq!(backend.poll(&task.id()), PollResult::Ready(first));
	assert!(backend.next_work().is_none());
}

#[tokio::test]
async fn a_task_in_flight_is_sent_again_twice_and_then_given_up() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let task = task(1, 0, false);
	backend.enqueue(task.clone());
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
		assert_eq!(backend.poll(&task.id()), expected, "crash {crash}");
	}
	assert_eq!(backend.enqueue(task), EnqueueResult::Abstained);
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
	let task = task(1, 0, false);
	backend.enqueue(task.clone());
	let (id, _) = next_work(&mut wire).await;
	let vote = Vote::Confirm {
		trace_root: TraceRoot([0; 32]),
	};
	send(
		&mut wire,
		Response::Done {
			id,
			result: WorkResult::Verified { vote },
		},
	)
	.await;
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));
	assert_eq!(backend.poll(&task.id()), PollResult::Abstained);

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
	backend.enqueue(task(1, 0, false));
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
async fn work_that_is_no_longer_needed_is_cancelled_and_its_late_result_is_no_vote() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (mut wire, _running) = connect(&backend, timeouts());
	ready(&mut wire).await;
	let (unwanted, wanted) = (task(1, 0, false), task(2, 0, false));
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
			Request::Run { .. } => panic!("nothing new was requested"),
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
	let task = task(1, 0, false);
	assert_eq!(backend.probe(&task.work.model), ProbeResult::Pending);
	assert_eq!(
		backend.enqueue(task.clone()),
		EnqueueResult::Pending,
		"nobody knows yet what it will serve"
	);
	backend.engine_ready(Vec::new());
	assert_eq!(backend.probe(&task.work.model), ProbeResult::Abstained);
	assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Abstained);
	backend.engine_exited(ExitCause::Crash, "replaced".into());
	backend.engine_ready(vec![served()]);
	assert_eq!(backend.probe(&task.work.model), ProbeResult::Serving);
	assert_eq!(backend.enqueue(task), EnqueueResult::Pending);
}

#[test]
fn a_full_queue_is_busy_and_forgets_nothing() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let tasks: Vec<_> = (0..=u8::MAX).map(|voter| task(1, voter, true)).collect();
	tasks
		.iter()
		.for_each(|task| assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Pending));
	assert_eq!(backend.enqueue(task(2, 0, true)), EnqueueResult::Busy);
	assert_eq!(backend.poll(&task(2, 0, true).id()), PollResult::Unknown);
	assert!(tasks.iter().all(|task| backend.poll(&task.id()) == PollResult::Pending));
}

#[test]
fn many_worker_threads_enqueue_one_task_and_it_is_one_computation() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	std::thread::scope(|scope| {
		for _ in 0..8 {
			scope.spawn(|| (0..50).for_each(|n| assert_eq!(backend.enqueue(task(n, 0, true)), EnqueueResult::Pending)));
		}
	});
	assert_eq!(backend.status().queue, 50);
}

#[test]
fn without_an_engine_nothing_new_is_taken_and_old_votes_are_still_returned() {
	let directory = tempfile::tempdir().unwrap();
	let old = task(1, 0, true);
	let answer = Answer {
		output: None,
		vote: Vote::Confirm {
			trace_root: TraceRoot([1; 32]),
		},
		salt: [2; 32],
	};
	let record = Record {
		task: old.id(),
		job: old.job,
		attempt: 0,
		answer: answer.clone(),
	};
	VoteJournal::open(directory.path()).unwrap().write(&[record]).unwrap();
	let backend = Backend::new(Some(VoteJournal::open(directory.path()).unwrap()), Metrics::new(None));
	assert_eq!(backend.enqueue(task(2, 0, true)), EnqueueResult::NotAvailable);
	assert_eq!(backend.probe(&ModelId([7; 32])), ProbeResult::NotAvailable);
	assert_eq!(backend.poll(&old.id()), PollResult::Ready(answer));
}

#[test]
fn without_a_journal_the_node_abstains_from_everything() {
	let backend = Backend::new(None, Metrics::new(None));
	backend.engine_starting(false);
	backend.engine_ready(vec![served()]);
	assert_eq!(backend.enqueue(task(1, 0, true)), EnqueueResult::Abstained);
	assert_eq!(backend.poll(&TaskId([0; 32])), PollResult::Abstained);
	assert_eq!(backend.probe(&ModelId([7; 32])), ProbeResult::Abstained);
}
