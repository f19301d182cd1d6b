//! What holds of the storage in every block.

use crate::*;
use frame_support::{ensure, traits::QueryPreimage};
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that what waits has numbers that were given, each its own, and that its calls are stored.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let waiting = Waiting::<T>::get();
		let now = frame_system::Pallet::<T>::block_number();
		let mut before = None;
		for enactment in waiting {
			ensure!(enactment.id < NextEnactment::<T>::get(), "a number that was not given");
			ensure!(before < Some(enactment.id), "enactments are out of order");
			before = Some(enactment.id);
			if enactment.is_stored && enactment.at > now {
				ensure!(T::Preimages::is_requested(&enactment.call_hash), "a call is not stored");
			}
		}
		Ok(())
	}
}
