//! How far an answer is, by the events so far.

use super::{
	ended,
	verdict::{failed, name, refunded},
	Answer, Assay, Step,
};
use crate::{
	error::ApiError,
	jobs::is_refund,
	network::JobEvent,
	reading::{Parts, Reading},
	request::Wait,
};
use assay_primitives::{chat::call::Call, Balance, FinishReason, Output, Verdict};
use axum::http::StatusCode;

/// How far an answer is. It knows neither time nor network.
pub(super) struct Progress {
	pub(super) assay: Assay,
	reading: Reading,
	pub(super) wait: Wait,
	/// Whether a client gets the draft. Who reads only the whole answer has no use for it.
	pub(super) streams: bool,
	/// The text of this attempt.
	draft: String,
	/// Where the last end of a call was seen.
	call_end: Option<usize>,
	/// The reasoning that was sent.
	sent_reasoning: String,
	/// The text that was sent.
	sent: String,
	/// The attempt that wrote the last of it.
	sent_by: u8,
	/// The calls that were sent.
	sent_calls: Vec<Call>,
	published: Option<Published>,
	/// Steps that are due, the next one last.
	pub(super) pending: Vec<Step>,
}

struct Published {
	parts: Parts,
	finish: FinishReason,
	input_tokens: u32,
	output_tokens: u32,
	/// What a refusal names.
	part: String,
}

impl Progress {
	pub(super) fn new(assay: Assay, reading: Reading, wait: Wait) -> Self {
		Self {
			assay,
			reading,
			wait,
			streams: true,
			draft: String::new(),
			call_end: None,
			sent_reasoning: String::new(),
			sent: String::new(),
			sent_by: 0,
			sent_calls: Vec::new(),
			published: None,
			pending: Vec::new(),
		}
	}

	/// Takes an event. The steps that follow from it are then pending.
	pub(super) fn take(&mut self, event: &JobEvent) {
		let mut steps = Vec::new();
		let taken = match event {
			JobEvent::Drawn { attempt, executor } => {
				self.assay.attempt = *attempt;
				self.assay.executor = Some(executor.clone());
				self.begin();
				Ok(())
			}
			JobEvent::Replaced => {
				self.begin();
				Ok(())
			}
			JobEvent::Text { text, .. } if self.streams => self.grow(text, &mut steps),
			JobEvent::Text { .. } => Ok(()),
			JobEvent::Published { output } => self.publish(output, &mut steps),
			JobEvent::Verdict { verdict, fee } => self.judge(*verdict, *fee, Wait::Verdict, &mut steps),
			JobEvent::Finalized { verdict, fee } => self.judge(*verdict, *fee, Wait::Final, &mut steps),
			JobEvent::Settled { verdict, fee } => self.judge(*verdict, *fee, Wait::Settled, &mut steps),
			JobEvent::Contradiction { what } => {
				self.assay.contradiction = Some(what.clone());
				Ok(())
			}
		};
		if let Err(error) = taken {
			steps.push(Step::Failed(error));
		}
		steps.reverse();
		self.pending = steps;
	}

	/// Begins an attempt.
	fn begin(&mut self) {
		self.draft.clear();
		self.call_end = None;
	}

	fn grow(&mut self, text: &str, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let mut draft = std::mem::take(&mut self.draft);
		draft.push_str(text);
		let sent = self.show(&draft, steps);
		self.draft = draft;
		sent
	}

	/// Sends what of a draft can be shown.
	fn show(&mut self, draft: &str, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let (reasoning, rest) = self.reading.draft(draft);
		self.send_reasoning(reasoning, false, steps)?;
		let Some(notations) = self.reading.notations() else {
			return self.send(rest, false, steps);
		};
		let end = notations.last_end(rest);
		let calls = if end == self.call_end {
			Vec::new()
		} else {
			notations.calls(rest)
		};
		let shown = notations.text(rest);
		self.call_end = end;
		self.send(shown, false, steps)?;
		self.send_calls(calls, steps)
	}

	fn send_reasoning(&mut self, text: &str, complete: bool, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let added = added(&mut self.sent_reasoning, text, complete);
		self.record(added.map(|more| more.map(Step::Reasoning)), steps)
	}

	fn send(&mut self, text: &str, complete: bool, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let added = added(&mut self.sent, text, complete);
		self.record(added.map(|more| more.map(Step::Text)), steps)
	}

