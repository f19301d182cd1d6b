//! The value of an expression: variables, constants, items, slices, filters, tests and calls.

use super::{
	operators::{FRACTIONS, OVERFLOW},
	Interpreter,
};
use crate::template::{
	builtins::{self, Args},
	error::Result,
	value::{Function, Key, LoopState, Value},
};
use minijinja::machinery::ast::{self, Expr, UnaryOpKind};

impl<'a> Interpreter<'a> {
	/// The value of an expression.
	pub(in crate::template) fn value(&mut self, expr: &'a Expr<'a>) -> Result<Value<'a>> {
		self.nested(|interp| interp.evaluate(expr))
	}

	fn evaluate(&mut self, expr: &'a Expr<'a>) -> Result<Value<'a>> {
		match expr {
			Expr::Var(var) => self.lookup(var.id),
			Expr::Const(constant) => {
				self.spend(constant.value.as_str().map_or(0, str::len))?;
				Value::constant(&constant.value)
			}
			Expr::Slice(slice) => {
				let value = self.value(&slice.expr)?;
				let mut bounds = [None; 3];
				for (bound, expr) in bounds.iter_mut().zip([&slice.start, &slice.stop, &slice.step]) {
					*bound = match expr.as_ref().map(|expr| self.value(expr)).transpose()? {
						None | Some(Value::None) => None,
						Some(Value::Int(n)) => Some(n),
						Some(other) => return Err(format!("{} is not a place to cut at", other.kind()).into()),
					};
				}
				self.slice(&value, bounds)
			}
			Expr::UnaryOp(unary) => match (&unary.op, self.value(&unary.expr)?) {
				(UnaryOpKind::Not, value) => Ok(Value::Bool(!value.truth())),
				(UnaryOpKind::Neg, Value::Int(n)) => Ok(Value::Int(n.checked_neg().ok_or(OVERFLOW)?)),
				(UnaryOpKind::Neg, Value::Fraction(_)) => Err(FRACTIONS.into()),
				(UnaryOpKind::Neg, other) => Err(format!("{} has no negative", other.kind()).into()),
			},
			Expr::BinOp(binary) => self.binary(binary),
			Expr::Compare(chain) => self.chain(chain),
			Expr::IfExpr(choice) => {
				if self.value(&choice.test_expr)?.truth() {
					return self.value(&choice.true_expr);
				}
				let otherwise = choice.false_expr.as_ref();
				otherwise.map_or(Ok(Value::Undefined), |expr| self.value(expr))
			}
			Expr::Filter(_) => self.filtered(expr, Value::Undefined),
			Expr::Test(test) => {
				let value = self.value(&test.expr)?;
				let args = self.args(&test.args)?;
				Ok(Value::Bool(builtins::test(self, test.name, &value, args)?))
			}
			Expr::GetAttr(attr) => {
				let value = self.value(&attr.expr)?;
				self.attribute(&value, attr.name)
			}
			Expr::GetItem(get) => {
				let value = self.value(&get.expr)?;
				let key = self.value(&get.subscript_expr)?;
				self.item(&value, &key)
			}
			Expr::Call(call) => self.call(call),
			Expr::List(list) => {
				let mut items = Vec::new();
				for item in &list.items {
					items.push(self.value(item)?);
				}
				Value::list(items)
			}
			Expr::Map(map) => {
				let mut entries = Vec::new();
				for (key, value) in map.keys.iter().zip(&map.values) {
					let key = Key::try_from(&self.value(key)?)?;
					entries.push((key, self.value(value)?));
				}
				Value::map(entries)
			}
		}
	}

	fn lookup(&mut self, name: &str) -> Result<Value<'a>> {
		self.spend(self.scopes.len() - self.base)?;
		let (first, rest) = (self.scopes.first(), self.scopes.get(self.base..).unwrap_or_default());
		// The first scope holds what the engine gives; the second is the template's own, which macros see too.
		let own = self.scopes.get(1);
		let found = rest
			.iter()
			.rev()
			.chain(own)
			.chain(first)
			.find_map(|scope| scope.get(name));
		Ok(match (found, name) {
			(Some(value), _) => value.clone(),
			(None, "range") => Value::Function(Function::Range),
			(None, "namespace") => Value::Function(Function::Namespace),
			(None, "dict") => Value::Function(Function::Dict),
			(None, "raise_exception") => Value::Function(Function::RaiseException),
			(None, _) => Value::Undefined,
		})
	}

	/// Applies a chain of filters whose innermost input, in blocks, is `input`.
	pub(super) fn filtered(&mut self, expr: &'a Expr<'a>, input: Value<'a>) -> Result<Value<'a>> {
		let Expr::Filter(filter) = expr else {
			return Err("only filters can be applied to a block".into());
		};
		let value = match &filter.expr {
			None => input,
			Some(inner @ Expr::Filter(_)) => self.nested(|interp| interp.filtered(inner, input))?,
			Some(inner) => self.value(inner)?,
		};
		let args = self.args(&filter.args)?;
		builtins::filter(self, filter.name, value, args)
	}

	fn args(&mut self, args: &'a [ast::CallArg<'a>]) -> Result<Args<'a>> {
		let mut found = Args::default();
		for arg in args {
			match arg {
				ast::CallArg::Pos(expr) => found.positional.push(self.value(expr)?),
				ast::CallArg::Kwarg(name, expr) => found.named.push((name, self.value(expr)?)),
				ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => {
					return Err("`*` and `**` arguments are not part of c2's templates".into())
				}
			}
		}
		Ok(found)
	}

	pub(super) fn call(&mut self, call: &'a ast::Call<'a>) -> Result<Value<'a>> {
		if let Expr::GetAttr(method) = &call.expr {
			let value = self.value(&method.expr)?;
			let args = self.args(&call.args)?;
			return builtins::method(self, &value, method.name, args);
		}
		let Expr::Var(var) = &call.expr else {
			return Err("only macros, functions and methods can be called".into());
		};
		let callee = self.lookup(var.id)?;
		let args = self.args(&call.args)?;
		match callee {
			Value::Function(function) => builtins::call(self, function, args),
			Value::Macro(declared) => self.call_macro(declared, args),
			other => Err(format!("`{}` can't be called: it is {}", var.id, other.kind()).into()),
		}
	}

	fn call_macro(&mut self, declared: &'a ast::Macro<'a>, args: Args<'a>) -> Result<Value<'a>> {
		let wanted = declared.args.len();
		let required = wanted.saturating_sub(declared.defaults.len());
		let names: Vec<&'a str> = declared
			.args
			.iter()
			.filter_map(|arg| match arg {
				Expr::Var(var) => Some(var.id),
				_ => None,
			})
			.collect();
		let values = args.bound(declared.name, &names)?;
		let caller = std::mem::replace(&mut self.base, self.scopes.len());
		let result = self.scoped(|interp| {
			for (place, (name, value)) in names.into_iter().zip(values).enumerate() {
				let default = place.checked_sub(required).and_then(|n| declared.defaults.get(n));
				let value = match (value, default) {
					(Value::Undefined, Some(default)) => interp.value(default)?,
					(value, _) => value,
				};
				interp.set(name, value);
			}
			interp.capture(&declared.body)
		});
		self.base = caller;
		result
	}

	pub(in crate::template) fn attribute(&mut self, value: &Value<'a>, name: &str) -> Result<Value<'a>> {
		Ok(match value {
			Value::Map(map) => {
				self.spend(map.entries.len())?;
				map.get(name).cloned().unwrap_or(Value::Undefined)
			}
			Value::Namespace(names) => names.borrow().get(name).cloned().unwrap_or(Value::Undefined),
			Value::Loop(state) => state.attribute(name),
			Value::Undefined => return Err(format!("`{name}` is asked of something undefined").into()),
			_ => Value::Undefined,
		})
	}

	/// `value[key]`, also for filters that look into items.
	pub(in crate::template) fn item(&mut self, value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
		Ok(match (value, key) {
			(_, Value::Text(name)) => self.attribute(value, name)?,
			(Value::Map(map), Value::Int(n)) => {
				self.spend(map.entries.len())?;
				map.get(&Key::Int(*n)).cloned().unwrap_or(Value::Undefined)
			}
			(Value::List(list), Value::Int(n)) => {
				let place = place(*n, list.items.len());
				place
					.and_then(|i| list.items.get(i))
					.cloned()
					.unwrap_or(Value::Undefined)
			}
			(Value::Text(text), Value::Int(n)) => {
				self.spend(text.len())?;
				let found = place(*n, text.chars().count()).and_then(|i| text.chars().nth(i));
				found.map_or(Value::Undefined, |c| Value::text(c.encode_utf8(&mut [0; 4])))
			}
			(Value::Undefined, _) => return Err("an item is asked of something undefined".into()),
			_ => Value::Undefined,
		})
	}

	/// Python's `value[start:stop:step]`.
	fn slice(&mut self, value: &Value<'a>, [start, stop, step]: [Option<i64>; 3]) -> Result<Value<'a>> {
		let items = match value {
			Value::Text(_) | Value::List(_) => self.items(value)?,
			other => return Err(format!("{} can't be cut", other.kind()).into()),
		};
		let (step, length) = (step.unwrap_or(1), Value::int(items.items.len()));
		let Value::Int(length) = length else {
			return Ok(Value::Undefined);
		};
		let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
		let bound = |bound: Option<i64>, open: i64| match bound {
			None => open,
			Some(n) if n < 0 => n.saturating_add(length).clamp(low, high),
			Some(n) => n.clamp(low, high),
		};
		let (mut at, end) = match step {
			0 => return Err("a slice can't have step 0".into()),
			1.. => (bound(start, low), bound(stop, high)),
			_ => (bound(start, high), bound(stop, low)),
		};
		self.spend(items.items.len())?;
		let mut kept = Vec::new();
		while (step > 0 && at < end) || (step < 0 && at > end) {
			kept.extend(usize::try_from(at).ok().and_then(|i| items.items.get(i)).cloned());
			at = at.saturating_add(step);
		}
		match value {
			Value::Text(_) => builtins::joined(self, &kept, ""),
			_ => Value::list(kept),
		}
	}
}

impl<'a> LoopState<'a> {
	fn attribute(&self, name: &str) -> Value<'a> {
		let length = self.items.items.len();
		let neighbor = |place: Option<usize>| place.and_then(|i| self.items.items.get(i)).cloned();
		match name {
			"index" => Value::int(self.index + 1),
			"index0" => Value::int(self.index),
			"first" => Value::Bool(self.index == 0),
			"last" => Value::Bool(self.index + 1 == length),
			"length" => Value::int(length),
			"revindex" => Value::int(length.saturating_sub(self.index)),
			"revindex0" => Value::int(length.saturating_sub(self.index + 1)),
			"previtem" => neighbor(self.index.checked_sub(1)).unwrap_or(Value::Undefined),
			"nextitem" => neighbor(self.index.checked_add(1)).unwrap_or(Value::Undefined),
			_ => Value::Undefined,
		}
	}
}

/// The place that an index from either end names.
fn place(index: i64, length: usize) -> Option<usize> {
	let from_end = || index.checked_add(i64::try_from(length).ok()?);
	usize::try_from(if index < 0 { from_end()? } else { index }).ok()
}
