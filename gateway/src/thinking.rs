//! Reasoning in the text of an answer: what a model writes between `<think>` and `</think>` before it answers.

use crate::{marks, network::Model};
use assay_primitives::{chat::Chat, json::Json};

/// What stands before the reasoning.
const BEGIN: &str = "<think>";
/// What stands behind it.
const END: &str = "</think>";

/// Where the reasoning of an answer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
	/// At a mark with which the answer begins; an answer that begins otherwise has none.
	Marked,
	/// At once: the prompt has ended with the mark.
	Opened,
}

impl Thinking {
	/// Returns how a model's answer to a conversation begins.
	pub(crate) fn of(chat: &Chat, model: &Model) -> Self {
		let opened = model.chat_template.as_deref().is_some_and(opens);
		let switched_off = chat
			.template_variables
			.iter()
			.any(|(name, value)| name.contains("thinking") && *value == Json::Bool(false));
		if opened && !switched_off {
			Self::Opened
		} else {
			Self::Marked
		}
	}

	/// Returns the reasoning and the rest of a text. Of a text that is not complete, it is what stays so whatever follows.
	pub(crate) fn split(self, text: &str, complete: bool) -> (&str, &str) {
		let start = text.trim_start();
		let body = match start.strip_prefix(BEGIN) {
			Some(body) => body,
			None if !complete && BEGIN.starts_with(start) => return ("", ""),
			None if self == Self::Opened => start,
			None => return ("", text),
		};
		match body.split_once(END) {
			Some((reasoning, rest)) => (reasoning.trim(), rest.trim_start()),
			None if complete => (body.trim(), ""),
			None => {
				let certain = body.get(..marks::first(body, &[END])).unwrap_or_default();
				(certain.trim(), "")
			}
		}
	}
}

/// Returns whether every prompt of a chat template ends with the mark. Where a variable decides, the answer's beginning
/// does.
fn opens(template: &str) -> bool {
	let Some((_, tail)) = template.rsplit_once("add_generation_prompt") else {
		return false;
	};
	match tail.rsplit_once(BEGIN) {
		Some((before, behind)) => !behind.contains(END) && !before.contains("thinking") && !behind.contains("thinking"),
		None => false,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn reasoning_is_what_stands_between_the_marks() {
		use Thinking::{Marked, Opened};
		for (thinking, text, reasoning, rest) in [
			(Marked, "<think>\nhm\n</think>\n\nYes.", "hm", "Yes."),
			(Marked, "\n<think></think>Yes.", "", "Yes."),
			(Marked, "<think>cut off", "cut off", ""),
			(Marked, "Yes. <think>no</think>", "", "Yes. <think>no</think>"),
			(Marked, " <thin ", "", " <thin "),
			(Marked, "hm</think>Yes.", "", "hm</think>Yes."),
			(Marked, "", "", ""),
			(Opened, "hm\n</think>\n\nYes.", "hm", "Yes."),
			(Opened, "<think>hm</think>Yes. </think>", "hm", "Yes. </think>"),
			(Opened, "cut off", "cut off", ""),
		] {
			assert_eq!(thinking.split(text, true), (reasoning, rest), "{text:?}");
			for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
				let (early, shown) = thinking.split(&text[..end], false);
				assert!(
					reasoning.starts_with(early) && rest.starts_with(shown),
					"{text:?} {end}: {early:?} {shown:?}"
				);
			}
		}
	}

	#[test]
	fn a_template_that_always_opens_the_reasoning_is_known() {
		for (template, expected) in [
			("{% if add_generation_prompt %}{{'<|Assistant|><think>\\n'}}{% endif %}", true),
			("{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}", true),
			// A variable decides.
			(
				"{% if add_generation_prompt %}{% if enable_thinking is false %}{{ '<think>\\n\\n</think>' }}{% endif %}{% endif %}",
				false,
			),
			(
				"{% if add_generation_prompt %}{% if not thinking %}{{'</think>'}}{% else %}{{'<think>'}}{% endif %}{% endif %}",
				false,
			),
			("{{ '<think>' }}{% if add_generation_prompt %}{{ 'assistant' }}{% endif %}", false),
			("{{ messages }}", false),
		] {
			assert_eq!(opens(template), expected, "{template}");
		}
	}
}
