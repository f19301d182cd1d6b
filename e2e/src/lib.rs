//! A small harness for stories told with real programs: it starts nodes on loopback, asks them through subxt, and stops
//! whatever it started when it goes out of scope.

mod chain;
mod model;
mod node;
mod rhythm;

pub use chain::{Chain, Job, Receipt, Seat};
pub use model::random_model;
pub use node::{free_port, program, Network, Node, NodeOptions};
pub use rhythm::Rhythm;

/// Waits until `probe` gives something, looking every 300 ms; fails with `what` after `seconds`.
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
			let seen = last.err().map(|e| format!(" (last error: {e:#})")).unwrap_or_default();
			anyhow::bail!("not within {seconds} s: {what}{seen}");
		}
		tokio::time::sleep(std::time::Duration::from_millis(300)).await;
	}
}
