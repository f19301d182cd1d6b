//! A harness for end-to-end tests with the real programs: it starts nodes on loopback, calls them through subxt, and stops
//! whatever it started when it goes out of scope.

mod chain;
mod engine;
mod model;
mod node;
mod slot_monitor;
mod spec;

pub use chain::{request, Chain, Job, Jury, Provider, Receipt};
pub use engine::{node_socket, ServeArgs};
pub use model::random_model;
pub use node::{program, Node, NodeOptions, TestNetwork};
pub use slot_monitor::SlotMonitor;
pub use spec::ChainSpec;

use std::io::Write;

/// Prints a figure that was measured, also if the test passes.
pub fn report(figure: &str) {
	// Unlike the macros, this is not captured.
	let _ = writeln!(std::io::stderr(), "{figure}");
}

/// Waits until `probe` returns a value, trying every 300 ms; fails with `what` after `seconds`.
pub async fn eventually<T, F>(what: &str, seconds: u64, mut probe: impl FnMut() -> F) -> anyhow::Result<T>
where
	F: std::future::Future<Output = anyhow::Result<Option<T>>>,
{
	let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(seconds);
	loop {
		let last = probe().await;
		if let Ok(Some(value)) = last {
			return Ok(value);
		}
		if tokio::time::Instant::now() > deadline {
			let error = last.err().map(|e| format!(" (last error: {e:#})")).unwrap_or_default();
			anyhow::bail!("not within {seconds} s: {what}{error}");
		}
		tokio::time::sleep(std::time::Duration::from_millis(300)).await;
	}
}
