//! Seats: when and from what they are drawn, their votes, lapses and tranches.

use crate::{mock::*, *};
use assay_primitives::{
	draw::{draw_seats, seats_seed, Member},
	economics::Fault,
	receipt::Audit,
	traits::Claims as _,
	State, Verdict,
};
use frame_support::assert_noop;

#[test]
fn seats_are_drawn_two_blocks_after_the_publication() {
	TestExt::providers(5).build_and_execute(|| {
		let id = publish(2, TRUTH);
		next_block();
		next_block();
		assert_eq!(claim(id).state, State::Published);
		next_block();
		let claim = claim(id);
		assert_eq!(claim.state, State::Voting);
		assert_eq!(claim.record.tranches[0].block, claim.record.published_at + 2);
		assert!(claim.record.seats.iter().all(|seat| seat.provider != account(1)));
		assert_eq!(claim.record.electorate.members, 5);
		assert_eq!(claim.record.electorate.stake, 5 * BOND);
	});
}

#[test]
fn the_draw_reads_claim_tranche_beacon_and_electorate_alone() {
	TestExt::providers(5).build_and_execute(|| {
		let id = drawn(3, TRUTH);
		let record = claim(id).record;
		let members: Vec<_> = Electorate::get()
			.into_iter()
			.filter(|member| member.who != account(1))
			.collect();
		let seed = seats_seed(&id, 1, &record.tranches[0].beacon);
		let seats: Vec<_> = record.seats.iter().map(|seat| seat.provider.clone()).collect();
		assert_eq!(seats, draw_seats(&seed, &members, 3));
	});
}

#[test]
fn another_output_or_seal_changes_no_draw() {
	let seats = |root, verifiers| {
		let mut drawn_seats = Vec::new();
		TestExt::providers(8).build_and_execute(|| {
			let id = drawn(verifiers, root);
			drawn_seats = claim(id)
				.record
				.seats
				.iter()
				.map(|seat| seat.provider.clone())
				.collect();
		});
		drawn_seats
	};
	assert_eq!(seats(TRUTH, 4), seats(LIE, 4));
}

#[test]
fn every_live_seat_must_approve() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(4, TRUTH);
		let seats = waiting(id);
		for (i, (who, tranche)) in seats.iter().enumerate() {
			assert_eq!(claim(id).verdict, None, "before vote {i}");
			submit(who, &[approve(id, who, *tranche, TRUTH)]).expect("a vote");
		}
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed));
	});
}

#[test]
fn one_provider_with_several_seats_votes_once() {
	TestExt::stakes(&[BOND, BOND]).build_and_execute(|| {
		let id = drawn(3, TRUTH);
		assert_eq!(waiting(id), [(account(2), 1)]);
		approve_all(id);
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed));
		assert_eq!(claim(id).record.approvals().count(), 3);
	});
}

#[test]
fn a_seat_that_does_not_vote_lapses_pays_and_brings_two() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let (late, _) = waiting(id)[0].clone();
		let others: Vec<_> = waiting(id).into_iter().filter(|(who, _)| *who != late).collect();
		for (who, tranche) in &others {
			submit(who, &[approve(id, who, *tranche, TRUTH)]).expect("a vote");
		}
		let held = claim(id)
			.record
			.seats
			.iter()
			.filter(|seat| seat.provider == late)
			.count();
		run_until(id, |claim| claim.state == State::Lapsed);
		assert_eq!(free(&late), BOND - FEE * held as u128);
		assert_eq!(Faults::get(), vec![(late.clone(), Fault::Lapse); held]);
		let lapsed_at = System::block_number();
		run_until(id, |claim| claim.state == State::Voting);
		assert_eq!(System::block_number(), lapsed_at + 2, "drawn two blocks later");
		let record = claim(id).record;
		assert_eq!(record.tranches.len(), 2);
		assert_eq!(record.seats.len(), 2 + 2 * held);
		approve_all(id);
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed));
	});
}

#[test]
fn who_has_approved_fills_its_later_seats_at_once() {
	// Two providers besides the executor: whoever approves first is drawn again for the other's seat.
	TestExt::stakes(&[BOND, BOND * 1_000, BOND]).build_and_execute(|| {
		let id = drawn(8, TRUTH);
		let whale = account(2);
		if waiting(id).len() < 2 {
			return;
		}
		submit(&whale, &[approve(id, &whale, 1, TRUTH)]).expect("a vote");
		run_until(id, |claim| claim.state != State::Voting);
		run_until(id, |claim| claim.state != State::Lapsed);
		let filled = claim(id)
			.record
			.seats
			.iter()
			.filter(|seat| seat.tranche == 2 && seat.approves())
			.count();
		assert!(filled > 0, "{:?}", claim(id).record.seats);
	});
}

