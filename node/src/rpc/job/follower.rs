//! What is known of one job on the chain, and when those who wait for it have waited to the end.

use super::{
	source::{Head, Source},
	status::{EndReason, JobStatus, JobUpdate, Until},
	Hash,
};
use assay_runtime::BlockNumber;

/// Best blocks in a row without the job after which a subscription ends: as long as clients let a transaction live, so that
/// a request which lost its block can come back until then.
pub(super) const MAX_ABSENT_BLOCKS: u32 = 64;

/// A block on the chain that was the best when it was read.
type BlockOf = (BlockNumber, Hash);

/// What the state of the best block has of a job.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all readings have a job")]
pub(super) enum Reading {
	/// The job.
	Present(JobStatus),
	/// No such job.
	Absent,
	/// It was not read, because only finality has moved or reading failed.
	None,
}

/// Follows one job until those who wait for the same have seen it.
pub(super) struct Follower {
	until: Until,
	/// The best block that it was read in last.
	read_in: Hash,
	/// Whether that block had the job.
	present: bool,
	requested_in: Option<BlockOf>,
	verdict_in: Option<BlockOf>,
	closed_in: Option<BlockOf>,
	/// Best blocks in a row that had no such job.
	absent: u32,
}

impl Follower {
	/// Follows a job from what it is in a best block. Returns its first update too.
	pub(super) fn new(source: &impl Source, head: Head, now: JobStatus, until: Until) -> (Self, JobUpdate) {
		let mut follower = Self {
			until,
			read_in: head.best,
			present: true,
			requested_in: None,
			verdict_in: None,
			closed_in: None,
			absent: 0,
		};
		follower.found(source, &now);
		let update = follower.update_to(now, None);
		(follower, update)
	}

	/// Returns whether the best block's state may have what is not known yet. Of a job whose final state is on the best chain
	/// only finality is missing.
	pub(super) fn needs_reading(&self, source: &impl Source, head: Head) -> bool {
		self.read_in != head.best && !on_best_chain(source, self.closed_in)
	}

	/// Returns what follows from a new head, if that differs from the last update.
	pub(super) fn next(
		&mut self,
		source: &impl Source,
		head: Head,
		reading: Reading,
		last: &JobUpdate,
	) -> Option<JobUpdate> {
		let is_new = self.read_in != head.best;
		let update = match reading {
			Reading::Present(status) => {
				self.read_in = head.best;
				self.found(source, &status);
				self.update_to(status, None)
			}
			Reading::Absent => {
				let ended = self.without_job(source, head, is_new)?;
				self.read_in = head.best;
				self.present = false;
				self.update_to(self.finality(source, head, &last.status), ended)
			}
			Reading::None => self.update_to(self.finality(source, head, &last.status), None),
		};
		(update != *last).then_some(update)
	}

	fn found(&mut self, source: &impl Source, status: &JobStatus) {
		let block = |number: Option<BlockNumber>| number.and_then(|number| Some((number, source.block(number)?)));
		self.present = true;
		self.absent = 0;
		self.requested_in = block(Some(status.requested_at));
		self.verdict_in = block(status.verdict_at);
		self.closed_in = block(status.closed_at);
	}

	/// Returns whether a job ends the subscription that the best block does not have, and why. If what its subscribers wait
	/// for is on the best chain, it was pruned since, and that block will be finalized all the same. If only its request is,
	/// it was pruned before this node saw more. Otherwise its request is on another fork and may come back for some time.
	///
	/// Returns none if the best block changed meanwhile: what was looked up may be of two forks.
	fn without_job(&mut self, source: &impl Source, head: Head, is_new: bool) -> Option<Option<EndReason>> {
		let target = match self.until {
			Until::Verdict => self.verdict_in,
			Until::Settled => self.closed_in,
		};
		let reached = on_best_chain(source, target);
		let requested = on_best_chain(source, self.requested_in);
		if source.head().best != head.best {
			return None;
		}
		if reached {
			self.absent = 0;
			return Some(None);
		}
		if requested {
			return Some(Some(EndReason::Pruned));
		}
		if is_new {
			self.absent = self.absent.saturating_add(1);
		}
		Some((self.absent >= MAX_ABSENT_BLOCKS).then_some(EndReason::Lost))
	}

	/// Returns the status as it was seen last, with what is finalized of it now.
	fn finality(&self, source: &impl Source, head: Head, last: &JobStatus) -> JobStatus {
		let is_final = |number: Option<BlockNumber>, block: Option<BlockOf>| {
			number.is_some_and(|number| number <= head.finalized) && (self.present || on_best_chain(source, block))
		};
		JobStatus {
			finalized: is_final(last.verdict_at, self.verdict_in),
			closed: is_final(last.closed_at, self.closed_in),
			..last.clone()
		}
	}

	fn update_to(&self, status: JobStatus, ended: Option<EndReason>) -> JobUpdate {
		let reached = self.until.is_reached(&status).then_some(EndReason::Final);
		JobUpdate {
			status,
			ended: reached.or(ended),
		}
	}
}

fn on_best_chain(source: &impl Source, block: Option<BlockOf>) -> bool {
	block.is_some_and(|(number, hash)| source.block(number) == Some(hash))
}
