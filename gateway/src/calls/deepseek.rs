//! Calls between special tokens, as DeepSeek writes them: `function<｜tool▁sep｜>f` and JSON in a fence up to V3 and in R1,
//! `f<｜tool▁sep｜>{…}` since V3.1.

use super::named;
use assay_primitives::chat::{call::Call, LIMITS};

pub(super) const BEGIN: &str = "<｜tool▁call▁begin｜>";
pub(super) const END: &str = "<｜tool▁call▁end｜>";
const BEGIN_ALL: &str = "<｜tool▁calls▁begin｜>";
const END_ALL: &str = "<｜tool▁calls▁end｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";
const FENCE: &str = "```";

/// What a call may begin with.
pub(super) const MARKS: [&str; 2] = [BEGIN_ALL, BEGIN];

/// Reads the call that a text begins with, and returns what is behind it.
pub(super) fn one(from: &str) -> Option<(Vec<Call>, &str)> {
	let from = from.strip_prefix(BEGIN_ALL).unwrap_or(from).trim_start();
	let (head, rest) = from.strip_prefix(BEGIN)?.split_once(SEPARATOR)?;
	let (body, behind) = rest.split_once(END)?;
	let (name, arguments) = match head.trim() {
		"function" => {
			let (name, fenced) = body.split_once(FENCE)?;
			let json = fenced.trim_end().strip_suffix(FENCE)?;
			(name, json.strip_prefix("json").unwrap_or(json))
		}
		name => (name, body),
	};
	let call = named(name.trim(), LIMITS.parse(arguments.as_bytes()).ok()?)?;
	let after = behind.trim_start();
	let behind = after.strip_prefix(END_ALL).unwrap_or(behind);
	Some((Vec::from([call]), behind))
}
