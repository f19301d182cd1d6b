//! The engine behind its socket, as a node sees it.

use crate::common::{model, Tiny};
use assay_engine::{server, Engine, Error};
use assay_primitives::{
	stream::{StreamToken, MAX_CHUNK_TOKENS},
	Finding, Input, ModelId, SamplingParams, WorkId,
};
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, Work, WorkResult, MAX_QUEUE};
use codec::{Decode, Encode};
use futures::{SinkExt, StreamExt};
use std::{collections::BTreeMap, sync::mpsc, time::Duration};
use tokio::{net::UnixStream, task::JoinHandle, time::timeout};
use tokio_util::{bytes::Bytes, codec::Framed, codec::LengthDelimitedCodec};

type Node = Framed<UnixStream, LengthDelimitedCodec>;

/// A node's end of the socket, and the engine that serves a tiny model at the other.
async fn connect() -> (Node, JoinHandle<Result<(), Error>>, ModelId) {
	let model = model(Tiny::default());
	let id = model.id();
	let (ours, theirs) = UnixStream::pair().unwrap();
	let engine = tokio::spawn(server::serve_loading(theirs, 2, SandboxStatus::OFF, move || {
		let mut engine = Engine::new();
		engine.add(model)?;
		Ok(engine)
	}));
	let mut node = Framed::new(ours, framing());
	let Response::Ready { models, .. } = next(&mut node).await else {
		panic!("Ready comes first")
	};
	assert_eq!(models.iter().map(|m| m.id).collect::<Vec<_>>(), [id]);
	(node, engine, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_cannot_load_ends_with_the_reason() {
	// The node's end stays open.
	let (_ours, theirs) = UnixStream::pair().unwrap();
	let load = || Err(Error::Limit("as the test asked for".into()));
	let engine = tokio::spawn(server::serve_loading(theirs, 1, SandboxStatus::OFF, load));
	let ended = timeout(Duration::from_secs(60), engine)
		.await
		.expect("it ends")
		.unwrap();
	assert!(ended.unwrap_err().to_string().contains("as the test asked for"));
}

/// Returns the next message that is no progress.
async fn next(node: &mut Node) -> Response {
	loop {
		match next_of_any(node).await {
			Response::Progress { .. } => {}
			response => return response,
		}
	}
}

async fn next_of_any(node: &mut Node) -> Response {
	let frame = timeout(Duration::from_secs(120), node.next())
		.await
		.expect("an answer in time");
	decode(&frame.expect("the socket is open").unwrap()).unwrap()
}

async fn send(node: &mut Node, request: Request) {
	node.send(Bytes::from(request.encode())).await.unwrap();
}

fn work(model: ModelId, max_tokens: u32) -> Work {
	let params = SamplingParams {
		temperature: 1 << 16,
		..SamplingParams::greedy(max_tokens)
	};
	Work {
		model,
		input: Input::Text(b"hello".to_vec().try_into().unwrap()),
		params,
		seed: [4; 32],
		claim: None,
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_made_is_confirmed_and_an_unknown_model_abstains() {
	let (mut node, engine, id) = connect().await;
	send(
		&mut node,
		Request::Run {
			id: WorkId([1; 32]),
			work: work(id, 20),
		},
	)
	.await;
	let Response::Done {
		id: WorkId([1, ..]),
		result: WorkResult::Executed { output, trace_root },
	} = next(&mut node).await
	else {
		panic!("the first work is an answer")
	};
	send(
		&mut node,
		Request::Run {
			id: WorkId([2; 32]),
			work: Work {
				claim: Some(output),
				..work(id, 20)
			},
		},
	)
	.await;
	let verified = Response::Done {
		id: WorkId([2; 32]),
		result: WorkResult::Verified {
			finding: Finding::Confirm { trace_root },
		},
	};
	assert_eq!(next(&mut node).await, verified);
	for bad in [
		work(ModelId([7; 32]), 20),
		work(id, 0),
		Work {
			input: Input::Text(vec![0xFF].try_into().unwrap()),
			..work(id, 20)
		},
	] {
		send(
			&mut node,
			Request::Run {
				id: WorkId([3; 32]),
				work: bad,
			},
		)
		.await;
		assert!(matches!(
			next(&mut node).await,
			Response::Done {
				result: WorkResult::Abstained { .. },
				..
			}
		));
	}
	drop(node);
	engine.await.unwrap().expect("hanging up is a normal end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_during_work_and_a_full_queue_abstains() {
	let (mut node, _engine, id) = connect().await;
	let total = MAX_QUEUE as u32 + 20;
	for i in 0..total {
		let mut name = WorkId::default();
		name.0[..4].copy_from_slice(&i.to_le_bytes());
		send(
			&mut node,
			Request::Run {
				id: name,
				work: work(id, 600),
			},
		)
		.await;
	}
	send(&mut node, Request::Ping(42)).await;
	let (mut abstained, mut done) = (0, 0);
	loop {
		match next(&mut node).await {
			Response::Pong(number) => break assert_eq!(number, 42),
			Response::Done {
				result: WorkResult::Abstained { .. },
				..
			} => abstained += 1,
			Response::Done { .. } => done += 1,
			other => panic!("only answers were asked for: {other:?}"),
		}
	}
	assert!(abstained > 0, "more than {MAX_QUEUE} work items came");
	assert!(done < MAX_QUEUE, "the ping waited for the work");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_that_is_cancelled_is_answered_once_and_leaves_the_others_alone() {
	let (mut node, _engine, id) = connect().await;
	for i in 0..6 {
		send(
			&mut node,
			Request::Run {
				id: WorkId([i; 32]),
				work: work(id, 300),
			},
		)
		.await;
	}
	// The second, one that is unknown, and the second again.
	for i in [1, 9, 1] {
		send(&mut node, Request::Cancel { id: WorkId([i; 32]) }).await;
	}
	// An id that is in flight already.
	send(
		&mut node,
		Request::Run {
			id: WorkId([2; 32]),
			work: work(id, 5),
		},
	)
	.await;
	let mut answers = Vec::new();
	for _ in 0..6 {
		let Response::Done { id, result } = next(&mut node).await else {
			panic!("only results were asked for")
		};
		match result {
			WorkResult::Abstained { reason } => assert!(id == WorkId([1; 32]) && reason.contains("cancelled")),
			WorkResult::Executed { output, .. } => assert_eq!(output.tokens.len(), 300),
			WorkResult::Verified { .. } => panic!("nothing was to be verified"),
		}
		answers.push(id.0[0]);
	}
	answers.sort_unstable();
	assert_eq!(answers, [0, 1, 2, 3, 4, 5]);
	send(&mut node, Request::Ping(7)).await;
	assert_eq!(next(&mut node).await, Response::Pong(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_comes_token_by_token_before_its_result_and_never_after() {
	let (mut node, _engine, id) = connect().await;
	for i in 0..4u8 {
		let mut work = work(id, 200);
		work.params.stop = vec![[b'a' + i].to_vec().try_into().unwrap()].try_into().unwrap();
		let id = WorkId([i; 32]);
		send(&mut node, Request::Run { id, work }).await;
	}
	let (mut streams, mut done) = (BTreeMap::<WorkId, Vec<StreamToken>>::new(), BTreeMap::new());
	while done.len() < 4 {
		match next_of_any(&mut node).await {
			Response::Progress { id, first, tokens } => {
				let stream = streams.entry(id).or_default();
				assert!(!done.contains_key(&id), "progress after the result");
				assert_eq!(first as usize, stream.len());
				assert!((1..=MAX_CHUNK_TOKENS).contains(&tokens.len()));
				stream.extend(tokens);
			}
			Response::Done {
				id,
				result: WorkResult::Executed { output, .. },
			} => drop(done.insert(id, output)),
			other => panic!("{other:?}"),
		}
	}
	let streamed: usize = streams.values().map(Vec::len).sum();
	assert!(streamed > 20, "{streamed} tokens were streamed");
	for (id, stream) in streams {
		let output = &done[&id];
		let ids: Vec<u32> = stream.iter().map(|token| token.id).collect();
		assert!(output.tokens.starts_with(&ids));
		let text: String = stream.into_iter().map(|token| token.text).collect();
		assert!(output.text.starts_with(text.as_bytes()), "{text:?}");
	}
}

/// A node that reads nothing for a while stops neither the computation nor, afterwards, the results.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_read_gets_its_results_all_the_same() {
	let (mut node, _engine, id) = connect().await;
	for i in 0..40 {
		let (id, work) = (WorkId([i; 32]), work(id, 300));
		send(&mut node, Request::Run { id, work }).await;
	}
	tokio::time::sleep(Duration::from_secs(2)).await;
	let mut done = 0;
	while done < 40 {
		if let Response::Done { result, .. } = next(&mut node).await {
			assert!(matches!(result, WorkResult::Executed { .. }));
			done += 1;
		}
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_socket_ends_the_engine_with_an_error() {
	for garbage in [&b"\xFF\xFF"[..], b"\x00", &[1; 40]] {
		let (mut node, engine, _) = connect().await;
		node.send(Bytes::copy_from_slice(garbage)).await.unwrap();
		assert!(matches!(engine.await.unwrap(), Err(Error::Socket(_))));
	}
	let (node, engine, _) = connect().await;
	// A frame that claims 4 GiB.
	let mut raw = node.into_inner();
	tokio::io::AsyncWriteExt::write_all(&mut raw, &[0xFF; 8]).await.unwrap();
	assert!(matches!(engine.await.unwrap(), Err(Error::Socket(_))));
}

#[test]
fn messages_survive_the_wire() {
	let request = Request::Run {
		id: WorkId([5; 32]),
		work: work(ModelId([1; 32]), 9),
	};
	assert_eq!(Request::decode(&mut request.encode().as_slice()).unwrap(), request);
	assert!(decode::<Request>(&[request.encode(), vec![0]].concat()).is_err());
}

#[test]
fn the_engine_moves_to_its_thread() {
	fn moves<T: Send + 'static>(_: &mpsc::Sender<T>) {}
	moves(&mpsc::channel::<Engine>().0);
}
