//! Vocabulary, merges and added tokens, checked where the library trusts the file: it panics at a merge into a token longer
//! than all, and gives an added token another id than the file does.

use crate::{Error, Result};
use serde_json::Value;

/// Refuses merges of unknown tokens or into unknown tokens.
pub(super) fn check_merges(model: &Value) -> Result<()> {
	let refused = |merge: &Value, why: &str| Err(Error::Tokenizer(format!("the merge {merge} {why}")));
	let (Some(vocabulary), Some(merges)) = (
		model.get("vocab").and_then(Value::as_object),
		model.get("merges").and_then(Value::as_array),
	) else {
		return Err(Error::Tokenizer("`vocab` must be a map and `merges` a list".into()));
	};
	for merge in merges {
		let halves = match merge {
			Value::String(both) => both.split_once(' '),
			Value::Array(two) => match two.as_slice() {
				[a, b] => a.as_str().zip(b.as_str()),
				_ => None,
			},
			_ => None,
		};
		let Some((a, b)) = halves else {
			return refused(merge, "has not two halves");
		};
		if let Some(unknown) = [a, b, &[a, b].concat()]
			.into_iter()
			.find(|token| !vocabulary.contains_key(*token))
		{
			return refused(merge, &format!("needs the token `{unknown}`, which `vocab` lacks"));
		}
	}
	Ok(())
}

/// Refuses ids that the library would not take from the file's `added_tokens`, and ids that two tokens share.
pub(super) fn check_ids(listed: &Value, inner: &tokenizers::Tokenizer) -> Result<()> {
	for token in listed.as_array().into_iter().flatten() {
		let content = token.get("content").and_then(Value::as_str).unwrap_or_default();
		let id = token.get("id").and_then(Value::as_u64);
		if content.is_empty() || id != inner.token_to_id(content).map(u64::from) {
			return Err(Error::Tokenizer(format!(
				"the added token `{content}` can't have the id it is given"
			)));
		}
	}
	let mut ids: Vec<u32> = inner.get_vocab(true).into_values().collect();
	ids.sort_unstable();
	match ids.windows(2).find(|pair| pair[0] == pair[1]) {
		Some(pair) => Err(Error::Tokenizer(format!("two tokens have the id {}", pair[0]))),
		None => Ok(()),
	}
}
