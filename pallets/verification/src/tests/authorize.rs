//! The pool's side of messages: signatures, tags, priorities, and the same refusals as in a block.

use crate::{mock::*, *};
use assay_primitives::{limits::MAX_BATCH, State};
use codec::Encode;
use sp_core::Pair;
use sp_runtime::transaction_validity::{InvalidTransaction, TransactionValidityError};

fn custom(error: Error<Test>) -> TransactionValidityError {
	InvalidTransaction::Custom(error.encode()[0]).into()
}

#[test]
fn a_signed_batch_is_valid_and_applies() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let transaction = signed(&who, &[approve(id, &who, tranche, TRUTH)]);
		let valid = validate(transaction.clone()).expect("valid");
		assert_eq!((valid.provides.len(), valid.propagate), (1, true));
		assert_eq!(apply(transaction.clone()), Ok(Ok(())));
		assert_eq!(claim(id).state, State::Window);
		assert_eq!(validate(transaction), Err(custom(Error::AlreadyVoted)));
	});
}

#[test]
fn a_batch_that_another_key_signed_is_refused() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let batch = batch(&who, &[approve(id, &who, tranche, TRUTH)]);
		let other = account(if who == account(9) { 8 } else { 9 });
		for (key, genesis) in [(&other, GENESIS), (&who, [1; 32])] {
			let signature = pair(key).sign(&batch.message(&genesis));
			let call = RuntimeCall::Verification(Call::submit {
				batch: batch.clone(),
				signature,
			});
			let transaction = Extrinsic::new_transaction(call, (frame_system::AuthorizeCall::new(),));
			assert_eq!(validate(transaction), Err(custom(Error::BadSignature)));
		}
	});
}

#[test]
fn votes_of_two_forks_do_not_exclude_each_other() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let vote = approve(id, &who, tranche, TRUTH);
		let Message::Vote(mut other) = vote else { unreachable!() };
		other.draw = assay_primitives::DrawId([1; 32]);
		assert_ne!(vote.tag(), Message::Vote(other).tag());
		assert_eq!(
			validate(signed(&who, &[Message::Vote(other)])),
			Err(custom(Error::WrongDraw)),
			"it is nothing here"
		);
	});
}

#[test]
fn a_later_batch_outweighs_what_it_repeats() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let vote = approve(id, &who, tranche, TRUTH);
		let old = validate(signed(&who, &[vote])).expect("valid");
		next_block();
		let new = validate(signed(&who, &[vote])).expect("valid");
		assert_eq!(old.provides, new.provides);
		assert!(new.priority > old.priority);
	});
}

#[test]
fn stale_and_premature_batches_are_refused() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let mut batch = batch(&who, &[approve(id, &who, tranche, TRUTH)]);
		for at in [System::block_number() + 1, 0] {
			batch.at = at;
			if at == 0 {
				run_to(System::block_number() + 15);
			}
			let signature = pair(&who).sign(&batch.message(&GENESIS));
			let call = RuntimeCall::Verification(Call::submit {
				batch: batch.clone(),
				signature,
			});
			let transaction = Extrinsic::new_transaction(call, (frame_system::AuthorizeCall::new(),));
			assert_eq!(validate(transaction), Err(custom(Error::StaleBatch)));
		}
	});
}

#[test]
fn a_heartbeat_is_valid_only_when_it_is_due() {
	TestExt::providers(2).build_and_execute(|| {
		let who = account(1);
		assert_eq!(validate(signed(&who, &[])), Err(custom(Error::NoHeartbeatDue)));
		HeartbeatDue::insert(&who, ());
		assert!(validate(signed(&who, &[])).is_ok());
		assert_eq!(apply(signed(&who, &[])), Ok(Ok(())));
		assert!(!HeartbeatDue::contains_key(&who));
		let stranger = account(98);
		assert_eq!(validate(signed(&stranger, &[])), Err(custom(Error::NoInferenceKey)));
	});
}

#[test]
fn a_sign_of_life_is_valid_only_when_it_is_due_and_is_no_heartbeat() {
	TestExt::providers(2).build_and_execute(|| {
		let who = account(1);
		let sign = [Message::SignOfLife, Message::SignOfLife];
		assert_eq!(validate(signed(&who, &sign)), Err(custom(Error::NoHeartbeatDue)));
		SignOfLifeDue::insert(&who, ());
		HeartbeatDue::insert(&who, ());
		let valid = validate(signed(&who, &sign)).expect("it is due");
		assert_eq!(valid.provides.len(), 1, "one in the pool at a time");
		assert_eq!(apply(signed(&who, &sign)), Ok(Ok(())));
		assert!(!SignOfLifeDue::contains_key(&who));
		assert!(HeartbeatDue::contains_key(&who), "the engine may be down");
		let stranger = account(98);
		let refused = validate(signed(&stranger, &sign));
		assert_eq!(refused, Err(custom(Error::NoInferenceKey)));
	});
}

