//! What people do in the mock: ask, publish, commit, reveal, and send it all the way a transaction takes.

use super::{Jobs, *};
use assay_primitives::{
	crypto::InferenceSignature, job::Input, Commitment, FinishReason, JobId, Output, SamplingParams, TraceRoot, Vote,
};
use codec::Encode;
use frame_support::{
	dispatch::{DispatchInfo, GetDispatchInfo},
	BoundedVec,
};
use frame_system::{offchain, RawOrigin};
use sp_core::Pair;
use sp_runtime::{
	traits::{Applyable, Checkable},
	transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError},
	DispatchResult,
};

// ── what people do ───────────────────────────────────────────────────────────

pub(crate) fn input() -> Input {
	BoundedVec::truncate_from(b"What is a receipt?".to_vec())
}

pub(crate) fn try_request(committee_size: u32) -> DispatchResult {
	Jobs::request(
		RawOrigin::Signed(asker()).into(),
		MODEL,
		input(),
		SamplingParams::greedy(8),
		committee_size,
		FUNDS,
	)
}

/// Asks for a committee of this size; the job's name.
pub(crate) fn request(committee_size: u32) -> JobId {
	try_request(committee_size).expect("a request");
	match events().last() {
		Some(Event::Requested { job, .. }) => *job,
		other => panic!("no request: {other:?}"),
	}
}

pub(crate) fn job(id: JobId) -> JobOf<Test> {
	Open::get(id).expect("an open job")
}

pub(crate) fn receipt(id: JobId) -> ReceiptOf<Test> {
	Receipts::<Test>::get(id).expect("a receipt")
}

/// A job whose committee is drawn.
pub(crate) fn drawn(committee_size: u32) -> JobId {
	let id = request(committee_size);
	next_block();
	next_block();
	assert_eq!(job(id).phase, Phase::Executing);
	id
}

/// The providers of a committee, the executor first.
pub(crate) fn committee(id: JobId) -> Vec<AccountId> {
	job(id).committee.iter().map(|seat| seat.provider.clone()).collect()
}

/// A provider outside the committee; there is one if more than its seats were made.
pub(crate) fn stranger(seats: &[AccountId]) -> AccountId {
	let mut providers = (1..).map(account).take(seats.len() + 1);
	providers
		.find(|who| !seats.contains(who))
		.expect("one more than the seats")
}

pub(crate) fn output() -> Output {
	Output {
		input_tokens: 12,
		tokens: BoundedVec::truncate_from(vec![5, 6, 7]),
		text: BoundedVec::truncate_from(b"A proof.".to_vec()),
		finish: FinishReason::Eos,
	}
}

pub(crate) const CONFIRM: Vote = Vote::Confirm {
	trace_root: TraceRoot([3; 32]),
};
pub(crate) const LIE: Vote = Vote::Confirm {
	trace_root: TraceRoot([4; 32]),
};
pub(crate) const REJECT: Vote = Vote::Reject {
	position: 1,
	prefix_root: TraceRoot([5; 32]),
};
pub(crate) const SALT: [u8; 32] = [8; 32];

pub(crate) fn commitment(id: JobId, attempt: u8, who: &AccountId, vote: Vote) -> Commitment {
	Commitment::new(&Jobs::genesis(), &id, attempt, who, &vote, &SALT)
}

/// A signature that nobody looks at: calls that are dispatched directly were authorised before.
pub(crate) fn no_signature() -> InferenceSignature {
	sp_core::sr25519::Signature::default().into()
}

pub(crate) fn publication(id: JobId, attempt: u8, who: &AccountId, vote: Vote) -> PublicationOf<Test> {
	Publication {
		voter: who.clone(),
		job: id,
		attempt,
		output: output(),
		commitment: commitment(id, attempt, who, vote),
		at: System::block_number(),
	}
}

pub(crate) fn commits(who: &AccountId, items: Vec<(JobId, u8, Vote)>) -> BatchOf<Test> {
	let items = items
		.into_iter()
		.map(|(job, attempt, vote)| CommitItem {
			job,
			attempt,
			commitment: commitment(job, attempt, who, vote),
		})
		.collect();
	Batch {
		voter: who.clone(),
		at: System::block_number(),
		commitments: BoundedVec::truncate_from(items),
		reveals: Default::default(),
	}
}

