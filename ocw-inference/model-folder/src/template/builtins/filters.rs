//! Filters.

use super::{
	json::to_json,
	method, test,
	text::{is_space, lines},
	Args,
};
use crate::template::{error::Result, interpreter::Interpreter, value::Value};
use std::cmp::Ordering;

/// Filters that take no arguments.
const PLAIN_FILTERS: [&str; 10] = [
	"length", "count", "string", "safe", "int", "list", "first", "last", "reverse", "items",
];
/// Filters that make of a text marked as safe what Jinja makes of it. Of the others it would return a marked text.
const SAFE_FILTERS: [&str; 6] = ["length", "count", "string", "safe", "default", "d"];
/// Most spaces that `indent` writes before a line.
const MAX_INDENT: i64 = 1_000;
/// Longest attribute of a filter, with its dots.
const MAX_PATH: usize = 256;

/// Applies a filter.
pub(in crate::template) fn filter<'a>(
	interp: &mut Interpreter<'a>,
	name: &str,
	value: Value<'a>,
	args: Args<'a>,
) -> Result<Value<'a>> {
	if matches!(value, Value::Safe(_)) && !SAFE_FILTERS.contains(&name) {
		return Err(format!("`{name}` of a text made `safe` is not part of c2's templates; leave `safe` out").into());
	}
	match name {
		"trim" | "upper" | "lower" | "capitalize" | "title" | "replace" => {
			let text = Value::Text(value.written()?);
			let name = if name == "trim" { "strip" } else { name };
			return method(interp, &text, name, args);
		}
		"default" | "d" => {
			let [instead, also_false] = args.bound_to(name, ["default_value", "boolean"])?;
			let missing = matches!(value, Value::Undefined) || (also_false.truth() && !value.truth());
			let instead = if matches!(instead, Value::Undefined) {
				Value::text("")
			} else {
				instead
			};
			return Ok(if missing { instead } else { value });
		}
		"join" => {
			let [between, attribute] = args.bound_to(name, ["d", "attribute"])?;
			let mut items = interp.items(&value)?.items.clone();
			interp.spend(items.len())?;
			if !matches!(attribute, Value::Undefined) {
				for item in &mut items {
					*item = attribute_of(interp, item, &attribute)?;
				}
			}
			return joined(interp, &items, &between.written()?);
		}
		// Of nothing these make nothing, and don't ask what it is.
		"map" | "selectattr" | "rejectattr" | "select" | "reject" if !value.truth() => return Value::list(Vec::new()),
		"map" => return map(interp, &value, args),
		"selectattr" | "rejectattr" | "select" | "reject" => return select(interp, name, &value, args),
		"sort" => return sort(interp, &value, args),
		"min" | "max" => {
			let [sensitive, attribute] = args.bound_to(name, ["case_sensitive", "attribute"])?;
			let all = sort_by(interp, &value, &attribute, sensitive.truth(), name == "max")?;
			return filter(interp, "first", all, Args::default());
		}
		"dictsort" => return dict_sort(interp, &value, args),
		"indent" => return indent(interp, &value, args),
		"tojson" => return to_json(interp, &value, args),
		_ if !PLAIN_FILTERS.contains(&name) => {
			return Err(format!("the filter `{name}` is not part of c2's templates").into())
		}
		_ => args.none(name)?,
	}
	match name {
		"length" | "count" => length(interp, &value),
		"string" if matches!(value, Value::Safe(_)) => Ok(value),
		"string" => Ok(Value::Text(value.written()?)),
		"safe" => Ok(Value::Safe(value.written()?)),
		"int" => Ok(Value::Int(match &value {
			Value::Int(n) => *n,
			// Toward zero; a fraction of a conversation is within the range.
			Value::Fraction(x) => *x as i64,
			Value::Bool(b) => i64::from(*b),
			Value::Text(text) => {
				interp.spend(text.len())?;
				text.trim_matches(is_space).parse().unwrap_or(0)
			}
			_ => 0,
		})),
		"list" => Ok(Value::List(interp.items(&value)?)),
		"first" => Ok(interp.items(&value)?.items.first().cloned().unwrap_or(Value::Undefined)),
		"last" => Ok(interp.items(&value)?.items.last().cloned().unwrap_or(Value::Undefined)),
		"reverse" => {
			let mut items = interp.items(&value)?.items.clone();
			interp.spend(items.len())?;
			items.reverse();
			match value {
				Value::Text(_) => joined(interp, &items, ""),
				_ => Value::list(items),
			}
		}
		_ => match value {
			Value::Undefined => Value::list(Vec::new()),
			value => method(interp, &value, "items", Args::default()),
		},
	}
}

