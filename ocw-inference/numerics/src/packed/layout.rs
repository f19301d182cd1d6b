//! Where the bytes of a tile are.

use super::{memory::LINE, TileGroup, BLOCK, STEP, TILE};
use crate::format::MatrixFormat;
use core::ops::Range;

/// Steps of a block of 32 columns.
pub(crate) const BLOCK_STEPS: usize = BLOCK / STEP;
/// Bytes of a group's scales.
pub(crate) const SCALE_BYTES: usize = TILE * 2;
/// Bytes of a group's zero points.
pub(crate) const ZERO_BYTES: usize = TILE / 2;

/// The layout of a tile of a matrix, which its format and width decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
	pub(crate) format: MatrixFormat,
	pub(crate) width: usize,
	/// Bytes of the zero points in front of the groups, in whole lines.
	pub(crate) zero_bytes: usize,
	/// Bytes of a step of four columns.
	pub(crate) step_bytes: usize,
	/// Bytes of a full group: its steps and its scales.
	pub(crate) group_bytes: usize,
}

impl Layout {
	/// Makes the layout of a matrix whose width is a multiple of 32.
	pub(crate) fn new(format: MatrixFormat, width: usize) -> Self {
		let step_bytes = TILE * STEP * format.bits() / 8;
		let zero_bytes = match format {
			MatrixFormat::W4z { .. } => (format.groups(width) * ZERO_BYTES).next_multiple_of(LINE),
			MatrixFormat::W8 { .. } | MatrixFormat::W4 { .. } => 0,
		};
		Self {
			format,
			width,
			zero_bytes,
			step_bytes,
			group_bytes: format.group() / STEP * step_bytes + SCALE_BYTES,
		}
	}

	/// Returns the groups of a row.
	pub(crate) fn groups(&self) -> usize {
		self.format.groups(self.width)
	}

	/// Returns the columns of a group; the last may have fewer.
	pub(crate) fn columns(&self, group: usize) -> usize {
		let size = self.format.group();
		size.min(self.width - group * size)
	}

	/// Returns the lines of a tile.
	pub(crate) fn lines(&self) -> usize {
		let bytes = self.zero_bytes + self.width / STEP * self.step_bytes + self.groups() * SCALE_BYTES;
		bytes / LINE
	}

	/// Returns where a block of 32 columns begins in a tile.
	pub(crate) fn block_at(&self, block: usize) -> usize {
		let blocks = self.format.group() / BLOCK;
		self.zero_bytes + block / blocks * self.group_bytes + block % blocks * BLOCK_STEPS * self.step_bytes
	}

	/// Returns where the scales of a group begin in a tile.
	pub(crate) fn scales_at(&self, group: usize) -> usize {
		self.zero_bytes + group * self.group_bytes + self.columns(group) / STEP * self.step_bytes
	}

	/// Returns a group of a tile's bytes.
	#[inline]
	pub(crate) fn group_of<'a>(&self, tile: &'a [u8], group: usize) -> TileGroup<'a> {
		let part = self.part(tile, group..group + 1);
		let (weights, scales) = part.bytes.split_at(part.columns / STEP * self.step_bytes);
		TileGroup {
			weights,
			scales,
			zeros: part.zeros,
		}
	}

	/// Returns some groups of a tile.
	#[inline]
	pub(crate) fn part<'a>(&self, tile: &'a [u8], groups: Range<usize>) -> Part<'a> {
		let size = self.format.group();
		let columns = self.width.min(groups.end * size) - groups.start * size;
		let begin = self.zero_bytes + groups.start * self.group_bytes;
		let bytes = columns / STEP * self.step_bytes + groups.len() * SCALE_BYTES;
		let zeros = if self.zero_bytes == 0 {
			&[]
		} else {
			&tile[groups.start * ZERO_BYTES..groups.end * ZERO_BYTES]
		};
		Part {
			format: self.format,
			columns,
			zeros,
			bytes: &tile[begin..][..bytes],
			cached: false,
		}
	}
}

/// Some of a tile's groups, one after another. Only the last may be shorter than the format's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
	pub(crate) format: MatrixFormat,
	/// Columns of all of them.
	pub(crate) columns: usize,
	/// Their zero points, 16 bytes each, if the format has some.
	pub(crate) zeros: &'a [u8],
	/// Steps and scales, group after group.
	pub(crate) bytes: &'a [u8],
	/// Whether they were read a moment ago, so that a cache holds them and nothing need be prefetched.
	pub(crate) cached: bool,
}

impl<'a> Part<'a> {
	/// Returns the groups one by one.
	pub(crate) fn groups(&self) -> impl Iterator<Item = TileGroup<'a>> {
		let layout = Layout {
			zero_bytes: 0,
			..Layout::new(self.format, self.columns)
		};
		let (bytes, zeros) = (self.bytes, self.zeros);
		(0..layout.groups()).map(move |group| {
			let (begin, end) = (group * layout.group_bytes, layout.scales_at(group));
			TileGroup {
				weights: &bytes[begin..end],
				scales: &bytes[end..][..SCALE_BYTES],
				zeros: zeros.get(group * ZERO_BYTES..(group + 1) * ZERO_BYTES).unwrap_or(&[]),
			}
		})
	}
}
