//! The council: what two thirds of the validators may do, when, and what nobody else may, in real blocks.

mod common;

use assay_runtime::{
	configs::{
		governance::{GovernanceLimits, MAX_MOTIONS, MOTION_DEPOSIT, STALL_DELAY},
		system::RuntimeBlockWeights,
		tokens::TreasuryAccount,
	},
	constants::{
		block::MAXIMUM_LENGTH,
		currency::{deposit, ASY},
	},
	AccountId, Governance, Hash, Runtime, RuntimeCall, RuntimeEvent, Session,
};
use codec::Encode;
use common::{
	claims::{claim, drawn, jury, lie, vote_all, LIE},
	genesis, signed, Chain,
};
use frame_support::{
	dispatch::{DispatchClass, GetDispatchInfo},
	traits::TypedGet,
	weights::Weight,
};
use pallet_collective::WeightInfo as _;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_runtime::{
	traits::{BlakeTwo256, Hash as _},
	DispatchError, DispatchResult,
};

fn treasury() -> AccountId {
	<TreasuryAccount as TypedGet>::get()
}

/// Returns the call that pays from the treasury, which only root may make.
fn spend(value: u128) -> RuntimeCall {
	let call = pallet_balances::Call::force_transfer {
		source: treasury().into(),
		dest: Eve.to_account_id().into(),
		value,
	};
	call.into()
}

fn enact(call: RuntimeCall) -> RuntimeCall {
	pallet_governance::Call::enact { call: Box::new(call) }.into()
}

fn note_stalled(delay: u32, best_finalized_block_number: u32) -> RuntimeCall {
	let call = pallet_grandpa::Call::note_stalled {
		delay,
		best_finalized_block_number,
	};
	call.into()
}

fn enact_now(call: RuntimeCall) -> RuntimeCall {
	pallet_governance::Call::enact_now { call: Box::new(call) }.into()
}

/// Returns the hash and the number of a motion that a member makes.
fn propose(chain: &mut Chain, who: Sr25519Keyring, threshold: u32, call: &RuntimeCall) -> (Hash, u32) {
	let motion = pallet_collective::Call::propose {
		threshold,
		proposal: Box::new(call.clone()),
		length_bound: call.encoded_size() as u32,
	};
	let transaction = chain.read(|| signed(who, motion));
	chain.good_block(vec![transaction]);
	let index = chain.read(pallet_collective::ProposalCount::<Runtime>::get) - 1;
	(BlakeTwo256::hash_of(call), index)
}

fn vote(chain: &mut Chain, (proposal, index): (Hash, u32), ayes: &[Sr25519Keyring]) {
	let vote = pallet_collective::Call::vote {
		proposal,
		index,
		approve: true,
	};
	let transactions = chain.read(|| ayes.iter().map(|who| signed(*who, vote.clone())).collect());
	chain.good_block(transactions);
}

/// Closes a motion, as anybody may, and returns the result of its call. None if it is not decided.
fn close(chain: &mut Chain, (proposal_hash, index): (Hash, u32), call: &RuntimeCall) -> Option<DispatchResult> {
	let close = pallet_collective::Call::close {
		proposal_hash,
		index,
		proposal_weight_bound: call.get_dispatch_info().call_weight,
		length_bound: call.encoded_size() as u32,
	};
	let transaction = chain.read(|| signed(Ferdie, close));
	chain.block(vec![transaction]).remove(0).expect("valid").ok()?;
	chain.events().into_iter().find_map(|event| match event {
		RuntimeEvent::Council(pallet_collective::Event::Executed { result, .. }) => Some(result),
		_ => None,
	})
}

/// Makes a motion, lets these members vote for it, and closes it.
fn decide(chain: &mut Chain, call: RuntimeCall, ayes: &[Sr25519Keyring]) -> Option<DispatchResult> {
	let motion = propose(chain, ayes[0], ayes.len() as u32, &call);
	vote(chain, motion, ayes);
	let result = close(chain, motion, &call);
	let release = pallet_collective::Call::release_proposal_cost {
		proposal_hash: motion.0,
	};
	let transaction = chain.read(|| signed(Ferdie, release));
	let _ = chain.block(vec![transaction]);
	result
}

/// Makes the blocks in which what was decided is dispatched, and returns the results of what was.
fn after_the_delay(chain: &mut Chain) -> Vec<DispatchResult> {
	chain.skip_blocks(GovernanceLimits::get().delay - 10);
	let mut results = Vec::new();
	// The scheduler looks through all the blocks that were left out, which takes it a few.
	for _ in 0..20 {
		chain.idle(1);
		results.extend(chain.events().into_iter().filter_map(|event| match event {
			RuntimeEvent::Scheduler(pallet_scheduler::Event::Dispatched { result, .. }) => Some(result),
			_ => None,
		}));
	}
	results
}

