//! What a template may call: filters, tests, methods and functions, each charged to the budget before it works.
//!
//! Letters change case in ASCII only, because the tables for the rest change with Unicode's versions.

mod filters;
mod json;
mod text;

use super::{
	error::{RenderError, Result},
	interpreter::{Interpreter, FRACTIONS},
	value::{Function, Key, Value},
};
pub(super) use filters::{filter, joined};
use minijinja::machinery::ast::CompareOpKind;
pub(super) use text::is_space;

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
			Ok(interp.namespace(names.collect::<Result<_>>()?))
		}
		Function::Dict => {
			if !args.positional.is_empty() {
				return Err("`dict` takes named arguments only".into());
			}
			Value::map(
				args.named
					.into_iter()
					.map(|(name, value)| (Key::from(name), value))
					.collect(),
			)
		}
		Function::RaiseException => {
			let [message] = args.bound_to("raise_exception", ["message"])?;
			Err(RenderError::Raised(message.written()?.as_ref().into()))
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
	if let ("divisibleby" | "odd" | "even", Value::Fraction(_)) = (name, value) {
		return Err(FRACTIONS.into());
	}
	if name == "divisibleby" {
		let [by] = args.bound_to(name, ["num"])?;
		return Ok(matches!((value, by), (Value::Int(n), Value::Int(by)) if n.checked_rem(by) == Some(0)));
	}
	Ok(match name {
		_ if !args.positional.is_empty() || !args.named.is_empty() => {
			return Err(format!("the test `{name}` takes no arguments in c2's templates").into())
		}
		"defined" => !matches!(value, Value::Undefined),
		"undefined" => matches!(value, Value::Undefined),
		"none" => matches!(value, Value::None),
		"boolean" => matches!(value, Value::Bool(_)),
		"true" => matches!(value, Value::Bool(true)),
		"false" => matches!(value, Value::Bool(false)),
		"integer" => matches!(value, Value::Int(_)),
		"float" => matches!(value, Value::Fraction(_)),
		"number" => matches!(value, Value::Bool(_) | Value::Int(_) | Value::Fraction(_)),
		"odd" => matches!(value, Value::Int(n) if n % 2 != 0),
		"even" => matches!(value, Value::Int(n) if n % 2 == 0),
		"string" => matches!(value, Value::Text(_) | Value::Safe(_)),
		"mapping" => matches!(value, Value::Map(_)),
		"iterable" | "sequence" => matches!(
			value,
			Value::Undefined | Value::Text(_) | Value::Safe(_) | Value::List(_) | Value::Map(_)
		),
		_ => return Err(format!("the test `{name}` is not part of c2's templates").into()),
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
		Value::Text(text) => text::method(interp, text, name, args),
		Value::Map(map) => {
			interp.spend(map.entries.len())?;
			if name == "get" {
				let [key, instead] = args.bound_to("get", ["key", "default"])?;
				let instead = if matches!(instead, Value::Undefined) {
					Value::None
				} else {
					instead
				};
				return Ok(map.get(&Key::try_from(&key)?).cloned().unwrap_or(instead));
			}
			args.none(name)?;
			let entries = map.entries.iter();
			match name {
				"keys" => Value::list(entries.map(|(key, _)| key.into()).collect()),
				"values" => Value::list(entries.map(|(_, value)| value.clone()).collect()),
				"items" => {
					let pairs = entries.map(|(key, value)| Value::list(vec![key.into(), value.clone()]));
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
	format!("`{name}` is not a method of {} in c2's templates", value.kind()).into()
}
