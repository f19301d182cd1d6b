//! What the pallets' offchain workers share: asking the engine, and a log of what was sent lately.

use crate::{
	hash::Hash32,
	host::{self, EnqueueResult, PollResult},
	task::{Answer, Work},
};
use alloc::vec::Vec;
use codec::{Decode, Encode};
use sp_runtime::offchain::storage::StorageValueRef;

/// Blocks after which a message without effect is sent again: a deadline has few blocks, and each one lost delays a
/// verdict.
pub const RESEND_AFTER: u32 = 1;
/// Blocks after which a warning is repeated: an hour.
pub const WARN_AGAIN_AFTER: u32 = 1_200;
/// The most entries in the log of a provider's worker.
const MAX_SENT_LOG: usize = 512;

/// What the engine says of a work item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineReply {
	/// The result.
	Ready(Answer),
	/// It is queued or being computed, or the queue is full.
	Pending,
	/// The engine has no result for it.
	Abstained,
	/// This node has no engine.
	Missing,
}

/// Returns the engine's result of a work item, if it has one. Hands the work over if it is new.
pub fn ask_engine(work: &Work) -> EngineReply {
	match host::poll(&work.id()) {
		PollResult::Ready(answer) => EngineReply::Ready(answer),
		PollResult::Unknown => match host::enqueue(work) {
			EnqueueResult::Abstained => EngineReply::Abstained,
			EnqueueResult::NotAvailable => EngineReply::Missing,
			EnqueueResult::Pending | EnqueueResult::Busy | EnqueueResult::Done => EngineReply::Pending,
		},
		PollResult::Abstained => EngineReply::Abstained,
		PollResult::NotAvailable => EngineReply::Missing,
		PollResult::Pending => EngineReply::Pending,
	}
}

/// Hashes of what one provider's worker has sent or logged, each with its block.
#[derive(Default, Encode, Decode)]
pub struct SentLog(Vec<(Hash32, u32)>);

impl SentLog {
	/// Returns whether this was not sent or logged in the last `pause` blocks, and records it as sent now.
	///
	/// Runs may overlap: only the one that writes the record may send. `log` names the worker, its chain and its
	/// provider.
	pub fn should_send(log: &[u8], what: &impl Encode, now: u32, pause: u32) -> bool {
		let name = sp_crypto_hashing::blake2_256(&what.encode());
		StorageValueRef::persistent(log)
			.mutate::<Self, (), _>(|stored| {
				let stored = stored.ok().flatten().unwrap_or_default();
				stored.record(name, now, pause).ok_or(())
			})
			.is_ok()
	}

	/// Returns the log with a new entry, or `None` if the same was sent less than `pause` blocks ago.
	///
	/// An entry from a later block was made on a fork that is gone.
	fn record(mut self, name: Hash32, now: u32, pause: u32) -> Option<Self> {
		let sent_lately = |at: u32, pause: u32| now.checked_sub(at).is_some_and(|age| age < pause);
		if self.0.iter().any(|(sent, at)| *sent == name && sent_lately(*at, pause)) {
			return None;
		}
		self.0
			.retain(|(sent, at)| *sent != name && sent_lately(*at, WARN_AGAIN_AFTER));
		let surplus = self.0.len().saturating_add(1).saturating_sub(MAX_SENT_LOG);
		self.0.drain(..surplus.min(self.0.len()));
		self.0.push((name, now));
		Some(self)
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_same_is_sent_once_in_a_pause_and_again_on_another_fork() {
		let log = SentLog::default().record([1; 32], 10, 3).expect("new");
		let log = log.record([2; 32], 11, 3).expect("another");
		let again = SentLog(log.0.clone()).record([1; 32], 12, 3);
		assert!(again.is_none());
		assert!(SentLog(log.0.clone()).record([1; 32], 13, 3).is_some());
		assert!(
			SentLog(log.0).record([1; 32], 9, 3).is_some(),
			"block 10 was on a fork that is gone"
		);
	}

	#[test]
	fn the_log_stays_short() {
		let mut log = SentLog::default();
		for i in 0..2 * MAX_SENT_LOG as u32 {
			log = log
				.record(sp_crypto_hashing::blake2_256(&i.to_le_bytes()), 5, 3)
				.expect("new");
		}
		assert_eq!(log.0.len(), MAX_SENT_LOG);
	}
}
