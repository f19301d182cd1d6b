//! A sequence: a prompt and its answer, which is generated token by token or compared with a claim.
//!
//! It knows nothing of batches and pages. The scheduler computes the rows of its tokens, any number at a time;
//! [`Sequence::accept`] says what they mean and [`Sequence::conclude`] makes the outcome (`docs/spec/c2.md` §5–7).

mod answer;
mod masks;
mod stop;

use crate::{
	grammar::{Grammar, Mask},
	model::{
		logits::Sampling,
		prompt::{self, Refusal},
	},
	Error, Model, Result,
};
use answer::Answer;
use assay_numerics::{sampler::Sampler, trace::Trace};
use assay_primitives::{
	digest,
	job::{Failure, FinishReason, Output},
	stream::StreamToken,
	Finding, Hash32, TraceRoot, Work,
};
use codec::Encode;
use masks::Masks;
use std::ops::RangeInclusive;

/// The context of a known answer's hash.
pub(crate) const KNOWN_ANSWER: &str = "assay/v2/known-answer";

/// An answer and the trace of how it was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
	/// The answer.
	pub output: Output,
	/// Root over every row.
	pub trace_root: TraceRoot,
}

impl Executed {
	/// Returns one hash of both: what a known-answer test compares.
	pub fn hash(&self) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key(KNOWN_ANSWER);
		hasher.update(&(digest::output_hash(&self.output), self.trace_root).encode());
		*hasher.finalize().as_bytes()
	}
}

/// What a work item results in.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
	/// The answer was generated.
	Executed(Executed),
	/// The claim was checked.
	Verified(Finding),
}

/// A work item after the checks that need no computation.
pub(crate) enum Prepared {
	/// It ends without a row.
	Done(Outcome),
	/// It has rows to compute.
	Sequence(Box<Sequence>),
}

/// A work item that is being computed.
pub(crate) struct Sequence {
	sampler: Sampler,
	/// Tokens of the prompt.
	prompt_len: usize,
	/// Tokens of the prompt that are paid for.
	input_tokens: u32,
	/// The tokens to compute rows of, as far as they are known: the prompt, then the answer so far or the claim.
	tokens: Vec<u32>,
	/// The rows computed so far.
	trace: Trace,
	layers: usize,
	answer: Answer,
	/// The masks of the answer's steps; none if any token may come anywhere.
	masks: Option<Masks>,
	claim: Option<Claim>,
}

/// A claim, and what is known of it without the model.
struct Claim {
	output: Output,
	/// Whether the stop rule ends the answer within the claimed tokens.
	ended: bool,
	/// Whether an honest provider whose model samples the claimed tokens publishes exactly this.
	consistent: bool,
}

/// How a sequence ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
	/// The answer is complete.
	Complete(FinishReason),
	/// A row isn't finite after this many tokens of the answer.
	NonFinite(usize),
	/// No token may come at this position.
	Exhausted(usize),
	/// The token sampled at this position is not the claimed one.
	Mismatch(usize),
	/// All tokens of the claim are the sampled ones.
	Match,
}

/// What computed rows mean for a sequence.
pub(crate) struct StepOutcome {
	/// How many of them go into the trace.
	pub(crate) traced: usize,
	/// How the sequence ends with them; none if it goes on.
	pub(crate) ending: Option<Ending>,
	/// Whether the answer grew by a token.
	pub(crate) grew: bool,
}

impl Sequence {
	/// Checks a work item and renders its prompt. What the model makes of the input alone is an outcome, be it a refusal; an error
	/// says nothing about the claim.
	pub(crate) fn prepare(model: &Model, work: Work) -> Result<Prepared> {
		let Work {
			model: _,
			input,
			params,
			seed,
			claim,
		} = work;
		if !params.is_valid() {
			return Err(Error::Work("a sampling parameter is out of range".into()));
		}
		let chat = prompt::read(&input)?;
		let tokens = match model.prompt_or_refusal(&chat)? {
			Ok(tokens) => tokens,
			Err(refusal) => return refused(model, refusal, 0, claim.as_ref()),
		};
		let (prompt_len, context) = (tokens.len(), model.manifest().context_length() as usize);
		let input_tokens = model.input_tokens(&input, prompt_len);
		if prompt_len >= context {
			return refused(model, Failure::PromptTooLong.into(), input_tokens, claim.as_ref());
		}
		let masks = match Grammar::of(model, &chat)?.and_then(|grammar| grammar.map(Masks::new).transpose()) {
			Ok(masks) => masks,
			Err(part) => return refused(model, Refusal::of_grammar(part), input_tokens, claim.as_ref()),
		};
		let layers = model.layers();
		let mut sequence = Self {
			sampler: Sampler::new(params.temperature, params.top_k, params.min_p, seed),
			prompt_len,
			input_tokens,
			trace: Trace::new(layers),
			layers,
			answer: Answer::new(model, params, context - prompt_len),
			tokens,
			masks,
			claim: None,
		};
		if let Some(claim) = claim {
			sequence.set_claim(claim, model.decoder()?.vocabulary())?;
		}
		Ok(Prepared::Sequence(Box::new(sequence)))
	}

