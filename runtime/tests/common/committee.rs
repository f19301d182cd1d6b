//! The messages of honest and lying providers.

use super::{authorized, keyring, Chain};
use assay_primitives::{
	vote::Salt, Commitment, FinishReason, Hash32, JobId, ModelId, Output, SamplingParams, TraceRoot, Vote,
};
use assay_runtime::{genesis_config_presets::demo_model, AccountId, Runtime, RuntimeEvent, System, UncheckedExtrinsic};
use pallet_jobs::{Batch, CommitItem, Job, Publication, RevealItem};
use sp_keyring::Sr25519Keyring;

/// Returns the model that every chain of these tests serves.
pub fn model() -> ModelId {
	demo_model().expect("the demo model has a registration").id
}

/// Most tokens of every job in these tests.
pub const MAX_TOKENS: u32 = 16;
/// The prompt of every job in these tests.
pub const PROMPT: &str = "What is a receipt?";

/// Returns the model's answer.
pub fn truth() -> Output {
	output(&[3, 1, 4], "A receipt is the stored outcome of a job.")
}

/// Returns an answer that the model does not give.
pub fn lie() -> Output {
	output(&[2, 7, 1, 8], "A receipt is a kind of fish.")
}

fn output(tokens: &[u32], text: &str) -> Output {
	Output {
		input_tokens: 9,
		tokens: tokens.to_vec().try_into().expect("short"),
		text: text.as_bytes().to_vec().try_into().expect("short"),
		finish: FinishReason::Eos,
	}
}

/// The vote of an honest provider on the truth.
pub const CONFIRM: Vote = Vote::Confirm {
	trace_root: TraceRoot([1; 32]),
};
/// The vote of a lying provider.
pub const LIE: Vote = Vote::Confirm {
	trace_root: TraceRoot([66; 32]),
};
/// The vote of an honest provider on the lie.
pub const REJECT: Vote = Vote::Reject {
	position: 0,
	prefix_root: TraceRoot([2; 32]),
};

/// Returns a request for the demo model.
pub fn request(committee_size: u32, max_fee: u128) -> pallet_jobs::Call<Runtime> {
	pallet_jobs::Call::request {
		model: model(),
		input: PROMPT.as_bytes().to_vec().try_into().expect("short"),
		params: SamplingParams::greedy(MAX_TOKENS),
		committee_size,
		max_fee,
	}
}

/// Requests a job for the fee ceiling of its quote and returns its name.
pub fn request_job(chain: &mut Chain, who: Sr25519Keyring, committee_size: u32) -> JobId {
	let max_fee = chain.read(|| {
		let bytes = PROMPT.len() as u32;
		assay_runtime::Jobs::quote(model(), bytes, MAX_TOKENS, committee_size)
			.expect("a quote")
			.fee_ceiling
	});
	let transaction = chain.read(|| super::signed(who, request(committee_size, max_fee)));
	chain.good_block(vec![transaction]);
	let requested = chain.events().into_iter().find_map(|event| match event {
		RuntimeEvent::Jobs(pallet_jobs::Event::Requested { job, .. }) => Some(job),
		_ => None,
	});
	requested.expect("the request has an event")
}

/// Returns an open job.
pub fn job(chain: &mut Chain, id: JobId) -> Job<AccountId, u32> {
	chain
		.read(|| pallet_jobs::Jobs::<Runtime>::get(id))
		.expect("the job is open")
}

/// Returns the accounts of a job's committee, the executor first.
pub fn committee(chain: &mut Chain, id: JobId) -> Vec<AccountId> {
	job(chain, id).committee.into_iter().map(|seat| seat.provider).collect()
}

/// Returns the hash by which messages name their chain.
pub fn chain_hash(chain: &mut Chain) -> Hash32 {
	chain.read(|| System::block_hash(0).0)
}

/// Returns the salt of a provider's vote.
pub fn salt(voter: &AccountId) -> Salt {
	let mut salt: Salt = voter.clone().into();
	salt.reverse();
	salt
}

/// Returns a provider's blinded vote on the present attempt of a job.
pub fn blinded(chain: &mut Chain, id: JobId, voter: &AccountId, vote: &Vote) -> Commitment {
	let attempt = job(chain, id).attempt;
	Commitment::new(&chain_hash(chain), &id, attempt, voter, vote, &salt(voter))
}

