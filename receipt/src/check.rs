//! The check: recomputes every hash and count, and compares the verdict with the votes.

use crate::{ChainReceipt, ReceiptFile, FORMAT};
use alloc::vec::Vec;
use assay_primitives::{
	digest::{input_hash, output_hash, Subject},
	economics::Fault,
	limits::MAX_ATTEMPTS,
	quorum::{is_committee_size, supermajority_threshold, tally},
	receipt::{AnswerRecord, RefundReason, SeatRecord},
	JobId, Output, Verdict, Vote,
};
use core::fmt;

/// What a consistent receipt states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
	/// How the job ended.
	pub verdict: Verdict,
	/// Seats of the last committee whose vote won.
	pub agreeing: u32,
	/// Seats of the last committee.
	pub committee: u32,
	/// Equal votes that this committee needed.
	pub needed: u32,
	/// Whether the job's id was derived from chain, requester, model and prompt rather than taken as given.
	pub job_derived: bool,
	/// Whether fewer prompt tokens were paid for than the model read.
	pub input_capped: bool,
}

/// What a receipt file cannot prove by itself.
pub const ONLY_A_CHAIN_KNOWS: &str =
	"that a chain stored this receipt, who sat in the committee, how dissenters voted, which blocks it names, what was paid";

impl fmt::Display for Checked {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let Self {
			verdict,
			agreeing,
			committee,
			..
		} = self;
		match verdict {
			Verdict::Confirmed if agreeing == committee => {
				write!(
					f,
					"All {committee} providers of the committee computed this answer and agree on every bit of it."
				)
			}
			Verdict::Confirmed => {
				write!(
					f,
					"{agreeing} of {committee} providers computed this answer and agree on every bit of it."
				)
			}
			Verdict::Unchecked => f.write_str("One provider computed this answer. Nobody checked it."),
			Verdict::Refunded(reason) => {
				let why = match reason {
					RefundReason::NoCommittee => "too few providers were free",
					RefundReason::NoOutput => "no executor published an answer in time",
					RefundReason::Rejected => "the committee rejected what its executor published",
					RefundReason::NoSupermajority => "no vote had a supermajority",
				};
				write!(f, "There is no answer: {why}. The requester was refunded.")
			}
		}
	}
}

/// An inconsistency in a receipt file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
	/// The format is not [`FORMAT`].
	Format(u32),
	/// The prompt or the answer is not UTF-8.
	Text,
	/// `input_hash` is not the hash of the prompt.
	InputHash,
	/// `job` cannot be derived from genesis, requester, job counter, model and prompt.
	Job,
	/// `params` are out of range, or the answer is longer than they allow.
	Params,
	/// A confirmed or unchecked receipt without an answer, or a refunded one with an answer.
	Answer,
	/// `answer.output_hash` is not the hash of the answer.
	OutputHash,
	/// `answer.digest` is not the digest of job, model, prompt, params, seed, answer and trace root.
	Digest,
	/// `answer.input_tokens` is more than the prompt has.
	InputTokens,
	/// `answer.output_tokens` is not the number of generated tokens.
	OutputTokens,
	/// `answer.finish` is not the finish reason of the answer.
	Finish,
	/// The number of seats is not a committee size.
	CommitteeSize(u32),
	/// A provider has two seats; the index of the second.
	Seat(u32),
	/// Too few votes for the answer's trace root.
	Votes {
		/// How many agree.
		agreeing: u32,
		/// How many would have to.
		needed: u32,
	},
	/// The votes lead to another verdict.
	Verdict,
	/// This seat's fault does not follow from its vote.
	Fault(u32),
	/// A refunded job has a fee.
	Fee,
	/// `attempts` is not from 1 to the limit, or there is a committee without an attempt.
	Attempts,
	/// `requested_at`, `seed_block` and `concluded_at` are not in this order.
	Blocks,
}

