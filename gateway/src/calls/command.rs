//! Calls as a list of actions, as Cohere's models write them: between special tokens (Command R7B, Command A), in a fence
//! behind `Action:` (Command R), or as the whole text where the special tokens have none.

use super::{named, take_out};
use assay_primitives::{
	chat::{call::Call, LIMITS, MAX_TOOLS},
	json::Json,
};

const ACTION: &str = "<|START_ACTION|>";
const END_ACTION: &str = "<|END_ACTION|>";
const FENCE: &str = "Action: ```json";
const END_FENCE: &str = "```";

/// What a list may begin with.
pub(super) const MARKS: [&str; 2] = [ACTION, FENCE];
/// What a list may end with.
pub(super) const ENDS: [&str; 2] = [END_ACTION, END_FENCE];

/// Returns whether a chat template asks for a list of actions.
pub(super) fn is_in(template: &str) -> bool {
	template.contains(ACTION) || template.contains("Action:") && template.contains("tool_name")
}

/// Returns a complete text without its calls, and the calls.
pub(super) fn parse(text: &str) -> (String, Vec<Call>) {
	match list(text) {
		Some(calls) => (String::new(), calls),
		None => take_out(text, &MARKS, one),
	}
}

/// Reads the list that a text begins with, and returns what is behind it.
fn one(from: &str) -> Option<(Vec<Call>, &str)> {
	let (body, end) = match from.strip_prefix(ACTION) {
		Some(body) => (body, END_ACTION),
		None => (from.strip_prefix(FENCE)?, END_FENCE),
	};
	let (json, behind) = body.split_once(end)?;
	Some((list(json)?, behind))
}

fn list(json: &str) -> Option<Vec<Call>> {
	if !json.trim_start().starts_with('[') {
		return None;
	}
	let json: Json = LIMITS.parse(json.as_bytes()).ok()?;
	let actions = json.as_list().filter(|list| (1..=MAX_TOOLS).contains(&list.len()))?;
	actions.iter().map(action).collect()
}

fn action(json: &Json) -> Option<Call> {
	let known = ["tool_call_id", "tool_name", "parameters"];
	let all_known = json.as_map()?.iter().all(|(key, _)| known.contains(&key.as_str()));
	let call = named(json.get("tool_name")?.as_text()?, json.get("parameters")?.clone())?;
	all_known.then_some(call)
}
