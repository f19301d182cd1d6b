//! Builds a state's trie from its entries: for the root of a chain specification, and for proofs of made-up states.

use super::node::{nibbles, Kind, EMPTY};
use assay_primitives::Hash32;
use codec::{Compact, Encode};
use sp_crypto_hashing::blake2_256;
use std::{collections::BTreeMap, vec, vec::Vec};

/// Longest value that a node holds itself.
const MAX_INLINE_VALUE: usize = 32;

/// A key as nibbles, with its value.
type Entry<'a> = (Vec<u8>, &'a [u8]);

/// Returns the root of the state with these entries.
pub(crate) fn root(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Hash32 {
	blake2_256(&top(entries, &mut |_| {}))
}

/// Returns the root of the state with these entries, and the nodes that prove what it has, or has not, under some keys.
#[cfg(any(test, feature = "test-utils"))]
pub fn prove(entries: &BTreeMap<Vec<u8>, Vec<u8>>, keys: &[Vec<u8>]) -> (Hash32, Vec<Vec<u8>>) {
	let mut nodes = Vec::new();
	let top = top(entries, &mut |node| nodes.push(node.to_vec()));
	let root = blake2_256(&top);
	nodes.push(top);
	nodes.sort_unstable();
	nodes.dedup();
	let mut proof = super::Proof::new(root, &nodes).unwrap_or_else(|_| unreachable!("no node is there twice"));
	for key in keys {
		assert_eq!(proof.value(key), Ok(entries.get(key).map(|value| &value[..])));
	}
	let used = nodes.iter().filter(|node| proof.has_used(node)).cloned().collect();
	(root, used)
}

/// Returns the topmost node; `emit` receives those that are named by their hash.
fn top(entries: &BTreeMap<Vec<u8>, Vec<u8>>, emit: &mut impl FnMut(&[u8])) -> Vec<u8> {
	let entries: Vec<Entry<'_>> = entries.iter().map(|(key, value)| (nibbles(key), &value[..])).collect();
	node(&entries, 0, emit)
}

/// Returns the node of entries that share their first nibbles up to `from`, in the order of their keys.
fn node(entries: &[Entry<'_>], from: usize, emit: &mut impl FnMut(&[u8])) -> Vec<u8> {
	let (Some((first, value)), Some((last, _))) = (entries.first(), entries.last()) else {
		return EMPTY.to_vec();
	};
	let (first, last) = (
		first.get(from..).unwrap_or_default(),
		last.get(from..).unwrap_or_default(),
	);
	if entries.len() == 1 {
		return start((Kind::Leaf, Kind::LeafWithHash), first, &[], value, emit);
	}
	let shared = first.iter().zip(last).take_while(|(one, other)| one == other).count();
	let partial = first.get(..shared).unwrap_or_default();
	let at = from.saturating_add(shared);
	let ends_here = usize::from(first.len() == shared);
	let (mut bitmap, mut children) = (0u16, Vec::new());
	let below = entries.get(ends_here..).unwrap_or_default();
	for of_child in below.chunk_by(|one, other| one.0.get(at) == other.0.get(at)) {
		let nibble = of_child
			.first()
			.and_then(|(key, _)| key.get(at))
			.copied()
			.unwrap_or_default();
		let child = node(of_child, at.saturating_add(1), emit);
		bitmap |= 1u16.checked_shl(nibble.into()).unwrap_or_default();
		children.extend(reference(child, emit).encode());
	}
	let bitmap = bitmap.to_le_bytes();
	let mut out = if ends_here == 1 {
		start(
			(Kind::BranchWithValue, Kind::BranchWithHash),
			partial,
			&bitmap,
			value,
			emit,
		)
	} else {
		[&prefix(Kind::Branch, partial)[..], &bitmap].concat()
	};
	out.append(&mut children);
	out
}

/// Returns what a parent has of a child.
fn reference(child: Vec<u8>, emit: &mut impl FnMut(&[u8])) -> Vec<u8> {
	if child.len() < 32 {
		return child;
	}
	emit(&child);
	blake2_256(&child).to_vec()
}

/// Returns a node with a value, up to that value. It is of the first kind if it holds the value itself.
fn start(
	(with_value, with_hash): (Kind, Kind),
	partial: &[u8],
	bitmap: &[u8],
	value: &[u8],
	emit: &mut impl FnMut(&[u8]),
) -> Vec<u8> {
	if value.len() <= MAX_INLINE_VALUE {
		let count = Compact(u32::try_from(value.len()).unwrap_or(u32::MAX)).encode();
		return [&prefix(with_value, partial)[..], bitmap, &count, value].concat();
	}
	emit(value);
	[&prefix(with_hash, partial)[..], bitmap, &blake2_256(value)].concat()
}

/// Returns a node's kind and its nibbles.
fn prefix(kind: Kind, partial: &[u8]) -> Vec<u8> {
	let (bits, most) = kind.bits();
	let mut out = vec![];
	let mut left = partial.len();
	match u8::try_from(left) {
		Ok(few) if few < most => out.push(bits | few),
		_ => {
			out.push(bits | most);
			left = left.saturating_sub(most.into());
			while left >= 255 {
				out.push(255);
				left = left.saturating_sub(255);
			}
			out.push(u8::try_from(left).unwrap_or_default());
		}
	}
	let (odd, pairs) = partial.split_at_checked(partial.len() & 1).unwrap_or_default();
	out.extend(odd);
	out.extend(
		pairs
			.chunks(2)
			.map(|pair| pair.iter().fold(0u8, |byte, nibble| byte << 4 | nibble)),
	);
	out
}
