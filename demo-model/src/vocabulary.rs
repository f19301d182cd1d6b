//! The tokenizer: byte-level BPE learned from the corpus, and the special tokens that frame a conversation.

use anyhow::{anyhow, Context, Result};
use std::collections::HashSet;
use tokenizers::{
	models::bpe::{BpeTrainer, BPE},
	models::TrainerWrapper,
	pre_tokenizers::byte_level::ByteLevel,
	AddedToken, Tokenizer,
};

/// Starts a conversation.
pub const BOS: &str = "<|bos|>";
/// Starts a message of the user.
pub const USER: &str = "<|user|>";
/// Starts a message of the model.
pub const ASSISTANT: &str = "<|assistant|>";
/// Ends either; the model ends its answer with it.
pub const END: &str = "<|end|>";

/// The chat template: each message between two special tokens.
pub const CHAT_TEMPLATE: &str = "<|bos|>\
{%- for message in messages -%}\
{%- if message['role'] == 'user' -%}<|user|>{{ message['content'] | trim }}<|end|>\
{%- elif message['role'] == 'assistant' -%}<|assistant|>{{ message['content'] | trim }}<|end|>\
{%- else -%}{{ raise_exception('This model knows the roles user and assistant only.') }}\
{%- endif -%}\
{%- endfor -%}\
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}";

/// A tokenizer and the ids of its special tokens.
pub struct Vocabulary {
	/// The tokenizer as it is written to `tokenizer.json`.
	pub tokenizer: Tokenizer,
	/// Id of [`BOS`].
	pub bos: u32,
	/// Id of [`END`].
	pub end: u32,
}

impl Vocabulary {
	/// Learns `size` tokens from `texts`, without a normalizer or an added space: a text never has more tokens than bytes.
	pub fn learn(texts: &[String], size: usize) -> Result<Self> {
		let special = [BOS, USER, ASSISTANT, END].map(|token| AddedToken::from(token, true));
		let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
		let trainer = BpeTrainer::builder()
			.vocab_size(size)
			.min_frequency(2)
			.show_progress(false)
			.special_tokens(special.to_vec())
			.initial_alphabet(alphabet)
			.build();
		let mut tokenizer = Tokenizer::new(BPE::default());
		tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
		tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
		tokenizer
			.train(&mut TrainerWrapper::from(trainer), texts.iter())
			.map_err(|e| anyhow!("tokenizer: {e}"))?;
		let id = |token| {
			tokenizer
				.token_to_id(token)
				.with_context(|| format!("the tokenizer has no token {token}"))
		};
		let (bos, end) = (id(BOS)?, id(END)?);
		Ok(Self { tokenizer, bos, end })
	}

	/// Returns the number of tokens.
	pub fn size(&self) -> usize {
		self.tokenizer.get_vocab_size(true)
	}

	/// Returns the tokens of a question, framed as by [`CHAT_TEMPLATE`], up to where the answer starts.
	pub fn prompt(&self, question: &str) -> Result<Vec<u32>> {
		self.encode(&format!("{BOS}{USER}{}{END}{ASSISTANT}", question.trim()))
	}

	/// Returns the tokens of an answer and its end.
	pub fn answer(&self, answer: &str) -> Result<Vec<u32>> {
		self.encode(&format!("{answer}{END}"))
	}

	/// Returns the text of tokens, without special tokens.
	pub fn text(&self, tokens: &[u32]) -> Result<String> {
		self.tokenizer
			.decode(tokens, true)
			.map_err(|e| anyhow!("tokenizer: {e}"))
	}

	fn encode(&self, text: &str) -> Result<Vec<u32>> {
		let encoding = self
			.tokenizer
			.encode(text, false)
			.map_err(|e| anyhow!("tokenizer: {e}"))?;
		Ok(encoding.get_ids().to_vec())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn small() -> Vocabulary {
		let texts = [
			"a receipt is what a job leaves",
			"a committee votes on what a job leaves",
		]
		.map(String::from);
		Vocabulary::learn(&texts, 300).unwrap()
	}

	#[test]
	fn a_text_is_decoded_unchanged_and_has_at_most_a_token_per_byte() {
		let vocabulary = small();
		for text in ["a receipt", " a  job ", "Größe 60 % – ¿qué? 你好 🙂", "\n\t x", ""] {
			let tokens = vocabulary.encode(text).unwrap();
			assert!(tokens.len() <= text.len());
			assert_eq!(vocabulary.text(&tokens).unwrap(), text);
		}
	}

	#[test]
	fn a_prompt_is_framed_by_special_tokens() {
		let vocabulary = small();
		let id = |m| vocabulary.tokenizer.token_to_id(m).unwrap();
		let tokens = vocabulary.prompt(" a job ").unwrap();
		assert_eq!(tokens[..2], [id(BOS), id(USER)]);
		assert_eq!(tokens[tokens.len() - 2..], [id(END), id(ASSISTANT)]);
		assert_eq!(vocabulary.text(&tokens).unwrap(), "a job");
		assert_eq!(vocabulary.answer("a job").unwrap().last(), Some(&vocabulary.end));
	}

	#[test]
	fn learning_twice_gives_the_same_tokenizer() {
		assert_eq!(
			small().tokenizer.to_string(false).unwrap(),
			small().tokenizer.to_string(false).unwrap()
		);
	}
}
