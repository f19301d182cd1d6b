//! Execute and verify: one run of the model, made by decoding or checked by one prefill.

use crate::{
	model::{cache::Cache, Model},
	sampler::Sampler,
	tokenizer,
	trace::Trace,
	Error, Result,
};
use assay_primitives::{
	job::{Failure, FinishReason, Output, SamplingParams},
	limits::MAX_OUTPUT_BYTES,
	Hash32, Vote,
};
use codec::Encode;

/// Rows that go through the model together. Any number gives the same bits; this one bounds memory.
pub const DEFAULT_CHUNK: usize = 64;

/// An answer and the trace of how it was computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
	/// The answer.
	pub output: Output,
	/// Root over every row.
	pub trace_root: Hash32,
}

impl Executed {
	/// One hash of both: what a known-answer test compares.
	pub fn hash(&self) -> Hash32 {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/known-answer");
		hasher.update(&(assay_primitives::digest::output_hash(&self.output), self.trace_root).encode());
		*hasher.finalize().as_bytes()
	}
}

/// Generates the answer to a prompt.
pub fn execute(model: &Model, input: &str, params: &SamplingParams, seed: Hash32) -> Result<Executed> {
	execute_with(model, input, params, seed, &mut |_| ())
}

/// [`execute`], telling the text so far after each token.
pub fn execute_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	told: &mut dyn FnMut(&str),
) -> Result<Executed> {
	let mut run = Run::start(model, input, params, seed)?;
	if run.prompt_too_long() {
		return run.executed(FinishReason::Failed(Failure::PromptTooLong));
	}
	let mut next = run.prompt.clone();
	let finish = loop {
		let Some(token) = run.decode(&next)? else {
			break FinishReason::Failed(Failure::NonFinite);
		};
		let finish = run.answer.push(token);
		told(&run.answer.text);
		match finish {
			Some(finish) => break finish,
			None => next = vec![token],
		}
	};
	run.executed(finish)
}

/// Checks a claimed answer by one prefill of prompt and claim. Never an error because of what is claimed.
pub fn verify(model: &Model, input: &str, params: &SamplingParams, seed: Hash32, claim: &Output) -> Result<Vote> {
	verify_with(model, input, params, seed, claim, DEFAULT_CHUNK)
}

/// [`verify`] with so many rows at a time; the vote doesn't depend on it.
pub fn verify_with(
	model: &Model,
	input: &str,
	params: &SamplingParams,
	seed: Hash32,
	claim: &Output,
	chunk: usize,
) -> Result<Vote> {
	let mut run = Run::start(model, input, params, seed)?;
	if run.prompt_too_long() {
		let honest = run.executed(FinishReason::Failed(Failure::PromptTooLong))?;
		return Ok(vote(honest.output == *claim, 0, honest.trace_root));
	}
	// What needs no model: where the stop rule ends the answer, and ids that are no tokens. What follows is never run.
	let vocabulary = model.llama.numbers().vocab_size;
	let mut ended = None;
	for token in claim.tokens.iter().take_while(|t| **t < vocabulary) {
		ended = run.answer.push(*token);
		if ended.is_some() {
			break;
		}
	}
	let tokens = run.answer.tokens.clone();

	// The rows that an honest run feeds: prompt and tokens but the last.
	let mut fed = run.prompt.clone();
	fed.extend(tokens.iter().take(tokens.len().saturating_sub(1)));
	let expected = Expected {
		tokens: &tokens,
		ended: ended.is_some(),
	};
	match run.follow(&fed, chunk, &expected)? {
		Some(Stop::Differs { position }) => return Ok(vote(false, position, run.trace.root())),
		Some(Stop::Fails { position }) => return run.failed(position, claim),
		None => {}
	}
	if let Some(finish) = ended {
		if run.answer.output(run.input_tokens, finish)? == *claim {
			return Ok(vote(true, 0, run.trace.root()));
		}
	}
	// The tokens are right; how the claim goes on or ends behind them is wrong, or the run fails on the last of them.
	let stop = match tokens.last() {
		Some(last) => run.follow(&[*last], 1, &expected)?,
		None => None,
	};
	match (stop, ended) {
		(Some(Stop::Fails { position }), None) => run.failed(position, claim),
		_ => Ok(vote(false, tokens.len(), run.trace.root())),
	}
}

fn vote(confirm: bool, position: usize, root: Hash32) -> Vote {
	match confirm {
		true => Vote::Confirm { trace_root: root },
		false => Vote::Reject {
			position: position as u32,
			prefix_root: root,
		},
	}
}

/// What a claim says the rows behind the prompt must choose.
struct Expected<'a> {
	tokens: &'a [u32],
	/// Whether the answer ends with the last of them, so that its row chooses nothing.
	ended: bool,
}

/// Where an honest run leaves the claim.
enum Stop {
	/// It chooses another token here.
	Differs { position: usize },
	/// It meets a row that isn't finite after so many tokens.
	Fails { position: usize },
}

/// One run of the model on one prompt.
struct Run<'a> {
	model: &'a Model,
	sampler: Sampler,
	prompt: Vec<u32>,
	input_tokens: u32,
	cache: Cache,
	trace: Trace,
	answer: Answer<'a>,
}

impl<'a> Run<'a> {
	fn start(model: &'a Model, input: &str, params: &'a SamplingParams, seed: Hash32) -> Result<Self> {
		if !params.is_valid() {
			return Err(Error::Work("a sampling parameter is out of range".into()));
		}
		let prompt = model.prompt(input)?;
		if prompt.is_empty() {
			return Err(Error::Work("the prompt has no tokens".into()));
		}
		let context = model.manifest().context_length() as usize;
		let llama = &model.llama;
		Ok(Self {
			sampler: Sampler::new(params, seed),
			input_tokens: prompt.len().min(context) as u32,
			cache: llama.cache(prompt.len().saturating_add(params.max_tokens as usize))?,
			trace: Trace::new(llama.numbers().num_hidden_layers as usize),
			answer: Answer::new(model, params, context.saturating_sub(prompt.len())),
			model,
			prompt,
		})
	}

