//! What faults in inference cost: fines, slashes and suspensions. None of them touches the validators.

use crate::*;
use assay_primitives::{economics::Fault, rules::LAPSES_TO_UNREADY, traits::Penalties, Balance, ModelId};
use frame_support::traits::{
	fungible::{hold::Balanced as _, Credit},
	Get, Imbalance,
};
use frame_system::pallet_prelude::BlockNumberFor;

/// Money taken from a bond.
pub type CreditOf<T> = Credit<<T as frame_system::Config>::AccountId, <T as Config>::Currency>;

impl<T: Config> Penalties<T::AccountId> for Pallet<T> {
	type Credit = CreditOf<T>;

	fn is_bonded(who: &T::AccountId) -> bool {
		Self::slashable(who) > 0
	}

	fn slashable(who: &T::AccountId) -> Balance {
		Providers::<T>::get(who).map_or(0, |record| record.slashable())
	}

	fn fine(who: &T::AccountId, fault: Fault, model: &ModelId, amount: Balance) -> Self::Credit {
		let params = T::Params::get();
		let Some(mut record) = Providers::<T>::get(who) else {
			return CreditOf::<T>::zero();
		};
		let session = Self::session(&params);
		let mut fines = record.fines.of(session);
		let allowed = fines.allowed(session, amount, record.slashable(), params.rates.session_cap);
		let credit = Self::take_for_fault(who, &mut record, allowed);
		fines.amount = fines.amount.saturating_add(credit.peek());
		Self::deposit_event(Event::Fined {
			provider: who.clone(),
			fault,
			amount: credit.peek(),
		});
		if fault == Fault::Lapse && !Self::has_outage(who, model) {
			fines.lapses = fines.lapses.saturating_add(1);
			if fines.lapses >= LAPSES_TO_UNREADY && record.ready {
				record.ready = false;
				Self::deposit_event(Event::NotReady { provider: who.clone() });
			}
		}
		record.fines = fines;
		Providers::<T>::insert(who, record);
		credit
	}

	fn suspend(who: &T::AccountId) {
		Self::change(who, |record| {
			record.suspensions = record.suspensions.saturating_add(1);
			record.suspended_at = Some(Self::block());
			record.ready = false;
			Self::deposit_event(Event::Suspended { provider: who.clone() });
		});
	}

	fn lift(who: &T::AccountId) {
		Self::change(who, |record| {
			if !record.is_suspended() {
				return;
			}
			record.suspensions = record.suspensions.saturating_sub(1);
			record.suspended_at = Some(Self::block());
			Self::deposit_event(Event::SuspensionLifted {
				provider: who.clone(),
				remaining: record.suspensions,
			});
		});
	}

	fn is_suspended(who: &T::AccountId) -> bool {
		Providers::<T>::get(who).is_some_and(|record| record.is_suspended())
	}

	fn was_suspended_since(who: &T::AccountId, block: u32) -> bool {
		Providers::<T>::get(who)
			.is_some_and(|record| record.is_suspended() || record.suspended_at.is_some_and(|at| at >= block))
	}

	fn slash(who: &T::AccountId, fault: Fault) -> Self::Credit {
		let params = T::Params::get();
		let (Some(part), Some(mut record)) = (params.rates.slash(fault), Providers::<T>::get(who)) else {
			return CreditOf::<T>::zero();
		};
		if fault == Fault::WrongJuror {
			record.fines = record.fines.of(Self::session(&params));
			if core::mem::replace(&mut record.fines.juror, true) {
				return CreditOf::<T>::zero();
			}
		}
		let amount = part.mul_floor(record.slashable());
		let credit = Self::take_for_fault(who, &mut record, amount);
		Providers::<T>::insert(who, record);
		Self::deposit_event(Event::Slashed {
			provider: who.clone(),
			fault,
			amount: credit.peek(),
		});
		credit
	}
}

impl<T: Config> Pallet<T> {
	/// Takes money from a bond for a fault in inference, which costs the provider nothing in the choice of validators.
	/// The caller stores the record.
	fn take_for_fault(
		who: &T::AccountId,
		record: &mut ProviderRecord<BlockNumberFor<T>>,
		amount: Balance,
	) -> CreditOf<T> {
		let (credit, active) = Self::take(who, record, amount);
		record.lost_bond = record.lost_bond.saturating_add(active);
		credit
	}

	/// Takes money from a bond. Returns it, and the part of the active bond. The caller stores the record.
	pub(crate) fn take(
		who: &T::AccountId,
		record: &mut ProviderRecord<BlockNumberFor<T>>,
		amount: Balance,
	) -> (CreditOf<T>, Balance) {
		let (credit, _) = T::Currency::slash(&HoldReason::Bond.into(), who, amount);
		let active = record.slash(credit.peek());
		TotalBond::<T>::mutate(|total| *total = total.saturating_sub(active));
		(credit, active)
	}

	/// Returns the session in which fines and lapses are counted now.
	fn session(params: &ProviderParams<BlockNumberFor<T>>) -> u32 {
		Self::block().checked_div(params.session_blocks).unwrap_or(0)
	}
}
