//! Our engine on the CPU.
//!
//! Prompts and steps include what they include in a job: the residual trace of all layers is hashed, and a token is sampled from the
//! logits. Peers are timed without either. Jobs go through the scheduler, as they do in a node.

use crate::{
	engine::{seconds_since, token, write_logits, Engine, Request},
	limits::cpu::Memory,
};
use anyhow::{bail, Context, Error, Result};
use assay_engine::{
	kv::KvPool,
	model::decoder::{Batch, Decoder},
	scheduler::SchedulerLimits,
	Model,
};
use assay_numerics::{
	kv::{PageId, Segment, PAGE},
	sampler::Sampler,
	trace::{push_all, Trace},
};
use assay_primitives::SamplingParams;
use serde_json::{json, Value};
use std::{
	hint::black_box,
	path::{Path, PathBuf},
	time::{Duration, Instant},
};

/// The loaded model, and the sequences that were measured last.
#[derive(Default)]
pub struct Ours {
	memory: Memory,
	dir: PathBuf,
	model: Option<Model>,
	sequences: Option<(usize, Sequences)>,
}

impl Engine for Ours {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		let begun = Instant::now();
		match *request {
			Request::Limits { threads } => Ok(self.memory.limits(threads).answer()),
			Request::Load(ref load) => {
				self.dir = load.dir.clone().context("no model directory is named")?;
				let mut model = Model::load(&self.dir)?;
				let seconds = seconds_since(begun);
				if let Some(isa) = &load.isa {
					model = model.with_isa(isa.parse().map_err(Error::msg)?);
				}
				self.model = Some(model);
				Ok(seconds)
			}
			Request::Hash => hash(&self.dir),
			Request::Prefill { tokens, .. } => self.prefill(tokens),
			Request::Decode { depth, tokens, batch } => self.decode(depth, tokens, batch),
			Request::Logits { ref tokens, ref out } => {
				let decoder = self.model()?.decoder()?;
				let mut sequences = Sequences::new(decoder, 1, tokens.len())?;
				let logits = sequences.forward(decoder, std::slice::from_ref(tokens))?;
				write_logits(out, logits.first().context("no logits")?)?;
				Ok(seconds_since(begun))
			}
			Request::Job {
				prompt,
				answer,
				batch,
				temperature,
			} => {
				let model = self.model()?;
				let params = SamplingParams {
					temperature: temperature << 16,
					..SamplingParams::greedy(answer as u32)
				};
				let jobs = (0..batch).map(|i| super::job(model, prompt, params.clone(), i));
				super::jobs(model, SchedulerLimits::default(), jobs.collect::<Result<_>>()?)
			}
			Request::Spot { prompt, answer } => {
				let model = self.model()?;
				let work = super::job(model, prompt, SamplingParams::greedy(answer as u32), 0)?;
				super::spot_check(model, work)
			}
			ref other => bail!("our engine does not do {other:?} on the CPU"),
		}
	}
}

/// Hashes the weights on one thread, as the loader does: a tensor's bytes are in memory, and hot in no cache.
fn hash(dir: &Path) -> Result<Value> {
	let bytes = std::fs::read(dir.join("model.safetensors"))?;
	let begun = Instant::now();
	black_box(blake3::hash(&bytes));
	Ok(json!({ "bytes_per_second": bytes.len() as f64 / begun.elapsed().as_secs_f64() }))
}

/// Sequences of one length that are computed together.
struct Sequences {
	pool: KvPool,
	tables: Vec<Vec<PageId>>,
	traces: Vec<Trace>,
	length: usize,
	/// Time spent on traces.
	tracing: Duration,
}

impl Sequences {
	fn new(decoder: &Decoder, count: usize, capacity: usize) -> Result<Self> {
		let pages = capacity.div_ceil(PAGE);
		let mut pool = decoder.pool(count * pages)?;
		let mut table = || (0..pages).map(|_| pool.alloc()).collect::<Option<Vec<_>>>();
		let tables = (0..count).map(|_| table()).collect::<Option<_>>();
		Ok(Self {
			tables: tables.context("the pool is too small")?,
			pool,
			traces: vec![Trace::new(decoder.layers()); count],
			length: 0,
			tracing: Duration::ZERO,
		})
	}

