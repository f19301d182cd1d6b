//! Refusals: wrong requests with their errors, wrong messages of providers before they reach a block.

mod common;

use assay_primitives::{
	limits::{
		MAX_BATCH, MAX_INPUT_BYTES, MAX_MANIFEST_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS, MAX_STOPS, MAX_STOP_BYTES,
	},
	receipt::Audit,
	JobId, ListingId, ModelId, SamplingParams, State, Target, UncheckedInput, UncheckedParams,
};
use assay_runtime::{genesis_config_presets::demo_model, AccountId, Runtime, UncheckedExtrinsic};
use codec::Encode;
use common::{
	claims::{
		batch_signed, chain_hash, claim, drawn, executor, lie, model, opening, publication, publication_signed,
		publish, request, request_job, run_until, sent, truth, vote, vote_all, waiting, LIE, PROMPT, TRUTH,
	},
	keyring, signed, Chain,
};
use frame_support::traits::fungible::InspectHold;
use pallet_jobs::Error;
use pallet_verification::{Batch, Error as Refused, Message};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Eve, Ferdie};
use sp_runtime::{
	transaction_validity::{InvalidTransaction, TransactionValidityError},
	DispatchError,
};

/// Returns the error with which a message is refused; the block is made without it.
fn refused(chain: &mut Chain, message: UncheckedExtrinsic) -> u8 {
	match chain.block(vec![message]).remove(0) {
		Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => code,
		other => panic!("not refused by a named error: {other:?}"),
	}
}

fn code(error: impl Encode) -> u8 {
	error.encode()[0]
}

/// A job that has an executor.
fn engaged(chain: &mut Chain) -> (JobId, AccountId) {
	let id = request_job(chain, Ferdie, 2);
	chain.idle(1);
	let (executor, _) = executor(chain, id);
	(id, executor)
}

/// Returns the key of a provider that is not this one.
fn another(who: &AccountId) -> Sr25519Keyring {
	if *who == Alice.to_account_id() {
		Bob
	} else {
		Alice
	}
}

fn message_of(chain: &mut Chain, call: pallet_jobs::Call<Runtime>) -> DispatchError {
	let transaction = chain.read(|| signed(Ferdie, call));
	chain
		.block(vec![transaction])
		.remove(0)
		.expect("valid")
		.expect_err("must be refused")
}

/// Returns a good request, changed.
fn with(change: impl FnOnce(&mut Request)) -> pallet_jobs::Call<Runtime> {
	let mut request = Request {
		target: model().into(),
		input: UncheckedInput::Text(PROMPT.into()),
		params: SamplingParams::greedy(16).into(),
		verifiers: 2,
		max_fee: u128::from(u64::MAX),
	};
	change(&mut request);
	let Request {
		target,
		input,
		params,
		verifiers,
		max_fee,
	} = request;
	pallet_jobs::Call::request {
		target,
		input,
		params,
		verifiers,
		max_fee,
	}
}

struct Request {
	target: Target,
	input: UncheckedInput,
	params: UncheckedParams,
	verifiers: u8,
	max_fee: u128,
}

fn text(bytes: Vec<u8>) -> UncheckedInput {
	UncheckedInput::Text(bytes)
}

fn chat(json: &str) -> UncheckedInput {
	UncheckedInput::Chat(json.into())
}

