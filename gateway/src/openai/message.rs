//! Messages as clients send them, brought into the form that the chain's parser knows.
//!
//! Clients send back what they were sent, with fields that are null or empty, and contents in parts. Whatever is not
//! understood here stays as it is: the parser refuses it and names where it is.

use crate::request::Notes;
use assay_primitives::json::Json;

/// Fields of messages that carry nothing for the model if they are null or empty.
const EMPTY: [&str; 7] = [
	"refusal",
	"audio",
	"function_call",
	"annotations",
	"name",
	"tool_calls",
	"tool_call_id",
];
/// Fields that clients add for themselves.
const OWN: [&str; 3] = ["parsed", "annotations", "cache_control"];

/// Returns the messages in the parser's form.
pub(super) fn clean(messages: Json, notes: &mut Notes) -> Json {
	let Json::List(messages) = messages else {
		return messages;
	};
	let cleaned = messages.into_iter().enumerate().map(|(i, message)| match message {
		Json::Map(entries) => Json::Map(one(entries, &format!("messages[{i}]"), notes)),
		other => other,
	});
	Json::List(cleaned.collect())
}

fn one(entries: Vec<(String, Json)>, at: &str, notes: &mut Notes) -> Vec<(String, Json)> {
	let mut kept: Vec<(String, Json)> = Vec::with_capacity(entries.len());
	let mut refusal = None;
	for (key, value) in entries {
		match (key.as_str(), value) {
			("role", Json::Text(role)) if role == "developer" => kept.push((key, Json::Text("system".into()))),
			("content", value) => kept.push((key, joined(value, at, notes))),
			("tool_calls", Json::List(calls)) if !calls.is_empty() => {
				let calls = calls.into_iter().enumerate();
				let calls = calls.map(|(i, call)| own_call(call, &format!("{at}.tool_calls[{i}]"), notes));
				kept.push((key, Json::List(calls.collect())));
			}
			("refusal", Json::Text(text)) if !text.is_empty() => refusal = Some(Json::Text(text)),
			(name, value) if EMPTY.contains(&name) && is_empty(&value) => {}
			(name, _) if OWN.contains(&name) => notes.ignore(format!("{at}.{name}")),
			(_, value) => kept.push((key, value)),
		}
	}
	// What a model refused with is what it said.
	if let Some(refusal) = refusal {
		match kept.iter_mut().find(|(key, _)| key == "content") {
			Some((_, content)) if is_empty(content) => *content = refusal,
			Some(_) => {}
			None => kept.push(("content".into(), refusal)),
		}
	}
	kept
}

/// Returns a call without what clients add for themselves: its number in a stream, and its arguments taken apart.
fn own_call(call: Json, at: &str, notes: &mut Notes) -> Json {
	let Json::Map(entries) = call else { return call };
	let mut without = |entries: Vec<(String, Json)>, name: &str, at: &str| {
		let (own, kept): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key == name);
		if !own.is_empty() {
			notes.ignore(format!("{at}.{name}"));
		}
		kept
	};
	let entries = without(entries, "index", at).into_iter().map(|entry| match entry {
		(key, Json::Map(function)) if key == "function" => {
			let function = without(function, "parsed_arguments", &format!("{at}.function"));
			(key, Json::Map(function))
		}
		entry => entry,
	});
	Json::Map(entries.collect())
}

fn is_empty(value: &Json) -> bool {
	match value {
		Json::Null => true,
		Json::Text(text) => text.is_empty(),
		Json::List(list) => list.is_empty(),
		_ => false,
	}
}

/// Joins a content's parts to one text, line by line; a part that is no text leaves it as it is.
fn joined(content: Json, at: &str, notes: &mut Notes) -> Json {
	let Json::List(parts) = &content else { return content };
	let texts: Option<Vec<&str>> = parts.iter().map(part).collect();
	let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
		return content;
	};
	for (i, part) in parts.iter().enumerate() {
		let keys = part.as_map().unwrap_or_default().iter().map(|(key, _)| key.as_str());
		for key in keys.filter(|key| !["type", "text", "refusal"].contains(key)) {
			notes.ignore(format!("{at}.content[{i}].{key}"));
		}
	}
	Json::Text(texts.join("\n"))
}

fn part(part: &Json) -> Option<&str> {
	match part.get("type")?.as_text()? {
		"text" => part.get("text")?.as_text(),
		"refusal" => part.get("refusal")?.as_text(),
		_ => None,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn cleaned(json: &str) -> (String, Notes) {
		let mut notes = Notes::default();
		let json = clean(serde_json::from_str(json).unwrap(), &mut notes);
		(serde_json::to_string(&json).unwrap(), notes)
	}

	#[test]
	fn what_clients_send_back_becomes_what_the_parser_knows() {
		for (sent, kept) in [
			(
				r#"[{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#,
				r#"[{"role":"system","content":"a\nb"}]"#,
			),
			(
				r#"[{"role":"assistant","content":"hi","refusal":null,"audio":null,"annotations":[],"tool_calls":null,"name":null}]"#,
				r#"[{"role":"assistant","content":"hi"}]"#,
			),
			(
				r#"[{"role":"assistant","content":null,"refusal":"I won't."}]"#,
				r#"[{"role":"assistant","content":"I won't."}]"#,
			),
			(
				r#"[{"role":"assistant","content":[{"type":"refusal","refusal":"No."}]}]"#,
				r#"[{"role":"assistant","content":"No."}]"#,
			),
			(
				r#"[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
				r#"[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
			),
			(
				r#"[{"role":"user","content":"x","weight":1}]"#,
				r#"[{"role":"user","content":"x","weight":1}]"#,
			),
			(r#"{"role":"user"}"#, r#"{"role":"user"}"#),
		] {
			assert_eq!(cleaned(sent).0, kept);
		}
	}

	#[test]
	fn calls_lose_what_clients_added() {
		let sent = r#"[{"role":"assistant","tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}","parsed_arguments":{}}}]}]"#;
		let (kept, notes) = cleaned(sent);
		assert_eq!(
			kept,
			r#"[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]}]"#
		);
		let at = "messages[0].tool_calls[0]";
		assert_eq!(
			notes.ignored,
			[format!("{at}.index"), format!("{at}.function.parsed_arguments")]
		);
	}

	#[test]
	fn hints_that_change_no_prompt_are_named() {
		let sent =
			r#"[{"role":"assistant","content":[{"type":"text","text":"a","cache_control":{}}],"parsed":{"x":1}}]"#;
		let (kept, notes) = cleaned(sent);
		assert_eq!(kept, r#"[{"role":"assistant","content":"a"}]"#);
		assert_eq!(
			notes.ignored,
			["messages[0].content[0].cache_control", "messages[0].parsed"]
		);
	}
}
