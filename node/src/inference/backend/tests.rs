//! The backend against a scripted engine at the other end of a socket pair.

use super::{super::link, super::tests::*, *};
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

fn open(folder: &Path) -> Arc<Backend> {
	let backend = Backend::new(Some(Journal::open(folder).unwrap()), Metrics::new(None));
	backend.engine_starting(false);
	Arc::new(backend)
}

fn limits() -> link::Limits {
	link::Limits {
		ping: Duration::from_millis(20),
		silence: Duration::from_millis(200),
		..link::Limits::DEFAULT
	}
}

fn connect(backend: &Arc<Backend>, limits: link::Limits) -> (Wire, JoinHandle<link::Ended>) {
	let (here, there) = tokio::io::duplex(1 << 20);
	let backend = backend.clone();
	let talk = tokio::spawn(async move { link::converse(here, &backend, limits, |_| ()).await });
	(Framed::new(there, framing()), talk)
}

async fn say(wire: &mut Wire, response: Response) {
	wire.send(Bytes::from(response.encode())).await.unwrap();
}

async fn ready(wire: &mut Wire) {
	say(wire, Response::Ready { models: vec![served()] }).await;
}

/// The next work, answering pings on the way.
async fn hear(wire: &mut Wire) -> (WorkId, Work) {
	loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => say(wire, Response::Pong(n)).await,
			Request::Run { id, work } => return (id, work),
			Request::Cancel { .. } => panic!("nothing was cancelled"),
		}
	}
}

/// An honest engine of constant opinion.
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
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let mut events = backend.events();
	let (mut wire, _talk) = connect(&backend, limits());
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
		let (id, work) = hear(&mut wire).await;
		events.mark_unchanged();
		say(
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
async fn after_a_restart_the_old_answer_is_told_and_nothing_is_computed_again() {
	let folder = tempfile::tempdir().unwrap();
	let task = task(1, 0, true);
	let told = {
		let backend = open(folder.path());
		let (mut wire, talk) = connect(&backend, limits());
		ready(&mut wire).await;
		backend.enqueue(task.clone());
		let (id, work) = hear(&mut wire).await;
		say(
			&mut wire,
			Response::Done {
				id,
				result: compute(&work),
			},
		)
		.await;
		let told = answer_of(&backend, &task).await;
		talk.abort();
		drop(talk.await);
		told
	};
	let backend = open(folder.path());
	assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Done);
	assert_eq!(backend.poll(&task.id()), PollResult::Ready(told));
	assert!(backend.next_work().is_none());
}

#[tokio::test]
async fn a_task_in_flight_is_handed_again_twice_and_then_given_up() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let task = task(1, 0, false);
	backend.enqueue(task.clone());
	for death in 1..=3 {
		let (mut wire, talk) = connect(&backend, limits());
		ready(&mut wire).await;
		hear(&mut wire).await;
		drop(wire);
		backend.engine_died(Cause::Crash, talk.await.unwrap().to_string());
		let expected = if death < 3 {
			PollResult::Pending
		} else {
			PollResult::Abstained
		};
		assert_eq!(backend.poll(&task.id()), expected, "death {death}");
	}
	assert_eq!(backend.enqueue(task), EnqueueResult::Abstained);
	assert_eq!(backend.status().abstained, 1);
}

#[tokio::test]
async fn silence_garbage_and_a_result_of_the_wrong_kind_end_the_conversation() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());

	let (mut wire, talk) = connect(&backend, limits());
	ready(&mut wire).await;
	assert!(
		matches!(talk.await.unwrap(), link::Ended::Silent(_)),
		"pings unanswered"
	);

	let (mut wire, talk) = connect(&backend, limits());
	wire.send(Bytes::from_static(b"\xff\xff\xff")).await.unwrap();
	assert!(matches!(talk.await.unwrap(), link::Ended::Garbage(_)));

	let (mut wire, talk) = connect(&backend, limits());
	say(&mut wire, Response::Pong(0)).await;
	assert!(matches!(talk.await.unwrap(), link::Ended::Garbage(_)), "not ready yet");

	let (mut wire, talk) = connect(&backend, limits());
	ready(&mut wire).await;
	say(&mut wire, Response::Pong(u64::MAX)).await;
	assert!(
		matches!(talk.await.unwrap(), link::Ended::Garbage(_)),
		"a ping that never was"
	);

	let (mut wire, talk) = connect(&backend, limits());
	ready(&mut wire).await;
	let task = task(1, 0, false);
	backend.enqueue(task.clone());
	let (id, _) = hear(&mut wire).await;
	let vote = Vote::Confirm {
		trace_root: TraceRoot([0; 32]),
	};
	say(
		&mut wire,
		Response::Done {
			id,
			result: WorkResult::Verified { vote },
		},
	)
	.await;
	assert!(matches!(talk.await.unwrap(), link::Ended::Garbage(_)));
	assert_eq!(backend.poll(&task.id()), PollResult::Abstained);

	let never = link::Limits {
		ready: Duration::from_millis(50),
		..limits()
	};
	let (_wire, talk) = connect(&backend, never);
	assert!(matches!(talk.await.unwrap(), link::Ended::NeverReady(_)));
}

