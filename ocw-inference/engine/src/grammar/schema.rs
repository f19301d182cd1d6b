//! The JSON schemas that an answer can be held to: an allow-list of keywords, read before the library sees them.
//!
//! The library passes over keywords that it does not know and reads options of its own out of a schema. Here what is not
//! on the list is refused, and so is what the library would read otherwise than JSON Schema says (`docs/spec/c2.md`
//! §5.2).

use assay_primitives::json::Json;
use serde_json::{json, Map, Number, Value};
use std::collections::BTreeSet;

/// A schema is not one of those that are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsupported;

type Result<T> = std::result::Result<T, Unsupported>;

/// Most names of properties, in one object.
const MAX_PROPERTIES: usize = 256;
/// Most schemas in a list of them, and most prefixes and patterns of one array or object.
const MAX_OPTIONS: usize = 64;
const MAX_PATTERNS: usize = 8;
/// Most values of one `enum`.
const MAX_VALUES: usize = 1_024;
/// Most definitions that are referred to: the library's recursion follows them.
const MAX_REFERENCES: usize = 64;
/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 512;
/// Largest count of items or characters.
const MAX_COUNT: i64 = 65_536;
/// Up to this an integer is exact in the library's arithmetic, and no other is taken for it.
const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;

const DIALECTS: [&str; 4] = [
	"https://json-schema.org/draft/2020-12/schema",
	"https://json-schema.org/draft/2019-09/schema",
	"http://json-schema.org/draft-07/schema",
	"http://json-schema.org/draft-06/schema",
];
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
const FORMATS: [&str; 10] = [
	"date-time",
	"time",
	"date",
	"duration",
	"email",
	"hostname",
	"ipv4",
	"ipv6",
	"uuid",
	"uri",
];
/// What describes and never decides.
const ANNOTATIONS: [&str; 10] = [
	"title",
	"description",
	"default",
	"examples",
	"$comment",
	"readOnly",
	"writeOnly",
	"deprecated",
	"contentEncoding",
	"contentMediaType",
];

/// Returns a schema as the library is given it: the keywords on the list, with the options that make each text have one
/// notation and white space an end.
pub(super) fn checked(schema: &Json) -> Result<Value> {
	let mut reader = Reader {
		root: schema,
		references: BTreeSet::new(),
	};
	let mut read = match schema {
		// The library takes options from a map alone.
		Json::Bool(true) => Map::new(),
		Json::Map(entries) => reader.map(entries, true)?,
		_ => return Err(Unsupported),
	};
	let options = json!({
		// Escapes of printable characters would be second ways to write a name that is taken.
		"json_allowed_escapes": "nrbtf\\\"",
		"whitespace_pattern": super::SPACE,
	});
	read.insert("x-guidance".into(), options);
	Ok(Value::Object(read))
}

/// [`checked`] of a tool's parameters, which are an object.
pub(super) fn checked_object(schema: Option<&Json>) -> Result<Value> {
	let object = Json::Text("object".into());
	let entries = match schema {
		None | Some(Json::Null) => Vec::new(),
		Some(Json::Map(entries)) => entries.clone(),
		Some(_) => return Err(Unsupported),
	};
	match entries.iter().find(|(key, _)| key == "type") {
		Some((_, kind)) if *kind == object => checked(&Json::Map(entries)),
		Some(_) => Err(Unsupported),
		None => {
			let with_type = std::iter::once(("type".into(), object)).chain(entries);
			checked(&Json::Map(with_type.collect()))
		}
	}
}

struct Reader<'s> {
	root: &'s Json,
	references: BTreeSet<&'s str>,
}

impl<'s> Reader<'s> {
	fn schema(&mut self, schema: &'s Json) -> Result<Value> {
		match schema {
			Json::Bool(whole) => Ok(Value::Bool(*whole)),
			Json::Map(entries) => Ok(Value::Object(self.map(entries, false)?)),
			_ => Err(Unsupported),
		}
	}

	fn map(&mut self, entries: &'s [(String, Json)], is_root: bool) -> Result<Map<String, Value>> {
		let mut read = Map::new();
		for (key, value) in entries {
			if ANNOTATIONS.contains(&key.as_str()) || (is_root && is_identity(key, value)?) {
				continue;
			}
			read.insert(key.clone(), self.keyword(key, value)?);
		}
		Ok(read)
	}

	fn keyword(&mut self, key: &str, value: &'s Json) -> Result<Value> {
		match key {
			"type" => types(value),
			"const" => constant(value),
			"enum" => list(value, MAX_VALUES)?.iter().map(constant).collect(),
			"anyOf" | "allOf" | "oneOf" | "prefixItems" => {
				list(value, MAX_OPTIONS)?.iter().map(|one| self.schema(one)).collect()
			}
			"items" | "additionalProperties" => self.schema(value),
			"properties" | "$defs" | "definitions" => self.named(value, MAX_PROPERTIES, check_name),
			"patternProperties" => self.named(value, MAX_PATTERNS, check_pattern),
			"required" => required(value),
			"$ref" => self.reference(value),
			"minItems" | "maxItems" | "minLength" | "maxLength" | "maxProperties" => match value {
				Json::Int(count @ 0..=MAX_COUNT) => Ok(Value::from(*count)),
				_ => Err(Unsupported),
			},
			"minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Ok(Value::Number(number(value)?)),
			"multipleOf" => match number(value)? {
				step if step.as_f64() > Some(0.0) => Ok(Value::Number(step)),
				_ => Err(Unsupported),
			},
			"pattern" => {
				let pattern = value.as_text().ok_or(Unsupported)?;
				check_pattern(pattern)?;
				Ok(Value::from(pattern))
			}
			"format" => match value.as_text() {
				Some(format) if FORMATS.contains(&format) => Ok(Value::from(format)),
				_ => Err(Unsupported),
			},
			_ => Err(Unsupported),
		}
	}

