//! The chat template: a program from a stranger.
//!
//! minijinja parses it; what runs it is ours, because an engine for web pages bounds neither the memory nor the time that one
//! of its steps may take. Here every byte and element costs a unit of a budget (`run`), the language is the part of Jinja
//! that chat templates are written in (`names`), and there is no clock, no file and no randomness to reach.

mod names;
mod run;
mod value;

use crate::{files, Error, Result};
use minijinja::{
	machinery::{ast::Stmt, parse, tokenize, Token, WhitespaceConfig},
	syntax::SyntaxConfig,
};
use run::Run;
use std::{collections::BTreeMap, path::Path};
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
	/// Reads a folder's `chat_template.jinja`. `bos` and `eos` are what the template may call by these names.
	pub fn read(dir: &Path, bos: &str, eos: &str) -> Result<Self> {
		Self::parse(
			&files::read(&dir.join(files::TEMPLATE), files::MAX_TEMPLATE_BYTES)?,
			bos,
			eos,
		)
	}

	/// Checks a template's limits and syntax.
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

	/// The prompt of one user message.
	pub fn render(&self, message: &str) -> Result<String> {
		// Parsed anew each time: a tree borrows its source, and parsing takes a fraction of tokenising the result.
		let tree = tree(&self.source)?;
		self.variables(message)
			.and_then(|variables| Run::render(&tree, variables))
			.map_err(|refusal| Error::Template(refusal.into_reason()))
	}

	fn variables<'a>(&self, message: &str) -> value::Result<BTreeMap<&'a str, Value<'a>>> {
		let user = Value::map(vec![
			("role".into(), Value::text("user")),
			("content".into(), Value::text(message)),
		])?;
		Ok(BTreeMap::from([
			("messages", Value::list(vec![user])?),
			("add_generation_prompt", Value::Bool(true)),
			// Said as transformers says it: templates ask whether they are none.
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
			return refused(format!(
				"line {line}: a tag of more than {MAX_TAG_TOKENS} words and signs"
			));
		}
		if elifs > MAX_ELIFS {
			return refused(format!("line {line}: more than {MAX_ELIFS} `elif`"));
		}
	}
	Ok(())
}

#[cfg(test)]
mod tests;
