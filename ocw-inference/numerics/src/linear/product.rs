//! One product, cut into pieces: ranges of tiles and panels.

use super::{
	panels::{self, Panels},
	prefetch::Prefetch,
	tier::{Tier, TileKernel},
};
use crate::{
	packed::{
		layout::{Layout, Part},
		memory, PackedMatrix, TILE,
	},
	Isa, Result,
};
use core::{marker::PhantomData, ops::Range};

/// Columns of the weights that are unpacked at a time: with them and a panel's activations the fastest cache is not
/// full.
const CHUNK: usize = 512;
/// Panels that share what is unpacked.
const MOST_PANELS: usize = 64;
/// Bytes of these panels: every tile reads them again, from the second cache if they fit.
const BATCH: usize = 1200 << 10;

/// One product, ready to be cut into pieces.
pub(super) struct Product<'a> {
	pub(super) weight: &'a PackedMatrix,
	pub(super) bias: Option<&'a [f32]>,
	pub(super) isa: Isa,
	pub(super) tier: Tier,
	pub(super) panels: &'a Panels,
	pub(super) out: Columns<'a>,
}

/// Whether a result replaces what is there or is added to it.
#[derive(Clone, Copy)]
pub(super) enum WriteMode {
	Write,
	Add,
}

/// The columns of the result, written by several threads, each its own tiles and rows.
pub(super) struct Columns<'a> {
	/// The first column of the first row.
	start: *mut f32,
	count: usize,
	/// From a row to the next one.
	stride: usize,
	mode: WriteMode,
	rows: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pieces of a product are disjoint ranges of tiles and panels, so no element is written twice.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
	/// The first `count` columns of rows that are `stride` apart.
	pub(super) fn new(out: &'a mut [f32], count: usize, stride: usize, mode: WriteMode) -> Self {
		Self {
			start: out.as_mut_ptr(),
			count,
			stride,
			mode,
			rows: PhantomData,
		}
	}

	/// Returns where a tile's results of a row go.
	fn at(&self, tile: usize, row: usize) -> *mut f32 {
		self.start.wrapping_add(row * self.stride + tile * TILE)
	}

	/// Prefetches the memory of results while they are computed: rows lie far apart.
	fn prefetch(&self, tile: usize, rows: Range<usize>) {
		for row in rows {
			Prefetch::new(self.at(tile, row).cast::<u8>(), TILE * 4 / memory::LINE).issue();
		}
	}
}

