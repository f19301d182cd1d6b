//! What an answer must look like, as a mask on the sampler: `response_format` and tool calls (`docs/spec/c2.md` §5.2).
//!
//! The masks follow from the model, the conversation and the tokens so far, so verifiers derive them again. A library turns
//! schemas into masks; everything that it is given is checked before ([`schema`]), and everything that it may cost is
//! bounded ([`vocabulary`]), because masks decide tokens and tokens are voted on.

mod calls;
mod opening;
mod schema;
mod state;
#[cfg(test)]
mod tests;
mod vocabulary;

pub(crate) use vocabulary::Vocabulary;

use crate::{Error, Model, Result};
use assay_model_folder::tokenizer::Tokenizer;
use assay_primitives::chat::{call::ToolSyntax, Chat, ResponseFormat, ToolChoice};
use calls::Tools;
use llguidance::{
	api::{GrammarWithLexer, TopLevelGrammar},
	Matcher,
};
use schema::Unsupported;
use serde_json::Value;
use state::State;
use std::{sync::Arc, thread};

/// The white space that may stand between two parts of JSON: a space, or a new line and its indentation.
const SPACE: &str = r" |\n {0,40}";
/// What the masks of one answer may cost, in the library's units of fuel: a second or two.
const ANSWER_FUEL: u64 = 20_000_000;
/// The library's recursion follows schemas and tokens, which are bounded; this has room for the deepest of them.
const STACK_BYTES: usize = 256 << 20;

/// What cannot be held to: the part of the conversation that the answer's text names.
pub(crate) type Refused = &'static str;

/// Which tokens may come next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
	/// All.
	All,
	/// Those whose bits are set, one at least.
	Only(Vec<u32>),
	/// None.
	Nothing,
}

/// The grammar of one answer, and how far the answer is.
pub(crate) struct Grammar {
	vocabulary: Arc<Vocabulary>,
	/// The state before the first token.
	start: State,
	state: State,
	fuel: u64,
	/// What it holds the answer to, by the name that the conversation gives it.
	part: Refused,
}

impl Grammar {
	/// Returns the grammar of a conversation's answer, none if any text will do; or what it cannot be held to.
	pub(crate) fn of(model: &Model, chat: &Chat) -> Result<std::result::Result<Option<Self>, Refused>> {
		match Asked::of(chat, model.template().source(), model.tokenizer()) {
			Ok(Some(asked)) => Ok(Self::new(model.vocabulary()?, asked)?.map(Some)),
			Ok(None) => Ok(Ok(None)),
			Err(part) => Ok(Err(part)),
		}
	}

	fn new(vocabulary: &Arc<Vocabulary>, asked: Asked) -> Result<std::result::Result<Self, Refused>> {
		let made = big_stack(|| Compiler { vocabulary }.start(asked))?;
		Ok(made.map(|(start, part)| Self {
			vocabulary: vocabulary.clone(),
			state: start.copy(),
			start,
			fuel: ANSWER_FUEL,
			part,
		}))
	}

	/// Returns what the answer is held to.
	pub(crate) fn part(&self) -> Refused {
		self.part
	}

	/// Returns the tokens that may come next. It is asked once between two tokens: what the library keeps counts as its
	/// cost, so who asks in another order may get another answer.
	pub(crate) fn mask(&mut self) -> Mask {
		self.state.mask(&self.vocabulary, &mut self.fuel)
	}

	/// Adds a token. What may come after one that was not allowed has no meaning.
	pub(crate) fn push(&mut self, token: u32) {
		self.state.push(&self.vocabulary, token);
	}

	/// Leaves it so much fuel.
	#[cfg(test)]
	pub(crate) fn set_fuel(&mut self, fuel: u64) {
		self.fuel = fuel;
	}

	/// Goes back to the state before the first token.
	pub(crate) fn restart(&mut self) {
		self.state = self.start.copy();
		self.fuel = ANSWER_FUEL;
	}
}

/// What a conversation asks of its answer: a format, calls, or either.
struct Asked {
	format: Option<Value>,
	calls: Option<Tools>,
	/// Whether the answer is calls.
	must_call: bool,
}

