//! Strict JSON: of what is written there is one reading, and of what is read one way to write it.

use assay_primitives::json::{Json, JsonLimits};
use serde::{de::DeserializeOwned, Serialize};
use serde_json::Value;
use std::{
	format,
	string::{String, ToString},
};

/// Lists and maps within each other.
const MAX_DEPTH: usize = 32;
/// Values, as [`JsonLimits`] counts them: one for each `[`, `{`, `,` and `:`. The largest file has less than half as many.
const MAX_VALUES: usize = 1 << 20;
/// The largest number: what every reader of JSON keeps exactly.
const MAX_NUMBER: i64 = (1 << 53) - 1;
/// Most characters of what a parser says of a file.
const MAX_REASON: usize = 240;

/// Reads JSON with each key once, no lone surrogates, and no numbers but integers from 0 to 2⁵³ − 1.
pub(crate) fn read(text: &str) -> Result<Json, String> {
	let limits = JsonLimits {
		bytes: u64::MAX,
		values: MAX_VALUES.saturating_add(1),
		depth: MAX_DEPTH,
	};
	let json = limits.parse(text.as_bytes()).map_err(|why| shown(&why))?;
	check_numbers(&json)?;
	Ok(json)
}

/// Reads a value of which `json` was read before, and refuses what would not be written in the same way again.
pub(crate) fn read_as<T: Serialize + DeserializeOwned>(text: &str, json: &Json) -> Result<T, String> {
	let value = serde_json::from_str(text).map_err(|e| shown(&e.to_string()))?;
	check_canonical(&value, json).map_err(|why| shown(&why))?;
	Ok(value)
}

/// Returns what a parser says of a file, which repeats parts of it: on one line, not longer than people read, and without
/// characters that command a terminal or hide what stands beside them.
fn shown(why: &str) -> String {
	let mut shown = String::new();
	for c in why.chars().take(MAX_REASON) {
		match c {
			'"' | '\'' | '\\' => shown.push(c),
			_ => shown.extend(c.escape_debug()),
		}
	}
	if why.chars().nth(MAX_REASON).is_some() {
		shown.push('…');
	}
	shown
}

fn check_numbers(json: &Json) -> Result<(), String> {
	match json {
		Json::Float(number) => Err(format!("{number} is not written as a whole number")),
		Json::Int(number) if !(0..=MAX_NUMBER).contains(number) => {
			Err(format!("{number} is not from 0 to {MAX_NUMBER}"))
		}
		Json::List(items) => items.iter().try_for_each(check_numbers),
		Json::Map(entries) => entries.iter().try_for_each(|(_, value)| check_numbers(value)),
		Json::Null | Json::Bool(_) | Json::Int(_) | Json::Text(_) => Ok(()),
	}
}

/// Checks that JSON is what would be written of the value that was read from it, spaces and the order of keys aside: so
/// nothing in it was ignored, and nothing is written in another way.
fn check_canonical<T: Serialize>(read: &T, json: &Json) -> Result<(), String> {
	let written = serde_json::to_value(read).map_err(|e| e.to_string())?;
	let given = serde_json::to_value(json).map_err(|e| e.to_string())?;
	match difference(&given, &written) {
		None => Ok(()),
		Some(path) => Err(format!(
			"`{}` is unknown, missing, or not written as it has to be",
			path.trim_matches('/')
		)),
	}
}

/// Returns the path of the first difference between two values.
fn difference(one: &Value, other: &Value) -> Option<String> {
	let at = |name: &str, one: Option<&Value>, other: Option<&Value>| match one.zip(other) {
		Some((one, other)) => difference(one, other).map(|path| format!("/{name}{path}")),
		None => Some(format!("/{name}")),
	};
	match (one, other) {
		(Value::Object(one), Value::Object(other)) => {
			let names = one.keys().chain(other.keys());
			names
				.into_iter()
				.find_map(|name| at(name, one.get(name), other.get(name)))
		}
		(Value::Array(one), Value::Array(other)) => {
			let longest = one.len().max(other.len());
			(0..longest).find_map(|i| at(&i.to_string(), one.get(i), other.get(i)))
		}
		_ => (one != other).then(String::new),
	}
}

/// Serde of bytes as `0x…`.
pub(crate) mod bytes {
	use serde::{de::Error, Deserialize, Deserializer, Serializer};
	use std::{string::String, vec::Vec};

	pub(crate) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(&const_hex::encode_prefixed(bytes))
	}

	pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
		let text = String::deserialize(d)?;
		const_hex::decode(text).map_err(|_| D::Error::custom("expected bytes as hex digits after 0x"))
	}
}

/// Serde of a list of bytes, each as `0x…`.
pub(crate) mod list_of_bytes {
	use serde::{Deserialize, Deserializer, Serialize, Serializer};
	use std::vec::Vec;

	#[derive(Serialize, Deserialize)]
	#[serde(transparent)]
	struct Item(#[serde(with = "super::bytes")] Vec<u8>);

	pub(crate) fn serialize<S: Serializer>(list: &[Vec<u8>], s: S) -> Result<S::Ok, S::Error> {
		s.collect_seq(list.iter().map(const_hex::encode_prefixed))
	}

	pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Vec<u8>>, D::Error> {
		let items = Vec::<Item>::deserialize(d)?;
		Ok(items.into_iter().map(|item| item.0).collect())
	}
}
