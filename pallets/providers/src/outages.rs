//! Outages: models that the engine of a provider has lost. Its node reports them, so that nobody is drawn for what it
//! cannot do.

use crate::*;
use assay_primitives::{rules::PERIOD, ModelId};

impl<T: Config> Pallet<T> {
	/// Returns whether an outage of a provider's model is known.
	pub(crate) fn has_outage(who: &T::AccountId, model: &ModelId) -> bool {
		Outages::<T>::get(model).contains_key(who)
	}

	/// Returns whether the beginning or the end of an outage would change what is known. Reports are feeless, so there may
	/// be few: an outage lasts a period at least.
	pub(crate) fn is_outage_due(who: &T::AccountId, model: &ModelId, over: bool) -> bool {
		if !Serving::<T>::get(model).contains(who) {
			return false;
		}
		match Outages::<T>::get(model).get(who) {
			Some(since) => over && Self::block().saturating_sub(*since) >= PERIOD,
			None => !over,
		}
	}

	/// Records the beginning or the end of an outage.
	pub(crate) fn do_note_outage(who: &T::AccountId, model: ModelId, over: bool) {
		let (provider, now) = (who.clone(), Self::block());
		if over {
			Self::forget_outage(who, model);
			Self::deposit_event(Event::OutageEnded { provider, model });
		} else if Outages::<T>::mutate(model, |all| all.try_insert(who.clone(), now)).is_ok() {
			Self::deposit_event(Event::OutageBegan { provider, model });
		}
	}

	/// Forgets an outage, if there is one.
	pub(crate) fn forget_outage(who: &T::AccountId, model: ModelId) {
		Outages::<T>::mutate_exists(model, |stored| {
			*stored = stored.take().and_then(|mut all| {
				all.remove(who);
				Some(all).filter(|all| !all.is_empty())
			});
		});
	}
}
