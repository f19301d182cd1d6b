//! The masks of an answer's steps, each computed once and in order, from the tokens before it.

use crate::grammar::{Grammar, Mask, Refused};
use std::{collections::VecDeque, ops::Range};

/// The grammar of an answer with the masks that are to be used next.
pub(super) struct Masks {
	grammar: Grammar,
	/// How many tokens it was given.
	pushed: usize,
	/// The masks of the steps from `first` on.
	masks: VecDeque<Mask>,
	first: usize,
}

impl Masks {
	/// Begins with the mask of the first token; what no token can begin is refused.
	pub(super) fn new(mut grammar: Grammar) -> Result<Self, Refused> {
		let mask = grammar.mask();
		if mask == Mask::Nothing {
			return Err(grammar.part());
		}
		Ok(Self {
			grammar,
			pushed: 0,
			masks: VecDeque::from([mask]),
			first: 0,
		})
	}

	/// Computes the masks of steps that don't have theirs, in order: of each step after those before it.
	pub(super) fn compute(&mut self, steps: Range<usize>, tokens: &[u32]) {
		// Masks before these were used.
		while self.first < steps.start && self.masks.pop_front().is_some() {
			self.first += 1;
		}
		for step in self.first + self.masks.len()..steps.end {
			for token in tokens.get(self.pushed..step).unwrap_or_default() {
				self.grammar.push(*token);
			}
			self.pushed = self.pushed.max(step);
			self.masks.push_back(self.grammar.mask());
		}
	}

	/// Returns the mask of a step, if it was computed.
	pub(super) fn get(&self, step: usize) -> Option<&Mask> {
		self.masks.get(step.checked_sub(self.first)?)
	}

	/// Begins anew, for steps that were computed before.
	pub(super) fn restart(&mut self) {
		self.grammar.restart();
		(self.pushed, self.first) = (0, 0);
		self.masks.clear();
	}
}

#[cfg(test)]
mod tests {
	use crate::{
		generate::run_on,
		scheduler::SchedulerLimits,
		sequence::{Executed, Outcome, Prepared, Sequence},
		Model,
	};
	use assay_primitives::{
		job::{FinishReason, Output},
		Finding, Input, SamplingParams, Work,
	};
	use assay_test_fixtures::{folder, Tiny};

	/// Runs a work item whose masks may cost little, so that no token may come after some.
	fn run(model: &Model, claim: Option<&Output>) -> Outcome {
		// It would have no end within 60 tokens.
		let json = r#"{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":
			{"name":"x","schema":{"type":"array","minItems":60}}}}"#;
		let work = Work {
			model: model.id(),
			input: Input::Chat(json.as_bytes().to_vec().try_into().unwrap()),
			params: SamplingParams {
				temperature: 4 << 16,
				..SamplingParams::greedy(60)
			},
			seed: [1; 32],
			claim: claim.cloned(),
		};
		let Prepared::Sequence(mut sequence) = Sequence::prepare(model, work).unwrap() else {
			panic!("it has rows")
		};
		sequence.masks.as_mut().unwrap().grammar.set_fuel(150);
		let (decoder, limits) = (model.decoder().unwrap().clone(), SchedulerLimits::default());
		run_on(model, decoder, sequence, limits, &mut |_| (), &|| true).unwrap()
	}

	#[test]
	fn an_answer_without_a_next_token_is_cut_off_and_verified_as_such() {
		let model = Model::load(folder(Tiny::default()).path()).unwrap();
		let Outcome::Executed(Executed { output, trace_root }) = run(&model, None) else {
			panic!("an execution ended as a verification")
		};
		let count = output.tokens.len();
		assert!(
			(1..60).contains(&count) && output.finish == FinishReason::Length,
			"{output:?}"
		);
		assert_eq!(
			run(&model, Some(&output)),
			Outcome::Verified(Finding::Confirm { trace_root })
		);
		let changed = |change: &dyn Fn(&mut Vec<u32>)| {
			let mut tokens = output.tokens.to_vec();
			change(&mut tokens);
			Output {
				tokens: tokens.try_into().unwrap(),
				..output.clone()
			}
		};
		let longer = changed(&|tokens| tokens.push(u32::from(b'x')));
		let shorter = changed(&|tokens| {
			tokens.pop();
		});
		for (claim, position) in [(longer, count), (shorter, count - 1)] {
			let found = run(&model, Some(&claim));
			let Outcome::Verified(Finding::Reject { position: at, .. }) = found else {
				panic!("{found:?}")
			};
			assert_eq!(at as usize, position);
		}
	}
}
