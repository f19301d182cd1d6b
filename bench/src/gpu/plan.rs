//! What is measured on a graphics card, and how often.

use serde_json::{json, Value};

/// What a measure's samples are turned into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
	/// So many tokens in the sample's seconds.
	Tokens(usize),
	/// Seconds of one part and of another.
	Parts,
}

/// One thing that engines are asked.
#[derive(Clone, Debug)]
pub struct Measure {
	/// Its name in the log of samples.
	pub key: String,
	/// Its name in the table.
	pub label: String,
	/// What an engine is asked.
	pub request: Value,
	/// What becomes of the answer.
	pub unit: Unit,
	/// Repetitions.
	pub repetitions: usize,
	/// Positions that one sequence needs.
	pub positions: usize,
	/// Whether only our engine does it.
	pub ours_only: bool,
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
	/// Repetitions of what takes less than a second.
	pub repetitions: usize,
	/// Repetitions of jobs.
	pub long: usize,
	/// Lengths of prompts.
	pub prompts: &'static [usize],
	/// Sequences at once.
	pub batches: &'static [usize],
	/// Positions before the first step of decoding.
	pub depth: usize,
	/// Steps of one token.
	pub steps: usize,
	/// Tokens in and out of a job.
	pub job: (usize, usize),
	/// Tokens of the answers that card and processor check of each other, for shapes that the processor can bear.
	pub check: usize,
}

impl Scale {
	/// For figures.
	pub const FULL: Self = Self {
		repetitions: 7,
		long: 3,
		prompts: &[512, 2048],
		batches: &[1, 8, 32, 128],
		depth: 128,
		steps: 32,
		job: (128, 256),
		check: 48,
	};
	/// To see that everything works.
	pub const QUICK: Self = Self {
		repetitions: 2,
		long: 1,
		prompts: &[48],
		batches: &[1, 3],
		depth: 40,
		steps: 2,
		job: (40, 6),
		check: 4,
	};

	/// The prompt that prefill's limit is told of.
	pub fn longest(&self) -> usize {
		self.prompts.iter().copied().max().unwrap_or(0)
	}
}

/// Rows of the steps whose trace is taken by itself: those of decoding, and one of a prompt.
pub fn traced(scale: &Scale, rows: usize) -> Vec<(String, usize, usize)> {
	let decoding = scale.batches.iter().map(|batch| (format!("trace-{batch}"), *batch, 1));
	decoding.chain([("trace-prompt".into(), 1, rows)]).collect()
}

/// Everything that is asked about a shape. `rows`: how many rows of prompts the engine puts into a step.
pub fn measures(scale: &Scale, rows: usize) -> Vec<Measure> {
	let mut all = Vec::new();
	let mut prefill = |tokens: usize, whole: bool| {
		let (step, suffix) = if whole { (tokens, "-whole") } else { (rows, "") };
		let how = if whole { " in one step" } else { "" };
		all.push(Measure {
			key: format!("prefill-{tokens}{suffix}"),
			label: format!("prefill, {tokens} tokens{how}"),
			request: json!({ "op": "prefill", "tokens": tokens, "rows": step }),
			unit: Unit::Tokens(tokens),
			repetitions: scale.repetitions,
			positions: tokens + 1,
			ours_only: whole,
		});
	};
	for tokens in scale.prompts {
		prefill(*tokens, false);
	}
	if scale.longest() > rows {
		prefill(scale.longest(), true);
	}
	for batch in scale.batches {
		let Scale { depth, steps, .. } = *scale;
		all.push(Measure {
			key: format!("decode-{batch}"),
			label: format!("decode at depth {depth}, batch {batch}"),
			request: json!({ "op": "decode", "depth": depth, "tokens": steps, "batch": batch }),
			unit: Unit::Tokens(steps * batch),
			repetitions: scale.repetitions,
			positions: depth + steps,
			ours_only: false,
		});
	}
	for (key, sequences, each) in traced(scale, rows) {
		all.push(Measure {
			label: key.clone(),
			key,
			request: json!({ "op": "trace", "sequences": sequences, "rows": each }),
			unit: Unit::Parts,
			repetitions: scale.repetitions,
			positions: 1,
			ours_only: true,
		});
	}
	let (prompt, answer) = scale.job;
	for batch in scale.batches {
		all.push(Measure {
			key: format!("job-{batch}"),
			label: format!("verify ÷ generate, batch {batch}"),
			request: json!({ "op": "job", "prompt": prompt, "answer": answer, "batch": batch }),
			unit: Unit::Parts,
			repetitions: scale.long,
			positions: prompt + answer,
			ours_only: true,
		});
	}
	all
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::collections::HashSet;

	#[test]
	fn every_measure_has_a_name_of_its_own() {
		for scale in [Scale::FULL, Scale::QUICK] {
			let all = measures(&scale, 256);
			let keys: HashSet<_> = all.iter().map(|m| &m.key).collect();
			assert_eq!(keys.len(), all.len());
		}
		let full = measures(&Scale::FULL, 256);
		assert!(full.iter().any(|m| m.key == "prefill-2048-whole" && m.ours_only));
		assert_eq!(full.iter().filter(|m| m.key.starts_with("job-")).count(), 4);
	}
}
