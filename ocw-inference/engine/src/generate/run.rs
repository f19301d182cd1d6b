//! One run of the model on one prompt: which rows it feeds, what their choices mean, and how it ends.
//!
//! A run knows nothing of batches and pages. The scheduler feeds it rows, however many at a time; [`Run::judge`] says what
//! they mean and [`Run::conclude`] makes the result (`docs/spec/c1-w8.md` §5–7).

use super::{answer::Answer, Executed, Finished, Job};
use crate::{Error, Model, Result};
use assay_numerics::{sampler::Sampler, trace::Trace};
use assay_primitives::{
	job::{Failure, FinishReason, Output},
	TraceRoot, Vote,
};

/// A job that was looked at.
pub(crate) enum Start<'m> {
	/// It ends without a row.
	Done(Finished),
	/// It has rows to compute.
	Run(Box<Run<'m>>),
}

/// A job on its way.
pub(crate) struct Run<'m> {
	sampler: Sampler,
	/// Tokens of the prompt.
	prompt: usize,
	input_tokens: u32,
	/// What is fed, as far as it's known: the prompt, then the answer so far or the claim.
	tokens: Vec<u32>,
	/// The rows fed so far.
	trace: Trace,
	layers: usize,
	answer: Answer<'m>,
	claim: Option<Claim>,
}

/// A claim, and what can be said of it without the model.
struct Claim {
	output: Output,
	/// The stop rule ends the answer with the last of the claimed tokens that are looked at.
	ended: bool,
	/// The claim is what an honest run publishes if it chooses the claimed tokens.
	consistent: bool,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
	/// The answer is made.
	Finish(FinishReason),
	/// The run meets a row that isn't finite after so many tokens.
	Fails(usize),
	/// The run chooses another token here than the claim.
	Differs(usize),
	/// The run chooses all tokens of the claim.
	Follows,
}

/// What some rows mean for a run.
pub(crate) struct Judged {
	/// How many of them go into the trace.
	pub(crate) good: usize,
	/// How the run ends with them; none if it goes on.
	pub(crate) end: Option<End>,
	/// Whether the answer grew by a token.
	pub(crate) grew: bool,
}

