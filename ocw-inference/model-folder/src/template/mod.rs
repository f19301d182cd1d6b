//! The chat template: an untrusted program.
//!
//! minijinja parses it; the interpreter is our own, because an engine for web pages bounds neither the memory nor the
//! time that one of its steps may take. Here every byte and element costs a unit of a budget (`interpreter`), the
//! language is the part of Jinja that chat templates are written in (`builtins`), and there is no clock, no file and no
//! randomness to reach.

mod builtins;
mod error;
mod interpreter;
mod value;

use crate::{files, Error, Result};
use interpreter::Interpreter;
use minijinja::{
	machinery::{ast::Stmt, parse, tokenize, Token, WhitespaceConfig},
	syntax::SyntaxConfig,
};
use std::collections::BTreeMap;
use value::Value;

/// Longest rendered prompt, in bytes.
const MAX_RENDERED_BYTES: usize = 128 << 10;
/// Most tokens of one `{{ … }}` or `{% … %}`: what the parser's recursion follows.
const MAX_TAG_TOKENS: usize = 512;
/// Most `elif` of a template: the parser recurses at each.
const MAX_ELIFS: usize = 200;
/// Longest name.
const MAX_NAME_BYTES: usize = 64;
/// As Hugging Face renders chat templates.
const WHITESPACE: WhitespaceConfig = WhitespaceConfig {
	keep_trailing_newline: false,
	lstrip_blocks: true,
	trim_blocks: true,
};

/// A chat template.
pub struct Template {
	source: String,
	bos: String,
	eos: String,
}

impl Template {
	/// Checks a template's limits and syntax. The template may call the texts `bos` and `eos` by `bos_token` and
	/// `eos_token`.
	pub fn parse(source: &[u8], bos: &str, eos: &str) -> Result<Self> {
		if source.len() as u64 > files::MAX_TEMPLATE_BYTES {
			return refused(format!("{} bytes; at most {}", source.len(), files::MAX_TEMPLATE_BYTES));
		}
		let Ok(source) = std::str::from_utf8(source) else {
			return refused("not UTF-8".into());
		};
		check_tokens(source)?;
		tree(source)?;
		Ok(Self {
			source: source.to_owned(),
			bos: bos.to_owned(),
			eos: eos.to_owned(),
		})
	}

	/// Returns the prompt of one user message.
	pub fn render(&self, message: &str) -> Result<String> {
		// Parsed again each time: a tree borrows its source, and parsing takes a fraction of tokenizing the result.
		let tree = tree(&self.source)?;
		self.variables(message)
			.and_then(|variables| Interpreter::render(&tree, variables))
			.map_err(|error| Error::Template(error.into_reason()))
	}

	fn variables<'a>(&self, message: &str) -> error::Result<BTreeMap<&'a str, Value<'a>>> {
		let user = Value::map(vec![
			("role".into(), Value::text("user")),
			("content".into(), Value::text(message)),
		])?;
		Ok(BTreeMap::from([
			("messages", Value::list(vec![user])?),
			("add_generation_prompt", Value::Bool(true)),
			// Set as transformers sets them: templates ask whether they are none.
			("tools", Value::None),
			("documents", Value::None),
			("bos_token", Value::text(&self.bos)),
			("eos_token", Value::text(&self.eos)),
		]))
	}
}

fn refused<T>(reason: String) -> Result<T> {
	Err(Error::Template(reason))
}

fn tree(source: &str) -> Result<Stmt<'_>> {
	parse(source, "chat", SyntaxConfig, WHITESPACE).map_err(|e| Error::Template(e.to_string()))
}

/// Limits before parsing: the parser recurses over the tokens of one tag, and at each `elif`.
fn check_tokens(source: &str) -> Result<()> {
	let (mut in_tag, mut elifs) = (0, 0);
	for token in tokenize(source, false, SyntaxConfig, WHITESPACE) {
		let (token, span) = token.map_err(|e| Error::Template(e.to_string()))?;
		let line = span.start_line;
		in_tag += 1;
		match token {
			Token::VariableStart | Token::BlockStart => in_tag = 0,
			Token::Ident(name) if name.len() > MAX_NAME_BYTES => {
				return refused(format!(
					"line {line}: a name of {} bytes; at most {MAX_NAME_BYTES}",
					name.len()
				))
			}
			Token::Ident("elif") => elifs += 1,
			_ => {}
		}
		if in_tag > MAX_TAG_TOKENS {
			return refused(format!("line {line}: a tag of more than {MAX_TAG_TOKENS} tokens"));
		}
		if elifs > MAX_ELIFS {
			return refused(format!("line {line}: more than {MAX_ELIFS} `elif`"));
		}
	}
	Ok(())
}

#[cfg(test)]
mod tests;
