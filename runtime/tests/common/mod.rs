//! A chain in memory: a preset's genesis, then real blocks through [`Executive`], with real VRF outputs and signatures.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code, unreachable_pub)]

pub mod claims;
pub mod released;

use assay_primitives::traits::ProviderSet;
use assay_runtime::{
	configs::consensus::EpochDuration,
	constants::time::{EPOCH_DURATION, SLOT_DURATION},
	AccountId, Babe, Balance, Balances, Block, Executive, Hash, Header, Runtime, RuntimeCall, RuntimeEvent,
	SignedPayload, System, TxExtension, UncheckedExtrinsic,
};
use codec::Encode;
use frame_support::traits::fungible::{Inspect, InspectHold};
use frame_system::offchain::CreateAuthorizedTransaction;
use sp_consensus_babe::{
	digests::{CompatibleDigestItem, PreDigest, SecondaryVRFPreDigest},
	make_vrf_transcript, Slot,
};
use sp_core::crypto::VrfSecret;
use sp_genesis_builder::{runtime_decl_for_genesis_builder::GenesisBuilder, PresetId};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring;
use sp_keystore::{testing::MemoryKeystore, KeystoreExt};
use sp_runtime::{
	generic::{Digest, DigestItem, Era},
	traits::Header as _,
	ApplyExtrinsicResult, MultiAddress,
};

/// Slot of block 1.
pub const FIRST_SLOT: u64 = 1_000_000;

/// Returns the state of a preset's block 0.
pub fn genesis(preset: &str) -> TestExternalities {
	let json = |id: Option<&str>| {
		let bytes = <Runtime as GenesisBuilder<Block>>::get_preset(&id.map(PresetId::from)).expect("the preset exists");
		serde_json::from_slice::<serde_json::Value>(&bytes).expect("a preset is JSON")
	};
	let mut ext = TestExternalities::default();
	ext.execute_with(|| {
		let mut config = json(None);
		merge(&mut config, json(Some(preset)));
		<Runtime as GenesisBuilder<Block>>::build_state(config.to_string().into_bytes()).expect("the preset builds");
	});
	ext
}

/// Merges a preset into the default configuration, as the chain-spec builder does: RFC 7396.
pub fn merge(into: &mut serde_json::Value, patch: serde_json::Value) {
	match (into, patch) {
		(serde_json::Value::Object(into), serde_json::Value::Object(patch)) => {
			for (key, value) in patch {
				merge(into.entry(key).or_insert(serde_json::Value::Null), value);
			}
		}
		(into, patch) => *into = patch,
	}
}

/// Checks the state of the pallets.
pub fn check_state() {
	pallet_models::Pallet::<Runtime>::do_try_state().expect("models");
	pallet_providers::Pallet::<Runtime>::do_try_state().expect("providers");
	pallet_payments::Pallet::<Runtime>::do_try_state().expect("payments");
	pallet_jobs::Pallet::<Runtime>::do_try_state().expect("jobs");
	pallet_verification::Pallet::<Runtime>::do_try_state().expect("verification");
	pallet_governance::Pallet::<Runtime>::do_try_state().expect("governance");
	pallet_finality::Pallet::<Runtime>::do_try_state().expect("finality");
}

/// A chain whose blocks Alice makes, unless a test says otherwise.
pub struct Chain {
	/// Who makes the next blocks.
	pub author: Sr25519Keyring,
	/// The last block that authors see finalized, which they state.
	pub finalized: Option<u32>,
	ext: TestExternalities,
	parent: Hash,
	number: u32,
	slot: u64,
}

impl Chain {
	/// Returns a chain at block 1 of a preset. `name` fills its genesis hash.
	pub fn new(preset: &str, name: u8) -> Self {
		Self::with_sessions_of(u64::from(EPOCH_DURATION), preset, name)
	}

