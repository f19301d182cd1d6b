//! The interpreter: walks the parsed template. Every step, every byte and every element costs a unit of a bounded budget, so
//! time and memory are bounded by one number whatever the template does.

use super::{
	names::{self, Args},
	value::{Function, List, Result, Turn, Value},
	MAX_RENDERED_BYTES,
};
use minijinja::machinery::ast::{self, BinOpKind, CompareOpKind, Expr, Stmt, UnaryOpKind};
use std::{cmp::Ordering, collections::BTreeMap, rc::Rc};

/// Units one rendering may take.
pub(super) const FUEL: usize = 1_000_000;
/// Deepest nesting of statements, expressions and calls.
const MAX_DEPTH: usize = 100;

/// Why a template was stopped, and on which line.
pub(super) struct Refusal {
	line: Option<u16>,
	reason: String,
}

impl Refusal {
	/// The reason with its line.
	pub(super) fn into_reason(self) -> String {
		match self.line {
			Some(line) => format!("line {line}: {}", self.reason),
			None => self.reason,
		}
	}
}

impl<T: Into<String>> From<T> for Refusal {
	fn from(reason: T) -> Self {
		Self {
			line: None,
			reason: reason.into(),
		}
	}
}

/// What a statement says about the loop around it.
#[derive(PartialEq)]
enum Flow {
	On,
	Continue,
	Break,
}

/// One rendering.
pub(super) struct Run<'a> {
	/// Variables: the template's first, then those of each macro, loop and `with` that runs.
	scopes: Vec<BTreeMap<&'a str, Value<'a>>>,
	/// Scopes from here on are the running macro's; of those below it sees the first only.
	base: usize,
	/// The prompt, then what blocks capture.
	out: Vec<String>,
	fuel: usize,
	depth: usize,
}

impl<'a> Run<'a> {
	/// Renders a template with these variables.
	pub(super) fn render(template: &'a Stmt<'a>, variables: BTreeMap<&'a str, Value<'a>>) -> Result<String> {
		let mut run = Self {
			scopes: vec![variables, BTreeMap::new()],
			base: 1,
			out: vec![String::new()],
			fuel: FUEL,
			depth: 0,
		};
		run.statement(template)?;
		Ok(run.out.swap_remove(0))
	}

	/// Takes `units` from the budget; call it before doing what they pay for.
	pub(super) fn spend(&mut self, units: usize) -> Result<()> {
		match self.fuel.checked_sub(units) {
			Some(left) => {
				self.fuel = left;
				Ok(())
			}
			None => Err(format!("it takes more than {FUEL} steps").into()),
		}
	}

	fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
		self.spend(1)?;
		if self.depth >= MAX_DEPTH {
			return Err(format!("it nests or recurses more than {MAX_DEPTH} deep").into());
		}
		self.depth += 1;
		let result = step(self);
		self.depth -= 1;
		result
	}

	// ── statements ───────────────────────────────────────────────────────────

	fn body(&mut self, body: &'a [Stmt<'a>]) -> Result<Flow> {
		for statement in body {
			match self.statement(statement)? {
				Flow::On => {}
				other => return Ok(other),
			}
		}
		Ok(Flow::On)
	}

	fn statement(&mut self, statement: &'a Stmt<'a>) -> Result<Flow> {
		let line = line_of(statement);
		self.nested(|run| run.execute(statement)).map_err(|refusal| Refusal {
			line: refusal.line.or(line),
			..refusal
		})
	}

	fn execute(&mut self, statement: &'a Stmt<'a>) -> Result<Flow> {
		match statement {
			Stmt::Template(template) => return self.body(&template.children),
			Stmt::EmitRaw(raw) => self.write(raw.raw)?,
			Stmt::EmitExpr(emit) => {
				let text = self.value(&emit.expr)?.written()?;
				self.write(&text)?;
			}
			Stmt::IfCond(cond) => {
				let body = match self.value(&cond.expr)?.truth() {
					true => &cond.true_body,
					false => &cond.false_body,
				};
				return self.body(body);
			}
			Stmt::ForLoop(each) => return self.for_loop(each),
			Stmt::Set(set) => {
				let value = self.value(&set.expr)?;
				self.assign(&set.target, value)?;
			}
			Stmt::SetBlock(set) => {
				let text = self.capture(&set.body)?;
				let value = match &set.filter {
					Some(filter) => self.filtered(filter, text)?,
					None => text,
				};
				self.assign(&set.target, value)?;
			}
			Stmt::FilterBlock(block) => {
				let text = self.capture(&block.body)?;
				let text = self.filtered(&block.filter, text)?.written()?;
				self.write(&text)?;
			}
			Stmt::WithBlock(with) => {
				let mut values = Vec::new();
				for (_, expr) in &with.assignments {
					values.push(self.value(expr)?);
				}
				return self.scoped(|run| {
					for ((target, _), value) in with.assignments.iter().zip(values) {
						run.assign(target, value)?;
					}
					run.body(&with.body)
				});
			}
			Stmt::Macro(declared) => {
				let declared: &'a ast::Macro<'a> = declared;
				self.set(declared.name, Value::Macro(declared));
			}
			Stmt::Do(call) => {
				self.call(&call.call)?;
			}
			Stmt::Continue(_) => return Ok(Flow::Continue),
			Stmt::Break(_) => return Ok(Flow::Break),
			// Nothing is escaped in a prompt.
			Stmt::AutoEscape(_) => return Err("`autoescape` is not part of c1-w8's templates".into()),
			Stmt::CallBlock(_) => return Err("`call` blocks are not part of c1-w8's templates".into()),
		}
		Ok(Flow::On)
	}

	fn for_loop(&mut self, each: &'a ast::ForLoop<'a>) -> Result<Flow> {
		if each.recursive {
			return Err("recursive loops are not part of c1-w8's templates".into());
		}
		let value = self.value(&each.iter)?;
		let mut items = self.items(&value)?;
		if let Some(condition) = &each.filter_expr {
			let mut kept = Vec::new();
			for item in &items.items {
				let keep = self.scoped(|run| {
					run.assign(&each.target, item.clone())?;
					Ok(run.value(condition)?.truth())
				})?;
				if keep {
					kept.push(item.clone());
				}
			}
			items = match Value::list(kept)? {
				Value::List(kept) => kept,
				_ => items,
			};
		}
		if items.items.is_empty() {
			return self.body(&each.else_body);
		}
		for (index, item) in items.items.iter().enumerate() {
			self.spend(1)?;
			let turn = Turn {
				items: items.clone(),
				index,
			};
			let flow = self.scoped(|run| {
				run.set("loop", Value::Turn(Rc::new(turn)));
				run.assign(&each.target, item.clone())?;
				run.body(&each.body)
			})?;
			if flow == Flow::Break {
				break;
			}
		}
		Ok(Flow::On)
	}

	/// What iterating over a value gives.
	pub(super) fn items(&mut self, value: &Value<'a>) -> Result<Rc<List<'a>>> {
		let items = match value {
			Value::List(list) => return Ok(list.clone()),
			Value::Undefined => Vec::new(),
			Value::Map(map) => {
				self.spend(map.entries.len())?;
				map.entries.iter().map(|(key, _)| Value::Text(key.clone())).collect()
			}
			Value::Text(text) => {
				self.spend(2 * text.len())?;
				text.chars().map(|c| Value::text(c.encode_utf8(&mut [0; 4]))).collect()
			}
			other => return Err(format!("{} can't be iterated over", other.kind()).into()),
		};
		match Value::list(items)? {
			Value::List(list) => Ok(list),
			other => Err(format!("{} can't be iterated over", other.kind()).into()),
		}
	}

	fn scoped<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
		self.scopes.push(BTreeMap::new());
		let result = step(self);
		self.scopes.pop();
		result
	}

	fn assign(&mut self, target: &'a Expr<'a>, value: Value<'a>) -> Result<()> {
		match target {
			Expr::Var(var) => self.set(var.id, value),
			Expr::List(targets) => {
				let items = self.items(&value)?;
				if items.items.len() != targets.items.len() {
					let (want, have) = (targets.items.len(), items.items.len());
					return Err(format!("{have} values for {want} names").into());
				}
				for (target, item) in targets.items.iter().zip(&items.items) {
					self.nested(|run| run.assign(target, item.clone()))?;
				}
			}
			Expr::GetAttr(attr) => match self.value(&attr.expr)? {
				Value::Namespace(names) => {
					names.borrow_mut().insert(attr.name, value.plain()?);
				}
				other => return Err(format!("`{}` can't be set on {}", attr.name, other.kind()).into()),
			},
			_ => return Err("this can't be assigned to".into()),
		}
		Ok(())
	}

	fn set(&mut self, name: &'a str, value: Value<'a>) {
		if let Some(scope) = self.scopes.last_mut() {
			scope.insert(name, value);
		}
	}

	fn capture(&mut self, body: &'a [Stmt<'a>]) -> Result<Value<'a>> {
		self.out.push(String::new());
		let ended = self.scoped(|run| run.body(body));
		let text = self.out.pop().unwrap_or_default();
		match ended? {
			Flow::On => Ok(Value::text(text)),
			_ => Err("`break` and `continue` can't leave a captured block".into()),
		}
	}

	fn write(&mut self, text: &str) -> Result<()> {
		self.spend(text.len())?;
		let prompt = self.out.len() == 1;
		let Some(out) = self.out.last_mut() else { return Ok(()) };
		if prompt && out.len() + text.len() > MAX_RENDERED_BYTES {
			return Err(format!("it writes more than {MAX_RENDERED_BYTES} bytes").into());
		}
		out.push_str(text);
		Ok(())
	}

	// ── expressions ──────────────────────────────────────────────────────────

	/// The value of an expression.
	pub(super) fn value(&mut self, expr: &'a Expr<'a>) -> Result<Value<'a>> {
		self.nested(|run| run.evaluate(expr))
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
						Some(other) => return Err(format!("{} is no place to cut at", other.kind()).into()),
					};
				}
				self.slice(&value, bounds)
			}
			Expr::UnaryOp(unary) => match (&unary.op, self.value(&unary.expr)?) {
				(UnaryOpKind::Not, value) => Ok(Value::Bool(!value.truth())),
				(UnaryOpKind::Neg, Value::Int(n)) => Ok(Value::Int(n.checked_neg().ok_or(OVERFLOW)?)),
				(UnaryOpKind::Neg, other) => Err(format!("{} has no negative", other.kind()).into()),
			},
			Expr::BinOp(binary) => self.binary(binary),
			Expr::Compare(chain) => self.chain(chain),
			Expr::IfExpr(choice) => match self.value(&choice.test_expr)?.truth() {
				true => self.value(&choice.true_expr),
				false => match &choice.false_expr {
					Some(expr) => self.value(expr),
					None => Ok(Value::Undefined),
				},
			},
			Expr::Filter(_) => self.filtered(expr, Value::Undefined),
			Expr::Test(test) => {
				let value = self.value(&test.expr)?;
				let args = self.args(&test.args)?;
				Ok(Value::Bool(names::test(self, test.name, &value, args)?))
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
					let Value::Text(key) = self.value(key)? else {
						return Err("the key of a map must be a text".into());
					};
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
	fn filtered(&mut self, expr: &'a Expr<'a>, input: Value<'a>) -> Result<Value<'a>> {
		let Expr::Filter(filter) = expr else {
			return Err("only filters can be applied to a block".into());
		};
		let value = match &filter.expr {
			None => input,
			Some(inner @ Expr::Filter(_)) => self.nested(|run| run.filtered(inner, input))?,
			Some(inner) => self.value(inner)?,
		};
		let args = self.args(&filter.args)?;
		names::filter(self, filter.name, value, args)
	}

	fn args(&mut self, args: &'a [ast::CallArg<'a>]) -> Result<Args<'a>> {
		let mut found = Args::default();
		for arg in args {
			match arg {
				ast::CallArg::Pos(expr) => found.positional.push(self.value(expr)?),
				ast::CallArg::Kwarg(name, expr) => found.named.push((name, self.value(expr)?)),
				ast::CallArg::PosSplat(_) | ast::CallArg::KwargSplat(_) => {
					return Err("`*` and `**` arguments are not part of c1-w8's templates".into())
				}
			}
		}
		Ok(found)
	}

	fn call(&mut self, call: &'a ast::Call<'a>) -> Result<Value<'a>> {
		if let Expr::GetAttr(method) = &call.expr {
			let value = self.value(&method.expr)?;
			let args = self.args(&call.args)?;
			return names::method(self, &value, method.name, args);
		}
		let Expr::Var(var) = &call.expr else {
			return Err("only macros, functions and methods can be called".into());
		};
		let callee = self.lookup(var.id)?;
		let args = self.args(&call.args)?;
		match callee {
			Value::Function(function) => names::call(self, function, args),
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
		let result = self.scoped(|run| {
			for (place, (name, value)) in names.into_iter().zip(values).enumerate() {
				let default = place.checked_sub(required).and_then(|n| declared.defaults.get(n));
				let value = match (value, default) {
					(Value::Undefined, Some(default)) => run.value(default)?,
					(value, _) => value,
				};
				run.set(name, value);
			}
			run.capture(&declared.body)
		});
		self.base = caller;
		result
	}

	fn attribute(&mut self, value: &Value<'a>, name: &str) -> Result<Value<'a>> {
		Ok(match value {
			Value::Map(map) => {
				self.spend(map.entries.len())?;
				map.get(name).cloned().unwrap_or(Value::Undefined)
			}
			Value::Namespace(names) => names.borrow().get(name).cloned().unwrap_or(Value::Undefined),
			Value::Turn(turn) => turn.attribute(name),
			Value::Undefined => return Err(format!("`{name}` is asked of something undefined").into()),
			_ => Value::Undefined,
		})
	}

	/// `value[key]`, also for filters that look into items.
	pub(super) fn item(&mut self, value: &Value<'a>, key: &Value<'a>) -> Result<Value<'a>> {
		Ok(match (value, key) {
			(_, Value::Text(name)) => self.attribute(value, name)?,
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
			Value::Text(_) => names::joined(self, &kept, ""),
			_ => Value::list(kept),
		}
	}

	// ── operators ────────────────────────────────────────────────────────────

	fn binary(&mut self, binary: &'a ast::BinOp<'a>) -> Result<Value<'a>> {
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
			_ => Err(format!(
				"this operation has no meaning between {} and {}",
				left.kind(),
				right.kind()
			)
			.into()),
		}
	}

	fn chain(&mut self, chain: &'a ast::Compare<'a>) -> Result<Value<'a>> {
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
	pub(super) fn compare(&mut self, op: CompareOpKind, left: &Value<'a>, right: &Value<'a>) -> Result<bool> {
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
			(Value::Text(a), Value::Text(b)) => {
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
			_ => false,
		})
	}

	fn order(&mut self, left: &Value<'a>, right: &Value<'a>) -> Result<Ordering> {
		match (left, right) {
			(Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
			(Value::Text(a), Value::Text(b)) => {
				self.spend(a.len().min(b.len()))?;
				Ok(a.cmp(b))
			}
			_ => Err(format!("{} and {} have no order", left.kind(), right.kind()).into()),
		}
	}

	fn contains(&mut self, whole: &Value<'a>, part: &Value<'a>) -> Result<bool> {
		match (whole, part) {
			(Value::Text(whole), Value::Text(part)) => {
				self.spend(whole.len() + part.len())?;
				Ok(whole.contains(&**part))
			}
			(Value::Map(map), Value::Text(key)) => {
				self.spend(map.entries.len())?;
				Ok(map.get(key).is_some())
			}
			(Value::List(list), part) => {
				for item in &list.items {
					if self.equal(item, part)? {
						return Ok(true);
					}
				}
				Ok(false)
			}
			_ => Err(format!("{} is not looked for in {}", part.kind(), whole.kind()).into()),
		}
	}
}

