//! What a template is given: a conversation, and what else transformers hands over with it.

use super::{
	error,
	value::{Key, Value},
};
use crate::{files::JsonLimits, Error, Result};
use serde::{
	de::{self, MapAccess, SeqAccess, Visitor},
	Deserialize, Deserializer,
};
use std::{collections::BTreeMap, fmt};

/// Limits of a conversation.
const LIMITS: JsonLimits = JsonLimits {
	bytes: 256 << 10,
	values: 20_000,
	depth: 16,
};
/// The names under which a message may carry the model's reasoning; templates know one or another.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The key under which serde_json hands over a fraction, or a number beyond 64 bits, if some crate of the build has switched
/// its `arbitrary_precision` on.
const NUMBER: &str = "$serde_json::private::Number";

/// A conversation: the messages and the other variables of a template.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Data")]
pub struct Chat {
	variables: Vec<(String, Data)>,
}

/// Plain data, its maps in the order in which they were written.
#[derive(Clone, Debug, PartialEq)]
enum Data {
	None,
	Bool(bool),
	Int(i64),
	Text(String),
	List(Vec<Data>),
	Map(Vec<(String, Data)>),
}

impl Chat {
	/// Returns the conversation of one user message.
	pub fn of(message: &str) -> Self {
		let text = |text: &str| Data::Text(text.to_owned());
		let user = vec![("role".to_owned(), text("user")), ("content".to_owned(), text(message))];
		Self::with_defaults(vec![("messages".into(), Data::List(vec![Data::Map(user)]))])
	}

	/// Reads a conversation: a map of `messages`, and of `tools`, `documents`, `add_generation_prompt` and what else the
	/// template asks for.
	pub fn parse(json: &[u8]) -> Result<Self> {
		LIMITS
			.parse(json)
			.map_err(|reason| Error::Template(format!("the conversation: {reason}")))
	}

	/// Sets what transformers sets: templates ask whether it is none.
	fn with_defaults(mut variables: Vec<(String, Data)>) -> Self {
		for (name, value) in [
			("add_generation_prompt", Data::Bool(true)),
			("tools", Data::None),
			("documents", Data::None),
		] {
			if !variables.iter().any(|(known, _)| known == name) {
				variables.push((name.into(), value));
			}
		}
		Self { variables }
	}

	pub(super) fn variables<'a>(&'a self) -> error::Result<BTreeMap<&'a str, Value<'a>>> {
		let variables = self.variables.iter();
		variables
			.map(|(name, data)| Ok((name.as_str(), data.value()?)))
			.collect()
	}
}

impl TryFrom<Data> for Chat {
	type Error = &'static str;

	fn try_from(data: Data) -> std::result::Result<Self, Self::Error> {
		let Data::Map(mut variables) = data else {
			return Err("it must be a map with `messages`");
		};
		let messages = variables.iter_mut().find(|(name, _)| name == "messages");
		let Some((_, Data::List(messages))) = messages else {
			return Err("`messages` must be a list");
		};
		if messages.is_empty() {
			return Err("`messages` is empty; give at least one");
		}
		for message in messages {
			let Data::Map(message) = message else {
				return Err("each of `messages` must be a map, with `role` and `content`");
			};
			normalize(message);
		}
		Ok(Self::with_defaults(variables))
	}
}

/// As transformers does before it renders: a key without a value is no key, and reasoning has the names that templates
/// ask for.
fn normalize(message: &mut Vec<(String, Data)>) {
	message.retain(|(_, value)| *value != Data::None);
	let named = |name: &str| {
		message
			.iter()
			.find(|(key, _)| key == name)
			.map(|(_, value)| value.clone())
	};
	let Some(reasoning) = REASONING.into_iter().find_map(named) else {
		return;
	};
	message.insert(0, ("thinking".into(), reasoning.clone()));
	message.push(("reasoning_content".into(), reasoning));
}

impl Data {
	fn value<'a>(&self) -> error::Result<Value<'a>> {
		Ok(match self {
			Self::None => Value::None,
			Self::Bool(b) => Value::Bool(*b),
			Self::Int(n) => Value::Int(*n),
			Self::Text(text) => Value::text(text),
			Self::List(items) => Value::list(items.iter().map(Self::value).collect::<error::Result<_>>()?)?,
			Self::Map(entries) => {
				let entries = entries
					.iter()
					.map(|(key, value)| Ok((Key::from(key.as_str()), value.value()?)));
				Value::map(entries.collect::<error::Result<_>>()?)?
			}
		})
	}
}

impl<'de> Deserialize<'de> for Data {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
		deserializer.deserialize_any(DataVisitor)
	}
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
	type Value = Data;

	fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str("none, a boolean, a whole number of 64 bits, a text, a list or a map")
	}

	fn visit_unit<E: de::Error>(self) -> std::result::Result<Data, E> {
		Ok(Data::None)
	}

	fn visit_bool<E: de::Error>(self, b: bool) -> std::result::Result<Data, E> {
		Ok(Data::Bool(b))
	}

	fn visit_i64<E: de::Error>(self, n: i64) -> std::result::Result<Data, E> {
		Ok(Data::Int(n))
	}

	fn visit_u64<E: de::Error>(self, n: u64) -> std::result::Result<Data, E> {
		i64::try_from(n)
			.map(Data::Int)
			.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(n), &self))
	}

	fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Data, E> {
		Ok(Data::Text(text.to_owned()))
	}

	fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Data, A::Error> {
		let mut list = Vec::new();
		while let Some(item) = items.next_element()? {
			list.push(item);
		}
		Ok(Data::List(list))
	}

	fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Data, A::Error> {
		let mut map = Vec::new();
		while let Some((key, value)) = entries.next_entry::<String, Data>()? {
			if key == NUMBER {
				return Err(de::Error::invalid_type(de::Unexpected::Other("another number"), &self));
			}
			map.push((key, value));
		}
		Ok(Data::Map(map))
	}
}
