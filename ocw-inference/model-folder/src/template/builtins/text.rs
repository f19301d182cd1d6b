//! Methods of texts.

use super::{no_method, Args};
use crate::template::{error::Result, interpreter::Interpreter, value::Value};
use std::rc::Rc;

/// Calls a method of a text.
pub(super) fn method<'a>(
	interp: &mut Interpreter<'a>,
	text: &Rc<str>,
	name: &str,
	args: Args<'a>,
) -> Result<Value<'a>> {
	interp.spend(text.len())?;
	let wanted = |value: Value<'a>| match value {
		Value::Text(text) => Ok(text),
		other => Err(format!("`{name}` needs a text, not {}", other.kind())),
	};
	Ok(match name {
		"strip" | "lstrip" | "rstrip" => strip(interp, text, name, args)?,
		"startswith" => Value::Bool(text.starts_with(&*wanted(args.bound_to::<1>(name, ["prefix"])?[0].clone())?)),
		"endswith" => Value::Bool(text.ends_with(&*wanted(args.bound_to::<1>(name, ["suffix"])?[0].clone())?)),
		"upper" | "lower" | "capitalize" | "title" => {
			args.none(name)?;
			Value::text(recased(text, name)?)
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
				Value::Undefined | Value::None if most == usize::MAX => text
					.split(is_space)
					.filter(|part| !part.is_empty())
					.map(Value::text)
					.collect(),
				other => match wanted(other)? {
					empty if empty.is_empty() => return Err("`split` needs a separator".into()),
					separator => text.splitn(most, &*separator).map(Value::text).collect(),
				},
			};
			Value::list(parts)?
		}
		"splitlines" => {
			args.none(name)?;
			Value::list(lines(text).map(Value::text).collect())?
		}
		"format" => formatted(interp, text, args)?,
		_ => return Err(no_method(name, &Value::Text(text.clone()))),
	})
}

/// A text with other letters, as the method of that name makes it. Which letters outside ASCII have another case, Unicode
/// says differently from version to version: a text whose letters would change is refused.
fn recased(text: &str, name: &str) -> Result<String> {
	let mut follows = false;
	let recase = |c: char| {
		let upper = match name {
			"upper" => true,
			"lower" => false,
			_ => !follows,
		};
		follows = name == "capitalize" || c.is_lowercase() || c.is_uppercase();
		let same = if upper {
			c.is_ascii() || c.to_uppercase().eq([c])
		} else {
			c.is_ascii() || c.to_lowercase().eq([c])
		};
		if !same {
			return Err(format!(
				"`{name}` would change the letter {c}, and c2's templates change letters of ASCII only"
			)
			.into());
		}
		Ok(if upper {
			c.to_ascii_uppercase()
		} else {
			c.to_ascii_lowercase()
		})
	};
	text.chars().map(recase).collect()
}

/// The lines of a text, wherever Python ends one.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
	let ends = |c: char| matches!(c, '\n'..='\r' | '\u{1C}'..='\u{1E}' | '\u{85}' | '\u{2028}' | '\u{2029}');
	let mut rest = Some(text).filter(|text| !text.is_empty());
	std::iter::from_fn(move || {
		let whole = rest.take()?;
		let Some(end) = whole.find(ends) else {
			return Some(whole);
		};
		let (line, after) = whole.split_at(end);
		let next = after.strip_prefix("\r\n").unwrap_or_else(|| {
			let mut chars = after.chars();
			chars.next();
			chars.as_str()
		});
		rest = Some(next).filter(|next| !next.is_empty());
		Some(line)
	})
}

/// `format` with places that are empty or numbered.
fn formatted<'a>(interp: &mut Interpreter<'a>, text: &str, args: Args<'a>) -> Result<Value<'a>> {
	if !args.named.is_empty() {
		return Err("`format` takes no named arguments in c2's templates".into());
	}
	let (mut whole, mut rest, mut next) = (String::new(), text, 0);
	while let Some(at) = rest.find(['{', '}']) {
		let (before, brace) = rest.split_at(at);
		whole.push_str(before);
		if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
			whole.extend(brace.chars().next());
			rest = after;
			continue;
		}
		let place = brace.strip_prefix('{').and_then(|brace| brace.split_once('}'));
		let index = place.map(|(name, after)| (if name.is_empty() { Some(next) } else { name.parse().ok() }, after));
		let Some((Some(index), after)) = index else {
			return Err("`format` knows only {} and {0} in c2's templates".into());
		};
		let Some(value) = args.positional.get(index) else {
			return Err(format!("`format` has no argument {index}").into());
		};
		let written = value.written()?;
		interp.spend(written.len())?;
		whole.push_str(&written);
		next = index.saturating_add(1);
		rest = after;
	}
	whole.push_str(rest);
	Ok(Value::text(whole))
}

/// Whether Python strips a character: Unicode's White_Space, and the four separators of ASCII.
pub(in crate::template) fn is_space(c: char) -> bool {
	c.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&c)
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
			is_space(c)
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