impl Asked {
	/// Reads a conversation for a model with this template; none if it asks for nothing.
	fn of(chat: &Chat, template: &str, tokenizer: &Tokenizer) -> Made<Option<Self>> {
		let must_call = matches!(chat.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
		let may_call = chat.tool_choice != ToolChoice::None && !chat.tools.is_empty();
		let format = match &chat.response_format {
			// Calls take the place of the text.
			_ if must_call => None,
			ResponseFormat::Text => None,
			ResponseFormat::JsonObject => Some(schema::checked_object(None)),
			ResponseFormat::JsonSchema(schema) => Some(schema::checked(schema)),
		};
		let format = format.transpose().map_err(|Unsupported| "response_format")?;
		let calls = match ToolSyntax::of_template(template) {
			_ if !may_call => None,
			Some(syntax) => {
				let tools = Tools::of(&chat.tools, &chat.tool_choice, syntax, tokenizer);
				Some(tools.map_err(|Unsupported| "tools")?)
			}
			None if must_call => return Err("tool_choice"),
			None => None,
		};
		let asked = Self {
			format,
			calls,
			must_call,
		};
		Ok((asked.format.is_some() || asked.calls.is_some()).then_some(asked))
	}
}

/// Makes grammars for a vocabulary.
struct Compiler<'m> {
	vocabulary: &'m Vocabulary,
}

type Made<T> = std::result::Result<T, Refused>;

impl Compiler<'_> {
	/// Returns the state before the first token, and what the answer is held to.
	fn start(&self, asked: Asked) -> Made<(State, Refused)> {
		let Asked {
			format,
			calls,
			must_call,
		} = asked;
		let alone = |format: &Value| {
			let matcher = self.matcher("start: @format", vec![named("format", format.clone())]);
			matcher.ok_or("response_format")
		};
		let matcher = format.as_ref().map(alone).transpose()?;
		let Some(tools) = calls else {
			let matcher = matcher.ok_or("response_format")?;
			return Ok((State::whole(matcher, None), "response_format"));
		};
		let tools = self.usable(tools)?;
		let made = |start: String, format: Option<Value>| {
			let mut grammars = tools.grammars();
			grammars.extend(format.map(|format| named("format", format)));
			self.matcher(&format!("{start}\n{}", tools.rules()), grammars)
				.ok_or("tools")
		};
		let calls = tools.answer();
		Ok(match format {
			Some(format) => {
				let matcher = made(format!("start: @format | {calls}"), Some(format))?;
				(State::whole(matcher, tools.mark), "response_format")
			}
			None if must_call => (
				State::whole(made(format!("start: {calls}"), None)?, tools.mark),
				"tools",
			),
			None => (tools.free(&made)?, "tools"),
		})
	}

	/// Replaces the schemas that the library refuses, if their tools may have other arguments.
	fn usable(&self, mut tools: Tools) -> Made<Tools> {
		let all = |tools: &Tools| self.matcher(&format!("start: call\n{}", tools.rules()), tools.grammars());
		if all(&tools).is_some() {
			return Ok(tools);
		}
		tools.replace(|schema| {
			self.matcher("start: @one", vec![named("one", schema.clone())])
				.is_some()
		});
		all(&tools).map(|_| tools).ok_or("tools")
	}

	/// Returns the matcher of a grammar in the library's language, with white space between its parts.
	fn matcher(&self, rules: &str, mut others: Vec<GrammarWithLexer>) -> Option<Box<Matcher>> {
		let options = r#"%llguidance {"ignore_once": true, "allow_initial_skip": true}"#;
		let lark = format!("{options}\n{rules}\n%ignore /{SPACE}/\n");
		others.insert(0, GrammarWithLexer::from_lark(lark));
		let grammar = TopLevelGrammar {
			grammars: others,
			max_tokens: None,
		};
		let matcher = Matcher::new(self.vocabulary.factory.create_parser(grammar));
		(!matcher.is_error()).then(|| Box::new(matcher))
	}
}

/// Returns the grammar of a schema that other grammars refer to by a name.
fn named(name: &str, schema: Value) -> GrammarWithLexer {
	GrammarWithLexer {
		name: Some(name.into()),
		..GrammarWithLexer::from_json_schema(schema)
	}
}

/// Runs a function with a stack for the library's recursion.
fn big_stack<T: Send>(run: impl FnOnce() -> T + Send) -> Result<T> {
	thread::scope(|scope| {
		let thread = thread::Builder::new().name("grammar".into()).stack_size(STACK_BYTES);
		let thread = thread.spawn_scoped(scope, run);
		let thread = thread.map_err(|e| Error::Compute(format!("no thread to read a grammar on: {e}")))?;
		thread
			.join()
			.map_err(|_| Error::Compute("reading a grammar panicked".into()))
	})
}
