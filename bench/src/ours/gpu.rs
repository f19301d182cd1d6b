//! Our engine on a GPU, through the scheduler that a node's engine process runs.
//!
//! Every figure has in it what a job has: tokens sampled, the residual trace of all layers copied to the host and hashed. What copying
//! and hashing take is measured by itself too, on a trace of the same size.

use super::{prompt, timed, work_id};
use crate::{
	engine::{seconds_since, Engine, Request},
	limits::gpu,
	shapes::Shape,
	weights::{tokenizer, TEMPLATE},
};
use anyhow::{bail, ensure, Context, Result};
use assay_engine::{
	execute,
	generate::verify_once,
	gpu::Gpu,
	model::decoder::Rows,
	scheduler::{Scheduler, SchedulerLimits},
	Model,
};
use assay_numerics::{
	kv::PAGE,
	trace::{push_all, Trace},
};
use assay_primitives::{Finding, SamplingParams, Work};
use candle_core::{DType, Device, Tensor};
use serde_json::{json, Value};
use std::{sync::Arc, time::Instant};

/// Opens the GPU that our engine computes on.
pub fn open(device: u32) -> Result<Arc<dyn Gpu>> {
	#[cfg(feature = "cuda")]
	{
		Ok(Arc::new(assay_engine::gpu::cuda::Cuda::open(device)?))
	}
	#[cfg(all(feature = "emulation", not(feature = "cuda")))]
	{
		let _ = device;
		Ok(Arc::new(cuda_emulation::Emulated::default()))
	}
	#[cfg(not(any(feature = "cuda", feature = "emulation")))]
	bail!("this program was built without CUDA, so it cannot open GPU {device}: `make engine-cuda` builds one that can")
}

/// Our engine's process on a GPU. It opens the GPU at the first request, so that the answer says why it can't.
pub struct Opening {
	device: u32,
	opened: Option<Ours>,
}

impl Opening {
	/// On the GPU with this number, counted as nvidia-smi counts them.
	pub fn new(device: u32) -> Self {
		// Left to itself CUDA counts the fastest GPU first. Before any thread.
		if std::env::var_os("CUDA_DEVICE_ORDER").is_none() {
			std::env::set_var("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
		}
		Self { device, opened: None }
	}
}

impl Engine for Opening {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		if self.opened.is_none() {
			self.opened = Some(Ours::new(open(self.device)?, cfg!(not(feature = "cuda"))));
		}
		self.opened.as_mut().context("no GPU is open")?.ask(request)
	}
}

/// A GPU, and the random model on it.
pub struct Ours {
	gpu: Arc<dyn Gpu>,
	emulated: bool,
	model: Option<(Shape, Model)>,
}

impl Engine for Ours {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		match *request {
			Request::Device => Ok(json!({
				"name": self.gpu.name(), "emulated": self.emulated, "max_batched_tokens": SchedulerLimits::default().max_batched_tokens,
			})),
			Request::Limits { .. } => Ok(gpu::measure(&*self.gpu)?.answer()),
			Request::Load(ref load) => {
				self.model = None;
				let shape = Shape::named(&load.shape).context("no such shape")?;
				let model = random(&shape, Some(self.gpu.clone()))?;
				let seconds = model.load_time().as_secs_f64();
				self.model = Some((shape, model));
				Ok(json!({ "seconds": seconds }))
			}
			Request::Prefill {
				tokens,
				max_batched_tokens,
			} => self.prefill(tokens, max_batched_tokens.unwrap_or(tokens)),
			Request::Decode { depth, tokens, batch } => self.decode(depth, tokens, batch),
			Request::Trace { sequences, tokens } => self.trace(sequences, tokens),
			Request::Job {
				prompt, answer, batch, ..
			} => {
				let limits = self.limits(batch, prompt + answer, SchedulerLimits::default().max_batched_tokens)?;
				let jobs = (0..batch).map(|i| self.greedy(prompt, answer, i));
				super::jobs(self.model()?, limits, jobs.collect::<Result<_>>()?)
			}
			Request::Check { prompt, answer } => self.check(prompt, answer),
			ref other => bail!("our engine does not do {other:?} on a GPU"),
		}
	}
}

/// Random weights of a shape.
fn random(shape: &Shape, gpu: Option<Arc<dyn Gpu>>) -> Result<Model> {
	let (config, tokenizer) = (shape.config().to_string(), tokenizer().to_string());
	let (config, tokenizer) = (config.as_bytes(), tokenizer.as_bytes());
	Ok(Model::random(
		config,
		tokenizer,
		TEMPLATE.as_bytes(),
		assay_numerics::format::MatrixFormat::W8_32,
		gpu,
	)?)
}

