//! The draw: who is drawn, when, and what happens while too few providers are available.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	draw::sampling_seed,
	receipt::{RefundReason, Verdict},
};
use frame_support::traits::Hooks;
use sp_runtime::traits::{BlakeTwo256, Hash};

#[test]
fn the_committee_is_drawn_by_the_randomness_of_the_next_block() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(4);
		next_block();
		assert!(
			matches!(job(id).phase, Phase::Drawing { .. }),
			"not by that of its own block"
		);
		next_block();
		let job = job(id);
		assert_eq!(job.phase, Phase::Executing);
		let randomness = BlakeTwo256::hash(&2u64.to_le_bytes()).0;
		assert_eq!(
			job.seed,
			Some(JobSeed {
				block: 2,
				value: sampling_seed(&id, &randomness)
			})
		);
		let mut seats = committee(id);
		assert!(matches!(events().last(), Some(Event::Drawn { committee, .. }) if *committee == seats));
		seats.sort();
		assert_eq!(seats, (1..=4).map(account).collect::<Vec<_>>());
		assert!(seats.iter().all(|who| Load::get(who).expect("a provider").0 == 1));
	});
}

#[test]
fn a_block_without_randomness_draws_nothing() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(1);
		System::set_block_number(2);
		<Jobs as Hooks<u64>>::on_finalize(2);
		assert!(matches!(job(id).phase, Phase::Drawing { .. }));
		run_to(4);
		assert_eq!(job(id).phase, Phase::Executing);
	});
}

#[test]
fn no_more_committees_are_drawn_in_a_block_than_its_weight_allows() {
	TestExt::providers(4).build_and_execute(|| {
		let ids: Vec<_> = (0..6).map(|_| request(1)).collect();
		next_block();
		assert!(Jobs::weight_of_draws().ref_time() > 0);
		next_block();
		let drawn = |ids: &[_]| ids.iter().filter(|id| job(**id).is_at_work()).count();
		assert_eq!(
			(drawn(&ids[..4]), drawn(&ids[4..])),
			(4, 0),
			"in the order of the requests"
		);
		next_block();
		assert_eq!(drawn(&ids), 6);
	});
}

#[test]
fn a_job_that_finds_no_committee_does_not_block_the_queue() {
	TestExt::providers(4).build_and_execute(|| {
		let large = request(4);
		Jailed::insert(account(1), ());
		let small = request(1);
		next_block();
		next_block();
		assert!(!job(large).is_at_work());
		assert!(job(small).is_at_work());
		Jailed::remove(account(1));
		next_block();
		assert!(job(large).is_at_work(), "it was tried again");
	});
}

#[test]
fn a_job_without_a_committee_until_its_deadline_is_refunded() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(4);
		let deposit = Held::get(id).expect("held").2;
		(1..=4).for_each(|n| Jailed::insert(account(n), ()));
		run_to(6);
		assert!(OpenJobs::contains_key(id), "the deadline is the last block that counts");
		run_to(7);
		let receipt = receipt(id);
		assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoCommittee));
		assert!(receipt.committee.is_empty() && receipt.seed_block.is_none() && receipt.fee == 0);
		assert_eq!(balance(&requester()), FUNDS - deposit);
		assert_eq!(Queue::<Test>::iter().count(), 0);
	});
}

#[test]
fn holes_in_the_queue_are_skipped() {
	TestExt::providers(4).build_and_execute(|| {
		(0..10).for_each(|_| {
			request(4);
		});
		(1..=4).for_each(|n| Jailed::insert(account(n), ()));
		run_to(12);
		(1..=4).for_each(|n| Jailed::remove(account(n)));
		let id = request(4);
		run_to(15);
		assert!(job(id).is_at_work());
		let (first, end) = QueueEnds::<Test>::get();
		assert_eq!(first, end);
	});
}

#[test]
fn providers_without_free_capacity_are_not_drawn() {
	TestExt::providers(4).build_and_execute(|| {
		Capacity::set(1);
		let first = drawn(4);
		assert_eq!(try_request(1), Err(Error::<Test>::TooFewProviders.into()));
		run_attempt(first, &[CONFIRM; 4]);
		drawn(4);
		Capacity::set(4);
	});
}

#[test]
fn an_executor_that_failed_does_not_execute_again() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let failed = committee(id)[0].clone();
		run_out(id);
		for _ in 0..2 {
			next_block();
		}
		let seats = committee(id);
		assert_ne!(seats[0], failed);
		assert!(seats.contains(&failed), "it is one of four");
	});
}

#[test]
fn the_sampling_seed_outlives_an_attempt() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seed = job(id).seed;
		run_out(id);
		next_block();
		next_block();
		assert_eq!((job(id).seed, job(id).attempt), (seed, 1));
	});
}

#[test]
fn the_parameters_of_the_mock_are_consistent() {
	TestExt::providers(1).build_and_execute(<Jobs as Hooks<u64>>::integrity_test);
}
