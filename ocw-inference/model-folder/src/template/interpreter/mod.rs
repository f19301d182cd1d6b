//! The interpreter: walks the parsed template, its statements here. Every step, every byte and every element costs a
//! unit of a bounded budget, so time and memory are bounded by one number whatever the template does.

mod expressions;
mod operators;

pub(super) use operators::FRACTIONS;

use super::{
	error::Result,
	value::{List, LoopState, Namespace, Value},
	MAX_RENDERED_BYTES,
};
use minijinja::machinery::ast::{self, Expr, Stmt};
use std::{collections::BTreeMap, rc::Rc};

/// Units one rendering may take.
pub(super) const FUEL: usize = 1_000_000;
/// Deepest nesting of statements, expressions and calls.
const MAX_DEPTH: usize = 100;

/// How the loop around a statement goes on after it.
#[derive(PartialEq)]
enum Flow {
	Next,
	Continue,
	Break,
}

/// One rendering.
pub(super) struct Interpreter<'a> {
	/// Variables: the template's first, then those of each macro, loop and `with` that runs.
	scopes: Vec<BTreeMap<&'a str, Value<'a>>>,
	/// Scopes from here on are the running macro's; of those below it sees the first only.
	base: usize,
	/// The prompt, then what blocks capture.
	out: Vec<String>,
	/// Every namespace that was made.
	namespaces: Vec<Namespace<'a>>,
	fuel: usize,
	depth: usize,
}

impl<'a> Interpreter<'a> {
	/// Renders a template with these variables.
	pub(super) fn render(template: &'a Stmt<'a>, variables: BTreeMap<&'a str, Value<'a>>) -> Result<String> {
		let mut interp = Self {
			scopes: vec![variables, BTreeMap::new()],
			base: 1,
			out: vec![String::new()],
			namespaces: Vec::new(),
			fuel: FUEL,
			depth: 0,
		};
		interp.statement(template)?;
		Ok(std::mem::take(&mut interp.out).swap_remove(0))
	}

	/// A new namespace.
	pub(super) fn namespace(&mut self, entries: BTreeMap<&'a str, Value<'a>>) -> Value<'a> {
		let namespace = Namespace::new(entries.into());
		self.namespaces.push(namespace.clone());
		Value::Namespace(namespace)
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

	fn body(&mut self, body: &'a [Stmt<'a>]) -> Result<Flow> {
		for statement in body {
			match self.statement(statement)? {
				Flow::Next => {}
				other => return Ok(other),
			}
		}
		Ok(Flow::Next)
	}

	fn statement(&mut self, statement: &'a Stmt<'a>) -> Result<Flow> {
		let line = line_of(statement);
		self.nested(|interp| interp.execute(statement))
			.map_err(|error| error.or_at(line))
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
				let truth = self.value(&cond.expr)?.truth();
				return self.body(if truth { &cond.true_body } else { &cond.false_body });
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
				return self.scoped(|interp| {
					for ((target, _), value) in with.assignments.iter().zip(values) {
						interp.assign(target, value)?;
					}
					interp.body(&with.body)
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
			Stmt::AutoEscape(_) => return Err("`autoescape` is not part of c2's templates".into()),
			Stmt::CallBlock(_) => return Err("`call` blocks are not part of c2's templates".into()),
		}
		Ok(Flow::Next)
	}

	fn for_loop(&mut self, each: &'a ast::ForLoop<'a>) -> Result<Flow> {
		if each.recursive {
			return Err("recursive loops are not part of c2's templates".into());
		}
		let value = self.value(&each.iter)?;
		let mut items = self.items(&value)?;
		if let Some(condition) = &each.filter_expr {
			let mut kept = Vec::new();
			for item in &items.items {
				let keep = self.scoped(|interp| {
					interp.assign(&each.target, item.clone())?;
					Ok(interp.value(condition)?.truth())
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
			let state = LoopState {
				items: items.clone(),
				index,
			};
			let flow = self.scoped(|interp| {
				interp.set("loop", Value::Loop(Rc::new(state)));
				interp.assign(&each.target, item.clone())?;
				interp.body(&each.body)
			})?;
			if flow == Flow::Break {
				break;
			}
		}
		Ok(Flow::Next)
	}

	/// What iterating over a value gives.
	pub(super) fn items(&mut self, value: &Value<'a>) -> Result<Rc<List<'a>>> {
		let items = match value {
			Value::List(list) => return Ok(list.clone()),
			Value::Undefined => Vec::new(),
			Value::Map(map) => {
				self.spend(map.entries.len())?;
				map.entries.iter().map(|(key, _)| key.into()).collect()
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
					self.nested(|interp| interp.assign(target, item.clone()))?;
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
		let ended = self.scoped(|interp| interp.body(body));
		let text = self.out.pop().unwrap_or_default();
		match ended? {
			Flow::Next => Ok(Value::text(text)),
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
}

impl Drop for Interpreter<'_> {
	/// Empties the namespaces, which may hold each other in circles or in long rows, one by one.
	fn drop(&mut self) {
		for namespace in &self.namespaces {
			let held = std::mem::take(&mut *namespace.borrow_mut());
			drop(held);
		}
	}
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
