//! The check: recomputes every hash, name and count, and follows the verdict from the seats.

mod difference;
mod mismatch;
mod seats;
mod stream;
mod verdict;

pub use difference::differences;
pub use mismatch::Mismatch;
pub use stream::Contradiction;

use crate::{file::FORMATS, ChainReceipt, Leaf, ReceiptFile};
use assay_primitives::{
	assurance::Evidence,
	claim::Execution,
	digest::{input_hash, output_hash},
	limits::{MAX_ATTEMPTS, MAX_VERIFIERS},
	receipt::{Audit, ClaimRecord, RefundReason},
	ClaimId, Hash32, JobId, Output, State, Verdict,
};
use core::fmt;

/// A claim as a receipt shows it.
type Claim = ClaimRecord<crate::Account, u32>;

/// What a consistent receipt states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
	/// What is known of the answer.
	pub verdict: Verdict,
	/// The state of the job.
	pub state: State,
	/// Whether an objection stayed undecided.
	pub contested: bool,
	/// Whether the electorate upheld the answer in a dispute.
	pub upheld: bool,
	/// The name of the claim, derived from genesis, job, attempt, draw, executor and model; none if nothing was
	/// published.
	pub claim: Option<ClaimId>,
	/// The sampling seed, derived from the same; none if nothing was published.
	pub seed: Option<Hash32>,
	/// Verifiers that were asked for.
	pub asked: u8,
	/// Seats of verifiers that approved and are not at fault.
	pub approvals: u32,
	/// Different providers in those seats.
	pub providers: u32,
	/// What became of the audit; none if nothing was published.
	pub audit: Option<Audit>,
	/// Whether the claim has been opened, so that every approval was held against its root.
	pub opened: bool,
	/// Different providers that recomputed the answer and agree, auditors included. At least 1 if jurors upheld it.
	pub checkers: u32,
	/// Whether fewer prompt tokens were paid for than the model read.
	pub input_capped: bool,
	/// What the assurance follows from; none if nothing was published.
	pub evidence: Option<Evidence>,
	/// The contradiction that the executor has signed, if the file has evidence of one.
	pub contradiction: Option<Contradiction>,
}

/// What a receipt file cannot prove by itself.
pub const ONLY_A_CHAIN_KNOWS: &str =
	"that a chain stored this receipt, that its beacon drew these providers, who rejected what, which blocks it names, \
	 what was staked and paid, whose key signed a draft";

impl Checked {
	/// Returns whether the answer stands as checked: the seats confirmed it, the electorate upheld it, or an auditor
	/// approved what too few seats had checked. An answer that is disputed now, or whose dispute stayed undecided, is
	/// not.
	pub fn is_checked(&self) -> bool {
		let checked = match self.verdict {
			Verdict::Confirmed => true,
			Verdict::Unverified => self.audit == Some(Audit::Approved),
			Verdict::Unchecked | Verdict::Overturned | Verdict::Refunded(_) => false,
		};
		checked && self.checkers > 0 && !self.contested && self.state != State::Disputed
	}
}

