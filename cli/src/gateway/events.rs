//! What happens to a job, in the order that the gateway waits for: views of the newest blocks, and the draft in between.

use super::{
	hub::{Head, Heads},
	journal::Journal,
	payments::Payments,
};
use crate::{
	chain::Job,
	error::CliError,
	stream::{Contradiction, DraftEvent, Drafts, Sources},
};
use assay_gateway::network::{JobEvent, NetworkError};
use assay_primitives::{Balance, JobId, State, Verdict};
use assay_receipt::ChainReceipt;
use futures::stream::{unfold, BoxStream, StreamExt};
use std::{sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// Events that wait for their reader.
const QUEUE: usize = 64;
/// Blocks in a row that may not know a job, before it counts as lost with its block on a fork.
const MAX_MISSING: u32 = 8;
/// How long reading one block may take.
const CALL: Duration = Duration::from_secs(30);

type Sender = mpsc::Sender<Result<JobEvent, NetworkError>>;

/// Follows a job to its end.
pub(super) fn follow(
	job: JobId,
	heads: Heads,
	sources: Option<Sources>,
	journal: Arc<Journal>,
	payments: Arc<Payments>,
) -> BoxStream<'static, Result<JobEvent, NetworkError>> {
	let (out, events) = mpsc::channel(QUEUE);
	let follower = Follower {
		job,
		drafts: sources.map(|sources| Drafts::new(job, sources)),
		journal,
		payments,
		steps: Steps::default(),
		out,
	};
	tokio::spawn(follower.run(heads));
	unfold(events, |mut events| async move {
		events.recv().await.map(|event| (event, events))
	})
	.boxed()
}

/// What was told of a job.
#[derive(Default)]
struct Steps {
	/// The attempt that is under way; 0 if there is none.
	attempt: u8,
	/// The last attempt that was told.
	told: u8,
	published: bool,
	verdict: Option<(Verdict, Balance)>,
	/// The verdict whose block was finalized.
	finalized: Option<(Verdict, Balance)>,
}

impl Steps {
	/// Returns the events that are new in a view of the job.
	fn view(&mut self, job: &Job) -> Vec<JobEvent> {
		let mut events = Vec::new();
		let running = job
			.executor
			.filter(|_| !matches!(job.state, State::Waiting | State::Refunded));
		if self.attempt != 0 && !self.published && (running.is_none() || job.attempt != self.attempt) {
			self.attempt = 0;
			events.push(JobEvent::Replaced);
		}
		if let Some(executor) = running.filter(|_| job.attempt > self.told) {
			(self.attempt, self.told) = (job.attempt, job.attempt);
			events.push(JobEvent::Drawn {
				attempt: job.attempt,
				executor: executor.ss58(),
			});
		}
		if let Some(output) = job.output.as_ref().filter(|_| running.is_some() && !self.published) {
			self.published = true;
			events.push(JobEvent::Published { output: output.clone() });
		}
		events
	}

	/// Returns the verdict, if it is another one than the last.
	fn verdict(&mut self, verdict: Verdict, fee: Balance) -> Option<JobEvent> {
		let told = self.verdict.replace((verdict, fee));
		(told != Some((verdict, fee))).then_some(JobEvent::Verdict { verdict, fee })
	}

	/// Returns that the verdict of a finalized block is finalized, if it is the last that was told.
	fn finalized(&mut self, verdict: Verdict, fee: Balance) -> Option<JobEvent> {
		let known = Some((verdict, fee));
		if self.verdict != known || self.finalized == known {
			return None;
		}
		self.finalized = known;
		Some(JobEvent::Finalized { verdict, fee })
	}
}

struct Follower {
	job: JobId,
	drafts: Option<Drafts>,
	journal: Arc<Journal>,
	payments: Arc<Payments>,
	steps: Steps,
	out: Sender,
}

/// Nobody reads the events any more, or they have ended.
struct Done;

