//! The engine on a card, through the scheduler that a node's engine process runs.
//!
//! Every figure has in it what a job has: tokens chosen, all layers' rows copied back and hashed into the trace. What copying and hashing
//! take is measured by itself too, on rows of the same size.

use super::limits;
use crate::{
	protocol::{number, text, Worker},
	shapes::Shape,
	weights::{tokenizer, TEMPLATE},
};
use anyhow::{bail, ensure, Context, Result};
use assay_engine::{
	execute,
	generate::{Finished, Job},
	gpu::Gpu,
	kv::PAGE,
	model::decoder::Rows,
	scheduler::{Limits, Scheduler},
	trace::{push_all, Trace},
	verify, Model,
};
use assay_primitives::{job::Output, Hash32, SamplingParams, Vote};
use candle_core::{DType, Device, Tensor};
use serde_json::{json, Value};
use std::{collections::HashMap, sync::Arc, time::Instant};

/// A card, and the random model on it.
pub struct Ours {
	gpu: Arc<dyn Gpu>,
	emulated: bool,
	model: Option<(Shape, Model)>,
}

impl Worker for Ours {
	fn answer(&mut self, request: &Value) -> Result<Value> {
		let number = |key| number(request, key);
		match text(request, "op")? {
			"device" => {
				Ok(json!({ "name": self.gpu.name(), "emulated": self.emulated, "rows": Limits::default().rows }))
			}
			"limits" => {
				let limits = limits::measure(&*self.gpu)?;
				Ok(json!({ "read": limits.read, "int8": limits.int8 }))
			}
			"load" => {
				self.model = None;
				let shape = Shape::on_card(text(request, "shape")?).context("no such shape")?;
				let model = random(&shape, Some(self.gpu.clone()))?;
				let seconds = model.load_time().as_secs_f64();
				self.model = Some((shape, model));
				Ok(json!({ "seconds": seconds }))
			}
			"prefill" => self.prefill(number("tokens")?, number("rows")?),
			"decode" => self.decode(number("depth")?, number("tokens")?, number("batch")?),
			"trace" => self.trace(number("sequences")?, number("rows")?),
			"job" => self.jobs(number("prompt")?, number("answer")?, number("batch")?),
			"check" => self.check(number("prompt")?, number("answer")?),
			other => bail!("the engine does not do `{other}` on a card"),
		}
	}
}

/// Random weights of a shape.
fn random(shape: &Shape, gpu: Option<Arc<dyn Gpu>>) -> Result<Model> {
	let (config, tokenizer) = (shape.config().to_string(), tokenizer().to_string());
	let (config, tokenizer) = (config.as_bytes(), tokenizer.as_bytes());
	Ok(Model::random(config, tokenizer, TEMPLATE.as_bytes(), gpu)?)
}

/// A text that is exactly so many tokens with the template around it; `other` makes others. A byte is a token.
fn prompt(model: &Model, tokens: usize, other: usize) -> Result<String> {
	let around = model.prompt("")?.len();
	let mut text = format!("{other} ");
	let letter = |i: usize| char::from(if i % 5 == 4 { b' ' } else { b'a' + (i * i % 26) as u8 });
	text.extend((text.len()..tokens.saturating_sub(around + 1)).map(letter));
	// A template may cut a blank from the end.
	text.push('.');
	let found = model.prompt(&text)?.len();
	ensure!(found == tokens, "a prompt has {found} tokens instead of {tokens}");
	Ok(text)
}

fn name(job: usize) -> Hash32 {
	let mut id = [0; 32];
	id[..8].copy_from_slice(&(job as u64).to_le_bytes());
	id
}

fn greedy(input: String, answer: usize) -> Job {
	Job {
		input,
		params: SamplingParams::greedy(answer as u32),
		seed: [0; 32],
		claim: None,
	}
}

impl Ours {
	/// A worker on a card; `emulated` if it is none.
	pub fn new(gpu: Arc<dyn Gpu>, emulated: bool) -> Self {
		Self {
			gpu,
			emulated,
			model: None,
		}
	}

	fn model(&self) -> Result<&Model> {
		Ok(&self.model.as_ref().context("no model is loaded")?.1)
	}

