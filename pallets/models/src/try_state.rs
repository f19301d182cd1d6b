//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeMap;
use assay_primitives::Balance;
use frame_support::{ensure, traits::fungible::hold::Inspect as _};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that entries keep to the rules, and that every owner's hold is the sum of its deposits.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut deposits = BTreeMap::<T::AccountId, Balance>::new();
		for (_, record) in Models::<T>::iter() {
			ensure!(
				record.terms.retired == record.retired_at.is_some(),
				"exactly the retired models have a block of retirement"
			);
			ensure!(
				is_name(&record.name) && is_architecture(&record.architecture),
				"names are readable"
			);
			ensure!(record.terms.context_length > 0, "every model has a context");
			ensure!(record.terms.parameters > 0, "every model has a size");
			let sum = deposits.entry(record.terms.owner).or_default();
			*sum = sum.saturating_add(record.deposit);
		}
		for (owner, deposit) in deposits {
			let held = T::Currency::balance_on_hold(&HoldReason::Registration.into(), &owner);
			ensure!(held == deposit, "an owner's hold is the sum of its deposits");
		}
		Ok(())
	}
}