impl Follower {
	async fn run(mut self, mut heads: Heads) {
		let (mut missing, mut seen) = (0u32, None);
		let Some(mut head) = heads.now().await else { return };
		// It ends with the job, whose states all have a deadline, or with its reader.
		loop {
			match timeout(CALL, self.read(&head)).await {
				Ok(Ok(Some(Done))) => return,
				Ok(Ok(None)) => missing = 0,
				Ok(Err(Read::Missing)) if seen != Some(head.at.block_number()) => missing = missing.saturating_add(1),
				Ok(Err(Read::Missing)) => {}
				// The next block is read, or the next connection opened.
				Ok(Err(Read::Failed)) | Err(_) => {}
			}
			seen = Some(head.at.block_number());
			if missing > MAX_MISSING {
				self.payments.lost(self.job);
				let error =
					"the chain does not know the job: a fork has lost it, or it was pruned; the same key finds out";
				let _ = self.out.send(Err(NetworkError::Unreachable(error.into()))).await;
				return;
			}
			head = match self.meanwhile(&mut heads).await {
				Some(head) => head,
				None => return,
			};
		}
	}

	/// Waits for the next block, and passes the draft on in the meantime. None if nobody reads any more.
	async fn meanwhile(&mut self, heads: &mut Heads) -> Option<Head> {
		loop {
			let drafts = self.drafts.as_mut();
			let event = tokio::select! {
				head = heads.next() => return head,
				() = self.out.closed() => return None,
				event = async { match drafts { Some(drafts) => drafts.next().await, None => std::future::pending().await } } => event,
			};
			if self.draft(event).await.is_err() {
				return None;
			}
		}
	}

	async fn draft(&mut self, event: DraftEvent) -> Result<(), Done> {
		match event {
			DraftEvent::Tokens { attempt, tokens } if attempt == self.steps.attempt && !self.steps.published => {
				let text = tokens.iter().map(|token| token.text.as_str()).collect();
				let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
				self.send(JobEvent::Text { tokens: count, text }).await
			}
			// Of an attempt that is over, or of what is published already.
			DraftEvent::Tokens { .. } | DraftEvent::Silent { .. } => Ok(()),
			DraftEvent::Contradiction(proof) => self.contradiction(*proof).await,
		}
	}

	async fn contradiction(&mut self, proof: Contradiction) -> Result<(), Done> {
		if let Err(e) = self.journal.keep_evidence(self.job, &proof.evidence) {
			eprintln!("warning: {e}");
		}
		let what = proof.what.to_owned();
		self.send(JobEvent::Contradiction { what }).await
	}

	async fn send(&self, event: JobEvent) -> Result<(), Done> {
		self.out.send(Ok(event)).await.map_err(|_| Done)
	}

	/// Reads a block: sends what is new, and begins to read the draft of a new attempt. Returns [`Done`] at the end.
	async fn read(&mut self, head: &Head) -> Result<Option<Done>, Read> {
		let Head { chain, at, .. } = head;
		let receipt = chain.receipt(at, self.job).await?;
		let Some(view) = chain.job(at, self.job).await? else {
			return Err(Read::Missing);
		};
		let publishes = !self.steps.published && view.output.is_some();
		for event in self.steps.view(&view) {
			if self.send(event).await.is_err() {
				return Ok(Some(Done));
			}
		}
		if let (Some(drafts), Some(claim)) = (&mut self.drafts, view.claim) {
			match &view.output {
				None if !drafts.reads(claim) => {
					if let Some(execution) = chain.execution(at, self.job).await? {
						drafts.read(&execution);
					}
				}
				Some(output) if publishes => {
					if let Some(proof) = drafts.against(claim, output) {
						if self.contradiction(proof).await.is_err() {
							return Ok(Some(Done));
						}
					}
				}
				_ => {}
			}
		}
		match receipt {
			Some(receipt) => self.receipt(head, &receipt).await,
			None => Ok(None),
		}
	}

