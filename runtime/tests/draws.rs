//! Draws: nothing that anybody can do near a draw changes it.

mod common;

use assay_primitives::{
	draw::{draw_seats, next_beacon, seats_seed},
	receipt::RefundReason,
	state::State,
	traits::{Beacon as _, ProviderSet},
	ClaimId, JobId, Verdict,
};
use assay_runtime::{
	constants::currency::ASY, genesis_config_presets::BOND, AccountId, Beacon, Providers, Runtime, RuntimeCall,
};
use common::{
	claims::{
		claim, drawn, executor, jury, lie, model, publication, publication_signed, publish, receipt, request_job,
		run_until, truth, vote_all, waiting, LIE, TRUTH,
	},
	keyring, signed, Chain,
};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};

/// What somebody might put into a block to move a draw.
fn disturbances() -> Vec<Vec<(Sr25519Keyring, RuntimeCall)>> {
	let extra = |amount| RuntimeCall::Providers(pallet_providers::Call::bond_extra { amount });
	let bond = RuntimeCall::Providers(pallet_providers::Call::bond { amount: 50_000 * ASY });
	let stop = RuntimeCall::Providers(pallet_providers::Call::stop_serving { model: model() });
	let capacity = RuntimeCall::Providers(pallet_providers::Call::set_capacity { capacity: 1 });
	let unbond = RuntimeCall::Providers(pallet_providers::Call::unbond { amount: 90_000 * ASY });
	vec![
		vec![],
		vec![(Alice, extra(1))],
		vec![(Bob, extra(500_000 * ASY))],
		vec![(Charlie, unbond), (Dave, extra(7))],
		vec![(Bob, stop)],
		vec![(Dave, capacity), (Eve, bond)],
	]
}

#[test]
fn no_extrinsic_of_the_blocks_before_a_draw_changes_its_seats() {
	let mut seats: Vec<Vec<AccountId>> = Vec::new();
	for n in 0..disturbances().len() {
		let mut chain = Chain::new("development", 1);
		let job = request_job(&mut chain, Ferdie, 4);
		chain.idle(1);
		let id = publish(&mut chain, job, truth(), TRUTH);
		// The two blocks from the publication to the draw, the draw's own included.
		for _ in 0..2 {
			let calls = disturbances().remove(n);
			let transactions = chain.read(|| calls.into_iter().map(|(who, call)| signed(who, call)).collect());
			let _ = chain.block(transactions);
		}
		let claim = claim(&mut chain, id);
		assert_eq!(claim.state, State::Voting);
		seats.push(claim.record.seats.iter().map(|seat| seat.provider.clone()).collect());
	}
	assert!(seats.iter().all(|other| *other == seats[0]), "{seats:?}");
}

#[test]
fn the_seats_follow_from_the_beacon_of_the_draws_block_and_the_sealed_stake() {
	let mut chain = Chain::new("development", 1);
	let (_, id) = drawn(&mut chain, 3, truth(), TRUTH);
	let record = claim(&mut chain, id).record;
	let draw = record.tranches[0];
	assert_eq!(draw.block, record.published_at + 2);
	let mut members = chain.read(|| Providers::electorate(&model()));
	members.retain(|member| member.who != record.executor);
	let seats: Vec<_> = record.seats.iter().map(|seat| seat.provider.clone()).collect();
	assert_eq!(seats, draw_seats(&seats_seed(&id, 1, &draw.beacon), &members, 3));
}

#[test]
fn the_beacon_accumulates_every_authors_output_in_its_own_block() {
	let mut chain = Chain::new("development", 1);
	let before = chain.read(Beacon::value);
	chain.idle(1);
	// In the state of the block that BABE and the beacon have finalized.
	let vrf = chain.read(pallet_babe::AuthorVrfRandomness::<Runtime>::get);
	assert!(vrf.is_some());
	let number = chain.number();
	assert_eq!(chain.read(Beacon::value), next_beacon(&before, number, vrf.as_ref()));
}