	/// Finds what needs no model: where the stop rule ends the answer, and ids that are no tokens. The tokens behind are never
	/// computed.
	fn set_claim(&mut self, claim: Output, vocabulary: usize) -> Result<()> {
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
		// An honest provider computes no row of the last token. To reject for what comes behind it, its row is in the prefix.
		let computed = self.answer.tokens().len() - usize::from(consistent);
		self.tokens.extend(self.answer.tokens().iter().take(computed));
		self.claim = Some(Claim {
			output: claim,
			ended: finish.is_some(),
			consistent,
		});
		Ok(())
	}

	/// Returns all tokens known so far.
	pub(crate) fn tokens(&self) -> &[u32] {
		&self.tokens
	}

	/// Returns how many tokens have their rows.
	pub(crate) fn computed(&self) -> usize {
		self.trace.rows()
	}

	/// Returns how many tokens are known and have no rows yet.
	pub(crate) fn pending(&self) -> usize {
		self.tokens.len() - self.computed()
	}

	/// Returns how many rows it needs at most.
	pub(crate) fn max_rows(&self) -> usize {
		match self.claim {
			Some(_) => self.tokens.len(),
			None => self.prompt_len + self.answer.max_tokens() - 1,
		}
	}

	/// Returns how many rows at the start sample nothing, so that another sequence's may stand for them.
	pub(crate) fn prompt_only_rows(&self) -> usize {
		self.prompt_len - 1
	}

	/// Returns whether it generates its answer token by token, and has its prompt behind it.
	pub(crate) fn is_decoding(&self) -> bool {
		self.claim.is_none() && self.computed() >= self.prompt_len && self.pending() == 1
	}

	/// Returns whether it checks a claim.
	pub(crate) fn is_verification(&self) -> bool {
		self.claim.is_some()
	}

	/// Returns the rows so far.
	pub(crate) fn trace(&self) -> &Trace {
		&self.trace
	}

	/// Returns the rows so far, to add to.
	pub(crate) fn trace_mut(&mut self) -> &mut Trace {
		&mut self.trace
	}

	/// Goes on behind so many full chunks whose rows others computed: the trace counts them, and has no leaves of theirs.
	pub(crate) fn begin_at(&mut self, chunk: usize) {
		self.restart();
		let unknown = vec![Hash32::default(); 2 * self.layers + 1];
		for _ in 0..chunk {
			self.trace.push_chunk(&unknown);
		}
	}

	/// Returns how many rows the trace of an honest answer has if it is the claimed one; none if no provider that samples the
	/// claimed tokens publishes this claim, whatever the model computes.
	pub(crate) fn claimed_rows(&self) -> Result<Option<RangeInclusive<usize>>> {
		let (Some(claim), all) = (&self.claim, self.tokens.len()) else {
			return Ok(None);
		};
		if claim.ended {
			return Ok(claim.consistent.then_some(all..=all));
		}
		let is_claimed = |finish| Ok::<_, Error>(self.answer.output(self.input_tokens, finish)? == claim.output);
		// Cut off behind the last row, because no token may come; or the row that follows fails.
		if is_claimed(FinishReason::Length)? {
			return Ok(Some(all..=all));
		}
		if !is_claimed(FinishReason::Failed(Failure::NonFinite))? {
			return Ok(None);
		}
		let last = all.saturating_sub(1);
		let first = if self.answer.tokens().is_empty() { 0 } else { last };
		Ok(Some(first..=last))
	}

	/// Returns the last token of the answer and the text that it added.
	pub(crate) fn last_token(&self) -> Option<StreamToken> {
		self.answer.last()
	}

	/// Forgets all rows. Tokens that were sampled stay: they were sampled from finite rows.
	pub(crate) fn restart(&mut self) {
		self.trace = Trace::new(self.layers);
		if let (Some(masks), Some(_)) = (&mut self.masks, &self.claim) {
			masks.restart();
		}
	}

	/// Returns whether a token is sampled from a row: token i from row `prompt_len − 1 + i`, until the answer has ended.
	pub(crate) fn samples(&self, row: usize) -> bool {
		let known = self.answer.tokens().len();
		let rows = match &self.claim {
			Some(claim) => self.prompt_len - 1..self.prompt_len + known - usize::from(claim.ended),
			None => self.prompt_len - 1 + known..self.prompt_len + known,
		};
		rows.contains(&row)
	}

	/// Computes the masks of the next `rows` rows, as far as tokens are sampled from them.
	pub(crate) fn compute_masks(&mut self, rows: usize) {
		let rows = self.computed()..self.computed() + rows;
		let mut steps = rows.filter(|row| self.samples(*row)).map(|row| self.step_of(row));
		let Some(first) = steps.next() else {
			return;
		};
		let steps = first..steps.next_back().unwrap_or(first) + 1;
		if let Some(masks) = &mut self.masks {
			masks.compute(steps, self.answer.tokens());
		}
	}

	/// Returns the position in the answer of the token that a row samples.
	fn step_of(&self, row: usize) -> usize {
		(row + 1).saturating_sub(self.prompt_len)
	}