	/// Returns a chain whose sessions have so many slots.
	pub fn with_sessions_of(slots: u64, preset: &str, name: u8) -> Self {
		let mut ext = genesis(preset);
		ext.execute_with(|| EpochDuration::set(&slots));
		let mut chain = Self {
			author: Sr25519Keyring::Alice,
			finalized: None,
			ext,
			parent: Hash::repeat_byte(name),
			number: 0,
			slot: FIRST_SLOT,
		};
		chain.idle(1);
		chain
	}

	/// Returns a chain that goes on from a state, whose last block this is. The next block is in this slot.
	pub fn resume(ext: TestExternalities, parent: Hash, number: u32, slot: u64) -> Self {
		Self {
			author: Sr25519Keyring::Alice,
			finalized: None,
			ext,
			parent,
			number,
			slot,
		}
	}

	/// Returns the state of the last block, the block's hash and number, and the slot of the next one.
	pub fn suspend(self) -> (TestExternalities, Hash, u32, u64) {
		(self.ext, self.parent, self.number, self.slot)
	}

	/// Leaves out these numbers of blocks, as if they were empty: only the scheduler looks back. For delays of hours.
	pub fn skip_blocks(&mut self, blocks: u32) {
		self.number += blocks;
		let number = self.number;
		self.read(|| System::set_block_number(number));
	}

	/// Returns the total issuance.
	pub fn issuance(&mut self) -> Balance {
		self.read(Balances::total_issuance)
	}

	/// Returns an account's balance, held or free.
	pub fn wealth(&mut self, who: &AccountId) -> Balance {
		self.read(|| Balances::total_balance(who))
	}

	/// Returns an account's balance on hold.
	pub fn held(&mut self, who: &AccountId) -> Balance {
		self.read(|| Balances::total_balance_on_hold(who))
	}

	/// Runs `f` on the state of the last block.
	pub fn read<R>(&mut self, f: impl FnOnce() -> R) -> R {
		self.ext.execute_with(f)
	}

	/// Makes one block of these extrinsics and returns the result of each. Fails if a pallet's state is inconsistent.
	pub fn block(&mut self, extrinsics: Vec<UncheckedExtrinsic>) -> Vec<ApplyExtrinsicResult> {
		self.number += 1;
		let (parent, number, slot) = (self.parent, self.number, Slot::from(self.slot));
		let (author, finalized) = (self.author, self.finalized);
		self.slot += 1;
		let (results, hash) = self.ext.execute_with(|| {
			let header = Header::new(
				number,
				Hash::default(),
				Hash::default(),
				parent,
				pre_digest(author, slot),
			);
			Executive::initialize_block(&header);
			let now = pallet_timestamp::Call::set {
				now: *slot * SLOT_DURATION,
			};
			let inherent = UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(now));
			Executive::apply_extrinsic(inherent)
				.expect("valid")
				.expect("the time is right");
			if let Some(finalized) = finalized {
				let report = pallet_finality::Call::report { finalized };
				let inherent = UncheckedExtrinsic::new_bare(RuntimeCall::Finality(report));
				Executive::apply_extrinsic(inherent)
					.expect("valid")
					.expect("it was finalized before");
			}
			let results = extrinsics.into_iter().map(Executive::apply_extrinsic).collect();
			let header = Executive::finalize_block();
			check_state();
			(results, header.hash())
		});
		self.parent = hash;
		results
	}

	/// Makes a block in which every extrinsic must succeed.
	pub fn good_block(&mut self, extrinsics: Vec<UncheckedExtrinsic>) {
		for result in self.block(extrinsics) {
			result.expect("valid").expect("succeeds");
		}
	}

	/// Makes empty blocks.
	pub fn idle(&mut self, blocks: u32) {
		for _ in 0..blocks {
			self.block(vec![]);
		}
	}

	/// Makes an empty block in the first slot of the next session, as if no block were made until then.
	pub fn next_session(&mut self) {
		self.slot = self.read(|| *Babe::current_epoch_start() + EpochDuration::get());
		self.idle(1);
	}

	/// Leaves slots without a block, as where the next block has another author's output.
	pub fn skip_slots(&mut self, slots: u64) {
		self.slot += slots;
	}

	/// Makes blocks in which every provider is alive: each sends its heartbeat when it is due.
	pub fn heartbeats_for(&mut self, blocks: u32) {
		for _ in 0..blocks {
			let due = self.read(|| {
				let providers = pallet_providers::Providers::<Runtime>::iter_keys();
				providers
					.filter(<assay_runtime::Providers as ProviderSet<AccountId>>::heartbeat_due)
					.collect::<Vec<_>>()
			});
			let beats = due.iter().map(|who| claims::sent(self, who, &[])).collect();
			self.good_block(beats);
		}
	}

	/// Gives the node a keystore.
	pub fn with_keystore(mut self) -> Self {
		self.ext.register_extension(KeystoreExt::new(MemoryKeystore::new()));
		self
	}

	/// Returns the number of the last block.
	pub fn number(&self) -> u32 {
		self.number
	}

	/// Returns the events of the last block.
	pub fn events(&mut self) -> Vec<RuntimeEvent> {
		self.read(|| System::events().into_iter().map(|record| record.event).collect())
	}
}

