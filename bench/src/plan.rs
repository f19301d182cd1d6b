//! What is measured, and how often, on the CPU and on a GPU.

use crate::{
	engine::Request,
	entries::{Entry, Program},
	shapes::Shape,
};

/// What engines compute on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Device {
	/// All engines are loaded and take turns, so that whatever else the machine does hits all alike.
	Cpu,
	/// Each engine has the GPU to itself.
	Gpu,
}

/// A limit of the device, of which a measure uses a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
	/// Reading memory.
	Memory,
	/// Multiplying int8.
	Int8,
}

/// One thing that engines are asked; a row of the table if it has a label and its answer is one figure.
#[derive(Clone, Debug)]
pub struct Measure {
	/// Its name in the log of samples.
	pub key: String,
	/// Its name in the table.
	pub label: String,
	/// What an engine is asked.
	pub request: Request,
	/// Tokens whose speed is the figure; none if it is the time or the size itself.
	pub tokens: Option<usize>,
	/// Repetitions.
	pub repetitions: usize,
	/// Whether peers don't do it.
	pub ours_only: bool,
	/// Whether it is drawn too.
	pub drawn: bool,
	/// Of which limits the table shows a share.
	pub limits: &'static [Limit],
}

impl Measure {
	fn new(key: impl Into<String>, label: impl Into<String>, request: Request, repetitions: usize) -> Self {
		Self {
			key: key.into(),
			label: label.into(),
			request,
			tokens: None,
			repetitions,
			ours_only: false,
			drawn: false,
			limits: &[],
		}
	}

	fn ours_only(self) -> Self {
		Self {
			ours_only: true,
			..self
		}
	}

	fn drawn_if(self, drawn: bool) -> Self {
		Self { drawn, ..self }
	}

	fn speed_of(self, tokens: usize) -> Self {
		let tokens = Some(tokens);
		Self { tokens, ..self }
	}

	fn limited_by(self, limits: &'static [Limit]) -> Self {
		Self { limits, ..self }
	}

	/// Whether an engine is asked this: whether it can do it at all (stock candle has no batches), and whether it is there for it.
	pub fn suits(&self, entry: &Entry) -> bool {
		let can = !self.ours_only || entry.is_ours();
		can && match self.request {
			Request::Decode { batch: 1, .. } => true,
			_ if entry.reference => false,
			Request::Decode { .. } => entry.program != Program::Candle,
			Request::Job { batch, temperature, .. } => entry.thorough || batch == 1 && temperature == 0,
			_ => true,
		}
	}

