//! The removal of receipts: at their requester's wish, or after the retention, and never before their block is
//! finalized.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	traits::{Escrow, FinalizedBlock},
	JobId,
};
use frame_support::{
	ensure,
	pallet_prelude::*,
	traits::Get,
	weights::{Weight, WeightMeter},
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Saturating;

/// Most receipts that one block's idle time prunes.
const MAX_PRUNED_PER_BLOCK: usize = 64;

impl<T: Config> Pallet<T> {
	pub(crate) fn do_prune(who: T::AccountId, id: JobId) -> DispatchResult {
		let Some(receipt) = Receipts::<T>::get(id) else {
			ensure!(!Jobs::<T>::contains_key(id), Error::<T>::NotFinal);
			return Err(Error::<T>::UnknownReceipt.into());
		};
		let now = frame_system::Pallet::<T>::block_number();
		// A stored receipt is final.
		let closed_at = receipt.closed_at.unwrap_or(receipt.verdict_at);
		ensure!(
			receipt.requester == who || Self::is_expired(closed_at, now),
			Error::<T>::StillRetained
		);
		ensure!(Self::is_finalized(closed_at), Error::<T>::NotFinalized);
		T::Escrow::close(&id)?;
		Self::remove(&id, closed_at);
		Ok(())
	}

	fn is_expired(closed_at: BlockNumberFor<T>, now: BlockNumberFor<T>) -> bool {
		closed_at.saturating_add(T::Params::get().retention) < now
	}

	/// Returns whether this chain will keep a block, as far as it knows.
	fn is_finalized(block: BlockNumberFor<T>) -> bool {
		block <= T::Finality::finalized().into()
	}

	fn remove(id: &JobId, closed_at: BlockNumberFor<T>) {
		Receipts::<T>::remove(id);
		Inputs::<T>::remove(id);
		Outputs::<T>::remove(id);
		Leaves::<T>::remove(id);
		Concluded::<T>::remove(closed_at, id);
		Self::deposit_event(Event::Pruned { job: *id });
	}

	/// Prunes expired receipts, oldest first, with the weight that a block has left. Returns the weight used.
	pub(crate) fn prune_expired(now: BlockNumberFor<T>, remaining: Weight) -> Weight {
		let mut meter = WeightMeter::with_limit(remaining);
		if meter.try_consume(T::WeightInfo::idle_block()).is_err() {
			return meter.consumed();
		}
		let mut cursor = PruneFrom::<T>::get();
		let mut left = MAX_PRUNED_PER_BLOCK;
		let may_prune = |block| Self::is_expired(block, now) && Self::is_finalized(block);
		while left > 0 && may_prune(cursor) && meter.try_consume(T::WeightInfo::scan()).is_ok() {
			let expired: Vec<JobId> = Concluded::<T>::iter_key_prefix(cursor).take(left).collect();
			for id in &expired {
				if meter.try_consume(T::WeightInfo::prune()).is_err() {
					PruneFrom::<T>::put(cursor);
					return meter.consumed();
				}
				if let Err(error) = T::Escrow::close(id) {
					log::error!(target: LOG_TARGET, "Job {id}: the escrow could not give the deposit back: {error:?}");
				}
				Self::remove(id, cursor);
			}
			left = left.saturating_sub(expired.len());
			if left > 0 {
				cursor.saturating_inc();
			}
		}
		if cursor != PruneFrom::<T>::get() {
			PruneFrom::<T>::put(cursor);
		}
		meter.consumed()
	}
}
