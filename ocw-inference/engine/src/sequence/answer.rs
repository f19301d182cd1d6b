//! The answer so far, and the rule that ends it (`docs/spec/c1-w8.md` §5).

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

	/// Adds a token; returns why the answer ends with it, if it does.
	pub(crate) fn push(&mut self, token: u32) -> Option<FinishReason> {
		self.tokens.push(token);
		if self.model.eos_token_ids().contains(&token) {
			return Some(FinishReason::Eos);
		}
		self.bytes.extend_from_slice(self.model.tokenizer.bytes(token));
		self.text = self.model.tokenizer.text(&self.bytes);
		let stops = self
			.params
			.stop
			.iter()
			.filter_map(|stop| std::str::from_utf8(stop).ok());
		let limit = MAX_OUTPUT_BYTES as usize;
		if let Some(at) = stops
			.filter_map(|stop| self.text.find(stop))
			.min()
			.filter(|at| *at <= limit)
		{
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