	/// Returns the tokens that may come at a position of the answer.
	fn mask(&self, step: usize) -> &Mask {
		match &self.masks {
			None => &Mask::All,
			Some(masks) => masks.get(step).unwrap_or(&Mask::Nothing),
		}
	}

	/// Returns how the token of a row is sampled.
	pub(crate) fn sampling(&self, row: usize) -> Sampling<'_> {
		let step = self.step_of(row);
		Sampling {
			sampler: &self.sampler,
			step: step as u32,
			mask: self.mask(step),
		}
	}

	/// Takes the next rows in, in order: which are not finite, and the tokens sampled from those that sample. A row that samples
	/// and has no token counts as not finite.
	pub(crate) fn accept(&mut self, non_finite: &[bool], sampled: &dyn Fn(usize) -> Option<u32>) -> StepOutcome {
		let first = self.computed();
		for (i, non_finite) in non_finite.iter().enumerate() {
			let row = first + i;
			let position = self.step_of(row);
			if *non_finite {
				return StepOutcome::end(i, Ending::NonFinite(position));
			}
			if !self.samples(row) {
				continue;
			}
			let Some(token) = sampled(i) else {
				return if *self.mask(position) == Mask::Nothing {
					StepOutcome::end(i + 1, Ending::Exhausted(position))
				} else {
					StepOutcome::end(i, Ending::NonFinite(position))
				};
			};
			if self.claim.is_some() {
				if self.answer.tokens().get(position).is_some_and(|t| *t != token) {
					return StepOutcome::end(i + 1, Ending::Mismatch(position));
				}
				continue;
			}
			let finish = self.answer.push(token);
			if finish.is_none() {
				self.tokens.push(token);
			}
			return StepOutcome {
				traced: i + 1,
				ending: finish.map(Ending::Complete),
				grew: true,
			};
		}
		let matched = self.claim.is_some() && first + non_finite.len() == self.tokens.len();
		StepOutcome {
			traced: non_finite.len(),
			ending: matched.then_some(Ending::Match),
			grew: false,
		}
	}

	/// Returns the outcome, once the trace has all rows that go into it.
	pub(crate) fn conclude(&mut self, ending: Ending) -> Result<Outcome> {
		let Some(claim) = &self.claim else {
			let finish = match ending {
				Ending::Complete(finish) => finish,
				Ending::Exhausted(_) => FinishReason::Length,
				_ => FinishReason::Failed(Failure::NonFinite),
			};
			return Ok(Outcome::Executed(self.executed(finish)?));
		};
		let root = TraceRoot(self.trace.root());
		let known = self.answer.tokens().len();
		Ok(match ending {
			Ending::Mismatch(position) => finding(false, position, root),
			Ending::NonFinite(position) if position < known || !claim.ended => {
				self.ended_early(position, FinishReason::Failed(Failure::NonFinite), root)?
			}
			Ending::Exhausted(position) => self.ended_early(position, FinishReason::Length, root)?,
			Ending::Match if claim.consistent => finding(true, 0, root),
			// The tokens are right; how the claim goes on or ends behind them is wrong.
			Ending::Match | Ending::NonFinite(_) | Ending::Complete(_) => finding(false, known, root),
		})
	}

	/// Returns the finding of a claim where an honest answer ends after `position` tokens.
	fn ended_early(&mut self, position: usize, finish: FinishReason, root: TraceRoot) -> Result<Outcome> {
		self.answer.truncate(position);
		let honest = self.answer.output(self.input_tokens, finish)?;
		let is_claimed = self.claim.as_ref().is_some_and(|claim| claim.output == honest);
		Ok(finding(is_claimed, position, root))
	}

	fn executed(&self, finish: FinishReason) -> Result<Executed> {
		Ok(Executed {
			output: self.answer.output(self.input_tokens, finish)?,
			trace_root: TraceRoot(self.trace.root()),
		})
	}
}

impl StepOutcome {
	fn end(traced: usize, ending: Ending) -> Self {
		Self {
			traced,
			ending: Some(ending),
			grew: false,
		}
	}
}

/// Returns the outcome of a work item that ends before its first row: no tokens, what the refusal names, and the root of no rows.
/// Any other claim is wrong at once.
fn refused(model: &Model, refusal: Refusal, input_tokens: u32, claim: Option<&Output>) -> Result<Prepared> {
	let too_long = |_| Error::Compute("a refusal outgrew its bounds".into());
	let output = Output {
		input_tokens,
		tokens: Default::default(),
		text: refusal.text.into_bytes().try_into().map_err(too_long)?,
		finish: FinishReason::Failed(refusal.failure),
	};
	let trace_root = TraceRoot(Trace::new(model.layers()).root());
	Ok(Prepared::Done(match claim {
		None => Outcome::Executed(Executed { output, trace_root }),
		Some(claim) => finding(output == *claim, 0, trace_root),
	}))
}

fn finding(confirm: bool, position: usize, root: TraceRoot) -> Outcome {
	Outcome::Verified(if confirm {
		Finding::Confirm { trace_root: root }
	} else {
		Finding::Reject {
			position: position as u32,
			prefix_root: root,
		}
	})
}
