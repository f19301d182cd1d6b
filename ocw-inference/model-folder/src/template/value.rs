//! What a template computes with: plain data that does not nest deeply, and namespaces.

use super::{
	error::{RenderError, Result},
	fraction,
};
use minijinja::{machinery::ast, value::ValueKind};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// Deepest list of lists.
const MAX_NESTING: u8 = 32;

/// A value of a template.
#[derive(Clone)]
pub(super) enum Value<'a> {
	/// What was never set.
	Undefined,
	None,
	Bool(bool),
	Int(i64),
	/// A number of a conversation with a fraction or an exponent.
	Fraction(f64),
	Text(Rc<str>),
	/// What the filter `safe` returns: adding other text to it escapes that for HTML.
	Safe(Rc<str>),
	List(Rc<List<'a>>),
	Map(Rc<Map<'a>>),
	/// `namespace(…)`: the only value that changes, and so the only one that can contain itself.
	Namespace(Namespace<'a>),
	/// The variable `loop`.
	Loop(Rc<LoopState<'a>>),
	Macro(&'a ast::Macro<'a>),
	Function(Function),
}

/// What a namespace holds. The interpreter keeps all of them and empties them at its end.
pub(super) type Namespace<'a> = Rc<RefCell<BTreeMap<&'a str, Value<'a>>>>;

/// Functions that templates may call.
#[derive(Clone, Copy)]
pub(super) enum Function {
	Range,
	Namespace,
	Dict,
	RaiseException,
}

/// A list and how deeply it nests.
pub(super) struct List<'a> {
	pub(super) items: Vec<Value<'a>>,
	nesting: u8,
}

/// The key of a map.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
	Int(i64),
	Text(Rc<str>),
}

/// A map in the order in which its keys were written.
pub(super) struct Map<'a> {
	pub(super) entries: Vec<(Key, Value<'a>)>,
	nesting: u8,
}

/// One iteration of a `for`.
pub(super) struct LoopState<'a> {
	pub(super) items: Rc<List<'a>>,
	pub(super) index: usize,
}

impl<'a> Value<'a> {
	pub(super) fn text(text: impl AsRef<str>) -> Self {
		Self::Text(text.as_ref().into())
	}

	pub(super) fn int(number: usize) -> Self {
		Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
	}

	/// A list. What computes can't be kept in one.
	pub(super) fn list(items: Vec<Value<'a>>) -> Result<Self> {
		let nesting = nesting_above(items.iter())?;
		Ok(Self::List(Rc::new(List { items, nesting })))
	}

