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

	/// Checks that there were as many blocks as slots and that no slot was skipped. Returns the number of blocks.
	pub async fn finish(self) -> Result<u64> {
		let elapsed = self.started.elapsed().as_secs();
		let to = self.chain.height().await?;
		let made = to.saturating_sub(self.from);
		ensure!(
			made + 1 >= elapsed / SLOT_SECONDS,
			"{made} blocks in {elapsed} s: blocks {} to {to}",
			self.from
		);
		let mut before = self.chain.slot(self.from).await?;
		for number in self.from + 1..=to {
			let slot = self.chain.slot(number).await?;
			ensure!(
				slot == before + 1,
				"block {number} is of slot {slot}, the previous one of {before}"
			);
			before = slot;
		}
		Ok(made)
	}
}
