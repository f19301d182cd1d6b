//! Migrations of the pallet's storage.

use crate::*;
use assay_primitives::{draw::Member, limits::MAX_MEMBERS};
use codec::{Decode, Encode};
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{ConstU32, Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
	BoundedVec,
};

/// Electorates get their members' least prices: at first all execute at any price.
pub type V1ToV2<T> = VersionedMigration<1, 2, V1ToV2Unchecked<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// [`V1ToV2`] without the check of the version.
pub struct V1ToV2Unchecked<T>(PhantomData<T>);

/// A seal in version 1.
#[derive(Encode, Decode)]
pub(crate) struct OldSeal<AccountId> {
	pub(crate) sealed_at: u32,
	pub(crate) members: BoundedVec<Member<AccountId>, ConstU32<MAX_MEMBERS>>,
}

/// An electorate in version 1.
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

impl<T: Config> UncheckedOnRuntimeUpgrade for V1ToV2Unchecked<T> {
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
}
