//! Providers at work: what honest ones and liars say of a job.

use super::{authorized, keyring, Chain};
use assay_primitives::{
	vote::Salt, Commitment, FinishReason, Hash32, JobId, ModelId, Output, SamplingParams, TraceRoot, Vote,
};
use assay_runtime::{genesis_config_presets::demo_model, AccountId, Runtime, RuntimeEvent, System, UncheckedExtrinsic};
use pallet_jobs::{Batch, CommitItem, Job, Publication, RevealItem};
use sp_keyring::Sr25519Keyring;

/// The model that every chain of these tests serves.
pub fn model() -> ModelId {
	demo_model().expect("the demo model has a registration").id
}

/// Most tokens of every job in these tests.
pub const MAX_TOKENS: u32 = 16;
/// The prompt of every job in these tests.
pub const PROMPT: &str = "What is a receipt?";

/// What the model says.
pub fn truth() -> Output {
	output(&[3, 1, 4], "A receipt is the stored outcome of a job.")
}

/// What it doesn't say.
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

/// What an honest provider votes on the truth.
pub const CONFIRM: Vote = Vote::Confirm {
	trace_root: TraceRoot([1; 32]),
};
/// What a liar votes on anything.
pub const WRONG: Vote = Vote::Confirm {
	trace_root: TraceRoot([66; 32]),
};
/// What an honest provider votes on the lie.
pub const REJECT: Vote = Vote::Reject {
	position: 0,
	prefix_root: TraceRoot([2; 32]),
};

/// A request for the demo model.
pub fn request(committee_size: u32, max_fee: u128) -> pallet_jobs::Call<Runtime> {
	pallet_jobs::Call::request {
		model: model(),
		input: PROMPT.as_bytes().to_vec().try_into().expect("short"),
		params: SamplingParams::greedy(MAX_TOKENS),
		committee_size,
		max_fee,
	}
}

/// Asks, and returns the job of the event.
pub fn ask(chain: &mut Chain, who: Sr25519Keyring, committee_size: u32) -> JobId {
	let max_fee = chain.read(|| {
		let bytes = PROMPT.len() as u32;
		assay_runtime::Jobs::quote(model(), bytes, MAX_TOKENS, committee_size)
			.expect("can be asked")
			.max_fee
	});
	let transaction = chain.read(|| super::signed(who, request(committee_size, max_fee)));
	chain.good_block(vec![transaction]);
	let requested = chain.events().into_iter().find_map(|event| match event {
		RuntimeEvent::Jobs(pallet_jobs::Event::Requested { job, .. }) => Some(job),
		_ => None,
	});
	requested.expect("the request has an event")
}

/// An open job.
pub fn job(chain: &mut Chain, id: JobId) -> Job<AccountId, u32> {
	chain
		.read(|| pallet_jobs::Jobs::<Runtime>::get(id))
		.expect("the job is open")
}

/// The accounts of a job's committee, the executor first.
pub fn committee(chain: &mut Chain, id: JobId) -> Vec<AccountId> {
	job(chain, id).committee.into_iter().map(|seat| seat.provider).collect()
}

/// The hash that messages name their chain by.
pub fn chain_hash(chain: &mut Chain) -> Hash32 {
	chain.read(|| System::block_hash(0).0)
}

/// What blinds a provider's vote.
pub fn salt(voter: &AccountId) -> Salt {
	let mut salt: Salt = voter.clone().into();
	salt.reverse();
	salt
}

/// A provider's blinded vote on the present attempt of a job.
pub fn blinded(chain: &mut Chain, id: JobId, voter: &AccountId, vote: &Vote) -> Commitment {
	let attempt = job(chain, id).attempt;
	Commitment::new(&chain_hash(chain), &id, attempt, voter, vote, &salt(voter))
}

/// The executor's message, signed by `signer` for the chain with this hash.
pub fn publication_signed(
	publication: Publication<AccountId, u32>,
	chain_hash: &Hash32,
	signer: Sr25519Keyring,
) -> UncheckedExtrinsic {
	let signature = signer.pair_signature(&publication.message(chain_hash));
	authorized(pallet_jobs::Call::publish { publication, signature })
}

/// A provider's batch, signed by `signer` for the chain with this hash.
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

/// What the executor publishes.
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

/// A provider's batch with one blinded vote.
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

/// A provider's batch that opens one vote.
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

/// A provider's batch, signed by its own key for this chain.
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

/// Makes the block in which these providers open their votes.
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

/// Plays a whole attempt after the draw: the executor publishes and votes, the others commit, all open their votes.
pub fn play(chain: &mut Chain, id: JobId, output: Output, votes: &[(AccountId, Vote)]) {
	let (executor, verifiers) = votes.split_first().expect("a committee has an executor");
	publish(chain, id, output, &executor.1);
	if !verifiers.is_empty() {
		commit(chain, id, verifiers);
	}
	reveal(chain, id, votes);
}
