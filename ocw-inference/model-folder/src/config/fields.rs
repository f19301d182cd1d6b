//! The fields of a JSON object, read with their names in every refusal.

use super::F32;
use crate::{Error, Result};
use serde_json::{Map, Value};

/// A JSON object that somebody else wrote. A field that is null counts as absent, as it does for transformers.
pub(super) struct Fields<'a> {
	map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
	pub(super) fn new(map: &'a Map<String, Value>) -> Self {
		Self { map }
	}

	/// The value of a field, unless it's absent or null.
	pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
		self.map.get(key).filter(|v| !v.is_null())
	}

	/// Whether a field is written out as null.
	pub(super) fn is_null(&self, key: &str) -> bool {
		self.map.get(key).is_some_and(Value::is_null)
	}

	/// A field that must be there.
	pub(super) fn need(&self, key: &str) -> Result<&'a Value> {
		self.get(key)
			.ok_or_else(|| Error::Config(format!("`{key}` is missing; fetch the file again")))
	}

	pub(super) fn text(&self, key: &str) -> Result<&'a str> {
		let value = self.need(key)?;
		value.as_str().ok_or_else(|| refused(key, value, "a string"))
	}

	pub(super) fn number(&self, key: &str) -> Result<u32> {
		let value = self.need(key)?;
		as_u32(value).ok_or_else(|| refused(key, value, "a number below 2³²"))
	}

	pub(super) fn number_or(&self, key: &str, default: u32) -> Result<u32> {
		match self.get(key) {
			Some(_) => self.number(key),
			None => Ok(default),
		}
	}

	/// A number with a fraction, if the field is there.
	pub(super) fn float(&self, key: &str) -> Result<Option<f64>> {
		self.get(key)
			.map(|value| value.as_f64().ok_or_else(|| refused(key, value, "a number")))
			.transpose()
	}

	pub(super) fn float_or(&self, key: &str, default: f64) -> Result<F32> {
		Ok(F32(self.float(key)?.unwrap_or(default) as f32))
	}

	pub(super) fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
		match self.get(key) {
			None => Ok(default),
			Some(value) => value.as_bool().ok_or_else(|| refused(key, value, "true or false")),
		}
	}

	/// Refuses a field that is there with another value than `only`.
	pub(super) fn only(&self, key: &str, only: Value) -> Result<()> {
		let same = |value: &Value| *value == only || (only.is_f64() && value.as_f64() == only.as_f64());
		match self.get(key) {
			Some(value) if !same(value) => Err(Error::Config(format!(
				"`{key}` is {}; c2 knows {only} alone: take a model that has it",
				shown(value)
			))),
			_ => Ok(()),
		}
	}

	/// Refuses a field that is there and neither null nor false.
	pub(super) fn without(&self, key: &str) -> Result<()> {
		match self.get(key) {
			Some(value) if *value != Value::Bool(false) => Err(Error::Config(format!(
				"`{key}` is {}; c2 does not compute that: take a model without it",
				shown(value)
			))),
			_ => Ok(()),
		}
	}
}

pub(super) fn as_u32(value: &Value) -> Option<u32> {
	value.as_u64().and_then(|v| u32::try_from(v).ok())
}

pub(super) fn refused(key: &str, value: &Value, wanted: &str) -> Error {
	Error::Config(format!("`{key}` is {}, not {wanted}; correct it", shown(value)))
}

/// A value in a message; a long one is cut.
pub(super) fn shown(value: &Value) -> String {
	let text = value.to_string();
	match text.char_indices().nth(60) {
		Some((end, _)) => format!("{}…", &text[..end]),
		None => text,
	}
}
