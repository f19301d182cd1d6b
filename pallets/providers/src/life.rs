//! Signs of life: who runs a node in this session, whatever its engine does.

use crate::*;
use assay_primitives::traits::Validators;
use frame_support::traits::Get;
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Saturating;

/// The part of a session after which a sign of life is due: one in this many. Until then most validators have made a
/// block, which is one.
const DUE_AFTER: u32 = 4;

impl<T: Config> Pallet<T> {
	/// Returns whether a provider has shown a sign of life since a block: a message of its inference key, or a block.
	pub(crate) fn is_alive_since(
		who: &T::AccountId,
		record: &ProviderRecord<BlockNumberFor<T>>,
		since: BlockNumberFor<T>,
	) -> bool {
		record.last_seen.is_some_and(|seen| seen >= since) || SignsOfLife::<T>::get(who).is_some_and(|at| at >= since)
	}

	/// Returns whether a message is due that shows nothing but that a provider's node runs.
	pub(crate) fn is_sign_of_life_due(who: &T::AccountId) -> bool {
		let since = SessionStart::<T>::get();
		let wait = T::Session::session_slots().checked_div(DUE_AFTER).unwrap_or(0);
		if Self::now().saturating_sub(since) < wait.into() {
			return false;
		}
		let record = Providers::<T>::get(who).filter(|record| record.may_validate(&T::Params::get()));
		record.is_some_and(|record| record.key.is_some() && !Self::is_alive_since(who, &record, since))
			&& T::Session::has_keys(who)
	}

	/// Records the first block of its author in this session, which is a sign of life.
	pub(crate) fn note_author() {
		let Some(author) = T::Session::author() else { return };
		if SignsOfLife::<T>::get(&author).is_none_or(|at| at < SessionStart::<T>::get()) {
			Self::do_note_sign_of_life(&author);
		}
	}

	/// Records that a provider's node runs in this block.
	pub(crate) fn do_note_sign_of_life(who: &T::AccountId) {
		if Providers::<T>::contains_key(who) {
			SignsOfLife::<T>::insert(who, Self::now());
		}
	}
}
