//! Weights of the calls: conservative constants on top of the database's reference weights.
//!
//! The time beside the database is several times what the benchmarks of this pallet take on the reference machine of
//! FRAME. A solo chain ships no storage proofs, so proof size stays zero.

use core::marker::PhantomData;
use frame_support::{
	traits::Get,
	weights::{constants::RocksDbWeight, RuntimeDbWeight, Weight},
};

/// Weights of the calls, of eviction, of sealing, of validators and of an offence.
pub trait WeightInfo {
	/// [`crate::Pallet::bond`].
	fn bond() -> Weight;
	/// [`crate::Pallet::bond_extra`].
	fn bond_extra() -> Weight;
	/// [`crate::Pallet::unbond`].
	fn unbond() -> Weight;
	/// [`crate::Pallet::withdraw`].
	fn withdraw() -> Weight;
	/// [`crate::Pallet::set_inference_key`].
	fn set_inference_key() -> Weight;
	/// [`crate::Pallet::serve`].
	fn serve() -> Weight;
	/// [`crate::Pallet::set_least_price`].
	fn set_least_price() -> Weight;
	/// [`crate::Pallet::stop_serving`].
	fn stop_serving() -> Weight;
	/// [`crate::Pallet::set_capacity`].
	fn set_capacity() -> Weight;
	/// [`crate::Pallet::unjail`].
	fn unjail() -> Weight;
	/// [`crate::Pallet::ready`].
	fn ready() -> Weight;
	/// [`crate::Pallet::set_endpoint`].
	fn set_endpoint() -> Weight;
	/// Making another provider make way, besides the call.
	fn evict() -> Weight;
	/// Finding the electorate that is sealed next.
	fn find_electorate() -> Weight;
	/// Sealing the electorate of a model that `n` providers serve.
	fn seal(n: u32) -> Weight;
	/// Choosing validators among `n` providers.
	fn validators(n: u32) -> Weight;
	/// Noting a block's author.
	fn note_author() -> Weight;
	/// Slashing and jailing one offender.
	fn offence() -> Weight;
}

/// Weights at a runtime's own database costs.
pub struct SubstrateWeight<T>(PhantomData<T>);

fn cost(db: RuntimeDbWeight, micros: u64, reads: u64, writes: u64) -> Weight {
	Weight::from_parts(micros.saturating_mul(1_000_000), 0).saturating_add(db.reads_writes(reads, writes))
}

macro_rules! weights {
	($db:expr) => {
		// Record, count, total, account and holds, and the active ones, which may have a thousand entries.
		fn bond() -> Weight {
			cost($db, 150, 7, 7)
		}

		fn bond_extra() -> Weight {
			cost($db, 140, 6, 6)
		}

		// All models may be left: a list each, one of least prices, one of outages. The active ones.
		fn unbond() -> Weight {
			cost($db, 560, 52, 51)
		}

		fn withdraw() -> Weight {
			cost($db, 180, 8, 10)
		}

		// One signature.
		fn set_inference_key() -> Weight {
			cost($db, 200, 4, 3)
		}

		// The list may be full: then the records of all that serve the model are read, and one of them makes way.
		fn serve() -> Weight {
			cost($db, 600, 153, 6)
		}

		fn set_least_price() -> Weight {
			cost($db, 70, 2, 1)
		}

		fn stop_serving() -> Weight {
			cost($db, 90, 4, 4)
		}

		fn set_capacity() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn unjail() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn ready() -> Weight {
			cost($db, 40, 1, 1)
		}

		fn set_endpoint() -> Weight {
			cost($db, 50, 1, 1)
		}

		// The last one sealed, the next key twice, its electorate.
		fn find_electorate() -> Weight {
			cost($db, 60, 4, 0)
		}

		// The list, the least prices and the outages, and a record and an absence each; the electorate and its model are written, and what
		// changes for a few who came back or went away: the list, their records, their absences.
		fn seal(n: u32) -> Weight {
			let swept = u64::from(n).min(crate::electorate::MAX_SWEPT as u64);
			cost($db, 80, 3, 5)
				.saturating_add(cost($db, 8, 2, 0).saturating_mul(n.into()))
				.saturating_add(cost($db, 30, 0, 1).saturating_mul(swept))
		}

		// Each provider's record and absence. The lists of whoever makes way, its record, its endpoint, the total.
		fn evict() -> Weight {
			let providers = u64::from(crate::MAX_PROVIDERS);
			cost($db, 440, 52, 51).saturating_add(cost($db, 5, 2, 0).saturating_mul(providers))
		}

		// A record, session keys and a sign of life each; the active ones, sitting validators and the session's start.
		fn validators(n: u32) -> Weight {
			cost($db, 200, 4, 1).saturating_add(cost($db, 15, 3, 0).saturating_mul(n.into()))
		}

		// The sign of life, the session's start, the provider.
		fn note_author() -> Weight {
			cost($db, 30, 3, 1)
		}

		fn offence() -> Weight {
			cost($db, 120, 6, 6)
		}
	};
}

impl<T: frame_system::Config> WeightInfo for SubstrateWeight<T> {
	weights!(T::DbWeight::get());
}

/// For mock runtimes.
impl WeightInfo for () {
	weights!(RocksDbWeight::get());
}
