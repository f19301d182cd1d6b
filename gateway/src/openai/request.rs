//! Requests of OpenAI's clients.

use super::message;
use crate::{
	error::ApiError,
	reading::{Reading, Reasoning},
	request::{Notes, Options},
	sampling::Sampling,
	service::{conversation, too_long, Prepared, Service},
};
use assay_primitives::{json::Json, UncheckedInput};
use serde::Deserialize;
use utoipa::ToSchema;

/// Most tokens of a text completion that does not say, as in OpenAI's protocol.
const COMPLETION_TOKENS: u32 = 16;

/// A request for a completion: of a conversation with `messages`, or of a text with `prompt`.
///
/// Fields that are not listed are ignored and named in the response's header `x-assay-ignored`. `n` other than 1,
/// `logprobs`, `logit_bias`, penalties, audio, `functions`, `suffix`, `echo` and `best_of` are refused.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct CompletionRequest {
	/// A model's id, its name, or `name@0x…`.
	pub(super) model: String,
	/// The conversation, for `/v1/chat/completions`.
	#[schema(value_type = Option<Vec<Object>>)]
	messages: Option<Json>,
	/// The text of one user message, for `/v1/completions`.
	#[schema(value_type = Option<String>)]
	prompt: Option<Json>,
	/// Whether the answer comes as server-sent events.
	stream: Option<bool>,
	/// What the stream includes.
	stream_options: Option<StreamOptions>,
	/// Most tokens of the answer; the older name.
	max_tokens: Option<u64>,
	/// Most tokens of the answer.
	max_completion_tokens: Option<u64>,
	/// From 0, which takes the likeliest token, to 2; 1 if it is left out.
	temperature: Option<f64>,
	/// Becomes `min_p: 1 − top_p`, which is told in `x-assay-adjusted`.
	top_p: Option<f64>,
	/// Keep only this many of the likeliest tokens.
	top_k: Option<u32>,
	/// Keep only tokens at least this probable relative to the likeliest.
	min_p: Option<f64>,
	/// Allowed at temperature 0, where it changes nothing.
	seed: Option<i64>,
	/// Up to four strings of up to 32 bytes that end the answer, or one.
	#[schema(value_type = Option<Vec<String>>)]
	stop: Option<Json>,
	/// Functions that the model may call.
	#[schema(value_type = Option<Vec<Object>>)]
	tools: Option<Json>,
	/// `auto`, `none`, `required` or a function.
	#[schema(value_type = Option<Object>)]
	tool_choice: Option<Json>,
	/// Whether more than the first call is passed on.
	parallel_tool_calls: Option<bool>,
	/// `text`, `json_object` or a JSON schema.
	#[schema(value_type = Option<Object>)]
	response_format: Option<Json>,
	/// Further variables of the model's chat template.
	#[schema(value_type = Option<Object>)]
	chat_template_kwargs: Option<Json>,
	/// Nothing is stored, also if it is true.
	store: Option<bool>,
	// What changes an answer in a way that nothing here does. Neutral values are accepted.
	#[schema(ignore)]
	n: Option<Json>,
	#[schema(ignore)]
	best_of: Option<Json>,
	#[schema(ignore)]
	logprobs: Option<Json>,
	#[schema(ignore)]
	top_logprobs: Option<Json>,
	#[schema(ignore)]
	logit_bias: Option<Json>,
	#[schema(ignore)]
	presence_penalty: Option<Json>,
	#[schema(ignore)]
	frequency_penalty: Option<Json>,
	#[schema(ignore)]
	audio: Option<Json>,
	#[schema(ignore)]
	modalities: Option<Json>,
	#[schema(ignore)]
	prediction: Option<Json>,
	#[schema(ignore)]
	web_search_options: Option<Json>,
	#[schema(ignore)]
	functions: Option<Json>,
	#[schema(ignore)]
	function_call: Option<Json>,
	#[schema(ignore)]
	suffix: Option<Json>,
	#[schema(ignore)]
	echo: Option<Json>,
}

/// What a stream includes.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
	/// Whether the last chunk counts the tokens.
	include_usage: Option<bool>,
}

impl CompletionRequest {
	/// Returns whether the answer is streamed, and whether its tokens are counted there.
	pub(super) fn streams(&self) -> (bool, bool) {
		let options = self.stream_options.as_ref();
		let include_usage = options.and_then(|options| options.include_usage).unwrap_or(false);
		(self.stream.unwrap_or(false), include_usage)
	}

	/// Reads a request for a chat completion.
	pub(super) async fn chat(
		mut self,
		service: &Service,
		options: &Options,
		mut notes: Notes,
	) -> Result<Prepared, ApiError> {
		self.check()?;
		self.note_store(&mut notes);
		if self.prompt.is_some() {
			notes.ignore("prompt");
		}
		let messages = self.messages.take();
		let messages = messages.ok_or_else(|| ApiError::invalid("messages", "`messages` is missing"))?;
		let model = service.catalog.resolve(&self.model).await?;
		let tools = self
			.tools
			.take()
			.filter(|tools| tools.as_list().is_none_or(|list| !list.is_empty()));
		let (input, chat) = conversation(vec![
			("messages", Some(message::clean(messages, &mut notes))),
			("tools", tools),
			("tool_choice", self.tool_choice.take()),
			("response_format", self.response_format.take()),
			("chat_template_kwargs", self.chat_template_kwargs.take()),
		])?;
		let parallel = self.parallel_tool_calls.unwrap_or(true);
		let reasoning = options.reasoning.unwrap_or(Reasoning::Separate);
		Ok(Prepared {
			reading: Reading::of(&chat, &model, parallel, reasoning),
			sampling: self.sampling(None)?,
			model,
			input,
			notes,
		})
	}

