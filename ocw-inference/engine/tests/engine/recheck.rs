//! A rejection leaves the engine only as the portable instructions find it.

use crate::common::{folder, model, Tiny};
use assay_engine::{
	generate::{execute, verify, verify_once},
	server, Engine, Executed, Model,
};
use assay_numerics::Isa;
use assay_primitives::{job::Output, Finding, Hash32, Input, ModelId, SamplingParams, Work, WorkId};
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, WorkResult};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{
	collections::BTreeMap,
	fmt::Write,
	sync::{Mutex, Once},
	time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use tokio_util::{bytes::Bytes, codec::Framed};

const PROMPT: &str = "hello world";
const SEED: Hash32 = [6; 32];

fn params() -> SamplingParams {
	SamplingParams {
		temperature: 1 << 16,
		..SamplingParams::greedy(40)
	}
}

/// A model on a machine that computes wrongly, but for the portable instructions.
fn faulty() -> Model {
	model(Tiny::default()).with_a_fault()
}

/// An engine that serves it nevertheless.
fn engine() -> (Engine, ModelId) {
	let model = faulty();
	let id = model.id();
	let mut engine = Engine::new();
	engine.add_as(id, model);
	(engine, id)
}

/// Returns the honest answer, and a lie with a changed token.
fn truth_and_lie() -> (Executed, Output) {
	let truth = execute(&model(Tiny::default()), PROMPT, &params(), SEED).unwrap();
	let mut lie = truth.output.clone();
	lie.tokens[11] ^= 1;
	(truth, lie)
}

fn work(model: ModelId, claim: Option<Output>) -> Work {
	Work {
		model,
		input: Input::Text(PROMPT.as_bytes().to_vec().try_into().unwrap()),
		params: params(),
		seed: SEED,
		claim,
	}
}

/// The errors that were logged.
static LOGGED: Mutex<String> = Mutex::new(String::new());

struct Logger;

impl log::Log for Logger {
	fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
		metadata.level() == log::Level::Error
	}

	fn log(&self, record: &log::Record<'_>) {
		if self.enabled(record.metadata()) {
			writeln!(LOGGED.lock().unwrap(), "{}", record.args()).unwrap();
		}
	}

	fn flush(&self) {}
}

/// Records errors from now on.
fn record_errors() {
	static ONCE: Once = Once::new();
	ONCE.call_once(|| {
		log::set_logger(&Logger).unwrap();
		log::set_max_level(log::LevelFilter::Error);
	});
}

#[test]
fn a_wrong_rejection_is_corrected_and_logged() {
	if Isa::detect() == Isa::Portable && crate::device().is_none() {
		return;
	}
	record_errors();
	let (truth, lie) = truth_and_lie();
	let confirm = Finding::Confirm {
		trace_root: truth.trace_root,
	};
	let model = faulty();
	let wrong = verify_once(&model, PROMPT, &params(), SEED, &truth.output).unwrap();
	assert!(matches!(wrong, Finding::Reject { .. }), "the fault shows: {wrong:?}");
	assert_eq!(verify(&model, PROMPT, &params(), SEED, &truth.output).unwrap(), confirm);
	// A rejection that is right, but at the wrong place.
	let right = verify_once(&self::model(Tiny::default()), PROMPT, &params(), SEED, &lie).unwrap();
	assert!(matches!(right, Finding::Reject { position: 11, .. }));
	assert_ne!(verify_once(&model, PROMPT, &params(), SEED, &lie).unwrap(), right);
	assert_eq!(verify(&model, PROMPT, &params(), SEED, &lie).unwrap(), right);

	let (engine, id) = engine();
	let honest = work(id, Some(truth.output));
	assert_eq!(engine.run(&honest), WorkResult::Verified { finding: confirm });
	let false_claim = work(id, Some(lie));
	assert_eq!(engine.run(&false_claim), WorkResult::Verified { finding: right });
	let logged = LOGGED.lock().unwrap();
	for work in [honest, false_claim] {
		let named = format!("WRONG COMPUTATION on this machine: work {} on model {id}", work.id());
		assert!(logged.contains(&named), "{logged}");
	}
}

#[test]
fn every_instruction_set_but_the_portable_one_is_corrected() {
	let (truth, _) = truth_and_lie();
	let confirm = Finding::Confirm {
		trace_root: truth.trace_root,
	};
	for isa in Isa::available() {
		let model = Model::load(folder(Tiny::default()).path()).unwrap();
		let model = model.with_isa(isa).with_a_fault();
		let once = verify_once(&model, PROMPT, &params(), SEED, &truth.output).unwrap();
		assert_eq!(once == confirm, isa == Isa::Portable, "{isa}");
		assert_eq!(
			verify(&model, PROMPT, &params(), SEED, &truth.output).unwrap(),
			confirm,
			"{isa}"
		);
	}
}

#[test]
fn a_machine_that_computes_wrongly_does_not_serve() {
	if Isa::detect() == Isa::Portable {
		return;
	}
	let error = Engine::new().add(Model::load(folder(Tiny::default()).path()).unwrap().with_a_fault());
	assert!(error.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejections_are_corrected_while_other_work_goes_on() {
	let (truth, lie) = truth_and_lie();
	let right = verify_once(&model(Tiny::default()), PROMPT, &params(), SEED, &lie).unwrap();
	let confirm = Finding::Confirm {
		trace_root: truth.trace_root,
	};
	let (ours, theirs) = UnixStream::pair().unwrap();
	let (engine, id) = engine();
	let serving = tokio::spawn(server::serve_loading(theirs, 2, SandboxStatus::OFF, move || Ok(engine)));
	let mut node = Framed::new(ours, framing());
	let claims = [Some(truth.output), Some(lie), None];
	const WORKS: usize = 24;
	for i in 0..WORKS {
		let run = Request::Run {
			id: WorkId([i as u8; 32]),
			work: work(id, claims[i % 3].clone()),
		};
		node.send(Bytes::from(run.encode())).await.unwrap();
	}
	let cancelled = WorkId([0; 32]);
	node.send(Bytes::from(Request::Cancel { id: cancelled }.encode()))
		.await
		.unwrap();
	let mut results = BTreeMap::new();
	while results.len() < WORKS {
		let frame = timeout(Duration::from_secs(300), node.next()).await.unwrap();
		if let Response::Done { id, result } = decode(&frame.unwrap().unwrap()).unwrap() {
			assert!(results.insert(id, result).is_none(), "one result a work item");
		}
	}
	for (id, result) in results {
		match (id.0[0] % 3, result) {
			(0, WorkResult::Abstained { reason }) => assert!(id == cancelled, "{reason}"),
			(0, result) => assert_eq!(result, WorkResult::Verified { finding: confirm }),
			(1, result) => assert_eq!(result, WorkResult::Verified { finding: right }),
			(_, result) => assert!(matches!(result, WorkResult::Executed { .. }), "{result:?}"),
		}
	}
	drop(node);
	serving.await.unwrap().unwrap();
}
