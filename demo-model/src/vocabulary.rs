//! The tokenizer: byte-level BPE learnt from the corpus, and the marks that frame a conversation.

use anyhow::{anyhow, Context, Result};
use std::collections::HashSet;
use tokenizers::{
	models::bpe::{BpeTrainer, BPE},
	models::TrainerWrapper,
	pre_tokenizers::byte_level::ByteLevel,
	AddedToken, Tokenizer,
};

/// Opens a conversation.
pub const BOS: &str = "<|bos|>";
/// Opens what a person says.
pub const USER: &str = "<|user|>";
/// Opens what the model says.
pub const ASSISTANT: &str = "<|assistant|>";
/// Closes either; the model ends its answer with it.
pub const END: &str = "<|end|>";

/// The chat template: messages to text, one mark before and one after each.
pub const CHAT_TEMPLATE: &str = "<|bos|>\
{%- for message in messages -%}\
{%- if message['role'] == 'user' -%}<|user|>{{ message['content'] | trim }}<|end|>\
{%- elif message['role'] == 'assistant' -%}<|assistant|>{{ message['content'] | trim }}<|end|>\
{%- else -%}{{ raise_exception('This model knows the roles user and assistant only.') }}\
{%- endif -%}\
{%- endfor -%}\
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}";

/// A tokenizer and the ids of its marks.
pub struct Vocabulary {
	/// The tokenizer as it is written to `tokenizer.json`.
	pub tokenizer: Tokenizer,
	/// Id of [`BOS`].
	pub bos: u32,
	/// Id of [`END`].
	pub end: u32,
}

impl Vocabulary {
	/// Learns `size` tokens from `texts`. No normalizer and no added space: a text never becomes more tokens than bytes.
	pub fn learn(texts: &[String], size: usize) -> Result<Self> {
		let marks = [BOS, USER, ASSISTANT, END].map(|mark| AddedToken::from(mark, true));
		let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
		let trainer = BpeTrainer::builder()
			.vocab_size(size)
			.min_frequency(2)
			.show_progress(false)
			.special_tokens(marks.to_vec())
			.initial_alphabet(alphabet)
			.build();
		let mut tokenizer = Tokenizer::new(BPE::default());
		tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
		tokenizer.with_decoder(Some(ByteLevel::new(false, true, true)));
		tokenizer
			.train(&mut TrainerWrapper::from(trainer), texts.iter())
			.map_err(|e| anyhow!("tokenizer: {e}"))?;
		let id = |mark| {
			tokenizer
				.token_to_id(mark)
				.with_context(|| format!("the tokenizer lost the mark {mark}"))
		};
		let (bos, end) = (id(BOS)?, id(END)?);
		Ok(Self { tokenizer, bos, end })
	}

	/// Number of tokens.
	pub fn size(&self) -> usize {
		self.tokenizer.get_vocab_size(true)
	}

	/// The tokens of a question, framed as [`CHAT_TEMPLATE`] frames it, up to where the answer begins.
	pub fn prompt(&self, question: &str) -> Result<Vec<u32>> {
		self.encode(&format!("{BOS}{USER}{}{END}{ASSISTANT}", question.trim()))
	}

	/// The tokens of an answer, closed.
	pub fn answer(&self, answer: &str) -> Result<Vec<u32>> {
		self.encode(&format!("{answer}{END}"))
	}

	/// The text of tokens, marks left out.
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
	fn every_text_comes_back_and_never_takes_more_tokens_than_bytes() {
		let vocabulary = small();
		for text in ["a receipt", " a  job ", "Größe 60 % – ¿qué? 你好 🙂", "\n\t x", ""] {
			let tokens = vocabulary.encode(text).unwrap();
			assert!(tokens.len() <= text.len());
			assert_eq!(vocabulary.text(&tokens).unwrap(), text);
		}
	}

	#[test]
	fn a_prompt_is_framed_by_single_marks() {
		let vocabulary = small();
		let mark = |m| vocabulary.tokenizer.token_to_id(m).unwrap();
		let tokens = vocabulary.prompt(" a job ").unwrap();
		assert_eq!(tokens[..2], [mark(BOS), mark(USER)]);
		assert_eq!(tokens[tokens.len() - 2..], [mark(END), mark(ASSISTANT)]);
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
