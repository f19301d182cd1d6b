//! `assay_engineStatus`: the health of this node's engine.

use crate::inference::{Backend, EngineStatus};
use jsonrpsee::{core::async_trait, proc_macros::rpc, types::ErrorObjectOwned};
use std::sync::Arc;

/// What a node alone knows of its engine.
#[rpc(server)]
pub trait EngineApi {
	/// Returns the engine's state, the models it serves and what it has done.
	#[method(name = "assay_engineStatus")]
	async fn engine_status(&self) -> Result<EngineStatus, ErrorObjectOwned>;
}

/// The server of [`EngineApi`].
pub struct EngineRpc(Arc<Backend>);

impl EngineRpc {
	/// Serves the status of `backend`.
	pub fn new(backend: Arc<Backend>) -> Self {
		Self(backend)
	}
}

#[async_trait]
impl EngineApiServer for EngineRpc {
	async fn engine_status(&self) -> Result<EngineStatus, ErrorObjectOwned> {
		Ok(self.0.status())
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::inference::EngineState;
	use assay_primitives::ModelId;
	use assay_protocol::{Protection, SandboxStatus, ServedModel};

	#[tokio::test]
	async fn a_node_without_an_engine_reports_it_absent() {
		let backend = Arc::new(crate::inference::tests::idle_backend());
		let module = EngineRpc::new(backend).into_rpc();
		let (answer, _) = module
			.raw_json_request(
				r#"{"jsonrpc":"2.0","id":1,"method":"assay_engineStatus","params":[]}"#,
				1,
			)
			.await
			.unwrap();
		let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
		let status = serde_json::json!({
			"state": "absent", "models": [], "sandbox": null, "queue": 0, "done": 0, "abstained": 0, "restarts": 0, "lastError": null,
		});
		assert_eq!(answer["result"], status);
	}

	#[test]
	fn the_status_of_a_busy_engine_reads_like_its_description() {
		let status = EngineStatus {
			state: EngineState::Ready,
			models: vec![ServedModel {
				id: ModelId([7; 32]),
				name: "demo".into(),
				parameters: 3,
				load_ms: 4,
			}],
			sandbox: Some(SandboxStatus {
				landlock: Protection::Partial,
				seccomp: Protection::Enforced,
				no_new_privs: true,
			}),
			queue: 1,
			done: 2,
			abstained: 0,
			restarts: 5,
			last_error: Some("exited with code 3".into()),
		};
		let json = serde_json::json!({
			"state": "ready",
			"models": [{ "id": format!("0x{}", "07".repeat(32)), "name": "demo", "parameters": 3, "loadMs": 4 }],
			"sandbox": { "landlock": "partial", "seccomp": "enforced", "noNewPrivs": true },
			"queue": 1, "done": 2, "abstained": 0, "restarts": 5, "lastError": "exited with code 3",
		});
		assert_eq!(serde_json::to_value(status).unwrap(), json);
	}
}