#[test]
fn a_report_of_an_outage_is_valid_once_and_is_no_heartbeat() {
	TestExt::providers(2).build_and_execute(|| {
		let who = account(1);
		let report = |over| [Message::Outage { model: MODEL, over }];
		assert_eq!(validate(signed(&who, &report(true))), Err(custom(Error::NoOutageDue)));
		HeartbeatDue::insert(&who, ());
		assert_eq!(apply(signed(&who, &report(false))), Ok(Ok(())));
		assert!(InOutage::contains_key(&who));
		assert!(HeartbeatDue::contains_key(&who), "the engine has lost the model");
		assert_eq!(validate(signed(&who, &report(false))), Err(custom(Error::NoOutageDue)));
		assert_eq!(apply(signed(&who, &report(true))), Ok(Ok(())));
		assert!(!InOutage::contains_key(&who));
		assert!(!HeartbeatDue::contains_key(&who), "the engine works");
		let other = Message::Outage {
			model: assay_primitives::ModelId([99; 32]),
			over: false,
		};
		assert_eq!(validate(signed(&who, &[other])), Err(custom(Error::NoOutageDue)));
		let stranger = account(98);
		assert_eq!(
			validate(signed(&stranger, &report(false))),
			Err(custom(Error::NoInferenceKey))
		);
	});
}

#[test]
fn a_batch_with_one_message_too_many_is_refused_by_name() {
	TestExt::providers(2).build_and_execute(|| {
		let who = account(1);
		SignOfLifeDue::insert(&who, ());
		let most = vec![Message::SignOfLife; MAX_BATCH as usize];
		assert!(validate(signed(&who, &most)).is_ok());
		let more = vec![Message::SignOfLife; MAX_BATCH as usize + 1];
		assert_eq!(validate(signed(&who, &more)), Err(custom(Error::TooManyMessages)));
		assert_eq!(submit(&who, &more), Err(Error::<Test>::TooManyMessages.into()));
	});
}

#[test]
fn messages_that_do_not_apply_are_skipped_while_one_does() {
	TestExt::providers(9).build_and_execute(|| {
		let id = drawn(1, TRUTH);
		let (who, tranche) = waiting(id)[0].clone();
		let good = approve(id, &who, tranche, TRUTH);
		let Message::Vote(mut bad) = good else { unreachable!() };
		bad.claim = assay_primitives::ClaimId([1; 32]);
		let batch = [Message::Vote(bad), good, good];
		let valid = validate(signed(&who, &batch)).expect("one applies");
		assert_eq!(valid.provides.len(), 1);
		assert_eq!(apply(signed(&who, &batch)), Ok(Ok(())));
		assert_eq!(
			validate(signed(&who, &[Message::Vote(bad)])),
			Err(custom(Error::UnknownClaim))
		);
	});
}

#[test]
fn a_feeless_objection_whose_bond_cannot_be_held_stays_out_of_blocks() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let objection = Message::Object {
			claim: id,
			output_hash: OUTPUT,
		};
		let poor = account(99);
		assert_eq!(validate(signed(&poor, &[objection])), Err(custom(Error::MayNotObject)));
		assert_eq!(claim(id).state, State::Window);
		assert!(Objections::get(id).is_none(), "asking holds nothing");
		let rich = (2..=9).map(account).find(|who| !claim(id).is_party(who)).unwrap();
		assert!(validate(signed(&rich, &[objection])).is_ok());
		assert_eq!(apply(signed(&rich, &[objection])), Ok(Ok(())));
		assert_eq!(claim(id).state, State::Disputed);
	});
}

#[test]
fn an_opening_needs_no_signature_and_only_the_right_root() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let opening = |root| {
			let call = RuntimeCall::Verification(Call::open {
				claim: id,
				root: id.bind(&root),
			});
			Extrinsic::new_transaction(call, (frame_system::AuthorizeCall::new(),))
		};
		assert_eq!(validate(opening(LIE)), Err(custom(Error::BadOpening)));
		assert!(validate(opening(TRUTH)).is_ok());
		assert_eq!(apply(opening(TRUTH)), Ok(Ok(())));
		assert_eq!(validate(opening(TRUTH)), Err(custom(Error::AlreadyOpened)));
	});
}
