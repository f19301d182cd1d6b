//! Checks that a node makes a block in every slot, whatever else happens to it.

use crate::Chain;
use anyhow::{ensure, Result};
use std::time::Instant;

/// Seconds between slots.
const SLOT_SECONDS: u64 = 3;

/// A period during which no slot may be missed, on a chain with one author.
pub struct SlotMonitor {
	chain: Chain,
	started: Instant,
	from: u64,
}

impl SlotMonitor {
	/// Starts at the best block.
	pub async fn start(chain: &Chain) -> Result<Self> {
		// Block 0 has no slot, and the first block is made when the node happens to start.
		let from = crate::eventually("a first block", 30, || async {
			Ok(Some(chain.height().await?).filter(|height| *height > 0))
		})
		.await?;
		Ok(Self {
			chain: chain.clone(),
			started: Instant::now(),
			from,
		})
	}

	/// Checks that there were as many blocks as slots. Returns the number of blocks.
	pub async fn finish(self) -> Result<u64> {
		let from = self.from;
		let (made, missed) = self.count().await?;
		ensure!(
			missed == 0,
			"{missed} slots were missed in the {made} blocks after {from}"
		);
		Ok(made)
	}

	/// Returns how many blocks there were, and how many slots without one.
	pub async fn count(self) -> Result<(u64, u64)> {
		let elapsed = self.started.elapsed().as_secs();
		let to = self.chain.height().await?;
		let made = to.saturating_sub(self.from);
		let slots = self
			.chain
			.slot(to)
			.await?
			.saturating_sub(self.chain.slot(self.from).await?);
		let between = slots.saturating_sub(made);
		// Those after the last block are not in any header. The first block is of a slot that had begun.
		let after = (elapsed / SLOT_SECONDS).saturating_sub(slots + 1);
		Ok((made, between + after))
	}
}