impl fmt::Display for Mismatch {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Format(n) => write!(f, "format: {n} is not {FORMAT}, the only one this program knows"),
			Self::Text => f.write_str("input or output: the text is not UTF-8"),
			Self::InputHash => f.write_str("input_hash: it is not the hash of the prompt"),
			Self::Job => {
				f.write_str("job: the id does not follow from chain, requester, job counter, model and prompt")
			}
			Self::Params => f.write_str("params: out of range, or the answer is longer than they allow"),
			Self::Answer => f.write_str("answer: present without a verdict for it, or missing with one"),
			Self::OutputHash => f.write_str("answer.output_hash: it is not the hash of the answer"),
			Self::Digest => f.write_str(
				"answer.digest: it does not follow from job, model, prompt, params, seed, answer and trace root",
			),
			Self::InputTokens => f.write_str("answer.input_tokens: more than the prompt has"),
			Self::OutputTokens => f.write_str("answer.output_tokens: not the number of generated tokens"),
			Self::Finish => f.write_str("answer.finish: not the finish reason of the answer"),
			Self::CommitteeSize(n) => write!(f, "committee: no committee has {n} seats"),
			Self::Seat(i) => write!(f, "committee: the provider in seat {i} has another seat too"),
			Self::Votes { agreeing, needed } => {
				write!(
					f,
					"committee: {agreeing} votes for this answer where {needed} are needed"
				)
			}
			Self::Verdict => f.write_str("verdict: the votes lead to another one"),
			Self::Fault(i) => write!(f, "committee: the fault of seat {i} does not follow from its vote"),
			Self::Fee => f.write_str("fee: a refunded job costs nothing"),
			Self::Attempts => f.write_str("attempts: a job has one to three"),
			Self::Blocks => f.write_str("blocks: request, seed and verdict are not in this order"),
		}
	}
}

impl core::error::Error for Mismatch {}

fn ensure(holds: bool, otherwise: Mismatch) -> Result<(), Mismatch> {
	holds.then_some(()).ok_or(otherwise)
}

fn count(n: usize) -> u32 {
	u32::try_from(n).unwrap_or(u32::MAX)
}

/// Recomputes everything in `file` that follows from something else in it. The first inconsistency is the error.
pub fn check(file: &ReceiptFile) -> Result<Checked, Mismatch> {
	let ReceiptFile {
		format,
		genesis,
		job_count,
		read_at: _,
		input,
		output,
		receipt,
	} = file;
	ensure(*format == FORMAT, Mismatch::Format(*format))?;
	ensure(core::str::from_utf8(input).is_ok(), Mismatch::Text)?;
	ensure(input_hash(input) == receipt.input_hash, Mismatch::InputHash)?;
	if let Some(n) = job_count {
		let id = JobId::derive(genesis, &receipt.requester, *n, &receipt.model, &receipt.input_hash);
		ensure(id == receipt.job, Mismatch::Job)?;
	}
	ensure(receipt.params.is_valid(), Mismatch::Params)?;
	let capped = match (&receipt.answer, output) {
		(Some(answer), Some(output)) => check_answer(receipt, answer, output)?,
		(None, None) => false,
		_ => return Err(Mismatch::Answer),
	};
	check_history(receipt)?;
	check_votes(receipt)?;
	let n = count(receipt.committee.len());
	Ok(Checked {
		verdict: receipt.verdict,
		agreeing: count(receipt.agreeing()),
		committee: n,
		needed: supermajority_threshold(n),
		job_derived: job_count.is_some(),
		input_capped: capped,
	})
}

/// Checks the answer and returns whether fewer prompt tokens were paid for than the model read.
fn check_answer(receipt: &ChainReceipt, answer: &AnswerRecord, output: &Output) -> Result<bool, Mismatch> {
	ensure(core::str::from_utf8(&output.text).is_ok(), Mismatch::Text)?;
	ensure(output_hash(output) == answer.output_hash, Mismatch::OutputHash)?;
	let subject = Subject {
		job: receipt.job,
		model: receipt.model,
		input_hash: receipt.input_hash,
		params: &receipt.params,
		seed: receipt.seed,
		output_hash: answer.output_hash,
	};
	ensure(subject.digest(&answer.trace_root) == answer.digest, Mismatch::Digest)?;
	ensure(answer.input_tokens <= output.input_tokens, Mismatch::InputTokens)?;
	let generated = count(output.tokens.len());
	ensure(answer.output_tokens == generated, Mismatch::OutputTokens)?;
	ensure(generated <= receipt.params.max_tokens, Mismatch::Params)?;
	ensure(answer.finish == output.finish, Mismatch::Finish)?;
	Ok(answer.input_tokens < output.input_tokens)
}

