//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeMap;
use assay_primitives::Balance;
use frame_support::{ensure, traits::fungible::hold::Inspect as _};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that each payer's holds are the sums of its records.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut sums = BTreeMap::<T::AccountId, (Balance, Balance)>::new();
		for record in Escrows::<T>::iter_values() {
			let (fees, deposits) = sums.entry(record.payer).or_default();
			*fees = fees.saturating_add(record.fee_ceiling);
			*deposits = deposits.saturating_add(record.deposit);
		}
		for (payer, (fees, deposits)) in sums {
			let held = |reason: HoldReason| T::Currency::balance_on_hold(&reason.into(), &payer);
			ensure!(held(HoldReason::Fee) == fees, "fees on hold are the sum of the records");
			ensure!(
				held(HoldReason::Deposit) == deposits,
				"deposits on hold are the sum of the records"
			);
		}
		Ok(())
	}
}
