//! Offences against the consensus: a BABE or GRANDPA equivocation, reported through the offences pallet.

use crate::*;
use frame_support::{
	traits::{Get, Imbalance, OnUnbalanced},
	weights::Weight,
};
use sp_runtime::Perbill;
use sp_staking::{
	offence::{OffenceDetails, OnOffenceHandler},
	SessionIndex,
};

/// The least part of everything slashable that an equivocation costs: one validator of a hundred would lose 0.09 % by the
/// consensus pallets' formula alone.
pub const LEAST_OFFENCE_SLASH: Perbill = Perbill::from_percent(5);

/// An offender loses the given fraction of everything slashable, at least [`LEAST_OFFENCE_SLASH`], and is jailed, so it
/// is not a validator in the session after the next. The money goes to `OnSlash`; reporters are paid nothing, as reports
/// come from the validators themselves.
impl<T: Config, Reporter, FullId> OnOffenceHandler<Reporter, (T::AccountId, FullId), Weight> for Pallet<T> {
	fn on_offence(
		offenders: &[OffenceDetails<Reporter, (T::AccountId, FullId)>],
		slash_fraction: &[Perbill],
		_: SessionIndex,
	) -> Weight {
		let params = T::Params::get();
		let now = Self::now();
		let mut weight = Weight::zero();
		for (details, fraction) in offenders.iter().zip(slash_fraction) {
			weight = weight.saturating_add(T::WeightInfo::offence());
			let (who, _) = &details.offender;
			let Some(mut record) = Providers::<T>::get(who) else {
				continue;
			};
			let fraction = LEAST_OFFENCE_SLASH.max(*fraction);
			let amount = fraction.mul_floor(record.slashable());
			let (credit, _) = Self::take(who, &mut record, amount);
			// From here on only what is left counts in the choice of validators.
			record.lost_bond = 0;
			let until = record.jail(&params, now);
			Providers::<T>::insert(who, record);
			let (provider, amount) = (who.clone(), credit.peek());
			Self::deposit_event(Event::OffenceSlashed {
				provider: provider.clone(),
				fraction,
				amount,
			});
			Self::deposit_event(Event::Jailed { provider, until });
			T::OnSlash::on_unbalanced(credit);
		}
		weight
	}
}
