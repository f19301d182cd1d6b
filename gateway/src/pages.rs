//! Endpoints that answer no prompts: models, receipts, health, metrics, and what describes the server.

use crate::{
	answer, anthropic, catalog,
	error::ApiError,
	network::{Model, ReceiptStatus},
	openai, responses,
	service::Service,
};
use assay_primitives::JobId;
use axum::{
	extract::{Path, State},
	http::{
		header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE},
		StatusCode,
	},
	response::{Html, IntoResponse, Response},
	Json,
};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use utoipa::{OpenApi, ToSchema};

/// Text format of metrics.
const METRICS_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The description needs nothing from anywhere.
const API_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// The description of this server.
#[derive(OpenApi)]
#[openapi(
	info(
		title = "Assay gateway",
		description = "Answers that carry receipts, for clients of OpenAI and Anthropic."
	),
	paths(
		openai::chat,
		openai::completion,
		responses::create,
		anthropic::messages,
		anthropic::count_tokens,
		models,
		model,
		receipt,
		health,
		metrics,
		openapi,
	),
	components(schemas(
		openai::ChatChunk,
		openai::StreamOptions,
		responses::TextOptions,
		anthropic::Choice,
		anthropic::OutputConfig,
		answer::Assay,
		ModelList,
	))
)]
struct Description;

/// All models, in OpenAI's form and in Anthropic's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
	object: &'static str,
	data: Vec<ModelObject>,
	has_more: bool,
	first_id: Option<String>,
	last_id: Option<String>,
}

/// A model, in OpenAI's form and in Anthropic's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelObject {
	/// What a request calls it: its name, or its id if others have the same name.
	id: String,
	object: &'static str,
	#[serde(rename = "type")]
	kind: &'static str,
	display_name: String,
	/// When it was first listed, in seconds since 1970; it is missing if that is not known.
	#[serde(skip_serializing_if = "Option::is_none")]
	created: Option<u64>,
	/// The same as a date; that of 1970 if it is not known, as in Anthropic's protocol.
	created_at: String,
	owned_by: &'static str,
	/// Most tokens, prompt and answer together.
	max_model_len: u32,
	assay: ModelFacts,
}

/// What the chain says of a model.
#[derive(Debug, Serialize, ToSchema)]
struct ModelFacts {
	/// The hash of its weights, tokenizer, template and arithmetic.
	id: String,
	/// Providers that its jobs are drawn from.
	providers: u32,
	/// Whether it takes jobs.
	takes_jobs: bool,
	/// Base units for a prompt's token.
	price_in: Option<String>,
	/// Base units for a generated token.
	price_out: Option<String>,
}

fn object(models: &[Arc<Model>], model: &Model) -> ModelObject {
	let price =
		|price: fn(&crate::network::Prices) -> u128| model.prices.as_ref().map(|prices| price(prices).to_string());
	ModelObject {
		id: catalog::name_in(models, model),
		object: "model",
		kind: "model",
		display_name: model.name.clone(),
		created: model.created,
		created_at: date(model.created.unwrap_or_default()),
		owned_by: "assay",
		max_model_len: model.context_length,
		assay: ModelFacts {
			id: model.id.to_string(),
			providers: model.providers,
			takes_jobs: model.prices.is_some(),
			price_in: price(|prices| prices.price_in),
			price_out: price(|prices| prices.price_out),
		},
	}
}

/// Returns a time as RFC 3339.
fn date(seconds: u64) -> String {
	let time = i64::try_from(seconds)
		.ok()
		.and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
	let text = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
	text.unwrap_or_else(|| "1970-01-01T00:00:00Z".into())
}

/// Lists all models.
#[utoipa::path(get, path = "/v1/models", responses((status = 200, body = ModelList)))]
pub(crate) async fn models(State(service): State<Arc<Service>>) -> Result<Json<ModelList>, ApiError> {
	let models = service.catalog.all().await?;
	let data: Vec<_> = models.iter().map(|model| object(&models, model)).collect();
	Ok(Json(ModelList {
		object: "list",
		has_more: false,
		first_id: data.first().map(|model| model.id.clone()),
		last_id: data.last().map(|model| model.id.clone()),
		data,
	}))
}

/// Returns a model by its id, its name, or `name@0x…`.
#[utoipa::path(
	get,
	path = "/v1/models/{id}",
	params(("id" = String, Path, description = "A model's id, its name, or `name@0x…`")),
	responses((status = 200, body = ModelObject), (status = 404, description = "No model is called so"))
)]
pub(crate) async fn model(
	State(service): State<Arc<Service>>,
	Path(id): Path<String>,
) -> Result<Json<ModelObject>, ApiError> {
	let model = service.catalog.resolve(&id).await?;
	let models = service.catalog.all().await?;
	Ok(Json(object(&models, &model)))
}