/// Returns the executor's message, signed by `signer` for the chain with this hash.
pub fn publication_signed(
	publication: Publication<AccountId, u32>,
	chain_hash: &Hash32,
	signer: Sr25519Keyring,
) -> UncheckedExtrinsic {
	let signature = signer.pair_signature(&publication.message(chain_hash));
	authorized(pallet_jobs::Call::publish { publication, signature })
}

/// Returns a provider's batch, signed by `signer` for the chain with this hash.
pub fn batch_signed(batch: Batch<AccountId, u32>, chain_hash: &Hash32, signer: Sr25519Keyring) -> UncheckedExtrinsic {
	let signature = signer.pair_signature(&batch.message(chain_hash));
	authorized(pallet_jobs::Call::vote { batch, signature })
}

trait PairSignature {
	fn pair_signature(self, message: &[u8]) -> assay_primitives::crypto::InferenceSignature;
}

impl PairSignature for Sr25519Keyring {
	fn pair_signature(self, message: &[u8]) -> assay_primitives::crypto::InferenceSignature {
		self.sign(message).into()
	}
}

/// Returns the executor's message.
pub fn publication(chain: &mut Chain, id: JobId, output: Output, vote: &Vote) -> Publication<AccountId, u32> {
	let job = job(chain, id);
	let voter = job.executor().expect("drawn").clone();
	let commitment = blinded(chain, id, &voter, vote);
	Publication {
		voter,
		job: id,
		attempt: job.attempt,
		output,
		commitment,
		at: chain.number(),
	}
}

/// Makes the block in which the executor publishes.
pub fn publish(chain: &mut Chain, id: JobId, output: Output, vote: &Vote) {
	let publication = publication(chain, id, output, vote);
	let (genesis, signer) = (chain_hash(chain), keyring(&publication.voter));
	chain.good_block(vec![publication_signed(publication, &genesis, signer)]);
}

/// Returns a provider's batch with one blinded vote.
pub fn commit_batch(chain: &mut Chain, id: JobId, voter: &AccountId, vote: &Vote) -> Batch<AccountId, u32> {
	let item = CommitItem {
		job: id,
		attempt: job(chain, id).attempt,
		commitment: blinded(chain, id, voter, vote),
	};
	let commitments = vec![item].try_into().expect("one fits");
	Batch {
		voter: voter.clone(),
		at: chain.number(),
		commitments,
		reveals: Default::default(),
	}
}

/// Returns a provider's batch that reveals one vote.
pub fn reveal_batch(chain: &mut Chain, id: JobId, voter: &AccountId, vote: &Vote) -> Batch<AccountId, u32> {
	let item = RevealItem {
		job: id,
		attempt: job(chain, id).attempt,
		vote: *vote,
		salt: salt(voter),
	};
	let reveals = vec![item].try_into().expect("one fits");
	Batch {
		voter: voter.clone(),
		at: chain.number(),
		commitments: Default::default(),
		reveals,
	}
}

/// Returns a provider's batch, signed by its own key for this chain.
pub fn sent(chain: &mut Chain, batch: Batch<AccountId, u32>) -> UncheckedExtrinsic {
	let (genesis, signer) = (chain_hash(chain), keyring(&batch.voter));
	batch_signed(batch, &genesis, signer)
}

/// Makes the block in which these providers commit.
pub fn commit(chain: &mut Chain, id: JobId, votes: &[(AccountId, Vote)]) {
	let messages = votes
		.iter()
		.map(|(voter, vote)| {
			let batch = commit_batch(chain, id, voter, vote);
			sent(chain, batch)
		})
		.collect();
	chain.good_block(messages);
}

/// Makes the block in which these providers reveal their votes.
pub fn reveal(chain: &mut Chain, id: JobId, votes: &[(AccountId, Vote)]) {
	let messages = votes
		.iter()
		.map(|(voter, vote)| {
			let batch = reveal_batch(chain, id, voter, vote);
			sent(chain, batch)
		})
		.collect();
	chain.good_block(messages);
}

/// Runs a whole attempt after the draw: the executor publishes and votes, the others commit, all reveal their votes.
pub fn run_attempt(chain: &mut Chain, id: JobId, output: Output, votes: &[(AccountId, Vote)]) {
	let (executor, verifiers) = votes.split_first().expect("a committee has an executor");
	publish(chain, id, output, &executor.1);
	if !verifiers.is_empty() {
		commit(chain, id, verifiers);
	}
	reveal(chain, id, votes);
}
