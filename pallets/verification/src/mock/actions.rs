//! What executors, seats, auditors, jurors and objectors do in tests, as calls and as whole transactions.

use super::*;
use assay_primitives::{
	claim::AUDIT,
	crypto::InferenceSignature,
	dispute::Decision,
	receipt::{Audit, DrawRecord},
	traits::{Claims as _, NewClaim},
	vote::{Defect, JuryVote},
	Approval, BoundRoot, ClaimId, FinishReason, Input, JobId, Output, OutputHash, SamplingParams, State, TraceRoot,
	Verdict, Vote, Work,
};
use frame_support::dispatch::{DispatchInfo, GetDispatchInfo};
use frame_system::RawOrigin;
use sp_runtime::{
	traits::{Applyable, Checkable},
	transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError},
	DispatchResult,
};

/// The root of the rows of an honest computation.
pub(crate) const TRUTH: TraceRoot = TraceRoot([7; 32]);
/// The root of the rows of a lie.
pub(crate) const LIE: TraceRoot = TraceRoot([8; 32]);
/// Hash of the published output.
pub(crate) const OUTPUT: OutputHash = OutputHash([6; 32]);
/// Tokens of prompt and answer: one block of work.
const WORK: u64 = 100;

/// What was published: an answer and a seal over the root of its rows.
pub(crate) fn new_claim(n: u8, executor: AccountId, verifiers: u8, root: TraceRoot) -> NewClaim<AccountId, u64> {
	let id = ClaimId(BlakeTwo256::hash(&[n; 3]).0);
	NewClaim {
		id,
		origin: JobId([n; 32]),
		requester: requester(),
		model: MODEL,
		attempt: 0,
		seal: id.seal(&executor, &id.bind(&root)),
		executor,
		drawn: DrawRecord {
			block: System::block_number(),
			beacon: Acc::get(),
		},
		output_hash: OUTPUT,
		verifiers,
		work: WORK,
		seat_fee: FEE,
	}
}

/// Publishes provider 1's claim and returns its name.
pub(crate) fn publish_as(n: u8, verifiers: u8, root: TraceRoot) -> ClaimId {
	let claim = new_claim(n, account(1), verifiers, root);
	let id = claim.id;
	Verification::publish(claim).expect("a claim");
	let output = Output {
		input_tokens: 3,
		tokens: Default::default(),
		text: Default::default(),
		finish: FinishReason::Eos,
	};
	let work = Work {
		model: MODEL,
		input: Input::Text(Default::default()),
		params: SamplingParams::greedy(4),
		seed: [n; 32],
		claim: None,
	};
	Works::insert(JobId([n; 32]), (work, output));
	id
}

pub(crate) fn publish(verifiers: u8, root: TraceRoot) -> ClaimId {
	publish_as(1, verifiers, root)
}

/// Publishes a claim and makes blocks until its first seats are drawn.
pub(crate) fn drawn(verifiers: u8, root: TraceRoot) -> ClaimId {
	let id = publish(verifiers, root);
	(0..3).for_each(|_| next_block());
	assert_eq!(claim(id).state, State::Voting);
	id
}

pub(crate) fn claim(id: ClaimId) -> ClaimOf<Test> {
	OpenClaims::get(id).expect("an open claim")
}

/// Returns how a claim was closed.
pub(crate) fn closed(id: ClaimId) -> (State, Option<Verdict>, Vec<AccountId>) {
	Closed::get(id).expect("a closed claim")
}

pub(crate) fn free(who: &AccountId) -> Balance {
	Balances::free_balance(who)
}

/// Returns the providers whose seats wait for a vote, once each, with their tranche.
pub(crate) fn waiting(id: ClaimId) -> Vec<(AccountId, u8)> {
	let mut waiting: Vec<(AccountId, u8)> = Vec::new();
	for (_, seat, _) in claim(id).waiting_seats() {
		if !waiting.iter().any(|(who, _)| *who == seat.provider) {
			waiting.push((seat.provider.clone(), seat.tranche));
		}
	}
	waiting
}

