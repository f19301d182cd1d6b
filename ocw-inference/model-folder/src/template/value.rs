//! What a template computes with: plain data that can neither contain itself nor nest deeply.

use super::error::{RenderError, Result};
use minijinja::{machinery::ast, value::ValueKind};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// Deepest list of lists.
const MAX_NESTING: u8 = 16;

/// A value of a template.
#[derive(Clone)]
pub(super) enum Value<'a> {
	/// What was never set.
	Undefined,
	None,
	Bool(bool),
	Int(i64),
	Text(Rc<str>),
	List(Rc<List<'a>>),
	Map(Rc<Map<'a>>),
	/// `namespace(…)`: the only value that changes. It can be kept in a variable, but not in another value.
	Namespace(Rc<RefCell<BTreeMap<&'a str, Value<'a>>>>),
	/// The variable `loop`.
	Loop(Rc<LoopState<'a>>),
	Macro(&'a ast::Macro<'a>),
	Function(Function),
}

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

/// A map in the order in which its keys were written.
pub(super) struct Map<'a> {
	pub(super) entries: Vec<(Rc<str>, Value<'a>)>,
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

	/// A list. What changes or computes can't be kept in one, so that no value contains itself.
	pub(super) fn list(items: Vec<Value<'a>>) -> Result<Self> {
		let nesting = nesting_above(items.iter())?;
		Ok(Self::List(Rc::new(List { items, nesting })))
	}

	/// A map; of two entries with one key the later one counts.
	pub(super) fn map(entries: Vec<(Rc<str>, Value<'a>)>) -> Result<Self> {
		let nesting = nesting_above(entries.iter().map(|(_, value)| value))?;
		let mut last: BTreeMap<Rc<str>, usize> = BTreeMap::new();
		for (place, (key, _)) in entries.iter().enumerate() {
			last.insert(key.clone(), place);
		}
		let entries = entries
			.into_iter()
			.enumerate()
			.filter(|(place, (key, _))| last.get(key) == Some(place))
			.map(|(_, entry)| entry)
			.collect();
		Ok(Self::Map(Rc::new(Map { entries, nesting })))
	}

	/// A constant of the source.
	pub(super) fn constant(value: &minijinja::Value) -> Result<Self> {
		Ok(match value.kind() {
			ValueKind::Bool => Self::Bool(value.is_true()),
			ValueKind::String => Self::text(value.as_str().unwrap_or_default()),
			ValueKind::Number if value.is_integer() => {
				Self::Int(value.as_i64().ok_or("a number beyond 64 bits is not part of c1-w8")?)
			}
			ValueKind::Number => return Err("fractions are not part of c1-w8's templates".into()),
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
			Self::Text(_) => "a text",
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
			Self::Text(text) => !text.is_empty(),
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
			Self::Text(text) => text.clone(),
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
			Self::Undefined | Self::None | Self::Bool(_) | Self::Int(_) | Self::Text(_) => Some(0),
			Self::List(list) => Some(list.nesting),
			Self::Map(map) => Some(map.nesting),
			Self::Namespace(_) | Self::Loop(_) | Self::Macro(_) | Self::Function(_) => None,
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
	pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
		self.entries
			.iter()
			.find(|(name, _)| &**name == key)
			.map(|(_, value)| value)
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