#[tokio::test]
async fn a_work_without_end_is_noticed_although_pings_are_answered() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let (mut wire, talk) = connect(
		&backend,
		link::Limits {
			work: Duration::from_millis(100),
			..limits()
		},
	);
	ready(&mut wire).await;
	backend.enqueue(task(1, 0, false));
	hear(&mut wire).await;
	let pings = tokio::spawn(async move { hear(&mut wire).await });
	assert!(matches!(talk.await.unwrap(), link::Ended::Stuck(_)));
	pings.abort();
}

#[tokio::test]
async fn a_result_that_nobody_asked_for_and_a_pong_said_twice_are_garbage() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let (mut wire, talk) = connect(&backend, limits());
	ready(&mut wire).await;
	let result = WorkResult::Abstained { reason: "why".into() };
	say(
		&mut wire,
		Response::Done {
			id: WorkId([9; 32]),
			result,
		},
	)
	.await;
	assert!(matches!(talk.await.unwrap(), link::Ended::Garbage(_)));

	let (mut wire, talk) = connect(&backend, limits());
	ready(&mut wire).await;
	let frame = wire.next().await.unwrap().unwrap();
	assert_eq!(Request::decode_all(&mut &frame[..]), Ok(Request::Ping(1)));
	say(&mut wire, Response::Pong(1)).await;
	say(&mut wire, Response::Pong(1)).await;
	assert!(matches!(talk.await.unwrap(), link::Ended::Garbage(_)));
}

#[tokio::test]
async fn a_work_that_nobody_asks_for_any_more_is_cancelled_and_its_late_result_is_no_vote() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let (mut wire, _talk) = connect(&backend, limits());
	ready(&mut wire).await;
	let (unwanted, wanted) = (task(1, 0, false), task(2, 0, false));
	backend.enqueue(unwanted.clone());
	backend.enqueue(wanted.clone());
	let (first, second) = (hear(&mut wire).await, hear(&mut wire).await);
	for _ in 0..20 {
		backend.new_best_block();
		assert_eq!(backend.poll(&wanted.id()), PollResult::Pending);
	}
	assert_eq!(backend.status().queue, 1);
	let cancelled = loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => say(&mut wire, Response::Pong(n)).await,
			Request::Cancel { id } => break id,
			Request::Run { .. } => panic!("nothing new was asked"),
		}
	};
	assert_eq!(cancelled, first.0);
	assert_eq!(backend.poll(&unwanted.id()), PollResult::Unknown);
	for (id, work) in [first, second] {
		let result = compute(&work);
		say(&mut wire, Response::Done { id, result }).await;
	}
	answer_of(&backend, &wanted).await;
	assert_eq!(backend.poll(&unwanted.id()), PollResult::Unknown);
	assert_eq!((backend.status().done, backend.status().abstained), (1, 0));
}

#[test]
fn a_model_that_is_not_served_is_abstained_from_and_taken_once_it_is() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
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
	backend.engine_died(Cause::Crash, "replaced".into());
	backend.engine_ready(vec![served()]);
	assert_eq!(backend.probe(&task.work.model), ProbeResult::Serving);
	assert_eq!(backend.enqueue(task), EnqueueResult::Pending);
}

#[test]
fn a_full_queue_is_busy_and_forgets_nothing() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	let tasks: Vec<_> = (0..=u8::MAX).map(|voter| task(1, voter, true)).collect();
	tasks
		.iter()
		.for_each(|task| assert_eq!(backend.enqueue(task.clone()), EnqueueResult::Pending));
	assert_eq!(backend.enqueue(task(2, 0, true)), EnqueueResult::Busy);
	assert_eq!(backend.poll(&task(2, 0, true).id()), PollResult::Unknown);
	assert!(tasks.iter().all(|task| backend.poll(&task.id()) == PollResult::Pending));
}

#[test]
fn many_worker_threads_bring_one_task_and_it_is_one_computation() {
	let folder = tempfile::tempdir().unwrap();
	let backend = open(folder.path());
	std::thread::scope(|scope| {
		for _ in 0..8 {
			scope.spawn(|| (0..50).for_each(|n| assert_eq!(backend.enqueue(task(n, 0, true)), EnqueueResult::Pending)));
		}
	});
	assert_eq!(backend.status().queue, 50);
}

#[test]
fn without_an_engine_nothing_new_is_taken_and_old_votes_are_still_told() {
	let folder = tempfile::tempdir().unwrap();
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
	Journal::open(folder.path()).unwrap().write(&[record]).unwrap();
	let backend = Backend::new(Some(Journal::open(folder.path()).unwrap()), Metrics::new(None));
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