fn length<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>) -> Result<Value<'a>> {
	Ok(Value::int(match value {
		Value::Undefined => 0,
		Value::Text(text) | Value::Safe(text) => {
			interp.spend(text.len())?;
			text.chars().count()
		}
		Value::List(list) => list.items.len(),
		Value::Map(map) => map.entries.len(),
		other => return Err(format!("{} has no length", other.kind()).into()),
	}))
}

/// The written items, one after another.
pub(in crate::template) fn joined<'a>(
	interp: &mut Interpreter<'a>,
	items: &[Value<'a>],
	between: &str,
) -> Result<Value<'a>> {
	let mut text = String::new();
	for (place, item) in items.iter().enumerate() {
		let written = item.written()?;
		interp.spend(1 + between.len() + written.len())?;
		if place > 0 {
			text.push_str(between);
		}
		text.push_str(&written);
	}
	Ok(Value::text(text))
}

/// `map(attribute="name")`, or `map("filter")` with a filter that takes no arguments.
fn map<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let [by, attribute] = args.bound_to("map", ["filter", "attribute"])?;
	let mut mapped = Vec::new();
	for item in &interp.items(value)?.items {
		interp.spend(1)?;
		mapped.push(match (&by, &attribute) {
			(Value::Undefined, Value::Text(_) | Value::Int(_)) => attribute_of(interp, item, &attribute)?,
			(Value::Text(name), Value::Undefined) if &**name != "map" => {
				filter(interp, name, item.clone(), Args::default())?
			}
			_ => return Err("`map` takes the name of a filter, or attribute=…".into()),
		});
	}
	Value::list(mapped)
}

/// `selectattr(attribute, test, value)` and its kin.
fn select<'a>(interp: &mut Interpreter<'a>, name: &str, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let (keep, by_attribute) = (name.starts_with("select"), name.ends_with("attr"));
	let mut args = args.bound(name, &["attribute", "test", "value"][usize::from(!by_attribute)..])?;
	let attribute = by_attribute.then(|| args.remove(0));
	let mut kept = Vec::new();
	for item in &interp.items(value)?.items {
		interp.spend(1)?;
		let judged = match &attribute {
			Some(attribute) => attribute_of(interp, item, attribute)?,
			None => item.clone(),
		};
		let passed = match args.first() {
			Some(Value::Text(by)) => {
				let positional: Vec<_> = args[1..]
					.iter()
					.filter(|v| !matches!(v, Value::Undefined))
					.cloned()
					.collect();
				let args = Args {
					positional,
					named: Vec::new(),
				};
				test(interp, by, &judged, args)?
			}
			Some(Value::Undefined) | None => judged.truth(),
			Some(other) => return Err(format!("{} is not the name of a test", other.kind()).into()),
		};
		if passed == keep {
			kept.push(item.clone());
		}
	}
	Value::list(kept)
}

/// The attribute of a filter's argument: names and numbers with dots between.
fn attribute_of<'a>(interp: &mut Interpreter<'a>, item: &Value<'a>, attribute: &Value<'a>) -> Result<Value<'a>> {
	let Value::Text(path) = attribute else {
		return interp.item(item, attribute);
	};
	if path.len() > MAX_PATH {
		return Err(format!("the name of an attribute has {} bytes; at most {MAX_PATH}", path.len()).into());
	}
	let mut found = item.clone();
	for part in path.split('.') {
		let digits = part.bytes().all(|b| b.is_ascii_digit());
		found = match part.parse() {
			Ok(n) if digits => interp.item(&found, &Value::Int(n))?,
			_ => interp.attribute(&found, part)?,
		};
	}
	Ok(found)
}

/// Units that sorting takes: for each item its own length as often as halving leads to one.
pub(super) fn sorting<'a>(keys: impl Iterator<Item = Value<'a>>) -> usize {
	let (mut items, mut bytes) = (0usize, 0usize);
	for key in keys {
		items += 1;
		bytes = bytes.saturating_add(match &key {
			Value::Text(text) => 1 + text.len(),
			_ => 1,
		});
	}
	bytes.saturating_mul(items.checked_ilog2().map_or(1, |bits| bits as usize + 1))
}

