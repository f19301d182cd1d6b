//! `assay_engineStatus`: the health of this node's engine.

use crate::inference::{Backend, EngineStatus};
use jsonrpsee::{proc_macros::rpc, types::ErrorObjectOwned, Extensions};
use sc_rpc::DenyUnsafe;
use std::sync::Arc;

/// What strangers read instead of an error, which may name files.
const WITHHELD: &str = "shown only where unsafe methods are allowed";

/// What a node alone knows of its engine.
#[rpc(server)]
pub trait EngineApi {
	/// Returns the engine's state, the models it serves and what it has done. Its last error, and why it does not serve a model
	/// directory, are shown only to those who may call unsafe methods.
	#[method(name = "assay_engineStatus", with_extensions)]
	fn engine_status(&self) -> Result<EngineStatus, ErrorObjectOwned>;
}

/// The server of [`EngineApi`].
pub struct EngineRpc(Arc<Backend>);

impl EngineRpc {
	/// Serves the status of `backend`.
	pub fn new(backend: Arc<Backend>) -> Self {
		Self(backend)
	}
}

impl EngineApiServer for EngineRpc {
	fn engine_status(&self, caller: &Extensions) -> Result<EngineStatus, ErrorObjectOwned> {
		Ok(shown_to(caller, self.0.status()))
	}
}

fn shown_to(caller: &Extensions, mut status: EngineStatus) -> EngineStatus {
	// The server says of every call whether it may be unsafe.
	if !matches!(caller.get::<DenyUnsafe>(), Some(DenyUnsafe::No)) {
		status.last_error = status.last_error.map(|_| WITHHELD.to_owned());
		for refused in &mut status.refused {
			WITHHELD.clone_into(&mut refused.reason);
		}
	}
	status
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::inference::{EngineState, RefusedDirectory};
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
			"state": "absent", "models": [], "refused": [], "sandbox": null, "queue": 0, "done": 0, "abstained": 0, "restarts": 0, "lastError": null,
		});
		assert_eq!(answer["result"], status);
	}

	#[test]
	fn strangers_read_that_there_was_an_error_but_no_path() {
		let status = EngineStatus {
			last_error: Some("/home/someone/assay-engine: no such file".into()),
			..busy()
		};
		let shown = |caller: Option<DenyUnsafe>| {
			let mut extensions = Extensions::new();
			if let Some(caller) = caller {
				extensions.insert(caller);
			}
			serde_json::to_value(shown_to(&extensions, status.clone())).unwrap()
		};
		assert_eq!(shown(Some(DenyUnsafe::No)), serde_json::to_value(&status).unwrap());
		for caller in [Some(DenyUnsafe::Yes), None] {
			let shown = shown(caller);
			assert_eq!(shown["lastError"], WITHHELD);
			assert!(!shown.to_string().contains('/'), "{shown}");
		}
	}

	fn busy() -> EngineStatus {
		EngineStatus {
			state: EngineState::Ready,
			models: vec![ServedModel {
				id: ModelId([7; 32]),
				name: "demo".into(),
				parameters: 3,
				load_ms: 4,
			}],
			refused: vec![RefusedDirectory {
				directory: "broken".into(),
				reason: "/models/broken/config.json: no such file".into(),
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
		}
	}

	#[test]
	fn the_status_of_a_busy_engine_reads_like_its_description() {
		let json = serde_json::json!({
			"state": "ready",
			"models": [{ "id": format!("0x{}", "07".repeat(32)), "name": "demo", "parameters": 3, "loadMs": 4 }],
			"refused": [{ "directory": "broken", "reason": "/models/broken/config.json: no such file" }],
			"sandbox": { "landlock": "partial", "seccomp": "enforced", "noNewPrivs": true },
			"queue": 1, "done": 2, "abstained": 0, "restarts": 5, "lastError": "exited with code 3",
		});
		assert_eq!(serde_json::to_value(busy()).unwrap(), json);
	}
}
