//! `assay_accumulatorProof`: the proof that a receipt is in the chain's accumulator, also when the receipt is pruned.
//!
//! The runtime writes the accumulator's inner nodes to the offchain database, each under its own hash, if this node
//! runs with `--enable-offchain-indexing true`. Proofs are put together here, outside the runtime: a runtime that is
//! called by `state_call` cannot read that database.

use super::{
	error::Error,
	params::{self, Param},
	LOG_TARGET,
};
use assay_primitives::{
	accumulator::{Accumulator, NoProof, Node, Proof},
	api::AssayApi,
	NodeHash,
};
use assay_runtime::{opaque::Block, AccountId, BlockNumber};
use codec::DecodeAll;
use jsonrpsee::proc_macros::rpc;
use serde::Serialize;
use sp_api::ProvideRuntimeApi;
use sp_blockchain::HeaderBackend;
use sp_core::offchain::{OffchainStorage, STORAGE_PREFIX};
use sp_runtime::traits::Block as BlockT;
use std::sync::Arc;

type Hash = <Block as BlockT>::Hash;

/// A proof, and the block in whose accumulator it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccumulatorProof {
	/// The block.
	pub block: Hash,
	/// The leaf's index.
	pub index: u64,
	/// The proof.
	pub proof: Proof,
}

/// Proofs of receipts that may be pruned.
#[rpc(server)]
pub trait AccumulatorApi {
	/// Returns the proof that leads from a leaf to the accumulator's root in a block; in the best one if none is named.
	#[method(name = "assay_accumulatorProof", blocking)]
	fn accumulator_proof(&self, index: Option<Param>, block: Option<Param>) -> Result<AccumulatorProof, Error>;
}

/// Where the accumulator's inner nodes are.
#[derive(Clone)]
pub struct AccumulatorDeps<S> {
	/// The offchain database, if there is one.
	pub nodes: Option<S>,
	/// Whether the runtime's offchain writes go there.
	pub indexing: bool,
}

impl<S: OffchainStorage> AccumulatorDeps<S> {
	fn node(&self, hash: &NodeHash) -> Option<Node> {
		let bytes = self.nodes.as_ref()?.get(STORAGE_PREFIX, &hash.key())?;
		Node::decode_all(&mut &bytes[..]).ok()
	}

	pub(super) fn prove(&self, accumulator: &Accumulator, index: u64) -> Result<Proof, Error> {
		accumulator
			.prove(index, |hash| self.node(hash))
			.map_err(|reason| match reason {
				NoProof::UnknownLeaf => Error::UnknownLeaf {
					index,
					leaves: accumulator.leaves,
				},
				NoProof::MissingNode(_) if !self.indexing => Error::NoIndexing,
				NoProof::MissingNode(hash) => Error::MissingNode(hash),
			})
	}
}

/// The server of [`AccumulatorApi`].
pub struct AccumulatorRpc<C, S> {
	client: Arc<C>,
	deps: AccumulatorDeps<S>,
}

impl<C, S> AccumulatorRpc<C, S> {
	/// Serves proofs for the accumulators of a client's chain.
	pub fn new(client: Arc<C>, deps: AccumulatorDeps<S>) -> Self {
		Self { client, deps }
	}
}

impl<C, S> AccumulatorApiServer for AccumulatorRpc<C, S>
where
	C: ProvideRuntimeApi<Block> + HeaderBackend<Block> + Send + Sync + 'static,
	C::Api: AssayApi<Block, AccountId, BlockNumber>,
	S: OffchainStorage + 'static,
{
	fn accumulator_proof(&self, index: Option<Param>, block: Option<Param>) -> Result<AccumulatorProof, Error> {
		let index = params::required("index", index)?;
		let block = params::optional("block", block)?.unwrap_or_else(|| self.client.info().best_hash);
		let api = self.client.runtime_api();
		let accumulator = api.receipt_accumulator(block).map_err(|error| {
			// The caller has named the block, so this is nothing for the operator.
			log::debug!(target: LOG_TARGET, "Reading the accumulator: {error}");
			Error::NoState(block)
		})?;
		let proof = self.deps.prove(&accumulator, index)?;
		Ok(AccumulatorProof { block, index, proof })
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::{accumulator::verify, LeafHash};
	use codec::Encode;
	use sp_core::offchain::storage::InMemOffchainStorage;

	fn leaf(n: u8) -> LeafHash {
		LeafHash([n; 32])
	}

	/// Returns an accumulator of this many leaves, and a database with the nodes of those from `since` on.
	fn indexed(leaves: u8, since: u8) -> (Accumulator, AccumulatorDeps<InMemOffchainStorage>) {
		let (mut accumulator, mut nodes) = (Accumulator::default(), InMemOffchainStorage::default());
		for n in 0..leaves {
			for (hash, node) in accumulator.append(&leaf(n)).unwrap().nodes {
				if n >= since {
					nodes.set(STORAGE_PREFIX, &hash.key(), &node.encode());
				}
			}
		}
		let deps = AccumulatorDeps {
			nodes: Some(nodes),
			indexing: true,
		};
		(accumulator, deps)
	}

	#[test]
	fn every_leaf_is_proved_from_the_offchain_database() {
		let (accumulator, deps) = indexed(13, 0);
		for n in 0..13 {
			let proof = deps.prove(&accumulator, n.into()).unwrap();
			assert!(verify(&accumulator.root(), &leaf(n), n.into(), &proof));
		}
		let unknown = Error::UnknownLeaf { index: 13, leaves: 13 };
		assert_eq!(deps.prove(&accumulator, 13), Err(unknown));
	}

	#[test]
	fn a_node_that_does_not_index_names_the_flag() {
		let (accumulator, mut deps) = indexed(4, 4);
		deps.indexing = false;
		let error = deps.prove(&accumulator, 0).unwrap_err();
		assert_eq!(error, Error::NoIndexing);
		assert!(error.to_string().contains("--enable-offchain-indexing true"));
		deps.nodes = None;
		assert_eq!(deps.prove(&accumulator, 0), Err(Error::NoIndexing));
	}

	#[test]
	fn a_node_that_indexes_since_late_proves_what_it_can() {
		let (accumulator, deps) = indexed(12, 8);
		assert!(matches!(deps.prove(&accumulator, 0), Err(Error::MissingNode(_))));
		let proof = deps.prove(&accumulator, 9).unwrap();
		assert!(verify(&accumulator.root(), &leaf(9), 9, &proof));
	}
}