	/// Back to the first `length` positions, with new traces.
	fn cut(&mut self, decoder: &Decoder, length: usize) {
		self.length = length;
		self.traces = vec![Trace::new(decoder.layers()); self.tables.len()];
		self.tracing = Duration::ZERO;
	}

	/// Appends as many tokens to each sequence as to the others, and returns the logits of the last of each.
	fn forward(&mut self, decoder: &Decoder, tokens: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
		let each = tokens.first().map_or(0, Vec::len);
		let most = (SchedulerLimits::default().max_batched_tokens / tokens.len()).max(1);
		let mut logits = Vec::new();
		for from in (0..each).step_by(most) {
			let now = most.min(each - from);
			let parts = tokens.iter().flat_map(|t| t.get(from..from + now).unwrap_or_default());
			let batched: Vec<u32> = parts.copied().collect();
			let segments: Vec<_> = self
				.tables
				.iter()
				.enumerate()
				.map(|(s, pages)| Segment {
					rows: s * now..(s + 1) * now,
					start: self.length,
					pages,
				})
				.collect();
			let batch = Batch {
				tokens: &batched,
				segments: &segments,
			};
			let rows = decoder.forward(&batch, &mut self.pool)?;
			if from + now == each {
				let last: Vec<usize> = (1..=tokens.len()).map(|s| s * now - 1).collect();
				logits = decoder.logits(&rows.norm_of(&last)?)?.to_vec2()?;
			}
			let begun = Instant::now();
			let parts = self.traces.iter_mut().enumerate();
			let parts = parts.map(|(s, trace)| (trace, s * now..(s + 1) * now)).collect();
			rows.with_trace_rows(|rows| push_all(rows, parts))?;
			self.tracing += begun.elapsed();
			self.length += now;
		}
		Ok(logits)
	}
}

/// Samples as a greedy job does.
fn sample(logits: &[Vec<f32>]) -> Result<()> {
	let sampler = Sampler::new(0, 0, 0, [0; 32]);
	for logits in logits {
		sampler.sample(logits, 0).context("logits are not finite")?;
	}
	Ok(())
}

impl Ours {
	fn model(&self) -> Result<&Model> {
		self.model.as_ref().context("no model is loaded")
	}

	fn prefill(&self, count: usize) -> Result<Value> {
		let decoder = self.model()?.decoder()?;
		let mut sequences = Sequences::new(decoder, 1, count)?;
		let tokens: Vec<u32> = (0..count).map(token).collect();
		let begun = Instant::now();
		sample(&sequences.forward(decoder, &[tokens])?)?;
		let seconds = begun.elapsed().as_secs_f64();
		Ok(json!({ "seconds": seconds, "trace": sequences.tracing.as_secs_f64() / seconds }))
	}

	/// Steps of one token for each of `batch` sequences; what they begin with is computed once.
	fn decode(&mut self, depth: usize, steps: usize, batch: usize) -> Result<Value> {
		let decoder = self.model.as_ref().context("no model is loaded")?.decoder()?;
		let last = self.sequences.take();
		let last = last.filter(|(begun_at, s)| *begun_at == depth && s.tables.len() == batch);
		let mut sequences = match last {
			Some((_, sequences)) => sequences,
			None => {
				let mut sequences = Sequences::new(decoder, batch, depth + steps)?;
				let begin: Vec<Vec<u32>> = (0..batch).map(|s| (0..depth).map(|i| token(i + s)).collect()).collect();
				sequences.forward(decoder, &begin)?;
				sequences
			}
		};
		sequences.cut(decoder, depth);
		let begun = Instant::now();
		for step in 0..steps {
			let next: Vec<Vec<u32>> = (0..batch).map(|s| vec![token(depth + step + s)]).collect();
			sample(&sequences.forward(decoder, &next)?)?;
		}
		let ending = Instant::now();
		let roots: Vec<_> = sequences.traces.iter().map(Trace::root).collect();
		black_box(roots);
		let tracing = sequences.tracing + ending.elapsed();
		let seconds = begun.elapsed().as_secs_f64();
		self.sequences = Some((depth, sequences));
		Ok(json!({ "seconds": seconds, "trace": tracing.as_secs_f64() / seconds }))
	}
}
