//! What is measured, and how often.

use crate::run::ENGINES;
use serde_json::{json, Value};

/// What a measure's samples are turned into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
	/// So many tokens in the sample's seconds.
	Tokens(usize),
	/// The sample's seconds.
	Seconds,
	/// The sample's bytes.
	Bytes,
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Measure {
	/// Its name in the log of samples.
	pub key: &'static str,
	/// Its name in the table.
	pub label: &'static str,
	/// What an engine is asked.
	pub request: Value,
	/// What becomes of the answer.
	pub unit: Unit,
	/// Repetitions.
	pub repetitions: usize,
	/// Positions it needs.
	pub positions: usize,
	/// Whether only our engine does it.
	pub ours_only: bool,
}

impl Measure {
	/// Whether an engine can do this at all; stock candle has no batches.
	pub fn suits(&self, engine: &str) -> bool {
		let batched = self.request.get("batch").and_then(Value::as_u64).unwrap_or(1) > 1;
		(engine == ENGINES[0] || !self.ours_only) && !(batched && engine == "candle")
	}
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
	/// Repetitions of the short measures.
	pub repetitions: usize,
	/// Repetitions of those that take a minute.
	pub long: usize,
	/// Steps of one token.
	pub steps: usize,
	/// Steps of a batch.
	pub batch_steps: usize,
	/// Tokens in and out of a job.
	pub job: (usize, usize),
	/// Jobs of a batched executor.
	pub jobs: usize,
}

impl Scale {
	/// For figures.
	pub const FULL: Self = Self {
		repetitions: 5,
		long: 3,
		steps: 24,
		batch_steps: 12,
		job: (128, 256),
		jobs: 32,
	};
	/// To see that everything works.
	pub const QUICK: Self = Self {
		repetitions: 2,
		long: 1,
		steps: 4,
		batch_steps: 2,
		job: (32, 16),
		jobs: 4,
	};
}

/// Everything that processes are asked which stay loaded.
pub fn measures(scale: &Scale) -> Vec<Measure> {
	let Scale {
		repetitions,
		long,
		steps,
		batch_steps,
		..
	} = *scale;
	let prefill = |key, label, tokens: usize| Measure {
		key,
		label,
		request: json!({ "op": "prefill", "tokens": tokens }),
		unit: Unit::Tokens(tokens),
		repetitions,
		positions: tokens,
		ours_only: false,
	};
	let decode = |key, label, depth: usize, batch: usize, steps: usize, repetitions| Measure {
		key,
		label,
		request: json!({ "op": "decode", "depth": depth, "tokens": steps, "batch": batch }),
		unit: Unit::Tokens(steps * batch),
		repetitions,
		positions: depth + steps,
		ours_only: false,
	};
	let (input, output) = scale.job;
	let job = |key, label, batch: usize, temperature: usize, repetitions| Measure {
		key,
		label,
		request: json!({
			"op": "job", "prompt": input, "answer": output, "batch": batch, "temperature": temperature,
		}),
		unit: Unit::Seconds,
		repetitions,
		positions: input + output,
		ours_only: true,
	};
	vec![
		prefill("prefill-128", "prefill, 128 tokens", 128),
		prefill("prefill-512", "prefill, 512 tokens", 512),
		decode("decode-128", "decode at depth 128", 128, 1, steps, repetitions),
		decode("decode-1024", "decode at depth 1024", 1024, 1, steps, long),
		decode("batch-8", "decode, batch of 8", 128, 8, batch_steps, long),
		decode("batch-32", "decode, batch of 32", 128, 32, batch_steps, long),
		job("job-1", "verify ÷ generate, one job", 1, 0, long),
		job("job-warm", "verify ÷ generate, one job at temperature 1", 1, 1, long),
		job("job-n", "verify ÷ generate, batched", scale.jobs, 0, long.min(2)),
	]
}

/// What a fresh process is asked, in this order.
pub fn fresh(scale: &Scale) -> Vec<Measure> {
	let measure = |key, label, request, unit, positions| Measure {
		key,
		label,
		request,
		unit,
		repetitions: scale.long,
		positions,
		ours_only: false,
	};
	let prefill = |tokens: usize| json!({ "op": "prefill", "tokens": tokens });
	vec![
		measure("load", "load", json!({ "op": "load" }), Unit::Seconds, 1),
		measure("first", "first token after load", prefill(1), Unit::Seconds, 1),
		measure("used", "", prefill(512), Unit::Seconds, 512),
		measure("memory", "peak memory", json!({ "op": "memory" }), Unit::Bytes, 1),
	]
}
