//! Migrations of the pallet's storage.

use crate::*;
use assay_primitives::{draw::Member, limits::MAX_MEMBERS, traits::Validators};
use codec::{Decode, Encode};
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{ConstU32, Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
	BoundedVec,
};

/// Puts every provider with an active bond among the active ones, and counts this session's validators as alive: what
/// they showed before was not recorded.
pub type V1ToV2<T> = VersionedMigration<1, 2, V1ToV2Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// Electorates get their members' least prices: at first all execute at any price.
pub type V2ToV3<T> = VersionedMigration<2, 3, V2ToV3Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// [`V1ToV2`] without the check of the version.
pub struct V1ToV2Unchecked<T>(PhantomData<T>);

/// [`V2ToV3`] without the check of the version.
pub struct V2ToV3Unchecked<T>(PhantomData<T>);

impl<T: Config> UncheckedOnRuntimeUpgrade for V1ToV2Unchecked<T> {
	fn on_runtime_upgrade() -> Weight {
		let (mut active, mut read) = (ActiveProviders::<T>::get(), 0u64);
		// Until this version, every account with a bond was counted, and there were no more than the list holds.
		for (who, record) in Providers::<T>::iter() {
			read = read.saturating_add(1);
			if record.bond > 0 && !active.contains(&who) {
				let _ = active.try_push(who);
			}
		}
		ActiveProviders::<T>::put(active);
		let sitting = T::Session::sitting();
		for who in &sitting {
			Pallet::<T>::do_note_sign_of_life(who);
		}
		SessionStart::<T>::put(Pallet::<T>::now());
		let alive = sitting.len() as u64;
		T::DbWeight::get().reads_writes(read.saturating_add(alive).saturating_add(2), alive.saturating_add(2))
	}
}

/// A seal in version 2.
#[derive(Encode, Decode)]
pub(crate) struct OldSeal<AccountId> {
	pub(crate) sealed_at: u32,
	pub(crate) members: BoundedVec<Member<AccountId>, ConstU32<MAX_MEMBERS>>,
}

/// An electorate in version 2.
#[derive(Encode, Decode)]
pub(crate) struct OldElectorate<AccountId> {
	pub(crate) in_force: OldSeal<AccountId>,
	pub(crate) next: Option<OldSeal<AccountId>>,
}

impl<AccountId: Ord> From<OldSeal<AccountId>> for Seal<AccountId> {
	fn from(old: OldSeal<AccountId>) -> Self {
		Self {
			sealed_at: old.sealed_at,
			members: old.members,
			least: LeastPricesOf::new(),
		}
	}
}

impl<T: Config> UncheckedOnRuntimeUpgrade for V2ToV3Unchecked<T> {
	fn on_runtime_upgrade() -> Weight {
		let mut electorates = 0u64;
		Electorates::<T>::translate_values(|old: OldElectorate<T::AccountId>| {
			electorates = electorates.saturating_add(1);
			Some(Electorate {
				in_force: old.in_force.into(),
				next: old.next.map(Into::into),
			})
		});
		T::DbWeight::get().reads_writes(electorates.saturating_add(1), electorates)
	}

	#[cfg(feature = "try-runtime")]
	fn post_upgrade(_: alloc::vec::Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
		Pallet::<T>::do_try_state()
	}
}