/// Checks attempts and blocks.
fn check_history(receipt: &ChainReceipt) -> Result<(), Mismatch> {
	let drawn = !receipt.committee.is_empty();
	ensure(
		(1..=MAX_ATTEMPTS).contains(&receipt.attempts.into()),
		Mismatch::Attempts,
	)?;
	ensure(receipt.requested_at < receipt.concluded_at, Mismatch::Blocks)?;
	ensure(receipt.seed_block.is_some() || !drawn, Mismatch::Blocks)?;
	// The seed comes from a block after the request, so nobody knew it at the request.
	let in_order = |seed| receipt.requested_at < seed && seed <= receipt.concluded_at;
	ensure(receipt.seed_block.is_none_or(in_order), Mismatch::Blocks)
}

fn check_votes(receipt: &ChainReceipt) -> Result<(), Mismatch> {
	let seats = &receipt.committee;
	let n = count(seats.len());
	for (i, seat) in seats.iter().enumerate() {
		let again = seats.iter().take(i).any(|other| other.provider == seat.provider);
		ensure(!again, Mismatch::Seat(count(i)))?;
	}
	let votes: Vec<Vote> = seats.iter().filter_map(|seat| seat.vote).collect();
	match (receipt.verdict, &receipt.answer) {
		(Verdict::Confirmed | Verdict::Unchecked, Some(answer)) => {
			ensure(is_committee_size(n), Mismatch::CommitteeSize(n))?;
			ensure((n == 1) == (receipt.verdict == Verdict::Unchecked), Mismatch::Verdict)?;
			let (agreeing, needed) = (count(receipt.agreeing()), supermajority_threshold(n));
			ensure(agreeing >= needed, Mismatch::Votes { agreeing, needed })?;
			check_faults(
				seats,
				&Vote::Confirm {
					trace_root: answer.trace_root,
				},
			)
		}
		(Verdict::Refunded(reason), None) => {
			ensure(n == 0 || is_committee_size(n), Mismatch::CommitteeSize(n))?;
			ensure(receipt.fee == 0, Mismatch::Fee)?;
			let decided = (n > 0).then(|| tally(n, votes.iter())).flatten();
			let fits = match (reason, decided) {
				(_, Some(Vote::Confirm { .. })) => false,
				(RefundReason::Rejected, decided) => decided.is_some(),
				(RefundReason::NoSupermajority, decided) => decided.is_none() && n > 0,
				(RefundReason::NoOutput, _) => n > 0 && votes.is_empty(),
				(RefundReason::NoCommittee, _) => true,
			};
			ensure(fits, Mismatch::Verdict)
		}
		_ => Err(Mismatch::Answer),
	}
}

/// Checks that faults follow from a decided vote. A seat without a vote may have no fault, if it never committed.
fn check_faults(seats: &[SeatRecord<crate::Account>], won: &Vote) -> Result<(), Mismatch> {
	for (i, seat) in seats.iter().enumerate() {
		let fits = match (&seat.vote, &seat.fault) {
			(Some(vote), fault) if vote == won => fault.is_none(),
			(Some(_), fault) => *fault == Some(Fault::Dissent),
			(None, fault) => matches!(fault, None | Some(Fault::NoReveal)),
		};
		ensure(fits, Mismatch::Fault(count(i)))?;
	}
	Ok(())
}

/// Returns the fields in which a claimed receipt differs from the one that a chain stores.
pub fn differences(claimed: &ChainReceipt, stored: &ChainReceipt) -> Vec<&'static str> {
	let fields = [
		("job", claimed.job == stored.job),
		("model", claimed.model == stored.model),
		("requester", claimed.requester == stored.requester),
		("params", claimed.params == stored.params),
		("input_hash", claimed.input_hash == stored.input_hash),
		("verdict", claimed.verdict == stored.verdict),
		("answer", claimed.answer == stored.answer),
		("committee", claimed.committee == stored.committee),
		("attempts", claimed.attempts == stored.attempts),
		("seed_block", claimed.seed_block == stored.seed_block),
		("seed", claimed.seed == stored.seed),
		("fee", claimed.fee == stored.fee),
		("requested_at", claimed.requested_at == stored.requested_at),
		("concluded_at", claimed.concluded_at == stored.concluded_at),
	];
	fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect()
}