impl fmt::Display for Checked {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self.verdict {
			Verdict::Confirmed if self.upheld => {
				f.write_str("The answer was disputed, and the electorate that recomputed it upheld it.")?
			}
			Verdict::Confirmed => match (self.providers, self.approvals) {
				(0, _) => f.write_str("No approval of this answer was left when the claim was opened.")?,
				(1, 1) => f.write_str("1 provider recomputed this answer and agrees on every bit of it.")?,
				(1, n) => write!(
					f,
					"1 provider, drawn for all {n} seats, recomputed this answer and agrees on every bit of it."
				)?,
				(n, seats) if n == seats => {
					write!(f, "{n} providers recomputed this answer and agree on every bit of it.")?
				}
				(n, seats) => write!(
					f,
					"{n} providers in {seats} seats recomputed this answer and agree on every bit of it."
				)?,
			},
			Verdict::Unchecked => f.write_str("One provider computed this answer. Nobody checked it.")?,
			Verdict::Unverified if self.audit == Some(Audit::Approved) => f.write_str(
				"Too few verifiers checked this answer in time; an auditor recomputed it and agrees on every bit of it.",
			)?,
			Verdict::Unverified => f.write_str("One provider computed this answer. Too few verifiers checked it.")?,
			Verdict::Overturned => {
				f.write_str("The electorate found this answer false. The requester was refunded.")?
			}
			Verdict::Refunded(reason) => {
				let why = match reason {
					RefundReason::QueueTimeOver => "no provider was free in the quoted time",
					RefundReason::NoOutput => "no executor published one in time",
					RefundReason::Undecided => "what was published was rejected, and the electorate did not decide",
				};
				write!(f, "There is no answer: {why}. The requester was refunded.")?
			}
		}
		if self.state == State::Disputed {
			f.write_str(" It is disputed now: the electorate recomputes it.")?;
		} else if self.contested {
			f.write_str(" An objection to it stayed undecided.")?;
		}
		if let Some(contradiction) = self.contradiction {
			write!(f, " {contradiction}")?;
		}
		Ok(())
	}
}

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
		read_at: _,
		input,
		output,
		receipt,
		accumulator,
		stream,
		finality: _,
	} = file;
	ensure(FORMATS.contains(format), Mismatch::Format(*format))?;
	ensure(core::str::from_utf8(input.bytes()).is_ok(), Mismatch::Text)?;
	ensure(input_hash(input) == receipt.input_hash, Mismatch::InputHash)?;
	ensure(receipt.params.is_valid(), Mismatch::Params)?;
	ensure(receipt.count > 0, Mismatch::Count)?;
	let id = JobId::derive(
		genesis,
		&receipt.requester,
		receipt.count,
		&receipt.model,
		receipt.named_listing(),
		&receipt.input_hash,
		&receipt.params,
	);
	ensure(id == receipt.job, Mismatch::Job)?;
	let published = match (&receipt.answer, &receipt.claim, output) {
		(Some(_), Some(claim), Some(output)) => Some((claim, output)),
		(None, None, None) => None,
		_ => return Err(Mismatch::Answer),
	};
	let input_capped = match published {
		Some((claim, output)) => check_answer(receipt, claim, output)?,
		None => false,
	};
	verdict::check_state(receipt)?;
	let mut checked = Checked {
		verdict: receipt.verdict,
		state: receipt.state,
		contested: receipt.is_contested(),
		upheld: false,
		claim: None,
		seed: None,
		asked: 0,
		approvals: 0,
		providers: 0,
		audit: None,
		opened: false,
		checkers: 0,
		input_capped,
		evidence: Evidence::of(receipt),
		contradiction: None,
	};
	match published {
		Some((claim, _)) => check_claim(file, claim, &mut checked)?,
		None => check_unpublished(receipt)?,
	}
	verdict::check_blocks(file)?;
	if let Some(leaf) = accumulator {
		check_leaf(file, leaf)?;
	}
	if let Some(evidence) = stream {
		let (claim, output) = checked.claim.zip(output.as_ref()).ok_or(Mismatch::StreamClaim)?;
		checked.contradiction = stream::check(genesis, &claim, output, evidence)?;
	}
	Ok(checked)
}

/// Checks that the receipt can have this leaf: that it is final, and that its proof, if there is one, has the shape that
/// follows from the leaf's index. To which root the proof must lead only a chain knows.
fn check_leaf(file: &ReceiptFile, leaf: &Leaf) -> Result<(), Mismatch> {
	ensure(file.receipt.is_settled(), Mismatch::Leaf)?;
	ensure(leaf.proof.is_none() || file.root().is_some(), Mismatch::Leaf)
}

