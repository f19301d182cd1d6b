//! A job from request to receipt through `Executive`: real pallets, real blocks, real signatures, and money that is
//! conserved.

mod common;

use assay_primitives::{
	economics::{settle as split, Bill, Fault},
	receipt::{Audit, RefundReason},
	state::State,
	Failure, FinishReason, JobId, Output, Verdict,
};
use assay_runtime::{
	configs::{
		inference::RATES,
		tokens::{PoolAccount, TreasuryAccount},
	},
	genesis_config_presets::{demo_model, BOND},
	AccountId, Balance, Runtime, RuntimeEvent,
};
use common::{
	claims::{
		chain_hash, claim, drawn, executor, fee_ceiling, jury, lie, open_claim, publication, publication_signed,
		publish, receipt, request, request_job, run_until, settle, truth, vote_all, waiting, LIE, TRUTH,
	},
	keyring, signed, Chain,
};
use frame_support::traits::{Get, TypedGet};
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
use std::collections::BTreeMap;

fn treasury() -> AccountId {
	<TreasuryAccount as TypedGet>::get()
}

fn pool() -> AccountId {
	<PoolAccount as Get<AccountId>>::get()
}

/// Returns the balances of all accounts that a job can pay or charge.
fn wealth(chain: &mut Chain) -> BTreeMap<AccountId, Balance> {
	let people = [Alice, Bob, Charlie, Dave, Eve, Ferdie].map(|key| key.to_account_id());
	people
		.into_iter()
		.chain([treasury(), pool()])
		.map(|who| (who.clone(), chain.wealth(&who)))
		.collect()
}

/// Returns how an account's wealth has changed.
fn change(before: &BTreeMap<AccountId, Balance>, after: &BTreeMap<AccountId, Balance>, who: &AccountId) -> i128 {
	after[who] as i128 - before[who] as i128
}

/// Returns what an answer costs in the end.
fn bill(output: &Output) -> Bill {
	let registration = demo_model().expect("the demo model has a registration");
	let (_, facts) = assay_primitives::manifest::read(&registration.manifest).expect("a manifest");
	let prices = registration.terms.prices;
	let tokens = (output.input_tokens, output.tokens.len() as u32);
	Bill::new(&RATES, (prices.price_in, prices.price_out), facts.parameters, tokens)
}

#[test]
fn two_verifiers_agree_and_everyone_is_paid_the_published_parts() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let job = request_job(&mut chain, Ferdie, 2);
	let ceiling = chain.held(&Ferdie.to_account_id());
	let before = wealth(&mut chain);
	chain.idle(1);
	let (executor, id) = executor(&mut chain, job);
	publish(&mut chain, job, truth(), TRUTH);
	run_until(&mut chain, id, |claim| claim.state == State::Voting);
	let seats: Vec<_> = claim(&mut chain, id)
		.record
		.seats
		.iter()
		.map(|seat| seat.provider.clone())
		.collect();
	assert!(seats.len() == 2 && !seats.contains(&executor));
	vote_all(&mut chain, id, |_| Some(TRUTH));

	let provisional = receipt(&mut chain, job);
	assert_eq!(
		(provisional.verdict, provisional.state),
		(Verdict::Confirmed, State::Window)
	);
	assert_eq!(wealth(&mut chain), before, "no money moves before the window is closed");

	settle(&mut chain, id, TRUTH);
	let settled = receipt(&mut chain, job);
	assert_eq!((settled.verdict, settled.state), (Verdict::Confirmed, State::Settled));
	let record = settled.claim.expect("a claim");
	assert_eq!(record.root, Some(id.bind(&TRUTH)));
	let audited = if record.audit == Audit::Approved {
		bill(&truth()).seat
	} else {
		0
	};
	let royalty = demo_model().expect("a registration").terms.royalty;
	let bill = bill(&truth());
	let shares = split(&RATES, ceiling, &bill, 2, 2, royalty);
	let after = wealth(&mut chain);
	assert_eq!(settled.fee, bill.total(2));
	assert_eq!(change(&before, &after, &executor), shares.executor as i128);
	let paid_seats: i128 = [Alice, Bob, Charlie, Dave]
		.map(|key| key.to_account_id())
		.iter()
		.filter(|who| **who != executor)
		.map(|who| change(&before, &after, who))
		.sum();
	assert_eq!(paid_seats, (2 * shares.seat + audited) as i128);
	assert_eq!(change(&before, &after, &Eve.to_account_id()), shares.royalty as i128);
	assert_eq!(change(&before, &after, &treasury()), shares.treasury as i128);
	assert_eq!(change(&before, &after, &pool()), shares.pool as i128 - audited as i128);
	assert_eq!(change(&before, &after, &Ferdie.to_account_id()), -(settled.fee as i128));
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn an_answer_that_nobody_was_asked_to_check_is_unchecked() {
	let mut chain = Chain::new("development", 1);
	let job = request_job(&mut chain, Ferdie, 0);
	chain.idle(1);
	let id = publish(&mut chain, job, truth(), TRUTH);
	assert_eq!(receipt(&mut chain, job).verdict, Verdict::Unchecked);
	settle(&mut chain, id, TRUTH);
	let receipt = receipt(&mut chain, job);
	assert_eq!((receipt.verdict, receipt.state), (Verdict::Unchecked, State::Settled));
	assert_eq!(receipt.fee, bill(&truth()).total(0));
}

