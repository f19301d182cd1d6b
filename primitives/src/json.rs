//! JSON from strangers: bounded before it is parsed, and kept in the order in which it was written.

use alloc::{
	collections::BTreeSet,
	format,
	string::{String, ToString},
	vec::Vec,
};
use core::fmt;
use serde::{
	de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
	ser::{SerializeMap, SerializeSeq},
	Deserialize, Deserializer, Serialize, Serializer,
};

/// The key under which serde_json hands over a fraction, or a number beyond 64 bits, if some crate of the build has
/// switched its `arbitrary_precision` on.
const NUMBER: &str = "$serde_json::private::Number";

/// A JSON value, its maps in the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
	/// `null`.
	Null,
	/// `true` or `false`.
	Bool(bool),
	/// A whole number of 64 bits.
	Int(i64),
	/// A number with a fraction or an exponent, within the range of 64-bit integers.
	Float(f64),
	/// A text.
	Text(String),
	/// A list.
	List(Vec<Json>),
	/// A map, each key once.
	Map(Vec<(String, Json)>),
}

impl Json {
	/// Returns the entry of a map; none if there is no such entry, or if this is no map.
	pub fn get(&self, key: &str) -> Option<&Json> {
		self.as_map()?
			.iter()
			.find(|(name, _)| name == key)
			.map(|(_, value)| value)
	}

	/// Returns the text, if this is one.
	pub fn as_text(&self) -> Option<&str> {
		match self {
			Self::Text(text) => Some(text),
			_ => None,
		}
	}

	/// Returns the items, if this is a list.
	pub fn as_list(&self) -> Option<&[Json]> {
		match self {
			Self::List(items) => Some(items),
			_ => None,
		}
	}

	/// Returns the entries, if this is a map.
	pub fn as_map(&self) -> Option<&[(String, Json)]> {
		match self {
			Self::Map(entries) => Some(entries),
			_ => None,
		}
	}
}

/// How much JSON may hold.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
	/// Bytes.
	pub bytes: u64,
	/// Numbers, texts, lists and maps, a map's keys among them.
	pub values: usize,
	/// Lists and maps within each other.
	pub depth: usize,
}

impl JsonLimits {
	/// Refuses JSON that is over a limit, in one pass that keeps nothing. Whether it is JSON at all is left to the parser.
	pub fn check(&self, json: &[u8]) -> Result<(), String> {
		if json.len() as u64 > self.bytes {
			return Err(format!("it has {} bytes; at most {} are read", json.len(), self.bytes));
		}
		let (mut values, mut depth) = (1usize, 0usize);
		let mut bytes = json.iter();
		while let Some(byte) = bytes.next() {
			match byte {
				b'"' => {
					// To the end of the text; an escaped quote doesn't end it.
					while let Some(byte) = bytes.next() {
						match byte {
							b'"' => break,
							b'\\' => drop(bytes.next()),
							_ => {}
						}
					}
				}
				b'[' | b'{' => {
					depth = depth.saturating_add(1);
					values = values.saturating_add(1);
				}
				b']' | b'}' => depth = depth.saturating_sub(1),
				b',' | b':' => values = values.saturating_add(1),
				_ => {}
			}
			if values > self.values {
				return Err(format!("it has more than {} values", self.values));
			}
			if depth > self.depth {
				return Err(format!("it nests more than {} deep", self.depth));
			}
		}
		Ok(())
	}

	/// Parses JSON within these limits. The error is a reason for people.
	pub fn parse<T: DeserializeOwned>(&self, json: &[u8]) -> Result<T, String> {
		self.check(json)?;
		serde_json::from_slice(json).map_err(|e| e.to_string())
	}
}

impl Serialize for Json {
	fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
		match self {
			Self::Null => s.serialize_unit(),
			Self::Bool(b) => s.serialize_bool(*b),
			Self::Int(n) => s.serialize_i64(*n),
			Self::Float(x) => s.serialize_f64(*x),
			Self::Text(text) => s.serialize_str(text),
			Self::List(items) => {
				let mut list = s.serialize_seq(Some(items.len()))?;
				for item in items {
					list.serialize_element(item)?;
				}
				list.end()
			}
			Self::Map(entries) => {
				let mut map = s.serialize_map(Some(entries.len()))?;
				for (key, value) in entries {
					map.serialize_entry(key, value)?;
				}
				map.end()
			}
		}
	}
}

