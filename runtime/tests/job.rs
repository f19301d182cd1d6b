//! A job from request to receipt through `Executive`: real pallets, real blocks, real signatures, and money that is
//! conserved.

mod common;

use assay_primitives::{
	digest::{input_hash, output_hash, Subject},
	economics::{fee, split, Fault, Shares},
	receipt::RefundReason,
	JobId, Receipt, SamplingParams, TraceRoot, Verdict, Vote,
};
use assay_runtime::{
	configs::{inference::RATES, tokens::TreasuryAccount},
	genesis_config_presets::{demo_model, BOND},
	AccountId, Balance, Runtime,
};
use common::{
	committee::{
		commit, committee, job, lie, model, publish, request_job, reveal, run_attempt, truth, CONFIRM, LIE, MAX_TOKENS,
		PROMPT, REJECT,
	},
	signed, Chain,
};
use frame_support::traits::TypedGet;
use sp_keyring::Sr25519Keyring::{Alice, Bob, Charlie, Dave, Eve, Ferdie};
use std::collections::BTreeMap;

fn receipt(chain: &mut Chain, id: JobId) -> Receipt<AccountId, u32> {
	chain
		.read(|| pallet_jobs::Receipts::<Runtime>::get(id))
		.expect("the job has a receipt")
}

fn treasury() -> AccountId {
	<TreasuryAccount as TypedGet>::get()
}

/// Returns the balances of all accounts that a job can pay or charge.
fn wealth(chain: &mut Chain) -> BTreeMap<AccountId, Balance> {
	let people = [Alice, Bob, Charlie, Dave, Eve, Ferdie].map(|key| key.to_account_id());
	people
		.into_iter()
		.chain([treasury()])
		.map(|who| (who.clone(), chain.wealth(&who)))
		.collect()
}

/// Returns how an account's wealth has changed.
fn change(before: &BTreeMap<AccountId, Balance>, after: &BTreeMap<AccountId, Balance>, who: &AccountId) -> i128 {
	after[who] as i128 - before[who] as i128
}

/// Returns what the truth costs for a committee of `n`, and who gets it if `confirming` verifiers confirm.
fn price(n: u32, confirming: u32) -> (Balance, Shares) {
	let terms = demo_model().expect("the demo model has a registration");
	let output = truth();
	let fee = fee(
		&RATES,
		terms.price_in,
		terms.price_out,
		output.input_tokens,
		output.tokens.len() as u32,
		n,
	);
	(fee, split(&RATES, fee, n, confirming, terms.royalty))
}

/// Returns every seat with its vote.
fn votes(committee: &[AccountId], vote: impl Fn(usize) -> Vote) -> Vec<(AccountId, Vote)> {
	committee
		.iter()
		.enumerate()
		.map(|(seat, who)| (who.clone(), vote(seat)))
		.collect()
}

#[test]
fn four_providers_agree_and_everyone_is_paid_the_published_split() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let id = request_job(&mut chain, Ferdie, 4);
	let before = wealth(&mut chain);
	assert!(
		committee_is_empty(&mut chain, id),
		"nobody is drawn in the block of the request"
	);

	chain.idle(1);
	let seats = committee(&mut chain, id);
	assert_eq!(seats.len(), 4);
	let all = votes(&seats, |_| CONFIRM);
	publish(&mut chain, id, truth(), &CONFIRM);
	commit(&mut chain, id, &all[1..]);
	assert!(chain.read(|| pallet_jobs::Receipts::<Runtime>::get(id)).is_none());
	reveal(&mut chain, id, &all);

	let receipt = receipt(&mut chain, id);
	let answer = receipt.answer.expect("confirmed");
	assert_eq!(
		(receipt.verdict, receipt.attempts, receipt.agreeing()),
		(Verdict::Confirmed, 1, 4)
	);
	assert_eq!(
		receipt.seed_block,
		Some(3),
		"the VRF output of the block after the request"
	);
	let params = SamplingParams::greedy(MAX_TOKENS);
	let subject = Subject {
		job: id,
		model: model(),
		input_hash: input_hash(PROMPT.as_bytes()),
		params: &params,
		seed: receipt.seed,
		output_hash: output_hash(&truth()),
	};
	assert_eq!(
		answer.digest,
		subject.digest(&TraceRoot([1; 32])),
		"anyone can recompute the digest"
	);

	let after = wealth(&mut chain);
	let (fee, shares) = price(4, 3);
	assert_eq!(receipt.fee, fee);
	assert_eq!(change(&before, &after, &seats[0]), shares.executor as i128);
	for verifier in &seats[1..] {
		assert_eq!(change(&before, &after, verifier), shares.verifier as i128);
	}
	assert_eq!(change(&before, &after, &Eve.to_account_id()), shares.royalty as i128);
	assert_eq!(change(&before, &after, &treasury()), shares.treasury as i128);
	assert_eq!(change(&before, &after, &Ferdie.to_account_id()), -(fee as i128));
	assert_eq!(chain.issuance(), issuance);
}