impl Ours {
	/// On an open GPU, which may be an emulated one.
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

	fn greedy(&self, prompt: usize, answer: usize, index: usize) -> Result<Work> {
		super::job(self.model()?, prompt, SamplingParams::greedy(answer as u32), index)
	}

	/// Room for `batch` sequences of so many positions at once, and no more.
	fn limits(&self, batch: usize, positions: usize, max_batched_tokens: usize) -> Result<SchedulerLimits> {
		let page = self.model()?.decoder()?.page_bytes();
		Ok(SchedulerLimits {
			max_batched_tokens,
			kv_bytes: batch * positions.div_ceil(PAGE) * page,
			max_running: batch,
			max_waiting: batch,
		})
	}

	/// A prompt, from its tokens to the first token of the answer.
	fn prefill(&self, tokens: usize, max_batched_tokens: usize) -> Result<Value> {
		let limits = self.limits(1, tokens + 1, max_batched_tokens)?;
		let (finished, seconds) = timed(self.model()?, limits, vec![self.greedy(tokens, 1, 0)?])?;
		ensure!(finished.len() == 1, "the prompt was lost");
		Ok(json!({ "seconds": seconds }))
	}

	/// Steps in which each of `batch` answers grows by one token, after prompts of `depth`.
	fn decode(&self, depth: usize, steps: usize, batch: usize) -> Result<Value> {
		// Large steps until all prompts are read, so that no answer gets far ahead.
		let max_batched_tokens = (batch * depth).clamp(1, 2048);
		let ahead = (batch * depth).div_ceil((max_batched_tokens / 2).max(1)) + 8;
		let answer = steps + ahead + 1;
		let limits = self.limits(batch, depth + answer, max_batched_tokens)?;
		let mut scheduler = Scheduler::new(self.model()?, limits)?;
		for i in 0..batch {
			scheduler.submit(work_id(i), self.greedy(depth, answer, i)?)?;
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
		Ok(seconds_since(begun))
	}

	/// What the trace takes of a step of so many sequences with so many tokens each: copying it to the host, hashing it.
	fn trace(&self, sequences: usize, each: usize) -> Result<Value> {
		let decoder = self.model()?.decoder()?;
		let (layers, hidden) = (decoder.layers(), decoder.config().hidden_size as usize);
		let kv_heads = decoder.config().num_key_value_heads as usize;
		let head_dim = decoder.config().head_dim as usize;
		let (rows, device) = (sequences * each, self.gpu.device());
		let streams = (0..=layers).map(|_| Tensor::zeros((rows, hidden), DType::F32, device));
		let streams = streams.collect::<candle_core::Result<Vec<_>>>()?;
		device.synchronize()?;
		let begun = Instant::now();
		let all = Tensor::cat(&streams, 0)?.to_device(&Device::Cpu)?;
		let copy = begun.elapsed().as_secs_f64();
		let stream = |i: usize| all.narrow(0, i * rows, rows);
		let copied = Rows {
			residual: (0..layers).map(stream).collect::<candle_core::Result<_>>()?,
			kv: vec![0; layers * rows * 2 * kv_heads * head_dim],
			norm: stream(layers)?,
			non_finite: vec![false; rows],
		};
		let mut traces = vec![Trace::new(layers); sequences];
		let parts = traces.iter_mut().enumerate();
		let parts = parts.map(|(s, trace)| (trace, s * each..(s + 1) * each)).collect();
		let begun = Instant::now();
		copied.with_trace_rows(|rows| push_all(rows, parts))?;
		Ok(json!({ "copy": copy, "hash": begun.elapsed().as_secs_f64() }))
	}

	/// The same weights on the CPU: each makes an answer that the other has to confirm, with the same trace.
	fn check(&self, tokens: usize, answer: usize) -> Result<Value> {
		let (shape, on_gpu) = self.model.as_ref().context("no model is loaded")?;
		let on_cpu = random(shape, None)?;
		let params = SamplingParams {
			temperature: 1 << 16,
			..SamplingParams::greedy(answer as u32)
		};
		let text = prompt(on_gpu, tokens, 7)?;
		for (executor, verifier, device) in [(on_gpu, &on_cpu, "GPU"), (&on_cpu, on_gpu, "CPU")] {
			let made = execute(executor, &text, &params, [7; 32])?;
			let found = verify_once(verifier, &text, &params, [7; 32], &made.output)?;
			let expected = Finding::Confirm {
				trace_root: made.trace_root,
			};
			ensure!(found == expected, "what the {device} made is not confirmed: {found:?}");
		}
		Ok(json!({ "tokens": 2 * answer }))
	}
}