impl<'de> Deserialize<'de> for Json {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
		deserializer.deserialize_any(JsonVisitor)
	}
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
	type Value = Json;

	fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("JSON with whole numbers of 64 bits")
	}

	fn visit_unit<E: de::Error>(self) -> Result<Json, E> {
		Ok(Json::Null)
	}

	fn visit_bool<E: de::Error>(self, b: bool) -> Result<Json, E> {
		Ok(Json::Bool(b))
	}

	fn visit_i64<E: de::Error>(self, n: i64) -> Result<Json, E> {
		Ok(Json::Int(n))
	}

	fn visit_u64<E: de::Error>(self, n: u64) -> Result<Json, E> {
		i64::try_from(n)
			.map(Json::Int)
			.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(n), &self))
	}

	fn visit_f64<E: de::Error>(self, x: f64) -> Result<Json, E> {
		float(x).ok_or_else(|| E::invalid_value(de::Unexpected::Float(x), &self))
	}

	fn visit_str<E: de::Error>(self, text: &str) -> Result<Json, E> {
		Ok(Json::Text(text.into()))
	}

	fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
		let mut list = Vec::new();
		while let Some(item) = items.next_element()? {
			list.push(item);
		}
		Ok(Json::List(list))
	}

	fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
		let (mut map, mut keys) = (Vec::new(), BTreeSet::new());
		while let Some(key) = entries.next_key::<String>()? {
			if key == NUMBER {
				return number(&entries.next_value::<String>()?);
			}
			if !keys.insert(key.clone()) {
				return Err(de::Error::custom(format!("the key `{key}` is there twice")));
			}
			map.push((key, entries.next_value()?));
		}
		Ok(Json::Map(map))
	}
}

/// Reads a number as it was written.
fn number<E: de::Error>(text: &str) -> Result<Json, E> {
	match text.parse() {
		Ok(whole) if text != "-0" => return Ok(Json::Int(whole)),
		_ => {}
	}
	let read = text.parse().ok().and_then(float);
	read.ok_or_else(|| E::invalid_value(de::Unexpected::Other(text), &JsonVisitor))
}

/// Returns a float within the range of 64-bit integers: beyond it, serde_json hands over a whole number as a float too,
/// which must not be rounded in silence. No negative zero either: serde_json makes one of `-0`, which is a whole number.
fn float(x: f64) -> Option<Json> {
	const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2⁶³
	let negative_zero = x == 0.0 && x.is_sign_negative();
	(-LIMIT < x && x < LIMIT && !negative_zero).then_some(Json::Float(x))
}

#[cfg(test)]
mod tests {
	use super::*;

	const SMALL: JsonLimits = JsonLimits {
		bytes: 64,
		values: 8,
		depth: 3,
	};

	#[test]
	fn json_keeps_the_order_of_its_keys_and_the_kinds_of_its_numbers() {
		let json: Json = SMALL.parse(br#"{"b": [1, 2.50, -3e2], "a": null}"#).unwrap();
		assert_eq!(
			json,
			Json::Map(vec![
				(
					"b".into(),
					Json::List(vec![Json::Int(1), Json::Float(2.5), Json::Float(-300.0)])
				),
				("a".into(), Json::Null),
			])
		);
		assert_eq!(
			serde_json::to_string(&json).unwrap(),
			r#"{"b":[1,2.5,-300.0],"a":null}"#
		);
		assert_eq!(json.get("a"), Some(&Json::Null));
	}

	#[test]
	fn a_key_twice_and_a_number_beyond_64_bits_are_refused() {
		for (json, why) in [
			(r#"{"a":1,"a":2}"#, "`a` is there twice"),
			("9223372036854775808", "64 bits"),
			("123456789012345678901234", "64 bits"),
			("1e999", ""),
			("-0", "-0"),
			("[-0.0]", "-0"),
		] {
			let reason = SMALL.parse::<Json>(json.as_bytes()).unwrap_err();
			assert!(reason.contains(why), "{json}: {reason}");
		}
	}

	#[test]
	fn json_over_a_limit_is_refused_before_it_is_parsed() {
		for (json, why) in [
			("[[[[", "nests more than 3 deep"),
			("[1,1,1,1,1,1,1,1", "more than 8 values"),
			(r#"{"a":1,"b":1,"c":1,"d":1}"#, "more than 8 values"),
			("[]}{[]}{[]}{[]}{[]}{", "more than 8 values"),
			(
				" 1                                                               ",
				"at most 64 are read",
			),
			("[1,]", "trailing comma"),
			("\"\\", "EOF"),
		] {
			let reason = SMALL.parse::<Json>(json.as_bytes()).unwrap_err();
			assert!(reason.contains(why), "{json}: {reason}");
		}
	}
}
