//! Publications as transactions: in the pool first, then in the block.

use crate::{mock::*, *};
use assay_primitives::{ClaimId, JobId, State};
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
		let id = drawn(2);
		let good = transaction(signed(publication(id)));
		let valid = validate(good.clone()).expect("a valid transaction");
		assert_eq!(valid.provides.len(), 1);
		assert!(valid.propagate && valid.longevity <= 16 && valid.requires.is_empty());
		assert_eq!(apply(good.clone()), Ok(Ok(())));
		assert_eq!(job(id).state, State::Published);
		assert_eq!(
			apply(good),
			Err(refused(Error::AlreadyPublished)),
			"a replay is refused"
		);
	});
}

#[test]
fn a_message_signed_by_another_key_or_for_another_chain_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let publication = publication(id);
		let other = others(&publication.executor)[0].clone();
		for signature in [
			signed_by(&other, &publication.message(&GENESIS)),
			signed_by(&publication.executor, &publication.message(&[0; 32])),
			signed_by(
				&publication.executor,
				&(b"assay/v2/vote", GENESIS, &publication).encode(),
			),
		] {
			let call = Call::publish {
				publication: publication.clone(),
				signature,
			};
			assert_eq!(validate(transaction(call)), Err(refused(Error::BadSignature)));
		}
		assert_ok!(validate(transaction(signed(publication))));
	});
}

#[test]
fn a_changed_message_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let mut publication = publication(drawn(2));
		let signature = signed_by(&publication.executor, &publication.message(&GENESIS));
		publication.output.input_tokens += 1;
		let call = Call::publish { publication, signature };
		assert_eq!(validate(transaction(call)), Err(refused(Error::BadSignature)));
	});
}

#[test]
fn the_pool_refuses_with_the_error_of_the_call_before_it_checks_a_signature() {
	TestExt::providers(4).build_and_execute(|| {
		let good = publication(drawn(2));
		let refusal = |change: &dyn Fn(&mut PublicationOf<Test>)| {
			let mut publication = good.clone();
			change(&mut publication);
			let signature = no_signature();
			validate(transaction(Call::publish { publication, signature })).expect_err("a refusal")
		};
		let stranger = others(&good.executor)[0].clone();
		assert_eq!(refusal(&|p| p.job = JobId([0; 32])), refused(Error::UnknownJob));
		assert_eq!(refusal(&|p| p.claim = ClaimId([0; 32])), refused(Error::WrongClaim));
		assert_eq!(refusal(&|p| p.executor = stranger.clone()), refused(Error::NotExecutor));
		assert_eq!(refusal(&|p| p.at += 1), refused(Error::StaleMessage));
		assert_eq!(refusal(&|_| ()), refused(Error::BadSignature));
		Load::remove(&good.executor);
		assert_eq!(refusal(&|_| ()), refused(Error::NoInferenceKey));
		Load::insert(&good.executor, (1, sp_core::Pair::public(&pair(&good.executor))));
	});
}

#[test]
fn a_later_message_competes_with_the_first_and_outweighs_it() {
	TestExt::providers(4).build_and_execute(|| {
		let first = publication(drawn(2));
		let old = validate(transaction(signed(first.clone()))).expect("valid");
		next_block();
		let again = Publication {
			at: System::block_number(),
			..first
		};
		let new = validate(transaction(signed(again))).expect("valid");
		assert_eq!(old.provides, new.provides);
		assert!(new.priority > old.priority);
	});
}

#[test]
fn messages_of_two_claims_have_different_tags() {
	TestExt::providers(4).build_and_execute(|| {
		let tags =
			[drawn(2), drawn(2)].map(|id| validate(transaction(signed(publication(id)))).expect("valid").provides);
		assert_ne!(tags[0], tags[1]);
	});
}

#[test]
fn the_code_of_a_refusal_is_the_index_of_the_error() {
	let all = [
		(0, Error::<Test>::UnknownModel),
		(10, Error::TooManyJobs),
		(12, Error::WrongClaim),
		(18, Error::BadSignature),
		(21, Error::StillRetained),
	];
	for (index, error) in all {
		assert_eq!(error.encode(), vec![index]);
	}
}
