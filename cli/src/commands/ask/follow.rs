//! A job from its request to its verdict, and on to finality: its steps, and the draft of its answer.

use super::progress::{waiting_for, JobProgress};
use crate::{
	chain::{At, Chain, Job},
	commands::Context,
	error::CliError,
	output::STALL_SECONDS,
	render,
	stream::{Contradiction, DraftEvent, Drafts},
};
use assay_primitives::{JobId, Verdict};
use assay_receipt::ChainReceipt;
use const_hex::encode_prefixed;
use serde_json::{json, Value};
use std::time::Duration;

/// Blocks in a row that may fail to be read: a reorganization can drop a block while it is read.
const MAX_READ_FAILURES: u32 = 5;

/// What a job came to.
pub(in crate::commands) struct Followed {
	/// The block that shows the verdict.
	pub(in crate::commands) at: At,
	/// The draft, as far as it was shown; empty if none was.
	pub(in crate::commands) draft: String,
	/// What is proved against an executor.
	pub(in crate::commands) contradiction: Option<Contradiction>,
}

/// Follows a job on the best chain until it has a verdict.
pub(in crate::commands) async fn follow(
	cx: &Context,
	job: JobId,
	t_max: u32,
	drafts: Option<Drafts>,
) -> Result<Followed, CliError> {
	let chain = cx.chain().await?;
	let mut blocks = chain.best_blocks().await?;
	let mut follower = Follower::new(cx, drafts);
	let mut failures = 0u32;
	let mut seen = 0u32;
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let read = match follower.meanwhile(next).await {
			Err(_) => {
				cx.report
					.warn(&format!("no new block for {STALL_SECONDS} s: the chain is stalled"));
				continue;
			}
			Ok(Err(e)) => Err(e),
			Ok(Ok(at)) => match (chain.receipt(&at, job).await, chain.job(&at, job).await) {
				(Ok(receipt), Ok(view)) => Ok((at, receipt, view)),
				(Err(e), _) | (_, Err(e)) => Err(e),
			},
		};
		let (at, receipt, view) = match read {
			Ok(read) => read,
			Err(e) if failures >= MAX_READ_FAILURES => return Err(e),
			Err(_) => {
				failures = failures.saturating_add(1);
				continue;
			}
		};
		failures = 0;
		seen = seen.saturating_add(1);
		if let Some(view) = &view {
			follower.view(chain, &at, view).await;
		}
		if let Some(receipt) = receipt {
			let (text, facts) = verdict(&receipt);
			cx.report.step("verdict", &text, facts);
			return Ok(Followed {
				at,
				draft: follower.shown,
				contradiction: follower.contradiction,
			});
		}
		// t_max counts from the request; a job that is over it, or lost with its block, does not come back by waiting.
		if seen > t_max.saturating_add(20) {
			return Err(CliError::NotFound(format!(
				"it has no verdict after {seen} blocks, so a fork may have lost the request"
			)));
		}
	}
}

/// Shows what happens to a job.
struct Follower<'a> {
	cx: &'a Context,
	progress: JobProgress,
	drafts: Option<Drafts>,
	/// The draft of the present attempt, as far as it was shown.
	shown: String,
	/// The attempt that is shown.
	attempt: u8,
	contradiction: Option<Contradiction>,
}

impl<'a> Follower<'a> {
	fn new(cx: &'a Context, drafts: Option<Drafts>) -> Self {
		Self {
			cx,
			progress: JobProgress::default(),
			drafts,
			shown: String::new(),
			attempt: 0,
			contradiction: None,
		}
	}

	/// Waits for something, and shows the draft in the meantime.
	async fn meanwhile<T>(&mut self, until: impl std::future::Future<Output = T>) -> T {
		tokio::pin!(until);
		loop {
			let Some(drafts) = &mut self.drafts else {
				return until.await;
			};
			let event = tokio::select! {
				done = &mut until => return done,
				event = drafts.next() => event,
			};
			self.draft(event);
		}
	}