	/// Notes what is sent by the attempt that is under way.
	fn record(&mut self, added: Result<Option<Step>, Diverged>, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		if let Some(step) = added.map_err(|Diverged| self.diverged())? {
			self.sent_by = self.assay.attempt;
			steps.push(step);
		}
		Ok(())
	}

	fn send_calls(&mut self, calls: Vec<Call>, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		for (i, call) in calls.into_iter().enumerate() {
			match self.sent_calls.get(i) {
				Some(sent) if *sent == call => {}
				Some(_) => return Err(self.diverged()),
				None => {
					self.sent_calls.push(call.clone());
					self.sent_by = self.assay.attempt;
					steps.push(Step::Call(call));
				}
			}
		}
		Ok(())
	}

	fn diverged(&self) -> ApiError {
		let (code, what) = if self.sent_by == self.assay.attempt {
			(
				"draft_contradicted",
				"the published answer differs from the draft that was sent",
			)
		} else {
			(
				"executor_replaced",
				"the executor was replaced, and the new answer differs from the draft that was sent",
			)
		};
		ApiError::new(
			StatusCode::BAD_GATEWAY,
			code,
			format!("{what}. Discard it: the same request with this `Idempotency-Key` returns the whole answer without paying again"),
		)
	}

	fn publish(&mut self, output: &Output, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let text = String::from_utf8_lossy(&output.text).into_owned();
		let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
		if let FinishReason::Failed(_) = output.finish {
			// Its text names a part of the request, and is no answer. Only the verdict makes it an error. Drafted text may
			// precede it: a model can fail in the middle.
			self.published = Some(Published {
				parts: Parts::default(),
				finish: output.finish,
				input_tokens: output.input_tokens,
				output_tokens: count(output.tokens.len()),
				part: text,
			});
			return self.ended_by_draft(steps);
		}
		let parts = self.reading.split(&text);
		if self.streams {
			if parts.calls.len() < self.sent_calls.len() {
				return Err(self.diverged());
			}
			self.send_reasoning(&parts.reasoning, true, steps)?;
			self.send(&parts.content, true, steps)?;
			self.send_calls(parts.calls.clone(), steps)?;
		}
		self.published = Some(Published {
			parts,
			finish: output.finish,
			input_tokens: output.input_tokens,
			output_tokens: count(output.tokens.len()),
			part: String::new(),
		});
		self.ended_by_draft(steps)
	}

	fn ended_by_draft(&mut self, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		if self.wait == Wait::Draft {
			self.end(steps)?;
		}
		Ok(())
	}

	/// Takes a verdict; `known` is how much is known of it.
	fn judge(&mut self, verdict: Verdict, fee: Balance, known: Wait, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		self.assay.fee = Some(fee.to_string());
		self.assay.verdict = Some(name(&verdict));
		if is_refund(&verdict) {
			return Err(refunded(verdict));
		}
		self.assay.draft = false;
		if known < self.wait {
			return Ok(());
		}
		if verdict == Verdict::Unverified && self.assay.verifiers > 0 {
			return Err(ApiError::new(
				StatusCode::BAD_GATEWAY,
				"answer_unverified",
				"verifiers were asked for and too few have voted, so nobody has confirmed this answer. The same request with \
				 this `Idempotency-Key` and `x-assay-wait: draft` returns it nevertheless, without paying again",
			));
		}
		self.end(steps)
	}

	fn end(&mut self, steps: &mut Vec<Step>) -> Result<(), ApiError> {
		let Some(published) = self.published.take() else {
			return Err(ended().into());
		};
		if let FinishReason::Failed(failure) = published.finish {
			return Err(failed(failure, &published.part));
		}
		steps.push(Step::End(Box::new(Answer {
			parts: published.parts,
			finish: published.finish,
			input_tokens: published.input_tokens,
			output_tokens: published.output_tokens,
			assay: self.assay.clone(),
		})));
		Ok(())
	}
}

/// A text that does not go on with what was sent.
struct Diverged;

/// Adds what a text has more than what was sent, and returns it. A text that is not complete may lag behind, after a change
/// of executors.
fn added(sent: &mut String, text: &str, complete: bool) -> Result<Option<String>, Diverged> {
	match text.strip_prefix(sent.as_str()) {
		Some("") => Ok(None),
		Some(more) => {
			sent.push_str(more);
			Ok(Some(more.into()))
		}
		None if !complete && sent.starts_with(text) => Ok(None),
		None => Err(Diverged),
	}
}
