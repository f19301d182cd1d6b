//! Revealed votes.

use crate::{
	mock::{Jobs, *},
	*,
};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use frame_system::RawOrigin;

#[test]
fn wrong_reveals_are_refused_with_their_errors() {
	TestExt::providers(5).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		let outsider = outsider(&seats);
		publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), Some(CONFIRM), None]);
		assert_noop!(reveal(id, &seats[0], CONFIRM), Error::<Test>::WrongPhase);
		run_out(id);
		assert_eq!(job(id).phase, Phase::Revealing);
		assert_noop!(reveal(id, &outsider, CONFIRM), Error::<Test>::NotInCommittee);
		assert_noop!(reveal(id, &seats[3], CONFIRM), Error::<Test>::NotCommitted);
		assert_noop!(reveal(id, &seats[1], LIE), Error::<Test>::BadOpening);
		assert_noop!(
			send_batch(reveals(&seats[1], vec![(id, 1, CONFIRM)])),
			Error::<Test>::WrongAttempt
		);
		assert_ok!(reveal(id, &seats[1], CONFIRM));
		assert_noop!(reveal(id, &seats[1], CONFIRM), Error::<Test>::AlreadyRevealed);
		let view = Jobs::view(id).expect("a view");
		assert_eq!(view.committee.iter().filter(|seat| seat.revealed).count(), 1);
	});
}

#[test]
fn another_salt_does_not_open_a_commitment() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM); 4]);
		let mut batch = reveals(&seats[1], vec![(id, 0, CONFIRM)]);
		batch.reveals[0].salt = [0; 32];
		assert_noop!(send_batch(batch), Error::<Test>::BadOpening);
	});
}

#[test]
fn a_copied_commitment_cannot_be_opened() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), None, None]);
		let copied = job(id)
			.seat(&seats[1])
			.and_then(|seat| seat.commitment)
			.expect("a commitment");
		let mut batch = commits(&seats[2], vec![(id, 0, CONFIRM)]);
		batch.commitments[0].commitment = copied;
		assert_ok!(send_batch(batch));
		assert_ok!(commit(id, &seats[3], CONFIRM));
		assert_noop!(reveal(id, &seats[2], CONFIRM), Error::<Test>::BadOpening);
	});
}

#[test]
fn the_weight_of_a_batch_covers_the_conclusions_it_brings() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM); 4]);
		let mut last = None;
		for who in &seats {
			let batch = reveals(who, vec![(id, 0, CONFIRM)]);
			let most = Call::<Test>::vote {
				batch: batch.clone(),
				signature: no_signature(),
			}
			.get_dispatch_info()
			.call_weight;
			let used = Jobs::vote(RawOrigin::Authorized.into(), batch, no_signature())
				.expect("a reveal")
				.actual_weight;
			let used = used.expect("an exact weight");
			assert!(used.all_lte(most));
			assert!(last.is_none_or(|last| used.all_gte(last)));
			last = Some(used);
		}
		assert!(last.expect("four reveals").all_gte(<() as WeightInfo>::conclude(4)));
	});
}
