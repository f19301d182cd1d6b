//! The benchmarked pallets, and the setup for benchmarks of pallets that need others.

use crate::*;
use alloc::{string::String, vec};
use assay_primitives::{
	crypto::InferenceId,
	draw::Member,
	limits::{MAX_LISTINGS, MAX_MEMBERS, MAX_OUTPUT_TOKENS},
	manifest::{model_id, test_utils::TestManifest},
	model::Prices,
	ClaimId, FinishReason, JobId, ModelId, SamplingParams, TraceRoot, UncheckedInput, UncheckedOutput,
};
use configs::inference::{ModelLimits, ProviderLimits};
use constants::currency::{ASY, MICRO_ASY};
use frame_benchmarking::{account, define_benchmarks, BenchmarkBatch, BenchmarkConfig, BenchmarkList};
use frame_support::traits::{fungible::Mutate, Hooks, StorageInfo, StorageInfoTrait, WhitelistedStorageKeys};
use frame_system::RawOrigin;
use pallet_models::ListingTerms;
use pallet_providers::{Electorate, LeastPricesOf, Seal};
use sp_storage::TrackedStorageKey;

define_benchmarks!(
	[pallet_balances, Balances]
	[pallet_sudo, Sudo]
	[pallet_preimage, Preimage]
	[pallet_scheduler, Scheduler]
	[pallet_timestamp, Timestamp]
	[pallet_utility, Utility]
	[pallet_beacon, Beacon]
	[pallet_finality, Finality]
	[pallet_models, Models]
	[pallet_payments, Payments]
	[pallet_providers, Providers]
	[pallet_jobs, Jobs]
	[pallet_verification, Verification]
	[pallet_governance, Governance]
);

/// Returns the benchmarks there are.
pub(crate) fn metadata(extra: bool) -> (Vec<BenchmarkList>, Vec<StorageInfo>) {
	let mut list = Vec::<BenchmarkList>::new();
	list_benchmarks!(list, extra);
	(list, AllPalletsWithSystem::storage_info())
}

/// Runs one benchmark.
pub(crate) fn dispatch(config: BenchmarkConfig) -> Result<Vec<BenchmarkBatch>, String> {
	let whitelist: Vec<TrackedStorageKey> = AllPalletsWithSystem::whitelisted_storage_keys();
	let mut batches = Vec::<BenchmarkBatch>::new();
	let params = (&config, &whitelist);
	add_benchmarks!(params, batches);
	Ok(batches)
}

/// Creates models, providers and rich accounts.
pub struct BenchmarkSetup;

/// The prices of the cheapest listing, and the least at which every provider executes.
const PRICES: Prices = Prices {
	price_in: MICRO_ASY,
	price_out: MICRO_ASY,
};
/// The capacity of each provider, in jobs.
const CAPACITY: u32 = 50;

impl BenchmarkSetup {
	fn rich(name: &'static str, number: u32) -> AccountId {
		let who: AccountId = account(name, number, 0);
		Balances::set_balance(&who, 1_000_000 * ASY);
		who
	}
}

impl pallet_providers::BenchmarkHelper for BenchmarkSetup {
	fn model() -> ModelId {
		let manifest = TestManifest {
			context_length: ModelLimits::get().max_context,
			..TestManifest::new("benchmark")
		}
		.encode();
		let id = model_id(&manifest);
		let terms = ListingTerms {
			prices: PRICES,
			royalty: ModelLimits::get().royalty_max,
		};
		let signed = || RawOrigin::Signed(Self::rich("owner", 0)).into();
		Models::register(signed(), manifest, terms).expect("a good registration");
		// A request compares all listings that there can be; the first is the cheapest.
		for _ in 1..MAX_LISTINGS {
			let prices = Prices {
				price_in: PRICES.price_in.saturating_mul(2),
				..PRICES
			};
			Models::list(signed(), id, ListingTerms { prices, ..terms }, 0).expect("there is room");
		}
		id
	}
}

