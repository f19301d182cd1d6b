//! The chain's numbers fit together: what must outlast a job does, and what must fit in a block does.

mod common;

use assay_primitives::{
	limits::{MAX_BATCH, MAX_INPUT_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS, MAX_VERIFIERS},
	rules::{check_work, generation_work, HEARTBEAT_AGE},
	Approval, ClaimId, DrawId, FinishReason, SamplingParams, Seal, UncheckedInput, UncheckedOutput, Vote,
};
use assay_runtime::{
	configs::{
		consensus::{EpochDuration, FinalityLimits, ReportLongevity, ReportSessions, MAX_AUTHORITIES},
		inference::{JobLimits, ModelLimits, ProviderLimits, VerificationLimits},
		system::{RuntimeBlockLength, RuntimeBlockWeights},
	},
	Jobs, Providers, Runtime, RuntimeCall,
};
use codec::Encode;
use common::{claims::model, genesis};
use frame_support::{
	dispatch::{DispatchClass, GetDispatchInfo},
	weights::Weight,
};
use pallet_jobs::{Publication, WeightInfo as _};
use pallet_verification::{Batch, Message, VoteItem, WeightInfo as _};
use sp_keyring::Sr25519Keyring::Alice;

#[test]
fn stake_and_catalog_entries_outlast_every_job() {
	genesis("development").execute_with(|| {
		// The longest prompt and the longest answer.
		let (tokens_in, tokens_out) = (MAX_INPUT_BYTES, MAX_OUTPUT_TOKENS);
		let t_max = Jobs::t_max(
			generation_work(tokens_in, tokens_out),
			check_work(tokens_in, tokens_out),
		);
		let slash = VerificationLimits::get().slash_delay;
		assert!(
			ProviderLimits::get().min_unbonding_period > t_max + slash,
			"a bond cannot leave before its slash, on any chain"
		);
		assert!(
			ModelLimits::get().retention > t_max,
			"a retired model's owner can still be paid"
		);
	});
}

#[test]
fn a_bond_stays_slashable_as_long_as_an_equivocation_can_be_reported() {
	genesis("development").execute_with(|| {
		let period = Providers::unbonding_period();
		assert_eq!(period, ProviderLimits::get().unbonding_period);
		assert_eq!(ReportLongevity::get(), u64::from(period));
		// Blocks come at most as often as slots, and half as often where finality is worth anything.
		assert!(ReportSessions::get() * EpochDuration::get() >= 2 * ReportLongevity::get());
		pallet_providers::UnbondingPeriod::<Runtime>::put(2 * period);
		assert_eq!(ReportLongevity::get(), 2 * u64::from(period));
	});
	assert!(ProviderLimits::get().max_validators <= MAX_AUTHORITIES);
}

#[test]
fn a_raw_genesis_sets_the_length_of_sessions_under_its_documented_key() {
	let key = sp_core::bytes::to_hex(&EpochDuration::key(), false);
	assert_eq!(
		key, "0x695ec709ce0439fb6d6db345d9653648",
		"e2e and docs/operator.md have it"
	);
}

#[test]
fn a_forced_change_takes_effect_before_the_next_session() {
	genesis("development").execute_with(|| {
		for slots in [8, 20, 200] {
			EpochDuration::set(&slots);
			let limits = FinalityLimits::get();
			// Three fifths of the slots have a block at least.
			assert!(u64::from(2 * limits.delay) <= slots * 3 / 5 + 1, "{slots}");
			assert!(limits.max_lag >= limits.window && u64::from(limits.window) >= slots);
		}
	});
}

#[test]
fn a_provider_can_miss_a_heartbeat_before_it_counts_as_offline() {
	assert!(HEARTBEAT_AGE >= 2 * ProviderLimits::get().heartbeat_interval);
}

#[test]
fn all_pallets_pay_by_the_same_rates_and_reckon_with_the_same_speed() {
	assert_eq!(JobLimits::get().rates, ProviderLimits::get().rates);
	assert_eq!(JobLimits::get().rates, VerificationLimits::get().rates);
	assert_eq!(JobLimits::get().rates.royalty_max, ModelLimits::get().royalty_max);
	assert_eq!(VerificationLimits::get().least_speed, ProviderLimits::get().least_speed);
}

