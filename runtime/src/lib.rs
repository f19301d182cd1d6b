//! The Assay runtime: the pallets put together.
//!
//! [`configs`] sets every pallet's parameters, [`apis`] is what the node and clients call, [`constants`] holds the
//! chain's numbers, [`genesis_config_presets`] names the chains that can be started. Here are only the types and the
//! list of pallets. Its order matters, as the comments there explain.

#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "512"]
// The macros that make the runtime and its APIs write items that nobody can document.
#![allow(missing_docs)]

extern crate alloc;

pub mod apis;
#[cfg(feature = "runtime-benchmarks")]
mod benchmarks;
#[warn(missing_docs)]
pub mod configs;
#[warn(missing_docs)]
pub mod constants;
#[warn(missing_docs)]
pub mod genesis_config_presets;
#[warn(missing_docs)]
pub mod migrations;
mod views;

pub use apis::{RuntimeApi, RUNTIME_API_VERSIONS};
pub use assay_primitives::Balance;

use alloc::{borrow::Cow, vec::Vec};
use sp_runtime::{
	generic, impl_opaque_keys,
	traits::{BlakeTwo256, IdentifyAccount, Verify},
	MultiAddress, MultiSignature,
};
use sp_version::{runtime_version, RuntimeVersion};

// The Wasm binary, none if built with SKIP_WASM_BUILD.
#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

/// A signature by any of the three curves that wallets use.
pub type Signature = MultiSignature;
/// An account: the public key, or its hash.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// An account in an extrinsic.
pub type Address = MultiAddress<AccountId, ()>;
/// Count of an account's transactions.
pub type Nonce = u32;
/// Hash of blocks and states.
pub type Hash = sp_core::H256;
/// Number of a block.
pub type BlockNumber = u32;
/// The hasher of blocks and states.
pub type Hashing = BlakeTwo256;
/// A block's header.
pub type Header = generic::Header<BlockNumber, Hashing>;
/// A block.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// A block's id.
pub type BlockId = generic::BlockId<Block>;

/// The checks of every transaction, in this order. [`frame_system::AuthorizeCall`] comes first: it authorizes the
/// votes, which carry their own signature and pay no fee.
pub type TxExtension = (
	frame_system::AuthorizeCall<Runtime>,
	frame_system::CheckNonZeroSender<Runtime>,
	frame_system::CheckSpecVersion<Runtime>,
	frame_system::CheckTxVersion<Runtime>,
	frame_system::CheckGenesis<Runtime>,
	frame_system::CheckMortality<Runtime>,
	frame_system::CheckNonce<Runtime>,
	frame_system::CheckWeight<Runtime>,
	pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
	frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
	frame_system::WeightReclaim<Runtime>,
);

/// An extrinsic as it is sent.
pub type UncheckedExtrinsic = generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TxExtension>;
/// The payload that a wallet signs.
pub type SignedPayload = generic::SignedPayload<RuntimeCall, TxExtension>;

/// The executive, which runs blocks.
pub type Executive =
	frame_executive::Executive<Runtime, Block, frame_system::ChainContext<Runtime>, Runtime, AllPalletsWithSystem>;

/// The types of a node, which stores and relays extrinsics without decoding them.
pub mod opaque {
	use super::{BlockNumber, Hashing};
	use sp_runtime::generic;
	pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

	/// A block's header.
	pub type Header = generic::Header<BlockNumber, Hashing>;
	/// A block of opaque extrinsics.
	pub type Block = generic::Block<Header, UncheckedExtrinsic>;
	/// A block's id.
	pub type BlockId = generic::BlockId<Block>;
}

impl_opaque_keys! {
	/// A validator's keys.
	pub struct SessionKeys {
		/// Makes blocks.
		pub babe: Babe,
		/// Finalizes blocks.
		pub grandpa: Grandpa,
		/// Publishes the node's addresses.
		pub authority_discovery: AuthorityDiscovery,
	}
}

/// This runtime's version.
#[runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
	spec_name: Cow::Borrowed("assay"),
	impl_name: Cow::Borrowed("assay-node"),
	authoring_version: 1,
	spec_version: 102,
	impl_version: 1,
	apis: RUNTIME_API_VERSIONS,
	transaction_version: 3,
	system_version: 1,
};

#[frame_support::runtime]
mod runtime {
	/// The chain.
	#[runtime::runtime]
	#[runtime::derive(
		RuntimeCall,
		RuntimeEvent,
		RuntimeError,
		RuntimeOrigin,
		RuntimeFreezeReason,
		RuntimeHoldReason,
		RuntimeSlashReason,
		RuntimeLockId,
		RuntimeTask,
		RuntimeViewFunction
	)]
	pub struct Runtime;

	#[runtime::pallet_index(0)]
	pub type System = frame_system;
	// Before everything that reads the time or the block's VRF output: Babe sets `AuthorVrfRandomness` in its
	// `on_finalize`, and the beacon reads it in its own, which runs later.
	#[runtime::pallet_index(1)]
	pub type Babe = pallet_babe;
	#[runtime::pallet_index(2)]
	pub type Timestamp = pallet_timestamp;
	#[runtime::pallet_index(3)]
	pub type Authorship = pallet_authorship;
	#[runtime::pallet_index(4)]
	pub type Balances = pallet_balances;
	#[runtime::pallet_index(5)]
	pub type TransactionPayment = pallet_transaction_payment;
	// After Babe, whose VRF output it accumulates, and before everything that draws by it in its own `on_finalize`.
	#[runtime::pallet_index(6)]
	pub type Beacon = pallet_beacon;
	// Before all pallets whose hooks reserve much of a block: what the council has enacted finds room.
	#[runtime::pallet_index(7)]
	pub type Scheduler = pallet_scheduler;
	// Models before Providers before Session, because genesis is built in this order: providers serve models, and
	// the first validators are chosen among providers.
	#[runtime::pallet_index(10)]
	pub type Models = pallet_models;
	#[runtime::pallet_index(11)]
	pub type Providers = pallet_providers;
	#[runtime::pallet_index(12)]
	pub type Payments = pallet_payments;
	#[runtime::pallet_index(13)]
	pub type Jobs = pallet_jobs;
	#[runtime::pallet_index(14)]
	pub type Verification = pallet_verification;
	#[runtime::pallet_index(20)]
	pub type Offences = pallet_offences;
	#[runtime::pallet_index(21)]
	pub type Historical = pallet_session::historical;
	#[runtime::pallet_index(22)]
	pub type Session = pallet_session;
	#[runtime::pallet_index(23)]
	pub type Grandpa = pallet_grandpa;
	#[runtime::pallet_index(24)]
	pub type AuthorityDiscovery = pallet_authority_discovery;
	#[runtime::pallet_index(25)]
	pub type Finality = pallet_finality;
	#[runtime::pallet_index(30)]
	pub type Utility = pallet_utility;
	#[runtime::pallet_index(31)]
	pub type Sudo = pallet_sudo;
	#[runtime::pallet_index(32)]
	pub type Preimage = pallet_preimage;
	#[runtime::pallet_index(33)]
	pub type Council = pallet_collective;
	#[runtime::pallet_index(34)]
	pub type Governance = pallet_governance;
}
