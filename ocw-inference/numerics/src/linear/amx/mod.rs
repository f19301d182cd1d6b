//! AMX: one instruction multiplies 16 rows of up to 64 bytes with 16 outputs.
//!
//! Weights are unpacked as signed bytes, 512 columns of a tile at a time, and used for all rows; a unit of 32 or 64
//! columns is loaded as a tile as it lies there. The integers of a group and 16 rows × 16 outputs are one product, or two
//! that add up in the same tile. They go through memory to the vectors of AVX-512, which multiply and add as the other
//! kernels do, in registers that keep the sums from the first of these groups to the last; meanwhile the tiles are a
//! group ahead.

mod status;
#[cfg(test)]
mod tests;
mod tiles;

use super::{
	avx512,
	panels::{Cut, EXTRA_WORDS, MAX_ROWS},
	prefetch::{Prefetch, Steps},
	tier::TileKernel,
};
use crate::{
	format::MatrixFormat,
	packed::{
		layout::{Part, BLOCK_STEPS, SCALE_BYTES},
		STEP, TILE,
	},
	simd::{Avx512, Simd},
};
pub(crate) use status::status;
#[cfg(test)]
pub(super) use tiles::Emulation;
pub(super) use tiles::Instructions;
use tiles::{Products, Tiles};

/// Rows from which on the tiles are faster: below, weights are read from memory no slower by the kernel for few rows.
pub(super) const WORTH_ROWS: usize = avx512::ROWS + 1;
/// Outputs of a product.
const OUTPUTS: usize = 16;
/// Buffers for a group's integers: those that are stored, and those that are being added.
const BUFFERS: usize = 2;

/// Returns how rows are cut: units are as wide as a tile, or as a group of 32.
pub(super) fn cut(format: &MatrixFormat) -> Cut {
	Cut {
		rows: MAX_ROWS,
		unit: format.group().min(64),
	}
}

/// The kernel, its sums in vectors of AVX-512.
#[derive(Default)]
pub(super) struct Amx<T> {
	tiles: T,
	integers: Buffers,
	prefetch: Prefetch,
}

impl<T: Tiles> TileKernel for Amx<T> {
	const UNPACKS: bool = true;
	// A unit of 64 columns is read whole where a group ends after 32; the activations there are zeros.
	const SLACK: usize = BLOCK_STEPS * TILE * STEP / 64;

	unsafe fn unpack(&mut self, part: &Part<'_>, to: &mut [u8]) {
		// SAFETY: the caller's promise.
		unsafe { avx512::unpack(part, 0, to.as_mut_ptr()) }
	}

	fn prefetch(&mut self, lines: Prefetch) {
		self.prefetch = lines;
	}

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe { add_avx512(self, part, words, sums) }
	}
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn add_avx512<T: Tiles>(kernel: &mut Amx<T>, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	// SAFETY: the caller's promise; 16 lanes are a product's outputs.
	unsafe { add::<T, Avx512, 1>(kernel, part, words, sums) }
}

/// Finds the kernel for these groups.
///
/// # Safety
/// As of [`TileKernel::add`]. V vectors are 16 lanes.
#[inline(always)]
unsafe fn add<T: Tiles, S: Simd, const V: usize>(
	kernel: &mut Amx<T>,
	part: &Part<'_>,
	words: &[i32],
	sums: &mut [[f32; TILE]],
) {
	// SAFETY: the caller's promise.
	unsafe {
		match part.format.group() {
			32 => panel::<32, T, S, V>(kernel, part, words, sums),
			64 => panel::<64, T, S, V>(kernel, part, words, sums),
			_ => panel::<128, T, S, V>(kernel, part, words, sums),
		}
	}
}

/// Finds the kernel for this number of rows.
#[inline(always)]
unsafe fn panel<const G: usize, T: Tiles, S: Simd, const V: usize>(
	kernel: &mut Amx<T>,
	part: &Part<'_>,
	words: &[i32],
	sums: &mut [[f32; TILE]],
) {
	macro_rules! of_rows {
		($($rows:literal)*) => {
			match sums.len() {
				$($rows => rows::<$rows, G, T, S, V>(kernel, part, words.as_ptr(), sums.as_mut_ptr()),)*
				_ => unreachable!("a panel has one to sixteen rows"),
			}
		};
	}
	// SAFETY: the caller's promise.
	unsafe { of_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16) }
}

