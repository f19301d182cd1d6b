//! Messages as transactions: in the pool first, then in the block.

use crate::{mock::*, *};
use assay_primitives::JobId;
use codec::Encode;
use frame_support::assert_ok;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

/// Returns the pool's refusal for an error.
fn refused(error: Error<Test>) -> TransactionValidityError {
	InvalidTransaction::Custom(error.encode()[0]).into()
}

#[test]
fn a_signed_publication_passes_the_pool_and_counts_in_the_block() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let executor = committee(id)[0].clone();
		let good = transaction(signed_publication(publication(id, 0, &executor, CONFIRM)));
		let valid = validate(good.clone()).expect("a valid transaction");
		assert_eq!(valid.provides.len(), 1);
		assert!(valid.propagate && valid.longevity <= 16 && valid.requires.is_empty());
		assert_eq!(apply(good.clone()), Ok(Ok(())));
		assert_eq!(job(id).phase, Phase::Committing);
		assert_eq!(
			apply(good),
			Err(refused(Error::AlreadyCommitted)),
			"a replay is refused"
		);
	});
}

#[test]
fn signed_votes_carry_a_job_to_its_verdict() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		apply(transaction(signed_publication(publication(id, 0, &seats[0], CONFIRM))))
			.expect("valid")
			.expect("applied");
		for who in &seats[1..] {
			apply(transaction(signed_batch(commits(who, vec![(id, 0, CONFIRM)]))))
				.expect("valid")
				.expect("applied");
		}
		for who in &seats {
			apply(transaction(signed_batch(reveals(who, vec![(id, 0, CONFIRM)]))))
				.expect("valid")
				.expect("applied");
		}
		assert_eq!(receipt(id).agreeing(), 4);
	});
}

#[test]
fn a_message_signed_by_another_key_or_for_another_chain_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		let publication = publication(id, 0, &seats[0], CONFIRM);
		let signature = signed_by(&seats[1], &publication.message(&GENESIS));
		let call = Call::publish {
			publication: publication.clone(),
			signature,
		};
		assert_eq!(validate(transaction(call)), Err(refused(Error::BadSignature)));
		let signature = signed_by(&seats[0], &publication.message(&[0; 32]));
		let call = Call::publish {
			publication: publication.clone(),
			signature,
		};
		assert_eq!(validate(transaction(call)), Err(refused(Error::BadSignature)));
		assert_ok!(validate(transaction(signed_publication(publication))));
	});
}

#[test]
fn a_changed_message_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM), None, None, None]);
		let batch = commits(&seats[1], vec![(id, 0, CONFIRM)]);
		let signature = signed_by(&seats[1], &batch.message(&GENESIS));
		let mut changed = batch;
		changed.commitments[0].commitment = commitment(id, 0, &seats[1], LIE);
		assert_eq!(
			validate(transaction(Call::vote {
				batch: changed,
				signature
			})),
			Err(refused(Error::BadSignature))
		);
	});
}

#[test]
fn a_signature_for_one_purpose_is_refused_for_another() {
	TestExt::providers(4).build_and_execute(|| {
		HeartbeatDue::insert(account(1), ());
		let batch = commits(&account(1), vec![]);
		let signature = signed_by(&account(1), &(b"assay/v1/publish", GENESIS, &batch).encode());
		assert_eq!(
			validate(transaction(Call::vote { batch, signature })),
			Err(refused(Error::BadSignature))
		);
	});
}

