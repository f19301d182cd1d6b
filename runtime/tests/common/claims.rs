//! The messages of honest and lying providers, from a request to a settlement.

use super::{authorized, keyring, Chain};
use assay_primitives::{
	crypto::InferenceSignature,
	limits::MAX_BATCH,
	manifest,
	state::State,
	vote::{Defect, JuryVote, Salt, Vote},
	ClaimId, FinishReason, Hash32, JobId, ModelId, Output, Receipt, SamplingParams, TraceRoot, UncheckedInput,
};
use assay_runtime::{
	genesis_config_presets::demo_model, AccountId, Jobs, Runtime, RuntimeCall, RuntimeEvent, System, UncheckedExtrinsic,
};
use pallet_jobs::Publication;
use pallet_verification::{Batch, Claim, Juries, Message, VoteItem};
use sp_keyring::Sr25519Keyring;

/// Returns the model that every chain of these tests serves.
pub fn model() -> ModelId {
	manifest::model_id(&demo_model().expect("the demo model has a registration").manifest)
}

/// Most tokens of every job in these tests.
pub const MAX_TOKENS: u32 = 16;
/// The prompt of every job in these tests.
pub const PROMPT: &str = "What is a receipt?";
/// The root over the rows of the model's answer.
pub const TRUTH: TraceRoot = TraceRoot([1; 32]);
/// A root of nothing.
pub const LIE: TraceRoot = TraceRoot([66; 32]);
/// What blinds every juror's vote in these tests.
pub const SALT: Salt = [5; 32];

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

/// Returns a request for the demo model.
pub fn request(verifiers: u8, max_fee: u128) -> pallet_jobs::Call<Runtime> {
	pallet_jobs::Call::request {
		target: model().into(),
		input: UncheckedInput::Text(PROMPT.as_bytes().to_vec()),
		params: SamplingParams::greedy(MAX_TOKENS).into(),
		verifiers,
		max_fee,
	}
}

/// Returns the quote of that request.
pub fn fee_ceiling(chain: &mut Chain, verifiers: u8) -> u128 {
	chain.read(|| {
		let quote = Jobs::quote(model().into(), PROMPT.len() as u32, MAX_TOKENS, verifiers);
		quote.expect("a quote").fee_ceiling
	})
}

/// Requests a job for the fee ceiling of its quote and returns its name.
pub fn request_job(chain: &mut Chain, who: Sr25519Keyring, verifiers: u8) -> JobId {
	let max_fee = fee_ceiling(chain, verifiers);
	let transaction = chain.read(|| super::signed(who, request(verifiers, max_fee)));
	chain.good_block(vec![transaction]);
	let requested = chain.events().into_iter().find_map(|event| match event {
		RuntimeEvent::Jobs(pallet_jobs::Event::Requested { job, .. }) => Some(job),
		_ => None,
	});
	requested.expect("the request has an event")
}

/// Returns the executor that was drawn for a job, and the claim that it is to publish.
pub fn executor(chain: &mut Chain, id: JobId) -> (AccountId, ClaimId) {
	let job = chain
		.read(|| pallet_jobs::Jobs::<Runtime>::get(id))
		.expect("the job is open");
	let engagement = job.engagement.expect("an executor was drawn");
	(engagement.executor, engagement.claim)
}

/// Returns an open claim.
pub fn claim(chain: &mut Chain, id: ClaimId) -> Claim<AccountId, u32> {
	open_claim(chain, id).expect("the claim is open")
}

/// Returns a claim, if it is open.
pub fn open_claim(chain: &mut Chain, id: ClaimId) -> Option<Claim<AccountId, u32>> {
	chain.read(|| pallet_verification::Claims::<Runtime>::get(id))
}

/// Returns the receipt of a job that has a verdict.
pub fn receipt(chain: &mut Chain, id: JobId) -> Receipt<AccountId, u32> {
	chain.read(|| Jobs::receipt(id)).expect("the job has a receipt")
}

/// Returns the hash by which messages name their chain.
pub fn chain_hash(chain: &mut Chain) -> Hash32 {
	chain.read(|| System::block_hash(0).0)
}

