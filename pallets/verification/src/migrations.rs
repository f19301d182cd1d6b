//! Changes of the pallet's storage.

use crate::*;
use core::marker::PhantomData;
use frame_support::{
	migrations::VersionedMigration,
	traits::{Get, UncheckedOnRuntimeUpgrade},
	weights::Weight,
};

/// Counts the open claims of each executor. There are at most as many as the chain lets wait, so one block does it.
pub type V1ToV2<T> = VersionedMigration<1, 2, CountClaims<T>, Pallet<T>, <T as frame_system::Config>::DbWeight>;

/// The change of [`V1ToV2`], which checks the version.
pub struct CountClaims<T>(PhantomData<T>);

impl<T: Config> UncheckedOnRuntimeUpgrade for CountClaims<T> {
	fn on_runtime_upgrade() -> Weight {
		let mut claims = 0u64;
		for claim in Claims::<T>::iter_values() {
			claims = claims.saturating_add(1);
			ClaimCount::<T>::mutate(&claim.record.executor, |open| *open = open.saturating_add(1));
		}
		T::DbWeight::get().reads_writes(claims.saturating_mul(2), claims)
	}

	#[cfg(feature = "try-runtime")]
	fn post_upgrade(_: Vec<u8>) -> Result<(), sp_runtime::TryRuntimeError> {
		Pallet::<T>::do_try_state()
	}
}
