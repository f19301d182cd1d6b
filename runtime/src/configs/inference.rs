//! The pallets of Assay, wired: who calls whom, and every number that a job, a claim, a bond or a catalog entry depends
//! on.
//!
//! ```text
//!  Babe ── VRF ──▶ Beacon ◀── Beacon ── Jobs · Verification
//!  Jobs ── Catalog ───▶ Models ◀── Catalog ── Providers ── Session ──▶ Session ◀── Validators ── Finality ──▶ Grandpa
//!   ├───── Providers ─▶ Providers ── OnSlash (offences) ──▶ treasury
//!   ├───── Escrow ────▶ Payments ── Treasury, PoolAccount ──▶ treasury, pool
//!   └───── Claims ────▶ Verification ── Source ──▶ Jobs
//!                        ├── Providers ──▶ Providers
//!                        └── Pool ──▶ Payments
//! ```

use super::{
	consensus::SessionValidators,
	governance::TwoThirds,
	tokens::{PoolAccount, TreasuryAccount},
};
use crate::{
	constants::{
		currency::{deposit, ASY, MICRO_ASY},
		time::{DAYS, EPOCH_DURATION},
	},
	AccountId, Balances, Beacon, BlockNumber, Finality, Jobs, Models, Payments, Providers, Runtime, RuntimeHoldReason,
	System, Verification,
};
use assay_primitives::{economics::Rates, model::PriceBounds, Hash32};
use frame_support::{
	parameter_types,
	traits::{tokens::imbalance::ResolveTo, EitherOf, Get},
};
use frame_system::EnsureRoot;
use pallet_jobs::JobParams;
use pallet_models::ModelParams;
use pallet_providers::ProviderParams;
use pallet_verification::VerificationParams;

/// The rates every chain of this runtime pays, fines and slashes by.
pub const RATES: Rates = Rates::DEFAULT;

/// The least speed of a provider, in prefilled tokens a block: 100 a second, or 10 generated ones.
pub const LEAST_SPEED: u32 = 300;

parameter_types! {
	/// What a catalog entry costs, and its limits.
	pub const ModelLimits: ModelParams<BlockNumber> = ModelParams {
		deposit_base: 10 * ASY,
		deposit_per_byte: 10 * MICRO_ASY,
		royalty_max: RATES.royalty_max,
		prices: PriceBounds {
			// A thousand times the price of a generated token of the demo model.
			most: ASY,
			step: MICRO_ASY,
		},
		// Whoever sees a price has a day to ask at it, and providers to leave it.
		price_delay: DAYS,
		max_context: 131_072,
		// Far longer than T_max: every job requested before a retirement has its receipt by then.
		retention: 7 * DAYS,
	};
	/// What a bond must be, and what it loses.
	pub const ProviderLimits: ProviderParams<BlockNumber> = ProviderParams {
		min_bond: 10_000 * ASY,
		// As long as an equivocation can be reported: who is offline no longer can't be shown another history for free.
		unbonding_period: 7 * DAYS,
		// Longer than T_max and the delay of a slash together.
		min_unbonding_period: 3 * DAYS,
		max_validators: 100,
		jail_period: DAYS,
		heartbeat_interval: 40,
		absence_limit: DAYS,
		// Eight hundred models a period: listing many does not slow the sealing of others.
		max_seals_per_block: 16,
		least_speed: LEAST_SPEED,
		// Whatever a chain's sessions: it counts blocks, not slots.
		session_blocks: EPOCH_DURATION,
		rates: RATES,
	};
	/// How long a request may take until it is published, and how much of it one block does.
	pub const JobLimits: JobParams<BlockNumber> = JobParams {
		queue_blocks: 600,
		backlog_blocks: 100,
		max_waiting_jobs: 10_000,
		max_due_per_block: 64,
		max_draws_per_block: 64,
		retention: 7 * DAYS,
		// As a rule three blocks pass; six sessions without finality are a stall that somebody has noticed.
		deposit_base: deposit(1, 0),
		deposit_per_byte: 10 * MICRO_ASY,
		rates: RATES,
	};
	/// How claims are verified.
	pub const VerificationLimits: VerificationParams<BlockNumber> = VerificationParams {
		least_speed: LEAST_SPEED,
		slash_delay: DAYS,
		max_due_per_block: 1_024,
		rates: RATES,
	};
}

impl pallet_models::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Params = ModelLimits;
	type WeightInfo = pallet_models::weights::SubstrateWeight<Runtime>;
}

impl pallet_providers::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Catalog = Models;
	type Session = SessionValidators;
	type OnSlash = ResolveTo<TreasuryAccount, Balances>;
	type GenesisHash = GenesisHash;
	type Params = ProviderLimits;
	type WeightInfo = pallet_providers::weights::SubstrateWeight<Runtime>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::BenchmarkSetup;
}

impl pallet_payments::Config for Runtime {
	type Currency = Balances;
	type RuntimeHoldReason = RuntimeHoldReason;
	type Treasury = TreasuryAccount;
	type PoolAccount = PoolAccount;
	type WeightInfo = pallet_payments::weights::SubstrateWeight<Runtime>;
}

impl pallet_beacon::Config for Runtime {
	type Randomness = BlockVrf;
	type WeightInfo = pallet_beacon::weights::SubstrateWeight<Runtime>;
}

impl pallet_jobs::Config for Runtime {
	type Catalog = Models;
	type Providers = Providers;
	type Escrow = Payments;
	type Claims = Verification;
	type Beacon = Beacon;
	// Nobody reports finalized blocks to the chain.
	type Finality = Finality;
	type GenesisHash = GenesisHash;
	type Params = JobLimits;
	type WeightInfo = pallet_jobs::weights::SubstrateWeight<Runtime>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::BenchmarkSetup;
}

impl pallet_verification::Config for Runtime {
	type Providers = Providers;
	type Pool = Payments;
	type Source = Jobs;
	type Beacon = Beacon;
	type AdminOrigin = EitherOf<EnsureRoot<AccountId>, TwoThirds>;
	type GenesisHash = GenesisHash;
	type Params = VerificationLimits;
	type WeightInfo = pallet_verification::weights::SubstrateWeight<Runtime>;
	#[cfg(feature = "runtime-benchmarks")]
	type BenchmarkHelper = crate::benchmarks::BenchmarkSetup;
}

/// The hash of block 0, by which messages name their chain.
pub struct GenesisHash;
impl Get<Hash32> for GenesisHash {
	fn get() -> Hash32 {
		System::block_hash(0).0
	}
}

/// The VRF output of the block being finalized. Its author cannot choose it, only withhold the block or
/// build on another fork.
pub struct BlockVrf;
impl Get<Option<Hash32>> for BlockVrf {
	fn get() -> Option<Hash32> {
		pallet_babe::AuthorVrfRandomness::<Runtime>::get()
	}
}