/// Sorts by keys, which must be numbers or texts; without regard to case unless it is `sensitive`.
fn sorted<'a>(
	interp: &mut Interpreter<'a>,
	mut items: Vec<(Value<'a>, Value<'a>)>,
	sensitive: bool,
	reverse: bool,
) -> Result<Value<'a>> {
	interp.spend(sorting(items.iter().map(|(key, _)| key.clone())))?;
	for (key, _) in &mut items {
		*key = match key {
			Value::Text(text) if !sensitive => {
				let lower = text.to_ascii_lowercase();
				if text.to_lowercase() != lower {
					return Err("texts with letters outside ASCII are sorted with `case_sensitive=true` only".into());
				}
				Value::text(lower)
			}
			Value::Text(_) | Value::Int(_) => key.clone(),
			other => return Err(format!("{} is not sorted by", other.kind()).into()),
		};
	}
	if items.iter().any(|(key, _)| matches!(key, Value::Int(_)))
		!= items.iter().all(|(key, _)| matches!(key, Value::Int(_)))
	{
		return Err("a number and a text have no order".into());
	}
	items.sort_by(|(a, _), (b, _)| {
		let order = match (a, b) {
			(Value::Int(a), Value::Int(b)) => a.cmp(b),
			(Value::Text(a), Value::Text(b)) => a.cmp(b),
			_ => Ordering::Equal,
		};
		if reverse {
			order.reverse()
		} else {
			order
		}
	});
	Value::list(items.into_iter().map(|(_, item)| item).collect())
}

fn sort<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let [reverse, sensitive, attribute] = args.bound_to("sort", ["reverse", "case_sensitive", "attribute"])?;
	sort_by(interp, value, &attribute, sensitive.truth(), reverse.truth())
}

/// Sorts the items of a value, by an attribute if there is one.
fn sort_by<'a>(
	interp: &mut Interpreter<'a>,
	value: &Value<'a>,
	attribute: &Value<'a>,
	sensitive: bool,
	reverse: bool,
) -> Result<Value<'a>> {
	let mut items = Vec::new();
	for item in &interp.items(value)?.items {
		let key = match attribute {
			Value::Undefined | Value::None => item.clone(),
			_ => attribute_of(interp, item, attribute)?,
		};
		items.push((key, item.clone()));
	}
	sorted(interp, items, sensitive, reverse)
}

fn dict_sort<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let [sensitive, by, reverse] = args.bound_to("dictsort", ["case_sensitive", "by", "reverse"])?;
	let by_value = match &by {
		Value::Undefined => false,
		Value::Text(by) if &**by == "key" => false,
		Value::Text(by) if &**by == "value" => true,
		_ => return Err("`dictsort` sorts by \"key\" or \"value\"".into()),
	};
	let Value::Map(map) = value else {
		return Err(format!("`dictsort` sorts a map, not {}", value.kind()).into());
	};
	interp.spend(map.entries.len())?;
	let mut items = Vec::new();
	for (key, value) in &map.entries {
		let key = Value::from(key);
		let pair = Value::list(vec![key.clone(), value.clone()])?;
		items.push((if by_value { value.clone() } else { key }, pair));
	}
	sorted(interp, items, sensitive.truth(), reverse.truth())
}

fn indent<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let [width, first, blank] = args.bound_to("indent", ["width", "first", "blank"])?;
	let before = match width {
		Value::Undefined => " ".repeat(4),
		Value::Text(text) => text.to_string(),
		Value::Int(n) if n <= MAX_INDENT => " ".repeat(usize::try_from(n).unwrap_or(0)),
		_ => return Err(format!("`indent` takes a text, or up to {MAX_INDENT} spaces").into()),
	};
	let text = [&*value.written()?, "\n"].concat();
	let mut indented = String::new();
	for (place, line) in lines(&text).enumerate() {
		let indents = if place == 0 {
			first.truth()
		} else {
			indented.push('\n');
			blank.truth() || !line.is_empty()
		};
		interp.spend(1 + before.len() + line.len())?;
		if indents {
			indented.push_str(&before);
		}
		indented.push_str(line);
	}
	Ok(Value::text(indented))
}