/// Returns a claim of a slot: a secondary one with a VRF output, as every validator may make.
pub fn pre_digest(author: Sr25519Keyring, slot: Slot) -> Digest {
	let new_epoch = *Babe::current_epoch_start() != 0 && slot >= Babe::current_epoch_start() + EpochDuration::get();
	let epoch = if new_epoch {
		Babe::next_epoch()
	} else {
		Babe::current_epoch()
	};
	let transcript = make_vrf_transcript(&epoch.randomness, slot, epoch.epoch_index);
	let vrf_signature = author.pair().vrf_sign(&transcript.into_sign_data());
	let position = epoch
		.authorities
		.iter()
		.position(|(id, _)| *id == author.public().into());
	let authority_index = position.expect("the author is a validator") as u32;
	let claim = PreDigest::SecondaryVRF(SecondaryVRFPreDigest {
		authority_index,
		slot,
		vrf_signature,
	});
	Digest {
		logs: vec![<DigestItem as CompatibleDigestItem>::babe_pre_digest(claim)],
	}
}

/// Returns a wallet's transaction.
pub fn signed(who: Sr25519Keyring, call: impl Into<RuntimeCall>) -> UncheckedExtrinsic {
	let call = call.into();
	let account = who.to_account_id();
	let extension: TxExtension = (
		frame_system::AuthorizeCall::new(),
		frame_system::CheckNonZeroSender::new(),
		frame_system::CheckSpecVersion::new(),
		frame_system::CheckTxVersion::new(),
		frame_system::CheckGenesis::new(),
		frame_system::CheckMortality::from(Era::Immortal),
		frame_system::CheckNonce::from(System::account_nonce(&account)),
		frame_system::CheckWeight::new(),
		pallet_transaction_payment::ChargeTransactionPayment::from(0),
		frame_metadata_hash_extension::CheckMetadataHash::new(false),
		frame_system::WeightReclaim::new(),
	);
	let payload = SignedPayload::new(call.clone(), extension.clone()).expect("the implicit data is there");
	let signature = payload.using_encoded(|bytes| who.sign(bytes));
	UncheckedExtrinsic::new_signed(call, MultiAddress::Id(account), signature.into(), extension)
}

/// Returns a provider's message as a transaction.
pub fn authorized(call: RuntimeCall) -> UncheckedExtrinsic {
	<Runtime as CreateAuthorizedTransaction<pallet_jobs::Call<Runtime>>>::create_authorized_transaction(call)
}

/// Returns the well-known key of an account.
pub fn keyring(account: &AccountId) -> Sr25519Keyring {
	Sr25519Keyring::from_account_id(account).expect("a well-known account")
}