const OVERFLOW: &str = "a number leaves 64 bits, or is divided by zero";

impl<'a> Turn<'a> {
	fn attribute(&self, name: &str) -> Value<'a> {
		let length = self.items.items.len();
		let neighbour = |place: Option<usize>| place.and_then(|i| self.items.items.get(i)).cloned();
		match name {
			"index" => Value::int(self.index + 1),
			"index0" => Value::int(self.index),
			"first" => Value::Bool(self.index == 0),
			"last" => Value::Bool(self.index + 1 == length),
			"length" => Value::int(length),
			"revindex" => Value::int(length.saturating_sub(self.index)),
			"revindex0" => Value::int(length.saturating_sub(self.index + 1)),
			"previtem" => neighbour(self.index.checked_sub(1)).unwrap_or(Value::Undefined),
			"nextitem" => neighbour(self.index.checked_add(1)).unwrap_or(Value::Undefined),
			_ => Value::Undefined,
		}
	}
}

/// The place that an index from either end names.
fn place(index: i64, length: usize) -> Option<usize> {
	let from_end = || index.checked_add(i64::try_from(length).ok()?);
	usize::try_from(if index < 0 { from_end()? } else { index }).ok()
}

fn line_of(statement: &Stmt<'_>) -> Option<u16> {
	let span = match statement {
		Stmt::EmitExpr(s) => s.span(),
		Stmt::ForLoop(s) => s.span(),
		Stmt::IfCond(s) => s.span(),
		Stmt::WithBlock(s) => s.span(),
		Stmt::Set(s) => s.span(),
		Stmt::SetBlock(s) => s.span(),
		Stmt::FilterBlock(s) => s.span(),
		Stmt::AutoEscape(s) => s.span(),
		Stmt::Macro(s) => s.span(),
		Stmt::CallBlock(s) => s.span(),
		Stmt::Do(s) => s.span(),
		_ => return None,
	};
	Some(span.start_line)
}
