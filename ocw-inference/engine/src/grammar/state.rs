//! How far an answer is in its grammar.

use super::{
	opening::{Begun, Opening, Text},
	vocabulary::Vocabulary,
	Mask,
};
use llguidance::Matcher;

/// Where an answer is.
pub(super) enum State {
	/// The answer as a whole matches.
	Whole {
		matcher: Box<Matcher>,
		/// A special token that may come before the first of the text.
		mark: Option<u32>,
	},
	/// It may turn out to be a call.
	Opening(Opening),
	/// It is a text with calls between tags; `call` is the grammar of one, from behind its tag to its end tag.
	Text { text: Text, call: Box<Matcher> },
	/// It is in a call between tags, behind which there is text again.
	Call { matcher: Box<Matcher>, call: Box<Matcher> },
	/// It may go on as it likes.
	Free,
}

impl State {
	pub(super) fn whole(matcher: Box<Matcher>, mark: Option<u32>) -> Self {
		Self::Whole { matcher, mark }
	}

	pub(super) fn text(call: Box<Matcher>) -> Self {
		Self::Text {
			text: Text::default(),
			call,
		}
	}

	/// Returns an independent copy: a plain clone of a matcher shares what the library keeps, and so what it costs.
	pub(super) fn copy(&self) -> Self {
		let deep = |matcher: &Matcher| Box::new(matcher.deep_clone());
		match self {
			Self::Whole { matcher, mark } => Self::Whole {
				matcher: deep(matcher),
				mark: *mark,
			},
			Self::Opening(opening) => Self::Opening(opening.copy()),
			Self::Text { text, call } => Self::Text {
				text: text.clone(),
				call: deep(call),
			},
			Self::Call { matcher, call } => Self::Call {
				matcher: deep(matcher),
				call: deep(call),
			},
			Self::Free => Self::Free,
		}
	}

	pub(super) fn mask(&mut self, vocabulary: &Vocabulary, fuel: &mut u64) -> Mask {
		let of = |allowed: Option<Vec<u32>>| match allowed {
			Some(words) if words.iter().any(|word| *word != 0) => Mask::Only(words),
			_ => Mask::Nothing,
		};
		match self {
			Self::Whole { matcher, mark } => {
				let mut allowed = held(matcher, vocabulary, fuel);
				if let (Some(words), Some(mark)) = (&mut allowed, mark) {
					set(words, *mark);
				}
				of(allowed)
			}
			Self::Opening(opening) => opening.mask(vocabulary, |calls| held(calls, vocabulary, fuel)),
			Self::Text { text, .. } => text.mask(vocabulary),
			Self::Call { matcher, .. } => of(held(matcher, vocabulary, fuel)),
			Self::Free => Mask::All,
		}
	}

	pub(super) fn push(&mut self, vocabulary: &Vocabulary, token: u32) {
		*self = match std::mem::replace(self, Self::Free) {
			Self::Whole { mut matcher, mark } => {
				if mark != Some(token) {
					// An error stays in the matcher, and allows nothing.
					matcher.consume_token(token).ok();
				}
				Self::Whole { matcher, mark: None }
			}
			Self::Opening(opening) => match opening.push(vocabulary, token) {
				Begun::Perhaps(opening) => Self::Opening(opening),
				Begun::Call(matcher) => Self::whole(matcher, None),
				Begun::Text => Self::Free,
			},
			Self::Text { mut text, call } => {
				if text.push(vocabulary.bytes(token)) {
					let matcher = Box::new(call.deep_clone());
					Self::Call { matcher, call }
				} else {
					Self::Text { text, call }
				}
			}
			Self::Call { mut matcher, call } => {
				let ended = matcher.consume_token(token).is_ok() && matcher.is_accepting().unwrap_or(false);
				if ended {
					Self::text(call)
				} else {
					Self::Call { matcher, call }
				}
			}
			Self::Free => Self::Free,
		};
	}
}

/// Returns the tokens that a matcher allows, an end token where it may stop; none where it fails or costs too much.
fn held(matcher: &mut Matcher, vocabulary: &Vocabulary, fuel: &mut u64) -> Option<Vec<u32>> {
	if *fuel == 0 || matcher.is_error() {
		return None;
	}
	let may_stop = matcher.is_accepting().ok()?;
	let mut words = vec![0; vocabulary.words()];
	if !matcher.is_stopped() {
		match matcher.compute_mask() {
			Ok(mask) => {
				for (word, found) in words.iter_mut().zip(mask.as_slice()) {
					*word = *found;
				}
				let cost = matcher
					.last_step_stats()
					.map(|stats| stats.lexer_cost.saturating_add(stats.all_items as u64));
				*fuel = fuel.saturating_sub(cost.unwrap_or(u64::MAX));
			}
			// No token is left, or one of the limits is reached.
			Err(_) if may_stop => {}
			Err(_) => return None,
		}
	}
	if may_stop {
		vocabulary.ends().for_each(|end| set(&mut words, end));
	}
	Some(words)
}

fn set(words: &mut [u32], token: u32) {
	if let Some(word) = words.get_mut(token as usize / 32) {
		*word |= 1 << (token % 32);
	}
}
