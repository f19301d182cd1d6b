//! Requests for responses.

use super::{
	input::Conversation,
	response::Said,
	tools::{response_format, tool_choice, Tools},
};
use crate::{
	error::ApiError,
	openai::is_neutral,
	reading::{Reading, Reasoning},
	request::{Notes, Options},
	sampling::Sampling,
	service::{conversation, text, Prepared, Service},
};
use assay_primitives::json::Json;
use serde::Deserialize;
use utoipa::ToSchema;

/// A request for a response. Fields that are not listed are ignored and named in the response's header
/// `x-assay-ignored`. What would have to be stored is refused: `previous_response_id`, `conversation`, `background`,
/// `prompt`. So are tools that a provider runs, and `top_logprobs`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ResponsesRequest {
	/// A model's id, its name, or `name@0x…`.
	model: String,
	/// The conversation: a user's text, or items of the types `message`, `function_call`, `function_call_output`,
	/// `reasoning` and, for items of answers of this server, `item_reference`.
	#[schema(value_type = Object)]
	input: Option<Json>,
	/// What the model is told first.
	instructions: Option<String>,
	/// Whether the answer comes as server-sent events.
	pub(super) stream: Option<bool>,
	/// Most tokens of the answer.
	max_output_tokens: Option<u64>,
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
	/// Functions that the model may call.
	#[schema(value_type = Option<Vec<Object>>)]
	tools: Option<Json>,
	/// `auto`, `none`, `required` or a function.
	#[schema(value_type = Option<Object>)]
	tool_choice: Option<Json>,
	/// Whether more than the first call is passed on.
	parallel_tool_calls: Option<bool>,
	/// What the answer's text must be.
	text: Option<TextOptions>,
	/// Returned with the answer.
	#[schema(value_type = Option<Object>)]
	metadata: Option<Json>,
	/// Further variables of the model's chat template.
	#[schema(value_type = Option<Object>)]
	chat_template_kwargs: Option<Json>,
	/// False keeps the items of the answer from being kept for `item_reference`. Nothing is stored for good, also if it is
	/// true.
	store: Option<bool>,
	// What asks for nothing is not worth a word.
	#[schema(ignore)]
	include: Option<Json>,
	#[schema(ignore)]
	truncation: Option<Json>,
	// What nothing here does. Neutral values are accepted.
	#[schema(ignore)]
	previous_response_id: Option<Json>,
	#[schema(ignore)]
	conversation: Option<Json>,
	#[schema(ignore)]
	background: Option<Json>,
	#[schema(ignore)]
	prompt: Option<Json>,
	#[schema(ignore)]
	top_logprobs: Option<Json>,
}

/// What the answer's text must be.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct TextOptions {
	/// `text`, `json_object` or a JSON schema.
	#[schema(value_type = Option<Object>)]
	format: Option<Json>,
}

impl ResponsesRequest {
	/// Returns what the answer repeats.
	pub(super) fn said(&self) -> Said {
		let format = self.text.as_ref().and_then(|text| text.format.clone());
		let plain = || Json::Map(vec![("type".into(), text("text"))]);
		Said {
			model: self.model.clone(),
			instructions: self.instructions.clone(),
			max_output_tokens: self.max_output_tokens,
			metadata: self.metadata.clone().unwrap_or_else(|| Json::Map(Vec::new())),
			parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
			temperature: self.temperature.unwrap_or(1.0),
			text: Json::Map(vec![("format".into(), format.unwrap_or_else(plain))]),
			tool_choice: self.tool_choice.clone().unwrap_or_else(|| text("auto")),
			tools: self.tools.clone().unwrap_or_else(|| Json::List(Vec::new())),
			top_p: self.top_p.unwrap_or(1.0),
		}
	}

	/// Returns whether later requests may name the items of the answer.
	pub(super) fn keeps(&self) -> bool {
		self.store != Some(false)
	}

	/// Reads a request for a response.
	pub(super) async fn prepare(
		mut self,
		service: &Service,
		options: &Options,
		mut notes: Notes,
	) -> Result<Prepared, ApiError> {
		self.check(&mut notes)?;
		let input = self.input.take();
		let input = input.ok_or_else(|| ApiError::invalid("input", "`input` is missing; ask something"))?;
		let model = service.catalog.resolve(&self.model).await?;
		let tools = self
			.tools
			.take()
			.map(|tools| Tools::read(&tools, &mut notes))
			.transpose()?;
		let Tools {
			functions,
			places: tool_places,
		} = tools.unwrap_or_default();
		let choice = self.tool_choice.take().map(tool_choice).transpose()?;
		let format = self.text.take().and_then(|text| text.format);
		let instructions = self.instructions.take();
		let Conversation { messages, mut places } =
			Conversation::read(instructions, input, &service.items, &mut notes)?;
		places.tools = tool_places;
		let read = conversation(vec![
			("messages", Some(messages)),
			("tools", (!functions.is_empty()).then_some(Json::List(functions))),
			("tool_choice", choice),
			("response_format", format.map(response_format)),
			("chat_template_kwargs", self.chat_template_kwargs.take()),
		]);
		let (job_input, chat) = read.map_err(|error| places.named(error))?;
		let parallel = self.parallel_tool_calls.unwrap_or(true);
		let reasoning = options.reasoning.unwrap_or(Reasoning::Separate);
		Ok(Prepared {
			reading: Reading::of(&chat, &model, parallel, reasoning),
			sampling: self.sampling(),
			model,
			input: job_input,
			notes,
		})
	}

	/// Refuses what nothing here can do, and notes what is not done as said.
	fn check(&self, notes: &mut Notes) -> Result<(), ApiError> {
		let stored = "nothing is stored here; send the whole conversation in `input`";
		let fields = [
			("previous_response_id", &self.previous_response_id, stored),
			("conversation", &self.conversation, stored),
			("prompt", &self.prompt, stored),
			(
				"background",
				&self.background,
				"nothing is stored here; stream the answer, or repeat the request with its `Idempotency-Key`",
			),
			(
				"top_logprobs",
				&self.top_logprobs,
				"no probabilities are published; leave it out",
			),
		];
		let mut bad = fields
			.into_iter()
			.filter_map(|(name, value, why)| Some((name, value.as_ref()?, why)));
		if let Some((name, _, why)) = bad.find(|(name, value, _)| !is_neutral(name, value)) {
			return Err(ApiError::unsupported(name, format!("`{name}` is not supported: {why}")));
		}
		let disabled = |value: &Json| value.as_text() == Some("disabled");
		let told = [
			("store", self.store == Some(true)),
			(
				"include",
				self.include.as_ref().is_some_and(|value| !is_neutral("include", value)),
			),
			(
				"truncation",
				self.truncation
					.as_ref()
					.is_some_and(|value| !disabled(value) && *value != Json::Null),
			),
		];
		told.into_iter()
			.filter(|(_, told)| *told)
			.for_each(|(name, _)| notes.ignore(name));
		Ok(())
	}

	fn sampling(self) -> Sampling {
		Sampling {
			max_tokens: self.max_output_tokens.map(|tokens| (tokens, "max_output_tokens")),
			temperature: self.temperature,
			top_p: self.top_p,
			top_k: self.top_k,
			min_p: self.min_p,
			seed: self.seed.is_some(),
			..Sampling::default()
		}
	}
}
