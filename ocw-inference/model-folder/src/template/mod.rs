//! The chat template: an untrusted program.
//!
//! minijinja parses it; the interpreter is our own, because an engine for web pages bounds neither the memory nor the
//! time that one of its steps may take. Here every byte and element costs a unit of a budget (`interpreter`), the
//! language is the part of Jinja that chat templates are written in (`builtins`), and there is no clock, no file and no
//! randomness to reach.

mod builtins;
mod chat;
mod complete;
mod error;
mod fraction;
mod interpreter;
mod names;
mod source;
mod special_tokens;
mod value;

pub use special_tokens::{named, with_special_tokens, SpecialTokens, NAMES};

use crate::{Error, Result};
use assay_primitives::chat::Chat;
use interpreter::Interpreter;
use minijinja::{
	machinery::{ast::Stmt, parse, WhitespaceConfig},
	syntax::SyntaxConfig,
};
use names::Names;

/// Longest rendered prompt, in bytes.
const MAX_RENDERED_BYTES: usize = 128 << 10;
/// As Hugging Face renders chat templates.
const WHITESPACE: WhitespaceConfig = WhitespaceConfig {
	keep_trailing_newline: false,
	lstrip_blocks: true,
	trim_blocks: true,
};

/// A chat template.
pub struct Template {
	source: String,
}

impl Template {
	/// Checks a template's limits and syntax, and that it sets each special token before it names it
	/// ([`with_special_tokens`]).
	pub fn parse(source: &[u8]) -> Result<Self> {
		let source = source::checked(source)?;
		special_tokens::check_set(&source)?;
		Ok(Self { source })
	}

	/// Returns what the template writes for one user message.
	pub fn render(&self, message: &str) -> Result<String> {
		render(&tree(&self.source)?, chat::of_chat(&Chat::of_message(message)))
	}

	/// Returns its text.
	pub fn source(&self) -> &str {
		&self.source
	}

	/// Returns the prompt of a conversation. If the template leaves a part of it out, the error names that.
	pub fn render_chat(&self, chat: &Chat) -> Result<String> {
		// Parsed again each time: a tree borrows its source, and parsing takes a fraction of tokenizing the result.
		let tree = tree(&self.source)?;
		let prompt = render(&tree, chat::of_chat(chat))?;
		match complete::left_out(chat, &Names::of(&tree), &prompt) {
			Some(part) => Err(Error::LeftOut(part)),
			None => Ok(prompt),
		}
	}

	/// Returns what the template writes for a map of `messages` and any other variables: for comparing with transformers,
	/// which can be given what is no conversation here.
	#[cfg(any(test, feature = "test-utils"))]
	pub fn render_variables(&self, variables: &[(String, assay_primitives::json::Json)]) -> Result<String> {
		render(&tree(&self.source)?, chat::of_map(variables))
	}
}

fn render<'a>(tree: &'a Stmt<'a>, variables: error::Result<chat::Variables<'a>>) -> Result<String> {
	let rendered = variables.and_then(|variables| Interpreter::render(tree, variables));
	rendered.map_err(Into::into)
}

fn refused<T>(reason: String) -> Result<T> {
	Err(Error::Template(reason))
}

fn tree(source: &str) -> Result<Stmt<'_>> {
	parse(source, "chat", SyntaxConfig, WHITESPACE).map_err(|e| Error::Template(e.to_string()))
}

#[cfg(test)]
mod tests;
