//! The answer so far, and the rule that ends it (`docs/spec/c1-w8.md` §5).

use super::stop;
use crate::{Error, Model, Result};
use assay_primitives::{
	job::{FinishReason, Output, SamplingParams},
	limits::MAX_OUTPUT_BYTES,
};

/// Tokens sampled so far and their text.
pub(crate) struct Answer<'m> {
	model: &'m Model,
	params: SamplingParams,
	/// Tokens that fit into the context behind the prompt.
	context_left: usize,
	tokens: Vec<u32>,
	bytes: Vec<u8>,
	text: String,
}

impl<'m> Answer<'m> {
	/// Makes an empty answer behind a prompt that leaves `context_left` tokens.
	pub(crate) fn new(model: &'m Model, params: SamplingParams, context_left: usize) -> Self {
		Self {
			model,
			params,
			context_left,
			tokens: Vec::new(),
			bytes: Vec::new(),
			text: String::new(),
		}
	}

	/// Returns how many tokens it can have at most.
	pub(crate) fn max_tokens(&self) -> usize {
		self.context_left.min(self.params.max_tokens as usize)
	}

	/// Returns the tokens so far.
	pub(crate) fn tokens(&self) -> &[u32] {
		&self.tokens
	}

	/// Returns the text so far.
	pub(crate) fn text(&self) -> &str {
		&self.text
	}

	/// Returns the text so far that is in the answer however it goes on: without an end that may begin a stop string.
	pub(crate) fn settled_text(&self) -> &str {
		stop::settled(&self.text, &self.params)
	}

	/// Adds a token; returns why the answer ends with it, if it does.
	pub(crate) fn push(&mut self, token: u32) -> Option<FinishReason> {
		self.tokens.push(token);
		if self.model.eos_token_ids().contains(&token) {
			return Some(FinishReason::Eos);
		}
		self.bytes.extend_from_slice(self.model.tokenizer.bytes(token));
		self.text = self.model.tokenizer.text(&self.bytes);
		let limit = MAX_OUTPUT_BYTES as usize;
		if let Some(at) = stop::cut(&self.text, &self.params).filter(|at| *at <= limit) {
			self.text.truncate(at);
			return Some(FinishReason::Stop);
		}
		if self.text.len() > limit {
			self.text.truncate(
				(0..=limit)
					.rev()
					.find(|at| self.text.is_char_boundary(*at))
					.unwrap_or(0),
			);
			return Some(FinishReason::Length);
		}
		let full = self.tokens.len() >= self.max_tokens();
		full.then_some(FinishReason::Length)
	}

	/// Keeps only the first `count` tokens, none of which ended the answer.
	pub(crate) fn truncate(&mut self, count: usize) {
		let tokens = std::mem::take(&mut self.tokens);
		self.bytes.clear();
		self.text.clear();
		for token in tokens.into_iter().take(count) {
			self.push(token);
		}
	}

	/// Returns the answer as it is published.
	pub(crate) fn output(&self, input_tokens: u32, finish: FinishReason) -> Result<Output> {
		let too_long = || Error::Compute("an answer outgrew its bounds".into());
		Ok(Output {
			input_tokens,
			tokens: self.tokens.clone().try_into().map_err(|_| too_long())?,
			text: self.text.clone().into_bytes().try_into().map_err(|_| too_long())?,
			finish,
		})
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_test_fixtures::{folder, Tiny, EOS};

	/// Of the fixture's tokenizer: special, and no end token. Its first 256 tokens are bytes.
	const USER: u32 = 262;

	/// Feeds tokens to an answer with this stop string until one ends it; returns its text and end.
	fn fed(tokens: &[u32], stop: &str) -> (String, Option<FinishReason>) {
		let model = Model::load(folder(Tiny::default()).path()).unwrap();
		let mut params = SamplingParams::greedy(100);
		params
			.stop
			.try_push(stop.as_bytes().to_vec().try_into().unwrap())
			.unwrap();
		let mut answer = Answer::new(&model, params, 100);
		let finish = tokens.iter().find_map(|token| answer.push(*token));
		(answer.text().to_owned(), finish)
	}

	fn spelled(text: &str) -> impl Iterator<Item = u32> + '_ {
		text.bytes().map(u32::from)
	}

	#[test]
	fn a_special_token_has_no_text_and_meets_no_stop_string() {
		assert_eq!(fed(&[65, USER, 66], "<|user|>"), ("AB".into(), None));
		// Spelled out in ordinary tokens it is text like any other.
		let tokens: Vec<u32> = [65, 66].into_iter().chain(spelled("<|user|>")).collect();
		assert_eq!(fed(&tokens, "<|user|>"), ("AB".into(), Some(FinishReason::Stop)));
	}

	#[test]
	fn a_stop_string_lies_across_special_tokens_and_bytes_of_a_character() {
		assert_eq!(fed(&[65, USER, 66], "AB"), (String::new(), Some(FinishReason::Stop)));
		assert_eq!(fed(&[65, 0xC3, 0xA9], "é"), ("A".into(), Some(FinishReason::Stop)));
	}

	#[test]
	fn an_end_token_ends_the_answer_as_itself_whatever_the_stop_string() {
		assert_eq!(fed(&[65, EOS, 66], "<|end|>"), ("A".into(), Some(FinishReason::Eos)));
		// What may have begun a stop string belongs to the answer then.
		assert_eq!(fed(&[65, EOS], "AB"), ("A".into(), Some(FinishReason::Eos)));
	}
}