	/// Reads a request for the completion of a text.
	pub(super) async fn completion(mut self, service: &Service, mut notes: Notes) -> Result<Prepared, ApiError> {
		self.check()?;
		self.note_store(&mut notes);
		let chat_only = [
			("messages", self.messages.is_some()),
			("tools", self.tools.is_some()),
			("tool_choice", self.tool_choice.is_some()),
			("parallel_tool_calls", self.parallel_tool_calls.is_some()),
			("response_format", self.response_format.is_some()),
			("chat_template_kwargs", self.chat_template_kwargs.is_some()),
		];
		if let Some((name, _)) = chat_only.into_iter().find(|(_, given)| *given) {
			return Err(ApiError::unsupported(
				name,
				format!("`{name}` belongs to `/v1/chat/completions`; send the request there"),
			));
		}
		let one = match self.prompt.take() {
			Some(Json::List(mut list)) if list.len() == 1 => list.pop(),
			other => other,
		};
		let Some(Json::Text(prompt)) = one else {
			return Err(ApiError::invalid(
				"prompt",
				"`prompt` must be one text; lists of tokens or of texts are not taken",
			));
		};
		if prompt.is_empty() {
			return Err(ApiError::invalid("prompt", "`prompt` is empty; ask something"));
		}
		let model = service.catalog.resolve(&self.model).await?;
		notes.adjust("prompt: is the text of one user message, rendered by the model's chat template");
		let length = prompt.len();
		let input = UncheckedInput::Text(prompt.into_bytes()).bounded();
		Ok(Prepared {
			reading: Reading::default(),
			sampling: self.sampling(Some(COMPLETION_TOKENS))?,
			model,
			input: input.ok_or_else(|| too_long(length).param("prompt"))?,
			notes,
		})
	}

	fn note_store(&self, notes: &mut Notes) {
		if self.store == Some(true) {
			notes.ignore("store");
		}
	}

	/// Refuses fields that would change the answer and that nothing here can do.
	fn check(&self) -> Result<(), ApiError> {
		let none = "leave it out";
		let sampler = "the chain's sampler has no such thing; leave it out";
		let fields = [
			(
				"n",
				&self.n,
				"a job has one answer; send the request again for another one",
			),
			("best_of", &self.best_of, "a job has one answer; leave it out"),
			(
				"logprobs",
				&self.logprobs,
				"no probabilities are published; leave it out",
			),
			(
				"top_logprobs",
				&self.top_logprobs,
				"no probabilities are published; leave it out",
			),
			("logit_bias", &self.logit_bias, sampler),
			("presence_penalty", &self.presence_penalty, sampler),
			("frequency_penalty", &self.frequency_penalty, sampler),
			("audio", &self.audio, "models here read and write text"),
			("modalities", &self.modalities, "models here read and write text"),
			("prediction", &self.prediction, none),
			(
				"web_search_options",
				&self.web_search_options,
				"models here search nothing; offer a function in `tools`",
			),
			("functions", &self.functions, "use `tools`"),
			("function_call", &self.function_call, "use `tool_choice`"),
			("suffix", &self.suffix, none),
			("echo", &self.echo, none),
		];
		let bad = fields
			.into_iter()
			.find(|(name, value, _)| value.as_ref().is_some_and(|value| !is_neutral(name, value)));
		match bad {
			Some((name, _, why)) => Err(ApiError::unsupported(name, format!("`{name}` is not supported: {why}"))),
			None => Ok(()),
		}
	}

	fn sampling(&self, default_tokens: Option<u32>) -> Result<Sampling, ApiError> {
		let older = self.max_tokens.map(|tokens| (tokens, "max_tokens"));
		let max_tokens = self
			.max_completion_tokens
			.map(|tokens| (tokens, "max_completion_tokens"))
			.or(older);
		let not_texts = || ApiError::invalid("stop", "`stop` must be a text or a list of texts");
		let stop = match &self.stop {
			None => Vec::new(),
			Some(Json::Text(one)) => vec![one.clone()],
			Some(Json::List(list)) => {
				let texts = list.iter().map(|text| text.as_text().map(String::from));
				texts.collect::<Option<_>>().ok_or_else(not_texts)?
			}
			Some(_) => return Err(not_texts()),
		};
		Ok(Sampling {
			max_tokens,
			default_tokens,
			temperature: self.temperature,
			top_p: self.top_p,
			top_k: self.top_k,
			min_p: self.min_p,
			seed: self.seed.is_some(),
			stop,
			stop_name: "stop",
		})
	}
}

/// Returns whether a value asks for nothing.
pub(crate) fn is_neutral(name: &str, value: &Json) -> bool {
	match (name, value) {
		("n" | "best_of", value) => *value == Json::Int(1),
		("modalities", Json::List(list)) => list.iter().all(|kind| kind.as_text() == Some("text")),
		("function_call", Json::Text(kind)) => kind == "none",
		(_, Json::Null | Json::Bool(false) | Json::Int(0)) => true,
		(_, Json::Float(x)) => *x == 0.0,
		(_, Json::Text(text)) => text.is_empty(),
		(_, Json::List(list)) => list.is_empty(),
		(_, Json::Map(map)) => map.is_empty(),
		_ => false,
	}
}
