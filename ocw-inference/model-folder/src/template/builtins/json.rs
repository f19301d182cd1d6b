//! The filter `tojson`: JSON as Python's `json.dumps` writes it.

use super::Args;
use crate::template::{
	error::Result,
	fraction,
	interpreter::Interpreter,
	value::{Key, Value},
};

/// How it is written.
struct Style {
	ascii: bool,
	sorted: bool,
	/// Spaces of one level, if each item has a line of its own.
	indent: Option<usize>,
	between: String,
	after_key: String,
}

/// Applies the filter.
pub(super) fn to_json<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let [ascii, indent, separators, sorted] =
		args.bound_to("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"])?;
	let indent = match indent {
		Value::Undefined | Value::None => None,
		Value::Int(n) => Some(usize::try_from(n).unwrap_or(0)),
		other => return Err(format!("`tojson` indents by a number, not {}", other.kind()).into()),
	};
	let (between, after_key) = match &separators {
		Value::Undefined | Value::None => (if indent.is_some() { "," } else { ", " }.into(), ": ".into()),
		other => match &interp.items(other)?.items[..] {
			[Value::Text(between), Value::Text(after_key)] => (between.to_string(), after_key.to_string()),
			_ => return Err("the `separators` of `tojson` are two texts".into()),
		},
	};
	let style = Style {
		ascii: ascii.truth(),
		sorted: sorted.truth(),
		indent,
		between,
		after_key,
	};
	let mut json = String::new();
	write(interp, &style, value, 0, &mut json)?;
	Ok(Value::text(json))
}

fn write<'a>(
	interp: &mut Interpreter<'a>,
	style: &Style,
	value: &Value<'a>,
	level: usize,
	json: &mut String,
) -> Result<()> {
	interp.spend(2)?;
	match value {
		Value::None => json.push_str("null"),
		Value::Bool(b) => json.push_str(if *b { "true" } else { "false" }),
		Value::Int(n) => json.push_str(&n.to_string()),
		Value::Fraction(x) => json.push_str(&fraction::written(*x)),
		Value::Text(text) => quoted(interp, style, text, json)?,
		Value::List(list) => {
			json.push('[');
			for (place, item) in list.items.iter().enumerate() {
				style.begin_item(interp, place, level, json)?;
				write(interp, style, item, level + 1, json)?;
			}
			style.end(interp, list.items.is_empty(), level, json)?;
			json.push(']');
		}
		Value::Map(map) => {
			json.push('{');
			let mut entries: Vec<_> = map.entries.iter().collect();
			if style.sorted {
				interp.spend(super::filters::sorting(entries.iter().map(|(key, _)| key.into())))?;
				entries.sort_by(|(a, _), (b, _)| a.cmp(b));
			}
			for (place, (key, item)) in entries.into_iter().enumerate() {
				style.begin_item(interp, place, level, json)?;
				match key {
					Key::Text(text) => quoted(interp, style, text, json)?,
					Key::Int(n) => quoted(interp, style, &n.to_string(), json)?,
				}
				interp.spend(style.after_key.len().saturating_sub(2))?;
				json.push_str(&style.after_key);
				write(interp, style, item, level + 1, json)?;
			}
			style.end(interp, map.entries.is_empty(), level, json)?;
			json.push('}');
		}
		other => return Err(format!("{} has no JSON", other.kind()).into()),
	}
	Ok(())
}

impl Style {
	fn begin_item(&self, interp: &mut Interpreter<'_>, place: usize, level: usize, json: &mut String) -> Result<()> {
		if place > 0 {
			interp.spend(self.between.len().saturating_sub(2))?;
			json.push_str(&self.between);
		}
		self.line(interp, level + 1, json)
	}

	fn end(&self, interp: &mut Interpreter<'_>, empty: bool, level: usize, json: &mut String) -> Result<()> {
		if empty {
			return Ok(());
		}
		self.line(interp, level, json)
	}

	fn line(&self, interp: &mut Interpreter<'_>, level: usize, json: &mut String) -> Result<()> {
		if let Some(indent) = self.indent {
			let spaces = level.saturating_mul(indent);
			interp.spend(spaces.saturating_add(1))?;
			json.push('\n');
			json.push_str(&" ".repeat(spaces));
		}
		Ok(())
	}
}

fn quoted(interp: &mut Interpreter<'_>, style: &Style, text: &str, json: &mut String) -> Result<()> {
	// An escaped character takes six bytes.
	interp.spend(6 * text.len())?;
	let quoted = serde_json::to_string(text).map_err(|e| e.to_string())?;
	if !style.ascii {
		json.push_str(&quoted);
		return Ok(());
	}
	for c in quoted.chars() {
		if c.is_ascii() {
			json.push(c);
		} else {
			for unit in c.encode_utf16(&mut [0; 2]) {
				json.push_str(&format!("\\u{unit:04x}"));
			}
		}
	}
	Ok(())
}