pub(crate) fn reveals(who: &AccountId, items: Vec<(JobId, u8, Vote)>) -> BatchOf<Test> {
	let items = items
		.into_iter()
		.map(|(job, attempt, vote)| RevealItem {
			job,
			attempt,
			vote,
			salt: SALT,
		})
		.collect();
	Batch {
		voter: who.clone(),
		at: System::block_number(),
		commitments: Default::default(),
		reveals: BoundedVec::truncate_from(items),
	}
}

pub(crate) fn publish(publication: PublicationOf<Test>) -> DispatchResult {
	Jobs::publish(RawOrigin::Authorized.into(), publication, no_signature())
}

pub(crate) fn vote(batch: BatchOf<Test>) -> DispatchResult {
	Jobs::vote(RawOrigin::Authorized.into(), batch, no_signature())
		.map(|_| ())
		.map_err(|error| error.error)
}

/// Commits a vote on the job's attempt of now.
pub(crate) fn commit(id: JobId, who: &AccountId, word: Vote) -> DispatchResult {
	vote(commits(who, vec![(id, job(id).attempt, word)]))
}

/// Opens a vote on the job's attempt of now.
pub(crate) fn reveal(id: JobId, who: &AccountId, word: Vote) -> DispatchResult {
	vote(reveals(who, vec![(id, job(id).attempt, word)]))
}

/// The executor publishes and the committee commits these votes, seat by seat; `None` stays silent.
pub(crate) fn publish_and_commit(id: JobId, votes: &[Option<Vote>]) -> Vec<AccountId> {
	let seats = committee(id);
	let attempt = job(id).attempt;
	for (index, who) in seats.iter().enumerate() {
		match votes[index] {
			Some(word) if index == 0 => publish(publication(id, attempt, who, word)).expect("a publication"),
			Some(word) => commit(id, who, word).expect("a commitment"),
			None => (),
		}
	}
	seats
}

/// The whole attempt with these votes, all committed and all revealed.
pub(crate) fn play(id: JobId, votes: &[Vote]) -> Vec<AccountId> {
	let words: Vec<_> = votes.iter().copied().map(Some).collect();
	let seats = publish_and_commit(id, &words);
	for (who, word) in seats.iter().zip(votes) {
		reveal(id, who, *word).expect("a reveal");
	}
	seats
}

pub(crate) fn balance(who: &AccountId) -> Balance {
	Balances::balance(who)
}

// ── the way a transaction really takes ───────────────────────────────────────

/// Signs with the inference key that `who` was given at genesis.
pub(crate) fn signed_by(who: &AccountId, message: &[u8]) -> InferenceSignature {
	pair(who).sign(message)
}

pub(crate) fn signed_publication(publication: PublicationOf<Test>) -> Call<Test> {
	let signature = signed_by(&publication.voter, &publication.message(&Jobs::genesis()));
	Call::publish { publication, signature }
}

pub(crate) fn signed_batch(batch: BatchOf<Test>) -> Call<Test> {
	let signature = signed_by(&batch.voter, &batch.message(&Jobs::genesis()));
	Call::vote { batch, signature }
}

fn checked(
	transaction: Extrinsic,
) -> (
	<Extrinsic as Checkable<frame_system::ChainContext<Test>>>::Checked,
	DispatchInfo,
	usize,
) {
	let (info, len) = (transaction.get_dispatch_info(), transaction.encoded_size());
	(
		transaction
			.check(&frame_system::ChainContext::<Test>::default())
			.expect("a general transaction"),
		info,
		len,
	)
}

/// What the pool would say.
pub(crate) fn validate(transaction: Extrinsic) -> TransactionValidity {
	let (checked, info, len) = checked(transaction);
	checked.validate::<Test>(TransactionSource::External, &info, len)
}

/// Takes a transaction into the block.
pub(crate) fn apply(transaction: Extrinsic) -> Result<DispatchResult, TransactionValidityError> {
	let (checked, info, len) = checked(transaction);
	checked
		.apply::<Test>(&info, len)
		.map(|result| result.map(|_| ()).map_err(|error| error.error))
}

pub(crate) fn transaction(call: Call<Test>) -> Extrinsic {
	<Test as offchain::CreateAuthorizedTransaction<Call<Test>>>::create_authorized_transaction(call.into())
}
