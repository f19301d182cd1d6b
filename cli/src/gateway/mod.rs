//! The chain behind the HTTP gateway of `assay serve`: one connection, one account, and a journal of what it paid.

mod events;
mod folders;
mod hub;
mod journal;
mod network;
mod payments;
mod refusal;
#[cfg(test)]
mod tests;

pub(crate) use folders::Folders;
pub(crate) use network::ChainNetwork;

use crate::{chain::Chain, error::CliError, keys::Signer, stream::Sources};
use hub::Hub;
use journal::Journal;
use payments::Payments;
use std::{path::Path, sync::Arc};

/// Opens the journal, and begins to follow the chain and what the journal holds.
pub(crate) async fn start(
	url: String,
	chain: Chain,
	signer: Signer,
	data: &Path,
	sources: Option<Sources>,
	page_node: Option<String>,
	folders: Folders,
) -> Result<ChainNetwork, CliError> {
	let (journal, records) = Journal::open(data)?;
	let journal = Arc::new(journal);
	let hub = Arc::new(Hub::start(url, chain).await?);
	let payments = Payments::start(hub.clone(), journal.clone(), records, signer)?;
	Ok(ChainNetwork {
		hub,
		journal,
		payments,
		sources,
		folders: Arc::new(folders),
		times: Default::default(),
		page_node,
	})
}
