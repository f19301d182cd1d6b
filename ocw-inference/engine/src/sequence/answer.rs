//! The answer so far, and the rule that ends it (`docs/spec/c2.md` §5).

use super::stop;
use crate::{Error, Model, Result};
use assay_model_folder::tokenizer::TextDecoder;
use assay_primitives::{
	job::{FinishReason, Output, SamplingParams},
	stream::StreamToken,
};
use std::ops::Range;

/// Tokens sampled so far and their text.
pub(crate) struct Answer {
	model: Model,
	params: SamplingParams,
	/// Tokens that fit into the context behind the prompt.
	context_left: usize,
	tokens: Vec<u32>,
	decoder: TextDecoder,
	text: String,
	/// What the last token added to the part of the text that stands however the answer goes on.
	settled: Range<usize>,
}

impl Answer {
	/// Makes an empty answer behind a prompt that leaves `context_left` tokens.
	pub(crate) fn new(model: &Model, params: SamplingParams, context_left: usize) -> Self {
		Self {
			model: model.clone(),
			params,
			context_left,
			tokens: Vec::new(),
			decoder: model.tokenizer().text_decoder(),
			text: String::new(),
			settled: 0..0,
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

	/// Returns the last token and the text that it added: of the part that is in the answer however it goes on, without an
	/// end that may begin a stop string. So what a token adds depends on the tokens before it alone.
	pub(crate) fn last(&self) -> Option<StreamToken> {
		let text = self.text.get(self.settled.clone()).unwrap_or_default();
		self.tokens.last().map(|id| StreamToken {
			id: *id,
			text: text.into(),
		})
	}

	/// Adds a token; returns why the answer ends with it, if it does.
	pub(crate) fn push(&mut self, token: u32) -> Option<FinishReason> {
		let finish = self.add(token);
		let settled = match finish {
			Some(FinishReason::Stop) => self.text.len(),
			_ => stop::settled(&self.text, &self.params).len(),
		};
		let before = self.settled.end;
		self.settled = before..settled.max(before);
		finish
	}

	fn add(&mut self, token: u32) -> Option<FinishReason> {
		self.tokens.push(token);
		if self.model.eos_token_ids().contains(&token) {
			return Some(FinishReason::Eos);
		}
		let before = self.text.len();
		self.decoder.push(self.model.tokenizer().bytes(token), &mut self.text);
		let limit = self.params.max_text_bytes() as usize;
		if let Some(at) = stop::cut(&self.text, before, &self.params).filter(|at| *at <= limit) {
			self.text.truncate(at);
			return Some(FinishReason::Stop);
		}
		if self.text.len() > limit {
			self.text.truncate(self.text.floor_char_boundary(limit));
			return Some(FinishReason::Length);
		}
		let full = self.tokens.len() >= self.max_tokens();
		full.then_some(FinishReason::Length)
	}

	/// Keeps only the first `count` tokens, none of which ended the answer.
	pub(crate) fn truncate(&mut self, count: usize) {
		let tokens = std::mem::take(&mut self.tokens);
		*self = Self::new(&self.model, self.params.clone(), self.context_left);
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
	use assay_test_fixtures::{folder, options, write_source, Tiny, EOS};
	use proptest::{prelude::*, test_runner::TestRunner};

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
		(answer.text, finish)
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

	/// The token of a tokenizer whose tokens are long.
	const LONG: u32 = 265;

	/// Returns a model that has a token of 100 bytes.
	fn with_a_long_token() -> Model {
		let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
		write_source(source.path(), Tiny::default());
		let mut tokenizer = assay_test_fixtures::tokenizer();
		let mut long = tokenizer["added_tokens"][0].clone();
		long["id"] = LONG.into();
		long["content"] = "é".repeat(50).into();
		long["special"] = false.into();
		tokenizer["added_tokens"].as_array_mut().unwrap().push(long);
		std::fs::write(source.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
		assay_import::import(source.path(), out.path(), &options()).unwrap();
		Model::load(out.path()).unwrap()
	}

	/// The rule as it is written (§5), over the whole text of the tokens at each step: the text, how much of it is certain,
	/// and the end.
	fn by_the_book(model: &Model, params: &SamplingParams, tokens: &[u32]) -> (String, usize, Option<FinishReason>) {
		let ends = tokens.last() == Some(&EOS);
		let said = &tokens[..tokens.len() - usize::from(ends)];
		let bytes: Vec<u8> = said
			.iter()
			.flat_map(|token| model.tokenizer().bytes(*token))
			.copied()
			.collect();
		let (mut text, limit) = (model.tokenizer().text(&bytes), params.max_text_bytes() as usize);
		let finish = match stop::cut(&text, 0, params) {
			_ if ends => Some(FinishReason::Eos),
			Some(at) if at <= limit => {
				text.truncate(at);
				return (text, at, Some(FinishReason::Stop));
			}
			_ if text.len() > limit => {
				let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at)).unwrap();
				text.truncate(end);
				Some(FinishReason::Length)
			}
			_ => (tokens.len() >= params.max_tokens as usize).then_some(FinishReason::Length),
		};
		let settled = stop::settled(&text, params).len();
		(text, settled, finish)
	}

	#[test]
	fn an_answer_token_by_token_is_the_one_by_the_book() {
		let model = with_a_long_token();
		let kinds = prop_oneof![
			8 => prop::sample::select(vec![97u32, 98, 0xC3, 0xA9, 0xE2, 0x82, 0xAC, 0xFF, 32]),
			2 => Just(LONG),
			1 => Just(USER),
		];
		let tokens = prop::collection::vec(prop_oneof![30 => kinds, 1 => Just(EOS)], 1..60);
		let stops = prop::collection::vec("[abé€]{1,4}", 0..=4);
		let mut runner = TestRunner::deterministic();
		let mut ends = std::collections::BTreeSet::new();
		let seen = std::cell::RefCell::new(&mut ends);
		let result = runner.run(&(tokens, stops, 30..60u32), |(tokens, stops, max_tokens)| {
			let stop = stops.into_iter().map(|stop| stop.into_bytes().try_into().unwrap());
			let params = SamplingParams {
				stop: stop.collect::<Vec<_>>().try_into().unwrap(),
				..SamplingParams::greedy(max_tokens)
			};
			let (mut answer, mut streamed) = (Answer::new(&model, params.clone(), 1_000), String::new());
			for count in 1..=tokens.len() {
				let finish = answer.push(tokens[count - 1]);
				let (text, settled, expected) = by_the_book(&model, &params, &tokens[..count]);
				prop_assert_eq!((&answer.text, finish), (&text, expected));
				let last = answer.last().unwrap();
				prop_assert_eq!(last.id, tokens[count - 1]);
				streamed.push_str(&last.text);
				prop_assert!(text.starts_with(&streamed) && streamed.len() >= settled);
				seen.borrow_mut()
					.extend(finish.map(|finish| format!("{finish:?}{}", text.len() > 900)));
				if finish.is_some() {
					break;
				}
				prop_assert_eq!(streamed.len(), settled);
			}
			// What was taken back is as if it had never been.
			let kept = answer.tokens().len() / 2;
			let mut again = Answer::new(&model, params, 1_000);
			for token in &tokens[..kept] {
				prop_assert_eq!(again.push(*token), None);
			}
			answer.truncate(kept);
			prop_assert_eq!((&answer.text, answer.last()), (&again.text, again.last()));
			Ok(())
		});
		result.unwrap();
		assert!(ends.len() >= 5, "{ends:?}");
	}
}
