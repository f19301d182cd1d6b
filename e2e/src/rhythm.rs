//! Whether a node makes a block in every slot, whatever else happens to it.

use crate::Chain;
use anyhow::{ensure, Result};
use std::time::Instant;

/// Seconds between slots.
const SLOT: u64 = 3;

/// A stretch of time during which no slot may be missed, on a chain with one author.
pub struct Rhythm {
	chain: Chain,
	begun: Instant,
	from: u64,
}

impl Rhythm {
	/// From the best block on.
	pub async fn begin(chain: &Chain) -> Result<Self> {
		// Block 0 has no slot, and the first block is made when the node happens to start.
		let from = crate::eventually("a first block", 30, || async {
			Ok(Some(chain.height().await?).filter(|height| *height > 0))
		})
		.await?;
		Ok(Self {
			chain: chain.clone(),
			begun: Instant::now(),
			from,
		})
	}

	/// Up to now: as many blocks as there were slots, and no slot between two blocks without one. Returns how many blocks.
	pub async fn end(self) -> Result<u64> {
		let elapsed = self.begun.elapsed().as_secs();
		let to = self.chain.height().await?;
		let made = to.saturating_sub(self.from);
		ensure!(
			made + 1 >= elapsed / SLOT,
			"{made} blocks in {elapsed} s: blocks {} to {to}",
			self.from
		);
		let mut before = self.chain.slot(self.from).await?;
		for number in self.from + 1..=to {
			let slot = self.chain.slot(number).await?;
			ensure!(
				slot == before + 1,
				"block {number} is of slot {slot}, the one before of {before}"
			);
			before = slot;
		}
		Ok(made)
	}
}
