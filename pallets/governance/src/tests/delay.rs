//! What happens from a decision to its dispatch.

use crate::{mock::*, Error, Event, NextEnactment, Waiting, MAX_WAITING};
use frame_support::{
	assert_noop, assert_ok,
	dispatch::{DispatchClass, GetDispatchInfo},
	traits::{Get, OnInitialize},
};
use pallet_scheduler::{Agenda, Lookup};
use sp_runtime::traits::{BlakeTwo256, Hash};

fn remark(bytes: usize) -> RuntimeCall {
	frame_system::Call::remark { remark: vec![1; bytes] }.into()
}

#[test]
fn every_enactment_has_its_number_and_its_block() {
	new_test_ext().execute_with(|| {
		for id in 0..3 {
			let call = set_balance(1_000 + u128::from(id));
			assert_ok!(Governance::enact(votes(4), Box::new(call.clone())));
			let call_hash = BlakeTwo256::hash_of(&call);
			System::assert_last_event(
				Event::Scheduled {
					id,
					call_hash,
					at: 1 + DELAY,
				}
				.into(),
			);
			assert_eq!(Lookup::<Test>::get(Governance::task_name(id)), Some((1 + DELAY, id)));
		}
		assert_eq!(NextEnactment::<Test>::get(), 3);
		// They are dispatched in this order.
		let waiting: Vec<_> = Waiting::<Test>::get()
			.into_iter()
			.map(|enactment| enactment.id)
			.collect();
		assert_eq!(waiting, [0, 1, 2]);
		run_to(1 + DELAY);
		assert_eq!(balance(), 1_002);
	});
}

#[test]
fn the_same_call_may_be_decided_twice() {
	new_test_ext().execute_with(|| {
		for _ in 0..3 {
			assert_ok!(Governance::enact(votes(4), Box::new(remark(1_000))));
		}
		// Canceling one leaves the call of the others.
		assert_ok!(Governance::cancel(votes(2), 1));
		run_to(1 + DELAY);
		assert_eq!(dispatched(), [Ok(()), Ok(())]);
		assert_eq!(pallet_preimage::RequestStatusFor::<Test>::iter().count(), 0);
	});
}

#[test]
fn the_number_is_at_the_end_of_the_tasks_name() {
	let name = Governance::task_name(0x0403_0201);
	assert_eq!(name, *b"assay/governance/enactments/\x01\x02\x03\x04");
	assert_ne!(name, Governance::task_name(0));
}

#[test]
fn a_long_call_is_stored_until_it_is_dispatched_or_canceled() {
	new_test_ext().execute_with(|| {
		let stored = || pallet_preimage::PreimageFor::<Test>::iter().count();
		let statuses = || pallet_preimage::RequestStatusFor::<Test>::iter().count();
		assert_ok!(Governance::enact(votes(4), Box::new(remark(10_000))));
		assert_ok!(Governance::enact(votes(4), Box::new(remark(20_000))));
		assert_eq!(stored(), 2);
		assert_ok!(Governance::cancel(votes(2), 1));
		assert_eq!((stored(), statuses()), (1, 1));
		run_to(1 + DELAY);
		assert_eq!(dispatched(), [Ok(())]);
		assert_eq!((stored(), statuses()), (0, 0));
	});
}

#[test]
fn a_call_that_fails_changes_nothing_and_its_event_has_the_reason() {
	new_test_ext().execute_with(|| {
		// A batch whose second call fails.
		let transfer = |source, value| {
			RuntimeCall::from(pallet_balances::Call::force_transfer {
				source,
				dest: STRANGER,
				value,
			})
		};
		let calls = vec![transfer(1, 10), transfer(2, 2 * MONEY)];
		let batch = pallet_utility::Call::batch_all { calls };
		assert_ok!(Governance::enact(votes(4), Box::new(batch.into())));
		run_to(1 + DELAY);
		assert!(matches!(dispatched()[..], [Err(_)]));
		assert_eq!(balance(), MONEY);
		assert_eq!(Balances::free_balance(1), MONEY);
		// It is not tried again.
		run_to(3 * DELAY);
		assert_eq!(balance(), MONEY);
		assert_eq!(Agenda::<Test>::iter().count(), 0);
	});
}