	/// Room for `batch` sequences of so many positions at once, and no more.
	fn scheduler(&self, batch: usize, positions: usize, rows: usize) -> Result<Scheduler<'_>> {
		let model = self.model()?;
		let page = model.decoder()?.page_bytes();
		let limits = Limits {
			rows,
			kv_bytes: batch * positions.div_ceil(PAGE) * page,
			running: batch,
			waiting: batch,
		};
		Ok(Scheduler::new(model, limits)?)
	}

	/// A prompt, from its tokens to the first token of the answer.
	fn prefill(&self, tokens: usize, rows: usize) -> Result<Value> {
		let mut scheduler = self.scheduler(1, tokens + 1, rows)?;
		scheduler.submit(name(0), greedy(prompt(self.model()?, tokens, 0)?, 1))?;
		let begun = Instant::now();
		let finished = run(&mut scheduler)?;
		let seconds = begun.elapsed().as_secs_f64();
		ensure!(finished.len() == 1, "the prompt was lost");
		Ok(json!({ "seconds": seconds }))
	}

	/// Steps in which each of `batch` answers grows by one token, after prompts of `depth`.
	fn decode(&self, depth: usize, steps: usize, batch: usize) -> Result<Value> {
		// Large steps until all prompts are read, so that no answer gets far ahead.
		let rows = (batch * depth).clamp(1, 2048);
		let ahead = (batch * depth).div_ceil((rows / 2).max(1)) + 8;
		let answer = steps + ahead + 1;
		let mut scheduler = self.scheduler(batch, depth + answer, rows)?;
		for i in 0..batch {
			scheduler.submit(name(i), greedy(prompt(self.model()?, depth, i)?, answer))?;
		}
		let mut step = || -> Result<bool> {
			let mut grew = 0;
			if let Some((_, result)) = scheduler.step(&mut |_, _| grew += 1).pop() {
				result?;
				bail!("an answer ended before it was measured");
			}
			Ok(grew == batch)
		};
		while !step()? {}
		let begun = Instant::now();
		for _ in 0..steps {
			ensure!(step()?, "an answer didn't grow");
		}
		Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }))
	}

	/// What the trace takes of a step of so many sequences with so many rows each: copying rows back, hashing them.
	fn trace(&self, sequences: usize, each: usize) -> Result<Value> {
		let decoder = self.model()?.decoder()?;
		let (layers, hidden) = (decoder.layers(), decoder.numbers().hidden_size as usize);
		let (rows, device) = (sequences * each, self.gpu.device());
		let streams = (0..=layers).map(|_| Tensor::zeros((rows, hidden), DType::F32, device));
		let streams = streams.collect::<candle_core::Result<Vec<_>>>()?;
		device.synchronize()?;
		let begun = Instant::now();
		let all = Tensor::cat(&streams, 0)?.to_device(&Device::Cpu)?;
		let copy = begun.elapsed().as_secs_f64();
		let stream = |i: usize| all.narrow(0, i * rows, rows);
		let rows_there = Rows {
			residual: (0..layers).map(stream).collect::<candle_core::Result<_>>()?,
			norm: stream(layers)?,
			bad: vec![false; rows],
		};
		let mut traces = vec![Trace::new(layers); sequences];
		let parts = traces.iter_mut().enumerate();
		let parts = parts.map(|(s, trace)| (trace, s * each..(s + 1) * each)).collect();
		let begun = Instant::now();
		push_all(&rows_there, parts)?;
		Ok(json!({ "copy": copy, "hash": begun.elapsed().as_secs_f64() }))
	}

	/// Makes answers, all at the same time, then checks them, all at the same time.
	fn jobs(&self, tokens: usize, answer: usize, batch: usize) -> Result<Value> {
		let job = |i| Ok(greedy(prompt(self.model()?, tokens, i)?, answer));
		let mut jobs: Vec<Job> = (0..batch).map(job).collect::<Result<_>>()?;
		let timed = |jobs: Vec<Job>| -> Result<_> {
			let mut scheduler = self.scheduler(batch, tokens + answer, Limits::default().rows)?;
			let begun = Instant::now();
			for (i, job) in jobs.into_iter().enumerate() {
				scheduler.submit(name(i), job)?;
			}
			let finished = run(&mut scheduler)?;
			Ok((finished, begun.elapsed().as_secs_f64()))
		};
		let (executed, generate) = timed(jobs.clone())?;
		let (mut roots, mut made) = (Vec::new(), 0);
		for (i, job) in jobs.iter_mut().enumerate() {
			let Some(Finished::Executed(done)) = executed.get(&name(i)) else {
				bail!("job {i} was not executed");
			};
			made += done.output.tokens.len();
			job.claim = Some(Output::clone(&done.output));
			roots.push(done.trace_root);
		}
		ensure!(made == batch * answer, "{made} tokens instead of {}", batch * answer);
		let (verified, verify) = timed(jobs)?;
		for (i, trace_root) in roots.into_iter().enumerate() {
			let vote = verified.get(&name(i));
			ensure!(
				vote == Some(&Finished::Verified(Vote::Confirm { trace_root })),
				"the card does not confirm its own answer: {vote:?}"
			);
		}
		Ok(json!({ "verify": verify, "generate": generate }))
	}

	/// The same weights on the processor: each makes an answer that the other has to confirm, with the same trace.
	fn check(&self, tokens: usize, answer: usize) -> Result<Value> {
		let (shape, card) = self.model.as_ref().context("no model is loaded")?;
		let processor = random(shape, None)?;
		let params = SamplingParams {
			temperature: 1 << 16,
			..SamplingParams::greedy(answer as u32)
		};
		let text = prompt(card, tokens, 7)?;
		for (maker, checker, made_by) in [(card, &processor, "card"), (&processor, card, "processor")] {
			let made = execute(maker, &text, &params, [7; 32])?;
			let vote = verify(checker, &text, &params, [7; 32], &made.output)?;
			let expected = Vote::Confirm {
				trace_root: made.trace_root,
			};
			ensure!(vote == expected, "what the {made_by} made is not confirmed: {vote:?}");
		}
		Ok(json!({ "tokens": 2 * answer }))
	}
}

/// Steps until all is done.
fn run(scheduler: &mut Scheduler<'_>) -> Result<HashMap<Hash32, Finished>> {
	let mut finished = HashMap::new();
	while !scheduler.is_idle() {
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			finished.insert(id, result?);
		}
	}
	Ok(finished)
}
