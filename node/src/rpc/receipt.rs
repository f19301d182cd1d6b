//! `assay_receiptProof`: a job's receipt as a file that is verified with no node at all.
//!
//! Everything in it is of one finalized block: the newest of which this node has a justification. The handovers lead there
//! from block 0, or from a later block that the caller trusts.

use super::{
	accumulator::AccumulatorDeps,
	error::Error,
	params::{self, Param},
};
use crate::service::{FullBackend, FullClient};
use assay_primitives::{api::AssayApi, JobId};
use assay_receipt::{trimmed_justification, Finality, Handover, Leaf, ReadAt, ReceiptFile, FORMAT, MAX_HANDOVERS};
use assay_runtime::{opaque::Block, Header};
use codec::{DecodeAll, Encode};
use jsonrpsee::proc_macros::rpc;
use sc_client_api::ProofProvider;
use sc_consensus_grandpa::{warp_proof, GrandpaJustification, SharedAuthoritySet};
use sc_network_sync::strategy::warp::{EncodedProof, WarpSyncProvider};
use serde_json::Value;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::H256;
use sp_runtime::traits::{Block as BlockT, Header as _, NumberFor};
use std::sync::Arc;

/// Most bytes of justified headers in one file: those of a year at 16 validators that change once a day.
const MAX_EVIDENCE_BYTES: usize = 1024 * 1024;

/// GRANDPA's authorities, and the blocks in which they changed.
pub type Authorities = SharedAuthoritySet<<Block as BlockT>::Hash, NumberFor<Block>>;

/// Receipts that need no node.
#[rpc(server)]
pub trait ReceiptApi {
	/// Returns a job's receipt file with the evidence that its block is final, from block 0 on or from the finalized block
	/// with the hash `since`.
	#[method(name = "assay_receiptProof", blocking)]
	fn receipt_proof(&self, job: Option<Param>, since: Option<Param>) -> Result<Value, Error>;
}

/// What the method needs.
#[derive(Clone)]
pub struct ReceiptDeps {
	/// The chain.
	pub client: Arc<FullClient>,
	/// Its database.
	pub backend: Arc<FullBackend>,
	/// GRANDPA's authorities.
	pub authorities: Authorities,
	/// Where proofs of the accumulator come from.
	pub accumulator: AccumulatorDeps<<FullBackend as sc_client_api::Backend<Block>>::OffchainStorage>,
}

/// A justified header.
type Fragment = (Header, GrandpaJustification<Block>);

/// The server of [`ReceiptApi`].
pub struct ReceiptRpc(pub ReceiptDeps);

impl ReceiptRpc {
	/// Returns the justified headers after a block: those in which the validators changed, then the newest one; and the id
	/// of the first one's set.
	fn justified(&self, since: H256) -> Result<(u64, Vec<Fragment>), Error> {
		let deps = &self.0;
		let number = deps.client.number(since).ok().flatten();
		let number = number.ok_or(Error::UnknownAnchor(since))?;
		let changes = deps.authorities.authority_set_changes();
		let first = changes
			.iter_from(number)
			.and_then(|mut changes| changes.next().map(|(set, _)| *set));
		let provider = warp_proof::NetworkProvider::<Block, _>::new(
			deps.backend.clone(),
			deps.authorities.clone(),
			Vec::default(),
		);
		let EncodedProof(proof) = provider.generate(since).map_err(|_| Error::UnknownAnchor(since))?;
		let (fragments, is_complete) = <(Vec<Fragment>, bool)>::decode_all(&mut &proof[..])
			.map_err(|error| Error::unreadable("the warp proof", error))?;
		if !is_complete || fragments.len() > MAX_HANDOVERS || proof.len() > MAX_EVIDENCE_BYTES {
			return Err(Error::TooManyHandovers);
		}
		Ok((first.unwrap_or_else(|| deps.authorities.set_id()), fragments))
	}

	/// Returns the file of a job, whose evidence begins after a block.
	fn file(&self, job: JobId, since: H256) -> Result<ReceiptFile, Error> {
		let (first_set, mut fragments) = self.justified(since)?;
		let (header, justification) = fragments.pop().ok_or(Error::NoJustification)?;
		let handovers: Vec<_> = fragments
			.iter()
			.map(|(header, justification)| Handover {
				header: header.encode(),
				justification: trimmed_justification(&justification.encode()),
			})
			.collect();
		let mut file = self.read(job, &header)?;
		let keys = file.storage_keys();
		let proof = self
			.0
			.client
			.read_proof(header.hash(), &mut keys.iter().map(Vec::as_slice))
			.map_err(|error| Error::unreadable("the state's proof", error))?;
		file.finality = Some(Finality {
			header: header.encode(),
			justification: trimmed_justification(&justification.encode()),
			set_id: first_set.saturating_add(handovers.len() as u64),
			handovers,
			state: proof.into_nodes().into_iter().collect(),
		});
		Ok(file)
	}

	/// Reads a receipt and what its hashes name, as a block has them.
	fn read(&self, job: JobId, header: &Header) -> Result<ReceiptFile, Error> {
		let (block, number) = (header.hash(), *header.number());
		let client = &self.0.client;
		let api = client.runtime_api();
		let failed = |error| Error::unreadable("the runtime", error);
		let missing = Error::NoReceipt { job, block: number };
		let (Some(receipt), Some(view)) = (
			api.receipt(block, job).map_err(failed)?,
			api.job(block, job).map_err(failed)?,
		) else {
			return Err(missing);
		};
		let input = view
			.input
			.bounded()
			.ok_or_else(|| Error::unreadable("the prompt", "it is longer than a prompt may be"))?;
		let accumulator = match api.receipt_leaf(block, job).map_err(failed)? {
			Some(index) => {
				let accumulator = api.receipt_accumulator(block).map_err(failed)?;
				let proof = self.0.accumulator.prove(&accumulator, index).ok();
				Some(Leaf { index, proof })
			}
			None => None,
		};
		// The same receipt with accounts as they are written in files.
		let receipt = DecodeAll::decode_all(&mut &receipt.encode()[..])
			.map_err(|error| Error::unreadable("the receipt", error))?;
		Ok(ReceiptFile {
			format: FORMAT,
			genesis: client.info().genesis_hash.0,
			read_at: ReadAt {
				number,
				hash: block.0,
				finalized: true,
			},
			input,
			output: view.output,
			receipt,
			accumulator,
			stream: None,
			finality: None,
		})
	}
}

impl ReceiptApiServer for ReceiptRpc {
	fn receipt_proof(&self, job: Option<Param>, since: Option<Param>) -> Result<Value, Error> {
		let job = params::required("job", job)?;
		let since = params::optional("since", since)?.unwrap_or_else(|| self.0.client.info().genesis_hash);
		let file = self.file(job, since)?;
		serde_json::to_value(&file).map_err(|error| Error::unreadable("the file", error))
	}
}