	/// Whether a model of this shape is long and small enough for it.
	pub fn fits(&self, shape: &Shape) -> bool {
		let small = !matches!(self.request, Request::Check { .. }) || shape.suits_cpu();
		small && self.request.positions() <= shape.context
	}
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Scale {
	/// Repetitions of short measures.
	short: usize,
	/// Repetitions of those that take long.
	long: usize,
	/// Lengths of prompts; the last is the longest.
	prompts: &'static [usize],
	/// Depth, batch, steps and repetitions of decoding.
	decode: &'static [(usize, usize, usize, usize)],
	/// Tokens in and out of a job.
	job: (usize, usize),
	/// Jobs at once, temperature and repetitions.
	jobs: &'static [(usize, u32, usize)],
	/// Tokens of the answers that GPU and CPU check of each other.
	check: usize,
}

const CPU: Scale = Scale {
	short: 5,
	long: 3,
	prompts: &[128, 512],
	decode: &[(128, 1, 24, 5), (1024, 1, 24, 3), (128, 8, 12, 3), (128, 32, 12, 3)],
	job: (128, 256),
	jobs: &[(1, 0, 3), (32, 0, 2), (1, 1, 3)],
	check: 0,
};

const CPU_QUICK: Scale = Scale {
	short: 2,
	long: 1,
	decode: &[(128, 1, 4, 2), (1024, 1, 4, 1), (128, 8, 2, 1), (128, 32, 2, 1)],
	job: (32, 16),
	jobs: &[(1, 0, 1), (4, 0, 1), (1, 1, 1)],
	..CPU
};

const GPU: Scale = Scale {
	short: 7,
	long: 3,
	prompts: &[512, 2048],
	decode: &[(128, 1, 32, 7), (128, 8, 32, 7), (128, 32, 32, 7), (128, 128, 32, 7)],
	job: (128, 256),
	jobs: &[(1, 0, 3), (8, 0, 3), (32, 0, 3), (128, 0, 3)],
	check: 48,
};

const GPU_QUICK: Scale = Scale {
	short: 2,
	long: 1,
	prompts: &[48],
	decode: &[(40, 1, 2, 2), (40, 3, 2, 2)],
	job: (40, 6),
	jobs: &[(1, 0, 1), (3, 0, 1)],
	check: 4,
};

/// One run's measures.
pub struct Plan {
	/// What engines compute on.
	pub device: Device,
	/// What the device can do at most: measured before and after the engines. The table's shares are of the last one.
	pub limits: Vec<Measure>,
	/// Asked once after loading. Without it, each speed is measured once more at first, which isn't counted.
	pub warm_up: Option<Request>,
	/// What engines are asked that stay loaded.
	pub measures: Vec<Measure>,
	/// What a new process is asked, in this order.
	pub fresh: Vec<Measure>,
}

impl Plan {
	/// On the CPU.
	pub fn cpu(quick: bool, threads: usize) -> Self {
		let scale = if quick { CPU_QUICK } else { CPU };
		let mut counts = vec![1, threads];
		counts.dedup();
		let limits = |threads| limits(format!("limits-{threads}"), threads, &scale);
		let longest = scale.prompts.last().copied().unwrap_or(0);
		let mut measures = Vec::new();
		for &tokens in scale.prompts {
			let shares: &[Limit] = if tokens == longest { &[Limit::Int8] } else { &[] };
			let measure = prefill(tokens, None, &scale).limited_by(shares);
			measures.push(measure.drawn_if(tokens == longest));
		}
		let (first, last) = (scale.decode.first().copied(), scale.decode.last().copied());
		for &point in scale.decode {
			let shares: &[Limit] = if point.1 == 1 { &[Limit::Memory] } else { &[] };
			let drawn = [first, last].contains(&Some(point));
			measures.push(decode(point).limited_by(shares).drawn_if(drawn));
		}
		measures.extend(scale.jobs.iter().map(|point| job(*point, &scale)));
		measures.push(spot_check(&scale));
		let fresh = |key: &str, label: &str, request| Measure::new(key, label, request, scale.long);
		Self {
			device: Device::Cpu,
			limits: counts.into_iter().map(limits).collect(),
			warm_up: Some(prompt(32, None)),
			measures,
			fresh: vec![
				fresh("load", "load", Request::Load(Default::default())),
				fresh("first", "first token after load", prompt(1, None)),
				fresh("used", "", prompt(512, None)),
				fresh("memory", "peak memory", Request::Memory),
				fresh("hash", "", Request::Hash).ours_only(),
			],
		}
	}

	/// On a GPU, where our engine's scheduler puts at most `max_batched_tokens` tokens of prompts into a step.
	pub fn gpu(quick: bool, max_batched_tokens: usize) -> Self {
		let scale = if quick { GPU_QUICK } else { GPU };
		let longest = scale.prompts.last().copied().unwrap_or(0);
		let of_prompt = |tokens: &usize| prefill(*tokens, Some(max_batched_tokens), &scale).limited_by(&[Limit::Int8]);
		let of_prompt = |tokens| of_prompt(tokens).drawn_if(true);
		let mut measures: Vec<Measure> = scale.prompts.iter().map(of_prompt).collect();
		if longest > max_batched_tokens {
			measures.push(Measure {
				key: format!("prefill-{longest}-whole"),
				label: format!("prefill, {longest} tokens in one step"),
				ours_only: true,
				..prefill(longest, Some(longest), &scale).limited_by(&[Limit::Int8])
			});
		}
		for &point in scale.decode {
			measures.push(decode(point).limited_by(&[Limit::Memory, Limit::Int8]).drawn_if(true));
		}
		let trace = |key: String, sequences, tokens| {
			Measure::new(key, "trace", Request::Trace { sequences, tokens }, scale.short).ours_only()
		};
		for &(_, batch, ..) in scale.decode {
			measures.push(trace(format!("trace-{batch}"), batch, 1));
		}
		measures.push(trace("trace-prompt".into(), 1, max_batched_tokens));
		measures.extend(scale.jobs.iter().map(|point| job(*point, &scale)));
		let (prompt, answer) = (scale.job.0, scale.check);
		let label = "GPU and CPU confirm each other's answers";
		measures.push(Measure::new("check", label, Request::Check { prompt, answer }, 1).ours_only());
		Self {
			device: Device::Gpu,
			limits: vec![limits("limits".into(), 1, &scale)],
			warm_up: None,
			measures,
			fresh: Vec::new(),
		}
	}