#[test]
fn a_job_for_which_the_model_did_not_run_costs_its_transaction() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let job = request_job(&mut chain, Ferdie, 2);
	let before = wealth(&mut chain);
	chain.idle(1);
	let refusal = Output {
		tokens: Default::default(),
		text: Default::default(),
		finish: FinishReason::Failed(Failure::PromptTooLong),
		..truth()
	};
	let id = publish(&mut chain, job, refusal, TRUTH);
	run_until(&mut chain, id, |claim| claim.state == State::Voting);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	settle(&mut chain, id, TRUTH);
	let receipt = receipt(&mut chain, job);
	assert_eq!(
		(receipt.verdict, receipt.state, receipt.fee),
		(Verdict::Confirmed, State::Settled, 0)
	);
	assert_eq!(change(&before, &wealth(&mut chain), &Ferdie.to_account_id()), 0);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_lone_liar_is_caught_and_the_requester_is_whole_at_once() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let before = wealth(&mut chain);
	let (job, id) = drawn(&mut chain, 2, lie(), LIE);
	let liar = claim(&mut chain, id).record.executor;
	vote_all(&mut chain, id, |_| None);
	assert_eq!(claim(&mut chain, id).state, State::Disputed);
	jury(&mut chain, id, |_| Some(false));
	let receipt = receipt(&mut chain, job);
	assert_eq!(
		(receipt.verdict, receipt.state, receipt.fee),
		(Verdict::Overturned, State::Overturned, 0)
	);
	assert_eq!(chain.held(&liar), BOND, "frozen, and not taken yet");
	// The deposit of the receipt and the fee of the transaction are all that is missing.
	let paid = -change(&before, &wealth(&mut chain), &Ferdie.to_account_id());
	assert!(paid < 10_000_000_000, "{paid}");
	assert!(chain.read(|| pallet_verification::Convictions::<Runtime>::iter().next().is_some()));
	let cancel = pallet_verification::Call::<Runtime>::cancel_slash { conviction: 0 };
	let sudo = pallet_sudo::Call::sudo {
		call: Box::new(cancel.into()),
	};
	let transaction = chain.read(|| signed(Alice, sudo));
	chain.good_block(vec![transaction]);
	assert_eq!(chain.held(&liar), BOND);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_lying_verifier_costs_itself_and_not_the_executor() {
	let mut chain = Chain::new("development", 1);
	let (job, id) = drawn(&mut chain, 1, truth(), TRUTH);
	let executor = claim(&mut chain, id).record.executor;
	let liar = waiting(&mut chain, id).remove(0);
	vote_all(&mut chain, id, |_| None);
	jury(&mut chain, id, |_| Some(true));
	assert_eq!(receipt(&mut chain, job).verdict, Verdict::Confirmed);
	let record = claim(&mut chain, id).record;
	assert!(record
		.seats
		.iter()
		.all(|seat| seat.provider != liar || seat.fault == Some(Fault::FalseRejection)));
	assert_eq!(chain.held(&executor), BOND);
	settle(&mut chain, id, TRUTH);
	assert_eq!(receipt(&mut chain, job).state, State::Settled);
}

