//! From an input to the tokens of a prompt, or to the refusal that every machine finds alike (`docs/spec/c2.md` §5).

use super::Model;
use crate::{Error, Result};
use assay_model_folder::Error as FolderError;
use assay_primitives::{chat::Chat, job::Failure, Input};

/// Longest text of a refusal, in bytes.
const MAX_REFUSAL_BYTES: usize = 256;

/// Why a model makes no prompt of an input.
pub(crate) struct Refusal {
	/// The reason.
	pub(crate) failure: Failure,
	/// What it is about, as the answer's text.
	pub(crate) text: String,
}

impl Refusal {
	/// Makes the refusal of a part of a conversation that no answer can be held to.
	pub(crate) fn of_grammar(part: &str) -> Self {
		Self {
			failure: Failure::Grammar,
			text: part.into(),
		}
	}
}

impl From<Failure> for Refusal {
	fn from(failure: Failure) -> Self {
		Self {
			failure,
			text: String::new(),
		}
	}
}

/// Reads an input as a conversation; a text is one message of the user. What cannot be read says nothing about a claim:
/// a chain lets no such input through.
pub(crate) fn read(input: &Input) -> Result<Chat> {
	match input {
		Input::Text(bytes) => {
			let text = std::str::from_utf8(bytes).map_err(|_| Error::Work("the prompt is not UTF-8".into()))?;
			Ok(Chat::of_message(text))
		}
		Input::Chat(json) => {
			Chat::parse(json).map_err(|error| Error::Work(format!("the input is no conversation: {error}")))
		}
	}
}

impl Model {
	/// Returns the token ids of a prompt of one user message, chat template included.
	pub fn prompt(&self, input: &str) -> Result<Vec<u32>> {
		self.prompt_of(&Chat::of_message(input))
	}

	fn prompt_of(&self, chat: &Chat) -> Result<Vec<u32>> {
		self.decoder()?;
		Ok(self.tokenizer().encode(&self.template().render_chat(chat)?)?)
	}

	/// Returns the tokens of a prompt, of which there is one at least, or why the model makes none of this conversation.
	pub(crate) fn prompt_or_refusal(&self, chat: &Chat) -> Result<std::result::Result<Vec<u32>, Refusal>> {
		if self.encoder().is_ok() {
			return Ok(Err(Failure::NotGenerative.into()));
		}
		let refused = |failure, mut text: String| {
			text.truncate(text.floor_char_boundary(MAX_REFUSAL_BYTES));
			Ok(Err(Refusal { failure, text }))
		};
		match self.prompt_of(chat) {
			Ok(tokens) if tokens.is_empty() => Ok(Err(Failure::NoTokens.into())),
			Ok(tokens) => Ok(Ok(tokens)),
			Err(Error::Folder(FolderError::Raised(message))) => refused(Failure::Template, message),
			Err(Error::Folder(FolderError::LeftOut(part))) => refused(Failure::PartLeftOut, part),
			Err(Error::Folder(FolderError::Template(_) | FolderError::Tokenizer(_))) => {
				Ok(Err(Failure::Template.into()))
			}
			Err(other) => Err(other),
		}
	}

	/// Returns how many tokens of a prompt are paid for: no more than the input has bytes and the template adds, whatever
	/// tokenizer and template make of the input, and no more than the context holds.
	pub(crate) fn input_tokens(&self, input: &Input, prompt: usize) -> u32 {
		let bound = input
			.bytes()
			.len()
			.saturating_add(self.manifest().prompt_overhead as usize);
		let tokens = prompt.min(bound).min(self.manifest().context_length() as usize);
		u32::try_from(tokens).unwrap_or(u32::MAX)
	}
}