#[test]
fn wrong_requests_are_refused_with_their_errors_and_hold_nothing() {
	let mut chain = Chain::new("development", 1);
	let cases = [
		(
			with(|request| request.target = ModelId([7; 32]).into()),
			Error::<Runtime>::UnknownModel,
		),
		(
			with(|request| request.target = ListingId(7).into()),
			Error::UnknownListing,
		),
		(with(|request| request.input = text(vec![])), Error::EmptyInput),
		(
			with(|request| request.input = text(vec![0xff, 0xfe])),
			Error::InputNotUtf8,
		),
		(
			with(|request| request.input = text(vec![b'x'; 40_000])),
			Error::InputTooLong,
		),
		(with(|request| request.input = chat("{}")), Error::BadChat),
		(
			with(|request| request.input = chat(r#"{"messages":[{"role":"user","content":7}]}"#)),
			Error::BadChat,
		),
		(
			with(|request| request.input = text(vec![b'x'; MAX_INPUT_BYTES as usize + 1])),
			Error::InputTooLong,
		),
		(
			with(|request| request.params.stop = vec![b"x".to_vec(); MAX_STOPS as usize + 1]),
			Error::BadParams,
		),
		(
			with(|request| request.params.stop = vec![vec![b'x'; MAX_STOP_BYTES as usize + 1]]),
			Error::BadParams,
		),
		(with(|request| request.params.max_tokens = 0), Error::BadParams),
		(
			with(|request| request.params.max_tokens = MAX_OUTPUT_TOKENS + 1),
			Error::BadParams,
		),
		(with(|request| request.verifiers = 9), Error::TooManyVerifiers),
		(request(2, 1), Error::FeeTooLow),
	];
	for (call, error) in cases {
		assert_eq!(message_of(&mut chain, call), error.into());
		assert_eq!(chain.held(&Ferdie.to_account_id()), 0);
	}
	assert_eq!(chain.read(|| pallet_jobs::Jobs::<Runtime>::iter_keys().count()), 0);
}

#[test]
fn a_requester_that_cannot_pay_the_fee_ceiling_is_refused() {
	let mut chain = Chain::new("development", 1);
	let all_but_little = chain.wealth(&Ferdie.to_account_id()) - assay_runtime::constants::currency::MILLI_ASY * 20;
	let gift = chain.read(|| {
		let dest = Eve.to_account_id().into();
		signed(
			Ferdie,
			pallet_balances::Call::transfer_allow_death {
				dest,
				value: all_but_little,
			},
		)
	});
	chain.good_block(vec![gift]);
	let error = message_of(&mut chain, with(|request| request.params.max_tokens = 400));
	assert!(
		matches!(error, DispatchError::Token(_) | DispatchError::Module(_)),
		"{error:?}"
	);
	assert_eq!(
		chain.read(|| assay_runtime::Balances::total_balance_on_hold(&Ferdie.to_account_id())),
		0
	);
}

#[test]
fn a_forged_publication_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (job, executor) = engaged(&mut chain);
	let genesis = chain_hash(&mut chain);
	let forged = publication(&mut chain, job, lie(), LIE);
	let message = publication_signed(forged, &genesis, another(&executor));
	assert_eq!(refused(&mut chain, message), code(Error::<Runtime>::BadSignature));
	publish(&mut chain, job, truth(), TRUTH);
}

#[test]
fn only_the_executor_publishes() {
	let mut chain = Chain::new("development", 1);
	let (job, executor) = engaged(&mut chain);
	let genesis = chain_hash(&mut chain);
	let mut usurped = publication(&mut chain, job, truth(), TRUTH);
	let other = another(&executor);
	usurped.executor = other.to_account_id();
	let message = publication_signed(usurped, &genesis, other);
	assert_eq!(refused(&mut chain, message), code(Error::<Runtime>::NotExecutor));
}

#[test]
fn a_message_for_another_chain_is_refused() {
	let (mut chain, mut twin) = (Chain::new("development", 1), Chain::new("development", 2));
	let (job, executor) = engaged(&mut chain);
	let elsewhere = chain_hash(&mut twin);
	let message = publication(&mut chain, job, truth(), TRUTH);
	let message = publication_signed(message, &elsewhere, keyring(&executor));
	assert_eq!(refused(&mut chain, message), code(Error::<Runtime>::BadSignature));

	let id = publish(&mut chain, job, truth(), TRUTH);
	run_until(&mut chain, id, |claim| claim.state == State::Voting);
	let voter = waiting(&mut chain, id).remove(0);
	let messages = vec![vote(&mut chain, id, &voter, Some(TRUTH))];
	let batch = Batch {
		voter: voter.clone(),
		at: chain.number(),
		messages,
	};
	let message = batch_signed(batch, &elsewhere, keyring(&voter));
	assert_eq!(refused(&mut chain, message), code(Refused::<Runtime>::BadSignature));
}

#[test]
fn a_publication_of_an_earlier_attempt_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (job, executor) = engaged(&mut chain);
	let genesis = chain_hash(&mut chain);
	let mut old = publication(&mut chain, job, truth(), TRUTH);
	for _ in 0..100 {
		let open = chain.read(|| pallet_jobs::Jobs::<Runtime>::get(job)).expect("open");
		if open.attempt == 1 && open.engagement.is_some() {
			break;
		}
		chain.idle(1);
	}
	old.at = chain.number();
	let message = publication_signed(old, &genesis, keyring(&executor));
	let refusal = refused(&mut chain, message);
	assert!(
		[Error::<Runtime>::WrongClaim, Error::NotExecutor]
			.map(code)
			.contains(&refusal),
		"{refusal}"
	);
}

#[test]
fn an_account_without_a_seat_has_no_vote() {
	let mut chain = Chain::new("development", 1);
	let (_, id) = drawn(&mut chain, 1, truth(), TRUTH);
	let voter = waiting(&mut chain, id).remove(0);
	let stolen = vote(&mut chain, id, &voter, Some(TRUTH));
	let executor = claim(&mut chain, id).record.executor;
	for other in [executor, Eve.to_account_id()] {
		let message = sent(&mut chain, &other, &[stolen]);
		let refusal = refused(&mut chain, message);
		let named = [Refused::<Runtime>::NoInferenceKey, Refused::NoSeat].map(code);
		assert!(named.contains(&refusal), "{refusal}");
	}
}

#[test]
fn nobody_votes_twice() {
	let mut chain = Chain::new("development", 1);
	let (_, id) = drawn(&mut chain, 3, truth(), TRUTH);
	let voter = waiting(&mut chain, id).remove(0);
	let first = vote(&mut chain, id, &voter, Some(TRUTH));
	let other = vote(&mut chain, id, &voter, None);
	let message = sent(&mut chain, &voter, &[first]);
	chain.good_block(vec![message]);
	for again in [first, other] {
		let message = sent(&mut chain, &voter, &[again]);
		let refusal = refused(&mut chain, message);
		let named = [Refused::<Runtime>::AlreadyVoted, Refused::WrongState].map(code);
		assert!(named.contains(&refusal), "{refusal}");
	}
}

