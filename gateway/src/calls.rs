//! Tool calls in the text of an answer: which text may be shown before it is known whether it is one.

use crate::network::Model;
use assay_primitives::chat::{
	call::{Call, ToolSyntax, END_TAG, TAG},
	Chat, ToolChoice, MAX_TOOLS,
};

/// The notations that an answer may have used.
#[derive(Clone, Debug)]
pub(crate) struct Notations {
	known: Vec<ToolSyntax>,
	/// Most calls that are passed on.
	most: usize,
}

impl Notations {
	/// Returns how the answer to a conversation may write calls; none if it may not call anything. `parallel` is whether
	/// more than its first call is passed on.
	pub(crate) fn of(chat: &Chat, model: &Model, parallel: bool) -> Option<Self> {
		if chat.tools.is_empty() || chat.tool_choice == ToolChoice::None {
			return None;
		}
		let list = |mark| ToolSyntax::List { mark };
		let known = match &model.chat_template {
			Some(template) => vec![ToolSyntax::of_template(template)?],
			None => vec![
				ToolSyntax::Tagged,
				list("[TOOL_CALLS]"),
				list("<|tool_call|>"),
				list("functools"),
				ToolSyntax::Object,
			],
		};
		let most = if parallel { MAX_TOOLS } else { 1 };
		Some(Self { known, most })
	}

	/// Returns a complete answer's text without its calls, and the calls.
	pub(crate) fn split(&self, text: &str) -> (String, Vec<Call>) {
		let read = self.known.iter().map(|syntax| syntax.parse_calls(text));
		let mut read = read.filter(|(_, calls)| !calls.is_empty());
		let (content, mut calls) = read.next().unwrap_or_else(|| (text.into(), Vec::new()));
		calls.truncate(self.most);
		(content, calls)
	}

	/// Returns the beginning of a draft that is text whatever follows.
	pub(crate) fn text<'t>(&self, draft: &'t str) -> &'t str {
		let shown = self
			.known
			.iter()
			.map(|syntax| shown(syntax, draft))
			.min()
			.unwrap_or(draft.len());
		// Space before a call is no part of the text.
		draft.get(..shown).unwrap_or_default().trim_end()
	}

	/// Returns the calls of a draft that are calls whatever follows.
	pub(crate) fn calls(&self, draft: &str) -> Vec<Call> {
		if !self.known.contains(&ToolSyntax::Tagged) {
			return Vec::new();
		}
		let end = draft.rfind(END_TAG).and_then(|at| at.checked_add(END_TAG.len()));
		let whole = end.and_then(|end| draft.get(..end));
		let mut calls = whole
			.map(|text| ToolSyntax::Tagged.parse_calls(text).1)
			.unwrap_or_default();
		calls.truncate(self.most);
		calls
	}
}

/// Returns how many bytes of a draft are text whatever follows.
fn shown(syntax: &ToolSyntax, draft: &str) -> usize {
	let start = draft.trim_start();
	let begins = |mark: &str| start.starts_with(mark) || mark.starts_with(start);
	let whole = match syntax {
		ToolSyntax::Tagged => return tag(draft),
		ToolSyntax::Object => begins("{"),
		ToolSyntax::List { mark } => begins("[") || begins(mark),
	};
	if whole {
		0
	} else {
		draft.len()
	}
}

/// Returns where a tag begins, or may begin at the end.
fn tag(draft: &str) -> usize {
	if let Some(at) = draft.find(TAG) {
		return at;
	}
	let beginning = (1..TAG.len()).rev().filter_map(|length| TAG.get(..length));
	let cut = beginning
		.into_iter()
		.find(|part| draft.ends_with(part))
		.map_or(0, str::len);
	draft.len().saturating_sub(cut)
}

#[cfg(test)]
mod tests {
	use super::*;

	fn any() -> Notations {
		let chat =
			br#"{"messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
		let model = Model {
			id: assay_primitives::ModelId([1; 32]),
			name: "m".into(),
			context_length: 8,
			providers: 1,
			prices: None,
			created: 0,
			chat_template: None,
		};
		Notations::of(&Chat::parse(chat).unwrap(), &model, true).unwrap()
	}

	/// Shows an answer token by token, and checks that nothing shown was wrong.
	fn replay(text: &str) -> (String, Vec<Call>) {
		let notations = any();
		let (content, calls) = notations.split(text);
		for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
			let shown = notations.text(&text[..end]);
			assert!(content.starts_with(shown), "{shown:?} of {content:?}");
			let early = notations.calls(&text[..end]);
			assert_eq!(early[..], calls[..early.len()], "{text:?}");
		}
		(content, calls)
	}

	#[test]
	fn what_is_shown_early_stays_right_whatever_follows() {
		let call = r#"<tool_call>{"name":"f","arguments":{"a":"</tool_call>"}}</tool_call>"#;
		for (text, content, count) in [
			("plain text é <b>", "plain text é <b>", 0),
			("a < b and <tool", "a < b and <tool", 0),
			(call, "", 1),
			(&format!("Let me see.\n\n{call}\n{call}"), "Let me see.", 2),
			(&format!("{call} trailing words"), " trailing words", 1),
			(
				"<tool_call>{\"name\":\"f\",\"arguments\":{}",
				"<tool_call>{\"name\":\"f\",\"arguments\":{}",
				0,
			),
			("<tool_call>no</tool_call> end", "<tool_call>no</tool_call> end", 0),
			(r#"{"name":"f","parameters":{}}"#, "", 1),
			(r#"{"a": 1} is JSON"#, r#"{"a": 1} is JSON"#, 0),
			(
				r#"[TOOL_CALLS][{"name":"f","arguments":{}},{"name":"g","arguments":{}}]"#,
				"",
				2,
			),
			(r#"functools[{"name":"f","arguments":{}}]"#, "", 1),
			("functional programming", "functional programming", 0),
			("  \n ", "  \n ", 0),
			("", "", 0),
		] {
			let (shown, calls) = replay(text);
			assert_eq!((shown.as_str(), calls.len()), (content, count), "{text}");
		}
	}

	#[test]
	fn plain_text_is_shown_at_once() {
		assert_eq!(any().text("Hello, wor"), "Hello, wor");
		assert_eq!(any().text("a <tool_"), "a");
		assert_eq!(any().text("{\"name\""), "");
	}
}