fn committee_is_empty(chain: &mut Chain, id: JobId) -> bool {
	job(chain, id).committee.is_empty()
}

#[test]
fn the_receipt_of_a_committee_of_one_is_unchecked() {
	let mut chain = Chain::new("development", 1);
	let id = request_job(&mut chain, Ferdie, 1);
	chain.idle(1);
	let seats = committee(&mut chain, id);
	run_attempt(&mut chain, id, truth(), &votes(&seats, |_| CONFIRM));
	let receipt = receipt(&mut chain, id);
	assert_eq!((receipt.verdict, receipt.committee.len()), (Verdict::Unchecked, 1));
	assert_eq!(receipt.fee, price(1, 0).0);
}

#[test]
fn a_lying_verifier_is_slashed_and_unpaid_and_the_answer_stands() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let id = request_job(&mut chain, Ferdie, 4);
	let before = wealth(&mut chain);
	chain.idle(1);
	let seats = committee(&mut chain, id);
	run_attempt(
		&mut chain,
		id,
		truth(),
		&votes(&seats, |seat| if seat == 2 { LIE } else { CONFIRM }),
	);

	let receipt = receipt(&mut chain, id);
	assert_eq!((receipt.verdict, receipt.agreeing()), (Verdict::Confirmed, 3));
	assert_eq!(receipt.committee[2].fault, Some(Fault::Dissent));
	let after = wealth(&mut chain);
	let slash = RATES.slash_dissent.mul_floor(BOND);
	let (fee, shares) = price(4, 2);
	assert_eq!(change(&before, &after, &seats[2]), -(slash as i128));
	assert_eq!(chain.held(&seats[2]), BOND - slash);
	assert_eq!(change(&before, &after, &seats[1]), shares.verifier as i128);
	assert_eq!(
		change(&before, &after, &Ferdie.to_account_id()),
		-((fee - shares.refund) as i128)
	);
	assert_eq!(change(&before, &after, &treasury()), (shares.treasury + slash) as i128);
	assert_eq!(receipt.fee, fee - shares.refund, "the receipt has what was paid");
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_lying_executor_is_slashed_and_the_requester_gets_an_honest_answer() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let id = request_job(&mut chain, Ferdie, 4);
	let fee_ceiling = job(&mut chain, id).fee_ceiling;
	let before = wealth(&mut chain);
	chain.idle(1);
	let first = committee(&mut chain, id);
	let liar = first[0].clone();
	run_attempt(
		&mut chain,
		id,
		lie(),
		&votes(&first, |seat| if seat == 0 { LIE } else { REJECT }),
	);

	assert!(
		chain.read(|| pallet_jobs::Receipts::<Runtime>::get(id)).is_none(),
		"a lie gets no receipt"
	);
	assert!(
		chain.read(|| pallet_jobs::Outputs::<Runtime>::get(id)).is_none(),
		"a lie is not shown as the answer"
	);
	let slash = RATES.slash_rejected.mul_floor(BOND);
	assert_eq!(chain.held(&liar), BOND - slash);

	chain.idle(1);
	let second = committee(&mut chain, id);
	assert_eq!(second.len(), 4);
	assert_ne!(second[0], liar, "who lied as executor is not the job's executor again");
	run_attempt(&mut chain, id, truth(), &votes(&second, |_| CONFIRM));

	let receipt = receipt(&mut chain, id);
	assert_eq!((receipt.verdict, receipt.attempts), (Verdict::Confirmed, 2));
	assert_eq!(chain.read(|| pallet_jobs::Outputs::<Runtime>::get(id)), Some(truth()));
	let after = wealth(&mut chain);
	let (fee, shares) = price(4, 3);
	let restitution = RATES.restitution.mul_floor(fee_ceiling);
	assert_eq!(change(&before, &after, &liar), shares.verifier as i128 - slash as i128);
	assert_eq!(
		change(&before, &after, &Ferdie.to_account_id()),
		restitution as i128 - fee as i128
	);
	assert_eq!(
		change(&before, &after, &treasury()),
		(shares.treasury + slash - restitution) as i128
	);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_job_that_nobody_answers_is_refunded_within_t_max() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let ferdie = Ferdie.to_account_id();
	let id = request_job(&mut chain, Ferdie, 4);
	let before = wealth(&mut chain);
	let requested_at = chain.number();
	let t_max = chain.read(assay_runtime::Jobs::t_max);
	while chain.read(|| pallet_jobs::Jobs::<Runtime>::contains_key(id)) {
		assert!(chain.number() - requested_at < t_max, "every job ends within T_max");
		chain.idle(1);
	}

	let receipt = receipt(&mut chain, id);
	assert_eq!(receipt.verdict, Verdict::Refunded(RefundReason::NoOutput));
	assert_eq!((receipt.fee, receipt.answer, receipt.attempts), (0, None, 3));
	let after = wealth(&mut chain);
	assert!(
		change(&before, &after, &ferdie) > 0,
		"the fee is back, and a restitution on top"
	);
	let lost: i128 = [Alice, Bob, Charlie, Dave]
		.iter()
		.map(|key| change(&before, &after, &key.to_account_id()))
		.sum();
	assert!(lost < 0, "the executors paid for it");

	assert!(
		chain.held(&ferdie) > 0,
		"the deposit is held as long as the receipt is stored"
	);
	let prune = chain.read(|| signed(Ferdie, pallet_jobs::Call::prune { job: id }));
	chain.good_block(vec![prune]);
	assert_eq!(chain.held(&ferdie), 0);
	assert!(chain.read(|| pallet_jobs::Receipts::<Runtime>::get(id)).is_none());
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn two_against_two_decide_nothing_and_nobody_is_slashed() {
	let mut chain = Chain::new("development", 1);
	let id = request_job(&mut chain, Ferdie, 4);
	chain.idle(1);
	let before = wealth(&mut chain);
	let seats = committee(&mut chain, id);
	run_attempt(
		&mut chain,
		id,
		truth(),
		&votes(&seats, |seat| if seat < 2 { CONFIRM } else { LIE }),
	);
	assert_eq!(wealth(&mut chain), before);
	assert_eq!(job(&mut chain, id).attempt, 1, "another attempt follows");
}

#[test]
fn a_job_outlives_a_change_of_session() {
	let mut chain = Chain::new("development", 1);
	let session = chain.read(assay_runtime::Session::current_index);
	let id = request_job(&mut chain, Ferdie, 1);
	chain.next_session();
	assert_eq!(chain.read(assay_runtime::Session::current_index), session + 1);
	let seats = committee(&mut chain, id);
	run_attempt(&mut chain, id, truth(), &votes(&seats, |_| CONFIRM));
	assert_eq!(receipt(&mut chain, id).verdict, Verdict::Unchecked);
}
