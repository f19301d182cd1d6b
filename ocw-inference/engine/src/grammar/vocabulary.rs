//! A model's tokens, as the library walks them: a trie of their bytes, which is made once for each model.

use super::big_stack;
use crate::{Error, Result};
use assay_model_folder::tokenizer::Tokenizer;
use llguidance::{
	api::ParserLimits,
	earley::SlicedBiasComputer,
	toktrie::{InferenceCapabilities, TokRxInfo, TokTrie, TokenId, TokenizerEnv, INVALID_TOKEN},
	ParserFactory,
};
use std::{collections::BTreeSet, sync::Arc};

/// Longest token that a grammar lets through, in bytes: the trie's recursion follows them.
const MAX_TOKEN_BYTES: usize = 255;

/// What a grammar may cost. Each of these numbers is a part of the profile: what exceeds one ends an answer.
fn limits() -> ParserLimits {
	ParserLimits {
		max_items_in_row: 2_000,
		initial_lexer_fuel: 1_000_000,
		step_lexer_fuel: 200_000,
		step_max_items: 50_000,
		max_lexer_states: 16_384,
		max_grammar_size: 100_000,
		precompute_large_lexemes: true,
		verbose_errors: false,
	}
}

/// The tokens of a model.
pub(crate) struct Vocabulary {
	pub(super) factory: ParserFactory,
	/// Bytes of each token; none of special tokens, end tokens and ids without a token.
	tokens: Arc<Tokens>,
	/// The tokens that end an answer.
	ends: BTreeSet<u32>,
	/// The tokens that have bytes behind a tag's last.
	past_tag: Vec<u32>,
}

/// What the library asks of a tokenizer. It never tokenizes for us: an answer's tokens are the model's own.
struct Tokens(TokTrie);

impl TokenizerEnv for Tokens {
	fn tok_trie(&self) -> &TokTrie {
		&self.0
	}

	fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
		self.0.greedy_tokenize(bytes)
	}

	fn tokenize_is_canonical(&self) -> bool {
		false
	}
}

impl Vocabulary {
	/// Makes the trie of a tokenizer whose model has logits of `size` tokens.
	pub(crate) fn new(tokenizer: &Tokenizer, size: usize, ends: &[u32]) -> Result<Self> {
		let ends: BTreeSet<u32> = ends.iter().copied().filter(|end| (*end as usize) < size).collect();
		let bytes = |id: u32| {
			let bytes = tokenizer.bytes(id);
			// 255 begins what the library calls a special token, and no text.
			let known = bytes.len() <= MAX_TOKEN_BYTES && bytes.first() != Some(&TokTrie::SPECIAL_TOKEN_MARKER);
			if known && !ends.contains(&id) {
				bytes.to_vec()
			} else {
				Vec::new()
			}
		};
		let count = u32::try_from(size).map_err(|_| Error::Compute("too many tokens".into()))?;
		let words: Vec<Vec<u8>> = (0..count).map(bytes).collect();
		let (factory, tokens) = big_stack(move || {
			let tokens = Arc::new(Tokens(TokTrie::from(&TokRxInfo::new(count, INVALID_TOKEN), &words)));
			let env: Arc<dyn TokenizerEnv + Sync> = tokens.clone();
			let factory = ParserFactory::new(
				&env,
				InferenceCapabilities::default(),
				&SlicedBiasComputer::general_slices(),
			);
			factory.map(|factory| (factory, tokens))
		})?
		.map_err(|e| Error::Compute(format!("the vocabulary has no trie: {e}")))?;
		let mut factory = factory;
		*factory.limits_mut() = limits();
		factory.quiet();
		let past_tag = |id: &u32| tokens.0.token(*id).iter().rev().skip(1).any(|byte| *byte == b'>');
		Ok(Self {
			past_tag: (0..count).filter(past_tag).collect(),
			factory,
			tokens,
			ends,
		})
	}

	/// Returns how many words of 32 bits a mask has.
	pub(super) fn words(&self) -> usize {
		self.tokens.0.vocab_size().div_ceil(32)
	}

	/// Returns how many tokens there are.
	pub(super) fn len(&self) -> u32 {
		self.tokens.0.vocab_size() as u32
	}

	/// Returns the bytes of a token.
	pub(super) fn bytes(&self, token: u32) -> &[u8] {
		if token < self.len() {
			self.tokens.0.token(token)
		} else {
			&[]
		}
	}

	/// Returns the tokens that have bytes behind a `>`, with which tags end.
	pub(super) fn past_tag(&self) -> &[u32] {
		&self.past_tag
	}

	/// Returns the tokens that end an answer, ids ascending.
	pub(super) fn ends(&self) -> impl Iterator<Item = u32> + '_ {
		self.ends.iter().copied()
	}
}
