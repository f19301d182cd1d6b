//! How the text of an answer is read: reasoning first, then text for the user, with tool calls in it.

use crate::{calls::Notations, network::Model, thinking::Thinking};
use assay_primitives::chat::{call::Call, Chat, ResponseFormat, ToolChoice};

/// What a client wants of a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reasoning {
	/// Apart from the text, if the answer begins with it or the model's template is known to open it.
	Separate,
	/// Apart from the text, and the answer begins with it without a mark.
	Opened,
	/// In the text, as the model wrote it.
	Raw,
}

/// How an answer is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
	thinking: Option<Thinking>,
	notations: Option<Notations>,
}

/// What a complete answer consists of.
#[derive(Debug, Default)]
pub(crate) struct Parts {
	pub(crate) reasoning: String,
	/// The text without reasoning and calls.
	pub(crate) content: String,
	pub(crate) calls: Vec<Call>,
}

impl Reading {
	/// Returns how the answer to a conversation is read. `parallel` is whether more than its first call is passed on.
	pub(crate) fn of(chat: &Chat, model: &Model, parallel: bool, reasoning: Reasoning) -> Self {
		// The first token of an answer that is held to something is that of the answer itself, whatever the prompt has opened.
		let is_held = chat.response_format != ResponseFormat::Text
			|| matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
		Self {
			thinking: match reasoning {
				Reasoning::Separate | Reasoning::Opened if is_held => Some(Thinking::Marked),
				Reasoning::Separate => Some(Thinking::of(chat, model)),
				Reasoning::Opened => Some(Thinking::Opened),
				Reasoning::Raw => None,
			},
			notations: Notations::of(chat, model, parallel),
		}
	}

	/// Returns the parts of a complete answer.
	pub(crate) fn split(&self, text: &str) -> Parts {
		let (reasoning, rest) = self.reasoning(text, true);
		let (content, calls) = match &self.notations {
			Some(notations) => notations.split(rest),
			None => (rest.into(), Vec::new()),
		};
		Parts {
			reasoning: reasoning.into(),
			content,
			calls,
		}
	}

	/// Returns the reasoning and the rest of a draft, as far as they stay so whatever follows.
	pub(crate) fn draft<'t>(&self, text: &'t str) -> (&'t str, &'t str) {
		self.reasoning(text, false)
	}

	/// Returns how the rest may write calls; none if it may not call anything.
	pub(crate) fn notations(&self) -> Option<&Notations> {
		self.notations.as_ref()
	}

	fn reasoning<'t>(&self, text: &'t str, complete: bool) -> (&'t str, &'t str) {
		match self.thinking {
			Some(thinking) => thinking.split(text, complete),
			None => ("", text),
		}
	}
}
