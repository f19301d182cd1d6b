//! Blinded votes.

use crate::{mock::*, *};
use frame_support::{assert_noop, assert_ok};

#[test]
fn the_last_commitment_starts_the_reveal() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), Some(CONFIRM), None]);
		assert_eq!(job(id).phase, Phase::Committing);
		assert_ok!(commit(id, &seats[3], CONFIRM));
		assert_eq!(job(id).phase, Phase::Revealing);
		assert!(matches!(events().last(), Some(Event::RevealStarted { .. })));
	});
}

#[test]
fn wrong_commitments_are_refused_with_their_errors() {
	TestExt::providers(5).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		let outsider = outsider(&seats);
		assert_noop!(commit(id, &seats[1], CONFIRM), Error::<Test>::WrongPhase);
		publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), None, None]);
		assert_noop!(commit(id, &outsider, CONFIRM), Error::<Test>::NotInCommittee);
		assert_noop!(commit(id, &seats[1], LIE), Error::<Test>::AlreadyCommitted);
		assert_noop!(commit(id, &seats[0], CONFIRM), Error::<Test>::AlreadyCommitted);
		assert_noop!(
			send_batch(commits(&seats[2], vec![(id, 1, CONFIRM)])),
			Error::<Test>::WrongAttempt
		);
	});
}

#[test]
fn a_batch_counts_what_applies_and_skips_the_rest() {
	TestExt::providers(4).build_and_execute(|| {
		let (first, second) = (request(4), request(4));
		next_block();
		next_block();
		publish_and_commit(first, &[Some(CONFIRM), None, None, None]);
		publish_and_commit(second, &[Some(CONFIRM), None, None, None]);
		let who = committee(first)[1].clone();
		// Whatever its seat in the second job, the wrong attempt does not apply.
		assert_ok!(send_batch(commits(
			&who,
			vec![(second, 2, CONFIRM), (first, 0, CONFIRM), (first, 0, LIE)]
		)));
		let seat = job(first).seat(&who).cloned().expect("a seat");
		assert_eq!(
			seat.commitment,
			Some(commitment(first, 0, &who, CONFIRM)),
			"the first of two counts"
		);
	});
}

#[test]
fn a_heartbeat_counts_only_when_it_is_due() {
	TestExt::providers(4).build_and_execute(|| {
		let who = account(1);
		assert_noop!(send_batch(commits(&who, vec![])), Error::<Test>::NoHeartbeatDue);
		HeartbeatDue::insert(&who, ());
		assert_ok!(send_batch(commits(&who, vec![])));
		assert!(!HeartbeatDue::contains_key(&who));
	});
}
