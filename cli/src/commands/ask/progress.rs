//! The steps of a job, each reported once.

use crate::{chain::Job, keys::name_of};
use assay_primitives::{receipt::SeatRecord, State};
use assay_receipt::Account;
use serde_json::{json, Value};

/// The name of a step, its text for people, and its facts for programs.
pub(super) type Step = (&'static str, String, Value);

/// The steps of a job that have been reported.
#[derive(Default)]
pub(super) struct JobProgress {
	/// The attempt whose executor was reported.
	attempt: u8,
	failed: bool,
	published: bool,
	seats: usize,
	votes: usize,
	auditors: usize,
	disputed: bool,
	/// Whether what leads to a verdict was reported by another one.
	decided: bool,
}

impl JobProgress {
	/// Returns one that reports only what follows a verdict.
	pub(super) fn after_the_verdict() -> Self {
		Self {
			decided: true,
			..Self::default()
		}
	}

	/// Returns the steps that are new in this view of the job.
	pub(super) fn update(&mut self, job: &Job) -> Vec<Step> {
		let mut steps = Vec::new();
		if !self.decided {
			self.attempts(job, &mut steps);
			self.seats(job, &mut steps);
		}
		let auditors = || job.seats.iter().filter(|seat| seat.is_auditor());
		if auditors().count() > self.auditors {
			self.auditors = auditors().count();
			let who: Vec<_> = auditors().map(|seat| seat.provider).collect();
			let text = format!("auditor drawn: {}", names(&who));
			steps.push(("audited", text, json!({ "auditors": who })));
		}
		if job.state == State::Disputed && !self.disputed {
			self.disputed = true;
			let text = "disputed: the whole electorate recomputes the answer";
			steps.push(("disputed", text.into(), json!({ "due": job.deadline })));
		}
		steps
	}

	fn attempts(&mut self, job: &Job, steps: &mut Vec<Step>) {
		let running = job.executor.filter(|_| job.state != State::Waiting);
		let over = self.attempt != 0 && (running.is_none() || job.attempt != self.attempt);
		if over && !self.failed {
			self.failed = true;
			let text = format!(
				"attempt {} brought no answer: another executor will be drawn",
				self.attempt
			);
			steps.push(("attempt_failed", text, json!({ "attempt": self.attempt })));
		}
		let Some(executor) = running else { return };
		if job.attempt != self.attempt {
			*self = Self {
				attempt: job.attempt,
				..Self::default()
			};
			let text = format!("executor drawn: {}", name_of(&executor));
			let facts = json!({ "attempt": job.attempt, "executor": executor, "claim": job.claim });
			steps.push(("drawn", text, facts));
		}
		if let Some(output) = job.output.as_ref().filter(|_| !self.published) {
			self.published = true;
			let tokens = output.tokens.len();
			let text = format!("answer published, {tokens} tokens, not verified yet");
			steps.push(("published", text, json!({ "tokens": tokens })));
		}
	}

	fn seats(&mut self, job: &Job, steps: &mut Vec<Step>) {
		let verifiers: Vec<&SeatRecord<Account>> = job.seats.iter().filter(|seat| !seat.is_auditor()).collect();
		let new: Vec<Account> = verifiers.iter().skip(self.seats).map(|seat| seat.provider).collect();
		if !new.is_empty() {
			let text = match self.seats {
				0 => format!("verifiers drawn: {}", names(&new)),
				_ => format!("some verifiers were late; drawn for them: {}", names(&new)),
			};
			self.seats = verifiers.len();
			steps.push(("seats_drawn", text, json!({ "verifiers": new })));
		}
		let votes = verifiers.iter().filter(|seat| seat.vote.is_some()).count();
		if votes > self.votes {
			self.votes = votes;
			let text = format!("{votes} of {} seats have voted", verifiers.len());
			steps.push(("voted", text, json!({ "votes": votes, "of": verifiers.len() })));
		}
	}
}

fn names(accounts: &[Account]) -> String {
	accounts.iter().map(name_of).collect::<Vec<_>>().join(", ")
}

/// Says what a job in this state waits for.
pub(super) fn waiting_for(state: State) -> &'static str {
	match state {
		State::Waiting => "waiting for a free provider",
		State::Executing => "the executor computes",
		State::Published => "verifiers are being drawn",
		State::Voting => "the verifiers compute",
		State::Lapsed => "verifiers are being drawn for those who were late",
		State::Window => "waiting until nobody can object any more",
		State::Auditing => "an auditor computes",
		State::Disputed => "the electorate decides",
		State::Settled | State::Overturned | State::Refunded => "it has ended",
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::chain::samples::job;
	use assay_primitives::claim::AUDIT;

	fn names_of(progress: &mut JobProgress, view: &Job) -> Vec<&'static str> {
		progress.update(view).into_iter().map(|(name, ..)| name).collect()
	}

	#[test]
	fn each_step_of_a_job_is_reported_once() {
		use State::*;
		let mut progress = JobProgress::default();
		let fresh = [(1, false), (1, false)];
		for (view, steps) in [
			(job(Waiting, 0, &[]), vec![]),
			(job(Executing, 1, &[]), vec!["drawn"]),
			(job(Executing, 1, &[]), vec![]),
			(job(Published, 1, &[]), vec!["published"]),
			(job(Voting, 1, &fresh), vec!["seats_drawn"]),
			(job(Voting, 1, &[(1, true), (1, false)]), vec!["voted"]),
			(job(Lapsed, 1, &[(1, true), (1, false)]), vec![]),
			(
				job(Voting, 1, &[(1, true), (1, false), (2, false), (2, false)]),
				vec!["seats_drawn"],
			),
			(
				job(Disputed, 1, &[(1, true), (1, false), (2, true), (2, false)]),
				vec!["voted", "disputed"],
			),
		] {
			assert_eq!(names_of(&mut progress, &view), steps, "{:?}", view.state);
		}
	}

	#[test]
	fn a_second_attempt_reports_its_steps_again() {
		use State::*;
		let mut progress = JobProgress::default();
		assert_eq!(names_of(&mut progress, &job(Executing, 1, &[])), ["drawn"]);
		assert_eq!(names_of(&mut progress, &job(Waiting, 1, &[])), ["attempt_failed"]);
		assert!(names_of(&mut progress, &job(Waiting, 1, &[])).is_empty());
		assert_eq!(names_of(&mut progress, &job(Published, 2, &[])), ["drawn", "published"]);
		// The draw of a third one was not seen.
		assert_eq!(
			names_of(&mut progress, &job(Executing, 3, &[])),
			["attempt_failed", "drawn"]
		);
	}

	#[test]
	fn after_the_verdict_only_audits_and_disputes_are_reported() {
		let mut progress = JobProgress::after_the_verdict();
		let votes = [(1, true), (1, true)];
		assert!(names_of(&mut progress, &job(State::Window, 1, &votes)).is_empty());
		let audited = [(1, true), (1, true), (AUDIT, false)];
		assert_eq!(names_of(&mut progress, &job(State::Auditing, 1, &audited)), ["audited"]);
		assert_eq!(
			names_of(&mut progress, &job(State::Disputed, 1, &audited)),
			["disputed"]
		);
	}
}