#[test]
fn the_largest_request_publication_and_batch_fit_in_a_block() {
	let limits = RuntimeBlockWeights::get();
	let executor = Alice.to_account_id();
	let vote = Message::Vote(VoteItem {
		claim: ClaimId([1; 32]),
		tranche: 1,
		draw: DrawId([2; 32]),
		vote: Vote::Approve(Approval([3; 32])),
	});
	let calls: [RuntimeCall; 3] = [
		pallet_jobs::Call::request {
			target: model().into(),
			input: UncheckedInput::Chat(vec![b'x'; MAX_INPUT_BYTES as usize]),
			params: SamplingParams::greedy(1).into(),
			verifiers: MAX_VERIFIERS,
			max_fee: 0,
		}
		.into(),
		pallet_jobs::Call::publish {
			publication: Publication {
				executor: executor.clone(),
				claim: ClaimId([1; 32]),
				job: assay_primitives::JobId([1; 32]),
				output: UncheckedOutput {
					input_tokens: MAX_INPUT_BYTES,
					tokens: vec![1; MAX_OUTPUT_TOKENS as usize],
					text: vec![b'x'; MAX_OUTPUT_BYTES as usize],
					finish: FinishReason::Length,
				},
				seal: Seal([2; 32]),
				at: 1,
			},
			signature: Alice.sign(b"any").into(),
		}
		.into(),
		pallet_verification::Call::submit {
			batch: Batch {
				voter: executor,
				at: 1,
				messages: vec![vote; MAX_BATCH as usize],
			},
			signature: Alice.sign(b"any").into(),
		}
		.into(),
	];
	for call in calls {
		let info = call.get_dispatch_info();
		let most = limits.get(info.class).max_extrinsic.unwrap_or(limits.max_block);
		let (weight, bytes) = (info.total_weight(), call.encoded_size());
		println!(
			"{:?}: {:.3} ms, {bytes} bytes",
			info.class,
			weight.ref_time() as f64 / 1e9
		);
		assert!(weight.all_lte(most), "{:?} {weight:?} of {most:?}", info.class);
		// Twenty of them at least find room in a block.
		assert!(20 * bytes < *RuntimeBlockLength::get().max.get(info.class) as usize);
	}
}

#[test]
fn blocks_leave_room_for_votes_when_they_are_full_of_transfers() {
	let limits = RuntimeBlockWeights::get();
	let normal = limits.get(DispatchClass::Normal).max_total.expect("limited");
	assert!(normal.all_lt(limits.max_block));
}

/// The weight of one job that two verifiers check and that the lottery spares, from its request to its settlement. Three
/// quarters of it are writes to the database, 50 microseconds each; a hundred jobs a second need a fifth less of them.
#[test]
fn a_whole_job_is_light_enough_for_seventy_a_second() {
	type Jobs = <Runtime as pallet_jobs::Config>::WeightInfo;
	type Verification = <Runtime as pallet_verification::Config>::WeightInfo;
	let steps = [
		// One listing, as a request that names it, and one of a model that has no other.
		("request", Jobs::request(256, 1)),
		("executor's draw", Jobs::draw()),
		("publication", Jobs::publish(512)),
		("its check in the pool", Jobs::authorize_publish(512)),
		("verifiers' draw", Verification::draw_seats(2)),
		("two votes", Verification::submit(1).saturating_mul(2)),
		(
			"their checks in the pool",
			Verification::authorize_submit(1).saturating_mul(2),
		),
		("lottery", Verification::pass_claim(0)),
		("opening", Verification::open(0)),
		("its check in the pool", Verification::authorize_open()),
		("settlement", Verification::settle(2)),
	];
	let mut sum = Weight::zero();
	for (step, weight) in steps {
		println!("{step:26} {:7.3} ms", weight.ref_time() as f64 / 1e9);
		sum = sum.saturating_add(weight);
	}
	let total = sum.ref_time() as f64 / 1e9;
	println!("{:26} {total:7.3} ms", "sum");
	let a_second = 1_000.0 / (3.0 * total);
	println!("{a_second:.0} jobs a second, if a block of three seconds computes for one");
	assert!(a_second > 70.0, "{total} ms a job");
}
