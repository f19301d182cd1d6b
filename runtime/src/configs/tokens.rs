//! Money: balances, transaction fees, the treasury.

use crate::{
	constants::currency::{EXISTENTIAL_DEPOSIT, MICRO_ASY},
	AccountId, Authorship, Balance, Balances, Runtime, RuntimeEvent, RuntimeFreezeReason, RuntimeHoldReason, System,
};
use frame_support::{
	parameter_types,
	traits::{
		fungible::{Balanced, Credit},
		tokens::imbalance::ResolveTo,
		ConstU128, ConstU32, ConstU8, Imbalance, OnUnbalanced, TypedGet, VariantCountOf,
	},
	weights::{ConstantMultiplier, IdentityFee},
	PalletId,
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_runtime::{
	traits::{AccountIdConversion, Get},
	FixedPointNumber, Perquintill,
};

impl pallet_balances::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type RuntimeHoldReason = RuntimeHoldReason;
	type RuntimeFreezeReason = RuntimeFreezeReason;
	type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
	type Balance = Balance;
	type DustRemoval = ResolveTo<TreasuryAccount, Balances>;
	type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
	type AccountStore = System;
	type ReserveIdentifier = [u8; 8];
	type FreezeIdentifier = RuntimeFreezeReason;
	type MaxLocks = ConstU32<0>;
	type MaxReserves = ConstU32<0>;
	type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
	type DoneSlashHandler = ();
}

/// The treasury: an account that nobody has the key of. Its money moves by root.
pub struct TreasuryAccount;
impl TypedGet for TreasuryAccount {
	type Type = AccountId;
	fn get() -> AccountId {
		PalletId(*b"asy/trsy").into_account_truncating()
	}
}
impl Get<AccountId> for TreasuryAccount {
	fn get() -> AccountId {
		<Self as TypedGet>::get()
	}
}

/// The pool that pays audits, juries and replaced seats: an account that nobody has the key of. Levies and fines fill
/// it.
pub struct PoolAccount;
impl Get<AccountId> for PoolAccount {
	fn get() -> AccountId {
		PalletId(*b"asy/pool").into_account_truncating()
	}
}

parameter_types! {
	/// Blocks a quarter full keep the fee multiplier where it is.
	pub const TargetBlockFullness: Perquintill = Perquintill::from_percent(25);
	/// How fast the multiplier moves: about 30 % a day at most.
	pub AdjustmentVariable: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
	/// Fees never fall below the published ones.
	pub MinimumMultiplier: Multiplier = Multiplier::saturating_from_integer(1);
	/// Nor rise above a thousand times as much.
	pub MaximumMultiplier: Multiplier = Multiplier::saturating_from_integer(1_000);
}

impl pallet_transaction_payment::Config for Runtime {
	type RuntimeEvent = RuntimeEvent;
	type OnChargeTransaction = FungibleAdapter<Balances, FeesToAuthorAndTreasury>;
	// A second of block time costs one ASY, a byte costs one millionth.
	type WeightToFee = IdentityFee<Balance>;
	type LengthToFee = ConstantMultiplier<Balance, ConstU128<MICRO_ASY>>;
	type FeeMultiplierUpdate =
		TargetedFeeAdjustment<Self, TargetBlockFullness, AdjustmentVariable, MinimumMultiplier, MaximumMultiplier>;
	type OperationalFeeMultiplier = ConstU8<5>;
	type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}

/// Splits transaction fees: a fifth and all tips to the block's author, the rest to the treasury. An author who got all
/// of them could fill its blocks at no cost.
pub struct FeesToAuthorAndTreasury;

impl OnUnbalanced<Credit<AccountId, Balances>> for FeesToAuthorAndTreasury {
	fn on_unbalanceds(mut fees_then_tips: impl Iterator<Item = Credit<AccountId, Balances>>) {
		let Some(fees) = fees_then_tips.next() else { return };
		let (treasury, mut author) = fees.ration(80, 20);
		if let Some(tips) = fees_then_tips.next() {
			author.subsume(tips);
		}
		ResolveTo::<TreasuryAccount, Balances>::on_unbalanced(treasury);
		let left = match Authorship::author() {
			Some(who) => Balances::resolve(&who, author).err(),
			None => Some(author),
		};
		// If the author can't receive, its part goes to the treasury.
		if let Some(left) = left {
			ResolveTo::<TreasuryAccount, Balances>::on_unbalanced(left);
		}
	}
}
