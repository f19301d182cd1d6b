//! What anybody could do to the chain's time, and to an honest party, is bounded.

use crate::{mock::*, ClaimCount};
use assay_primitives::{
	traits::{Claims as _, Penalties},
	State,
};
use frame_support::traits::Hooks;

#[test]
fn what_is_due_in_a_full_block_is_done_in_the_next() {
	TestExt::providers(9).build_and_execute(|| {
		let mut params = Params::get();
		params.max_due_per_block = 4;
		Params::set(params);
		let ids: Vec<_> = (1..=10).map(|n| publish_as(n, 1, TRUTH)).collect();
		(0..3).for_each(|_| next_block());
		let drawn = ids.iter().filter(|id| claim(**id).state == State::Voting).count();
		assert_eq!(drawn, 4);
		(0..2).for_each(|_| next_block());
		assert!(ids.iter().all(|id| claim(*id).state == State::Voting));
	});
}

#[test]
fn showing_a_claim_reads_how_many_its_executor_has_and_none_of_them() {
	TestExt::providers(9).build_and_execute(|| {
		let others = |id| Verification::status(&id).map(|status| status.record.open_claims);
		let early: Vec<_> = (1..=3).map(|n| publish_as(n, 0, TRUTH)).collect();
		assert!(early.iter().all(|id| others(*id) == Some(2)));
		(0..5).for_each(|_| next_block());
		let late = [publish_as(4, 0, TRUTH), publish_as(5, 0, TRUTH)];
		assert_eq!(others(late[0]), Some(4));
		let kept = OpenClaims::take(early[0]).expect("an open claim");
		assert_eq!(others(late[0]), Some(4), "it was counted, not read");
		OpenClaims::insert(early[0], kept);
		early.iter().for_each(|id| run_out(*id));
		assert_eq!(others(early[0]), None);
		assert_eq!(others(late[0]), Some(1));
		late.iter().for_each(|id| run_out(*id));
		assert_eq!(ClaimCount::<Test>::iter().count(), 0, "who has none is forgotten");
	});
}

#[test]
fn every_claim_ends_within_the_stated_time_whatever_nobody_does() {
	TestExt::providers(9).build_and_execute(|| {
		let longest = u64::from(Verification::longest(100));
		for (n, k) in [(1, 0), (2, 1), (3, 8)] {
			let id = publish_as(n, k, TRUTH);
			let from = System::block_number();
			run_out(id);
			assert!(System::block_number() - from <= longest, "{k}");
		}
	});
}

#[test]
fn a_captured_electorate_costs_an_honest_seat_a_tenth_and_the_executor_a_half_at_most() {
	// Providers 2 to 8 do what they like together; 1 and 9 are honest.
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (seat, tranche) = waiting(id)[0].clone();
		submit(&seat, &[reject(id, tranche)]).expect("a rejection");
		play_round(id, |who| if *who == account(9) { Says::True } else { Says::False });
		run_to(System::block_number() + 302);
		assert!(free(&account(1)) >= BOND / 2);
		assert!(free(&account(9)) >= BOND - BOND / 100 || seat == account(9));
		assert!(!MockProviders::is_suspended(&account(1)), "and it is over after a day");
	});
}

#[test]
fn no_vote_of_the_block_of_a_draw_changes_it() {
	let seats = |vote_first: bool| {
		let mut seats = Vec::new();
		TestExt::providers(9).build_and_execute(|| {
			let other = drawn(2, TRUTH);
			let id = publish_as(2, 3, TRUTH);
			next_block();
			next_block();
			if vote_first {
				approve_all(other);
			}
			next_block();
			seats = claim(id)
				.record
				.seats
				.iter()
				.map(|seat| seat.provider.clone())
				.collect();
		});
		seats
	};
	assert_eq!(seats(false), seats(true));
}

#[test]
fn the_weight_of_a_block_is_known_at_its_beginning() {
	TestExt::providers(9).build_and_execute(|| {
		let idle = Verification::weight_of_due(System::block_number());
		publish(2, TRUTH);
		let at = System::block_number() + 2;
		assert!(Verification::weight_of_due(at).all_gt(idle));
	});
}

#[test]
fn the_parameters_of_the_mock_are_consistent() {
	TestExt::providers(1).build_and_execute(<Verification as Hooks<u64>>::integrity_test);
}
