//! Slashes: who is convicted is suspended at once, and pays later, unless governance cancels it.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	economics::{payout, Fault},
	traits::{Penalties, Pool},
	Balance, ClaimId,
};
use frame_support::{
	traits::{Get, Imbalance},
	BoundedVec,
};
use sp_runtime::{traits::Saturating, DispatchResult};

impl<T: Config> Pallet<T> {
	/// Convicts offenders of a fault and suspends them. `workers` are to be paid a check each, `finders` to share the
	/// bounty, once the slash is taken.
	pub(crate) fn convict(
		claim: ClaimId,
		fault: Fault,
		offenders: Vec<T::AccountId>,
		workers: Vec<T::AccountId>,
		finders: Vec<T::AccountId>,
		seat_fee: Balance,
	) {
		let index = NextConviction::<T>::mutate(|next| {
			let index = *next;
			*next = next.wrapping_add(1);
			index
		});
		for who in &offenders {
			T::Providers::suspend(who);
			Self::deposit_event(Event::Convicted {
				claim,
				provider: who.clone(),
				fault,
				conviction: index,
			});
		}
		let named = offenders
			.len()
			.saturating_add(workers.len())
			.saturating_add(finders.len());
		let named = u16::try_from(named).unwrap_or(u16::MAX);
		Convictions::<T>::insert(
			index,
			Conviction {
				claim,
				fault,
				offenders: BoundedVec::truncate_from(offenders),
				workers: BoundedVec::truncate_from(workers),
				finders: BoundedVec::truncate_from(finders),
				seat_fee,
			},
		);
		let at = Self::now().saturating_add(T::Params::get().slash_delay);
		Self::put_due(Due::Slash(index, named), at);
	}

	/// Takes the slash of a conviction and pays from it those whose work it was.
	pub(crate) fn take_slash(index: u32) {
		let Some(conviction) = Convictions::<T>::take(index) else {
			return;
		};
		let mut taken = CreditOf::<T>::zero();
		for who in &conviction.offenders {
			taken.subsume(T::Providers::slash(who, conviction.fault));
			T::Providers::lift(who);
		}
		let amount = T::Pool::amount(&taken);
		let (workers, finders) = (&conviction.workers, &conviction.finders);
		let bounty = T::Params::get().rates.bounty;
		let paid = payout(
			amount,
			conviction.seat_fee,
			workers.len() as u32,
			bounty,
			finders.len() as u32,
		);
		let fees = workers.iter().map(|who| (who.clone(), paid.fee));
		let bounties = finders.iter().map(|who| (who.clone(), paid.bounty));
		let payments: Vec<_> = fees.chain(bounties).collect();
		T::Pool::distribute(taken, &payments);
		let missing = conviction.seat_fee.saturating_sub(paid.fee);
		if missing > 0 {
			workers.iter().for_each(|who| {
				T::Pool::pay(who, missing);
			});
		}
		Self::deposit_event(Event::SlashTaken {
			conviction: index,
			amount,
		});
	}

	/// Cancels the slash of a conviction: its offenders keep their bonds, and the pool pays the work.
	pub(crate) fn do_cancel_slash(index: u32) -> DispatchResult {
		let conviction = Convictions::<T>::take(index).ok_or(Error::<T>::UnknownConviction)?;
		conviction.offenders.iter().for_each(T::Providers::lift);
		for who in &conviction.workers {
			T::Pool::pay(who, conviction.seat_fee);
		}
		Self::deposit_event(Event::SlashCanceled { conviction: index });
		Ok(())
	}
}
