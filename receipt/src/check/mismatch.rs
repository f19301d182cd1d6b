//! The names of inconsistencies.

use core::fmt;

/// An inconsistency in a receipt file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
	/// The format is none that is known.
	Format(u32),
	/// The prompt or the answer is not UTF-8.
	Text,
	/// `input_hash` is not the hash of the prompt.
	InputHash,
	/// `params` are out of range, or the answer is longer than they allow.
	Params,
	/// `count` is 0: a requester's jobs are counted from 1.
	Count,
	/// `job` does not follow from genesis, requester, count, model, the listing if it was named, prompt and parameters.
	Job,
	/// Answer, claim and output are not all there where something was published, or not all missing where nothing was.
	Answer,
	/// `claim.output_hash` is not the hash of the answer.
	OutputHash,
	/// `answer.input_tokens` is more than the prompt has.
	InputTokens,
	/// `answer.output_tokens` is not the number of generated tokens.
	OutputTokens,
	/// `answer.finish` is not the finish reason of the answer.
	Finish,
	/// `attempts` is over the limit, or not that of the claim, or not that of the refund.
	Attempts,
	/// More verifiers than the chain allows.
	Verifiers(u8),
	/// The numbers of the electorate contradict each other.
	Electorate,
	/// This seat is not of a tranche that was drawn, or out of order.
	Seat(u32),
	/// This tranche has a number of seats that does not follow from `verifiers` and from the seats that lapsed.
	Tranche(u8),
	/// The executor holds this seat.
	Executor(u32),
	/// The vote of this seat names a draw in which its provider has no seat, or its provider voted twice.
	Vote(u32),
	/// An auditor's seat is held by a provider that has approved the claim already; or more than one auditor was drawn
	/// at once.
	Auditor(u32),
	/// The seal does not open to the root.
	Seal,
	/// The approval of this seat does not fit the opened root.
	Approval(u32),
	/// The fault of this seat does not follow from its vote and from the dispute.
	Fault(u32),
	/// The dispute contradicts the seats, or its decision does not follow from its stakes.
	Dispute,
	/// What became of the audit contradicts the auditors' seats.
	Audit,
	/// The seats and the dispute lead to another verdict.
	Verdict,
	/// A verdict that stood to the end although nobody opened the claim.
	Unopened,
	/// The state does not go with the verdict.
	State,
	/// `closed_at` is there before the state is final, or missing in a final one.
	Closed,
	/// A refunded job has a fee.
	Fee,
	/// The blocks are not in the order in which a job goes through them.
	Blocks,
	/// The receipt is not final and has a leaf, or its proof has another shape than the leaf's index requires.
	Leaf,
	/// The evidence of a stream is about another claim.
	StreamClaim,
	/// The evidence of a stream has too many chunks.
	StreamLength,
	/// The evidence of a stream names no sr25519 key.
	StreamKey,
	/// The key did not sign this chunk for this claim on this chain.
	StreamSignature(u32),
	/// The draft of this chunk does not hash to what was signed.
	StreamDraft(u32),
}

impl fmt::Display for Mismatch {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let text = match self {
			Self::Format(n) => return write!(f, "format: {n} is not 4 or 5, the ones that this program knows"),
			Self::Verifiers(n) => return write!(f, "claim.verifiers: {n} is more than a job may ask for"),
			Self::Seat(i) => {
				return write!(
					f,
					"claim.seats: seat {i} is of no tranche that was drawn, or out of order"
				)
			}
			Self::Tranche(t) => {
				return write!(
					f,
					"claim.tranches: the number of seats in tranche {t} does not follow from those that lapsed"
				)
			}
			Self::Executor(i) => return write!(f, "claim.seats: the executor itself holds seat {i}"),
			Self::Vote(i) => {
				return write!(
					f,
					"claim.seats: the vote of seat {i} is not one that its provider could give"
				)
			}
			Self::Auditor(i) => return write!(f, "claim.seats: seat {i} is not one that an auditor could get"),
			Self::Approval(i) => {
				return write!(
					f,
					"claim.seats: the approval of seat {i} does not fit the opened root, and is not marked so"
				)
			}
			Self::Fault(i) => {
				return write!(
					f,
					"claim.seats: the fault of seat {i} does not follow from its vote and the dispute"
				)
			}
			Self::StreamSignature(i) => {
				return write!(f, "stream.chunks: the key did not sign chunk {i} of this claim")
			}
			Self::StreamDraft(i) => {
				return write!(
					f,
					"stream.chunks: the draft of chunk {i} does not hash to what was signed"
				)
			}
			Self::StreamClaim => "stream.claim: it is not the claim of this receipt",
			Self::StreamLength => "stream.chunks: more than evidence needs",
			Self::StreamKey => "stream.key: it is not an sr25519 key",
			Self::Text => "input or output: the text is not UTF-8",
			Self::InputHash => "input_hash: it is not the hash of the prompt",
			Self::Params => "params: out of range, or the answer is longer than they allow",
			Self::Count => "count: the jobs of a requester are counted from 1",
			Self::Job => "job: the id does not follow from chain, requester, count, model, prompt and parameters",
			Self::Answer => "answer: answer, claim and output do not belong together, or not to this verdict",
			Self::OutputHash => "claim.output_hash: it is not the hash of the answer",
			Self::InputTokens => "answer.input_tokens: more than the prompt has",
			Self::OutputTokens => "answer.output_tokens: not the number of generated tokens",
			Self::Finish => "answer.finish: not the finish reason of the answer",
			Self::Attempts => "attempts: not the number that goes with the claim or the refund",
			Self::Electorate => "claim.electorate: its numbers contradict each other",
			Self::Seal => "claim.seal: it does not open to the root",
			Self::Dispute => "claim.dispute: it does not follow from the seats, or its decision not from its stakes",
			Self::Audit => "claim.audit: it does not follow from the auditors' seats",
			Self::Verdict => "verdict: seats and dispute lead to another one",
			Self::Unopened => "claim.root: the verdict cannot have stood to the end without it",
			Self::State => "state: it does not go with the verdict",
			Self::Closed => "closed_at: it does not go with the state",
			Self::Fee => "fee: a refunded job costs nothing",
			Self::Blocks => "blocks: they are not in the order in which a job goes through them",
			Self::Leaf => "accumulator: the receipt is not final, or its proof does not go with the index",
		};
		f.write_str(text)
	}
}

impl core::error::Error for Mismatch {}