	async fn receipt(&mut self, head: &Head, receipt: &ChainReceipt) -> Result<Option<Done>, Read> {
		if let Some(event) = self.steps.verdict(receipt.verdict, receipt.fee) {
			if self.send(event).await.is_err() {
				return Ok(Some(Done));
			}
		}
		// Until it is settled, what is left to tell is that the verdict is finalized.
		if !receipt.is_settled() && self.steps.finalized == self.steps.verdict {
			return Ok(None);
		}
		let finalized = head.chain.finalized().await?;
		let Some(last) = head.chain.receipt(&finalized, self.job).await? else {
			return Ok(None);
		};
		// Only a finalized block ends it: another fork could have ended otherwise.
		let ends = receipt.is_settled() && last.is_settled();
		let (verdict, fee) = (last.verdict, last.fee);
		let replaced = if ends { self.steps.verdict(verdict, fee) } else { None };
		let settled = ends.then_some(JobEvent::Settled { verdict, fee });
		for event in [replaced, self.steps.finalized(verdict, fee), settled]
			.into_iter()
			.flatten()
		{
			if self.send(event).await.is_err() {
				return Ok(Some(Done));
			}
		}
		Ok(ends.then_some(Done))
	}
}

/// Why a block was not read.
enum Read {
	/// It does not know the job.
	Missing,
	/// The node failed, which the next block or the next connection mends.
	Failed,
}

impl From<CliError> for Read {
	fn from(_: CliError) -> Self {
		Self::Failed
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::chain::samples::job;

	fn names(steps: &mut Steps, view: &Job) -> Vec<&'static str> {
		let name = |event: &JobEvent| match event {
			JobEvent::Drawn { .. } => "drawn",
			JobEvent::Replaced => "replaced",
			JobEvent::Published { .. } => "published",
			_ => "other",
		};
		steps.view(view).iter().map(name).collect()
	}

	#[test]
	fn each_event_of_a_job_is_told_once_and_in_order() {
		use State::*;
		let mut steps = Steps::default();
		for (view, expected) in [
			(job(Waiting, 0, &[]), vec![]),
			(job(Executing, 1, &[]), vec!["drawn"]),
			(job(Executing, 1, &[]), vec![]),
			(job(Waiting, 1, &[]), vec!["replaced"]),
			(job(Waiting, 1, &[]), vec![]),
			// The second attempt came and went between two blocks that were read.
			(job(Executing, 3, &[]), vec!["drawn"]),
			(job(Published, 3, &[]), vec!["published"]),
			(job(Voting, 3, &[]), vec![]),
			(job(Window, 3, &[]), vec![]),
			(job(Settled, 3, &[]), vec![]),
		] {
			assert_eq!(names(&mut steps, &view), expected, "{:?}", view.state);
		}
	}

	#[test]
	fn a_verdict_is_finalized_once_and_only_if_it_is_the_last() {
		use Verdict::{Confirmed, Overturned};
		let finalized = |event: Option<JobEvent>| match event {
			Some(JobEvent::Finalized { verdict, fee }) => Some((verdict, fee)),
			Some(other) => panic!("{other:?}"),
			None => None,
		};
		let mut steps = Steps::default();
		assert_eq!(finalized(steps.finalized(Confirmed, 3)), None);
		assert!(steps.verdict(Confirmed, 3).is_some());
		assert_eq!(finalized(steps.finalized(Confirmed, 3)), Some((Confirmed, 3)));
		assert_eq!(finalized(steps.finalized(Confirmed, 3)), None);
		// The best chain has overturned it by now; the finalized one has not yet.
		assert!(steps.verdict(Overturned, 0).is_some());
		assert_eq!(finalized(steps.finalized(Confirmed, 3)), None);
		assert_eq!(finalized(steps.finalized(Overturned, 0)), Some((Overturned, 0)));
	}

	#[test]
	fn a_job_that_is_found_late_is_told_from_its_beginning() {
		let mut steps = Steps::default();
		assert_eq!(names(&mut steps, &job(State::Settled, 2, &[])), ["drawn", "published"]);
		let mut steps = Steps::default();
		names(&mut steps, &job(State::Executing, 1, &[]));
		assert_eq!(names(&mut steps, &job(State::Executing, 2, &[])), ["replaced", "drawn"]);
	}
}
