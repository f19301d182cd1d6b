//! Actions of requesters and executors in tests: request and publish, as calls and as whole transactions.

use super::{Jobs, *};
use assay_primitives::{
	crypto::InferenceSignature, FinishReason, JobId, Output, SamplingParams, Seal, Target, UncheckedInput,
};
use codec::Encode;
use frame_support::{
	dispatch::{DispatchInfo, DispatchResultWithPostInfo, GetDispatchInfo},
	BoundedVec,
};
use frame_system::RawOrigin;
use sp_runtime::{
	traits::{Applyable, Checkable},
	transaction_validity::{TransactionSource, TransactionValidity, TransactionValidityError},
	DispatchResult,
};

// ── calls ────────────────────────────────────────────────────────────────────

pub(crate) fn input() -> UncheckedInput {
	UncheckedInput::Text(b"What is a receipt?".to_vec())
}

/// Returns a conversation that asks the same.
pub(crate) fn chat() -> UncheckedInput {
	UncheckedInput::Chat(br#"{"messages":[{"role":"user","content":"What is a receipt?"}]}"#.to_vec())
}

pub(crate) fn try_request(target: impl Into<Target>, verifiers: u8) -> DispatchResultWithPostInfo {
	Jobs::request(
		RawOrigin::Signed(requester()).into(),
		target.into(),
		input(),
		SamplingParams::greedy(8).into(),
		verifiers,
		FUNDS,
	)
}

/// Requests a job of a model or a listing with this many verifiers and returns its name.
pub(crate) fn request_of(target: impl Into<Target>, verifiers: u8) -> JobId {
	try_request(target, verifiers).expect("a request");
	match events().last() {
		Some(Event::Requested { job, .. }) => *job,
		other => panic!("no request: {other:?}"),
	}
}

pub(crate) fn request(verifiers: u8) -> JobId {
	request_of(MODEL, verifiers)
}

/// Requests so many jobs with this many verifiers each.
pub(crate) fn request_many(jobs: u32, verifiers: u8) -> Vec<JobId> {
	(0..jobs).map(|_| request(verifiers)).collect()
}

pub(crate) fn job(id: JobId) -> JobOf<Test> {
	OpenJobs::get(id).expect("an open job")
}

pub(crate) fn receipt(id: JobId) -> ReceiptOf<Test> {
	Receipts::<Test>::get(id).expect("a receipt")
}

pub(crate) fn executor(id: JobId) -> AccountId {
	job(id).executor().expect("an executor").clone()
}

/// Returns a job whose executor is drawn.
pub(crate) fn drawn(verifiers: u8) -> JobId {
	let id = request(verifiers);
	next_block();
	next_block();
	assert_eq!(job(id).state, State::Executing);
	id
}

/// Returns a job whose answer is published.
pub(crate) fn published(verifiers: u8) -> JobId {
	let id = drawn(verifiers);
	publish(publication(id)).expect("a publication");
	id
}

/// Returns the providers but one.
pub(crate) fn others(who: &AccountId) -> Vec<AccountId> {
	Load::iter_keys().filter(|other| other != who).collect()
}

pub(crate) fn output() -> Output {
	Output {
		input_tokens: 12,
		tokens: BoundedVec::truncate_from(vec![5, 6, 7]),
		text: BoundedVec::truncate_from(b"A proof.".to_vec()),
		finish: FinishReason::Eos,
	}
}

/// Returns a signature that nothing checks: calls that are dispatched directly count as authorized.
pub(crate) fn no_signature() -> InferenceSignature {
	sp_core::sr25519::Signature::default().into()
}

/// Returns what the executor of a job's present attempt publishes.
pub(crate) fn publication(id: JobId) -> PublicationOf<Test> {
	Publication {
		executor: executor(id),
		claim: claim_of(id),
		job: id,
		output: output().into(),
		seal: Seal([3; 32]),
		at: System::block_number(),
	}
}

pub(crate) fn publish(publication: PublicationOf<Test>) -> DispatchResult {
	Jobs::publish(RawOrigin::Authorized.into(), publication, no_signature())
}

/// Lets every executor publish.
pub(crate) fn publish_all() {
	let executing = OpenJobs::iter().filter(|(_, job)| job.state == State::Executing);
	for id in executing.map(|(id, _)| id).collect::<Vec<_>>() {
		publish(publication(id)).expect("a publication");
	}
}

pub(crate) fn balance(who: &AccountId) -> Balance {
	Balances::balance(who)
}

// ── transactions ─────────────────────────────────────────────────────────────

/// Signs with the inference key that `who` was given at genesis.
pub(crate) fn signed_by(who: &AccountId, message: &[u8]) -> InferenceSignature {
	pair(who).sign(message)
}

pub(crate) fn signed(publication: PublicationOf<Test>) -> Call<Test> {
	let signature = signed_by(&publication.executor, &publication.message(&GENESIS));
	Call::publish { publication, signature }
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
