//! The states of a job and its claim, and every step between them, in one table.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

/// The state of a job: up to the publication of a request, from then on of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum State {
	/// The request waits in its model's queue for an executor.
	#[codec(index = 0)]
	Waiting,
	/// The executor computes.
	#[codec(index = 1)]
	Executing,
	/// The answer is published; the first tranche of seats is not drawn yet.
	#[codec(index = 2)]
	Published,
	/// The drawn seats compute and vote.
	#[codec(index = 3)]
	Voting,
	/// Seats have lapsed; the tranche that replaces them is not drawn yet.
	#[codec(index = 4)]
	Lapsed,
	/// There is a verdict, and whoever knows better may object.
	#[codec(index = 5)]
	Window,
	/// An auditor recomputes.
	#[codec(index = 6)]
	Auditing,
	/// The whole electorate decides.
	#[codec(index = 7)]
	Disputed,
	/// Final: the verdict stands and everybody is paid.
	#[codec(index = 8)]
	Settled,
	/// Final: the claim was false; the requester has its money back.
	#[codec(index = 9)]
	Overturned,
	/// Final: there is no answer; the requester has its money back.
	#[codec(index = 10)]
	Refunded,
}

/// What moves a job from one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
	/// An executor was drawn.
	ExecutorDrawn,
	/// The quoted time in the queue is over.
	QueueTimeOver,
	/// The executor published an answer that seats will check.
	Published,
	/// The executor published an answer that nobody was asked to check.
	PublishedUnchecked,
	/// The executor published nothing in time, and another attempt is left.
	NoOutput,
	/// The last attempt brought no output.
	AttemptsSpent,
	/// A tranche of seats was drawn.
	SeatsDrawn,
	/// Every live seat approved.
	Approved,
	/// Seats did not vote in time, and others replace them.
	SeatsLapsed,
	/// Seats did not vote in time, and no tranche is left.
	TranchesSpent,
	/// A seat or an auditor rejected the claim.
	Rejected,
	/// Somebody objected, with a bond.
	Objected,
	/// The lottery hit, or a certain audit was due, and a seat was drawn.
	AuditDrawn,
	/// The auditor approved.
	AuditApproved,
	/// No auditor voted in time.
	AuditNotDone,
	/// The first round of a dispute did not decide.
	SecondRound,
	/// The electorate overturned the claim.
	Overturned,
	/// The electorate upheld the claim.
	Upheld,
	/// A dispute that a rejection opened stayed undecided: the claim is void.
	Void,
	/// A dispute that an objection opened stayed undecided: the verdict stands.
	Contested,
	/// The window closed.
	WindowClosed,
}

/// One step: in this state, by this trigger, to that state.
pub type Step = (State, Trigger, State);

/// Every step there is. What is not here cannot happen.
pub const STEPS: &[Step] = {
	use State as S;
	use Trigger as T;
	&[
		(S::Waiting, T::ExecutorDrawn, S::Executing),
		(S::Waiting, T::QueueTimeOver, S::Refunded),
		(S::Executing, T::Published, S::Published),
		(S::Executing, T::PublishedUnchecked, S::Window),
		(S::Executing, T::NoOutput, S::Waiting),
		(S::Executing, T::AttemptsSpent, S::Refunded),
		(S::Published, T::SeatsDrawn, S::Voting),
		(S::Voting, T::Approved, S::Window),
		(S::Voting, T::SeatsLapsed, S::Lapsed),
		(S::Voting, T::TranchesSpent, S::Window),
		(S::Voting, T::Rejected, S::Disputed),
		(S::Lapsed, T::SeatsDrawn, S::Voting),
		(S::Lapsed, T::Rejected, S::Disputed),
		(S::Window, T::AuditDrawn, S::Auditing),
		(S::Window, T::Rejected, S::Disputed),
		(S::Window, T::Objected, S::Disputed),
		(S::Window, T::WindowClosed, S::Settled),
		(S::Auditing, T::AuditApproved, S::Window),
		(S::Auditing, T::AuditNotDone, S::Window),
		(S::Auditing, T::Rejected, S::Disputed),
		(S::Auditing, T::Objected, S::Disputed),
		(S::Disputed, T::SecondRound, S::Disputed),
		(S::Disputed, T::Overturned, S::Overturned),
		(S::Disputed, T::Upheld, S::Window),
		(S::Disputed, T::Void, S::Refunded),
		(S::Disputed, T::Contested, S::Window),
	]
};

impl State {
	/// Returns the state after a trigger; none if it cannot happen in this one.
	pub fn after(self, trigger: Trigger) -> Option<Self> {
		STEPS
			.iter()
			.find(|(from, by, _)| (*from, *by) == (self, trigger))
			.map(|(_, _, to)| *to)
	}

	/// Returns whether nothing can happen any more.
	pub fn is_final(self) -> bool {
		matches!(self, Self::Settled | Self::Overturned | Self::Refunded)
	}

	/// Returns whether the claim has a verdict that stands for now.
	pub fn has_verdict(self) -> bool {
		matches!(self, Self::Window | Self::Auditing) || self.is_final()
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	const ALL: [State; 11] = [
		State::Waiting,
		State::Executing,
		State::Published,
		State::Voting,
		State::Lapsed,
		State::Window,
		State::Auditing,
		State::Disputed,
		State::Settled,
		State::Overturned,
		State::Refunded,
	];

	#[test]
	fn no_state_and_trigger_lead_to_two_states() {
		for (i, (from, by, _)) in STEPS.iter().enumerate() {
			let again = STEPS.iter().skip(i + 1).any(|(f, b, _)| (f, b) == (from, by));
			assert!(!again, "{from:?} {by:?}");
		}
	}

	#[test]
	fn final_states_are_left_by_nothing_and_all_others_by_something() {
		for state in ALL {
			let left = STEPS.iter().any(|(from, ..)| *from == state);
			assert_eq!(left, !state.is_final(), "{state:?}");
		}
	}

	#[test]
	fn every_state_is_reached_and_reaches_an_end() {
		let reach = |start: State| {
			let mut seen = vec![start];
			let mut next = 0;
			while let Some(state) = seen.get(next).copied() {
				next += 1;
				for (from, _, to) in STEPS {
					if *from == state && !seen.contains(to) {
						seen.push(*to);
					}
				}
			}
			seen
		};
		assert_eq!(reach(State::Waiting).len(), ALL.len());
		assert!(ALL.iter().all(|state| reach(*state).iter().any(|s| s.is_final())));
	}

	#[test]
	fn every_step_is_what_after_returns_and_no_trigger_leaves_an_end() {
		for (from, by, to) in STEPS {
			assert_eq!(from.after(*by), Some(*to));
			assert!(ALL
				.iter()
				.filter(|state| state.is_final())
				.all(|state| state.after(*by).is_none()));
		}
	}

	#[test]
	fn money_leaves_the_escrow_only_after_a_verdict_or_without_an_answer() {
		let settling: Vec<_> = STEPS.iter().filter(|(.., to)| *to == State::Settled).collect();
		assert_eq!(settling, [&(State::Window, Trigger::WindowClosed, State::Settled)]);
		assert!(STEPS
			.iter()
			.all(|(from, _, to)| *to != State::Overturned || *from == State::Disputed));
	}
}