#[test]
fn an_opening_that_does_not_match_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (_, id) = drawn(&mut chain, 1, truth(), TRUTH);
	assert_eq!(
		refused(&mut chain, opening(id, TRUTH)),
		code(Refused::<Runtime>::WrongState)
	);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	run_until(&mut chain, id, |claim| {
		claim.record.audit == Audit::Spared || claim.state == State::Auditing
	});
	if claim(&mut chain, id).state == State::Auditing {
		vote_all(&mut chain, id, |_| Some(TRUTH));
	}
	assert_eq!(
		refused(&mut chain, opening(id, LIE)),
		code(Refused::<Runtime>::BadOpening)
	);
	chain.good_block(vec![opening(id, TRUTH)]);
	assert_eq!(
		refused(&mut chain, opening(id, TRUTH)),
		code(Refused::<Runtime>::AlreadyOpened)
	);
}

#[test]
fn an_objection_without_its_bond_changes_nothing() {
	let mut chain = Chain::new("development", 1);
	let (_, id) = drawn(&mut chain, 1, truth(), TRUTH);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	let output_hash = claim(&mut chain, id).record.output_hash;
	let all = chain.wealth(&Ferdie.to_account_id()) - chain.held(&Ferdie.to_account_id());
	let gift = chain.read(|| {
		let dest = Eve.to_account_id().into();
		let value = all - assay_runtime::constants::currency::ASY;
		signed(Ferdie, pallet_balances::Call::transfer_allow_death { dest, value })
	});
	chain.good_block(vec![gift]);
	let call = pallet_verification::Call::object { claim: id, output_hash };
	let transaction = chain.read(|| signed(Ferdie, call));
	let result = chain.block(vec![transaction]).remove(0).expect("valid");
	assert!(
		matches!(result, Err(DispatchError::Token(_) | DispatchError::Module(_))),
		"{result:?}"
	);
	assert_eq!(claim(&mut chain, id).state, State::Window);
}

#[test]
fn an_old_message_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (job, executor) = engaged(&mut chain);
	let genesis = chain_hash(&mut chain);
	let mut message = publication(&mut chain, job, truth(), TRUTH);
	message.at = chain.number() + 5;
	let message = publication_signed(message, &genesis, keyring(&executor));
	assert_eq!(refused(&mut chain, message), code(Error::<Runtime>::StaleMessage));
}

#[test]
fn an_output_longer_than_requested_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (job, executor) = engaged(&mut chain);
	let genesis = chain_hash(&mut chain);
	let good = publication(&mut chain, job, truth(), TRUTH);
	for (tokens, text) in [
		(17, 1),
		(MAX_OUTPUT_TOKENS as usize + 1, 1),
		(1, MAX_OUTPUT_BYTES as usize + 1),
	] {
		let mut long = good.clone();
		long.output.tokens = vec![1; tokens];
		long.output.text = vec![b'x'; text];
		let message = publication_signed(long, &genesis, keyring(&executor));
		assert_eq!(refused(&mut chain, message), code(Error::<Runtime>::OutputTooLong));
	}
}

#[test]
fn a_batch_with_too_many_messages_is_refused() {
	let mut chain = Chain::new("development", 1);
	let genesis = chain_hash(&mut chain);
	let batch = Batch {
		voter: Alice.to_account_id(),
		at: chain.number(),
		messages: vec![Message::SignOfLife; MAX_BATCH as usize + 1],
	};
	let message = batch_signed(batch, &genesis, Alice);
	assert_eq!(refused(&mut chain, message), code(Refused::<Runtime>::TooManyMessages));
}

#[test]
fn a_manifest_that_is_too_long_is_refused() {
	let mut chain = Chain::new("development", 1);
	let registration = demo_model().expect("a registration");
	let call = pallet_models::Call::register {
		manifest: vec![0; MAX_MANIFEST_BYTES as usize + 1],
		terms: registration.terms,
	};
	let transaction = chain.read(|| signed(Ferdie, call));
	let refused = chain.block(vec![transaction]).remove(0).expect("valid");
	assert_eq!(refused, Err(pallet_models::Error::<Runtime>::ManifestTooLong.into()));
}

#[test]
fn root_is_alices_alone() {
	let mut chain = Chain::new("development", 1);
	let call = |who: Sr25519Keyring| {
		let remark = assay_runtime::RuntimeCall::System(frame_system::Call::remark { remark: vec![] });
		signed(who, pallet_sudo::Call::sudo { call: Box::new(remark) })
	};
	let transactions = chain.read(|| vec![call(Sr25519Keyring::Alice), call(Ferdie)]);
	let results = chain.block(transactions);
	assert!(results[0].as_ref().is_ok_and(|result| result.is_ok()));
	assert!(!results[1].as_ref().is_ok_and(|result| result.is_ok()));
}