/// Returns the approval of a provider that computed this root.
pub(crate) fn approve(id: ClaimId, who: &AccountId, tranche: u8, root: TraceRoot) -> Message {
	let draw = claim(id).record.draw_id(id, tranche).expect("a draw");
	Message::Vote(VoteItem {
		claim: id,
		tranche,
		draw,
		vote: Vote::Approve(draw.approval(who, &id.bind(&root))),
	})
}

/// Returns the rejection of a provider.
pub(crate) fn reject(id: ClaimId, tranche: u8) -> Message {
	Message::Vote(VoteItem {
		claim: id,
		tranche,
		draw: claim(id).record.draw_id(id, tranche).expect("a draw"),
		vote: Vote::Reject {
			defect: Defect::Output(0),
			root: id.bind(&TRUTH),
		},
	})
}

pub(crate) fn batch(who: &AccountId, messages: &[Message]) -> BatchOf<Test> {
	Batch {
		voter: who.clone(),
		at: System::block_number(),
		messages: messages.to_vec(),
	}
}

fn placeholder() -> InferenceSignature {
	sp_core::sr25519::Signature::from_raw([0; 64]).into()
}

/// Sends messages as a call whose signature was checked before.
pub(crate) fn submit(who: &AccountId, messages: &[Message]) -> DispatchResult {
	Verification::submit(RawOrigin::Authorized.into(), batch(who, messages), placeholder())
		.map(drop)
		.map_err(|error| error.error)
}

/// Lets every waiting seat and auditor approve.
pub(crate) fn approve_all(id: ClaimId) {
	for (who, tranche) in waiting(id) {
		submit(&who, &[approve(id, &who, tranche, TRUTH)]).expect("a vote");
	}
}

pub(crate) fn open(id: ClaimId, root: TraceRoot) -> DispatchResult {
	Verification::open(RawOrigin::Authorized.into(), id, id.bind(&root))
		.map(drop)
		.map_err(|error| error.error)
}

pub(crate) fn object(who: &AccountId, id: ClaimId) -> DispatchResult {
	Verification::object(RawOrigin::Signed(who.clone()).into(), id, OUTPUT)
}

/// Makes blocks until something holds of a claim, or it is closed.
pub(crate) fn run_until(id: ClaimId, holds: impl Fn(&ClaimOf<Test>) -> bool) {
	for _ in 0..2_000 {
		if OpenClaims::get(id).is_none_or(|claim| holds(&claim)) {
			return;
		}
		next_block();
	}
	panic!("it never holds: {:?}", claim(id));
}

/// Makes blocks until a claim is closed, without audits and votes.
pub(crate) fn run_out(id: ClaimId) {
	run_until(id, |_| false);
}

/// A claim that was checked by two seats and whose lottery spared it.
pub(crate) fn confirmed(root: TraceRoot) -> ClaimId {
	for n in 1..50 {
		let id = publish_as(n, 2, root);
		(0..3).for_each(|_| next_block());
		for (who, tranche) in waiting(id) {
			submit(&who, &[approve(id, &who, tranche, root)]).expect("a vote");
		}
		run_until(id, |claim| claim.record.audit != Audit::Undecided);
		if claim(id).record.audit == Audit::Spared {
			return id;
		}
	}
	panic!("the lottery hits always");
}

// ── juries ───────────────────────────────────────────────────────────────────

/// What a juror says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Says {
	True,
	False,
	Nothing,
}

/// Returns a juror's vote in a round, honest for what it says.
pub(crate) fn jury_vote(id: ClaimId, round: u8, says: Says) -> JuryVote {
	let root: BoundRoot = id.dispute().bind(round, &TRUTH);
	match says {
		Says::True => JuryVote::Approve { root },
		_ => JuryVote::Reject {
			defect: Defect::Output(0),
			root,
		},
	}
}

/// Returns the jurors who are no parties, in the order of their accounts.
pub(crate) fn jurors(id: ClaimId) -> Vec<AccountId> {
	let claim = claim(id);
	let mut jurors: Vec<_> = Juries::<Test>::get(id)
		.expect("a jury")
		.members
		.iter()
		.map(|juror| juror.who.clone())
		.filter(|who| !claim.is_party(who))
		.collect();
	jurors.sort();
	jurors
}

