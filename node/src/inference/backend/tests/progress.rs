//! What an engine reports of an answer that it makes.

use super::*;
use crate::inference::streams::DraftState;

fn token(id: u32, text: &str) -> StreamToken {
	StreamToken { id, text: text.into() }
}

/// A node that waits long for pongs, which these tests seldom send.
fn calm() -> Timeouts {
	Timeouts {
		silence: Duration::from_secs(20),
		..timeouts()
	}
}

async fn progress(wire: &mut Wire, id: WorkId, first: u32, tokens: &[StreamToken]) {
	let tokens = tokens.to_vec();
	send(wire, Response::Progress { id, first, tokens }).await;
}

#[tokio::test]
async fn an_executor_s_draft_is_kept_over_a_restart_of_the_engine() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	let (make, check) = (work(1, false), work(1, true));
	backend.enqueue(make.clone());
	backend.enqueue(check.clone());
	let streams = backend.streams().unwrap();
	assert!(streams.draft(&make.id()).is_none(), "the engine has not begun");
	let all = [token(1, "A"), token(2, ""), token(3, " receipt")];

	let (mut wire, running) = connect(&backend, calm());
	ready(&mut wire).await;
	let (id, _) = next_work(&mut wire).await;
	progress(&mut wire, id, 0, &all[..1]).await;
	let mut draft = streams.draft(&id).unwrap();
	draft.wait_for(|draft| draft.tokens.len() == 1).await.unwrap();
	drop(wire);
	backend.engine_exited(ExitCause::Crash, running.await.unwrap().to_string());
	assert_eq!(draft.borrow().state, DraftState::Growing);

	let (mut wire, _running) = connect(&backend, calm());
	ready(&mut wire).await;
	assert_eq!(next_work(&mut wire).await.0, id);
	progress(&mut wire, id, 0, &all).await;
	let result = compute(&make);
	send(&mut wire, Response::Done { id, result }).await;
	let complete = draft.wait_for(|draft| draft.state == DraftState::Complete);
	assert_eq!(complete.await.unwrap().tokens, all);
	assert_eq!(answer_of(&backend, &make).await.output, Some(output()));
	assert!(streams.draft(&check.id()).is_none(), "of a check there is no draft");
}

#[tokio::test]
async fn progress_that_cannot_be_is_a_violation() {
	let many = vec![token(1, "a"); MAX_CHUNK_TOKENS + 1];
	for (claim, tokens) in [(false, &[][..]), (false, &many[..]), (true, &many[..1])] {
		let directory = tempfile::tempdir().unwrap();
		let backend = open(directory.path());
		backend.enqueue(work(1, claim));
		let (mut wire, running) = connect(&backend, calm());
		ready(&mut wire).await;
		let (id, _) = next_work(&mut wire).await;
		progress(&mut wire, id, 0, tokens).await;
		let ended = running.await.unwrap();
		assert!(matches!(ended, Disconnect::Violation(_)), "{ended}");
		assert_eq!(backend.poll(&id), PollResult::Pending, "it costs no work");
	}
}

#[tokio::test]
async fn an_answer_that_grows_is_not_stuck_and_one_that_does_not_is() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	backend.enqueue(work(1, false));
	let patience = Timeouts {
		work: Duration::from_secs(1),
		..calm()
	};
	let (mut wire, running) = connect(&backend, patience);
	ready(&mut wire).await;
	let (id, _) = next_work(&mut wire).await;
	let began = Instant::now();
	for n in 0..4 {
		progress(&mut wire, id, n, &[token(n, "a")]).await;
		// For less than the patience.
		tokio::time::sleep(Duration::from_millis(400)).await;
	}
	assert!(!running.is_finished(), "it has computed for {:.1?}", began.elapsed());
	assert!(matches!(running.await.unwrap(), Disconnect::Stuck(_)));
}

#[tokio::test]
async fn late_progress_of_work_that_is_done_is_ignored() {
	let directory = tempfile::tempdir().unwrap();
	let backend = open(directory.path());
	backend.enqueue(work(1, false));
	let (mut wire, running) = connect(&backend, calm());
	ready(&mut wire).await;
	let (id, make) = next_work(&mut wire).await;
	let result = compute(&make);
	send(&mut wire, Response::Done { id, result }).await;
	progress(&mut wire, id, 0, &[token(7, "late")]).await;
	progress(&mut wire, WorkId([9; 32]), 0, &[token(7, "of nothing")]).await;
	send(&mut wire, Response::Pong(0)).await;
	assert!(matches!(
		running.await.unwrap(),
		Disconnect::Violation("a pong without its ping")
	));
	let draft = backend.streams().unwrap().draft(&id).unwrap();
	assert_eq!(draft.borrow().state, DraftState::Complete);
	assert!(draft.borrow().tokens.is_empty());
}

#[test]
fn a_node_without_streams_makes_answers_all_the_same() {
	let directory = tempfile::tempdir().unwrap();
	let journal = ResultJournal::open(directory.path()).unwrap();
	let backend = Backend::new(Some(journal), WatchedShare::default(), Metrics::new(None)).without_streams();
	serve(&backend, vec![served()], SandboxStatus::OFF);
	backend.enqueue(work(1, false));
	let (id, make) = backend.next_work().unwrap();
	assert_eq!(backend.progress(&id, 0, vec![token(1, "A")]), Ok(true));
	backend.done(&id, compute(&make)).unwrap();
	assert!(backend.streams().is_none());
	assert!(matches!(backend.poll(&id), PollResult::Ready(_)));
}
