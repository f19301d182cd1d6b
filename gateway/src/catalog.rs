//! The catalog, kept for a few seconds, and names of models as clients write them.

use crate::{
	error::ApiError,
	network::{Model, Network},
};
use assay_primitives::ModelId;
use axum::http::StatusCode;
use std::{
	future::Future,
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long the list is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(5);
/// Fewest hex digits that can stand for an id, after `0x`.
const MIN_PREFIX_DIGITS: usize = 8;

/// A list of models that readers share.
pub(crate) type Models = Arc<Vec<Arc<Model>>>;

/// The models of a network.
pub(crate) struct Catalog {
	network: Arc<dyn Network>,
	kept: Kept<Models>,
}

/// Something that is read again when it is too old.
pub(crate) struct Kept<T> {
	max_age: Duration,
	/// What was read, and when.
	value: Mutex<Option<(Instant, T)>>,
}

impl<T: Clone> Kept<T> {
	pub(crate) fn new(max_age: Duration) -> Self {
		Self {
			max_age,
			value: Mutex::new(None),
		}
	}

	/// Returns what was read lately. Requests that come together read it once.
	pub(crate) async fn get<E>(&self, read: impl Future<Output = Result<T, E>>) -> Result<T, E> {
		let mut kept = self.value.lock().await;
		if let Some((_, value)) = kept.as_ref().filter(|(at, _)| at.elapsed() < self.max_age) {
			return Ok(value.clone());
		}
		let value = read.await?;
		*kept = Some((Instant::now(), value.clone()));
		Ok(value)
	}
}

impl Catalog {
	pub(crate) fn new(network: Arc<dyn Network>) -> Self {
		Self {
			network,
			kept: Kept::new(MAX_AGE),
		}
	}

	/// Returns all models.
	pub(crate) async fn all(&self) -> Result<Models, ApiError> {
		let read = async {
			let models = self.network.models().await?;
			Ok(Arc::new(models.into_iter().map(Arc::new).collect::<Vec<_>>()))
		};
		self.kept.get(read).await
	}

	/// Returns the model that a client means: by its id, the beginning of its id, its name, or both as `name@0x…`. A name
	/// that several models have is refused, because nobody owns a name.
	pub(crate) async fn resolve(&self, named: &str) -> Result<Arc<Model>, ApiError> {
		let models = self.all().await?;
		let (name, id) = match named.rsplit_once('@') {
			Some((name, id)) if id.starts_with("0x") => (Some(name), Some(id)),
			_ if named.starts_with("0x") => (None, Some(named)),
			_ => (Some(named), None),
		};
		let fits = |model: &&Arc<Model>| {
			name.is_none_or(|name| model.name == name) && id.is_none_or(|id| is_prefix(id, &model.id))
		};
		let found: Vec<_> = models.iter().filter(fits).collect();
		match found.as_slice() {
			[model] => Ok(Arc::clone(model)),
			[] => Err(ApiError::new(
				StatusCode::NOT_FOUND,
				"model_not_found",
				format!("no model is called `{}`; `GET /v1/models` lists them", short(named)),
			)
			.param("model")),
			several => {
				let ids: Vec<_> = several.iter().take(8).map(|model| model.id.to_string()).collect();
				Err(ApiError::new(
					StatusCode::BAD_REQUEST,
					"model_ambiguous",
					format!(
						"{} models are called `{}`; name one by its id: {}",
						several.len(),
						short(named),
						ids.join(", ")
					),
				)
				.param("model"))
			}
		}
	}
}

/// Returns whether a text is an id, or enough of its beginning.
fn is_prefix(text: &str, id: &ModelId) -> bool {
	let digits = text.len().saturating_sub(2);
	digits >= MIN_PREFIX_DIGITS && id.to_string().starts_with(&text.to_ascii_lowercase())
}

/// Returns the beginning of a name, for a message.
fn short(named: &str) -> String {
	named.chars().take(100).collect()
}

/// Returns the beginning of a model's id, for people.
pub(crate) fn fingerprint(id: &ModelId) -> String {
	let text = id.to_string();
	text.get(..18).unwrap_or(&text).into()
}

/// Returns the name by which a client finds a model again: its own, or with its id if others have the same.
pub(crate) fn name_in(models: &[Arc<Model>], model: &Model) -> String {
	let namesakes = models.iter().filter(|other| other.name == model.name).count();
	let plain = !model.name.is_empty() && !model.name.starts_with("0x") && !model.name.contains("@0x");
	if namesakes == 1 && plain {
		model.name.clone()
	} else {
		model.id.to_string()
	}
}
