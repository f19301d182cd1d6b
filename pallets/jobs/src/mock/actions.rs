//! Actions of requesters and providers in tests: request, publish, commit, reveal, as calls and as whole transactions.

use super::{Jobs, *};
use assay_primitives::{
	crypto::InferenceSignature, job::Input, vote::Salt, Commitment, FinishReason, JobId, Output, SamplingParams,
	TraceRoot, Vote,
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

// ── calls ────────────────────────────────────────────────────────────────────

pub(crate) fn input() -> Input {
	BoundedVec::truncate_from(b"What is a receipt?".to_vec())
}

pub(crate) fn try_request(committee_size: u32) -> DispatchResult {
	Jobs::request(
		RawOrigin::Signed(requester()).into(),
		MODEL,
		input(),
		SamplingParams::greedy(8),
		committee_size,
		FUNDS,
	)
}

/// Requests a job with a committee of this size and returns its name.
pub(crate) fn request(committee_size: u32) -> JobId {
	try_request(committee_size).expect("a request");
	match events().last() {
		Some(Event::Requested { job, .. }) => *job,
		other => panic!("no request: {other:?}"),
	}
}

pub(crate) fn job(id: JobId) -> JobOf<Test> {
	OpenJobs::get(id).expect("an open job")
}

pub(crate) fn receipt(id: JobId) -> ReceiptOf<Test> {
	Receipts::<Test>::get(id).expect("a receipt")
}

/// Returns a job whose committee is drawn.
pub(crate) fn drawn(committee_size: u32) -> JobId {
	let id = request(committee_size);
	next_block();
	next_block();
	assert_eq!(job(id).phase, Phase::Executing);
	id
}

/// Returns the providers of a committee, the executor first.
pub(crate) fn committee(id: JobId) -> Vec<AccountId> {
	job(id).committee.iter().map(|seat| seat.provider.clone()).collect()
}

/// Returns a provider outside the committee; there is one if the chain has more providers than the committee has seats.
pub(crate) fn outsider(seats: &[AccountId]) -> AccountId {
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
pub(crate) const SALT: Salt = [8; 32];

pub(crate) fn commitment(id: JobId, attempt: u8, who: &AccountId, vote: Vote) -> Commitment {
	Commitment::new(&GENESIS, &id, attempt, who, &vote, &SALT)
}

/// Returns a signature that nothing checks: calls that are dispatched directly count as authorized.
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

pub(crate) fn send_batch(batch: BatchOf<Test>) -> DispatchResult {
	Jobs::vote(RawOrigin::Authorized.into(), batch, no_signature())
		.map(|_| ())
		.map_err(|error| error.error)
}

/// Commits a vote on the present attempt of a job.
pub(crate) fn commit(id: JobId, who: &AccountId, vote: Vote) -> DispatchResult {
	send_batch(commits(who, vec![(id, job(id).attempt, vote)]))
}

/// Reveals a vote on the present attempt of a job.
pub(crate) fn reveal(id: JobId, who: &AccountId, vote: Vote) -> DispatchResult {
	send_batch(reveals(who, vec![(id, job(id).attempt, vote)]))
}

/// Publishes as the executor and commits these votes, seat by seat; a seat with `None` sends nothing.
pub(crate) fn publish_and_commit(id: JobId, votes: &[Option<Vote>]) -> Vec<AccountId> {
	let seats = committee(id);
	let attempt = job(id).attempt;
	for (index, who) in seats.iter().enumerate() {
		match votes[index] {
			Some(vote) if index == 0 => publish(publication(id, attempt, who, vote)).expect("a publication"),
			Some(vote) => commit(id, who, vote).expect("a commitment"),
			None => (),
		}
	}
	seats
}

/// Runs a whole attempt with these votes, all committed and all revealed.
pub(crate) fn run_attempt(id: JobId, votes: &[Vote]) -> Vec<AccountId> {
	let committed: Vec<_> = votes.iter().copied().map(Some).collect();
	let seats = publish_and_commit(id, &committed);
	for (who, vote) in seats.iter().zip(votes) {
		reveal(id, who, *vote).expect("a reveal");
	}
	seats
}

pub(crate) fn balance(who: &AccountId) -> Balance {
	Balances::balance(who)
}

// ── transactions ─────────────────────────────────────────────────────────────

/// Signs with the inference key that `who` was given at genesis.
pub(crate) fn signed_by(who: &AccountId, message: &[u8]) -> InferenceSignature {
	pair(who).sign(message)
}

pub(crate) fn signed_publication(publication: PublicationOf<Test>) -> Call<Test> {
	let signature = signed_by(&publication.voter, &publication.message(&GENESIS));
	Call::publish { publication, signature }
}

pub(crate) fn signed_batch(batch: BatchOf<Test>) -> Call<Test> {
	let signature = signed_by(&batch.voter, &batch.message(&GENESIS));
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

/// Validates a transaction as the pool does.
pub(crate) fn validate(transaction: Extrinsic) -> TransactionValidity {
	let (checked, info, len) = checked(transaction);
	checked.validate::<Test>(TransactionSource::External, &info, len)
}

/// Applies a transaction as a block does.
pub(crate) fn apply(transaction: Extrinsic) -> Result<DispatchResult, TransactionValidityError> {
	let (checked, info, len) = checked(transaction);
	checked
		.apply::<Test>(&info, len)
		.map(|result| result.map(|_| ()).map_err(|error| error.error))
}

pub(crate) fn transaction(call: Call<Test>) -> Extrinsic {
	<Test as offchain::CreateAuthorizedTransaction<Call<Test>>>::create_authorized_transaction(call.into())
}
