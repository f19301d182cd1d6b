//! `assay_engineStatus`: how this node's engine is.

use crate::inference::{Backend, EngineState, EngineStatus};
use jsonrpsee::{core::async_trait, proc_macros::rpc, types::ErrorObjectOwned};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The engine's state by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
	/// Takes tasks.
	Ready,
	/// Loads and proves its models.
	Starting,
	/// It ended and will be started again.
	Restarting,
	/// Switched off, or its program is missing.
	Absent,
}

/// One model that the engine serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
	/// The model's id.
	pub id: assay_primitives::ModelId,
	/// What people call it.
	pub name: String,
	/// Parameter count.
	pub parameters: u64,
	/// Milliseconds it took to load and prove it.
	pub load_ms: u64,
}

/// What `assay_engineStatus` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
	/// How the engine is.
	pub state: StateName,
	/// What it serves.
	pub models: Vec<Model>,
	/// Tasks queued or being computed.
	pub queue: usize,
	/// Tasks answered since the node started.
	pub done: u64,
	/// Tasks given up since the node started.
	pub abstained: u64,
	/// Times the engine was started again.
	pub restarts: u64,
	/// Why it last ended or refused.
	pub last_error: Option<String>,
}

impl From<EngineStatus> for Status {
	fn from(status: EngineStatus) -> Self {
		let EngineStatus {
			state,
			models,
			queue,
			done,
			abstained,
			restarts,
			last_error,
		} = status;
		Self {
			state: match state {
				EngineState::Ready => StateName::Ready,
				EngineState::Starting => StateName::Starting,
				EngineState::Restarting => StateName::Restarting,
				EngineState::Absent => StateName::Absent,
			},
			models: models
				.into_iter()
				.map(|m| Model {
					id: m.id,
					name: m.name,
					parameters: m.parameters,
					load_ms: m.load_ms,
				})
				.collect(),
			queue,
			done,
			abstained,
			restarts,
			last_error,
		}
	}
}

/// What this node's engine says of itself.
#[rpc(server)]
pub trait EngineApi {
	/// How the engine is, what it serves and what it has done.
	#[method(name = "assay_engineStatus")]
	async fn engine_status(&self) -> Result<Status, ErrorObjectOwned>;
}

/// The method's home.
pub struct Engine(Arc<Backend>);

impl Engine {
	/// Over this node's backend.
	pub fn new(backend: Arc<Backend>) -> Self {
		Self(backend)
	}
}

#[async_trait]
impl EngineApiServer for Engine {
	async fn engine_status(&self) -> Result<Status, ErrorObjectOwned> {
		Ok(self.0.status().into())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[tokio::test]
	async fn a_node_without_an_engine_says_so() {
		let backend = Arc::new(crate::inference::tests::idle_backend());
		let module = Engine::new(backend).into_rpc();
		let (answer, _) = module
			.raw_json_request(
				r#"{"jsonrpc":"2.0","id":1,"method":"assay_engineStatus","params":[]}"#,
				1,
			)
			.await
			.unwrap();
		let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
		let status = serde_json::json!({
			"state": "absent", "models": [], "queue": 0, "done": 0, "abstained": 0, "restarts": 0, "lastError": null,
		});
		assert_eq!(answer["result"], status);
	}
}
