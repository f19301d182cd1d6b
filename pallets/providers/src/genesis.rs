//! The genesis of the pallet.

use frame_support::pallet_macros::pallet_section;

/// The genesis of the pallet.
#[pallet_section]
mod genesis {
	/// Providers that exist from the start.
	#[pallet::genesis_config]
	#[derive(frame_support::DefaultNoBound)]
	pub struct GenesisConfig<T: Config> {
		/// The providers, alive at block 0, when their electorates are sealed. Their models must be in the catalog
		/// already.
		pub providers: Vec<GenesisProvider<T::AccountId>>,
		/// Blocks between unbonding and withdrawing, at least `min_unbonding_period`; none: the chain's default.
		pub unbonding_period: Option<BlockNumberFor<T>>,
	}

	#[pallet::genesis_build]
	impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
		fn build(&self) {
			if let Some(period) = self.unbonding_period {
				let least = T::Params::get().min_unbonding_period;
				assert!(period >= least, "unbonding_period must be at least {least:?} blocks");
				UnbondingPeriod::<T>::put(period);
			}
			for provider in &self.providers {
				let built = Pallet::<T>::build_provider(provider);
				assert!(
					built.is_ok(),
					"genesis provider {:?} is refused: {built:?}",
					provider.account
				);
			}
			Pallet::<T>::seal_genesis();
		}
	}
}