fn sign(signer: Sr25519Keyring, message: &[u8]) -> InferenceSignature {
	signer.sign(message).into()
}

/// Returns the executor's message.
pub fn publication(chain: &mut Chain, id: JobId, output: Output, root: TraceRoot) -> Publication<AccountId, u32> {
	let (executor, claim) = executor(chain, id);
	Publication {
		seal: claim.seal(&executor, &claim.bind(&root)),
		executor,
		claim,
		job: id,
		output: output.into(),
		at: chain.number(),
	}
}

/// Returns a publication, signed by `signer` for the chain with this hash.
pub fn publication_signed(
	publication: Publication<AccountId, u32>,
	chain_hash: &Hash32,
	signer: Sr25519Keyring,
) -> UncheckedExtrinsic {
	let signature = sign(signer, &publication.message(chain_hash));
	authorized(RuntimeCall::Jobs(pallet_jobs::Call::publish { publication, signature }))
}

/// Makes the block in which the executor publishes, and returns the claim.
pub fn publish(chain: &mut Chain, id: JobId, output: Output, root: TraceRoot) -> ClaimId {
	let publication = publication(chain, id, output, root);
	let (genesis, signer, claim) = (chain_hash(chain), keyring(&publication.executor), publication.claim);
	chain.good_block(vec![publication_signed(publication, &genesis, signer)]);
	claim
}

/// Returns a provider's batch, signed by `signer` for the chain with this hash.
pub fn batch_signed(batch: Batch<AccountId, u32>, chain_hash: &Hash32, signer: Sr25519Keyring) -> UncheckedExtrinsic {
	let signature = sign(signer, &batch.message(chain_hash));
	authorized(RuntimeCall::Verification(pallet_verification::Call::submit {
		batch,
		signature,
	}))
}

/// Returns a provider's messages as a transaction.
pub fn sent(chain: &mut Chain, voter: &AccountId, messages: &[Message]) -> UncheckedExtrinsic {
	assert!(messages.len() <= MAX_BATCH as usize);
	let batch = Batch {
		voter: voter.clone(),
		at: chain.number(),
		messages: messages.to_vec(),
	};
	let genesis = chain_hash(chain);
	batch_signed(batch, &genesis, keyring(voter))
}

/// Returns the vote of a provider's waiting seat: an approval by this root, or a rejection.
pub fn vote(chain: &mut Chain, id: ClaimId, voter: &AccountId, root: Option<TraceRoot>) -> Message {
	let record = claim(chain, id).record;
	let waits = |seat: &&assay_primitives::receipt::SeatRecord<AccountId>| {
		seat.provider == *voter && seat.vote.is_none() && seat.fault.is_none()
	};
	let tranche = record.seats.iter().find(waits).expect("a waiting seat").tranche;
	let draw = record.draw_id(id, tranche).expect("a draw");
	let vote = match root {
		Some(root) => Vote::Approve(draw.approval(voter, &id.bind(&root))),
		None => Vote::Reject {
			defect: Defect::Output(0),
			root: id.bind(&TRUTH),
		},
	};
	Message::Vote(VoteItem {
		claim: id,
		tranche,
		draw,
		vote,
	})
}

/// Returns the providers whose seats wait for a vote, once each.
pub fn waiting(chain: &mut Chain, id: ClaimId) -> Vec<AccountId> {
	let seats = claim(chain, id).record.seats;
	let mut waiting: Vec<_> = seats
		.into_iter()
		.filter(|seat| seat.vote.is_none() && seat.fault.is_none())
		.map(|seat| seat.provider)
		.collect();
	waiting.sort();
	waiting.dedup();
	waiting
}

/// Makes empty blocks until something holds of a claim, or it is closed.
pub fn run_until(chain: &mut Chain, id: ClaimId, holds: impl Fn(&Claim<AccountId, u32>) -> bool) {
	for _ in 0..2_000 {
		if open_claim(chain, id).is_none_or(|claim| holds(&claim)) {
			return;
		}
		chain.idle(1);
	}
	panic!("it never holds: {:?}", claim(chain, id));
}

