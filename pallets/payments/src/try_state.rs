//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeMap;
use assay_primitives::Balance;
use frame_support::{ensure, traits::fungible::hold::Inspect as _};
use sp_runtime::TryRuntimeError;

/// What the records say is held in one account.
#[derive(Default)]
struct Sums {
	fees: Balance,
	deposits: Balance,
	objections: Balance,
}

impl<T: Config> Pallet<T> {
	/// Checks that each account's holds are the sums of its records.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut accounts = BTreeMap::<T::AccountId, Sums>::new();
		for record in Escrows::<T>::iter_values() {
			let sums = accounts.entry(record.payer).or_default();
			sums.fees = sums.fees.saturating_add(record.fee_ceiling);
			sums.deposits = sums.deposits.saturating_add(record.deposit);
		}
		for record in Objections::<T>::iter_values() {
			let sums = accounts.entry(record.objector).or_default();
			sums.objections = sums.objections.saturating_add(record.bond);
		}
		for (who, sums) in accounts {
			let held = |reason: HoldReason| T::Currency::balance_on_hold(&reason.into(), &who);
			ensure!(
				held(HoldReason::Fee) == sums.fees,
				"fees on hold are the sum of the records"
			);
			ensure!(
				held(HoldReason::Deposit) == sums.deposits,
				"deposits on hold are the sum of the records"
			);
			ensure!(
				held(HoldReason::Objection) == sums.objections,
				"bonds on hold are the sum of the records"
			);
		}
		Ok(())
	}
}
