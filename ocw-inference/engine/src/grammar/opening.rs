//! Where a call begins in an answer that may be any text: nothing is held before it, everything behind it.

use super::{vocabulary::Vocabulary, Mask};
use assay_primitives::chat::call::TAG;
use llguidance::Matcher;

/// The beginning of an answer that is a call as a whole, or none.
pub(super) struct Opening {
	/// The grammar of calls, with the tokens so far.
	calls: Box<Matcher>,
	/// What such an answer begins with, one of these.
	beginnings: Vec<&'static str>,
	/// The text so far, without the white space before it.
	text: Vec<u8>,
}

/// What a token makes of the beginning of an answer.
pub(super) enum Begun {
	/// A call may still come.
	Perhaps(Opening),
	/// A call has begun.
	Call(Box<Matcher>),
	/// It is a text.
	Text,
}

impl Opening {
	pub(super) fn new(calls: Box<Matcher>, beginnings: Vec<&'static str>) -> Self {
		Self {
			calls,
			beginnings,
			text: Vec::new(),
		}
	}

	pub(super) fn copy(&self) -> Self {
		Self {
			calls: Box::new(self.calls.deep_clone()),
			beginnings: self.beginnings.clone(),
			text: self.text.clone(),
		}
	}

	/// Returns what a token adds to the text: white space before it is none of it.
	fn added<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
		if self.text.is_empty() {
			bytes.trim_ascii_start()
		} else {
			bytes
		}
	}

	/// Returns whether calls have begun once bytes are added.
	fn begins(&self, added: &[u8]) -> bool {
		let mut beginnings = self.beginnings.iter().map(|b| b.as_bytes());
		beginnings.any(|b| {
			b.strip_prefix(&self.text[..])
				.is_some_and(|rest| added.starts_with(rest))
		})
	}

	/// Allows all tokens but those with which a call begins otherwise than calls are written.
	pub(super) fn mask(
		&mut self,
		vocabulary: &Vocabulary,
		held: impl FnOnce(&mut Matcher) -> Option<Vec<u32>>,
	) -> Mask {
		let begins = |token: &u32| self.begins(self.added(vocabulary.bytes(*token)));
		let beginning: Vec<u32> = (0..vocabulary.len()).filter(begins).collect();
		if beginning.is_empty() {
			return Mask::All;
		}
		let Some(allowed) = held(&mut self.calls) else {
			return Mask::Nothing;
		};
		let is_allowed = |token: &u32| {
			let word = allowed.get(*token as usize / 32).copied().unwrap_or_default();
			word >> (token % 32) & 1 == 1
		};
		all_but(vocabulary, beginning.into_iter().filter(|token| !is_allowed(token)))
	}

	pub(super) fn push(mut self, vocabulary: &Vocabulary, token: u32) -> Begun {
		let bytes = vocabulary.bytes(token);
		if bytes.is_empty() {
			return Begun::Perhaps(self);
		}
		let added = self.added(bytes).to_vec();
		let begun = self.begins(&added);
		self.text.extend_from_slice(&added);
		let goes_on = self.calls.validate_tokens(&[token]).is_ok_and(|valid| valid == 1)
			&& self.calls.consume_token(token).is_ok();
		if !goes_on {
			return Begun::Text;
		}
		if begun {
			return Begun::Call(self.calls);
		}
		let possible = |b: &&str| b.as_bytes().starts_with(&self.text);
		if self.beginnings.iter().any(possible) {
			Begun::Perhaps(self)
		} else {
			Begun::Text
		}
	}
}

/// A text in which tags open calls: its end, as far as a tag may have begun in it.
#[derive(Clone, Default)]
pub(super) struct Text {
	end: Vec<u8>,
}

impl Text {
	/// Returns what a token has behind the tag that it completes; none if it completes none.
	fn behind(&self, bytes: &[u8]) -> Option<Vec<u8>> {
		let joined = [&self.end[..], bytes].concat();
		let at = joined.windows(TAG.len()).position(|part| part == TAG.as_bytes())?;
		joined.get(at + TAG.len()..).map(<[u8]>::to_vec)
	}

	/// Allows all tokens but those that complete a tag and have more than white space behind it.
	pub(super) fn mask(&self, vocabulary: &Vocabulary) -> Mask {
		let refused = vocabulary.past_tag().iter().copied().filter(|token| {
			let behind = self.behind(vocabulary.bytes(*token));
			behind.is_some_and(|behind| !is_space(&behind))
		});
		all_but(vocabulary, refused)
	}

	/// Adds a token; returns whether it completes a tag.
	pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
		if self.behind(bytes).is_some() {
			return true;
		}
		self.end.extend_from_slice(bytes);
		let most = TAG.len() - 1;
		let too_long = self.end.len().saturating_sub(most);
		self.end.drain(..too_long);
		false
	}
}

/// Returns whether bytes are nothing, or the white space that may begin a call.
fn is_space(bytes: &[u8]) -> bool {
	match bytes {
		[] | [b' '] => true,
		[b'\n', rest @ ..] => rest.len() <= 40 && rest.iter().all(|byte| *byte == b' '),
		_ => false,
	}
}

fn all_but(vocabulary: &Vocabulary, refused: impl Iterator<Item = u32>) -> Mask {
	let mut refused = refused.peekable();
	if refused.peek().is_none() {
		return Mask::All;
	}
	let mut words = vec![u32::MAX; vocabulary.words()];
	for token in refused {
		if let Some(word) = words.get_mut(token as usize / 32) {
			*word &= !(1 << (token % 32));
		}
	}
	Mask::Only(words)
}
