//! Reports, the sets that wait for their finalization, and the decision whether finality has stalled.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	finality::{is_quorum, median},
	traits::{FinalityGadget, FinalizedBlock, Validators},
};
use frame_support::{dispatch::DispatchClass, ensure, traits::Get, BoundedVec};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{
	traits::{Saturating, UniqueSaturatedInto, Zero},
	DispatchResult,
};

type SetOf<T> = AuthoritySet<<T as frame_system::Config>::AccountId, BlockNumberFor<T>>;

impl<T: Config> FinalizedBlock for Pallet<T> {
	fn finalized() -> u32 {
		Finalized::<T>::get().unique_saturated_into()
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_report(finalized: BlockNumberFor<T>) -> DispatchResult {
		let at = frame_system::Pallet::<T>::block_number();
		ensure!(finalized < at, Error::<T>::NotYetMade);
		let author = T::Validators::author().ok_or(Error::<T>::UnknownAuthor)?;
		ensure!(
			Reports::<T>::get(&author).is_none_or(|last| last.at != at),
			Error::<T>::AlreadyReported
		);
		Reports::<T>::insert(author, Report { at, finalized });
		Ok(())
	}

	/// Ends a session: learns what is finalized, and forces the next change if finality has stalled. Called in the first
	/// block of the next session, before the session pallet begins it and signals its validators.
	pub fn end_session() {
		let now = frame_system::Pallet::<T>::block_number();
		let params = T::Params::get();
		let mut sets = Self::with_current_set(Sets::<T>::get());
		let reports = Self::recent_reports(now.saturating_sub(params.window));

		let finalized = Self::learn_finalized(&sets, &reports);
		Self::forget_older(&mut sets, finalized);
		let stalled = now.saturating_sub(finalized) > params.max_lag && T::Gadget::can_force_change();
		let in_force = Self::in_force(&sets, finalized).filter(|_| stalled);
		match in_force.filter(|set| is_quorum(Self::of_members(set, &reports).len(), set.members.len())) {
			Some(set) => {
				T::Gadget::force_change(params.delay, finalized, set.id);
				let at = now.saturating_add(params.delay);
				Self::deposit_event(Event::Stalled { finalized, at });
				// What was signaled since is forgotten, and the next set waits for no finalization.
				sets = BoundedVec::new();
				SessionSince::<T>::put(BlockNumberFor::<T>::zero());
			}
			None => SessionSince::<T>::put(now),
		}
		Sets::<T>::put(sets);
	}

	/// Adds the set of the session that ends, if it was signaled at its beginning.
	fn with_current_set(
		mut sets: Signaled<T::AccountId, BlockNumberFor<T>>,
	) -> Signaled<T::AccountId, BlockNumberFor<T>> {
		let id = T::Gadget::set_id();
		if sets.last().is_some_and(|last| last.id == id) {
			return sets;
		}
		if sets.is_full() {
			// Neither the one in force nor the newest.
			sets.remove(1);
		}
		// More validators than that are none: see `MAX_MEMBERS` in the runtime's test of parameters.
		let members = BoundedVec::truncate_from(T::Validators::sitting());
		let since = SessionSince::<T>::get();
		let _ = sets.try_push(AuthoritySet { id, since, members });
		sets
	}

	/// Returns the reports since a block, and removes older ones.
	fn recent_reports(since: BlockNumberFor<T>) -> Vec<(T::AccountId, BlockNumberFor<T>)> {
		let all: Vec<_> = Reports::<T>::iter().take(MAX_REPORTS as usize).collect();
		let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
		let weight = T::WeightInfo::end_session(count);
		frame_system::Pallet::<T>::register_extra_weight_unchecked(weight, DispatchClass::Mandatory);
		let (recent, old): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, report)| report.at >= since);
		old.into_iter().for_each(|(who, _)| Reports::<T>::remove(who));
		recent
			.into_iter()
			.map(|(who, report)| (who, report.finalized))
			.collect()
	}

	/// Returns what the members of a set state.
	fn of_members(set: &SetOf<T>, reports: &[(T::AccountId, BlockNumberFor<T>)]) -> Vec<BlockNumberFor<T>> {
		let own = reports.iter().filter(|(who, _)| set.members.contains(who));
		own.map(|(_, finalized)| *finalized).collect()
	}

	/// Returns the last block that is known to be finalized: the median of what the members of the set in force state, if at
	/// least half of them do. It never goes back.
	fn learn_finalized(
		sets: &Signaled<T::AccountId, BlockNumberFor<T>>,
		reports: &[(T::AccountId, BlockNumberFor<T>)],
	) -> BlockNumberFor<T> {
		let known = Finalized::<T>::get();
		let Some(set) = sets.first() else { return known };
		let stated = Self::of_members(set, reports);
		if stated.len().saturating_mul(2) < set.members.len() {
			return known;
		}
		let finalized = median(stated).unwrap_or(known).max(known);
		Finalized::<T>::put(finalized);
		finalized
	}

	/// Removes the sets before the one in force.
	fn forget_older(sets: &mut Signaled<T::AccountId, BlockNumberFor<T>>, finalized: BlockNumberFor<T>) {
		while sets.get(1).is_some_and(|second| second.since <= finalized) {
			sets.remove(0);
		}
	}

	/// Returns the set in force, of sets of which none is older; none if it may be one that was forgotten.
	fn in_force(sets: &Signaled<T::AccountId, BlockNumberFor<T>>, finalized: BlockNumberFor<T>) -> Option<&SetOf<T>> {
		let first = sets.first().filter(|set| set.since <= finalized)?;
		let is_last_known = sets.get(1).is_none_or(|second| second.id == first.id.saturating_add(1));
		is_last_known.then_some(first)
	}

	/// Checks that sets are in the order of their ids and blocks.
	pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
		let sets = Sets::<T>::get();
		ensure!(
			sets.is_sorted_by(|a, b| a.id < b.id && a.since < b.since),
			"sets are in the order in which they were signaled"
		);
		ensure!(
			Finalized::<T>::get() <= frame_system::Pallet::<T>::block_number(),
			"only what was made is finalized"
		);
		Ok(())
	}
}
