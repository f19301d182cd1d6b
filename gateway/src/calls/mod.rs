//! Tool calls in the text of an answer: which text may be shown before it is known whether it is one.

mod command;
mod deepseek;
mod elements;

use crate::{marks, network::Model};
use assay_primitives::chat::{
	call::{Call, ToolSyntax, END_TAG, TAG},
	Chat, ToolChoice, MAX_TOOLS,
};
use elements::Schemas;

/// How a model writes calls.
#[derive(Clone, Debug)]
enum Notation {
	/// In a way that engines can hold an answer to.
	Held(ToolSyntax),
	/// As elements between tags: Qwen3-Coder, GLM. A value's type follows from the tool's schema.
	Elements(Schemas),
	/// Between special tokens: DeepSeek.
	DeepSeek,
	/// As a list of actions: Command R, Command A.
	Command,
}

impl Notation {
	/// Returns the notation that a chat template asks for.
	fn of_template(source: &str, chat: &Chat) -> Option<Self> {
		let has = |text: &str| source.contains(text);
		if let Some(syntax) = ToolSyntax::of_template(source) {
			return Some(Self::Held(syntax));
		}
		if has(TAG) && elements::is_in(source) {
			return Some(Self::Elements(Schemas::of(chat)));
		}
		if has(deepseek::BEGIN) {
			return Some(Self::DeepSeek);
		}
		command::is_in(source).then_some(Self::Command)
	}

	/// Returns a complete text without its calls, and the calls.
	fn parse(&self, text: &str) -> (String, Vec<Call>) {
		match self {
			Self::Held(syntax) => syntax.parse_calls(text),
			Self::Elements(schemas) => take_out(text, &elements::MARKS, |from| elements::one(from, schemas)),
			Self::DeepSeek => take_out(text, &deepseek::MARKS, deepseek::one),
			Self::Command => command::parse(text),
		}
	}

	/// Returns how many bytes of a draft are text whatever follows.
	fn shown(&self, draft: &str) -> usize {
		let start = draft.trim_start();
		let begins = |mark: &str| start.starts_with(mark) || mark.starts_with(start);
		let (whole, marks): (bool, &[&str]) = match self {
			Self::Held(ToolSyntax::Tagged) => (false, &[TAG]),
			Self::Held(ToolSyntax::Object) => (begins("{"), &[]),
			Self::Held(ToolSyntax::List { mark }) => (begins("[") || begins(mark), &[]),
			Self::Elements(_) => (false, &elements::MARKS),
			Self::DeepSeek => (false, &deepseek::MARKS),
			Self::Command => (begins("["), &command::MARKS),
		};
		if whole {
			0
		} else {
			marks::first(draft, marks)
		}
	}

	/// Returns what stands behind a complete call. A notation whose call is the whole text has no such marks.
	fn ends(&self) -> &'static [&'static str] {
		match self {
			Self::Held(ToolSyntax::Tagged) => &[END_TAG],
			Self::Held(_) => &[],
			Self::Elements(_) => &elements::ENDS,
			Self::DeepSeek => &[deepseek::END],
			Self::Command => &command::ENDS,
		}
	}
}

/// The notations that an answer may have used.
#[derive(Clone, Debug)]
pub(crate) struct Notations {
	known: Vec<Notation>,
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
		let list = |mark| Notation::Held(ToolSyntax::List { mark });
		let known = match &model.chat_template {
			Some(template) => vec![Notation::of_template(template, chat)?],
			None => vec![
				Notation::Held(ToolSyntax::Tagged),
				Notation::Elements(Schemas::of(chat)),
				Notation::DeepSeek,
				Notation::Command,
				list("[TOOL_CALLS]"),
				list("<|tool_call|>"),
				list("functools"),
				Notation::Held(ToolSyntax::Object),
			],
		};
		let most = if parallel { MAX_TOOLS } else { 1 };
		Some(Self { known, most })
	}

	/// Returns a complete answer's text without its calls, and the calls: in the notation whose mark comes first, if it
	/// reads any.
	pub(crate) fn split(&self, text: &str) -> (String, Vec<Call>) {
		let mut known: Vec<_> = self.known.iter().collect();
		known.sort_by_key(|notation| notation.shown(text));
		let read = known.into_iter().map(|notation| notation.parse(text));
		let mut read = read.filter(|(_, calls)| !calls.is_empty());
		let (content, mut calls) = read.next().unwrap_or_else(|| (text.into(), Vec::new()));
		calls.truncate(self.most);
		(content, calls)
	}

	/// Returns the beginning of a draft that is text whatever follows.
	pub(crate) fn text<'t>(&self, draft: &'t str) -> &'t str {
		// Space before a call is no part of the text.
		draft.get(..self.shown(draft)).unwrap_or_default().trim_end()
	}

	/// Returns where the last call of a draft may end. The calls of a draft change only where this does.
	pub(crate) fn last_end(&self, draft: &str) -> Option<usize> {
		let ends = self.known.iter().flat_map(Notation::ends);
		ends.filter_map(|mark| end(draft, mark)).max()
	}

	/// Returns the calls of a draft that are calls whatever follows.
	pub(crate) fn calls(&self, draft: &str) -> Vec<Call> {
		let first = self.shown(draft);
		// Who comes first in the draft comes first in the complete answer too.
		let candidates = self.known.iter().filter(|notation| notation.shown(draft) == first);
		let read = candidates.map(|notation| {
			let end = notation.ends().iter().filter_map(|mark| end(draft, mark)).max();
			let whole = end.and_then(|end| draft.get(..end)).unwrap_or_default();
			notation.parse(whole).1
		});
		let mut calls = read.into_iter().find(|calls| !calls.is_empty()).unwrap_or_default();
		calls.truncate(self.most);
		calls
	}

	fn shown(&self, draft: &str) -> usize {
		let shown = self.known.iter().map(|notation| notation.shown(draft));
		shown.min().unwrap_or(draft.len())
	}
}

/// Returns where the last of a mark ends.
fn end(text: &str, mark: &str) -> Option<usize> {
	text.rfind(mark)?.checked_add(mark.len())
}

/// Takes calls out of a text. `one` reads what a text has that begins with a mark, and returns what is behind it.
fn take_out<'t>(
	text: &'t str,
	marks: &[&str],
	one: impl Fn(&'t str) -> Option<(Vec<Call>, &'t str)>,
) -> (String, Vec<Call>) {
	let (mut content, mut calls, mut rest) = (String::new(), Vec::new(), text);
	while let Some((before, from)) = rest.split_at_checked(marks::first(rest, marks)) {
		match one(from) {
			Some((read, behind)) if read.len().saturating_add(calls.len()) <= MAX_TOOLS => {
				content.push_str(before.trim_end());
				calls.extend(read);
				rest = behind;
			}
			_ => break,
		}
	}
	content.push_str(if calls.is_empty() { rest } else { rest.trim_end() });
	(content, calls)
}

/// Returns a call, if this can name a tool.
fn named(name: &str, arguments: assay_primitives::json::Json) -> Option<Call> {
	let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
	let named = !name.is_empty() && name.bytes().all(is_name) && arguments.as_map().is_some();
	named.then(|| Call {
		name: name.into(),
		arguments,
	})
}

#[cfg(test)]
mod tests;