	fn named(&mut self, value: &'s Json, most: usize, check: fn(&str) -> Result<()>) -> Result<Value> {
		let entries = value
			.as_map()
			.filter(|entries| entries.len() <= most)
			.ok_or(Unsupported)?;
		let mut read = Map::new();
		for (name, schema) in entries {
			check(name)?;
			read.insert(name.clone(), self.schema(schema)?);
		}
		Ok(Value::Object(read))
	}

	/// A reference leads to the whole schema or to a definition of it, which is checked where it stands.
	fn reference(&mut self, value: &'s Json) -> Result<Value> {
		let to = value.as_text().ok_or(Unsupported)?;
		let definition = |list: &str| {
			let name = to.strip_prefix("#/")?.strip_prefix(list)?.strip_prefix('/')?;
			let plain = !name.contains(['/', '~', '%']);
			self.root.get(list)?.get(name).filter(|_| plain)
		};
		if to != "#" && definition("$defs").or_else(|| definition("definitions")).is_none() {
			return Err(Unsupported);
		}
		self.references.insert(to);
		if self.references.len() > MAX_REFERENCES {
			return Err(Unsupported);
		}
		Ok(Value::from(to))
	}
}

/// Returns whether a key of the whole says which schema it is, and not what is valid; refuses a dialect that is not read.
fn is_identity(key: &str, value: &Json) -> Result<bool> {
	match (key, value.as_text()) {
		("$id", _) => Ok(true),
		("$schema", Some(dialect)) if DIALECTS.contains(&dialect.trim_end_matches('#')) => Ok(true),
		("$schema", _) => Err(Unsupported),
		_ => Ok(false),
	}
}

fn list(value: &Json, most: usize) -> Result<&[Json]> {
	let list = value.as_list().ok_or(Unsupported)?;
	if (1..=most).contains(&list.len()) {
		Ok(list)
	} else {
		Err(Unsupported)
	}
}

fn types(value: &Json) -> Result<Value> {
	let known = |value: &Json| match value.as_text() {
		Some(name) if TYPES.contains(&name) => Ok(Value::from(name)),
		_ => Err(Unsupported),
	};
	match value {
		Json::List(_) => list(value, TYPES.len())?.iter().map(known).collect(),
		one => known(one),
	}
}

fn required(value: &Json) -> Result<Value> {
	let names = value
		.as_list()
		.filter(|names| names.len() <= MAX_PROPERTIES)
		.ok_or(Unsupported)?;
	let name = |name: &Json| {
		let name = name.as_text().ok_or(Unsupported)?;
		check_name(name)?;
		Ok(Value::from(name))
	};
	names.iter().map(name).collect()
}

/// A control character in a name has two notations, of which the library knows one.
fn check_name(name: &str) -> Result<()> {
	if name.chars().any(char::is_control) {
		return Err(Unsupported);
	}
	Ok(())
}

/// Returns whether a character stands for itself in a text of JSON, or has an escape of two characters.
fn is_writable(c: char) -> bool {
	matches!(c, '\u{8}' | '\t' | '\n' | '\u{c}' | '\r') || (c >= ' ' && c != '\u{7f}')
}

fn check_pattern(pattern: &str) -> Result<()> {
	if pattern.len() > MAX_PATTERN_BYTES {
		return Err(Unsupported);
	}
	Ok(())
}

fn number(value: &Json) -> Result<Number> {
	let read = match value {
		Json::Int(n) => Some(Number::from(*n)),
		Json::Float(x) => Number::from_f64(*x),
		_ => None,
	};
	let exact = |n: &Number| n.as_f64().is_some_and(|x| (-MAX_NUMBER..=MAX_NUMBER).contains(&x));
	read.filter(exact).ok_or(Unsupported)
}

/// A value that an answer may have to equal.
fn constant(value: &Json) -> Result<Value> {
	match value {
		Json::Null => Ok(Value::Null),
		Json::Bool(whole) => Ok(Value::Bool(*whole)),
		Json::Int(_) | Json::Float(_) => Ok(Value::Number(number(value)?)),
		Json::Text(text) if text.chars().all(is_writable) => Ok(Value::from(text.as_str())),
		Json::Text(_) => Err(Unsupported),
		Json::List(items) => items.iter().map(constant).collect(),
		Json::Map(entries) => {
			let mut read = Map::new();
			for (name, value) in entries {
				check_name(name)?;
				read.insert(name.clone(), constant(value)?);
			}
			Ok(Value::Object(read))
		}
	}
}
