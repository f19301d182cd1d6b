//! The chat template: an untrusted program.
//!
//! minijinja parses it; the interpreter is our own, because an engine for web pages bounds neither the memory nor the
//! time that one of its steps may take. Here every byte and element costs a unit of a budget (`interpreter`), the
//! language is the part of Jinja that chat templates are written in (`builtins`), and there is no clock, no file and no
//! randomness to reach.

mod builtins;
mod chat;
mod error;
mod interpreter;
mod source;
mod special_tokens;
mod value;

pub use chat::Chat;
pub use special_tokens::{named, with_special_tokens, SpecialTokens, NAMES};

use crate::{Error, Result};
use interpreter::Interpreter;
use minijinja::{
	machinery::{ast::Stmt, parse, WhitespaceConfig},
	syntax::SyntaxConfig,
};

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

	/// Returns the prompt of one user message.
	pub fn render(&self, message: &str) -> Result<String> {
		self.render_chat(&Chat::of(message))
	}

	/// Returns the prompt of a conversation.
	pub fn render_chat(&self, chat: &Chat) -> Result<String> {
		// Parsed again each time: a tree borrows its source, and parsing takes a fraction of tokenizing the result.
		let tree = tree(&self.source)?;
		chat.variables()
			.and_then(|variables| Interpreter::render(&tree, variables))
			.map_err(|error| Error::Template(error.into_reason()))
	}
}

fn refused<T>(reason: String) -> Result<T> {
	Err(Error::Template(reason))
}

fn tree(source: &str) -> Result<Stmt<'_>> {
	parse(source, "chat", SyntaxConfig, WHITESPACE).map_err(|e| Error::Template(e.to_string()))
}

#[cfg(test)]
mod tests;