/// Adds some groups of G columns to the sums of R rows.
#[inline(always)]
unsafe fn rows<const R: usize, const G: usize, T: Tiles, S: Simd, const V: usize>(
	kernel: &mut Amx<T>,
	part: &Part<'_>,
	words: *const i32,
	out: *mut [f32; TILE],
) {
	let (full, rest) = (part.columns / G, part.columns % G);
	let Amx {
		tiles,
		integers: [stored, previous],
		prefetch,
	} = kernel;
	tiles.configure(R, Group::<R, G>::UNIT);
	let mut prefetch = prefetch.in_steps(2 * full);
	for half in [0, 1] {
		let first = Group {
			words,
			weights: part.bytes.as_ptr().wrapping_add(half * OUTPUTS * STEP),
			half,
		};
		// SAFETY: `out` has R rows of 32; the part has so many groups, and behind its last weights there is slack.
		unsafe {
			let mut pipeline = Pipeline::<R, G, T, S, V> {
				tiles,
				stored,
				previous,
				prefetch: &mut prefetch,
				multiplied: first,
				added: first,
				sums: read::<R, S, V>(out, half),
			};
			if full > 0 {
				pipeline.multiply(G);
				pipeline.store();
			}
			if full > 1 {
				pipeline.multiply(G);
				for _ in 2..full {
					pipeline.store();
					pipeline.multiply(G);
					pipeline.add_previous();
				}
				pipeline.store();
				pipeline.add_previous();
			}
			if full > 0 {
				pipeline.add(G);
			}
			if rest > 0 {
				pipeline.multiply(rest);
				pipeline.store();
				pipeline.add(rest);
			}
			write::<R, S, V>(out, half, &pipeline.sums);
		}
	}
}

/// Groups on their way to the sums. A product is stored when the next one is about to begin, and its integers are added
/// after that, so that nothing waits for what was just begun.
struct Pipeline<'a, const R: usize, const G: usize, T, S: Simd, const V: usize> {
	tiles: &'a mut T,
	/// The integers that were stored last, and those before them.
	stored: &'a mut Integers,
	previous: &'a mut Integers,
	/// A step for each group.
	prefetch: &'a mut Steps,
	/// The group that is multiplied next, and the one that is added next.
	multiplied: Group<R, G>,
	added: Group<R, G>,
	sums: Sums<S, R, V>,
}

impl<const R: usize, const G: usize, T: Tiles, S: Simd, const V: usize> Pipeline<'_, R, G, T, S, V> {
	/// Multiplies the next group, of so many columns.
	#[inline(always)]
	unsafe fn multiply(&mut self, columns: usize) {
		self.prefetch.step();
		// SAFETY: the caller's promise.
		unsafe { self.multiplied.multiply(columns, self.tiles) };
		self.multiplied = self.multiplied.next();
	}

	/// Stores the product.
	#[inline(always)]
	unsafe fn store(&mut self) {
		core::mem::swap(&mut self.stored, &mut self.previous);
		// SAFETY: the caller's promise.
		unsafe { self.tiles.store(self.stored) };
	}

	/// Adds the group that was stored last, of so many columns.
	#[inline(always)]
	unsafe fn add(&mut self, columns: usize) {
		// SAFETY: the caller's promise.
		unsafe { self.added.add_up::<S, V>(columns, &mut self.sums, self.stored) };
		self.added = self.added.next();
	}

	/// Adds the group that was stored before the last one.
	#[inline(always)]
	unsafe fn add_previous(&mut self) {
		// SAFETY: the caller's promise.
		unsafe { self.added.add_up::<S, V>(G, &mut self.sums, self.previous) };
		self.added = self.added.next();
	}
}

/// Where a group of up to G columns is, for R rows and half a tile's outputs. Those before it are full.
#[derive(Clone, Copy)]
struct Group<const R: usize, const G: usize> {
	/// Its first word in a panel.
	words: *const i32,
	/// The half's first weight.
	weights: *const u8,
	half: usize,
}

impl<const R: usize, const G: usize> Group<R, G> {
	/// Columns of a tile.
	const UNIT: usize = if G < 64 { G } else { 64 };

	/// Returns the group behind a full one.
	#[inline(always)]
	fn next(self) -> Self {
		Self {
			words: self.words.wrapping_add(const { R * (G / STEP + EXTRA_WORDS) }),
			weights: self.weights.wrapping_add(const { G * TILE + SCALE_BYTES }),
			half: self.half,
		}
	}