impl Product<'_> {
	/// Computes the outputs of some tiles for the rows of some panels.
	pub(super) fn run(&self, tiles: Range<usize>, panels: Range<usize>) -> Result<()> {
		self.isa.check()?;
		// SAFETY: whoever made the product asked the CPU for the tier's features.
		unsafe { self.tier.run(self, tiles, panels) }
	}

	/// [`Self::run`] with a kernel.
	///
	/// # Safety
	/// The CPU has what the kernel needs.
	pub(super) unsafe fn run_with<K: TileKernel>(
		&self,
		mut kernel: K,
		tiles: Range<usize>,
		panels: Range<usize>,
	) -> Result<()> {
		if K::UNPACKS {
			// SAFETY: the caller's promise.
			return unsafe { self.run_unpacked(kernel, tiles, panels) };
		}
		let layout = self.weight.layout();
		let mut sums = [[0f32; TILE]; panels::MAX_ROWS];
		for tile in tiles {
			let mut part = layout.part(self.weight.tile(tile), 0..layout.groups());
			for panel in panels.clone() {
				let rows = self.panels.rows(panel);
				let sums = &mut sums[..rows.len()];
				sums.fill([0.0; TILE]);
				self.out.prefetch(tile, rows.clone());
				// SAFETY: the caller's promise; panels have the groups of the weights.
				unsafe { kernel.add(&part, self.panels.words(panel, 0), sums) };
				part.cached = true;
				self.store(tile, rows.start, sums);
			}
		}
		Ok(())
	}

	/// Unpacks some columns of a tile at a time, and uses them for all panels before it goes on to the next columns.
	///
	/// # Safety
	/// The CPU has what the kernel needs.
	unsafe fn run_unpacked<K: TileKernel>(
		&self,
		mut kernel: K,
		tiles: Range<usize>,
		panels: Range<usize>,
	) -> Result<()> {
		let no_memory = || alloc::string::String::from("no memory for what a product unpacks");
		let format = self.tier.format(self.weight.format());
		let chunk = Layout::new(format, CHUNK.min(self.weight.width())).lines();
		let mut scratch = memory::zeroed(chunk + K::SLACK, no_memory)?;
		let batches = panels
			.len()
			.div_ceil((BATCH / self.panels.bytes()).clamp(1, MOST_PANELS));
		let batch =
			|i: usize| panels.start + panels.len() * i / batches..panels.start + panels.len() * (i + 1) / batches;
		let most = (0..batches).map(|i| self.rows(&batch(i)).len()).max().unwrap_or(0);
		let mut sums = memory::zeroed(most * TILE * 4 / memory::LINE, no_memory)?;
		for (batch, tile) in (0..batches).flat_map(|i| tiles.clone().map(move |tile| (batch(i), tile))) {
			let (scratch, sums) = (memory::bytes_mut(&mut scratch), memory::bytes_mut(&mut sums));
			// SAFETY: the caller's promise; the scratch memory has room for a chunk, and the sums for a batch.
			unsafe { self.run_batch(&mut kernel, tile, batch, scratch, bytemuck::cast_slice_mut(sums)) };
		}
		Ok(())
	}

	/// Computes the outputs of a tile for the rows of some panels.
	///
	/// # Safety
	/// The CPU has what the kernel needs. The scratch memory has room for a chunk and the kernel's slack.
	unsafe fn run_batch<K: TileKernel>(
		&self,
		kernel: &mut K,
		tile: usize,
		batch: Range<usize>,
		scratch: &mut [u8],
		sums: &mut [[f32; TILE]],
	) {
		let (packed, format) = (self.weight.layout(), self.tier.format(self.weight.format()));
		let (groups, each) = (packed.groups(), CHUNK / packed.format.group());
		let mut skipped = 0;
		for first in (0..groups).step_by(each) {
			let end = groups.min(first + each);
			let part = packed.part(self.weight.tile(tile), first..end);
			// SAFETY: the caller's promise.
			unsafe { kernel.unpack(&part, scratch) };
			let unpacked = Part {
				format,
				zeros: &[],
				bytes: scratch,
				cached: true,
				..part
			};
			// What is unpacked next follows in memory, in this tile or in the next one.
			let next = part.bytes.as_ptr_range().end;
			let share = (part.bytes.len() / memory::LINE).div_ceil(batch.len());
			let mut rest = &mut *sums;
			for (index, panel) in batch.clone().enumerate() {
				let rows = self.panels.rows(panel);
				let (now, behind) = rest.split_at_mut(rows.len());
				kernel.prefetch(Prefetch::new(next.wrapping_add(index * share * memory::LINE), share));
				if first == 0 {
					now.fill([0.0; TILE]);
				}
				if end == groups {
					self.out.prefetch(tile, rows.clone());
				}
				// SAFETY: the caller's promise; panels have the groups of the weights.
				unsafe { kernel.add(&unpacked, self.panels.words(panel, skipped), now) };
				if end == groups {
					self.store(tile, rows.start, now);
				}
				rest = behind;
			}
			skipped += self.tier.cut(&format).row_words(part.columns, format);
		}
	}

	/// Returns the rows of some panels.
	fn rows(&self, panels: &Range<usize>) -> Range<usize> {
		self.panels.rows(panels.start).start..self.panels.rows(panels.end - 1).end
	}

	/// Adds the bias and writes a tile's sums.
	fn store(&self, tile: usize, first_row: usize, sums: &mut [[f32; TILE]]) {
		let first = tile * TILE;
		let count = TILE.min(self.out.count - first);
		for (row, sums) in sums.iter_mut().enumerate() {
			if let Some(bias) = self.bias {
				for (sum, bias) in sums.iter_mut().zip(&bias[first..first + count]) {
					*sum += bias;
				}
			}
			// SAFETY: row and columns lie inside the result, whose length `run` checked, and belong to this piece
			// alone.
			let out = unsafe { core::slice::from_raw_parts_mut(self.out.at(tile, first_row + row), count) };
			match (self.out.mode, <&mut [f32; TILE]>::try_from(&mut *out)) {
				(WriteMode::Write, Ok(out)) => *out = *sums,
				(WriteMode::Write, Err(_)) => out.copy_from_slice(&sums[..count]),
				(WriteMode::Add, _) => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += *sum),
			}
		}
	}
}