	/// The same with fewer repetitions of what engines are asked.
	pub fn repeated_at_most(mut self, repetitions: usize) -> Self {
		for measure in self.measures.iter_mut().chain(&mut self.fresh) {
			measure.repetitions = measure.repetitions.min(repetitions);
		}
		self
	}

	/// The step of the same engine that a measured trace is a part of: seconds by key, and how many steps these are.
	pub fn step_of_trace(&self, sequences: usize, tokens: usize) -> Option<(&str, f64)> {
		self.measures.iter().rev().find_map(|measure| {
			let steps = match measure.request {
				Request::Decode {
					batch, tokens: steps, ..
				} if tokens == 1 && batch == sequences => steps as f64,
				Request::Prefill {
					tokens: all,
					max_batched_tokens: Some(step),
				} if tokens > 1 && step == tokens => all as f64 / step as f64,
				_ => return None,
			};
			Some((measure.key.as_str(), steps))
		})
	}
}

fn limits(key: String, threads: usize, scale: &Scale) -> Measure {
	Measure::new(key, "limits", Request::Limits { threads }, scale.short).ours_only()
}

fn prompt(tokens: usize, max_batched_tokens: Option<usize>) -> Request {
	Request::Prefill {
		tokens,
		max_batched_tokens,
	}
}

fn prefill(tokens: usize, max_batched_tokens: Option<usize>, scale: &Scale) -> Measure {
	let (key, label) = (format!("prefill-{tokens}"), format!("prefill, {tokens} tokens"));
	Measure::new(key, label, prompt(tokens, max_batched_tokens), scale.short).speed_of(tokens)
}

fn decode((depth, batch, tokens, repetitions): (usize, usize, usize, usize)) -> Measure {
	let (key, label) = if batch == 1 {
		(format!("decode-{depth}"), format!("decode at depth {depth}"))
	} else {
		(format!("batch-{batch}"), format!("decode, batch of {batch}"))
	};
	let request = Request::Decode { depth, tokens, batch };
	Measure::new(key, label, request, repetitions).speed_of(tokens * batch)
}

fn job((batch, temperature, repetitions): (usize, u32, usize), scale: &Scale) -> Measure {
	let (prompt, answer) = scale.job;
	let jobs = if batch == 1 {
		"one job".to_owned()
	} else {
		format!("{batch} jobs at once")
	};
	let (suffix, warm) = if temperature == 0 {
		("", String::new())
	} else {
		("-warm", format!(" at temperature {temperature}"))
	};
	let request = Request::Job {
		prompt,
		answer,
		batch,
		temperature,
	};
	let label = format!("verify ÷ generate, {jobs}{warm}");
	Measure::new(format!("job-{batch}{suffix}"), label, request, repetitions).ours_only()
}

fn spot_check(scale: &Scale) -> Measure {
	let (prompt, answer) = scale.job;
	let label = "spot check of one chunk ÷ verification of all";
	Measure::new("spot", label, Request::Spot { prompt, answer }, scale.long).ours_only()
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::HashSet;

	#[test]
	fn every_measure_has_a_name_of_its_own() {
		for plan in [
			Plan::cpu(false, 2),
			Plan::cpu(true, 1),
			Plan::gpu(false, 256),
			Plan::gpu(true, 256),
		] {
			let all = plan.limits.iter().chain(&plan.measures).chain(&plan.fresh);
			let keys: HashSet<_> = all.clone().map(|m| &m.key).collect();
			assert_eq!(keys.len(), all.count());
		}
		let few = Plan::cpu(false, 2).repeated_at_most(2);
		assert!(few.measures.iter().chain(&few.fresh).all(|m| m.repetitions == 2) && few.limits[0].repetitions == 5);
		let full = Plan::gpu(false, 256).measures;
		assert!(full.iter().any(|m| m.key == "prefill-2048-whole" && m.ours_only));
		assert_eq!(full.iter().filter(|m| m.key.starts_with("job-")).count(), 4);
	}
}
