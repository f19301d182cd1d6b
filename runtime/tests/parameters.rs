//! The chain's numbers fit together: what must outlast a job does, and what must fit in a block does.

mod common;

use assay_primitives::{
	limits::{MAX_BATCH, MAX_INPUT_BYTES},
	vote::Salt,
	Commitment, JobId, SamplingParams,
};
use assay_runtime::{
	configs::{
		consensus::{MAX_AUTHORITIES, REPORT_LONGEVITY},
		inference::{JobLimits, ModelLimits, ProviderLimits},
		system::RuntimeBlockWeights,
	},
	Jobs, RuntimeCall,
};
use common::{
	committee::{model, truth, CONFIRM},
	genesis,
};
use frame_support::dispatch::{DispatchClass, GetDispatchInfo};
use pallet_jobs::{Batch, CommitItem, Publication, RevealItem};
use sp_keyring::Sr25519Keyring::Alice;

#[test]
fn stake_and_catalog_entries_outlast_every_job() {
	genesis("development").execute_with(|| {
		let t_max = Jobs::t_max();
		assert!(
			ProviderLimits::get().unbonding_period > t_max,
			"a bond can't leave before the verdict"
		);
		assert!(
			ModelLimits::get().retention > t_max,
			"a retired model's owner can still be paid"
		);
	});
}

#[test]
fn a_bond_stays_slashable_as_long_as_an_equivocation_can_be_reported() {
	assert!(u64::from(ProviderLimits::get().unbonding_period) >= REPORT_LONGEVITY);
	assert!(ProviderLimits::get().max_validators <= MAX_AUTHORITIES);
}

#[test]
fn a_provider_can_miss_a_heartbeat_before_it_counts_as_offline() {
	assert!(ProviderLimits::get().offline_after >= 2 * ProviderLimits::get().heartbeat_interval);
}

#[test]
fn the_catalog_and_the_jobs_pay_by_the_same_rates_as_the_stake() {
	assert_eq!(JobLimits::get().rates, ProviderLimits::get().rates);
	assert_eq!(JobLimits::get().rates.royalty_max, ModelLimits::get().royalty_max);
}

#[test]
fn the_largest_request_publication_and_batch_fit_in_a_block() {
	let limits = RuntimeBlockWeights::get();
	let voter = Alice.to_account_id();
	let (job, attempt, commitment) = (JobId([1; 32]), 0, Commitment([2; 32]));
	let signature = Alice.sign(b"any").into();
	let items = MAX_BATCH as usize;
	let salt: Salt = [3; 32];
	let calls: [RuntimeCall; 3] = [
		pallet_jobs::Call::request {
			model: model(),
			input: vec![b'x'; MAX_INPUT_BYTES as usize].try_into().expect("the longest"),
			params: SamplingParams::greedy(1),
			committee_size: 13,
			max_fee: 0,
		}
		.into(),
		pallet_jobs::Call::publish {
			publication: Publication {
				voter: voter.clone(),
				job,
				attempt,
				output: truth(),
				commitment,
				at: 1,
			},
			signature,
		}
		.into(),
		pallet_jobs::Call::vote {
			batch: Batch {
				voter,
				at: 1,
				commitments: vec![
					CommitItem {
						job,
						attempt,
						commitment
					};
					items
				]
				.try_into()
				.expect("the most"),
				reveals: vec![
					RevealItem {
						job,
						attempt,
						vote: CONFIRM,
						salt
					};
					items
				]
				.try_into()
				.expect("the most"),
			},
			signature: Alice.sign(b"any").into(),
		}
		.into(),
	];
	for call in calls {
		let info = call.get_dispatch_info();
		let most = limits.get(info.class).max_extrinsic.unwrap_or(limits.max_block);
		assert!(
			info.total_weight().all_lte(most),
			"{:?} {:?} of {most:?}",
			info.class,
			info.total_weight()
		);
	}
}

#[test]
fn blocks_leave_room_for_votes_when_they_are_full_of_transfers() {
	let limits = RuntimeBlockWeights::get();
	let normal = limits.get(DispatchClass::Normal).max_total.expect("limited");
	assert!(normal.all_lt(limits.max_block));
}
