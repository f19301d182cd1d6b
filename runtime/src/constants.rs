//! The chain's numbers that no vote changes: money, time, block limits.

/// Money.
pub mod currency {
	use assay_primitives::Balance;

	/// Decimals of the token.
	pub const DECIMALS: u8 = 12;
	/// The token's symbol.
	pub const SYMBOL: &str = "ASY";
	/// One token.
	pub const ASY: Balance = 1_000_000_000_000;
	/// A thousandth of a token.
	pub const MILLI_ASY: Balance = ASY / 1_000;
	/// A millionth of a token.
	pub const MICRO_ASY: Balance = MILLI_ASY / 1_000;
	/// Least balance of an account.
	pub const EXISTENTIAL_DEPOSIT: Balance = MILLI_ASY;

	/// Returns the deposit for stored items and bytes.
	pub const fn deposit(items: u32, bytes: u32) -> Balance {
		let items = (items as Balance).saturating_mul(100 * MILLI_ASY);
		items.saturating_add((bytes as Balance).saturating_mul(10 * MICRO_ASY))
	}
}

/// Time. Blocks come every [`time::SLOT_DURATION`] milliseconds.
pub mod time {
	use crate::BlockNumber;

	/// Length of a slot in milliseconds. Fixed forever at genesis.
	pub const SLOT_DURATION: u64 = 3_000;
	/// Blocks in a minute.
	pub const MINUTES: BlockNumber = 20;
	/// Blocks in an hour.
	pub const HOURS: BlockNumber = 60 * MINUTES;
	/// Blocks in a day.
	pub const DAYS: BlockNumber = 24 * HOURS;
	/// Slots of a BABE epoch, which is also a session: 10 minutes, unless the genesis sets others. Fixed forever there.
	pub const EPOCH_DURATION: BlockNumber = 10 * MINUTES;
	/// Chance that a slot has a primary author: 1 in 4. The other slots have a secondary one.
	pub const PRIMARY_PROBABILITY: (u64, u64) = (1, 4);
}

/// What one block may hold.
pub mod block {
	use frame_support::weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight};
	use sp_runtime::Perbill;

	/// A second of a three-second slot is for computing.
	pub const MAXIMUM_WEIGHT: Weight = Weight::from_parts(WEIGHT_REF_TIME_PER_SECOND, u64::MAX);
	/// Most bytes of a block.
	pub const MAXIMUM_LENGTH: u32 = 5 * 1024 * 1024;
	/// The part of a block for ordinary extrinsics; the rest is for operational ones.
	pub const NORMAL_RATIO: Perbill = Perbill::from_percent(75);
}
