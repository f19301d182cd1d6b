//! What a verification reports.

use super::Reason;
use crate::{Block, Checked};
use alloc::{
	string::{String, ToString},
	vec::Vec,
};
use core::fmt;

/// How a verification ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum Outcome {
	/// From the anchor on, validators with more than two thirds of the votes finalized a block whose state stores this
	/// receipt, and others than the executor have checked the answer.
	Final,
	/// Nothing contradicts the file, but it does not show a final, checked answer.
	NotFinal,
	/// It contradicts itself or its evidence, or the evidence does not begin at the anchor.
	Unverifiable,
}

impl fmt::Display for Outcome {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.pad(match self {
			Self::Final => "FINAL",
			Self::NotFinal => "NOT FINAL",
			Self::Unverifiable => "UNVERIFIABLE",
		})
	}
}

/// A step of a verification, in the order in which they are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
pub enum StepId {
	/// The file can be read.
	File,
	/// Nothing in the receipt contradicts anything else.
	Contents,
	/// Others have checked the answer.
	Verdict,
	/// There is an anchor from which the evidence leads on.
	Anchor,
	/// Each set of validators handed over to the next.
	Handovers,
	/// The last of them finalized the block.
	Justification,
	/// The state of the block stores the receipt.
	State,
	/// Whether anybody may still object.
	Window,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
pub struct Step {
	/// The step.
	pub id: StepId,
	/// Whether it holds.
	pub holds: bool,
	/// What was found, in a sentence.
	pub text: String,
}

/// The result of a verification.
#[derive(Clone, Debug)]
pub struct Report {
	/// How it ended.
	pub outcome: Outcome,
	/// Why it is not final; none if it is.
	pub reason: Option<Reason>,
	/// The steps that were reached.
	pub steps: Vec<Step>,
	/// What the receipt states; none if it is inconsistent.
	pub checked: Option<Checked>,
	/// The age of the anchor in seconds; none if there is no anchor, or it has no time.
	pub anchor_age: Option<u64>,
	/// The finalized block, J; none if none is shown to be.
	pub block: Option<Block>,
	/// Whether nothing about the job can change any more.
	pub settled: bool,
	/// The block before which an objection is possible; none if none is.
	pub objections_until: Option<u32>,
	/// Fields of the receipt, or of the file, that the evidence does not prove.
	pub not_proved: Vec<&'static str>,
	/// What the answer is worth.
	#[cfg(feature = "std")]
	pub assurance: Option<crate::assurance::Worth>,
}

impl Report {
	pub(super) fn new() -> Self {
		Self {
			outcome: Outcome::Final,
			reason: None,
			steps: Vec::new(),
			checked: None,
			anchor_age: None,
			block: None,
			settled: false,
			objections_until: None,
			not_proved: Vec::new(),
			#[cfg(feature = "std")]
			assurance: None,
		}
	}

	/// Reports a step, and goes on only if it holds.
	pub(super) fn step<T>(
		&mut self,
		id: StepId,
		result: Result<T, Reason>,
		text: impl FnOnce(&T) -> String,
	) -> Result<T, Reason> {
		let holds = result.is_ok();
		let text = match &result {
			Ok(value) => text(value),
			Err(reason) => reason.to_string(),
		};
		self.steps.push(Step { id, holds, text });
		result
	}

	/// Takes over a reason, unless an earlier one stands that is not weaker.
	pub(super) fn because(&mut self, reason: Reason) {
		if self.reason.is_some() && reason.outcome() != Outcome::Unverifiable {
			return;
		}
		self.outcome = reason.outcome();
		self.reason = Some(reason);
		if self.outcome == Outcome::Unverifiable {
			// Nobody shall rely on what a file says that contradicts itself.
			(self.block, self.settled, self.objections_until) = (None, false, None);
			self.not_proved = Vec::new();
			#[cfg(feature = "std")]
			{
				self.assurance = None;
			}
		}
	}

	/// Returns the report on a file that could not be read.
	#[cfg(feature = "std")]
	pub fn unreadable(error: &crate::ReadError) -> Self {
		use crate::ReadError;
		let reason = match error {
			ReadError::TooLong(_) => Reason::TooLong,
			ReadError::NotJson(_) => Reason::NotJson,
			ReadError::Format(_) => Reason::Format,
			ReadError::Malformed(_) => Reason::Malformed,
		};
		let mut report = Self::new();
		report.because(reason);
		report.steps.push(Step {
			id: StepId::File,
			holds: false,
			text: std::format!("{reason} ({error})"),
		});
		report
	}
}