impl<'m> Run<'m> {
	/// Looks at a job. An error says nothing about its claim.
	pub(crate) fn start(model: &'m Model, job: Job) -> Result<Start<'m>> {
		let Job {
			input,
			params,
			seed,
			claim,
		} = job;
		if !params.is_valid() {
			return Err(Error::Work("a sampling parameter is out of range".into()));
		}
		let tokens = model.prompt(&input)?;
		if tokens.is_empty() {
			return Err(Error::Work("the prompt has no tokens".into()));
		}
		let context = model.manifest().context_length() as usize;
		let input_tokens = model.input_tokens(&input, tokens.len());
		let layers = model.decoder()?.layers();
		let mut run = Self {
			sampler: Sampler::new(params.temperature, params.top_k, params.min_p, seed),
			prompt: tokens.len(),
			input_tokens,
			trace: Trace::new(layers),
			layers,
			answer: Answer::new(model, params, context.saturating_sub(tokens.len())),
			tokens,
			claim: None,
		};
		if run.answer.limit() == 0 {
			let honest = run.executed(FinishReason::Failed(Failure::PromptTooLong))?;
			return Ok(Start::Done(match claim {
				None => Finished::Executed(honest),
				Some(claim) => vote(honest.output == claim, 0, honest.trace_root),
			}));
		}
		if let Some(claim) = claim {
			run.expect(claim, model.decoder()?.vocabulary())?;
		}
		Ok(Start::Run(Box::new(run)))
	}

	/// What needs no model: where the stop rule ends the answer, and ids that are no tokens. What follows is never run.
	fn expect(&mut self, claim: Output, vocabulary: usize) -> Result<()> {
		let mut finish = None;
		for token in claim.tokens.iter().take_while(|t| (**t as usize) < vocabulary) {
			finish = self.answer.push(*token);
			if finish.is_some() {
				break;
			}
		}
		let consistent = match finish {
			Some(finish) => self.answer.output(self.input_tokens, finish)? == claim,
			None => false,
		};
		// An honest run doesn't feed its last token. To reject for what comes behind it, its row is in the prefix.
		let fed = self.answer.tokens().len() - usize::from(consistent);
		self.tokens.extend(self.answer.tokens().iter().take(fed));
		self.claim = Some(Claim {
			output: claim,
			ended: finish.is_some(),
			consistent,
		});
		Ok(())
	}

	/// All tokens known so far.
	pub(crate) fn tokens(&self) -> &[u32] {
		&self.tokens
	}

	/// Rows done.
	pub(crate) fn done(&self) -> usize {
		self.trace.rows()
	}

	/// Rows that could be computed now.
	pub(crate) fn ready(&self) -> usize {
		self.tokens.len() - self.done()
	}

	/// Rows that it takes at most.
	pub(crate) fn most_rows(&self) -> usize {
		match self.claim {
			Some(_) => self.tokens.len(),
			None => self.prompt + self.answer.limit() - 1,
		}
	}

	/// Rows from the start that choose nothing, so that another run's may stand for them.
	pub(crate) fn silent_rows(&self) -> usize {
		self.prompt - 1
	}

	/// Whether it makes its answer token by token, and no longer reads the prompt.
	pub(crate) fn is_decoding(&self) -> bool {
		self.claim.is_none() && self.done() >= self.prompt && self.ready() == 1
	}

	/// Whether it checks a claim.
	pub(crate) fn is_verification(&self) -> bool {
		self.claim.is_some()
	}

	/// The rows so far.
	pub(crate) fn trace(&self) -> &Trace {
		&self.trace
	}

	/// The rows so far, to add to.
	pub(crate) fn trace_mut(&mut self) -> &mut Trace {
		&mut self.trace
	}

	/// The answer's text so far.
	pub(crate) fn text(&self) -> &str {
		self.answer.text()
	}

	/// Forgets all rows. Tokens that were chosen stay: they were chosen by sound rows.
	pub(crate) fn restart(&mut self) {
		self.trace = Trace::new(self.layers);
	}

	/// Whether a row chooses a token: row `prompt − 1 + i` chooses token i, until the answer has ended.
	pub(crate) fn chooses(&self, row: usize) -> bool {
		let known = self.answer.tokens().len();
		let until = match &self.claim {
			Some(claim) => self.prompt + known - usize::from(claim.ended),
			None => self.prompt + known,
		};
		let from = match &self.claim {
			Some(_) => self.prompt - 1,
			None => self.prompt - 1 + known,
		};
		(from..until).contains(&row)
	}

	/// Who chooses from the logits of a choosing row, and at which step.
	pub(crate) fn chooser(&self, row: usize) -> (&Sampler, u32) {
		(&self.sampler, (row + 1).saturating_sub(self.prompt) as u32)
	}

	/// Judges the next rows, in order: which are bad, and what those that choose have chosen. A row that chooses and has no
	/// choice fails.
	pub(crate) fn judge(&mut self, bad: &[bool], chosen: &dyn Fn(usize) -> Option<u32>) -> Judged {
		let first = self.done();
		for (i, bad) in bad.iter().enumerate() {
			let row = first + i;
			let position = (row + 1).saturating_sub(self.prompt);
			if *bad {
				return Judged::end(i, End::Fails(position));
			}
			if !self.chooses(row) {
				continue;
			}
			let Some(token) = chosen(i) else {
				return Judged::end(i, End::Fails(position));
			};
			if self.claim.is_some() {
				if self.answer.tokens().get(position).is_some_and(|t| *t != token) {
					return Judged::end(i + 1, End::Differs(position));
				}
				continue;
			}
			let finish = self.answer.push(token);
			if finish.is_none() {
				self.tokens.push(token);
			}
			return Judged {
				good: i + 1,
				end: finish.map(End::Finish),
				grew: true,
			};
		}
		let through = self.claim.is_some() && first + bad.len() == self.tokens.len();
		Judged {
			good: bad.len(),
			end: through.then_some(End::Follows),
			grew: false,
		}
	}

	/// The result, once the trace has all rows that go into it.
	pub(crate) fn conclude(&mut self, end: End) -> Result<Finished> {
		let Some(claim) = &self.claim else {
			let finish = match end {
				End::Finish(finish) => finish,
				_ => FinishReason::Failed(Failure::NonFinite),
			};
			return Ok(Finished::Executed(self.executed(finish)?));
		};
		let root = TraceRoot(self.trace.root());
		let known = self.answer.tokens().len();
		Ok(match end {
			End::Differs(position) => vote(false, position, root),
			End::Fails(position) if position < known || !claim.ended => {
				self.answer.rewind(position);
				let finish = FinishReason::Failed(Failure::NonFinite);
				let honest = self.answer.output(self.input_tokens, finish)?;
				vote(honest == claim.output, position, root)
			}
			End::Follows if claim.consistent => vote(true, 0, root),
			// The tokens are right; how the claim goes on or ends behind them is wrong.
			End::Follows | End::Fails(_) | End::Finish(_) => vote(false, known, root),
		})
	}

	fn executed(&self, finish: FinishReason) -> Result<Executed> {
		Ok(Executed {
			output: self.answer.output(self.input_tokens, finish)?,
			trace_root: TraceRoot(self.trace.root()),
		})
	}
}

impl Judged {
	fn end(good: usize, end: End) -> Self {
		Self {
			good,
			end: Some(end),
			grew: false,
		}
	}
}

fn vote(confirm: bool, position: usize, root: TraceRoot) -> Finished {
	Finished::Verified(match confirm {
		true => Vote::Confirm { trace_root: root },
		false => Vote::Reject {
			position: position as u32,
			prefix_root: root,
		},
	})
}