#[test]
fn the_council_is_the_validators_from_genesis_on() {
	for preset in ["development", "local_testnet", "staging"] {
		genesis(preset).execute_with(|| {
			let mut validators = Session::validators();
			validators.sort_unstable();
			assert_eq!(pallet_collective::Members::<Runtime>::get(), validators, "{preset}");
			assert!(!validators.is_empty());
		});
	}
}

#[test]
fn three_of_four_validators_spend_from_the_treasury_after_the_delay() {
	let mut chain = Chain::new("local_testnet", 1);
	let issuance = chain.issuance();
	let before = chain.wealth(&Eve.to_account_id());
	assert_eq!(
		decide(&mut chain, enact(spend(ASY / 2)), &[Alice, Bob, Charlie]),
		Some(Ok(()))
	);
	chain.idle(20);
	assert_eq!(chain.wealth(&Eve.to_account_id()), before, "not yet");
	assert_eq!(after_the_delay(&mut chain), [Ok(())]);
	assert_eq!(chain.wealth(&Eve.to_account_id()), before + ASY / 2);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn two_of_four_decide_nothing() {
	let mut chain = Chain::new("local_testnet", 1);
	let bad = Some(Err(DispatchError::BadOrigin));
	assert_eq!(decide(&mut chain, enact(spend(1)), &[Alice, Bob]), bad);
	assert_eq!(decide(&mut chain, enact_now(note_stalled(100, 1)), &[Alice, Bob]), bad);
	let cancel = pallet_verification::Call::cancel_slash { conviction: 0 };
	assert_eq!(decide(&mut chain, cancel.into(), &[Alice, Bob]), bad);
	assert!(after_the_delay(&mut chain).is_empty());
}

#[test]
fn a_motion_of_the_whole_council_is_no_root_without_the_delay() {
	let mut chain = Chain::new("local_testnet", 1);
	let everybody = [Alice, Bob, Charlie, Dave];
	let bad = Some(Err(DispatchError::BadOrigin));
	let when = chain.number() + 100;
	let as_root = pallet_utility::Call::dispatch_as {
		as_origin: Box::new(frame_system::RawOrigin::Root.into()),
		call: Box::new(spend(1)),
	};
	let schedule = pallet_scheduler::Call::schedule {
		when,
		maybe_periodic: None,
		priority: 0,
		call: Box::new(spend(1)),
	};
	let batch = pallet_utility::Call::batch_all { calls: vec![spend(1)] };
	for call in [
		spend(1),
		as_root.into(),
		schedule.into(),
		batch.into(),
		frame_system::Call::set_code { code: vec![0; 100] }.into(),
		frame_system::Call::authorize_upgrade {
			code_hash: Hash::zero(),
		}
		.into(),
		note_stalled(100, 1),
	] {
		assert_eq!(decide(&mut chain, call.clone(), &everybody), bad, "{call:?}");
	}
}

#[test]
fn a_validator_that_lost_its_place_has_no_vote_left() {
	let mut chain = Chain::new("local_testnet", 1);
	let call = enact(spend(1));
	let motion = propose(&mut chain, Alice, 3, &call);
	vote(&mut chain, motion, &[Alice, Bob, Charlie]);
	let leave = chain.read(|| {
		let amount = assay_runtime::genesis_config_presets::BOND;
		signed(Charlie, pallet_providers::Call::unbond { amount })
	});
	chain.good_block(vec![leave]);
	for _ in 0..3 {
		chain.next_session();
	}
	let members = chain.read(pallet_collective::Members::<Runtime>::get);
	assert!(!members.contains(&Charlie.to_account_id()), "{members:?}");
	assert_eq!(close(&mut chain, motion, &call), None, "two votes are left of three");
	let vote = pallet_collective::Call::vote {
		proposal: motion.0,
		index: motion.1,
		approve: true,
	};
	let transaction = chain.read(|| signed(Charlie, vote));
	let result = chain.block(vec![transaction]).remove(0).expect("valid");
	assert_eq!(result, Err(pallet_collective::Error::<Runtime>::NotMember.into()));
}

#[test]
fn who_is_no_validator_makes_no_motion_and_has_no_vote() {
	let mut chain = Chain::new("local_testnet", 1);
	let call = enact(spend(1));
	let propose_it = pallet_collective::Call::propose {
		threshold: 1,
		proposal: Box::new(call.clone()),
		length_bound: 1_000,
	};
	let transaction = chain.read(|| signed(Ferdie, propose_it));
	let result = chain.block(vec![transaction]).remove(0).expect("valid");
	assert_eq!(result, Err(pallet_collective::Error::<Runtime>::NotMember.into()));
}

#[test]
fn a_third_vetoes_what_waits() {
	let mut chain = Chain::new("local_testnet", 1);
	let before = chain.wealth(&Eve.to_account_id());
	assert_eq!(
		decide(&mut chain, enact(spend(1)), &[Alice, Bob, Charlie]),
		Some(Ok(()))
	);
	let cancel = RuntimeCall::from(pallet_governance::Call::cancel { id: 0 });
	// One of four is less than a third, two are more.
	let alone = chain.read(|| {
		let alone = pallet_collective::Call::propose {
			threshold: 1,
			proposal: Box::new(cancel.clone()),
			length_bound: 1_000,
		};
		signed(Dave, alone)
	});
	chain.good_block(vec![alone]);
	assert!(chain.events().iter().any(|event| matches!(
		event,
		RuntimeEvent::Council(pallet_collective::Event::Executed {
			result: Err(DispatchError::BadOrigin),
			..
		})
	)));
	assert_eq!(decide(&mut chain, cancel, &[Dave, Charlie]), Some(Ok(())));
	assert!(after_the_delay(&mut chain).is_empty());
	assert_eq!(chain.wealth(&Eve.to_account_id()), before);
}

#[test]
fn a_decision_that_fails_changes_nothing_and_is_reported() {
	let mut chain = Chain::new("local_testnet", 1);
	let before = chain.wealth(&treasury());
	let too_much = before + 1_000_000 * ASY;
	let batch = pallet_utility::Call::batch_all {
		calls: vec![spend(1), spend(too_much)],
	};
	assert_eq!(
		decide(&mut chain, enact(batch.into()), &[Alice, Bob, Charlie]),
		Some(Ok(()))
	);
	let eve = chain.wealth(&Eve.to_account_id());
	let results = after_the_delay(&mut chain);
	assert!(matches!(results[..], [Err(_)]), "{results:?}");
	assert_eq!(chain.wealth(&Eve.to_account_id()), eve);
}

#[test]
fn a_call_too_heavy_for_the_scheduler_is_refused_at_once() {
	let mut chain = Chain::new("local_testnet", 1);
	// Short, and with more to do than fits in a block.
	let heavy = RuntimeCall::from(frame_system::Call::kill_prefix {
		prefix: vec![1; 32],
		subkeys: 1_000_000,
	});
	assert!(heavy
		.get_dispatch_info()
		.call_weight
		.any_gt(GovernanceLimits::get().max_weight));
	assert_eq!(
		decide(&mut chain, enact(heavy), &[Alice, Bob, Charlie]),
		Some(Err(pallet_governance::Error::<Runtime>::TooHeavy.into()))
	);
}

#[test]
fn two_thirds_note_at_once_that_finality_is_stalled_within_bounds() {
	let mut chain = Chain::new("local_testnet", 1);
	let three = [Alice, Bob, Charlie];
	let not_urgent = Some(Err(pallet_governance::Error::<Runtime>::NotUrgent.into()));
	let future = chain.number() + 100_000;
	let (least, most) = (*STALL_DELAY.start(), *STALL_DELAY.end());
	let batch = pallet_utility::Call::batch {
		calls: vec![note_stalled(least, 1)],
	};
	for call in [
		note_stalled(least - 1, 1),
		note_stalled(most + 1, 1),
		note_stalled(u32::MAX, 1),
		note_stalled(least, future),
		batch.into(),
		spend(1),
	] {
		assert_eq!(
			decide(&mut chain, enact_now(call.clone()), &three),
			not_urgent,
			"{call:?}"
		);
	}
	assert_eq!(
		decide(&mut chain, enact_now(note_stalled(least, 1)), &three),
		Some(Ok(()))
	);
	// It is in force at once.
	assert_eq!(
		chain.read(pallet_grandpa::Stalled::<Runtime>::get),
		Some((least, 1)),
		"the next session forces a change"
	);
}

#[test]
fn two_thirds_cancel_a_slash_before_it_is_taken() {
	let mut chain = Chain::new("local_testnet", 1);
	let (_, id) = drawn(&mut chain, 2, lie(), LIE);
	let liar = claim(&mut chain, id).record.executor;
	vote_all(&mut chain, id, |_| None);
	jury(&mut chain, id, |_| Some(false));
	let held = chain.held(&liar);
	let cancel = RuntimeCall::from(pallet_verification::Call::cancel_slash { conviction: 0 });
	assert_eq!(decide(&mut chain, cancel, &[Alice, Bob, Charlie]), Some(Ok(())));
	assert!(chain.read(|| pallet_verification::Convictions::<Runtime>::iter().next().is_none()));
	// The deposit of a motion is held too, if the liar made it, until it is released.
	assert_eq!(chain.held(&liar), held);
}

#[test]
fn a_member_has_one_motion_and_pays_for_it() {
	let mut chain = Chain::new("local_testnet", 1);
	let alice = Alice.to_account_id();
	let (before, held) = (chain.wealth(&alice), chain.held(&alice));
	let first = enact(spend(1));
	let motion = propose(&mut chain, Alice, 3, &first);
	assert_eq!(chain.held(&alice), held + MOTION_DEPOSIT);
	assert!(chain.wealth(&alice) < before, "a fee as well");
	let second = pallet_collective::Call::propose {
		threshold: 3,
		proposal: Box::new(enact(spend(2))),
		length_bound: 1_000,
	};
	let transaction = chain.read(|| signed(Alice, second.clone()));
	let result = chain.block(vec![transaction]).remove(0).expect("valid");
	assert_eq!(
		result,
		Err(pallet_collective::Error::<Runtime>::TooManyProposals.into())
	);
	vote(&mut chain, motion, &[Alice, Bob, Charlie]);
	assert_eq!(close(&mut chain, motion, &first), Some(Ok(())));
	let release = pallet_collective::Call::release_proposal_cost {
		proposal_hash: motion.0,
	};
	let transactions = chain.read(|| vec![signed(Ferdie, release), signed(Alice, second)]);
	chain.good_block(transactions);
	assert_eq!(
		chain.held(&alice),
		held + MOTION_DEPOSIT,
		"the first was released, the second is held"
	);
}

#[test]
fn staging_is_governed_by_its_council_and_nobody_else() {
	genesis("staging").execute_with(|| {
		assert_eq!(pallet_sudo::Key::<Runtime>::get(), None);
		let members = pallet_collective::Members::<Runtime>::get();
		assert_eq!(members.len(), 4);
		let three = || pallet_collective::RawOrigin::Members(3, 4).into();
		assert!(Governance::enact(three(), Box::new(spend(1))).is_ok());
		let two = pallet_collective::RawOrigin::Members(2, 4).into();
		assert!(Governance::enact(two, Box::new(spend(1))).is_err());
	});
}

#[test]
fn limits_fit_together() {
	genesis("development").execute_with(|| {
		let limits = GovernanceLimits::get();
		let slash_delay = assay_runtime::configs::inference::VerificationLimits::get().slash_delay;
		assert!(
			limits.delay < slash_delay,
			"root too can cancel a slash before it is taken"
		);
		assert!(
			MOTION_DEPOSIT > deposit(1, MAXIMUM_LENGTH),
			"a motion as long as a block is paid for"
		);
		// Whoever can fill all motions can veto everything.
		const { assert!(MAX_MOTIONS * 3 > assay_runtime::configs::consensus::MAX_AUTHORITIES) };
		// The code of an upgrade, and what motions cost at most, fit in a block.
		let apply = RuntimeCall::from(frame_system::Call::apply_authorized_upgrade {
			code: vec![0; 3 * 1024 * 1024],
		});
		let most = RuntimeBlockWeights::get().get(DispatchClass::Operational).max_extrinsic;
		let most = most.unwrap_or(RuntimeBlockWeights::get().max_block);
		assert!(apply.get_dispatch_info().total_weight().all_lte(most));
		type Weights = pallet_collective::weights::SubstrateWeight<Runtime>;
		let (b, m) = (limits.max_bytes, assay_runtime::configs::consensus::MAX_AUTHORITIES);
		let close: Weight = Weights::close_approved(b, m, MAX_MOTIONS).saturating_add(
			RuntimeCall::from(pallet_governance::Call::enact {
				call: Box::new(
					frame_system::Call::remark {
						remark: vec![0; b as usize],
					}
					.into(),
				),
			})
			.get_dispatch_info()
			.call_weight,
		);
		assert!(close.all_lte(most), "{close:?} of {most:?}");
	});
}