	fn draft(&mut self, event: DraftEvent) {
		let report = &self.cx.report;
		match event {
			DraftEvent::Tokens { attempt, tokens } => {
				if attempt != self.attempt {
					self.shown.clear();
					self.attempt = attempt;
				}
				let text: String = tokens.iter().map(|token| token.text.as_str()).collect();
				report.draft(attempt, &text, tokens.len());
				self.shown.push_str(&text);
			}
			DraftEvent::Silent { attempt, reason } => {
				let text = format!("no draft is shown, the answer comes when it is published ({reason})");
				report.step("no_draft", &text, json!({ "attempt": attempt, "reason": reason }));
			}
			DraftEvent::Contradiction(proof) => self.contradicted(*proof),
		}
	}

	fn contradicted(&mut self, proof: Contradiction) {
		self.cx.report.warn(&format!(
			"{}: a saved receipt (--save) keeps both with their signatures",
			proof.what
		));
		self.contradiction = Some(proof);
	}

	/// Reports what is new in a view of the job, and reads the draft of a new attempt.
	async fn view(&mut self, chain: &Chain, at: &At, view: &Job) {
		for (name, text, facts) in self.progress.update(view) {
			self.cx.report.step(name, &text, facts);
		}
		self.cx.report.waiting(waiting_for(view.state));
		let (Some(drafts), Some(claim)) = (&mut self.drafts, view.claim) else {
			return;
		};
		match &view.output {
			// A draft of what is published already is of no use.
			None if !drafts.reads(claim) => {
				// If there is none, or an error, the next block asks again.
				if let Ok(Some(execution)) = chain.execution(at, view.id).await {
					drafts.read(&execution);
				}
			}
			None => {}
			Some(output) if self.contradiction.is_none() => {
				if let Some(proof) = drafts.against(claim, output) {
					self.contradicted(proof);
				}
			}
			Some(_) => {}
		}
	}
}

fn verdict(receipt: &ChainReceipt) -> (String, Value) {
	let verdict = render::verdict(receipt.verdict);
	let agreeing = receipt.claim.as_ref().map_or(0, |claim| claim.approvals().count());
	let text = match receipt.verdict {
		Verdict::Confirmed | Verdict::Unverified => {
			format!(
				"verdict in block {}: {verdict}, {agreeing} seats agree",
				receipt.verdict_at
			)
		}
		_ => format!("verdict in block {}: {verdict}", receipt.verdict_at),
	};
	(
		text,
		json!({ "verdict": verdict, "agreeing": agreeing, "block": receipt.verdict_at }),
	)
}

/// Waits until a finalized block has the verdict, or the settlement; returns that block.
pub(in crate::commands) async fn finality(cx: &Context, job: JobId, settled: bool) -> Result<At, CliError> {
	let chain = cx.chain().await?;
	let mut blocks = chain.finalized_blocks().await?;
	let mut progress = JobProgress::after_the_verdict();
	cx.report.waiting("waiting until the verdict is final");
	loop {
		let next = tokio::time::timeout(Duration::from_secs(STALL_SECONDS), chain.next(&mut blocks));
		let Ok(at) = next.await else {
			cx.report.warn(&format!("nothing was finalized for {STALL_SECONDS} s"));
			continue;
		};
		let at = at?;
		let receipt = chain.receipt(&at, job).await?;
		if receipt.as_ref().is_some_and(|receipt| receipt.is_settled() || !settled) {
			let facts = json!({ "block": at.block_number(), "hash": encode_prefixed(at.block_hash()) });
			cx.report
				.step("finalized", &format!("final with block {}", at.block_number()), facts);
			return Ok(at);
		}
		if let Some(view) = chain.job(&at, job).await?.filter(|_| settled) {
			for (name, text, facts) in progress.update(&view) {
				cx.report.step(name, &text, facts);
			}
			cx.report.waiting(waiting_for(view.state));
		}
	}
}
