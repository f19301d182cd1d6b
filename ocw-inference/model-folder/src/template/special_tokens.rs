//! The special tokens that a template may name. A model directory has no other place for them: its template begins by
//! setting those that it names.

use super::{
	refused,
	source::{checked, tokens},
};
use crate::Result;
use minijinja::machinery::Token;
use std::collections::{BTreeMap, BTreeSet};

/// What transformers hands to every template, if the tokenizer has it.
pub const NAMES: [&str; 7] = [
	"bos_token",
	"eos_token",
	"unk_token",
	"sep_token",
	"pad_token",
	"cls_token",
	"mask_token",
];

/// The written forms of special tokens, by the names that templates know them by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
	/// Gives a token its name.
	pub fn set(&mut self, name: &str, written: &str) {
		self.0.insert(name.to_owned(), written.to_owned());
	}

	/// Returns the written form of a token.
	pub fn get(&self, name: &str) -> Option<&str> {
		self.0.get(name).map(String::as_str)
	}
}

/// Returns the template of a model directory: the source's, after a line for each special token that it names. One that
/// `special` does not have is undefined there, as it is in transformers.
pub fn with_special_tokens(source: &[u8], special: &SpecialTokens) -> Result<Vec<u8>> {
	let text = checked(source)?;
	let mut whole = String::new();
	for name in names(&text)? {
		let Some(written) = special.get(&name) else {
			if NAMES.contains(&name.as_str()) {
				whole.push_str(&format!("{{% set {name} = undefined %}}\n"));
			}
			continue;
		};
		// A text in JSON is the same text in Jinja; the end of line after a tag belongs to the tag.
		let written = serde_json::Value::from(written);
		whole.push_str(&format!("{{% set {name} = {written} %}}\n"));
	}
	let mut whole = whole.into_bytes();
	whole.extend_from_slice(source);
	Ok(whole)
}

/// Returns the special tokens that a template names, whether it sets them or not.
pub fn named(source: &[u8]) -> Result<BTreeSet<String>> {
	names(&checked(source)?)
}

fn names(source: &str) -> Result<BTreeSet<String>> {
	let mut names = BTreeSet::new();
	each_name(source, |name, _| {
		names.insert(name.to_owned());
		Ok(())
	})?;
	Ok(names)
}

/// Refuses a template that names a special token before it sets it: what it means would be anyone's guess.
pub(super) fn check_set(source: &str) -> Result<()> {
	let mut set = BTreeSet::new();
	each_name(source, |name, sets| {
		if !set.contains(name) && NAMES.contains(&name) {
			if !sets {
				return refused(format!(
					"it names `{name}` and nothing sets it; import the model again from its source, which writes the \
					 token into chat_template.jinja"
				));
			}
			set.insert(name.to_owned());
		}
		Ok(())
	})
}

/// Calls `found` for every variable whose name ends in `_token`, with whether it is set there.
fn each_name(source: &str, mut found: impl FnMut(&str, bool) -> Result<()>) -> Result<()> {
	let mut before = [None, None];
	for token in tokens(source) {
		let (token, _) = token?;
		if let Token::Ident(name) = token {
			if name.ends_with("_token") && before[1] != Some(".") {
				found(name, before == [Some("{%"), Some("set")])?;
			}
		}
		before = [
			before[1],
			match token {
				Token::BlockStart => Some("{%"),
				Token::Ident("set") => Some("set"),
				Token::Dot => Some("."),
				_ => None,
			},
		];
	}
	Ok(())
}