#[test]
fn the_pool_refuses_with_the_error_of_the_call() {
	TestExt::providers(5).build_and_execute(|| {
		let id = drawn(4);
		let seats = committee(id);
		let outsider = outsider(&seats);
		let refusal = |call| validate(transaction(call)).expect_err("a refusal");
		let batch = |who, job, attempt| signed_batch(commits(who, vec![(job, attempt, CONFIRM)]));
		assert_eq!(refusal(batch(&seats[1], JobId([0; 32]), 0)), refused(Error::UnknownJob));
		assert_eq!(refusal(batch(&seats[1], id, 1)), refused(Error::WrongAttempt));
		assert_eq!(refusal(batch(&outsider, id, 0)), refused(Error::NotInCommittee));
		assert_eq!(refusal(batch(&seats[1], id, 0)), refused(Error::WrongPhase));
		publish_and_commit(id, &[Some(CONFIRM), Some(CONFIRM), None, None]);
		assert_eq!(refusal(batch(&seats[1], id, 0)), refused(Error::AlreadyCommitted));
		let mut late = commits(&seats[2], vec![(id, 0, CONFIRM)]);
		late.at = System::block_number() + 1;
		assert_eq!(refusal(signed_batch(late)), refused(Error::StaleBatch));
		assert_eq!(
			refusal(signed_batch(commits(&account(99), vec![]))),
			refused(Error::NoInferenceKey)
		);
		assert_eq!(
			refusal(signed_batch(commits(&account(1), vec![]))),
			refused(Error::NoHeartbeatDue)
		);
	});
}

#[test]
fn a_batch_has_a_tag_for_each_item_that_applies() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(4);
		let seats = publish_and_commit(id, &[Some(CONFIRM), None, None, None]);
		let tags = |items| validate(transaction(signed_batch(commits(&seats[1], items)))).map(|valid| valid.provides);
		let alone = tags(vec![(id, 0, CONFIRM)]).expect("valid");
		assert_eq!(alone.len(), 1);
		assert_eq!(
			tags(vec![(id, 1, CONFIRM), (id, 0, CONFIRM), (id, 0, LIE)]),
			Ok(alone.clone())
		);
		assert_eq!(tags(vec![(id, 1, CONFIRM)]), Err(refused(Error::WrongAttempt)));
		let mut later = commits(&seats[1], vec![(id, 0, CONFIRM)]);
		later.at -= 1;
		let again = validate(transaction(signed_batch(later))).expect("valid");
		assert_eq!(
			again.provides, alone,
			"a resend competes with the first, it does not join it"
		);
	});
}

#[test]
fn a_later_batch_outweighs_all_that_it_repeats() {
	TestExt::providers(4).build_and_execute(|| {
		let ids: Vec<_> = (0..3).map(|_| request(4)).collect();
		next_block();
		next_block();
		// The provider that verifies the most of the three.
		let all: Vec<_> = ids
			.iter()
			.map(|id| publish_and_commit(*id, &[Some(CONFIRM), None, None, None]))
			.collect();
		let verifies = |who: &AccountId| all.iter().filter(|seats| seats[1..].contains(who)).count();
		let who = (1..=4).map(account).max_by_key(verifies).expect("there are four");
		let mine: Vec<_> = ids
			.iter()
			.zip(&all)
			.filter(|(_, seats)| seats[1..].contains(&who))
			.map(|(id, _)| (*id, 0, CONFIRM))
			.collect();
		assert!(mine.len() > 1, "four providers share the seats of three executors");
		let weigh = |batch| {
			let valid = validate(transaction(signed_batch(batch))).expect("valid");
			(valid.priority, valid.provides.len())
		};
		let singles: Vec<_> = mine.iter().map(|item| weigh(commits(&who, vec![*item]))).collect();
		assert!(singles.iter().all(|(_, tags)| *tags == 1));
		next_block();
		let (priority, tags) = weigh(commits(&who, mine));
		assert_eq!(tags, singles.len());
		let old: u64 = singles.iter().map(|(priority, _)| priority).sum();
		assert!(priority > old, "{priority} replaces {old}");
	});
}

#[test]
fn the_code_of_a_refusal_is_the_index_of_the_error() {
	let all = [
		(0, Error::<Test>::UnknownModel),
		(9, Error::TooManyJobs),
		(13, Error::NotInCommittee),
		(18, Error::BadSignature),
		(22, Error::StaleBatch),
		(25, Error::StillRetained),
	];
	for (index, error) in all {
		assert_eq!(error.encode(), vec![index]);
	}
}
