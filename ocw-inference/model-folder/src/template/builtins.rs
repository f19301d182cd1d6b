//! What a template may call: filters, tests, methods and functions, each charged to the budget before it works.
//!
//! Letters change case in ASCII only, because the tables for the rest change with Unicode's versions.

use super::{
	error::{RenderError, Result},
	interpreter::Interpreter,
	value::{Function, Value},
};
use minijinja::machinery::ast::CompareOpKind;
use std::{cell::RefCell, rc::Rc};

/// Most numbers of one `range`.
const MAX_RANGE: usize = 10_000;

/// Arguments of a call.
#[derive(Default)]
pub(super) struct Args<'a> {
	pub(super) positional: Vec<Value<'a>>,
	pub(super) named: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Args<'a> {
	/// The arguments in the order of their names, undefined where none was given.
	pub(super) fn bound(self, callee: &str, names: &[&str]) -> Result<Vec<Value<'a>>> {
		if self.positional.len() > names.len() {
			return Err(format!("`{callee}` takes {} arguments", names.len()).into());
		}
		let mut values = self.positional;
		let given = values.len();
		values.resize(names.len(), Value::Undefined);
		for (name, value) in self.named {
			match names
				.iter()
				.position(|known| *known == name)
				.filter(|place| *place >= given)
			{
				Some(place) => values[place] = value,
				None => return Err(format!("`{callee}` has no further argument `{name}`").into()),
			}
		}
		Ok(values)
	}

	fn bound_to<const N: usize>(self, callee: &str, names: [&str; N]) -> Result<[Value<'a>; N]> {
		let values = self.bound(callee, &names)?;
		values
			.try_into()
			.map_err(|_| format!("`{callee}` takes {N} arguments").into())
	}

	fn none(self, callee: &str) -> Result<()> {
		self.bound(callee, &[]).map(|_| ())
	}
}

/// Calls a function.
pub(super) fn call<'a>(interp: &mut Interpreter<'a>, function: Function, args: Args<'a>) -> Result<Value<'a>> {
	match function {
		Function::Range => range(interp, args),
		Function::Namespace => {
			if !args.positional.is_empty() {
				return Err("`namespace` takes named arguments only".into());
			}
			let names = args.named.into_iter().map(|(name, value)| Ok((name, value.plain()?)));
			Ok(Value::Namespace(Rc::new(RefCell::new(names.collect::<Result<_>>()?))))
		}
		Function::Dict => {
			if !args.positional.is_empty() {
				return Err("`dict` takes named arguments only".into());
			}
			Value::map(
				args.named
					.into_iter()
					.map(|(name, value)| (name.into(), value))
					.collect(),
			)
		}
		Function::RaiseException => {
			let [message] = args.bound_to("raise_exception", ["message"])?;
			Err(format!("the template refuses: {}", message.written()?).into())
		}
	}
}

fn range<'a>(interp: &mut Interpreter<'a>, args: Args<'a>) -> Result<Value<'a>> {
	let mut numbers = Vec::new();
	for value in args.bound_to::<3>("range", ["start", "stop", "step"])? {
		match value {
			Value::Int(n) => numbers.push(n),
			Value::Undefined => {}
			other => return Err(format!("`range` counts numbers, not {}", other.kind()).into()),
		}
	}
	let (start, stop, step) = match numbers[..] {
		[stop] => (0, stop, 1),
		[start, stop] => (start, stop, 1),
		[start, stop, step] if step != 0 => (start, stop, step),
		_ => return Err("`range` takes one to three numbers, and no step of 0".into()),
	};
	let mut items = Vec::new();
	let mut at = start;
	while (step > 0 && at < stop) || (step < 0 && at > stop) {
		if items.len() >= MAX_RANGE {
			return Err(format!("`range` counts {MAX_RANGE} numbers at most").into());
		}
		interp.spend(1)?;
		items.push(Value::Int(at));
		at = at.saturating_add(step);
	}
	Value::list(items)
}

/// Filters that take no arguments.
const PLAIN_FILTERS: [&str; 11] = [
	"length", "count", "string", "safe", "int", "list", "first", "last", "reverse", "items", "tojson",
];

