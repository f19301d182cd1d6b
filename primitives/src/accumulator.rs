//! An append-only list of receipts, of which a chain stores a few hashes only: a Merkle mountain range.
//!
//! The leaves stand in perfect binary trees, one for each bit of their number, the largest first. A chain stores the
//! peaks of these trees. Whoever has the nodes below them can prove that a leaf is there, and no node ever changes: an
//! append adds the new leaf and the nodes above it. Nodes are named by their hashes, so those of two forks can be kept
//! side by side.
//!
//! Leaves, nodes and roots are hashed with contexts of their own: none can stand for another. A root binds the number
//! of leaves, from which the shape of every proof follows: of a leaf there is one proof and no other.

use crate::{
	digest::derive,
	hash::{AccumulatorRoot, LeafHash, NodeHash},
};
use alloc::vec::Vec;
use bounded_collections::{BoundedVec, ConstU32};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

const LEAF: &str = "assay/v1/accumulator-leaf";
const NODE: &str = "assay/v1/accumulator-node";
const ROOT: &str = "assay/v1/accumulator-root";

/// Most trees: one for each bit of the number of leaves. It bounds the height of a tree too.
pub const MAX_PEAKS: u32 = u64::BITS;

/// Peaks, or the siblings on the way to one.
pub type Nodes = BoundedVec<NodeHash, ConstU32<MAX_PEAKS>>;

/// An inner node: its two children.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Node {
	/// The older child.
	pub left: NodeHash,
	/// The newer child.
	pub right: NodeHash,
}

impl Node {
	/// Returns the node's name.
	pub fn hash(&self) -> NodeHash {
		NodeHash(derive(NODE, &self.encode()))
	}
}

impl NodeHash {
	/// Returns the key under which a chain's node keeps this node of the accumulator in its offchain database.
	pub fn key(&self) -> Vec<u8> {
		(b"assay/v1/accumulator", self).encode()
	}
}

impl LeafHash {
	/// Returns the leaf as a tree of its own.
	fn node(&self) -> NodeHash {
		NodeHash(derive(LEAF, self.as_ref()))
	}
}

/// What a chain stores of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Accumulator {
	/// The number of leaves.
	pub leaves: u64,
	/// The peaks, those of larger trees first.
	pub peaks: Nodes,
}

/// What an append has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
	/// The leaf's index, from 0.
	pub index: u64,
	/// The new inner nodes with their names, from below. On average there is less than one.
	pub nodes: Vec<(NodeHash, Node)>,
}

impl Accumulator {
	/// Appends a leaf. Returns none, and changes nothing, if the accumulator is full or inconsistent.
	pub fn append(&mut self, leaf: &LeafHash) -> Option<Appended> {
		let leaves = self.leaves.checked_add(1).filter(|_| self.is_consistent())?;
		let mut peaks = self.peaks.clone();
		let mut nodes = Vec::new();
		let mut hash = leaf.node();
		// Trees of one size are joined, as a binary counter carries.
		for _ in 0..self.leaves.trailing_ones() {
			let node = Node {
				left: peaks.pop()?,
				right: hash,
			};
			hash = node.hash();
			nodes.push((hash, node));
		}
		peaks.try_push(hash).ok()?;
		let index = self.leaves;
		*self = Self { leaves, peaks };
		Some(Appended { index, nodes })
	}

	/// Returns whether there are as many peaks as the number of leaves has bits.
	pub fn is_consistent(&self) -> bool {
		self.leaves.count_ones() as usize == self.peaks.len()
	}

	/// Returns the hash over the number of leaves and all peaks.
	pub fn root(&self) -> AccumulatorRoot {
		AccumulatorRoot(derive(ROOT, &self.encode()))
	}