#[test]
fn what_was_dispatched_canceled_or_never_decided_cannot_be_canceled() {
	new_test_ext().execute_with(|| {
		assert_noop!(Governance::cancel(votes(6), 0), Error::<Test>::NotScheduled);
		assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1_000))));
		assert_ok!(Governance::enact(votes(4), Box::new(set_balance(2_000))));
		assert_ok!(Governance::cancel(RuntimeOrigin::root(), 1));
		assert_noop!(Governance::cancel(votes(6), 1), Error::<Test>::NotScheduled);
		run_to(1 + DELAY);
		assert_eq!(balance(), 1_000);
		assert_noop!(Governance::cancel(votes(6), 0), Error::<Test>::NotScheduled);
	});
}

#[test]
fn a_call_that_may_never_fit_in_a_block_is_refused() {
	new_test_ext().execute_with(|| {
		let max = Limits::get();
		let calls = |n| {
			RuntimeCall::from(pallet_utility::Call::batch {
				calls: vec![set_balance(1); n],
			})
		};
		let heavy = (1..)
			.map(calls)
			.find(|call| call.get_dispatch_info().call_weight.any_gt(max.max_weight));
		let heavy = heavy.expect("there is one");
		assert_noop!(Governance::enact(votes(6), Box::new(heavy)), Error::<Test>::TooHeavy);
		let long = remark(max.max_bytes as usize);
		assert_noop!(Governance::enact(votes(6), Box::new(long)), Error::<Test>::TooLong);
	});
}

#[test]
fn what_does_not_fit_in_its_block_waits_for_the_next() {
	new_test_ext().execute_with(|| {
		// Eight of them, four of which fit in what the scheduler may use of a block.
		let max = Limits::get().max_weight;
		let heaviest = |n: usize| {
			RuntimeCall::from(pallet_utility::Call::batch {
				calls: vec![set_balance(1); n],
			})
		};
		let n = (1..)
			.find(|n| heaviest(*n).get_dispatch_info().call_weight.any_gt(max))
			.expect("there is one")
			- 1;
		for _ in 0..8 {
			assert_ok!(Governance::enact(votes(4), Box::new(heaviest(n))));
		}
		let mut done = Vec::new();
		for block in 1..=4 {
			run_to(DELAY + block);
			done.push(dispatched().len());
		}
		assert_eq!(done.iter().sum::<usize>(), 8, "{done:?}");
		assert!(done[0] < 8 && done[0] > 0, "{done:?}");
		assert!(!System::events().iter().any(|record| matches!(
			record.event,
			RuntimeEvent::Scheduler(pallet_scheduler::Event::PermanentlyOverweight { .. })
		)));
	});
}

#[test]
fn the_heaviest_call_fits_in_a_block_that_is_half_full() {
	new_test_ext().execute_with(|| {
		let max = Limits::get().max_weight;
		let batch = |n: usize| {
			RuntimeCall::from(pallet_utility::Call::batch {
				calls: vec![set_balance(1); n],
			})
		};
		let n = (1..)
			.find(|n| batch(*n).get_dispatch_info().call_weight.any_gt(max))
			.expect("there is one")
			- 1;
		assert_ok!(Governance::enact(votes(4), Box::new(batch(n))));
		run_to(DELAY);
		System::set_block_number(DELAY + 1);
		let limits: frame_system::limits::BlockWeights = <Test as frame_system::Config>::BlockWeights::get();
		let half = limits.max_block / 2;
		System::register_extra_weight_unchecked(half, DispatchClass::Mandatory);
		Scheduler::on_initialize(DELAY + 1);
		assert_eq!(dispatched(), [Ok(())]);
	});
}

#[test]
fn a_full_block_refuses_the_decision_and_keeps_the_number() {
	new_test_ext().execute_with(|| {
		for _ in 0..10 {
			assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1))));
		}
		assert_noop!(
			Governance::enact(votes(4), Box::new(remark(1_000))),
			sp_runtime::DispatchError::Exhausted
		);
		assert_eq!(NextEnactment::<Test>::get(), 10);
	});
}

#[test]
fn no_more_wait_than_may_and_those_that_are_done_make_room() {
	new_test_ext().execute_with(|| {
		// Ten fit in one block.
		for n in 0..MAX_WAITING {
			assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1_000))));
			if n % 10 == 9 {
				run_to(System::block_number() + 1);
			}
		}
		assert_noop!(
			Governance::enact(votes(4), Box::new(set_balance(1_000))),
			Error::<Test>::TooManyWaiting
		);
		run_to(1 + DELAY);
		assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1_000))));
		assert_eq!(Waiting::<Test>::get().len() as u32, MAX_WAITING - 9);
	});
}
