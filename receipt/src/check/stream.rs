//! Evidence of a stream: whether its executor signed what cannot be true together.

use super::{ensure, Mismatch};
use crate::{SignedChunk, StreamEvidence, MAX_EVIDENCE_CHUNKS};
use assay_primitives::{
	job::Failure,
	stream::{StreamChain, StreamToken},
	ClaimId, FinishReason, Hash32, Output,
};
use core::fmt;
use schnorrkel::{PublicKey, Signature};

/// The context of sr25519 signatures on Substrate chains.
const CONTEXT: &[u8] = b"substrate";

/// A contradiction that an executor has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
	/// It signed two drafts of one claim, of which neither goes on with the other.
	OfItself,
	/// It signed a draft with which the answer that it published does not go on.
	OfItsAnswer,
}

impl fmt::Display for Contradiction {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::OfItself => "The executor contradicted itself: it signed two drafts that differ.",
			Self::OfItsAnswer => "The executor contradicted itself: its answer differs from the draft that it signed.",
		})
	}
}

/// Checks that evidence is about this claim and signed by its key, and returns the contradiction that it shows, if any.
pub(super) fn check(
	genesis: &Hash32,
	claim: &ClaimId,
	output: &Output,
	evidence: &StreamEvidence,
) -> Result<Option<Contradiction>, Mismatch> {
	ensure(evidence.claim == *claim, Mismatch::StreamClaim)?;
	ensure(evidence.chunks.len() <= MAX_EVIDENCE_CHUNKS, Mismatch::StreamLength)?;
	let key = PublicKey::from_bytes(&evidence.key).map_err(|_| Mismatch::StreamKey)?;
	// Under the identity anybody can sign anything.
	ensure(evidence.key != Hash32::default(), Mismatch::StreamKey)?;
	let begin = StreamChain::new(genesis, claim);
	for (i, chunk) in (0u32..).zip(&evidence.chunks) {
		let message = chunk.chain().message(genesis, claim);
		let signed = Signature::from_bytes(&chunk.signature)
			.is_ok_and(|signature| key.verify_simple(CONTEXT, &message, &signature).is_ok());
		ensure(signed, Mismatch::StreamSignature(i))?;
		if let Some(draft) = &chunk.draft {
			ensure(after(begin, draft) == chunk.chain(), Mismatch::StreamDraft(i))?;
		}
	}
	let chunks = &evidence.chunks;
	let of_itself = chunks
		.iter()
		.any(|one| chunks.iter().any(|other| differs(begin, one, other)));
	// Whatever was streamed, nothing may be left of it if no token may come next.
	let ended_early = output.finish == FinishReason::Failed(Failure::Grammar) && output.tokens.is_empty();
	let mut drafts = chunks.iter().filter_map(|chunk| chunk.draft.as_deref());
	let of_answer = !ended_early && drafts.any(|draft| !is_beginning(draft, output));
	Ok(match (of_itself, of_answer) {
		(true, _) => Some(Contradiction::OfItself),
		(false, true) => Some(Contradiction::OfItsAnswer),
		(false, false) => None,
	})
}

/// Returns the chain after these tokens.
fn after(begin: StreamChain, tokens: &[StreamToken]) -> StreamChain {
	let mut chain = begin;
	chain.extend(tokens);
	chain
}

/// Returns whether the longer of two signed drafts is known not to go on with the shorter.
fn differs(begin: StreamChain, longer: &SignedChunk, shorter: &SignedChunk) -> bool {
	if longer.tokens == shorter.tokens {
		return longer.hash != shorter.hash;
	}
	let beginning = longer
		.draft
		.as_ref()
		.and_then(|draft| draft.get(..shorter.tokens as usize));
	beginning.is_some_and(|tokens| after(begin, tokens) != shorter.chain())
}

/// Returns whether an answer goes on with a draft, in its tokens and in its text.
fn is_beginning(draft: &[StreamToken], output: &Output) -> bool {
	let mut tokens = output.tokens.iter();
	let mut text = &output.text[..];
	draft.iter().all(|token| {
		let left = text.strip_prefix(token.text.as_bytes());
		text = left.unwrap_or_default();
		left.is_some() && tokens.next() == Some(&token.id)
	})
}
