//! Operators and comparisons, as Python has them, on whole numbers, texts, lists and maps.

use super::Interpreter;
use crate::template::{
	error::Result,
	fraction,
	value::{Key, Value},
};
use minijinja::machinery::ast::{self, BinOpKind, CompareOpKind};
use std::{cmp::Ordering, rc::Rc};

/// Why nothing is computed with a fraction.
pub(in crate::template) const FRACTIONS: &str = "arithmetic on fractions is not part of c2's templates";
/// Why a number has no value.
pub(super) const OVERFLOW: &str = "a number leaves 64 bits, or is divided by zero";

impl<'a> Interpreter<'a> {
	pub(super) fn binary(&mut self, binary: &'a ast::BinOp<'a>) -> Result<Value<'a>> {
		let left = self.value(&binary.left)?;
		match (binary.op, left.truth()) {
			(BinOpKind::ScAnd, false) | (BinOpKind::ScOr, true) => return Ok(left),
			(BinOpKind::ScAnd | BinOpKind::ScOr, _) => return self.value(&binary.right),
			_ => {}
		}
		let right = self.value(&binary.right)?;
		let compared = match binary.op {
			BinOpKind::Eq => Some(CompareOpKind::Eq),
			BinOpKind::Ne => Some(CompareOpKind::Ne),
			BinOpKind::Lt => Some(CompareOpKind::Lt),
			BinOpKind::Lte => Some(CompareOpKind::Lte),
			BinOpKind::Gt => Some(CompareOpKind::Gt),
			BinOpKind::Gte => Some(CompareOpKind::Gte),
			BinOpKind::In => Some(CompareOpKind::In),
			_ => None,
		};
		if let Some(op) = compared {
			return Ok(Value::Bool(self.compare(op, &left, &right)?));
		}
		self.arithmetic(binary.op, &left, &right)
	}

	fn arithmetic(&mut self, op: BinOpKind, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>> {
		use BinOpKind::{Add, Concat, FloorDiv, Mul, Rem, Sub};
		let number = |n: Option<i64>| Ok(Value::Int(n.ok_or(OVERFLOW)?));
		match (op, left, right) {
			(Concat, ..) => {
				let pair = [left.written()?, right.written()?];
				self.spend(pair.iter().map(|text| text.len()).sum())?;
				Ok(Value::text(pair.concat()))
			}
			(Add, Value::Text(a), Value::Text(b)) => {
				self.spend(a.len() + b.len())?;
				Ok(Value::text([&**a, &**b].concat()))
			}
			// An escaped character takes five bytes at most.
			(Add, Value::Safe(a), Value::Text(b)) => {
				self.spend(a.len() + 5 * b.len())?;
				Ok(Value::Safe([a, &*escaped(b)].concat().into()))
			}
			(Add, Value::Text(a), Value::Safe(b)) => {
				self.spend(5 * a.len() + b.len())?;
				Ok(Value::Safe([&*escaped(a), b].concat().into()))
			}
			(Add, Value::Safe(a), Value::Safe(b)) => {
				self.spend(a.len() + b.len())?;
				Ok(Value::Safe([&**a, &**b].concat().into()))
			}
			(Add, Value::List(a), Value::List(b)) => {
				self.spend(a.items.len() + b.items.len())?;
				Value::list(a.items.iter().chain(&b.items).cloned().collect())
			}
			(Mul, Value::Text(text), Value::Int(n)) | (Mul, Value::Int(n), Value::Text(text)) => {
				let times = usize::try_from(*n).unwrap_or(0);
				self.spend(text.len().saturating_mul(times))?;
				Ok(Value::text(text.repeat(if text.is_empty() { 0 } else { times })))
			}
			(Add, Value::Int(a), Value::Int(b)) => number(a.checked_add(*b)),
			(Sub, Value::Int(a), Value::Int(b)) => number(a.checked_sub(*b)),
			(Mul, Value::Int(a), Value::Int(b)) => number(a.checked_mul(*b)),
			// Rounded down, as in Python.
			(FloorDiv, Value::Int(a), Value::Int(b)) => {
				let below = a
					.checked_rem(*b)
					.is_some_and(|rest| rest != 0 && (rest < 0) != (*b < 0));
				number(a.checked_div(*b).map(|n| n - i64::from(below)))
			}
			(Rem, Value::Int(a), Value::Int(b)) => {
				let rest = a.checked_rem(*b).ok_or(OVERFLOW)?;
				Ok(Value::Int(if rest != 0 && (rest < 0) != (*b < 0) {
					rest + b
				} else {
					rest
				}))
			}
			(_, Value::Fraction(_), Value::Int(_) | Value::Fraction(_)) | (_, Value::Int(_), Value::Fraction(_)) => {
				Err(FRACTIONS.into())
			}
			_ => Err(format!(
				"this operation has no meaning between {} and {}",
				left.kind(),
				right.kind()
			)
			.into()),
		}
	}

	pub(super) fn chain(&mut self, chain: &'a ast::Compare<'a>) -> Result<Value<'a>> {
		let mut left = self.value(&chain.expr)?;
		for link in &chain.ops {
			let right = self.value(&link.expr)?;
			if !self.compare(link.op, &left, &right)? {
				return Ok(Value::Bool(false));
			}
			left = right;
		}
		Ok(Value::Bool(true))
	}

	/// A comparison, also for tests that compare.
	pub(in crate::template) fn compare(
		&mut self,
		op: CompareOpKind,
		left: &Value<'a>,
		right: &Value<'a>,
	) -> Result<bool> {
		Ok(match op {
			CompareOpKind::Eq => self.equal(left, right)?,
			CompareOpKind::Ne => !self.equal(left, right)?,
			CompareOpKind::In => self.contains(right, left)?,
			CompareOpKind::NotIn => !self.contains(right, left)?,
			CompareOpKind::Lt => self.order(left, right)? == Ordering::Less,
			CompareOpKind::Lte => self.order(left, right)? != Ordering::Greater,
			CompareOpKind::Gt => self.order(left, right)? == Ordering::Greater,
			CompareOpKind::Gte => self.order(left, right)? != Ordering::Less,
		})
	}

	fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<bool> {
		self.spend(1)?;
		Ok(match (left, right) {
			(Value::Undefined, Value::Undefined) | (Value::None, Value::None) => true,
			(Value::Bool(a), Value::Bool(b)) => a == b,
			(Value::Int(a), Value::Int(b)) => a == b,
			(Value::Fraction(a), Value::Fraction(b)) => a == b,
			(Value::Int(n), Value::Fraction(x)) | (Value::Fraction(x), Value::Int(n)) => {
				fraction::compare(*n, *x).is_eq()
			}
			(Value::Text(a) | Value::Safe(a), Value::Text(b) | Value::Safe(b)) => {
				self.spend(a.len().min(b.len()))?;
				a == b
			}
			(Value::List(a), Value::List(b)) if a.items.len() == b.items.len() => {
				for (a, b) in a.items.iter().zip(&b.items) {
					if !self.equal(a, b)? {
						return Ok(false);
					}
				}
				true
			}
			(Value::Map(a), Value::Map(b)) if a.entries.len() == b.entries.len() => {
				for (key, value) in &a.entries {
					self.spend(b.entries.len())?;
					match b.get(key) {
						Some(other) if self.equal(value, other)? => {}
						_ => return Ok(false),
					}
				}
				true
			}
			(Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
			_ => false,
		})
	}

	pub(in crate::template) fn order(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<Ordering> {
		match (left, right) {
			(Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
			(Value::Int(n), Value::Fraction(x)) => Ok(fraction::compare(*n, *x)),
			(Value::Fraction(x), Value::Int(n)) => Ok(fraction::compare(*n, *x).reverse()),
			(Value::Fraction(a), Value::Fraction(b)) => Ok(a.total_cmp(b)),
			(Value::Text(a), Value::Text(b)) => {
				self.spend(a.len().min(b.len()))?;
				Ok(a.cmp(b))
			}
			_ => Err(format!("{} and {} have no order", left.kind(), right.kind()).into()),
		}
	}

	fn contains(&mut self, whole: &Value<'a>, part: &Value<'a>) -> Result<bool> {
		match (whole, part) {
			(Value::Text(whole) | Value::Safe(whole), Value::Text(part) | Value::Safe(part)) => {
				self.spend(whole.len() + part.len())?;
				Ok(whole.contains(&**part))
			}
			(Value::Map(map), key @ (Value::Text(_) | Value::Int(_))) => {
				self.spend(map.entries.len())?;
				Ok(map.get(&Key::try_from(key)?).is_some())
			}
			(Value::List(list), part) => {
				for item in &list.items {
					if self.equal(item, part)? {
						return Ok(true);
					}
				}
				Ok(false)
			}
			(Value::Undefined, _) => Ok(false),
			_ => Err(format!("{} is not looked for in {}", part.kind(), whole.kind()).into()),
		}
	}
}

/// A text as markupsafe escapes it for HTML.
fn escaped(text: &str) -> String {
	let mut html = String::with_capacity(text.len());
	for c in text.chars() {
		match c {
			'&' => html.push_str("&amp;"),
			'<' => html.push_str("&lt;"),
			'>' => html.push_str("&gt;"),
			'\'' => html.push_str("&#39;"),
			'"' => html.push_str("&#34;"),
			c => html.push(c),
		}
	}
	html
}
