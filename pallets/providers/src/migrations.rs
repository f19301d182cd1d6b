//! Changes of the pallet's storage.

use crate::*;
use assay_primitives::traits::Validators;
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
};

/// Puts every provider with an active bond on the roster, and counts this session's validators as alive: what they showed
/// before was not recorded.
pub type ToV2<T> = VersionedMigration<1, 2, RosterAndLife<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// The change of [`ToV2`], which checks the version.
pub struct RosterAndLife<T>(PhantomData<T>);

impl<T: Config> UncheckedOnRuntimeUpgrade for RosterAndLife<T> {
	fn on_runtime_upgrade() -> Weight {
		let (mut roster, mut read) = (Roster::<T>::get(), 0u64);
		// Until this version, every account with a bond was counted, and there were no more than the roster holds.
		for (who, record) in Providers::<T>::iter() {
			read = read.saturating_add(1);
			if record.bond > 0 && !roster.contains(&who) {
				let _ = roster.try_push(who);
			}
		}
		Roster::<T>::put(roster);
		let sitting = T::Session::sitting();
		for who in &sitting {
			Pallet::<T>::do_note_sign_of_life(who);
		}
		SessionStart::<T>::put(Pallet::<T>::now());
		let alive = sitting.len() as u64;
		T::DbWeight::get().reads_writes(read.saturating_add(alive).saturating_add(2), alive.saturating_add(2))
	}

	#[cfg(feature = "try-runtime")]
	fn post_upgrade(_: alloc::vec::Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
		Pallet::<T>::do_try_state()
	}
}
