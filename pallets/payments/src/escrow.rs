//! The escrow: hold, settle, refund, restitute, close.

use crate::*;
use assay_primitives::{
	economics::{restitution, Shares},
	traits::Escrow,
	Balance, JobId,
};
use frame_support::{
	ensure,
	storage::with_storage_layer,
	traits::{
		fungible::{hold::Mutate as _, Balanced as _, Credit},
		tokens::{Fortitude, Precision, Restriction},
		Get, Imbalance,
	},
};
use sp_runtime::{DispatchError, DispatchResult};

const LOG_TARGET: &str = "assay::payments";

/// Money that is in no account yet.
pub type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

impl<T: Config> Escrow<T::AccountId> for Pallet<T> {
	type Credit = CreditOf<T>;

	fn hold(job: JobId, payer: &T::AccountId, fee_ceiling: Balance, deposit: Balance) -> DispatchResult {
		with_storage_layer(|| {
			ensure!(!Escrows::<T>::contains_key(job), Error::<T>::AlreadyHeld);
			T::Currency::hold(&HoldReason::Fee.into(), payer, fee_ceiling)?;
			T::Currency::hold(&HoldReason::Deposit.into(), payer, deposit)?;
			Escrows::<T>::insert(
				job,
				EscrowRecord {
					payer: payer.clone(),
					fee_ceiling,
					deposit,
				},
			);
			Self::deposit_event(Event::Held {
				job,
				payer: payer.clone(),
				fee_ceiling,
				deposit,
			});
			Ok(())
		})
	}

	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &T::AccountId,
		verifiers: &[T::AccountId],
		owner: &T::AccountId,
	) -> Result<(), DispatchError> {
		with_storage_layer(|| {
			let record = Escrows::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
			let treasury = T::Treasury::get();
			let payments = verifiers
				.iter()
				.map(|who| (who, shares.verifier, Purpose::Verification))
				.chain([
					(executor, shares.executor, Purpose::Execution),
					(owner, shares.royalty, Purpose::Royalty),
					(&treasury, shares.treasury, Purpose::Treasury),
				]);
			let total = payments
				.clone()
				.try_fold(0, |sum: Balance, (_, amount, _)| sum.checked_add(amount));
			let rest = total
				.and_then(|total| record.fee_ceiling.checked_sub(total))
				.ok_or(Error::<T>::Overdrawn)?;
			for (to, amount, purpose) in payments {
				Self::pay(job, &record.payer, to, amount, purpose)?;
			}
			Self::refund_fee(job, &record.payer, rest)?;
			Escrows::<T>::insert(
				job,
				EscrowRecord {
					fee_ceiling: 0,
					..record
				},
			);
			Ok(())
		})
	}

	fn refund(job: &JobId) -> DispatchResult {
		with_storage_layer(|| {
			let record = Escrows::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
			Self::refund_fee(job, &record.payer, record.fee_ceiling)?;
			Escrows::<T>::insert(
				job,
				EscrowRecord {
					fee_ceiling: 0,
					..record
				},
			);
			Ok(())
		})
	}

	fn restitute(job: &JobId, slashed: Self::Credit, due: Balance) -> Balance {
		let payer = Escrows::<T>::get(job).map(|record| record.payer);
		let due = if payer.is_some() { due } else { 0 };
		let (to_payer, _) = restitution(slashed.peek(), due);
		let (mut for_payer, mut for_treasury) = slashed.split(to_payer);
		let mut got = 0;

		// An account that can't receive loses its part to the other; see "Low Level" in the crate's documentation.
		if let Some(payer) = &payer {
			for_payer = match Self::resolve(payer, for_payer) {
				Ok(amount) => {
					got = amount;
					CreditOf::<T>::zero()
				}
				Err(credit) => credit,
			};
		}
		for_treasury.subsume(for_payer);
		let treasury = T::Treasury::get();
		let mut left = CreditOf::<T>::zero();
		match Self::resolve(&treasury, for_treasury) {
			Ok(0) => {}
			Ok(amount) => Self::deposit_event(Event::Paid {
				job: *job,
				to: treasury,
				amount,
				purpose: Purpose::Slash,
			}),
			Err(credit) => left = credit,
		}
		if let Some(payer) = &payer {
			left = match Self::resolve(payer, left) {
				Ok(amount) => {
					got = got.saturating_add(amount);
					CreditOf::<T>::zero()
				}
				Err(credit) => credit,
			};
		}
		if left.peek() > 0 {
			// Dropping it burns it. A payer with a record exists, so only a chain without a treasury account gets here.
			log::error!(target: LOG_TARGET, "{} of slashed money burned: the treasury can't receive", left.peek());
		}
		if let (Some(to), 1..) = (payer, got) {
			Self::deposit_event(Event::Restituted {
				job: *job,
				to,
				amount: got,
			});
		}
		got
	}

	fn close(job: &JobId) -> DispatchResult {
		with_storage_layer(|| {
			let EscrowRecord {
				payer,
				fee_ceiling,
				deposit,
			} = Escrows::<T>::take(job).ok_or(Error::<T>::UnknownJob)?;
			// Nothing is left of it once a job is concluded. If ever there is, it must not stay held forever.
			Self::refund_fee(job, &payer, fee_ceiling)?;
			T::Currency::release(&HoldReason::Deposit.into(), &payer, deposit, Precision::Exact)?;
			Self::deposit_event(Event::Closed {
				job: *job,
				payer,
				deposit,
			});
			Ok(())
		})
	}
}

impl<T: Config> Pallet<T> {
	/// Pays from the payer's hold. If `to` can't receive, the treasury gets the amount; if it can't either, the payer
	/// does.
	fn pay(job: &JobId, payer: &T::AccountId, to: &T::AccountId, amount: Balance, purpose: Purpose) -> DispatchResult {
		if amount == 0 {
			return Ok(());
		}
		let treasury = T::Treasury::get();
		for to in [to, &treasury] {
			let paid = with_storage_layer(|| {
				T::Currency::transfer_on_hold(
					&HoldReason::Fee.into(),
					payer,
					to,
					amount,
					Precision::Exact,
					Restriction::Free,
					Fortitude::Force,
				)
			});
			if paid.is_ok() {
				Self::deposit_event(Event::Paid {
					job: *job,
					to: to.clone(),
					amount,
					purpose,
				});
				return Ok(());
			}
		}
		Self::refund_fee(job, payer, amount)
	}

	/// Releases a part of the held fee ceiling to the payer.
	fn refund_fee(job: &JobId, payer: &T::AccountId, amount: Balance) -> DispatchResult {
		if amount > 0 {
			T::Currency::release(&HoldReason::Fee.into(), payer, amount, Precision::Exact)?;
			Self::deposit_event(Event::Refunded {
				job: *job,
				to: payer.clone(),
				amount,
			});
		}
		Ok(())
	}

	/// Deposits a credit into an account. Returns the amount, or the credit if the account can't receive it.
	fn resolve(to: &T::AccountId, credit: CreditOf<T>) -> Result<Balance, CreditOf<T>> {
		let amount = credit.peek();
		if amount == 0 {
			return Ok(0);
		}
		T::Currency::resolve(to, credit).map(|()| amount)
	}
}