/// Makes the block in which every waiting seat votes: with an approval by what the function returns, or a rejection.
/// The first rejection opens a dispute, in which the other seats are jurors.
pub fn vote_all(chain: &mut Chain, id: ClaimId, root: impl Fn(&AccountId) -> Option<TraceRoot>) {
	let mut transactions = Vec::new();
	for voter in waiting(chain, id) {
		let root = root(&voter);
		let message = vote(chain, id, &voter, root);
		transactions.push(sent(chain, &voter, &[message]));
		if root.is_none() {
			break;
		}
	}
	chain.good_block(transactions);
}

/// A job that is published with this root; its seats are drawn.
pub fn drawn(chain: &mut Chain, verifiers: u8, output: Output, root: TraceRoot) -> (JobId, ClaimId) {
	let job = request_job(chain, Sr25519Keyring::Ferdie, verifiers);
	chain.idle(1);
	let claim = publish(chain, job, output, root);
	run_until(chain, claim, |claim| claim.state == State::Voting);
	(job, claim)
}

/// Returns the opening of a claim as a transaction.
pub fn opening(id: ClaimId, root: TraceRoot) -> UncheckedExtrinsic {
	let root = id.bind(&root);
	authorized(RuntimeCall::Verification(pallet_verification::Call::open {
		claim: id,
		root,
	}))
}

/// Brings a claim with a verdict to its settlement: the auditor, if one is drawn, approves, and the claim is opened.
pub fn settle(chain: &mut Chain, id: ClaimId, root: TraceRoot) {
	run_until(chain, id, |claim| {
		claim.state == State::Auditing || claim.record.audit == assay_primitives::receipt::Audit::Spared
	});
	if claim(chain, id).state == State::Auditing {
		vote_all(chain, id, |_| Some(root));
	}
	if claim(chain, id).record.root.is_none() {
		chain.good_block(vec![opening(id, root)]);
	}
	run_until(chain, id, |_| false);
}

/// Plays one round of a dispute: every juror says what the function returns; none: it is absent.
pub fn jury(chain: &mut Chain, id: ClaimId, approves: impl Fn(&AccountId) -> Option<bool>) {
	run_until(chain, id, |claim| {
		claim.record.dispute.as_ref().is_some_and(|dispute| dispute.round > 0)
	});
	let open = claim(chain, id);
	let round = open.record.dispute.as_ref().expect("a dispute").round;
	let dispute = id.dispute();
	let is_party = |who: &AccountId| {
		let seats = open
			.record
			.seats
			.iter()
			.any(|seat| seat.provider == *who && seat.vote.is_some());
		open.record.executor == *who
			|| seats || open.record.dispute.as_ref().and_then(|d| d.objector.as_ref()) == Some(who)
	};
	let jurors: Vec<_> = chain
		.read(|| Juries::<Runtime>::get(id))
		.expect("a jury")
		.members
		.into_iter()
		.filter(|juror| juror.vote.is_none() && !is_party(&juror.who))
		.filter_map(|juror| {
			let root = dispute.bind(round, &TRUTH);
			let vote = if approves(&juror.who)? {
				JuryVote::Approve { root }
			} else {
				JuryVote::Reject {
					defect: Defect::Output(0),
					root,
				}
			};
			Some((juror.who, vote))
		})
		.collect();
	let commits = jurors
		.iter()
		.map(|(who, vote)| {
			let commitment = dispute.commitment(round, who, vote, &SALT);
			sent(
				chain,
				who,
				&[Message::JuryCommit {
					claim: id,
					round,
					commitment,
				}],
			)
		})
		.collect();
	chain.good_block(commits);
	for _ in 0..200 {
		let jury = chain.read(|| Juries::<Runtime>::get(id));
		if jury.is_none_or(|jury| jury.revealing || jurors.is_empty()) {
			break;
		}
		chain.idle(1);
	}
	let reveals = jurors
		.iter()
		.map(|(who, vote)| {
			let message = Message::JuryReveal {
				claim: id,
				round,
				vote: *vote,
				salt: SALT,
			};
			sent(chain, who, &[message])
		})
		.collect();
	chain.good_block(reveals);
	run_until(chain, id, |claim| {
		claim.state != State::Disputed
			|| claim
				.record
				.dispute
				.as_ref()
				.is_some_and(|dispute| dispute.round != round)
	});
}