	/// Whether there is no room for even one token.
	fn prompt_too_long(&self) -> bool {
		self.answer.room == 0
	}

	/// Feeds tokens and chooses one from the row of the last; none if a row isn't finite.
	fn decode(&mut self, tokens: &[u32]) -> Result<Option<u32>> {
		let llama = &self.model.llama;
		let mut left = tokens.len();
		for chunk in tokens.chunks(DEFAULT_CHUNK) {
			left -= chunk.len();
			let rows = llama.forward(chunk, &mut self.cache)?;
			if let Some(bad) = rows.first_bad {
				self.trace.push(&rows, bad)?;
				return Ok(None);
			}
			if left > 0 {
				self.trace.push(&rows, chunk.len())?;
				continue;
			}
			let last = chunk.len() - 1;
			let logits = llama
				.logits(&rows.norm.narrow(0, last, 1)?)?
				.flatten_all()?
				.to_vec1::<f32>()?;
			let chosen = self.sampler.choose(&logits, self.answer.tokens.len() as u32);
			self.trace.push(&rows, last + usize::from(chosen.is_some()))?;
			return Ok(chosen);
		}
		Ok(None)
	}

	/// Feeds tokens, `chunk` at a time, and compares what the rows choose with what is expected of them.
	fn follow(&mut self, tokens: &[u32], chunk: usize, expected: &Expected<'_>) -> Result<Option<Stop>> {
		let llama = &self.model.llama;
		for chunk in tokens.chunks(chunk.max(1)) {
			let first = self.trace.rows();
			let rows = llama.forward(chunk, &mut self.cache)?;
			let finite = rows.first_bad.unwrap_or(chunk.len());
			// Row `prompt − 1 + i` chooses token i.
			let before = self.prompt.len() - 1;
			let from = before.saturating_sub(first).min(finite);
			let until = (before + expected.tokens.len() + usize::from(!expected.ended))
				.saturating_sub(first)
				.min(finite);
			if from < until {
				let logits = llama
					.logits(&rows.norm.narrow(0, from, until - from)?)?
					.to_vec2::<f32>()?;
				for (row, logits) in (from..until).zip(&logits) {
					let position = first + row - before;
					let (good, stop) = match (
						self.sampler.choose(logits, position as u32),
						expected.tokens.get(position),
					) {
						(None, _) => (row, Stop::Fails { position }),
						(Some(chosen), Some(token)) if chosen != *token => (row + 1, Stop::Differs { position }),
						_ => continue,
					};
					self.trace.push(&rows, good)?;
					return Ok(Some(stop));
				}
			}
			self.trace.push(&rows, finite)?;
			if finite < chunk.len() {
				let position = (first + finite + 1).saturating_sub(self.prompt.len());
				return Ok(Some(Stop::Fails { position }));
			}
		}
		Ok(None)
	}

	/// The vote on a claim when the honest run fails after `position` tokens.
	fn failed(&mut self, position: usize, claim: &Output) -> Result<Vote> {
		self.answer.rewind(position);
		let honest = self
			.answer
			.output(self.input_tokens, FinishReason::Failed(Failure::NonFinite))?;
		Ok(vote(honest == *claim, position, self.trace.root()))
	}

	fn executed(&self, finish: FinishReason) -> Result<Executed> {
		Ok(Executed {
			output: self.answer.output(self.input_tokens, finish)?,
			trace_root: self.trace.root(),
		})
	}
}

/// The answer so far, and the rule that ends it.
struct Answer<'a> {
	model: &'a Model,
	params: &'a SamplingParams,
	/// Tokens that fit into the context behind the prompt.
	room: usize,
	tokens: Vec<u32>,
	bytes: Vec<u8>,
	text: String,
}

impl<'a> Answer<'a> {
	fn new(model: &'a Model, params: &'a SamplingParams, room: usize) -> Self {
		Self {
			model,
			params,
			room,
			tokens: Vec::new(),
			bytes: Vec::new(),
			text: String::new(),
		}
	}

	/// Adds a token; tells whether and why the answer ends with it.
	fn push(&mut self, token: u32) -> Option<FinishReason> {
		self.tokens.push(token);
		if self.model.llama.numbers().eos_token_ids.contains(&token) {
			return Some(FinishReason::Eos);
		}
		self.bytes.extend_from_slice(self.model.tokenizer.bytes(token));
		self.text = tokenizer::text(&self.bytes);
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
		let full = self.tokens.len() >= self.room.min(self.params.max_tokens as usize);
		full.then_some(FinishReason::Length)
	}

	/// Back to the first `count` tokens, none of which ended the answer.
	fn rewind(&mut self, count: usize) {
		let tokens = std::mem::take(&mut self.tokens);
		*self = Self::new(self.model, self.params, self.room);
		for token in tokens.into_iter().take(count) {
			self.push(token);
		}
	}

	fn output(&self, input_tokens: u32, finish: FinishReason) -> Result<Output> {
		let too_long = || Error::Compute("an answer outgrew its bounds".into());
		Ok(Output {
			input_tokens,
			tokens: self.tokens.clone().try_into().map_err(|_| too_long())?,
			text: self.text.clone().into_bytes().try_into().map_err(|_| too_long())?,
			finish,
		})
	}
}
