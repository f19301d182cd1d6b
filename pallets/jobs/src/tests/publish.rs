//! Publications: by whom, when, and of what.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{api::JobPhase, JobId};
use frame_support::{assert_noop, assert_ok, BoundedVec};
use frame_system::RawOrigin;
use sp_runtime::traits::BadOrigin;

#[test]
fn a_publication_lets_the_verifiers_commit() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let executor = committee(id)[0].clone();
		HeartbeatDue::insert(&executor, ());
		assert_ok!(publish(publication(id, 0, &executor, CONFIRM)));
		assert_eq!(job(id).phase, Phase::Committing);
		assert!(
			!HeartbeatDue::contains_key(&executor),
			"a message counts as a heartbeat"
		);
		let view = Jobs::view(id).expect("a view");
		assert_eq!((view.phase, view.output), (JobPhase::Committing, Some(output())));
		assert_eq!(view.committee.iter().filter(|seat| seat.committed).count(), 1);
	});
}

#[test]
fn a_committee_of_one_reveals_at_once() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(1);
		assert_ok!(publish(publication(id, 0, &account(1), CONFIRM)));
		assert_eq!(job(id).phase, Phase::Revealing);
	});
}

#[test]
fn only_authorized_transactions_publish() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let publication = publication(id, 0, &committee(id)[0], CONFIRM);
		for origin in [RawOrigin::Signed(account(1)), RawOrigin::None, RawOrigin::Root] {
			assert_noop!(
				Jobs::publish(origin.into(), publication.clone(), no_signature()),
				BadOrigin
			);
		}
	});
}

#[test]
fn wrong_publications_are_refused_with_their_errors() {
	TestExt::providers(5).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		let outsider = outsider(&seats);
		let good = publication(id, 0, &seats[0], CONFIRM);
		let mut long = good.clone();
		long.output.tokens = BoundedVec::truncate_from(vec![1; 9]);
		let mut not_utf8 = good.clone();
		not_utf8.output.text = BoundedVec::truncate_from(vec![0xff]);
		for (bad, error) in [
			(
				publication(JobId([0; 32]), 0, &seats[0], CONFIRM),
				Error::<Test>::UnknownJob,
			),
			(publication(id, 1, &seats[0], CONFIRM), Error::WrongAttempt),
			(publication(id, 0, &outsider, CONFIRM), Error::NotInCommittee),
			(publication(id, 0, &seats[1], CONFIRM), Error::NotInCommittee),
			(long, Error::OutputTooLong),
			(not_utf8, Error::OutputNotUtf8),
			(
				Publication {
					at: System::block_number() + 1,
					..good.clone()
				},
				Error::StaleBatch,
			),
		] {
			assert_noop!(publish(bad), error);
		}
		assert_ok!(publish(good.clone()));
		assert_noop!(publish(good), Error::<Test>::AlreadyCommitted);
	});
}

#[test]
fn a_message_is_stale_after_sixteen_blocks() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.execute_blocks = 30);
		let id = drawn(4);
		let publication = publication(id, 0, &committee(id)[0], CONFIRM);
		run_to(publication.at + 17);
		assert_noop!(publish(publication.clone()), Error::<Test>::StaleBatch);
		assert_ok!(publish(Publication {
			at: publication.at + 1,
			..publication
		}));
	});
}
