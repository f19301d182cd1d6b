//! Refusals: wrong requests with their errors, wrong messages of providers before they reach a block.

mod common;

use assay_primitives::{limits::MAX_OUTPUT_TOKENS, JobId, ModelId, SamplingParams, Vote};
use assay_runtime::{AccountId, Runtime, UncheckedExtrinsic};
use codec::Encode;
use common::{
	committee::{
		batch_signed, chain_hash, commit, commit_batch, committee, job, lie, model, publication, publication_signed,
		publish, request, request_job, reveal, reveal_batch, run_attempt, sent, truth, CONFIRM, LIE, PROMPT, REJECT,
	},
	keyring, signed, Chain,
};
use frame_support::traits::fungible::InspectHold;
use pallet_jobs::Error;
use sp_keyring::Sr25519Keyring::{self, Eve, Ferdie};
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

fn code(error: Error<Runtime>) -> u8 {
	error.encode()[0]
}

fn drawn(chain: &mut Chain) -> (JobId, Vec<AccountId>) {
	let id = request_job(chain, Ferdie, 4);
	chain.idle(1);
	let seats = committee(chain, id);
	(id, seats)
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
		model: model(),
		input: PROMPT.into(),
		params: SamplingParams::greedy(16),
		committee_size: 4,
		max_fee: u128::from(u64::MAX),
	};
	change(&mut request);
	let Request {
		model,
		input,
		params,
		committee_size,
		max_fee,
	} = request;
	pallet_jobs::Call::request {
		model,
		input: input.try_into().expect("bounded"),
		params,
		committee_size,
		max_fee,
	}
}

struct Request {
	model: ModelId,
	input: Vec<u8>,
	params: SamplingParams,
	committee_size: u32,
	max_fee: u128,
}

#[test]
fn wrong_requests_are_refused_with_their_errors_and_hold_nothing() {
	let mut chain = Chain::new("development", 1);
	let cases = [
		(
			with(|request| request.model = ModelId([7; 32])),
			Error::<Runtime>::UnknownModel,
		),
		(with(|request| request.input.clear()), Error::EmptyInput),
		(with(|request| request.input = vec![0xff, 0xfe]), Error::InputNotUtf8),
		(with(|request| request.input = vec![b'x'; 8192]), Error::InputTooLong),
		(with(|request| request.params.max_tokens = 0), Error::BadParams),
		(
			with(|request| request.params.max_tokens = MAX_OUTPUT_TOKENS + 1),
			Error::BadParams,
		),
		(with(|request| request.committee_size = 5), Error::BadCommitteeSize),
		(with(|request| request.committee_size = 16), Error::BadCommitteeSize),
		(with(|request| request.committee_size = 7), Error::TooFewProviders),
		(request(4, 1), Error::FeeTooLow),
	];
	for (call, error) in cases {
		assert_eq!(message_of(&mut chain, call), error.into());
		assert_eq!(chain.held(&Ferdie.to_account_id()), 0);
	}
	assert_eq!(chain.read(pallet_jobs::Jobs::<Runtime>::count), 0);
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
	let (id, seats) = drawn(&mut chain);
	let genesis = chain_hash(&mut chain);
	let forged = publication(&mut chain, id, lie(), &LIE);
	let message = publication_signed(forged, &genesis, keyring(&seats[1]));
	assert_eq!(refused(&mut chain, message), code(Error::BadSignature));
	publish(&mut chain, id, truth(), &CONFIRM);
}

#[test]
fn only_the_executor_publishes() {
	let mut chain = Chain::new("development", 1);
	let (id, seats) = drawn(&mut chain);
	let genesis = chain_hash(&mut chain);
	let mut usurped = publication(&mut chain, id, truth(), &CONFIRM);
	usurped.voter = seats[1].clone();
	let message = publication_signed(usurped, &genesis, keyring(&seats[1]));
	assert_eq!(refused(&mut chain, message), code(Error::NotInCommittee));
}