	/// Proves that a leaf is there. `node` looks up the node with a name; what does not hash to its name counts as
	/// missing.
	pub fn prove(&self, index: u64, node: impl Fn(&NodeHash) -> Option<Node>) -> Result<Proof, NoProof> {
		let place = Place::of(self.leaves, index).ok_or(NoProof::UnknownLeaf)?;
		let mut peaks = self.peaks.clone();
		if !self.is_consistent() || place.peak >= peaks.len() {
			return Err(NoProof::UnknownLeaf);
		}
		let mut hash = peaks.remove(place.peak);
		let mut siblings = Vec::new();
		for level in (0..place.height).rev() {
			let found = node(&hash).filter(|node| node.hash() == hash);
			let Node { left, right } = found.ok_or(NoProof::MissingNode(hash))?;
			let (next, sibling) = if place.is_right(level) {
				(right, left)
			} else {
				(left, right)
			};
			siblings.push(sibling);
			hash = next;
		}
		siblings.reverse();
		Ok(Proof {
			leaves: self.leaves,
			siblings: BoundedVec::truncate_from(siblings),
			peaks,
		})
	}
}

/// Why a leaf cannot be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoProof {
	/// There are not so many leaves.
	UnknownLeaf,
	/// The node with this name is missing.
	MissingNode(NodeHash),
}

/// What leads from a leaf to the root of an accumulator with this many leaves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Proof {
	/// The number of leaves.
	pub leaves: u64,
	/// The siblings on the way to the leaf's peak, from below.
	pub siblings: Nodes,
	/// The other peaks, those of larger trees first.
	pub peaks: Nodes,
}

impl Proof {
	/// Returns the root to which this proof leads from the leaf at an index; none, before anything is hashed, if
	/// another shape of the proof follows from the number of leaves.
	pub fn root(&self, leaf: &LeafHash, index: u64) -> Option<AccumulatorRoot> {
		self.accumulator(leaf, index).map(|accumulator| accumulator.root())
	}

	fn accumulator(&self, leaf: &LeafHash, index: u64) -> Option<Accumulator> {
		let place = Place::of(self.leaves, index)?;
		let others = (self.leaves.count_ones() as usize).checked_sub(1)?;
		if self.siblings.len() != place.height as usize || self.peaks.len() != others {
			return None;
		}
		let mut hash = leaf.node();
		for (level, sibling) in (0..place.height).zip(&self.siblings) {
			let node = if place.is_right(level) {
				Node {
					left: *sibling,
					right: hash,
				}
			} else {
				Node {
					left: hash,
					right: *sibling,
				}
			};
			hash = node.hash();
		}
		let mut peaks = self.peaks.clone();
		peaks.try_insert(place.peak, hash).ok()?;
		Some(Accumulator {
			leaves: self.leaves,
			peaks,
		})
	}
}

/// Returns whether a proof shows that a leaf stands at an index of the accumulator with this root.
pub fn verify(root: &AccumulatorRoot, leaf: &LeafHash, index: u64, proof: &Proof) -> bool {
	proof.root(leaf, index) == Some(*root)
}

/// Where a leaf stands: in which tree, how high that is, and where in it.
struct Place {
	peak: usize,
	height: u32,
	index: u64,
}

impl Place {
	/// Returns the place of a leaf among this many; none if there are not so many.
	fn of(leaves: u64, index: u64) -> Option<Self> {
		if index >= leaves {
			return None;
		}
		// Larger trees have the leaves before the first bit in which the numbers differ. There the number of leaves has
		// a tree, and the index lies in it.
		let height = (leaves ^ index).checked_ilog2()?;
		let peak = leaves.checked_shr(height.checked_add(1)?).unwrap_or(0).count_ones();
		Some(Self {
			peak: peak as usize,
			height,
			index,
		})
	}

