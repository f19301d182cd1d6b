//! The escrow: hold, settle, refund, close.

use crate::*;
use assay_primitives::{economics::Shares, traits::Escrow, Balance, JobId};
use frame_support::{
	ensure,
	storage::with_storage_layer,
	traits::{
		fungible::hold::Mutate as _,
		tokens::{Fortitude, Precision, Restriction},
		Get,
	},
};
use sp_runtime::DispatchResult;

impl<T: Config> Escrow<T::AccountId> for Pallet<T> {
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
		seats: &[T::AccountId],
		owner: &T::AccountId,
	) -> DispatchResult {
		with_storage_layer(|| {
			let mut record = Escrows::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
			let (treasury, pool) = (T::Treasury::get(), T::PoolAccount::get());
			let payments = seats
				.iter()
				.map(|who| (who, shares.seat, Purpose::Verification))
				.chain([
					(executor, shares.executor, Purpose::Execution),
					(owner, shares.royalty, Purpose::Royalty),
					(&treasury, shares.treasury, Purpose::Treasury),
					(&pool, shares.pool, Purpose::Levy),
				]);
			let total = payments
				.clone()
				.try_fold(0, |sum: Balance, (_, amount, _)| sum.checked_add(amount));
			let rest = total
				.and_then(|total| record.fee_ceiling.checked_sub(total))
				.ok_or(Error::<T>::Overdrawn)?;
			let unpaid = payments
				.map(|(to, amount, purpose)| Self::pay_fee(job, &record.payer, to, amount, purpose))
				.fold(0, Balance::saturating_add);
			let returned = rest.saturating_add(unpaid);
			Self::release_fee(&record.payer, returned)?;
			Self::deposit_event(Event::Settled {
				job: *job,
				payer: record.payer.clone(),
				fee: record.fee_ceiling.saturating_sub(returned),
				returned,
			});
			record.fee_ceiling = 0;
			Escrows::<T>::insert(job, record);
			Ok(())
		})
	}

	fn refund(job: &JobId) -> DispatchResult {
		with_storage_layer(|| {
			let mut record = Escrows::<T>::get(job).ok_or(Error::<T>::UnknownJob)?;
			Self::refund_fee(job, &record.payer, record.fee_ceiling)?;
			record.fee_ceiling = 0;
			Escrows::<T>::insert(job, record);
			Ok(())
		})
	}

	fn close(job: &JobId) -> DispatchResult {
		with_storage_layer(|| {
			let EscrowRecord {
				payer,
				fee_ceiling,
				deposit,
			} = Escrows::<T>::take(job).ok_or(Error::<T>::UnknownJob)?;
			// Nothing is left of it once a job is final. If ever there is, it must not stay held forever.
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
	/// Pays from the payer's hold. If `to` can't receive, the treasury gets the amount. Returns what it couldn't receive
	/// either.
	fn pay_fee(job: &JobId, payer: &T::AccountId, to: &T::AccountId, amount: Balance, purpose: Purpose) -> Balance {
		if amount == 0 {
			return 0;
		}
		for to in [to, &T::Treasury::get()] {
			if Self::transfer_held(HoldReason::Fee, payer, to, amount).is_ok() {
				Self::deposit_event(Event::Paid {
					job: *job,
					to: to.clone(),
					amount,
					purpose,
				});
				return 0;
			}
		}
		amount
	}

	/// Moves held money to another account, where it is free.
	pub(crate) fn transfer_held(
		reason: HoldReason,
		from: &T::AccountId,
		to: &T::AccountId,
		amount: Balance,
	) -> DispatchResult {
		with_storage_layer(|| {
			T::Currency::transfer_on_hold(
				&reason.into(),
				from,
				to,
				amount,
				Precision::Exact,
				Restriction::Free,
				Fortitude::Force,
			)
			.map(|_| ())
		})
	}

	/// Releases a part of the held fee ceiling to the payer.
	fn release_fee(payer: &T::AccountId, amount: Balance) -> DispatchResult {
		T::Currency::release(&HoldReason::Fee.into(), payer, amount, Precision::Exact).map(|_| ())
	}

	/// Gives what is left of the held fee ceiling back to the payer of a job that nobody is paid for.
	fn refund_fee(job: &JobId, payer: &T::AccountId, amount: Balance) -> DispatchResult {
		if amount > 0 {
			Self::release_fee(payer, amount)?;
			Self::deposit_event(Event::Refunded {
				job: *job,
				to: payer.clone(),
				amount,
			});
		}
		Ok(())
	}
}