	/// Multiplies `columns` columns.
	///
	/// # Safety
	/// The CPU has the tiles' instructions. The group's rows and weights lie behind the pointers, in whole units.
	#[inline(always)]
	unsafe fn multiply<T: Tiles>(&self, columns: usize, tiles: &mut T) {
		let products = Products {
			activations: self.words.cast(),
			weights: self.weights,
			units: columns.div_ceil(Self::UNIT),
			rows: R,
			unit: Self::UNIT,
		};
		// SAFETY: the caller's promise.
		unsafe { tiles.multiply(&products) }
	}

	/// Adds the group's integers: `fma(f32(S), f32(s) · d, acc)`.
	///
	/// # Safety
	/// The CPU has the vectors' instructions. The group lies behind the pointers, with its scales of rows and of outputs.
	// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
	#[allow(clippy::needless_range_loop)]
	#[inline(always)]
	unsafe fn add_up<S: Simd, const V: usize>(&self, columns: usize, sums: &mut Sums<S, R, V>, integers: &Integers) {
		const { assert!(G * 128 * 127 < 1 << 22, "more than a conversion takes") };
		let padded = columns.next_multiple_of(Self::UNIT);
		let d = self.words.wrapping_add(padded / STEP * R).cast::<f32>();
		let scales = self
			.weights
			.wrapping_add(columns * TILE - self.half * OUTPUTS * STEP)
			.cast::<u16>();
		// SAFETY: the caller's promise.
		unsafe {
			let mut s = [S::splat(0.0); V];
			for v in 0..V {
				s[v] = S::load_f16(scales.add(self.half * OUTPUTS + v * S::LANES));
			}
			for r in 0..R {
				let d = S::splat(*d.add(r));
				for v in 0..V {
					let integers = S::convert(integers.0[r].as_ptr().add(v * S::LANES));
					sums[r][v] = S::fma(integers, S::mul(s[v], d), sums[r][v]);
				}
			}
		}
	}
}

/// The integers of a group: 16 rows × 16 outputs.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Integers([[i32; OUTPUTS]; MAX_ROWS]);

/// Products that are not added yet.
type Buffers = [Integers; BUFFERS];

impl Default for Integers {
	fn default() -> Self {
		Self([[0; OUTPUTS]; MAX_ROWS])
	}
}

type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::V; V]; R];

/// Reads the sums of half a tile.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn read<const R: usize, S: Simd, const V: usize>(from: *const [f32; TILE], half: usize) -> Sums<S, R, V> {
	// SAFETY: the caller's promise.
	unsafe {
		let mut sums = [[S::splat(0.0); V]; R];
		for r in 0..R {
			for v in 0..V {
				sums[r][v] = S::load(at::<S>(from.cast(), r, half, v));
			}
		}
		sums
	}
}

/// Writes the sums of half a tile.
#[inline(always)]
unsafe fn write<const R: usize, S: Simd, const V: usize>(to: *mut [f32; TILE], half: usize, sums: &Sums<S, R, V>) {
	for (r, sums) in sums.iter().enumerate() {
		for (v, sum) in sums.iter().enumerate() {
			// SAFETY: the caller's promise.
			unsafe { S::store(at::<S>(to.cast(), r, half, v).cast_mut(), *sum) };
		}
	}
}

#[inline(always)]
fn at<S: Simd>(sums: *const f32, row: usize, half: usize, v: usize) -> *const f32 {
	sums.wrapping_add(row * TILE + half * OUTPUTS + v * S::LANES)
}

/// The kernel on any machine, for tests: nothing but the order of its steps is the real one's.
#[cfg(test)]
#[derive(Default)]
pub(super) struct PortableAmx(Amx<Emulation>);

#[cfg(test)]
impl PortableAmx {
	/// The kernel on a machine whose tiles are wrong.
	pub(super) fn faulty() -> Self {
		Self(Amx {
			tiles: Emulation::faulty(),
			..Amx::default()
		})
	}
}

#[cfg(test)]
impl TileKernel for PortableAmx {
	const UNPACKS: bool = true;
	const SLACK: usize = Amx::<Emulation>::SLACK;

	unsafe fn unpack(&mut self, part: &Part<'_>, to: &mut [u8]) {
		let mut to = to.iter_mut();
		for group in part.groups() {
			for (step, lane) in (0..group.steps(&part.format)).flat_map(|step| (0..TILE).map(move |lane| (step, lane)))
			{
				for v in group.integers(&part.format, step, lane) {
					*to.next().unwrap() = v as u8;
				}
			}
			for byte in group.scales {
				*to.next().unwrap() = *byte;
			}
		}
	}

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe { add::<Emulation, crate::simd::Plain, 2>(&mut self.0, part, words, sums) }
	}
}
