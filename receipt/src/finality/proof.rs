//! A proof of storage: the nodes of the state's trie on the way to some keys.

use super::node::{nibbles, Node, Part, EMPTY};
use crate::Reason;
use alloc::{
	collections::{BTreeMap, BTreeSet},
	vec::Vec,
};
use assay_primitives::Hash32;
use sp_crypto_hashing::blake2_256;

/// The nodes of a proof, and which of them have been used.
pub(crate) struct Proof<'a> {
	root: Hash32,
	nodes: BTreeMap<Hash32, &'a [u8]>,
	used: BTreeSet<Hash32>,
}

impl<'a> Proof<'a> {
	/// Returns the proof that consists of these nodes, none of which may be there twice.
	pub(crate) fn new(root: Hash32, nodes: &'a [Vec<u8>]) -> Result<Self, Reason> {
		let by_hash: BTreeMap<Hash32, &[u8]> = nodes.iter().map(|node| (blake2_256(node), &node[..])).collect();
		if by_hash.len() != nodes.len() {
			return Err(Reason::BadState);
		}
		Ok(Self {
			root,
			nodes: by_hash,
			used: BTreeSet::new(),
		})
	}

	/// Returns the value under a key, or none if the proof shows that there is none.
	pub(crate) fn value(&mut self, key: &[u8]) -> Result<Option<&'a [u8]>, Reason> {
		let key = nibbles(key);
		let mut left = &key[..];
		let mut bytes = self.node(self.root)?;
		if bytes == EMPTY {
			return Ok(None);
		}
		loop {
			let node = Node::read(bytes).ok_or(Reason::BadState)?;
			let Some(after) = left.strip_prefix(&node.partial[..]) else {
				return Ok(None);
			};
			let Some((nibble, below)) = after.split_first() else {
				return node.value.map(|value| self.part(value)).transpose();
			};
			let Some(child) = node.child(*nibble) else {
				return Ok(None);
			};
			bytes = self.part(child)?;
			left = below;
		}
	}

	/// Returns whether a node was used.
	#[cfg(any(test, feature = "test-utils"))]
	pub(crate) fn has_used(&self, node: &[u8]) -> bool {
		self.used.contains(&blake2_256(node))
	}

	/// Checks that every node was used.
	pub(crate) fn end(&self) -> Result<(), Reason> {
		if self.used.len() == self.nodes.len() {
			Ok(())
		} else {
			Err(Reason::BadState)
		}
	}

	fn node(&mut self, hash: Hash32) -> Result<&'a [u8], Reason> {
		let node = self.nodes.get(&hash).copied().ok_or(Reason::BadState)?;
		self.used.insert(hash);
		Ok(node)
	}

	fn part(&mut self, part: Part<'a>) -> Result<&'a [u8], Reason> {
		match part {
			Part::Inline(bytes) => Ok(bytes),
			Part::Hash(hash) => self.node(hash),
		}
	}
}