/// Checks the answer and returns whether fewer prompt tokens were paid for than the model read.
fn check_answer(receipt: &ChainReceipt, claim: &Claim, output: &Output) -> Result<bool, Mismatch> {
	let answer = receipt.answer.ok_or(Mismatch::Answer)?;
	ensure(core::str::from_utf8(&output.text).is_ok(), Mismatch::Text)?;
	ensure(output_hash(output) == claim.output_hash, Mismatch::OutputHash)?;
	ensure(answer.input_tokens <= output.input_tokens, Mismatch::InputTokens)?;
	let generated = count(output.tokens.len());
	ensure(answer.output_tokens == generated, Mismatch::OutputTokens)?;
	ensure(generated <= receipt.params.max_tokens, Mismatch::Params)?;
	ensure(answer.finish == output.finish, Mismatch::Finish)?;
	// Of a prompt that the model did not read nothing is paid.
	Ok(answer.model_ran() && answer.input_tokens < output.input_tokens)
}

fn check_claim(file: &ReceiptFile, claim: &Claim, checked: &mut Checked) -> Result<(), Mismatch> {
	let receipt = &file.receipt;
	let attempts = u32::from(receipt.attempts);
	ensure(
		attempts <= MAX_ATTEMPTS && attempts == u32::from(claim.attempt).saturating_add(1),
		Mismatch::Attempts,
	)?;
	ensure(claim.verifiers <= MAX_VERIFIERS, Mismatch::Verifiers(claim.verifiers))?;
	check_electorate(claim)?;
	let execution: assay_primitives::ExecutionId = execution(file, claim);
	let id = execution.claim();
	if let Some(root) = &claim.root {
		ensure(id.seal(&claim.executor, root) == claim.seal, Mismatch::Seal)?;
	}
	seats::check_draws(claim)?;
	seats::check_votes(claim, id)?;
	seats::check_faults(claim)?;
	verdict::check_dispute(receipt, claim)?;
	verdict::check_audit(receipt, claim)?;
	verdict::check_verdict(receipt, claim)?;
	checked.claim = Some(id);
	checked.seed = Some(execution.sampling_seed());
	checked.asked = claim.verifiers;
	checked.approvals = count(claim.approvals().count());
	checked.providers = seats::different(claim.approvals());
	checked.audit = Some(claim.audit);
	checked.opened = claim.root.is_some();
	checked.upheld = verdict::is_upheld(claim);
	checked.checkers = checkers(claim);
	Ok(())
}

impl ReceiptFile {
	/// Returns the name of the claim that a record is of.
	pub fn claim_id(&self, claim: &Claim) -> ClaimId {
		execution(self, claim).claim()
	}
}

fn execution(file: &ReceiptFile, claim: &Claim) -> assay_primitives::ExecutionId {
	Execution {
		genesis: file.genesis,
		job: file.receipt.job,
		attempt: claim.attempt,
		block: claim.drawn.block,
		beacon: claim.drawn.beacon,
		executor: &claim.executor,
		model: file.receipt.model,
	}
	.id()
}

/// Returns how many different providers recomputed the answer and agree. Jurors are not listed, only their stake.
fn checkers(claim: &Claim) -> u32 {
	let agreeing = claim
		.seats
		.iter()
		.filter(|seat| seat.approves() && seat.fault.is_none());
	let jurors = claim
		.dispute
		.as_ref()
		.is_some_and(|dispute| verdict::is_upheld(claim) && dispute.approve > claim.electorate.executor);
	seats::different(agreeing).max(jurors.into())
}

fn check_electorate(claim: &Claim) -> Result<(), Mismatch> {
	let all = &claim.electorate;
	let most = all.largest.saturating_mul(all.members.into());
	ensure(
		all.executor <= all.largest && all.largest <= all.stake && all.stake <= most,
		Mismatch::Electorate,
	)
}

/// Checks a job that was refunded before anything was published.
fn check_unpublished(receipt: &ChainReceipt) -> Result<(), Mismatch> {
	let attempts = u32::from(receipt.attempts);
	match receipt.verdict {
		Verdict::Refunded(RefundReason::QueueTimeOver) => ensure(attempts < MAX_ATTEMPTS, Mismatch::Attempts),
		Verdict::Refunded(RefundReason::NoOutput) => ensure((1..=MAX_ATTEMPTS).contains(&attempts), Mismatch::Attempts),
		_ => Err(Mismatch::Answer),
	}
}
