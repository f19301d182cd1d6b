//! What the calls do.

use crate::*;
use frame_support::{
	dispatch::{DispatchResult, GetDispatchInfo, RawOrigin},
	ensure,
	traits::{
		schedule::{v3::Named, DispatchTime, HARD_DEADLINE},
		Contains, Get, QueryPreimage, StorePreimage,
	},
};
use sp_runtime::{
	traits::{Dispatchable, Hash, Saturating},
	ArithmeticError,
};

/// The scheduler's name of an enactment begins with this, and ends with its number.
const TASK: [u8; 28] = *b"assay/governance/enactments/";

impl<T: Config> Pallet<T> {
	/// Returns the name under which the scheduler knows an enactment: `assay/governance/enactments/` and the number, as
	/// four little-endian bytes.
	pub fn task_name(id: u32) -> [u8; 32] {
		let mut bytes = TASK.into_iter().chain(id.to_le_bytes());
		core::array::from_fn(|_| bytes.next().unwrap_or_default())
	}

	pub(crate) fn do_enact(call: <T as frame_system::Config>::RuntimeCall) -> DispatchResult {
		let params = T::Params::get();
		ensure!(call.encoded_size() <= params.max_bytes as usize, Error::<T>::TooLong);
		let weight = call.get_dispatch_info().call_weight;
		ensure!(weight.all_lte(params.max_weight), Error::<T>::TooHeavy);

		let id = NextEnactment::<T>::get();
		NextEnactment::<T>::put(id.checked_add(1).ok_or(ArithmeticError::Overflow)?);
		let now = frame_system::Pallet::<T>::block_number();
		let at = now.saturating_add(params.delay);
		let call_hash = T::Hashing::hash_of(&call);
		let was_requested = T::Preimages::is_requested(&call_hash);
		let bounded = T::Preimages::bound(call)?;
		let is_stored = bounded.lookup_needed();
		T::Scheduler::schedule_named(
			Self::task_name(id),
			DispatchTime::At(at),
			None,
			HARD_DEADLINE,
			RawOrigin::Root.into(),
			bounded.clone(),
		)?;
		// The scheduler requests the preimage. Storing it has requested it too, if nothing had before; with that, it would
		// outlive the dispatch.
		if !was_requested {
			T::Preimages::drop(&bounded);
		}
		Waiting::<T>::try_mutate(|waiting| {
			waiting.retain(|enactment| enactment.at > now);
			let enactment = Enactment {
				id,
				call_hash,
				at,
				is_stored,
			};
			waiting.try_push(enactment)
		})
		.map_err(|_| Error::<T>::TooManyWaiting)?;
		Self::deposit_event(Event::Scheduled { id, call_hash, at });
		Ok(())
	}

	pub(crate) fn do_enact_now(call: <T as frame_system::Config>::RuntimeCall) -> DispatchResult {
		ensure!(T::Urgent::contains(&call), Error::<T>::NotUrgent);
		let call_hash = T::Hashing::hash_of(&call);
		call.dispatch(RawOrigin::Root.into()).map_err(|failure| failure.error)?;
		Self::deposit_event(Event::Enacted { call_hash });
		Ok(())
	}

	pub(crate) fn do_cancel(id: u32) -> DispatchResult {
		T::Scheduler::cancel_named(Self::task_name(id)).map_err(|_| Error::<T>::NotScheduled)?;
		let mut waiting = Waiting::<T>::get();
		if let Some(place) = waiting.iter().position(|enactment| enactment.id == id) {
			let enactment = waiting.remove(place);
			// Canceled by its name, as here, the scheduler does not give up its request.
			if enactment.is_stored {
				T::Preimages::unrequest(&enactment.call_hash);
			}
		}
		Waiting::<T>::put(waiting);
		Self::deposit_event(Event::Canceled { id });
		Ok(())
	}
}