impl pallet_jobs::benchmarking::BenchmarkHelper<AccountId> for BenchmarkSetup {
	fn providers(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		let model = <Self as pallet_providers::BenchmarkHelper>::model();
		let accounts = (0u32..).zip(keys).map(|(number, key)| {
			let who = Self::rich("provider", number);
			let signed = || RawOrigin::Signed(who.clone()).into();
			Providers::bond(signed(), ProviderLimits::get().min_bond).expect("a good bond");
			Providers::serve(signed(), model, PRICES).expect("a model of the catalog");
			// Straight into storage: more capacity than a provider may set, and a key without its proof.
			pallet_providers::KeyOwners::<Runtime>::insert(key, &who);
			pallet_providers::Providers::<Runtime>::mutate(&who, |record| {
				let record = record.as_mut().expect("it has bonded");
				record.capacity = CAPACITY;
				record.key = Some(key.clone());
				record.last_seen = Some(System::block_number());
			});
			who
		});
		let accounts: Vec<AccountId> = accounts.collect();
		let members = accounts.iter().take(MAX_MEMBERS as usize).map(|who| Member {
			who: who.clone(),
			stake: ProviderLimits::get().min_bond,
		});
		let members: Vec<_> = members.collect();
		let mut least = LeastPricesOf::new();
		for member in &members {
			least.try_insert(member.who.clone(), PRICES).expect("no more than fit");
		}
		let seal = Seal {
			sealed_at: 0,
			members: members.try_into().expect("no more than fit"),
			least,
		};
		// Straight into storage: in force at once.
		pallet_providers::Electorates::<Runtime>::insert(
			model,
			Electorate {
				in_force: seal,
				next: None,
			},
		);
		(model, accounts)
	}

	fn requester() -> AccountId {
		Self::rich("requester", 0)
	}

	fn finalize(block: BlockNumber) {
		pallet_finality::Finalized::<Runtime>::put(block);
	}
}

impl pallet_verification::benchmarking::BenchmarkHelper<Runtime> for BenchmarkSetup {
	fn electorate(keys: &[InferenceId]) -> (ModelId, Vec<AccountId>) {
		<Self as pallet_jobs::benchmarking::BenchmarkHelper<_>>::providers(keys)
	}

	fn publish(model: &ModelId, verifiers: u8, root: &TraceRoot) -> ClaimId {
		let requester = <Self as pallet_jobs::benchmarking::BenchmarkHelper<AccountId>>::requester();
		let signed = RawOrigin::Signed(requester).into();
		let input = UncheckedInput::Text(b"benchmark".to_vec());
		let params = SamplingParams::greedy(MAX_OUTPUT_TOKENS).into();
		Jobs::request(signed, (*model).into(), input, params, verifiers, Balance::MAX).expect("a good request");
		let waits = |(_, job): &(JobId, pallet_jobs::JobOf<Runtime>)| job.answer.is_none();
		let (job, _) = pallet_jobs::Jobs::<Runtime>::iter()
			.find(waits)
			.expect("it was requested");
		System::set_block_number(System::block_number() + 1);
		<Jobs as Hooks<BlockNumber>>::on_finalize(System::block_number());
		let engagement = pallet_jobs::Jobs::<Runtime>::get(job).and_then(|job| job.engagement);
		let engagement = engagement.expect("somebody has a free place");
		let claim = engagement.claim;
		let publication = pallet_jobs::Publication {
			seal: claim.seal(&engagement.executor, &claim.bind(root)),
			executor: engagement.executor,
			claim,
			job,
			output: UncheckedOutput {
				input_tokens: 1,
				tokens: vec![1],
				text: b"a".to_vec(),
				finish: FinishReason::Eos,
			},
			at: System::block_number(),
		};
		let signature = sp_core::sr25519::Signature::from_raw([0; 64]).into();
		Jobs::publish(RawOrigin::Authorized.into(), publication, signature).expect("a good publication");
		claim
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::traits::ProviderSet;

	#[test]
	fn all_providers_of_the_setup_can_be_drawn() {
		sp_io::TestExternalities::default().execute_with(|| {
			let keys: Vec<_> = (0..MAX_MEMBERS)
				.map(|n| InferenceId::from(sp_core::sr25519::Public::from_raw([n as u8; 32])))
				.collect();
			let (model, accounts) = <BenchmarkSetup as pallet_jobs::benchmarking::BenchmarkHelper<_>>::providers(&keys);
			let electorate = <Providers as ProviderSet<AccountId>>::electorate(&model);
			assert_eq!(electorate.len(), accounts.len());
		});
	}

	#[test]
	fn the_pallets_have_benchmarks() {
		let (list, _) = metadata(true);
		let pallets = [
			"beacon",
			"models",
			"payments",
			"providers",
			"jobs",
			"verification",
			"governance",
		];
		for pallet in pallets.map(|name| alloc::format!("pallet_{name}")) {
			assert!(list.iter().any(|entry| entry.pallet == pallet.as_bytes()), "{pallet}");
		}
	}
}
