//! What one subscriber is told of a job, block by block.

use super::{read_status, JobStatus, Until, LOG_TARGET};
use assay_primitives::{api::AssayApi, JobId};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_runtime::traits::Block as BlockT;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

type Hash = <Block as BlockT>::Hash;

/// Best blocks in a row without the job after which a subscription ends: as long as clients let a transaction live, so that
/// a request which lost its block can come back until then.
pub(super) const MAX_ABSENT_BLOCKS: u32 = 64;

/// What may have changed a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
	/// Nothing: the subscription begins.
	Subscribed,
	/// There is a new best block.
	Best,
	/// More blocks are finalized.
	Finalized,
}

/// A block on the chain that was the best when it was read.
type BlockOf = (BlockNumber, Hash);

/// Follows one job for one subscriber.
pub(super) struct Follower<C> {
	client: Arc<C>,
	job: JobId,
	until: Until,
	/// The job as it was read last.
	known: JobStatus,
	/// The last notification.
	sent: Option<JobStatus>,
	verdict_in: Option<BlockOf>,
	closed_in: Option<BlockOf>,
	/// Best blocks in a row that had no such job.
	absent: u32,
	_permit: OwnedSemaphorePermit,
}

impl<C> Follower<C>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block>,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
{
	/// Follows a job from what it is now. The permit is given back when the follower is dropped.
	pub(super) fn new(client: Arc<C>, now: JobStatus, until: Until, permit: OwnedSemaphorePermit) -> Self {
		Self {
			client,
			job: now.job,
			until,
			known: now,
			sent: None,
			verdict_in: None,
			closed_in: None,
			absent: 0,
			_permit: permit,
		}
	}

	/// Returns the status, if it has changed.
	pub(super) fn next_change(&mut self, event: Event) -> Option<JobStatus> {
		let status = match read_status(&*self.client, self.job) {
			Ok(Some(status)) => {
				self.absent = 0;
				self.verdict_in = self.block(status.verdict_at);
				self.closed_in = self.block(status.closed_at);
				self.known = status.clone();
				status
			}
			Ok(None) => self.without_job(event),
			Err(e) => {
				log::debug!(target: LOG_TARGET, "Job subscription: {e}");
				return None;
			}
		};
		if self.sent.as_ref() == Some(&status) {
			return None;
		}
		self.sent = Some(status.clone());
		Some(status)
	}

	/// Returns the status of a job that the best block does not have. If what the subscriber waits for is on the best chain,
	/// the job was pruned since, and its block will be finalized all the same. Otherwise its request is on another fork and
	/// may come back for some time.
	fn without_job(&mut self, event: Event) -> JobStatus {
		let target = match self.until {
			Until::Verdict => self.verdict_in,
			Until::Settled => self.closed_in,
		};
		if self.on_best_chain(target) {
			self.absent = 0;
		} else if event == Event::Best {
			self.absent = self.absent.saturating_add(1);
		}
		let finalized = self.client.info().finalized_number;
		let is_final =
			|block: Option<BlockOf>| self.on_best_chain(block) && block.is_some_and(|(number, _)| number <= finalized);
		JobStatus {
			finalized: is_final(self.verdict_in),
			closed: is_final(self.closed_in),
			lost: self.absent >= MAX_ABSENT_BLOCKS,
			..self.known.clone()
		}
	}

	fn block(&self, number: Option<BlockNumber>) -> Option<BlockOf> {
		let number = number?;
		Some((number, self.client.hash(number).ok().flatten()?))
	}

	fn on_best_chain(&self, block: Option<BlockOf>) -> bool {
		block.is_some_and(|(number, hash)| self.client.hash(number).ok().flatten() == Some(hash))
	}
}
