//! Requests of Anthropic's clients.

use super::message;
use crate::{
	error::ApiError,
	reading::{Reading, Reasoning},
	request::{Notes, Options},
	sampling::Sampling,
	service::{conversation, text, Prepared, Service},
};
use assay_primitives::json::Json;
use serde::Deserialize;
use utoipa::ToSchema;

/// A request for a message. Fields that are not listed are ignored and named in the response's header `x-assay-ignored`.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct MessagesRequest {
	/// A model's id, its name, or `name@0x…`.
	pub(super) model: String,
	/// The conversation: texts, tool calls and their results.
	#[schema(value_type = Vec<Object>)]
	messages: Json,
	/// Most tokens of the answer. Only `/v1/messages/count_tokens` does without.
	pub(super) max_tokens: Option<u64>,
	/// What the model is told first: a text, or blocks of text.
	#[schema(value_type = Option<String>)]
	system: Option<Json>,
	/// Whether the answer comes as server-sent events.
	pub(super) stream: Option<bool>,
	/// From 0, which takes the likeliest token, to 2; 1 if it is left out.
	temperature: Option<f64>,
	/// Becomes `min_p: 1 − top_p`, which is told in `x-assay-adjusted`.
	top_p: Option<f64>,
	/// Keep only this many of the likeliest tokens.
	top_k: Option<u32>,
	/// Keep only tokens at least this probable relative to the likeliest.
	min_p: Option<f64>,
	/// Up to four strings of up to 32 bytes that end the answer.
	pub(super) stop_sequences: Option<Vec<String>>,
	/// Tools that the model may call.
	#[schema(value_type = Option<Vec<Object>>)]
	tools: Option<Json>,
	/// `auto`, `any`, `none` or a tool.
	tool_choice: Option<Choice>,
	/// What the answer must be like.
	output_config: Option<OutputConfig>,
	/// The older place of `output_config.format`.
	#[schema(value_type = Option<Object>)]
	output_format: Option<Json>,
	/// Whether reasoning comes in blocks of its own: `{"type": "enabled"}`. Whether the model reasons is its template's
	/// to say.
	#[schema(value_type = Option<Object>)]
	thinking: Option<Json>,
	/// Further variables of the model's chat template.
	#[schema(value_type = Option<Object>)]
	chat_template_kwargs: Option<Json>,
	/// Not supported.
	#[schema(value_type = Option<Vec<Object>>)]
	mcp_servers: Option<Json>,
}

/// Whether the model calls a tool.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Choice {
	/// `auto`, `any`, `none` or `tool`.
	#[serde(rename = "type")]
	kind: String,
	/// The tool.
	name: Option<String>,
	/// Whether only the first call is passed on.
	disable_parallel_tool_use: Option<bool>,
}

/// What the answer must be like.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct OutputConfig {
	/// A JSON schema: `{"type": "json_schema", "schema": {…}}`.
	#[schema(value_type = Option<Object>)]
	format: Option<Json>,
}

impl MessagesRequest {
	/// Reads a request for a message.
	pub(super) async fn prepare(
		mut self,
		service: &Service,
		options: &Options,
		mut notes: Notes,
	) -> Result<Prepared, ApiError> {
		if self
			.mcp_servers
			.as_ref()
			.is_some_and(|servers| servers.as_list().is_none_or(|list| !list.is_empty()))
		{
			return Err(ApiError::unsupported(
				"mcp_servers",
				"`mcp_servers` is not supported: offer their tools in `tools`",
			));
		}
		let model = service.catalog.resolve(&self.model).await?;
		let system = self.system.take();
		let messages = std::mem::replace(&mut self.messages, Json::Null);
		let tools = self
			.tools
			.take()
			.filter(|tools| tools.as_list().is_none_or(|list| !list.is_empty()));
		let tools = tools.map(|tools| message::tools(tools, &mut notes)).transpose()?;
		let has_tools = tools.is_some();
		let format = self
			.output_config
			.take()
			.and_then(|config| config.format)
			.or(self.output_format.take());
		let (input, chat) = conversation(vec![
			("messages", Some(message::messages(system, messages, &mut notes)?)),
			("tools", tools),
			("tool_choice", self.choice()?.filter(|_| has_tools)),
			("response_format", format.map(response_format).transpose()?),
			("chat_template_kwargs", self.chat_template_kwargs.take()),
		])?;
		let single = self
			.tool_choice
			.as_ref()
			.and_then(|choice| choice.disable_parallel_tool_use)
			.unwrap_or(false);
		let thinks = self.thinks(&mut notes)?;
		// Clients that did not ask for it take the first block for the text.
		let usual = if thinks { Reasoning::Separate } else { Reasoning::Raw };
		let reasoning = options.reasoning.unwrap_or(usual);
		let reading = Reading::of(&chat, &model, !single, reasoning);
		Ok(Prepared {
			model,
			input,
			sampling: self.sampling(),
			reading,
			notes,
		})
	}

	/// Returns whether the client wants reasoning in blocks of its own.
	fn thinks(&self, notes: &mut Notes) -> Result<bool, ApiError> {
		let Some(thinking) = &self.thinking else {
			return Ok(false);
		};
		for (key, _) in thinking
			.as_map()
			.unwrap_or_default()
			.iter()
			.filter(|(key, _)| key != "type")
		{
			notes.ignore(format!("thinking.{key}"));
		}
		match thinking.get("type").and_then(Json::as_text) {
			Some("enabled" | "adaptive") => Ok(true),
			Some("disabled") => Ok(false),
			_ => Err(ApiError::invalid(
				"thinking.type",
				"`thinking.type` must be `enabled`, `adaptive` or `disabled`",
			)),
		}
	}

	fn sampling(self) -> Sampling {
		Sampling {
			max_tokens: self.max_tokens.map(|tokens| (tokens, "max_tokens")),
			default_tokens: None,
			temperature: self.temperature,
			top_p: self.top_p,
			top_k: self.top_k,
			min_p: self.min_p,
			seed: false,
			stop: self.stop_sequences.unwrap_or_default(),
			stop_name: "stop_sequences",
		}
	}

	/// Returns the choice of tools in OpenAI's form.
	fn choice(&self) -> Result<Option<Json>, ApiError> {
		let Some(choice) = &self.tool_choice else {
			return Ok(None);
		};
		Ok(Some(match (choice.kind.as_str(), &choice.name) {
			("auto", _) => text("auto"),
			("any", _) => text("required"),
			("none", _) => text("none"),
			("tool", Some(name)) => Json::Map(vec![
				("type".into(), text("function")),
				("function".into(), Json::Map(vec![("name".into(), text(name))])),
			]),
			("tool", None) => return Err(ApiError::invalid("tool_choice.name", "`tool_choice.name` is missing")),
			_ => {
				return Err(ApiError::invalid(
					"tool_choice.type",
					"`tool_choice.type` must be `auto`, `any`, `none` or `tool`",
				))
			}
		}))
	}
}

/// Returns a format of the answer in OpenAI's form.
fn response_format(format: Json) -> Result<Json, ApiError> {
	let is_schema = format.get("type").and_then(Json::as_text) == Some("json_schema");
	match format.get("schema") {
		Some(schema) if is_schema => Ok(Json::Map(vec![
			("type".into(), text("json_schema")),
			(
				"json_schema".into(),
				Json::Map(vec![("name".into(), text("output")), ("schema".into(), schema.clone())]),
			),
		])),
		_ => Err(ApiError::invalid(
			"output_config.format",
			"`output_config.format` must be {\"type\": \"json_schema\", \"schema\": …}",
		)),
	}
}
