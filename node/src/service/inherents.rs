//! The inherents of a block: slot and timestamp, and what its author sees finalized.

use super::FullClient;
use assay_primitives::finality;
use assay_runtime::{opaque::Block, BlockNumber, Hash};
use sp_blockchain::HeaderBackend;
use sp_consensus_babe::{
	inherents::{BabeCreateInherentDataProviders, InherentDataProvider as SlotProvider},
	SlotDuration,
};
use sp_inherents::{CreateInherentDataProviders, Error, InherentData, InherentDataProvider, InherentIdentifier};
use sp_timestamp::InherentDataProvider as TimestampProvider;
use std::sync::Arc;

/// Returns slot and timestamp, from the system's clock: what a block that is imported is compared with.
pub(super) fn of_the_clock(slot_duration: SlotDuration) -> BabeCreateInherentDataProviders<Block> {
	Arc::new(move |_, ()| async move { Ok(read_clock(slot_duration)) })
}

/// Returns what the author of a block puts into it: also the last block that it sees finalized.
pub(super) fn of_an_author(
	client: Arc<FullClient>,
	slot_duration: SlotDuration,
) -> impl CreateInherentDataProviders<Block, (), InherentDataProviders = (SlotProvider, TimestampProvider, FinalizedProvider)>
{
	move |parent: Hash, ()| {
		// Finality may have moved on to a sibling of the parent: a block that sees itself finalized is invalid.
		let parent_number = client.number(parent).ok().flatten();
		let seen = parent_number.map(|parent| client.info().finalized_number.min(parent));
		async move {
			let (slot, timestamp) = read_clock(slot_duration);
			Ok((slot, timestamp, FinalizedProvider(seen)))
		}
	}
}

fn read_clock(slot_duration: SlotDuration) -> (SlotProvider, TimestampProvider) {
	let timestamp = TimestampProvider::from_system_time();
	let slot = SlotProvider::from_timestamp_and_slot_duration(*timestamp, slot_duration);
	(slot, timestamp)
}

/// The number of the last finalized block; none, and no inherent, if it is unknown.
pub(super) struct FinalizedProvider(Option<BlockNumber>);

#[async_trait::async_trait]
impl InherentDataProvider for FinalizedProvider {
	async fn provide_inherent_data(&self, data: &mut InherentData) -> Result<(), Error> {
		match self.0 {
			Some(finalized) => data.put_data(finality::INHERENT_IDENTIFIER, &finalized),
			None => Ok(()),
		}
	}

	async fn try_handle_error(&self, _: &InherentIdentifier, _: &[u8]) -> Option<Result<(), Error>> {
		// The runtime reports none: it cannot know what others see finalized.
		None
	}
}
