//! One product, cut into pieces: ranges of tiles and panels.

use super::{
	panels::{self, Panels},
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

	/// Asks for the memory of results while they are computed: rows lie far apart.
	fn prefetch(&self, tile: usize, rows: Range<usize>) {
		#[cfg(all(feature = "simd", target_arch = "x86_64"))]
		for row in rows {
			use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
			let at = self.at(tile, row).cast::<i8>();
			// SAFETY: it reads nothing, may point anywhere, and every x86-64 has it.
			unsafe {
				_mm_prefetch::<_MM_HINT_T0>(at);
				_mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(64));
			}
		}
		#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
		let _ = (tile, rows);
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
			let part = layout.part(self.weight.tile(tile), 0..layout.groups());
			for panel in panels.clone() {
				let rows = self.panels.rows(panel);
				let sums = &mut sums[..rows.len()];
				sums.fill([0.0; TILE]);
				self.out.prefetch(tile, rows.clone());
				// SAFETY: the caller's promise; panels have the groups of the weights.
				unsafe { kernel.add(&part, self.panels.words(panel, 0), sums) };
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
		let (packed, format) = (self.weight.layout(), self.tier.format(self.weight.format()));
		let (groups, each) = (packed.groups(), CHUNK / packed.format.group());
		let no_memory = || alloc::string::String::from("no memory for what a product unpacks");
		let chunk = Layout::new(format, CHUNK.min(packed.width)).lines();
		let mut scratch = memory::zeroed(chunk + K::SLACK, no_memory)?;
		let rows = |panels: &Range<usize>| self.panels.rows(panels.start).start..self.panels.rows(panels.end - 1).end;
		let starts = panels.clone().step_by(MOST_PANELS);
		let batches = starts.map(|first| first..panels.end.min(first + MOST_PANELS));
		let most = batches.clone().map(|batch| rows(&batch).len()).max().unwrap_or(0);
		let mut sums = memory::zeroed(most * TILE * 4 / memory::LINE, no_memory)?;
		for (tile, batch) in tiles.flat_map(|tile| batches.clone().map(move |batch| (tile, batch))) {
			let sums: &mut [[f32; TILE]] = bytemuck::cast_slice_mut(memory::bytes_mut(&mut sums));
			let sums = &mut sums[..rows(&batch).len()];
			sums.fill([0.0; TILE]);
			let mut skipped = 0;
			for first in (0..groups).step_by(each) {
				let part = packed.part(self.weight.tile(tile), first..groups.min(first + each));
				// SAFETY: the caller's promise; the scratch memory has room for so many columns.
				unsafe { kernel.unpack(&part, memory::bytes_mut(&mut scratch)) };
				let unpacked = Part {
					format,
					zeros: &[],
					bytes: memory::bytes(&scratch),
					..part
				};
				let mut rest = &mut *sums;
				for panel in batch.clone() {
					let (now, behind) = rest.split_at_mut(self.panels.rows(panel).len());
					// SAFETY: the caller's promise; panels have the groups of the weights.
					unsafe { kernel.add(&unpacked, self.panels.words(panel, skipped), now) };
					rest = behind;
				}
				skipped += self.tier.cut(&format).row_words(part.columns, format);
			}
			self.store(tile, rows(&batch).start, sums);
		}
		Ok(())
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
