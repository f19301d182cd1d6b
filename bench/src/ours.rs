//! The engine, through the library that the node's engine process runs.
//!
//! Prompts and steps include what they include in a job: the rows of all layers go into the trace, and a token is chosen from the
//! logits. Peers are timed without either. Jobs go through the scheduler, as they do in a node.

use crate::protocol::{number, text, token, write_logits, Worker};
use anyhow::{bail, Context, Result};
use assay_engine::{
	generate::{Finished, Job},
	kv::{PageId, Pool, Segment, PAGE},
	model::decoder::{Batch, Decoder},
	sampler::Sampler,
	scheduler::{Limits, Scheduler},
	trace::{push_all, Trace},
	Model,
};
use assay_primitives::{job::Output, Hash32, SamplingParams, Vote};
use serde_json::{json, Value};
use std::{
	collections::HashMap,
	path::Path,
	time::{Duration, Instant},
};

/// The loaded model, and the sequences that were measured last.
#[derive(Default)]
pub struct Ours {
	model: Option<Model>,
	sequences: Option<(usize, Sequences)>,
}

impl Worker for Ours {
	fn answer(&mut self, request: &Value) -> Result<Value> {
		let begun = Instant::now();
		match text(request, "op")? {
			"load" => {
				self.model = Some(Model::load(Path::new(text(request, "folder")?))?);
				Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }))
			}
			"check" => check(Path::new(text(request, "folder")?)),
			"prefill" => self.prefill(number(request, "tokens")?),
			"decode" => self.decode(
				number(request, "depth")?,
				number(request, "tokens")?,
				number(request, "batch")?,
			),
			"logits" => {
				let ids = request.get("tokens").and_then(Value::as_array).context("no tokens")?;
				let ids: Vec<u32> = ids.iter().filter_map(|id| id.as_u64().map(|id| id as u32)).collect();
				let decoder = self.model()?.decoder()?;
				let mut sequences = Sequences::new(decoder, 1, ids.len())?;
				let logits = sequences.feed(decoder, std::slice::from_ref(&ids))?;
				write_logits(request, logits.first().context("no logits")?)?;
				Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }))
			}
			"job" => self.jobs(
				number(request, "prompt")?,
				number(request, "answer")?,
				number(request, "batch")?,
				number(request, "temperature")?,
			),
			other => bail!("the engine does not do `{other}`"),
		}
	}
}

/// Hashes the weights on one thread, as the loader does: a tensor's bytes are in memory, and hot in no cache.
fn check(folder: &Path) -> Result<Value> {
	let bytes = std::fs::read(folder.join("model.safetensors"))?;
	let begun = Instant::now();
	std::hint::black_box(blake3::hash(&bytes));
	Ok(json!({ "bytes_per_second": bytes.len() as f64 / begun.elapsed().as_secs_f64() }))
}

/// Sequences of one length that are fed together.
struct Sequences {
	pool: Pool,
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

	/// Feeds each sequence as many tokens as the others, and returns the logits of the last of each.
	fn feed(&mut self, decoder: &Decoder, tokens: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
		let each = tokens.first().map_or(0, Vec::len);
		let most = (Limits::default().rows / tokens.len()).max(1);
		let mut logits = Vec::new();
		for from in (0..each).step_by(most) {
			let now = most.min(each - from);
			let parts = tokens.iter().flat_map(|t| t.get(from..from + now).unwrap_or_default());
			let fed: Vec<u32> = parts.copied().collect();
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
				tokens: &fed,
				segments: &segments,
			};
			let rows = decoder.forward(&batch, &mut self.pool)?;
			if from + now == each {
				let last: Vec<usize> = (1..=tokens.len()).map(|s| s * now - 1).collect();
				logits = decoder.logits(&rows.norm_of(&last)?)?.to_vec2()?;
			}
			let begun = Instant::now();
			let parts = self.traces.iter_mut().enumerate();
			push_all(&rows, parts.map(|(s, trace)| (trace, s * now..(s + 1) * now)).collect())?;
			self.tracing += begun.elapsed();
			self.length += now;
		}
		Ok(logits)
	}
}