#[test]
fn four_silent_tranches_leave_the_answer_unverified_and_an_audit_certain() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		run_until(id, |claim| claim.verdict.is_some());
		let now = claim(id);
		assert_eq!((now.verdict, now.state), (Some(Verdict::Unverified), State::Window));
		assert_eq!(now.record.audit, Audit::Due);
		assert!(now.record.seats.len() <= 32 && now.record.tranches.len() <= 4);
		run_until(id, |claim| claim.state == State::Auditing);
	});
}

#[test]
fn a_seat_of_a_suspended_provider_lapses_in_the_next_block() {
	TestExt::providers(2).build_and_execute(|| {
		use assay_primitives::traits::Penalties;
		MockProviders::suspend(&account(2));
		let id = drawn(1, TRUTH);
		next_block();
		assert_eq!(claim(id).state, State::Lapsed);
		assert!(Faults::get().is_empty(), "it could not vote, and is not fined");
	});
}

#[test]
fn a_late_seat_may_reject_and_not_approve() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (late, _) = waiting(id)[0].clone();
		let (yes, no) = (approve(id, &late, 1, TRUTH), reject(id, 1));
		run_until(id, |claim| claim.state == State::Lapsed);
		assert_noop!(submit(&late, &[yes]), Error::<Test>::Lapsed);
		submit(&late, &[no]).expect("a rejection");
		assert_eq!(claim(id).state, State::Disputed);
	});
}

#[test]
fn votes_that_do_not_apply_are_refused_by_name() {
	TestExt::providers(9).build_and_execute(|| {
		let published = publish_as(2, 2, TRUTH);
		let id = drawn(2, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let vote = approve(id, &who, tranche, TRUTH);
		let unknown = assay_primitives::ClaimId([3; 32]);
		let Message::Vote(item) = vote else { unreachable!() };
		let with = |change: &dyn Fn(&mut VoteItem)| {
			let mut item = item;
			change(&mut item);
			Message::Vote(item)
		};
		let stranger = account(98);
		assert_noop!(
			submit(&who, &[with(&|item| item.claim = unknown)]),
			Error::<Test>::UnknownClaim
		);
		assert_noop!(
			submit(&who, &[with(&|item| item.tranche = 2)]),
			Error::<Test>::WrongDraw
		);
		assert_noop!(
			submit(&who, &[with(&|item| item.tranche = 0)]),
			Error::<Test>::WrongDraw
		);
		assert_noop!(
			submit(&who, &[with(&|item| item.tranche = FIRST_AUDIT)]),
			Error::<Test>::WrongDraw
		);
		assert_noop!(
			submit(&who, &[with(&|item| item.draw = assay_primitives::DrawId([1; 32]))]),
			Error::<Test>::WrongDraw
		);
		assert_noop!(submit(&stranger, &[vote]), Error::<Test>::NoSeat);
		assert_noop!(submit(&account(1), &[vote]), Error::<Test>::NoSeat);
		submit(&who, &[vote]).expect("a vote");
		assert_noop!(submit(&who, &[vote]), Error::<Test>::AlreadyVoted);
		assert_noop!(submit(&who, &[reject(id, tranche)]), Error::<Test>::AlreadyVoted);
		assert!(claim(published).state != State::Published || waiting(published).is_empty());
	});
}

#[test]
fn a_vote_for_another_forks_draw_is_refused() {
	let mut carried = None;
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(2, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		carried = Some((who.clone(), approve(id, &who, tranche, TRUTH)));
	});
	let (who, vote) = carried.expect("a vote");
	TestExt::providers(9).build_and_execute(|| {
		// The same claim, drawn by another beacon.
		Acc::set([5; 32]);
		let id = drawn(2, TRUTH);
		let error = submit(&who, &[vote]).expect_err("another draw");
		assert!(
			[Error::<Test>::WrongDraw.into(), Error::<Test>::NoSeat.into()].contains(&error),
			"{error:?}"
		);
		assert!(Faults::get().is_empty() && claim(id).record.seats.iter().all(|seat| seat.vote.is_none()));
	});
}

#[test]
fn an_electorate_of_the_executor_alone_leaves_it_unverified() {
	TestExt::providers(1).build_and_execute(|| {
		let id = publish(2, TRUTH);
		(0..3).for_each(|_| next_block());
		assert_eq!(claim(id).verdict, Some(Verdict::Unverified));
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
	});
}

#[test]
fn a_claim_is_published_once() {
	TestExt::providers(3).build_and_execute(|| {
		publish(2, TRUTH);
		let again = new_claim(1, account(1), 2, TRUTH);
		assert_noop!(Verification::publish(again), Error::<Test>::AlreadyPublished);
		let many = new_claim(2, account(1), 9, TRUTH);
		assert_noop!(Verification::publish(many), Error::<Test>::TooManyVerifiers);
	});
}

#[test]
fn no_stake_but_the_sealed_one_is_read() {
	TestExt::providers(5).build_and_execute(|| {
		seal_electorate(&[(account(1), BOND), (account(3), BOND)]);
		let id = drawn(2, TRUTH);
		assert!(claim(id).record.seats.iter().all(|seat| seat.provider == account(3)));
		let _: Vec<Member<AccountId>> = Electorate::get();
	});
}
