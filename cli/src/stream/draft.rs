//! A draft as far as it is known, every token of it signed by its executor.

use super::wire::Chunk;
use assay_primitives::{
	api::ExecutionView,
	limits::{MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS},
	stream::{StreamChain, StreamToken, MAX_CHUNK_TOKENS},
	ClaimId, FinishReason, Hash32, Output,
};
use assay_receipt::{Account, SignedChunk, StreamEvidence};
use subxt_signer::sr25519::{verify, PublicKey, Signature};

/// The executor contradicts itself, in what it has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction {
	/// What contradicts what.
	pub(crate) what: &'static str,
	/// What it signed, as a receipt file keeps it.
	pub(crate) evidence: StreamEvidence,
}

/// Why a chunk is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
	/// It does not follow from the tokens that are known: the draft must be read from its beginning.
	OtherBeginning,
	/// It contradicts what the same key has signed before.
	Contradiction(Box<Contradiction>),
	/// It is no chunk of this draft.
	Invalid(&'static str),
}

/// A draft as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Draft {
	genesis: Hash32,
	claim: ClaimId,
	key: Hash32,
	tokens: Vec<StreamToken>,
	/// The chain of hashes after each token, and before the first.
	chains: Vec<StreamChain>,
	/// The signature over the last of `chains`; none before the first token.
	signature: Option<[u8; 64]>,
	text_bytes: usize,
}

impl Draft {
	/// Returns an empty draft of an execution; none if the executor has no key to sign with.
	pub(super) fn new(genesis: Hash32, execution: &ExecutionView<Account>) -> Option<Self> {
		Some(Self {
			genesis,
			claim: execution.claim,
			key: execution.key?,
			tokens: Vec::new(),
			chains: vec![StreamChain::new(&genesis, &execution.claim)],
			signature: None,
			text_bytes: 0,
		})
	}

	/// Returns how many tokens are known.
	pub(super) fn len(&self) -> u32 {
		u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
	}

	/// Checks a chunk, and returns the tokens that it adds.
	pub(super) fn take(&mut self, chunk: Chunk) -> Result<Vec<StreamToken>, Fault> {
		if chunk.claim != self.claim {
			return Err(Fault::Invalid("it is of another draw"));
		}
		if chunk.tokens.is_empty() || chunk.tokens.len() > MAX_CHUNK_TOKENS {
			return Err(Fault::Invalid("its number of tokens is not 1 to 64"));
		}
		let first = usize::try_from(chunk.first).unwrap_or(usize::MAX);
		let Some(mut chain) = self.chains.get(first).copied() else {
			return Err(Fault::Invalid("it leaves out tokens"));
		};
		let known = self.tokens.get(first..).unwrap_or_default();
		// What is known was signed; to check it again would only cost time.
		if known.starts_with(&chunk.tokens) {
			return Ok(Vec::new());
		}
		let from = chain;
		chain.extend(&chunk.tokens);
		if chain.tokens > MAX_OUTPUT_TOKENS {
			return Err(Fault::Invalid("it has more tokens than an answer can have"));
		}
		let message = StreamChain {
			hash: chunk.hash,
			..chain
		}
		.message(&self.genesis, &self.claim);
		if !verify(&Signature(chunk.signature), message, &PublicKey(self.key)) {
			return Err(Fault::Invalid("it is not signed by the executor's key"));
		}
		if chain.hash != chunk.hash {
			return Err(Fault::OtherBeginning);
		}
		let overlap = known.len().min(chunk.tokens.len());
		if known.get(..overlap) != chunk.tokens.get(..overlap) {
			return Err(self.contradicted(first, chunk, chain));
		}
		self.extend(from, chunk, overlap)
	}

	/// Adds the tokens of a chunk behind the first `overlap` ones, which are known.
	fn extend(&mut self, mut chain: StreamChain, chunk: Chunk, overlap: usize) -> Result<Vec<StreamToken>, Fault> {
		let new = chunk.tokens.get(overlap..).unwrap_or_default().to_vec();
		let bytes = new
			.iter()
			.fold(self.text_bytes, |sum, token| sum.saturating_add(token.text.len()));
		if bytes > usize::try_from(MAX_OUTPUT_BYTES).unwrap_or(usize::MAX) {
			return Err(Fault::Invalid("its text is longer than an answer can be"));
		}
		chain.extend(chunk.tokens.get(..overlap).unwrap_or_default());
		for token in &new {
			chain.push(token);
			self.chains.push(chain);
		}
		self.text_bytes = bytes;
		self.tokens.extend(new.iter().cloned());
		self.signature = Some(chunk.signature);
		Ok(new)
	}

	fn contradicted(&self, first: usize, chunk: Chunk, chain: StreamChain) -> Fault {
		let Some(signed) = self.signed() else {
			return Fault::Invalid("it contradicts itself");
		};
		let mut tokens = self.tokens.get(..first).unwrap_or_default().to_vec();
		tokens.extend(chunk.tokens);
		let other = SignedChunk {
			tokens: chain.tokens,
			hash: chain.hash,
			signature: chunk.signature,
			draft: Some(tokens),
		};
		Fault::Contradiction(Box::new(Contradiction {
			what: "the executor has signed two drafts that contradict each other",
			evidence: self.evidence(vec![signed, other]),
		}))
	}

	/// Returns all that is known, as it was signed.
	fn signed(&self) -> Option<SignedChunk> {
		let StreamChain { hash, tokens } = *self.chains.last()?;
		Some(SignedChunk {
			tokens,
			hash,
			signature: self.signature?,
			draft: Some(self.tokens.clone()),
		})
	}

	fn evidence(&self, chunks: Vec<SignedChunk>) -> StreamEvidence {
		StreamEvidence {
			claim: self.claim,
			key: self.key,
			chunks,
		}
	}

	/// Returns the proof that the publication is not what the draft says; none if it may be.
	pub(super) fn against(&self, output: &Output) -> Option<Contradiction> {
		// A refusal has no tokens, whatever was computed before it.
		if matches!(output.finish, FinishReason::Failed(_)) {
			return None;
		}
		let ids = output.tokens.get(..self.tokens.len());
		let same = ids.is_some_and(|ids| ids.iter().eq(self.tokens.iter().map(|token| &token.id)));
		let text: String = self.tokens.iter().map(|token| token.text.as_str()).collect();
		if same && output.text.starts_with(text.as_bytes()) {
			return None;
		}
		Some(Contradiction {
			what: "the executor has published another answer than the draft that it had signed",
			evidence: self.evidence(vec![self.signed()?]),
		})
	}
}
