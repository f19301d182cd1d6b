//! The four pallets of Assay, wired: who calls whom, and every number that a job, a bond or a catalog entry depends on.
//!
//! ```text
//!  Jobs ── Catalog ──▶ Models ◀── Catalog ── Providers ── SessionKeys ──▶ Session
//!   ├───── Providers ─▶ Providers ── OnSlash (offences) ──▶ treasury
//!   ├───── Escrow ────▶ Payments ── Treasury ──▶ treasury
//!   └───── Randomness ▶ Babe
//! ```

use super::{consensus::HasSessionKeys, tokens::TreasuryAccount};
use crate::{
	constants::{
		currency::{deposit, ASY, MICRO_ASY},
		time::{DAYS, MINUTES},
	},
	Balances, BlockNumber, Models, Payments, Providers, Runtime, RuntimeHoldReason, System,
};
use assay_primitives::{economics::Rates, limits::MAX_COMMITTEE, Hash32};
use frame_support::{
	parameter_types,
	traits::{tokens::imbalance::ResolveTo, Get},
};
use pallet_jobs::JobParams;
use pallet_models::ModelParams;
use pallet_providers::ProviderParams;

/// The rates every chain of this runtime pays, slashes and refunds by.
pub const RATES: Rates = Rates::DEFAULT;

parameter_types! {
	/// What a catalog entry costs, and its limits.
	pub const ModelLimits: ModelParams<BlockNumber> = ModelParams {
		deposit_base: 10 * ASY,
		deposit_per_byte: 10 * MICRO_ASY,
		royalty_max: RATES.royalty_max,
		max_context: 131_072,
		// Far longer than T_max: every job requested before a retirement has its receipt by then.
		retention: 7 * DAYS,
	};
	/// What a bond must be, and what it loses.
	pub const ProviderLimits: ProviderParams<BlockNumber> = ProviderParams {
		min_bond: 10_000 * ASY,
		// Longer than T_max and than an equivocation can be reported late.
		unbonding_period: DAYS,
		max_validators: 100,
		jail_period: DAYS,
		fault_window: DAYS,
		faults_to_jail: 3,
		heartbeat_interval: 50,
		offline_after: 10 * MINUTES,
		rates: RATES,
	};
	/// How long each phase of a job may take, and how much of it one block does.
	pub const JobLimits: JobParams<BlockNumber> = JobParams {
		draw_blocks: 20,
		execute_blocks: 40,
		commit_blocks: 40,
		reveal_blocks: 20,
		max_committee: MAX_COMMITTEE,
		max_open_jobs: 10_000,
		max_due_per_block: 32,
		max_draws_per_block: 8,
		retention: 7 * DAYS,
		deposit_base: deposit(1, 0),
		deposit_per_byte: 10 * MICRO_ASY,
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
	type SessionKeys = HasSessionKeys;
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
	type WeightInfo = pallet_payments::weights::SubstrateWeight<Runtime>;
}

impl pallet_jobs::Config for Runtime {
	type Catalog = Models;
	type Providers = Providers;
	type Escrow = Payments;
	type Randomness = BlockVrf;
	type GenesisHash = GenesisHash;
	type Params = JobLimits;
	type WeightInfo = pallet_jobs::weights::SubstrateWeight<Runtime>;
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
