//! Who tries to be root without the council's decision, or before its time, through real motions and signatures.

use crate::mock::*;
use frame_support::{assert_noop, assert_ok, traits::ChangeMembers, weights::Weight};
use sp_runtime::{
	traits::{BlakeTwo256, Dispatchable, Hash},
	DispatchError,
};

type CouncilError = pallet_collective::Error<Test>;
type TestHash = <Test as frame_system::Config>::Hash;

/// A motion, voted for by these members, and closed. Returns the result of its call, if it was approved.
fn motion(proposer: u64, threshold: u32, call: RuntimeCall, ayes: &[u64]) -> Option<Result<(), DispatchError>> {
	let hash = propose(proposer, threshold, &call);
	for who in ayes {
		assert_ok!(Council::vote(RuntimeOrigin::signed(*who), hash, newest(), true));
	}
	close(hash)
}

fn propose(proposer: u64, threshold: u32, call: &RuntimeCall) -> TestHash {
	assert_ok!(Council::propose(
		RuntimeOrigin::signed(proposer),
		threshold,
		Box::new(call.clone()),
		1_000_000
	));
	BlakeTwo256::hash_of(call)
}

/// Returns the number of the newest motion.
fn newest() -> u32 {
	pallet_collective::ProposalCount::<Test>::get() - 1
}

fn close(hash: TestHash) -> Option<Result<(), DispatchError>> {
	System::reset_events();
	Council::close(RuntimeOrigin::signed(STRANGER), hash, newest(), Weight::MAX, 1_000_000).ok()?;
	System::events().into_iter().find_map(|record| match record.event {
		RuntimeEvent::Council(pallet_collective::Event::Executed { result, .. }) => Some(result),
		_ => None,
	})
}

#[test]
fn two_thirds_enact_through_a_motion() {
	new_test_ext().execute_with(|| {
		assert_eq!(motion(1, 4, enact(set_balance(1_000)), &[1, 2, 3, 4]), Some(Ok(())));
		run_to(System::block_number() + DELAY);
		assert_eq!(balance(), 1_000);
	});
}

#[test]
fn a_motion_with_a_low_threshold_gives_no_more_than_its_votes() {
	new_test_ext().execute_with(|| {
		// Two members pass a motion among themselves, one alone executes it.
		let call = enact(set_balance(1));
		assert_eq!(motion(1, 2, call.clone(), &[1, 2]), Some(Err(DispatchError::BadOrigin)));
		assert_eq!(
			motion(1, 3, call.clone(), &[1, 2, 3]),
			Some(Err(DispatchError::BadOrigin))
		);
		System::reset_events();
		assert_ok!(Council::propose(
			RuntimeOrigin::signed(1),
			1,
			Box::new(call.clone()),
			1_000_000
		));
		assert_ok!(Council::execute(RuntimeOrigin::signed(1), Box::new(call), 1_000_000));
		let bad = System::events().into_iter().filter(|record| match &record.event {
			RuntimeEvent::Council(
				pallet_collective::Event::Executed { result, .. }
				| pallet_collective::Event::MemberExecuted { result, .. },
			) => *result == Err(DispatchError::BadOrigin),
			_ => false,
		});
		assert_eq!(bad.count(), 2);
		assert_eq!(crate::NextEnactment::<Test>::get(), 0);
	});
}

#[test]
fn who_is_no_member_neither_proposes_nor_votes() {
	new_test_ext().execute_with(|| {
		let call = enact(set_balance(1));
		let stranger = || RuntimeOrigin::signed(STRANGER);
		assert_noop!(
			Council::propose(stranger(), 4, Box::new(call.clone()), 1_000_000),
			CouncilError::NotMember
		);
		assert_noop!(
			Council::execute(stranger(), Box::new(call.clone()), 1_000_000),
			CouncilError::NotMember
		);
		let hash = propose(1, 4, &call);
		assert_noop!(Council::vote(stranger(), hash, newest(), true), CouncilError::NotMember);
		assert_noop!(
			Governance::enact(stranger(), Box::new(set_balance(1))),
			DispatchError::BadOrigin
		);
		assert_noop!(Governance::cancel(stranger(), 0), DispatchError::BadOrigin);
	});
}

#[test]
fn who_loses_its_seat_loses_its_vote_on_open_motions() {
	new_test_ext().execute_with(|| {
		let hash = propose(1, 4, &enact(set_balance(1)));
		for who in [1, 2, 3, 4] {
			assert_ok!(Council::vote(RuntimeOrigin::signed(who), hash, newest(), true));
		}
		// The newcomer has not voted.
		Council::change_members_sorted(&[STRANGER], &[4], &[1, 2, 3, 5, 6, STRANGER]);
		assert_eq!(close(hash), None);
		assert_noop!(
			Council::vote(RuntimeOrigin::signed(4), hash, newest(), true),
			CouncilError::NotMember
		);
		assert_ok!(Council::vote(RuntimeOrigin::signed(STRANGER), hash, newest(), true));
		assert_eq!(close(hash), Some(Ok(())));
	});
}