	/// A map; an entry with the key of an earlier one takes its place.
	pub(super) fn map(entries: Vec<(Key, Value<'a>)>) -> Result<Self> {
		let nesting = nesting_above(entries.iter().map(|(_, value)| value))?;
		let mut places: BTreeMap<Key, usize> = BTreeMap::new();
		let mut kept: Vec<(Key, Value<'a>)> = Vec::with_capacity(entries.len());
		for (key, value) in entries {
			match places.get(&key).and_then(|place| kept.get_mut(*place)) {
				Some((_, earlier)) => *earlier = value,
				None => {
					places.insert(key.clone(), kept.len());
					kept.push((key, value));
				}
			}
		}
		Ok(Self::Map(Rc::new(Map { entries: kept, nesting })))
	}

	/// A constant of the source.
	pub(super) fn constant(value: &minijinja::Value) -> Result<Self> {
		Ok(match value.kind() {
			ValueKind::Bool => Self::Bool(value.is_true()),
			ValueKind::String => Self::text(value.as_str().unwrap_or_default()),
			ValueKind::Number if value.is_integer() => {
				Self::Int(value.as_i64().ok_or("a number beyond 64 bits is not part of c2")?)
			}
			ValueKind::Number => return Err("fractions are not part of c2's templates".into()),
			_ => Self::None,
		})
	}

	/// What people call its kind.
	pub(super) fn kind(&self) -> &'static str {
		match self {
			Self::Undefined => "something undefined",
			Self::None => "none",
			Self::Bool(_) => "a boolean",
			Self::Int(_) => "a number",
			Self::Fraction(_) => "a fraction",
			Self::Text(_) => "a text",
			Self::Safe(_) => "a text made `safe`",
			Self::List(_) => "a list",
			Self::Map(_) => "a map",
			Self::Namespace(_) => "a namespace",
			Self::Loop(_) => "a loop",
			Self::Macro(_) => "a macro",
			Self::Function(_) => "a function",
		}
	}

	/// Whether it counts as true: all but nothing, zero and what is empty.
	pub(super) fn truth(&self) -> bool {
		match self {
			Self::Undefined | Self::None => false,
			Self::Bool(b) => *b,
			Self::Int(n) => *n != 0,
			Self::Fraction(x) => *x != 0.0,
			Self::Text(text) | Self::Safe(text) => !text.is_empty(),
			Self::List(list) => !list.items.is_empty(),
			Self::Map(map) => !map.entries.is_empty(),
			Self::Namespace(_) | Self::Loop(_) | Self::Macro(_) | Self::Function(_) => true,
		}
	}

	/// How it is written, for values that are (Python's words).
	pub(super) fn written(&self) -> Result<Rc<str>> {
		Ok(match self {
			Self::Undefined => "".into(),
			Self::None => "None".into(),
			Self::Bool(true) => "True".into(),
			Self::Bool(false) => "False".into(),
			Self::Int(n) => n.to_string().into(),
			Self::Fraction(x) => fraction::written(*x).into(),
			Self::Text(text) | Self::Safe(text) => text.clone(),
			other => {
				return Err(format!(
					"{} has no written form; the filter `tojson` makes one of data",
					other.kind()
				)
				.into())
			}
		})
	}

	/// Whether it may be kept inside another value, and how deeply it nests.
	fn nesting(&self) -> Option<u8> {
		match self {
			Self::Undefined | Self::None | Self::Bool(_) | Self::Int(_) | Self::Fraction(_) => Some(0),
			Self::Text(_) | Self::Safe(_) | Self::Namespace(_) => Some(0),
			Self::List(list) => Some(list.nesting),
			Self::Map(map) => Some(map.nesting),
			Self::Loop(_) | Self::Macro(_) | Self::Function(_) => None,
		}
	}

	/// Refuses what may not be kept inside another value.
	pub(super) fn plain(self) -> Result<Self> {
		match self.nesting() {
			Some(_) => Ok(self),
			None => Err(format!("{} can't be kept inside another value", self.kind()).into()),
		}
	}
}

impl<'a> Map<'a> {
	pub(super) fn get<K: ?Sized>(&self, key: &K) -> Option<&Value<'a>>
	where
		Key: PartialEq<K>,
	{
		let entry = self.entries.iter().find(|(name, _)| name == key);
		entry.map(|(_, value)| value)
	}
}

impl PartialEq<str> for Key {
	fn eq(&self, text: &str) -> bool {
		matches!(self, Self::Text(own) if **own == *text)
	}
}

impl From<&str> for Key {
	fn from(text: &str) -> Self {
		Self::Text(text.into())
	}
}

impl<'a> From<&Key> for Value<'a> {
	fn from(key: &Key) -> Self {
		match key {
			Key::Int(n) => Value::Int(*n),
			Key::Text(text) => Value::Text(text.clone()),
		}
	}
}

impl<'a> TryFrom<&Value<'a>> for Key {
	type Error = RenderError;

	fn try_from(value: &Value<'a>) -> Result<Self> {
		match value {
			Value::Int(n) => Ok(Self::Int(*n)),
			Value::Text(text) => Ok(Self::Text(text.clone())),
			other => Err(format!("{} can't be the key of a map", other.kind()).into()),
		}
	}
}

fn nesting_above<'v, 'a: 'v>(values: impl Iterator<Item = &'v Value<'a>>) -> Result<u8> {
	let mut deepest = 0;
	for value in values {
		let nesting = value
			.nesting()
			.ok_or_else(|| RenderError::from(format!("{} can't be kept inside another value", value.kind())))?;
		deepest = deepest.max(nesting);
	}
	match deepest {
		deepest if deepest >= MAX_NESTING => Err(format!("a value nests more than {MAX_NESTING} deep").into()),
		deepest => Ok(deepest + 1),
	}
}