fn round(id: ClaimId) -> u8 {
	claim(id).record.dispute.expect("a dispute").round
}

/// Plays one round: each juror in turn says what the function returns for it.
pub(crate) fn play_round(id: ClaimId, says: impl Fn(&AccountId) -> Says) {
	run_until(id, |_| Juries::<Test>::contains_key(id));
	let round = round(id);
	let voters: Vec<_> = jurors(id)
		.into_iter()
		.filter(|who| says(who) != Says::Nothing)
		.collect();
	let voters: Vec<_> = voters
		.into_iter()
		.filter(|who| {
			let jury = Juries::<Test>::get(id).expect("a jury");
			jury.members
				.iter()
				.any(|juror| juror.who == *who && juror.vote.is_none())
		})
		.collect();
	for who in &voters {
		let vote = jury_vote(id, round, says(who));
		let commitment = id.dispute().commitment(round, who, &vote, &[3; 32]);
		let commit = Message::JuryCommit {
			claim: id,
			round,
			commitment,
		};
		submit(who, &[commit]).expect("a commitment");
	}
	if voters.is_empty() {
		let before = claim(id).record.dispute;
		return run_until(id, |claim| {
			claim.record.dispute != before || claim.state != State::Disputed
		});
	}
	run_until(id, |_| Juries::<Test>::get(id).is_some_and(|jury| jury.revealing));
	for who in &voters {
		let reveal = Message::JuryReveal {
			claim: id,
			round,
			vote: jury_vote(id, round, says(who)),
			salt: [3; 32],
		};
		submit(who, &[reveal]).expect("a vote");
	}
	let before = round;
	run_until(id, |claim| {
		claim.state != State::Disputed
			|| claim
				.record
				.dispute
				.as_ref()
				.is_none_or(|dispute| dispute.round != before)
	});
}

/// Returns the decision of a claim's dispute, while the claim is open.
pub(crate) fn decision(id: ClaimId) -> Option<Decision> {
	claim(id).record.dispute.and_then(|dispute| dispute.decision)
}

// ── transactions ─────────────────────────────────────────────────────────────

/// Returns a signed batch as a transaction.
pub(crate) fn signed(who: &AccountId, messages: &[Message]) -> Extrinsic {
	let batch = batch(who, messages);
	let signature = pair(who).sign(&batch.message(&GENESIS));
	let call = RuntimeCall::Verification(Call::submit { batch, signature });
	Extrinsic::new_transaction(call, (frame_system::AuthorizeCall::new(),))
}

/// Returns what the pool says of a transaction.
pub(crate) fn validate(extrinsic: Extrinsic) -> TransactionValidity {
	let len = extrinsic.encoded_size();
	let checked = Checkable::check(extrinsic, &frame_system::ChainContext::<Test>::default())?;
	let info = checked.get_dispatch_info();
	checked.validate::<Test>(TransactionSource::External, &info, len)
}

/// Applies a transaction as a block does.
pub(crate) fn apply(extrinsic: Extrinsic) -> Result<DispatchResult, TransactionValidityError> {
	let len = extrinsic.encoded_size();
	let checked = Checkable::check(extrinsic, &frame_system::ChainContext::<Test>::default())?;
	let info: DispatchInfo = checked.get_dispatch_info();
	let result = checked.apply::<Test>(&info, len)?;
	Ok(result.map(drop).map_err(|error| error.error))
}

/// An approval that was made of nothing.
pub(crate) fn blind_approval(id: ClaimId, tranche: u8) -> Message {
	Message::Vote(VoteItem {
		claim: id,
		tranche,
		draw: claim(id).record.draw_id(id, tranche).expect("a draw"),
		vote: Vote::Approve(Approval([1; 32])),
	})
}

/// The tranche of a claim's first auditor.
pub(crate) const FIRST_AUDIT: u8 = AUDIT;
