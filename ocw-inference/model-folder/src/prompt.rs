//! The chat template and the tokenizer of one model together: what makes a prompt of a message.

use crate::{
	config::Hyperparameters,
	template::Template,
	tokenizer::{Kind, Tokenizer},
	Error, Result,
};

/// Returns how many tokens the template adds to one message at most: a special token counts one, other text one a byte,
/// because that is the only bound that holds whatever the message's end and the template's text merge to. An encoder
/// adds the two tokens around its text.
pub fn prompt_overhead(template: &Template, tokenizer: &Tokenizer, hyperparameters: &Hyperparameters) -> Result<u32> {
	match (hyperparameters, tokenizer.kind()) {
		(Hyperparameters::Encoder(_), Kind::WordPiece { .. }) => return Ok(2),
		(Hyperparameters::Decoder(_), Kind::ByteLevel | Kind::ByteFallback { .. }) => {}
		(Hyperparameters::Encoder(_), kind) => {
			return Err(Error::Inconsistent(format!("an encoder needs WordPiece, not {kind:?}")))
		}
		(Hyperparameters::Decoder(_), kind) => {
			return Err(Error::Inconsistent(format!(
				"{kind:?} tokens cannot be turned back into text"
			)))
		}
	}
	const PROBE: &str = "Xq7Zk9Wv";
	let rendered = template.render(PROBE)?;
	let Some((before, after)) = rendered.split_once(PROBE) else {
		return Err(Error::Template("it does not write the message, or changes it".into()));
	};
	if after.contains(PROBE) {
		return Err(Error::Template(
			"it writes the message twice; a prompt could have more tokens than bytes".into(),
		));
	}
	let mut overhead = 0usize;
	for part in [before, after] {
		for id in tokenizer.encode(part)? {
			overhead += if tokenizer.is_special(id) {
				1
			} else {
				tokenizer.bytes(id).len()
			};
		}
	}
	u32::try_from(overhead).map_err(|_| Error::Template("it adds too much".into()))
}
