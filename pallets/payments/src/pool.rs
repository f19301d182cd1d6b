//! The pool, money taken from bonds, and the bonds of objections.

use crate::*;
use assay_primitives::{traits::Pool, Balance, ClaimId};
use frame_support::{
	ensure,
	storage::with_storage_layer,
	traits::{
		fungible::{hold::Mutate as _, Balanced as _, Credit, Inspect as _, Mutate as _},
		tokens::{Fortitude, Precision, Preservation},
		Get, Imbalance,
	},
};
use sp_runtime::DispatchResult;

/// Money that is in no account yet.
pub type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

impl<T: Config> Pool<T::AccountId> for Pallet<T> {
	type Credit = CreditOf<T>;

	fn collect(credit: Self::Credit) {
		if credit.peek() == 0 {
			return;
		}
		let pool = T::PoolAccount::get();
		match Self::resolve(&pool, credit) {
			Ok(amount) => Self::deposit_event(Event::Collected { to: pool, amount }),
			Err(credit) => Self::forfeit(credit),
		}
	}

	fn pay(who: &T::AccountId, amount: Balance) -> Balance {
		let pool = T::PoolAccount::get();
		let reach = T::Currency::reducible_balance(&pool, Preservation::Preserve, Fortitude::Polite);
		let amount = amount.min(reach);
		if amount == 0 {
			return 0;
		}
		let paid = with_storage_layer(|| T::Currency::transfer(&pool, who, amount, Preservation::Preserve));
		if paid.is_err() {
			return 0;
		}
		Self::deposit_event(Event::Rewarded {
			to: who.clone(),
			amount,
			source: Source::Pool,
		});
		amount
	}

	fn distribute(credit: Self::Credit, payments: &[(T::AccountId, Balance)]) {
		let mut rest = credit;
		for (to, amount) in payments {
			let (part, left) = rest.split(*amount);
			rest = left;
			match Self::resolve(to, part) {
				Ok(0) => (),
				Ok(amount) => Self::deposit_event(Event::Rewarded {
					to: to.clone(),
					amount,
					source: Source::Bond,
				}),
				Err(part) => rest.subsume(part),
			}
		}
		Self::forfeit(rest);
	}

	fn amount(credit: &Self::Credit) -> Balance {
		credit.peek()
	}

	fn hold_objection(claim: &ClaimId, who: &T::AccountId, bond: Balance) -> DispatchResult {
		with_storage_layer(|| {
			ensure!(!Objections::<T>::contains_key(claim), Error::<T>::AlreadyObjected);
			T::Currency::hold(&HoldReason::Objection.into(), who, bond)?;
			let objector = who.clone();
			Objections::<T>::insert(
				claim,
				ObjectionRecord {
					objector: objector.clone(),
					bond,
				},
			);
			Self::deposit_event(Event::ObjectionHeld {
				claim: *claim,
				objector,
				bond,
			});
			Ok(())
		})
	}

	fn return_objection(claim: &ClaimId) {
		Self::spend_objection(claim, &[], false);
	}

	fn spend_objection(claim: &ClaimId, payments: &[(T::AccountId, Balance)], lost: bool) {
		let Some(ObjectionRecord { objector, bond }) = Objections::<T>::take(claim) else {
			return;
		};
		let mut rest = bond;
		for (to, amount) in payments {
			let amount = (*amount).min(rest);
			if amount == 0 || Self::transfer_held(HoldReason::Objection, &objector, to, amount).is_err() {
				continue;
			}
			rest = rest.saturating_sub(amount);
			Self::deposit_event(Event::Rewarded {
				to: to.clone(),
				amount,
				source: Source::Objection,
			});
		}
		if rest == 0 {
			return;
		}
		let treasury = T::Treasury::get();
		if lost && Self::transfer_held(HoldReason::Objection, &objector, &treasury, rest).is_ok() {
			return Self::deposit_event(Event::Forfeited {
				to: treasury,
				amount: rest,
				source: Source::Objection,
			});
		}
		match T::Currency::release(&HoldReason::Objection.into(), &objector, rest, Precision::BestEffort) {
			Ok(amount) => Self::deposit_event(Event::ObjectionReturned {
				claim: *claim,
				objector,
				amount,
			}),
			// Cannot happen while the holds equal the records.
			Err(error) => log::error!(target: LOG_TARGET, "Claim {claim}: the bond could not be released: {error:?}"),
		}
	}
}

impl<T: Config> Pallet<T> {
	/// Gives money taken from a bond to the treasury, or to the pool if the treasury can't receive it.
	fn forfeit(credit: CreditOf<T>) {
		let mut credit = credit;
		for to in [T::Treasury::get(), T::PoolAccount::get()] {
			credit = match Self::resolve(&to, credit) {
				Ok(0) => return,
				Ok(amount) => {
					return Self::deposit_event(Event::Forfeited {
						to,
						amount,
						source: Source::Bond,
					})
				}
				Err(credit) => credit,
			};
		}
		// Dropping it burns it. Both accounts exist from genesis on, so only a chain without them gets here.
		log::error!(target: LOG_TARGET, "{} of slashed money burned: neither treasury nor pool can receive", credit.peek());
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