#[test]
fn a_message_for_another_chain_is_refused() {
	let (mut chain, mut twin) = (Chain::new("development", 1), Chain::new("development", 2));
	let (id, seats) = drawn(&mut chain);
	let elsewhere = chain_hash(&mut twin);
	let message = publication(&mut chain, id, truth(), &CONFIRM);
	let message = publication_signed(message, &elsewhere, keyring(&seats[0]));
	assert_eq!(refused(&mut chain, message), code(Error::BadSignature));

	publish(&mut chain, id, truth(), &CONFIRM);
	let batch = commit_batch(&mut chain, id, &seats[1], &CONFIRM);
	let message = batch_signed(batch, &elsewhere, keyring(&seats[1]));
	assert_eq!(refused(&mut chain, message), code(Error::BadSignature));
}

#[test]
fn a_message_of_an_earlier_attempt_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (id, seats) = drawn(&mut chain);
	let genesis = chain_hash(&mut chain);
	let old = publication(&mut chain, id, lie(), &LIE);
	let votes: Vec<(AccountId, Vote)> = seats
		.iter()
		.enumerate()
		.map(|(seat, who)| (who.clone(), if seat == 0 { LIE } else { REJECT }))
		.collect();
	run_attempt(&mut chain, id, lie(), &votes);
	chain.idle(1);
	assert_eq!(job(&mut chain, id).attempt, 1);
	let message = publication_signed(old, &genesis, keyring(&seats[0]));
	assert_eq!(refused(&mut chain, message), code(Error::WrongAttempt));
}

#[test]
fn an_account_outside_the_committee_has_no_vote() {
	let mut chain = Chain::new("development", 1);
	let (id, _) = drawn(&mut chain);
	publish(&mut chain, id, truth(), &CONFIRM);
	let batch = commit_batch(&mut chain, id, &Eve.to_account_id(), &CONFIRM);
	let message = sent(&mut chain, batch);
	let refusal = refused(&mut chain, message);
	assert!(
		[Error::NoInferenceKey, Error::NotInCommittee]
			.map(code)
			.contains(&refusal),
		"{refusal}"
	);
}

#[test]
fn nobody_commits_or_reveals_twice_or_reveals_another_vote() {
	let mut chain = Chain::new("development", 1);
	let (id, seats) = drawn(&mut chain);
	publish(&mut chain, id, truth(), &CONFIRM);
	commit(&mut chain, id, &[(seats[1].clone(), CONFIRM)]);

	let again = commit_batch(&mut chain, id, &seats[1], &LIE);
	let message = sent(&mut chain, again);
	assert_eq!(refused(&mut chain, message), code(Error::AlreadyCommitted));

	commit(
		&mut chain,
		id,
		&[(seats[2].clone(), CONFIRM), (seats[3].clone(), CONFIRM)],
	);
	let other = reveal_batch(&mut chain, id, &seats[1], &LIE);
	let message = sent(&mut chain, other);
	assert_eq!(refused(&mut chain, message), code(Error::BadOpening));

	reveal(&mut chain, id, &[(seats[1].clone(), CONFIRM)]);
	let again = reveal_batch(&mut chain, id, &seats[1], &CONFIRM);
	let message = sent(&mut chain, again);
	assert_eq!(refused(&mut chain, message), code(Error::AlreadyRevealed));
}

#[test]
fn an_old_message_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (id, seats) = drawn(&mut chain);
	let genesis = chain_hash(&mut chain);
	let message = publication(&mut chain, id, truth(), &CONFIRM);
	chain.idle(20);
	let message = publication_signed(message, &genesis, keyring(&seats[0]));
	assert_eq!(refused(&mut chain, message), code(Error::StaleBatch));
}

#[test]
fn an_output_longer_than_requested_is_refused() {
	let mut chain = Chain::new("development", 1);
	let (id, seats) = drawn(&mut chain);
	let genesis = chain_hash(&mut chain);
	let mut long = truth();
	long.tokens = vec![1; 17].try_into().expect("bounded");
	let message = publication(&mut chain, id, long, &CONFIRM);
	let message = publication_signed(message, &genesis, keyring(&seats[0]));
	assert_eq!(refused(&mut chain, message), code(Error::OutputTooLong));
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