/// Applies a filter.
pub(super) fn filter<'a>(
	interp: &mut Interpreter<'a>,
	name: &str,
	value: Value<'a>,
	args: Args<'a>,
) -> Result<Value<'a>> {
	match name {
		"trim" | "upper" | "lower" | "capitalize" | "replace" => {
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
					*item = interp.item(item, &attribute)?;
				}
			}
			return joined(interp, &items, &between.written()?);
		}
		"map" => return map(interp, &value, args),
		"selectattr" | "rejectattr" | "select" | "reject" => return select(interp, name, &value, args),
		_ if !PLAIN_FILTERS.contains(&name) => {
			return Err(format!("the filter `{name}` is not part of c1-w8's templates").into())
		}
		_ => args.none(name)?,
	}
	match name {
		"length" | "count" => length(interp, &value),
		"string" => Ok(Value::Text(value.written()?)),
		"safe" => Ok(value),
		"int" => Ok(Value::Int(match &value {
			Value::Int(n) => *n,
			Value::Bool(b) => i64::from(*b),
			Value::Text(text) => {
				interp.spend(text.len())?;
				text.trim().parse().unwrap_or(0)
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
		"items" => method(interp, &value, "items", Args::default()),
		_ => {
			let mut json = String::new();
			to_json(interp, &value, &mut json)?;
			Ok(Value::text(json))
		}
	}
}

fn length<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>) -> Result<Value<'a>> {
	Ok(Value::int(match value {
		Value::Undefined => 0,
		Value::Text(text) => {
			interp.spend(text.len())?;
			text.chars().count()
		}
		Value::List(list) => list.items.len(),
		Value::Map(map) => map.entries.len(),
		other => return Err(format!("{} has no length", other.kind()).into()),
	}))
}

/// The written items, one after another.
pub(super) fn joined<'a>(interp: &mut Interpreter<'a>, items: &[Value<'a>], between: &str) -> Result<Value<'a>> {
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
			(Value::Undefined, Value::Text(_) | Value::Int(_)) => interp.item(item, &attribute)?,
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
			Some(attribute) => interp.item(item, attribute)?,
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

/// Whether a value passes a test.
pub(super) fn test<'a>(interp: &mut Interpreter<'a>, name: &str, value: &Value<'a>, args: Args<'a>) -> Result<bool> {
	let op = match name {
		"eq" | "equalto" | "==" | "sameas" => Some(CompareOpKind::Eq),
		"ne" | "!=" => Some(CompareOpKind::Ne),
		"lt" | "lessthan" | "<" => Some(CompareOpKind::Lt),
		"le" | "<=" => Some(CompareOpKind::Lte),
		"gt" | "greaterthan" | ">" => Some(CompareOpKind::Gt),
		"ge" | ">=" => Some(CompareOpKind::Gte),
		"in" => Some(CompareOpKind::In),
		_ => None,
	};
	if let Some(op) = op {
		let [other] = args.bound_to(name, ["other"])?;
		return interp.compare(op, value, &other);
	}
	if name == "divisibleby" {
		let [by] = args.bound_to(name, ["num"])?;
		return Ok(matches!((value, by), (Value::Int(n), Value::Int(by)) if n.checked_rem(by) == Some(0)));
	}
	Ok(match name {
		_ if !args.positional.is_empty() || !args.named.is_empty() => {
			return Err(format!("the test `{name}` takes no arguments in c1-w8's templates").into())
		}
		"defined" => !matches!(value, Value::Undefined),
		"undefined" => matches!(value, Value::Undefined),
		"none" => matches!(value, Value::None),
		"boolean" => matches!(value, Value::Bool(_)),
		"true" => matches!(value, Value::Bool(true)),
		"false" => matches!(value, Value::Bool(false)),
		"integer" | "number" => matches!(value, Value::Int(_)),
		"odd" => matches!(value, Value::Int(n) if n % 2 != 0),
		"even" => matches!(value, Value::Int(n) if n % 2 == 0),
		"string" => matches!(value, Value::Text(_)),
		"mapping" => matches!(value, Value::Map(_)),
		"iterable" | "sequence" => matches!(value, Value::Text(_) | Value::List(_) | Value::Map(_)),
		_ => return Err(format!("the test `{name}` is not part of c1-w8's templates").into()),
	})
}

/// Calls a method of a text or a map.
pub(super) fn method<'a>(
	interp: &mut Interpreter<'a>,
	value: &Value<'a>,
	name: &str,
	args: Args<'a>,
) -> Result<Value<'a>> {
	match value {
		Value::Text(text) => text_method(interp, text, name, args),
		Value::Map(map) => {
			interp.spend(map.entries.len())?;
			if name == "get" {
				let [key, instead] = args.bound_to("get", ["key", "default"])?;
				let instead = if matches!(instead, Value::Undefined) {
					Value::None
				} else {
					instead
				};
				return Ok(map.get(&key.written()?).cloned().unwrap_or(instead));
			}
			args.none(name)?;
			let entries = map.entries.iter();
			match name {
				"keys" => Value::list(entries.map(|(key, _)| Value::Text(key.clone())).collect()),
				"values" => Value::list(entries.map(|(_, value)| value.clone()).collect()),
				"items" => {
					let pairs = entries.map(|(key, value)| Value::list(vec![Value::Text(key.clone()), value.clone()]));
					Value::list(pairs.collect::<Result<_>>()?)
				}
				_ => Err(no_method(name, value)),
			}
		}
		Value::Undefined => Err(format!("`{name}` is called on something undefined").into()),
		other => Err(no_method(name, other)),
	}
}