/// The choice that a greedy job makes.
fn choose(logits: &[Vec<f32>]) -> Result<()> {
	let sampler = Sampler::new(&SamplingParams::greedy(1), [0; 32]);
	for logits in logits {
		sampler.choose(logits, 0).context("logits are not finite")?;
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
		choose(&sequences.feed(decoder, &[tokens])?)?;
		let seconds = begun.elapsed().as_secs_f64();
		Ok(json!({ "seconds": seconds, "trace": sequences.tracing.as_secs_f64() / seconds }))
	}

	/// Steps of one token for each of `batch` sequences; what they begin with is computed once.
	fn decode(&mut self, depth: usize, steps: usize, batch: usize) -> Result<Value> {
		let decoder = self.model.as_ref().context("no model is loaded")?.decoder()?;
		let kept = self.sequences.take();
		let kept = kept.filter(|(kept, s)| *kept == depth && s.tables.len() == batch);
		let mut sequences = match kept {
			Some((_, sequences)) => sequences,
			None => {
				let mut sequences = Sequences::new(decoder, batch, depth + steps)?;
				let begin: Vec<Vec<u32>> = (0..batch).map(|s| (0..depth).map(|i| token(i + s)).collect()).collect();
				sequences.feed(decoder, &begin)?;
				sequences
			}
		};
		sequences.cut(decoder, depth);
		let begun = Instant::now();
		for step in 0..steps {
			let next: Vec<Vec<u32>> = (0..batch).map(|s| vec![token(depth + step + s)]).collect();
			choose(&sequences.feed(decoder, &next)?)?;
		}
		let ending = Instant::now();
		let roots: Vec<Hash32> = sequences.traces.iter().map(Trace::root).collect();
		std::hint::black_box(roots);
		let tracing = sequences.tracing + ending.elapsed();
		let seconds = begun.elapsed().as_secs_f64();
		self.sequences = Some((depth, sequences));
		Ok(json!({ "seconds": seconds, "trace": tracing.as_secs_f64() / seconds }))
	}

	/// Makes answers, all at the same time, then checks them, all at the same time.
	fn jobs(&self, prompt: usize, answer: usize, batch: usize, temperature: usize) -> Result<Value> {
		let model = self.model()?;
		let jobs = (0..batch).map(|i| {
			Ok(Job {
				input: prompt_of(model, prompt, i)?,
				params: SamplingParams {
					temperature: (temperature as u32) << 16,
					..SamplingParams::greedy(answer as u32)
				},
				seed: [i as u8; 32],
				claim: None,
			})
		});
		let mut jobs: Vec<Job> = jobs.collect::<Result<_>>()?;
		let (executed, generate) = run(model, jobs.clone())?;
		let mut roots = Vec::new();
		let mut tokens = 0;
		for (i, job) in jobs.iter_mut().enumerate() {
			let Some(Finished::Executed(done)) = executed.get(&i) else {
				bail!("job {i} was not executed");
			};
			tokens += done.output.tokens.len();
			job.claim = Some(Output::clone(&done.output));
			roots.push(done.trace_root);
		}
		let (verified, verify) = run(model, jobs)?;
		for (i, trace_root) in roots.into_iter().enumerate() {
			if verified.get(&i) != Some(&Finished::Verified(Vote::Confirm { trace_root })) {
				bail!("the engine does not confirm its own answer: {:?}", verified.get(&i));
			}
		}
		Ok(json!({ "generate": generate, "verify": verify, "answer": tokens as f64 / batch as f64 }))
	}
}

/// Runs jobs to their end in a new scheduler; what they came to, and the seconds it took.
fn run(model: &Model, jobs: Vec<Job>) -> Result<(HashMap<usize, Finished>, f64)> {
	let mut scheduler = Scheduler::new(model, Limits::default())?;
	let begun = Instant::now();
	for (i, job) in jobs.into_iter().enumerate() {
		scheduler.submit(name(i), job)?;
	}
	let mut finished = HashMap::new();
	while !scheduler.is_idle() {
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			finished.insert(usize::from(id[0]), result?);
		}
	}
	Ok((finished, begun.elapsed().as_secs_f64()))
}

fn name(job: usize) -> Hash32 {
	[job as u8; 32]
}

/// A text that is exactly `count` tokens with its template around it; `other` makes others.
fn prompt_of(model: &Model, count: usize, other: usize) -> Result<String> {
	let mut text = format!("{other} ");
	for step in 0..8 * count {
		let letter = b'a' + (step * step % 26) as u8;
		text.push(if step % 5 == 4 { ' ' } else { char::from(letter) });
		let tokens = model.prompt(&format!("{text}."))?.len();
		match tokens.cmp(&count) {
			std::cmp::Ordering::Less => {}
			std::cmp::Ordering::Equal => return Ok(format!("{text}.")),
			std::cmp::Ordering::Greater => {
				text.pop();
			}
		}
	}
	bail!("no prompt of {count} tokens found")
}