	/// Returns whether the way up from this level begins at the right child.
	fn is_right(&self, level: u32) -> bool {
		self.index.checked_shr(level).is_some_and(|bits| bits & 1 == 1)
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;
	use std::collections::HashMap;

	type Known = HashMap<NodeHash, Node>;

	fn leaf(n: u64) -> LeafHash {
		LeafHash(derive("assay/v1/test", &n.encode()))
	}

	/// Returns an accumulator of this many leaves, and all its inner nodes.
	fn grown(leaves: u64) -> (Accumulator, Known) {
		let (mut accumulator, mut known) = (Accumulator::default(), Known::new());
		for n in 0..leaves {
			let appended = accumulator.append(&leaf(n)).unwrap();
			assert_eq!(appended.index, n);
			known.extend(appended.nodes);
		}
		(accumulator, known)
	}

	/// Returns the top of a perfect tree over these leaves, the plain way.
	fn top(leaves: &[LeafHash]) -> NodeHash {
		match leaves {
			[one] => NodeHash(derive(LEAF, &one.0)),
			more => {
				let (left, right) = more.split_at(more.len() / 2);
				let children = [top(left).0, top(right).0].concat();
				NodeHash(derive(NODE, &children))
			}
		}
	}

	/// Returns the peaks over these leaves, the plain way: the largest perfect tree, then the rest.
	fn naive_peaks(leaves: &[LeafHash]) -> Vec<NodeHash> {
		if leaves.is_empty() {
			return Vec::new();
		}
		let mut size = 1;
		while size * 2 <= leaves.len() {
			size *= 2;
		}
		let (tree, rest) = leaves.split_at(size);
		let mut peaks = vec![top(tree)];
		peaks.extend(naive_peaks(rest));
		peaks
	}

	fn proof(accumulator: &Accumulator, known: &Known, index: u64) -> Proof {
		accumulator.prove(index, |hash| known.get(hash).copied()).unwrap()
	}

	#[test]
	fn the_first_roots_are_these() {
		// Computed in Python from the description in docs/dapp.md. Leaf n is 32 bytes of n.
		let roots = [
			(0, "0x4c263f9fce58f292204e66a71b6c7a194c0cb8dd34ddfc7978326d710bd347e7"),
			(1, "0x09f1e493833b6cb0ad5613f87e8ee8bef9c5bac5fc6bf30002cb42e1ad4f72d7"),
			(2, "0x7317611e4305ad1ebdf2a854420c50c7a0b7707ae158cd6f8a7efc23fbe64eca"),
			(3, "0x728ae51cf2f876d06b37d0d91301b932ea71d9d7f15619c3f54452c8c325f8f0"),
			(7, "0xd3e263dde0923655fc84ad2d06911637b5f560bc52169baeddc7226718811673"),
			(8, "0x3cad9be9581d221a5fe67af5873205c3b2c42d7ffd3d4f18815ce446b4d938a0"),
		];
		for (leaves, root) in roots {
			let mut accumulator = Accumulator::default();
			for n in 0..leaves {
				accumulator.append(&LeafHash([n; 32])).unwrap();
			}
			assert_eq!(accumulator.root().to_string(), root, "{leaves} leaves");
		}
	}

	#[test]
	fn every_leaf_of_every_size_has_its_proof_and_no_other_place() {
		for leaves in 0..=40 {
			let (accumulator, known) = grown(leaves);
			let root = accumulator.root();
			for index in 0..leaves {
				let proof = proof(&accumulator, &known, index);
				assert_eq!(proof.accumulator(&leaf(index), index).as_ref(), Some(&accumulator));
				for other in 0..leaves + 2 {
					assert_eq!(
						verify(&root, &leaf(index), other, &proof),
						other == index,
						"{leaves} {index}"
					);
					assert_eq!(
						verify(&root, &leaf(other), index, &proof),
						other == index,
						"{leaves} {index}"
					);
				}
			}
			let nobody = accumulator.prove(leaves, |hash| known.get(hash).copied());
			assert_eq!(nobody, Err(NoProof::UnknownLeaf));
		}
	}

	#[test]
	fn a_node_is_no_leaf_and_a_leaf_no_node() {
		let (accumulator, known) = grown(8);
		let full = proof(&accumulator, &known, 5);
		// The parents of the leaves as the four leaves of a smaller tree with the same top.
		let pair = Node {
			left: leaf(4).node(),
			right: leaf(5).node(),
		};
		let short = Proof {
			siblings: BoundedVec::truncate_from(full.siblings[1..].to_vec()),
			..full.clone()
		};
		let smaller = Proof {
			leaves: 4,
			..short.clone()
		};
		for fake in [
			LeafHash(pair.hash().0),
			LeafHash(derive(NODE, &pair.encode())),
			LeafHash(leaf(5).node().0),
		] {
			for index in 0..8 {
				for proof in [&full, &short, &smaller] {
					assert!(!verify(&accumulator.root(), &fake, index, proof));
				}
			}
		}
		// One leaf is a tree of its own; its root is not that of its bare hash.
		let (one, _) = grown(1);
		assert_ne!(one.peaks[0].0, leaf(0).0);
	}

	#[test]
	fn a_missing_or_damaged_node_is_named() {
		let (accumulator, mut known) = grown(7);
		let peak = accumulator.peaks[0];
		let find = |known: &Known| accumulator.prove(1, |hash| known.get(hash).copied());
		let children = known.remove(&peak).unwrap();
		assert_eq!(find(&known), Err(NoProof::MissingNode(peak)));
		known.insert(
			peak,
			Node {
				left: children.right,
				right: children.left,
			},
		);
		assert_eq!(find(&known), Err(NoProof::MissingNode(peak)));
		known.insert(peak, children);
		assert!(find(&known).is_ok());
		assert!(accumulator.prove(6, |_| None).is_ok(), "a peak needs no node below it");
	}

	#[test]
	fn a_full_or_inconsistent_accumulator_takes_nothing_and_proves_nothing() {
		let peaks = |n| BoundedVec::truncate_from(vec![NodeHash([1; 32]); n]);
		for (leaves, n) in [(u64::MAX, 64), (3, 1), (3, 3), (0, 1), (u64::MAX, 0)] {
			let before = Accumulator {
				leaves,
				peaks: peaks(n),
			};
			let mut after = before.clone();
			assert_eq!(after.append(&leaf(0)), None);
			assert_eq!(after, before);
		}
		let broken = Accumulator {
			leaves: 3,
			peaks: peaks(1),
		};
		assert_eq!(broken.prove(2, |_| None), Err(NoProof::UnknownLeaf));
		let mut last = Accumulator {
			leaves: u64::MAX - 1,
			peaks: peaks(63),
		};
		assert_eq!(last.append(&leaf(0)).map(|appended| appended.index), Some(u64::MAX - 1));
		assert_eq!(last.peaks.len(), 64);
		let largest = proof(&last, &Known::new(), u64::MAX - 1);
		assert!(verify(&last.root(), &leaf(0), u64::MAX - 1, &largest));
	}

	#[test]
	fn a_proof_reads_as_it_is_written_and_nothing_longer_is_read() {
		let (accumulator, known) = grown(11);
		let proof = proof(&accumulator, &known, 2);
		let json = serde_json::to_string(&proof).unwrap();
		assert!(json.starts_with(r#"{"leaves":11,"siblings":["0x"#), "{json}");
		assert_eq!(serde_json::from_str::<Proof>(&json).unwrap(), proof);
		let long = vec![NodeHash([1; 32]); 65];
		let text = serde_json::json!({ "leaves": 1, "siblings": long, "peaks": [] });
		assert!(serde_json::from_value::<Proof>(text).is_err());
		assert!(Proof::decode(&mut &(1u64, long, Vec::<NodeHash>::new()).encode()[..]).is_err());
	}

	/// Changes a proof, or who stands where.
	#[derive(Clone, Debug)]
	enum Change {
		Leaves(u64),
		Index(u64),
		Truncated(bool),
		Padded(bool, [u8; 32]),
		Moved,
		Swapped(bool, usize, usize),
		Flipped(bool, usize, usize),
		Leaf([u8; 32]),
	}

	fn changes() -> impl Strategy<Value = Change> {
		prop_oneof![
			(0u64..200).prop_map(Change::Leaves),
			any::<u64>().prop_map(Change::Leaves),
			(0u64..200).prop_map(Change::Index),
			any::<u64>().prop_map(Change::Index),
			any::<bool>().prop_map(Change::Truncated),
			any::<(bool, [u8; 32])>().prop_map(|(peaks, hash)| Change::Padded(peaks, hash)),
			Just(Change::Moved),
			any::<(bool, usize, usize)>().prop_map(|(peaks, a, b)| Change::Swapped(peaks, a, b)),
			any::<(bool, usize, usize)>().prop_map(|(peaks, at, bit)| Change::Flipped(peaks, at, bit)),
			any::<[u8; 32]>().prop_map(Change::Leaf),
		]
	}

	fn apply(change: Change, leaf: &mut LeafHash, index: &mut u64, proof: &mut Proof) {
		let list = |proof: &mut Proof, peaks: bool, edit: &dyn Fn(&mut Vec<NodeHash>)| {
			let list = if peaks { &mut proof.peaks } else { &mut proof.siblings };
			let mut nodes = list.clone().into_inner();
			edit(&mut nodes);
			*list = BoundedVec::truncate_from(nodes);
		};
		match change {
			Change::Leaves(leaves) => proof.leaves = leaves,
			Change::Index(other) => *index = other,
			Change::Leaf(other) => *leaf = LeafHash(other),
			Change::Truncated(peaks) => list(proof, peaks, &|nodes| nodes.truncate(nodes.len().saturating_sub(1))),
			Change::Padded(peaks, hash) => list(proof, peaks, &|nodes| nodes.push(NodeHash(hash))),
			Change::Moved => {
				if let Some(last) = proof.siblings.pop() {
					list(proof, true, &|nodes| nodes.insert(0, last));
				}
			}
			Change::Swapped(peaks, a, b) => list(proof, peaks, &|nodes| {
				if !nodes.is_empty() {
					let len = nodes.len();
					nodes.swap(a % len, b % len);
				}
			}),
			Change::Flipped(peaks, at, bit) => list(proof, peaks, &|nodes| {
				if !nodes.is_empty() {
					let len = nodes.len();
					nodes[at % len].0[bit % 32] ^= 1 << (bit % 8);
				}
			}),
		}
	}

	proptest! {
		#[test]
		fn it_is_the_naive_tree(leaves in 0u64..600) {
			let (accumulator, known) = grown(leaves);
			let all: Vec<_> = (0..leaves).map(leaf).collect();
			prop_assert_eq!(accumulator.peaks.to_vec(), naive_peaks(&all));
			prop_assert!(accumulator.is_consistent());
			// A list of n leaves has less than n nodes: an append costs two hashes on average.
			prop_assert_eq!(known.len() as u64, leaves - u64::from(leaves.count_ones()));
		}

		#[test]
		fn what_is_there_stays_provable_with_the_nodes_of_later_appends(
			leaves in 1u64..300, more in 0u64..300, pick in any::<u64>(),
		) {
			let index = pick % leaves;
			let (early, _) = grown(leaves);
			let (late, known) = grown(leaves + more);
			for accumulator in [&early, &late] {
				let proof = proof(accumulator, &known, index);
				prop_assert!(verify(&accumulator.root(), &leaf(index), index, &proof));
			}
			prop_assert_eq!(early.root() == late.root(), more == 0, "a root is of one number of leaves");
		}

		#[test]
		fn a_changed_proof_leads_to_another_root(
			leaves in 1u64..150, pick in any::<u64>(), changes in prop::collection::vec(changes(), 1..4),
		) {
			let at = pick % leaves;
			let (accumulator, known) = grown(leaves);
			let honest = proof(&accumulator, &known, at);
			let (mut proof, mut index, mut claimed) = (honest.clone(), at, leaf(at));
			for change in changes {
				apply(change, &mut claimed, &mut index, &mut proof);
			}
			let same = (&proof, index, claimed) == (&honest, at, leaf(at));
			prop_assert_eq!(verify(&accumulator.root(), &claimed, index, &proof), same);
		}

		#[test]
		fn another_order_of_the_same_leaves_has_another_root(leaves in 2u64..100, a in any::<u64>(), b in any::<u64>()) {
			let (a, b) = (a % leaves, b % leaves);
			let mut swapped = Accumulator::default();
			for n in 0..leaves {
				let n = if n == a { b } else if n == b { a } else { n };
				swapped.append(&leaf(n)).unwrap();
			}
			prop_assert_eq!(swapped.root() == grown(leaves).0.root(), a == b);
		}

		#[test]
		fn any_bytes_are_a_proof_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), index in any::<u64>()) {
			if let Ok(proof) = Proof::decode(&mut &bytes[..]) {
				let accumulator = proof.accumulator(&leaf(0), index);
				prop_assert!(accumulator.is_none_or(|accumulator| accumulator.is_consistent() && index < proof.leaves));
			}
		}
	}
}