#[test]
fn the_electorate_does_not_change_for_a_period_after_any_change_of_stake() {
	let mut chain = Chain::new("development", 1);
	let before = chain.read(|| Providers::electorate(&model()));
	assert_eq!(before.len(), 4);
	let call = pallet_providers::Call::bond_extra { amount: 300_000 * ASY };
	let transaction = chain.read(|| signed(Bob, call));
	chain.good_block(vec![transaction]);
	for _ in 0..49 {
		chain.idle(1);
		assert_eq!(chain.read(|| Providers::electorate(&model())), before);
	}
}

#[test]
fn a_publication_for_another_forks_draw_is_refused_and_costs_nobody_anything() {
	// Two forks from the request on: other authors' outputs, the same job, and the same executor drawn on both.
	let fork = |blocks: u32| {
		let mut chain = Chain::new("development", 1);
		let job = request_job(&mut chain, Ferdie, 2);
		chain.idle(blocks);
		(chain, job)
	};
	let (mut one, job) = fork(1);
	let (executor_one, claim_one) = executor(&mut one, job);
	let carried = publication(&mut one, job, truth(), TRUTH);
	let mut other = None;
	for skipped in 1..60u64 {
		let mut chain = Chain::new("development", 1);
		let same: JobId = request_job(&mut chain, Ferdie, 2);
		assert_eq!(same, job, "a request keeps its name on every fork");
		chain.skip_slots(skipped);
		chain.idle(1);
		let (drawn, claim) = executor(&mut chain, job);
		if drawn == executor_one {
			other = Some((chain, claim));
			break;
		}
	}
	let (mut chain, claim_two) = other.expect("one of sixty forks draws the same executor");
	assert_ne!(claim_one, claim_two);
	let genesis = common::claims::chain_hash(&mut chain);
	let held = chain.held(&executor_one);
	let message = publication_signed(carried, &genesis, keyring(&executor_one));
	let refusal = chain.block(vec![message]).remove(0).expect_err("it is nothing here");
	let wrong_claim = codec::Encode::encode(&pallet_jobs::Error::<Runtime>::WrongClaim)[0];
	assert_eq!(
		refusal,
		sp_runtime::transaction_validity::InvalidTransaction::Custom(wrong_claim).into()
	);
	assert_eq!(chain.held(&executor_one), held);
	// The right one is not shut out.
	let id: ClaimId = publish(&mut chain, job, truth(), TRUTH);
	assert_eq!(id, claim_two);
}

#[test]
fn sybils_beside_a_whale_convict_nobody() {
	let mut chain = Chain::new("development", 1);
	// Bob, Charlie and Dave together have less than twice Alice's bond, once the seal with it is in force.
	let whale = pallet_providers::Call::bond_extra { amount: 800_000 * ASY };
	let transaction = chain.read(|| signed(Alice, whale));
	chain.good_block(vec![transaction]);
	chain.heartbeats_for(120);
	for _ in 0..20 {
		let (job, id) = drawn(&mut chain, 1, truth(), TRUTH);
		if claim(&mut chain, id).record.executor == Alice.to_account_id() {
			vote_all(&mut chain, id, |_| None);
			jury(&mut chain, id, |_| Some(false));
			assert_eq!(receipt(&mut chain, job).verdict, Verdict::Confirmed);
			return;
		}
		vote_all(&mut chain, id, |_| Some(TRUTH));
	}
	panic!("the whale is never drawn");
}

#[test]
fn of_four_equal_members_one_absent_leaves_a_rejected_lie_undecided() {
	let mut chain = Chain::new("development", 1);
	let (job, id) = drawn(&mut chain, 1, lie(), LIE);
	let seat = waiting(&mut chain, id).remove(0);
	vote_all(&mut chain, id, |_| None);
	let mut jurors = [Alice, Bob, Charlie, Dave].map(|key| key.to_account_id()).to_vec();
	let executor = claim(&mut chain, id).record.executor;
	jurors.retain(|who| *who != seat && *who != executor);
	// Two against one are no more than twice as much, in both rounds.
	jury(&mut chain, id, |who| (*who == jurors[0]).then_some(false));
	run_until(&mut chain, id, |claim| claim.state != State::Disputed);
	let receipt = receipt(&mut chain, job);
	assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::Undecided));
	assert_eq!(chain.held(&executor), BOND, "and nobody is slashed");
}