#[test]
fn a_job_that_nobody_answers_is_refunded_and_its_executors_are_fined() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let ferdie = Ferdie.to_account_id();
	let before = wealth(&mut chain);
	let job = request_job(&mut chain, Ferdie, 2);
	let held = chain.held(&ferdie);
	let mut claims = Vec::new();
	for _ in 0..400 {
		let open = chain.read(|| pallet_jobs::Jobs::<Runtime>::get(job));
		let Some(open) = open else { break };
		if let Some(engagement) = open.engagement {
			if !claims.contains(&engagement.claim) {
				claims.push(engagement.claim);
			}
		}
		chain.idle(1);
	}
	let receipt = receipt(&mut chain, job);
	assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoOutput));
	assert_eq!((receipt.fee, receipt.answer, receipt.attempts), (0, None, 3));
	assert_eq!(claims.len(), 3, "every attempt has a claim, and a seed, of its own");
	let after = wealth(&mut chain);
	let lost: i128 = [Alice, Bob, Charlie, Dave]
		.iter()
		.map(|key| change(&before, &after, &key.to_account_id()))
		.sum();
	// Alice also earned a part of the transaction's fee.
	assert!(
		change(&before, &after, &pool()) > 0 && lost < 0,
		"the executors paid the pool"
	);
	assert!(
		chain.held(&ferdie) < held && chain.held(&ferdie) > 0,
		"the deposit stays with the receipt"
	);
	// The chain learns at a session's end that the receipt's block is finalized.
	chain.finalized = Some(chain.number());
	chain.next_session();
	chain.next_session();
	let prune = chain.read(|| signed(Ferdie, pallet_jobs::Call::prune { job }));
	chain.good_block(vec![prune]);
	assert_eq!(chain.held(&ferdie), 0);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn silent_seats_leave_it_unverified_and_the_executor_is_paid() {
	let mut chain = Chain::new("development", 1);
	let (job, id) = drawn(&mut chain, 2, truth(), TRUTH);
	let executor = claim(&mut chain, id).record.executor;
	let before = chain.wealth(&executor);
	run_until(&mut chain, id, |claim| claim.verdict.is_some());
	assert_eq!(receipt(&mut chain, job).verdict, Verdict::Unverified);
	run_until(&mut chain, id, |_| false);
	assert_eq!(receipt(&mut chain, job).state, State::Settled);
	let royalty = demo_model().expect("a registration").terms.royalty;
	let bill = bill(&truth());
	let shares = split(&RATES, bill.total(2), &bill, 2, 0, royalty);
	assert_eq!(chain.wealth(&executor) - before, shares.executor);
}

#[test]
fn a_burst_of_a_hundred_requests_waits_and_is_answered() {
	let mut chain = Chain::new("development", 1);
	let max_fee = fee_ceiling(&mut chain, 0);
	let mut jobs: Vec<JobId> = Vec::new();
	for block in 0..120 {
		let mut transactions = Vec::new();
		for job in jobs.clone() {
			let open = chain.read(|| pallet_jobs::Jobs::<Runtime>::get(job));
			if open.is_some_and(|open| open.engagement.is_some() && open.answer.is_none()) {
				let publication = publication(&mut chain, job, truth(), TRUTH);
				let (genesis, signer) = (chain_hash(&mut chain), keyring(&publication.executor));
				transactions.push(publication_signed(publication, &genesis, signer));
			}
		}
		// A hundred requests in the first block of all.
		if block == 0 {
			let calls = (0..100).map(|_| request(0, max_fee).into()).collect();
			let batch = pallet_utility::Call::batch_all { calls };
			transactions.push(chain.read(|| signed(Ferdie, batch)));
		}
		chain.good_block(transactions);
		jobs.extend(chain.events().into_iter().filter_map(|event| match event {
			RuntimeEvent::Jobs(pallet_jobs::Event::Requested { job, .. }) => Some(job),
			_ => None,
		}));
	}
	assert_eq!(jobs.len(), 100);
	for job in jobs {
		assert_eq!(
			receipt(&mut chain, job).verdict,
			Verdict::Unchecked,
			"none was refunded"
		);
	}
}

#[test]
fn a_job_outlives_a_change_of_session() {
	let mut chain = Chain::new("development", 1);
	let session = chain.read(assay_runtime::Session::current_index);
	let job = request_job(&mut chain, Ferdie, 2);
	chain.next_session();
	assert_eq!(chain.read(assay_runtime::Session::current_index), session + 1);
	let id = publish(&mut chain, job, truth(), TRUTH);
	run_until(&mut chain, id, |claim| claim.state == State::Voting);
	vote_all(&mut chain, id, |_| Some(TRUTH));
	assert_eq!(receipt(&mut chain, job).verdict, Verdict::Confirmed);
	assert!(open_claim(&mut chain, id).is_some());
}
