//! The names that a template's syntax tree reads: what it can possibly write of a conversation.

use minijinja::machinery::ast::{Call, CallArg, Expr, Macro, Stmt};
use std::collections::BTreeSet;

/// What a template reads.
#[derive(Default)]
pub(super) struct Names<'a> {
	/// Variables.
	pub(super) variables: BTreeSet<&'a str>,
	/// Attributes, also those that are named by a text.
	pub(super) attributes: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
	/// Returns the names of a tree. The parser bounds how deeply it nests.
	pub(super) fn of(tree: &'a Stmt<'a>) -> Self {
		let mut names = Self::default();
		names.statement(tree);
		names
	}

	fn body(&mut self, body: &'a [Stmt<'a>]) {
		body.iter().for_each(|statement| self.statement(statement));
	}

	fn statement(&mut self, statement: &'a Stmt<'a>) {
		match statement {
			Stmt::Template(template) => self.body(&template.children),
			Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => {}
			Stmt::EmitExpr(emit) => self.expression(&emit.expr),
			Stmt::IfCond(cond) => {
				self.expression(&cond.expr);
				self.body(&cond.true_body);
				self.body(&cond.false_body);
			}
			Stmt::ForLoop(each) => {
				self.expression(&each.iter);
				self.optional(&each.filter_expr);
				self.body(&each.body);
				self.body(&each.else_body);
			}
			// What is assigned to is not read.
			Stmt::Set(set) => self.expression(&set.expr),
			Stmt::SetBlock(set) => {
				self.optional(&set.filter);
				self.body(&set.body);
			}
			Stmt::FilterBlock(block) => {
				self.expression(&block.filter);
				self.body(&block.body);
			}
			Stmt::WithBlock(with) => {
				with.assignments.iter().for_each(|(_, value)| self.expression(value));
				self.body(&with.body);
			}
			Stmt::Macro(declared) => self.declared(declared),
			Stmt::Do(call) => self.call(&call.call),
			// Not part of the language: an error when it is reached.
			Stmt::AutoEscape(_) | Stmt::CallBlock(_) => {}
		}
	}

	fn declared(&mut self, declared: &'a Macro<'a>) {
		self.all(&declared.defaults);
		self.body(&declared.body);
	}

	fn all(&mut self, expressions: &'a [Expr<'a>]) {
		expressions.iter().for_each(|expr| self.expression(expr));
	}

	fn optional(&mut self, expr: &'a Option<Expr<'a>>) {
		expr.iter().for_each(|expr| self.expression(expr));
	}

	fn expression(&mut self, expr: &'a Expr<'a>) {
		match expr {
			Expr::Var(var) => {
				self.variables.insert(var.id);
			}
			Expr::Const(constant) => self.attributes.extend(constant.value.as_str()),
			Expr::Slice(slice) => {
				self.expression(&slice.expr);
				[&slice.start, &slice.stop, &slice.step]
					.into_iter()
					.for_each(|bound| self.optional(bound));
			}
			Expr::UnaryOp(unary) => self.expression(&unary.expr),
			Expr::BinOp(binary) => {
				self.expression(&binary.left);
				self.expression(&binary.right);
			}
			Expr::Compare(chain) => {
				self.expression(&chain.expr);
				chain.ops.iter().for_each(|link| self.expression(&link.expr));
			}
			Expr::IfExpr(choice) => {
				self.expression(&choice.test_expr);
				self.expression(&choice.true_expr);
				self.optional(&choice.false_expr);
			}
			Expr::Filter(filter) => {
				self.optional(&filter.expr);
				self.args(&filter.args);
			}
			Expr::Test(test) => {
				self.expression(&test.expr);
				self.args(&test.args);
			}
			Expr::GetAttr(attr) => {
				self.attributes.insert(attr.name);
				self.expression(&attr.expr);
			}
			Expr::GetItem(get) => {
				self.expression(&get.expr);
				self.expression(&get.subscript_expr);
			}
			Expr::Call(call) => self.call(call),
			Expr::List(list) => self.all(&list.items),
			Expr::Map(map) => {
				self.all(&map.keys);
				self.all(&map.values);
			}
		}
	}

	fn call(&mut self, call: &'a Call<'a>) {
		self.expression(&call.expr);
		self.args(&call.args);
	}

	fn args(&mut self, args: &'a [CallArg<'a>]) {
		for arg in args {
			match arg {
				CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
					self.expression(expr)
				}
			}
		}
	}
}