fn no_method(name: &str, value: &Value<'_>) -> RenderError {
	format!("`{name}` is not a method of {} in c1-w8's templates", value.kind()).into()
}

fn text_method<'a>(interp: &mut Interpreter<'a>, text: &Rc<str>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
	interp.spend(text.len())?;
	let wanted = |value: Value<'a>| match value {
		Value::Text(text) => Ok(text),
		other => Err(format!("`{name}` needs a text, not {}", other.kind())),
	};
	Ok(match name {
		"strip" | "lstrip" | "rstrip" => strip(interp, text, name, args)?,
		"startswith" => Value::Bool(text.starts_with(&*wanted(args.bound_to::<1>(name, ["prefix"])?[0].clone())?)),
		"endswith" => Value::Bool(text.ends_with(&*wanted(args.bound_to::<1>(name, ["suffix"])?[0].clone())?)),
		"upper" | "lower" | "capitalize" => {
			args.none(name)?;
			let mut changed = if name == "upper" {
				text.to_ascii_uppercase()
			} else {
				text.to_ascii_lowercase()
			};
			if let ("capitalize", Some(first)) = (name, changed.get_mut(..1)) {
				first.make_ascii_uppercase();
			}
			Value::text(changed)
		}
		"replace" => {
			let [old, new] = args.bound_to(name, ["old", "new"])?;
			let (old, new) = (wanted(old)?, wanted(new)?);
			interp.spend(old.len() + text.matches(&*old).count().saturating_mul(new.len()))?;
			Value::text(text.replace(&*old, &new))
		}
		"split" => {
			let [separator, most] = args.bound_to(name, ["sep", "maxsplit"])?;
			let most = match most {
				Value::Int(n) => usize::try_from(n).map_or(usize::MAX, |n| n.saturating_add(1)),
				_ => usize::MAX,
			};
			interp.spend(text.len())?;
			let parts: Vec<Value<'a>> = match separator {
				Value::Undefined | Value::None if most == usize::MAX => {
					text.split_whitespace().map(Value::text).collect()
				}
				other => match wanted(other)? {
					empty if empty.is_empty() => return Err("`split` needs a separator".into()),
					separator => text.splitn(most, &*separator).map(Value::text).collect(),
				},
			};
			Value::list(parts)?
		}
		_ => return Err(no_method(name, &Value::Text(text.clone()))),
	})
}

fn strip<'a>(interp: &mut Interpreter<'a>, text: &str, name: &str, args: Args<'a>) -> Result<Value<'a>> {
	let [characters] = args.bound_to(name, ["chars"])?;
	let set: Vec<char> = match &characters {
		Value::Undefined | Value::None => Vec::new(),
		other => other.written()?.chars().collect(),
	};
	interp.spend(text.len().saturating_mul(set.len()))?;
	let stripped = |c: char| {
		if set.is_empty() {
			c.is_whitespace()
		} else {
			set.contains(&c)
		}
	};
	let text = if name == "rstrip" {
		text
	} else {
		text.trim_start_matches(stripped)
	};
	Ok(Value::text(if name == "lstrip" {
		text
	} else {
		text.trim_end_matches(stripped)
	}))
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False)` writes it.
fn to_json<'a>(interp: &mut Interpreter<'a>, value: &Value<'a>, json: &mut String) -> Result<()> {
	interp.spend(2)?;
	match value {
		Value::None => json.push_str("null"),
		Value::Bool(b) => json.push_str(if *b { "true" } else { "false" }),
		Value::Int(n) => json.push_str(&n.to_string()),
		Value::Text(text) => quoted(interp, text, json)?,
		Value::List(list) => {
			json.push('[');
			for (place, item) in list.items.iter().enumerate() {
				json.push_str(if place > 0 { ", " } else { "" });
				to_json(interp, item, json)?;
			}
			json.push(']');
		}
		Value::Map(map) => {
			json.push('{');
			for (place, (key, item)) in map.entries.iter().enumerate() {
				json.push_str(if place > 0 { ", " } else { "" });
				quoted(interp, key, json)?;
				json.push_str(": ");
				to_json(interp, item, json)?;
			}
			json.push('}');
		}
		other => return Err(format!("{} has no JSON", other.kind()).into()),
	}
	Ok(())
}

fn quoted(interp: &mut Interpreter<'_>, text: &str, json: &mut String) -> Result<()> {
	// An escaped character takes six bytes.
	interp.spend(6 * text.len())?;
	json.push_str(&serde_json::to_string(text).map_err(|e| e.to_string())?);
	Ok(())
}
