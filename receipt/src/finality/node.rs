//! Nodes of a state's trie: layout V1, base 16, branches without extensions.

use alloc::vec::Vec;
use assay_primitives::Hash32;
use codec::{Compact, Decode};

/// The whole encoding of a trie with no entries.
pub(crate) const EMPTY: [u8; 1] = [0];

/// The kinds of nodes: what the first bits of the first byte are, and how many bits are left for the number of nibbles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
	Leaf,
	Branch,
	BranchWithValue,
	LeafWithHash,
	BranchWithHash,
}

impl Kind {
	pub(crate) const ALL: [Self; 5] = [
		Self::Leaf,
		Self::Branch,
		Self::BranchWithValue,
		Self::LeafWithHash,
		Self::BranchWithHash,
	];

	/// Returns the first bits, and the largest number that the others can hold.
	pub(crate) fn bits(self) -> (u8, u8) {
		match self {
			Self::Leaf => (0b0100_0000, 0b0011_1111),
			Self::Branch => (0b1000_0000, 0b0011_1111),
			Self::BranchWithValue => (0b1100_0000, 0b0011_1111),
			Self::LeafWithHash => (0b0010_0000, 0b0001_1111),
			Self::BranchWithHash => (0b0001_0000, 0b0000_1111),
		}
	}

	fn is_branch(self) -> bool {
		matches!(self, Self::Branch | Self::BranchWithValue | Self::BranchWithHash)
	}
}

/// What a node has of a value or of a child: itself, or its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
	Inline(&'a [u8]),
	Hash(Hash32),
}

/// A node that is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node<'a> {
	/// The nibbles from its parent's to its own end.
	pub(crate) partial: Vec<u8>,
	/// The value of the key that ends here.
	pub(crate) value: Option<Part<'a>>,
	/// The children by their nibble.
	children: Vec<(u8, Part<'a>)>,
}

impl<'a> Node<'a> {
	/// Reads a node from all of these bytes; none if they are no node.
	pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
		let mut bytes = Bytes(bytes);
		let (kind, nibbles) = bytes.kind()?;
		let partial = bytes.partial(nibbles)?;
		let bitmap = if kind.is_branch() { bytes.bitmap()? } else { 0 };
		let value = match kind {
			Kind::Branch => None,
			Kind::Leaf | Kind::BranchWithValue => Some(Part::Inline(bytes.counted()?)),
			Kind::LeafWithHash | Kind::BranchWithHash => Some(Part::Hash(bytes.take(32)?.try_into().ok()?)),
		};
		let mut children = Vec::new();
		for nibble in (0u8..16).filter(|nibble| bitmap.checked_shr((*nibble).into()).is_some_and(|bits| bits & 1 == 1))
		{
			let child = bytes.counted()?;
			let child = match <Hash32>::try_from(child) {
				Ok(hash) => Part::Hash(hash),
				Err(_) => Part::Inline(child),
			};
			children.push((nibble, child));
		}
		bytes.0.is_empty().then_some(Self {
			partial,
			value,
			children,
		})
	}

	/// Returns the child at a nibble.
	pub(crate) fn child(&self, nibble: u8) -> Option<Part<'a>> {
		self.children
			.iter()
			.find(|(at, _)| *at == nibble)
			.map(|(_, child)| *child)
	}
}

/// Bytes that are left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
	fn take(&mut self, count: usize) -> Option<&'a [u8]> {
		let (taken, rest) = self.0.split_at_checked(count)?;
		self.0 = rest;
		Some(taken)
	}

	fn byte(&mut self) -> Option<u8> {
		self.take(1)?.first().copied()
	}

	/// Takes bytes that their number precedes.
	fn counted(&mut self) -> Option<&'a [u8]> {
		let Compact(count) = Compact::<u32>::decode(&mut self.0).ok()?;
		self.take(usize::try_from(count).ok()?)
	}

	/// Takes the kind of a node, and its number of nibbles: what does not fit into the first byte is added up from others,
	/// of which the last is not 255.
	fn kind(&mut self) -> Option<(Kind, usize)> {
		let first = self.byte()?;
		let kind = Kind::ALL.into_iter().find(|kind| {
			let (bits, most) = kind.bits();
			first & !most == bits
		})?;
		let (_, most) = kind.bits();
		let mut nibbles = usize::from(first & most);
		let mut more = first & most == most;
		while more {
			let byte = self.byte()?;
			nibbles = nibbles.checked_add(byte.into())?;
			more = byte == u8::MAX;
		}
		Some((kind, nibbles))
	}

	/// Takes nibbles, two a byte. The first byte of an odd number has one, and begins with zeros.
	fn partial(&mut self, nibbles: usize) -> Option<Vec<u8>> {
		let bytes = self.take(nibbles.div_ceil(2))?;
		let padding = nibbles & 1;
		let all = self::nibbles(bytes);
		let (zeros, partial) = all.split_at_checked(padding)?;
		zeros.iter().all(|zero| *zero == 0).then(|| partial.to_vec())
	}

	fn bitmap(&mut self) -> Option<u16> {
		let bitmap = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
		(bitmap != 0).then_some(bitmap)
	}
}

/// Returns the nibbles of some bytes.
pub(crate) fn nibbles(bytes: &[u8]) -> Vec<u8> {
	bytes.iter().flat_map(|byte| [byte >> 4, byte & 0b1111]).collect()
}