/// Returns the receipt of a job as a file that `assay verify` checks.
#[utoipa::path(
	get,
	path = "/v1/receipts/{job}",
	params(("job" = String, Path, description = "The job, as `assay.job` of an answer names it")),
	responses(
		(status = 200, description = "The receipt"),
		(status = 404, description = "There is no such job, or no verdict yet"),
	)
)]
pub(crate) async fn receipt(
	State(service): State<Arc<Service>>,
	Path(job): Path<String>,
) -> Result<Json<Value>, ApiError> {
	let job: JobId = job
		.parse()
		.map_err(|e| ApiError::invalid("job", format!("`{job}` names no job: {e}")))?;
	match service.network.receipt(job).await? {
		ReceiptStatus::Receipt(receipt) => Ok(Json(receipt)),
		ReceiptStatus::NotYet => Err(ApiError {
			retry_after: Some(6),
			..ApiError::new(
				StatusCode::NOT_FOUND,
				"receipt_pending",
				"the job has no verdict yet, so there is no receipt; ask again in a few seconds",
			)
		}),
		ReceiptStatus::Unknown => Err(ApiError::new(
			StatusCode::NOT_FOUND,
			"receipt_not_found",
			"the chain has no such job; receipts are kept for a week, and for longer where they were saved",
		)),
	}
}

/// Whether the server can answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthReport {
	/// `ok`.
	status: &'static str,
	/// Number of the best block.
	best_block: u64,
	/// Number of the finalized block.
	finalized_block: u64,
	/// Genesis hash of the chain.
	genesis: String,
	/// Jobs that wait for their verdict.
	jobs: usize,
}

/// Returns whether the server can answer: its node is there. It needs no token, and tells nothing of the account.
#[utoipa::path(
	get,
	path = "/health",
	responses((status = 200, body = HealthReport), (status = 503, description = "The node is away"))
)]
pub(crate) async fn health(State(service): State<Arc<Service>>) -> Result<Json<HealthReport>, ApiError> {
	let health = service.health().await?;
	Ok(Json(HealthReport {
		status: "ok",
		best_block: health.best,
		finalized_block: health.finalized,
		genesis: health.genesis,
		jobs: service.jobs.running(),
	}))
}

/// Returns metrics for Prometheus. Those of the chain keep their last values while the node is away.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "Metrics as text")))]
pub(crate) async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, ApiError> {
	if let Ok(health) = service.health().await {
		service.metrics.chain(&health);
	}
	let text = service.metrics.text();
	let text = text.map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", e.to_string()))?;
	Ok(([(CONTENT_TYPE, METRICS_FORMAT)], text).into_response())
}

/// Returns this description.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "This description")))]
pub(crate) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
	Json(Description::openapi())
}

/// Where the description says that there is no page.
const NO_PAGE: &str = "<!-- no page -->";
/// What it says.
const NO_PAGE_TEXT: &str =
	"<p>There is no page here yet: <code>make build</code> builds it where npm's registry can be \
	reached, and <code>assay serve --page DIRECTORY</code> serves it. Then start this server again.</p>";

/// Returns the description of the server for people.
pub(crate) async fn api() -> Response {
	description(include_str!("api.html").into())
}

/// Returns the same with what to do to get the page.
pub(crate) async fn no_page() -> Response {
	description(include_str!("api.html").replace(NO_PAGE, NO_PAGE_TEXT))
}

fn description(html: String) -> Response {
	([(CONTENT_SECURITY_POLICY, API_POLICY)], Html(html)).into_response()
}

/// Returns the error of a path that is not here.
pub(crate) async fn not_found(uri: axum::http::Uri) -> ApiError {
	let path: String = uri.path().chars().take(100).collect();
	let hint = match uri.path() {
		path if path.starts_with("/v1/responses/") => {
			"; responses are not stored, so send the whole conversation in `input`, or repeat a request with its `Idempotency-Key`"
		}
		path if !path.starts_with("/v1") || path.starts_with("/v1/v1/") => {
			"; base URLs end in `/v1` for OpenAI's clients, and without it for Anthropic's"
		}
		_ => "; `GET /openapi.json` lists what is here",
	};
	ApiError::new(
		StatusCode::NOT_FOUND,
		"unknown_path",
		format!("there is nothing at `{path}`{hint}"),
	)
}

/// Returns the error of a method that a path does not know.
pub(crate) async fn wrong_method() -> ApiError {
	ApiError::new(
		StatusCode::METHOD_NOT_ALLOWED,
		"wrong_method",
		"this path has another method; `GET /openapi.json` lists them",
	)
}
