//! Tool calls as rules of a grammar, in the notation of the model's template.

use super::{
	named,
	opening::Opening,
	schema::{checked_object, Unsupported},
	state::State,
	Made,
};
use assay_model_folder::tokenizer::Tokenizer;
use assay_primitives::{
	chat::{
		call::{ToolSyntax, END_TAG, TAG},
		ToolChoice,
	},
	json::Json,
};
use llguidance::{api::GrammarWithLexer, Matcher};
use serde_json::Value;

/// Mistral's identifier of a call, which its models may write.
const ID: &str = r#"/"[a-zA-Z0-9]{9}"/"#;

/// The tools that an answer may call.
pub(super) struct Tools {
	tools: Vec<Tool>,
	syntax: ToolSyntax,
	/// Whether it calls one and no more.
	single: bool,
	/// The special token that may stand before calls.
	pub(super) mark: Option<u32>,
}

struct Tool {
	name: String,
	parameters: Value,
	strict: bool,
}

impl Tools {
	/// Reads the tools that a choice leaves. A tool that is not `strict` takes any object if its schema can't be held to.
	pub(super) fn of(
		tools: &[Json],
		choice: &ToolChoice,
		syntax: ToolSyntax,
		tokenizer: &Tokenizer,
	) -> Result<Self, Unsupported> {
		let functions = tools.iter().filter_map(|tool| {
			let function = tool.get("function")?;
			let name = function.get("name")?.as_text()?;
			let wanted = match choice {
				ToolChoice::Function(one) => one == name,
				_ => true,
			};
			wanted.then_some((name, function))
		});
		let read = functions.map(|(name, function)| {
			let strict = function.get("strict") == Some(&Json::Bool(true));
			let parameters = match checked_object(function.get("parameters")) {
				Err(Unsupported) if !strict => checked_object(None),
				read => read,
			};
			Ok(Tool {
				name: name.into(),
				parameters: parameters?,
				strict,
			})
		});
		let mark = match syntax {
			ToolSyntax::List { mark } => tokenizer.id(mark).filter(|id| tokenizer.is_special(*id)),
			_ => None,
		};
		Ok(Self {
			tools: read.collect::<Result<_, _>>()?,
			syntax,
			single: matches!(choice, ToolChoice::Function(_)),
			mark,
		})
	}

	/// Lets tools that are not `strict` take any object where a schema is not `good`.
	pub(super) fn replace(&mut self, good: impl Fn(&Value) -> bool) {
		for tool in self.tools.iter_mut().filter(|tool| !tool.strict) {
			if !good(&tool.parameters) {
				tool.parameters = checked_object(None).unwrap_or_default();
			}
		}
	}

	/// Returns the grammars of the tools' arguments.
	pub(super) fn grammars(&self) -> Vec<GrammarWithLexer> {
		let numbered = self.tools.iter().enumerate();
		numbered
			.map(|(i, tool)| named(&format!("arguments_{i}"), tool.parameters.clone()))
			.collect()
	}

	/// Returns the rule `call` and those that it is made of.
	pub(super) fn rules(&self) -> String {
		let key = self.syntax.arguments_key();
		let id = match self.syntax {
			ToolSyntax::List { mark: "[TOOL_CALLS]" } => format!(r#" ("," "\"id\"" ":" {ID})?"#),
			_ => String::new(),
		};
		let mut rules = String::new();
		for (i, tool) in self.tools.iter().enumerate() {
			// A name has letters, digits, underscores and hyphens.
			let name = &tool.name;
			rules.push_str(&format!(
				r#"call_{i}: "{{" "\"name\"" ":" "\"{name}\"" "," "\"{key}\"" ":" @arguments_{i}{id} "}}""#
			));
			rules.push('\n');
		}
		let calls: Vec<String> = (0..self.tools.len()).map(|i| format!("call_{i}")).collect();
		format!("{rules}call: {}\n", calls.join(" | "))
	}

	/// Returns what matches an answer that is all calls.
	pub(super) fn answer(&self) -> String {
		match self.syntax {
			ToolSyntax::Object => "call".into(),
			ToolSyntax::Tagged => {
				let one = format!(r#""{TAG}" call "{END_TAG}""#);
				if self.single {
					one
				} else {
					format!("({one})+")
				}
			}
			ToolSyntax::List { mark } => {
				let mark = match self.mark {
					Some(_) => String::new(),
					None => format!(r#""{mark}"? "#),
				};
				let more = if self.single { "" } else { r#" ("," call)*"# };
				format!(r#"({mark}"[" call{more} "]")"#)
			}
		}
	}

	/// Returns the state before an answer that may call or not: any text until a call has begun.
	pub(super) fn free(&self, made: &dyn Fn(String, Option<Value>) -> Made<Box<Matcher>>) -> Made<State> {
		Ok(match self.syntax {
			ToolSyntax::Tagged => State::text(made(format!(r#"start: call "{END_TAG}""#), None)?),
			ToolSyntax::Object => {
				let whole = made(format!("start: {}", self.answer()), None)?;
				State::Opening(Opening::new(whole, vec![r#"{"name""#]))
			}
			ToolSyntax::List { mark } => {
				let whole = made(format!("start: {}", self.answer()), None)?;
				State::Opening(Opening::new(whole, vec![mark, r#"[{"name""#]))
			}
		})
	}
}