#[test]
fn a_council_that_grew_needs_two_thirds_of_its_new_size() {
	new_test_ext().execute_with(|| {
		let hash = propose(1, 4, &enact(set_balance(1)));
		for who in [1, 2, 3, 4] {
			assert_ok!(Council::vote(RuntimeOrigin::signed(who), hash, newest(), true));
		}
		Council::change_members_sorted(&[7, 8], &[], &[1, 2, 3, 4, 5, 6, 7, 8]);
		assert_eq!(close(hash), Some(Err(DispatchError::BadOrigin)));
	});
}

#[test]
fn nobody_chooses_the_members() {
	new_test_ext().execute_with(|| {
		for origin in [RuntimeOrigin::root(), votes(6), RuntimeOrigin::signed(1)] {
			assert_noop!(
				Council::set_members(origin, vec![STRANGER], None, 6),
				DispatchError::BadOrigin
			);
		}
	});
}

#[test]
fn no_call_around_it_makes_a_decision_earlier() {
	new_test_ext().execute_with(|| {
		let call = || Box::new(set_balance(1));
		let soon = System::block_number() + 1;
		let root = Box::new(OriginCaller::from(frame_system::RawOrigin::Root));
		let calls: Vec<RuntimeCall> = vec![
			*call(),
			pallet_utility::Call::batch { calls: vec![*call()] }.into(),
			pallet_utility::Call::batch_all { calls: vec![*call()] }.into(),
			pallet_utility::Call::force_batch { calls: vec![*call()] }.into(),
			pallet_utility::Call::dispatch_as {
				as_origin: root,
				call: call(),
			}
			.into(),
			pallet_utility::Call::with_weight {
				call: call(),
				weight: Weight::zero(),
			}
			.into(),
			pallet_utility::Call::as_derivative { index: 0, call: call() }.into(),
			pallet_scheduler::Call::schedule {
				when: soon,
				maybe_periodic: None,
				priority: 0,
				call: call(),
			}
			.into(),
			pallet_scheduler::Call::schedule_after {
				after: 0,
				maybe_periodic: None,
				priority: 0,
				call: call(),
			}
			.into(),
		];
		for origin in [votes(6), RuntimeOrigin::signed(1), RuntimeOrigin::none()] {
			for call in &calls {
				let _ = call.clone().dispatch(origin.clone());
				run_to(System::block_number() + 2);
				assert_eq!(balance(), MONEY, "{call:?}");
			}
		}
		// Nor is an enactment moved to an earlier block.
		assert_ok!(Governance::enact(votes(6), call()));
		let moved: [RuntimeCall; 3] = [
			pallet_scheduler::Call::cancel_named {
				id: Governance::task_name(0),
			}
			.into(),
			pallet_scheduler::Call::cancel {
				when: System::block_number() + DELAY,
				index: 0,
			}
			.into(),
			pallet_scheduler::Call::schedule_named {
				id: Governance::task_name(1),
				when: System::block_number() + 1,
				maybe_periodic: None,
				priority: 0,
				call: call(),
			}
			.into(),
		];
		for call in moved {
			assert_noop!(call.dispatch(votes(6)), DispatchError::BadOrigin);
		}
	});
}

#[test]
fn a_decision_inside_a_decision_waits_twice() {
	new_test_ext().execute_with(|| {
		// Root is no council: it cannot enact, but it can schedule.
		assert_ok!(Governance::enact(votes(4), Box::new(enact(set_balance(1)))));
		run_to(1 + DELAY);
		assert_eq!(dispatched(), [Err(DispatchError::BadOrigin)]);
		assert_eq!(balance(), MONEY);
	});
}

#[test]
fn fewer_than_a_third_cancel_nothing() {
	new_test_ext().execute_with(|| {
		assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1))));
		assert_noop!(Governance::cancel(votes(1), 0), DispatchError::BadOrigin);
		assert_noop!(
			Governance::cancel(RuntimeOrigin::signed(1), 0),
			DispatchError::BadOrigin
		);
	});
}

#[test]
fn a_preimage_that_somebody_noted_before_changes_nothing() {
	new_test_ext().execute_with(|| {
		use codec::Encode;
		let call = RuntimeCall::from(pallet_utility::Call::batch_all {
			calls: vec![set_balance(1_000); 20],
		});
		let bytes = call.encode();
		let hash = BlakeTwo256::hash(&bytes);
		let stranger = || RuntimeOrigin::signed(STRANGER);
		assert_ok!(Preimage::note_preimage(stranger(), bytes));
		assert_ok!(Governance::enact(votes(4), Box::new(call)));
		// Its owner gets the deposit back, and the call stays.
		assert_ok!(Preimage::unnote_preimage(stranger(), hash));
		run_to(1 + DELAY);
		assert_eq!(dispatched(), [Ok(())]);
		assert_eq!(balance(), 1_000);
	});
}
