//! The text of a template before it is parsed: limits, ends of lines, and the one block that is not Jinja's own.

use super::{refused, tree, WHITESPACE};
use crate::{files, Error, Result};
use minijinja::{
	machinery::{tokenize, Span, Token},
	syntax::SyntaxConfig,
};

/// Most tokens of one `{{ … }}` or `{% … %}`: what the parser's recursion follows.
const MAX_TAG_TOKENS: usize = 512;
/// Most `elif` of a template: the parser recurses at each.
const MAX_ELIFS: usize = 200;
/// Longest name.
const MAX_NAME_BYTES: usize = 64;

/// Returns the text of a template, with the ends of lines that Jinja reads, within the limits and parsed once.
pub(super) fn checked(source: &[u8]) -> Result<String> {
	if source.len() as u64 > files::MAX_TEMPLATE_BYTES {
		return refused(format!("{} bytes; at most {}", source.len(), files::MAX_TEMPLATE_BYTES));
	}
	let Ok(source) = std::str::from_utf8(source) else {
		return refused("not UTF-8".into());
	};
	let source = source.replace("\r\n", "\n").replace('\r', "\n");
	let source = without_generation(&source)?;
	check_tokens(&source)?;
	tree(&source)?;
	Ok(source)
}

/// Returns the tokens of a template with their places.
pub(super) fn tokens(source: &str) -> impl Iterator<Item = Result<(Token<'_>, Span)>> {
	tokenize(source, false, SyntaxConfig, WHITESPACE).map(|token| token.map_err(|e| Error::Template(e.to_string())))
}

/// Writes `{% generation %}` as the `{% with %}` that it is to a reader: a block that renders its body in a scope of its
/// own. It marks what the model said, for training.
fn without_generation(source: &str) -> Result<String> {
	let mut rewritten = String::with_capacity(source.len());
	let mut copied = 0;
	let mut tag = Vec::new();
	for token in tokens(source) {
		let (token, span) = token?;
		match token {
			Token::BlockStart => tag.clear(),
			Token::BlockEnd => {
				if let [Some((with, begin, end))] = tag[..] {
					rewritten.push_str(source.get(copied..begin).unwrap_or_default());
					rewritten.push_str(with);
					copied = end;
				}
				tag.clear();
			}
			Token::Ident(name) => tag.push(match name {
				"generation" => Some(("with", span.start_offset as usize, span.end_offset as usize)),
				"endgeneration" => Some(("endwith", span.start_offset as usize, span.end_offset as usize)),
				_ => None,
			}),
			_ => tag.push(None),
		}
	}
	rewritten.push_str(source.get(copied..).unwrap_or_default());
	Ok(rewritten)
}

/// Limits before parsing: the parser recurses over the tokens of one tag, and at each `elif`.
fn check_tokens(source: &str) -> Result<()> {
	let (mut in_tag, mut elifs) = (0, 0);
	for token in tokens(source) {
		let (token, span) = token?;
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
