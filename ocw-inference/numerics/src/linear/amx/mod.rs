//! AMX: one instruction multiplies 16 rows of up to 64 bytes with 16 outputs.
//!
//! Weights are unpacked as signed bytes, 512 columns of a tile at a time, and used for all rows; a unit of 32 or 64
//! columns is loaded as a tile as it lies there. The integers of a group and 16 rows × 16 outputs are one product, or two
//! that add up in the same tile. They go through memory to the vectors of AVX-512, which multiply and add as the other
//! kernels do, in registers that keep the sums from the first of these groups to the last; meanwhile the tiles are two
//! groups ahead.

mod status;
#[cfg(test)]
mod tests;
mod tiles;

use super::{
	avx512,
	panels::{Cut, EXTRA_WORDS, MAX_ROWS},
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
pub(super) const WORTH_ROWS: usize = 9;
/// Outputs of a product.
const OUTPUTS: usize = 16;
/// By how many groups the tiles are ahead of the vectors.
const AHEAD: usize = 2;
/// Buffers for a group's integers: those that are ahead, those that are being added, and one between them.
const BUFFERS: usize = 4;

/// Returns how rows are cut: units are as wide as a tile, or as a group of 32.
pub(super) fn cut(format: &MatrixFormat) -> Cut {
	Cut {
		rows: MAX_ROWS,
		unit: format.group().min(64),
	}
}

/// The kernel, its sums in vectors of AVX-512.
#[derive(Default)]
pub(super) struct Amx<T>(T);

impl<T: Tiles> TileKernel for Amx<T> {
	const UNPACKS: bool = true;
	// A unit of 64 columns is read whole where a group ends after 32; the activations there are zeros.
	const SLACK: usize = BLOCK_STEPS * TILE * STEP / 64;

	unsafe fn unpack(&mut self, part: &Part<'_>, to: &mut [u8]) {
		// SAFETY: the caller's promise.
		unsafe { avx512::unpack(part, 0, to.as_mut_ptr()) }
	}

	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
		// SAFETY: the caller's promise.
		unsafe { add_avx512(&mut self.0, part, words, sums) }
	}
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
unsafe fn add_avx512<T: Tiles>(tiles: &mut T, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]) {
	// SAFETY: the caller's promise; 16 lanes are a product's outputs.
	unsafe { add::<T, Avx512, 1>(tiles, part, words, sums) }
}

/// Finds the kernel for this number of rows.
///
/// # Safety
/// As of [`TileKernel::add`]. V vectors are 16 lanes.
#[inline(always)]
unsafe fn add<T: Tiles, S: Simd, const V: usize>(
	tiles: &mut T,
	part: &Part<'_>,
	words: &[i32],
	sums: &mut [[f32; TILE]],
) {
	macro_rules! of_rows {
		($($rows:literal)*) => {
			match sums.len() {
				$($rows => rows::<$rows, T, S, V>(tiles, part, words.as_ptr(), sums.as_mut_ptr()),)*
				_ => unreachable!("a panel has one to sixteen rows"),
			}
		};
	}
	// SAFETY: the caller's promise.
	unsafe { of_rows!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16) }
}

/// Adds some groups to the sums of R rows.
#[inline(always)]
unsafe fn rows<const R: usize, T: Tiles, S: Simd, const V: usize>(
	tiles: &mut T,
	part: &Part<'_>,
	words: *const i32,
	out: *mut [f32; TILE],
) {
	let unit = cut(&part.format).unit;
	let groups = part.format.groups(part.columns);
	let mut integers = [Integers([[0; OUTPUTS]; MAX_ROWS]); BUFFERS];
	tiles.configure(R, unit);
	for half in [0, 1] {
		// SAFETY: `out` has R rows of 32.
		let mut sums = unsafe { read::<R, S, V>(out, half) };
		for turn in 0..groups + AHEAD {
			if turn < groups {
				let group = Group::at::<R>(part, unit, turn);
				let products = Products {
					// SAFETY: the group's rows and weights, in units; behind the last there is slack.
					activations: unsafe { words.add(group.words) }.cast(),
					weights: part.bytes.as_ptr().wrapping_add(group.bytes + half * OUTPUTS * STEP),
					units: group.columns.div_ceil(unit),
					to: integers[turn % BUFFERS].0.as_mut_ptr().cast(),
				};
				// SAFETY: as above; a buffer has room for 16 rows.
				unsafe {
					if turn % 2 == 0 {
						tiles.multiply::<0>(&products);
					} else {
						tiles.multiply::<1>(&products);
					}
				}
			}
			if turn >= AHEAD {
				let turn = turn - AHEAD;
				let group = Group::at::<R>(part, unit, turn);
				let d = words.wrapping_add(group.words + group.columns.next_multiple_of(unit) / STEP * R);
				let scales = part
					.bytes
					.as_ptr()
					.wrapping_add(group.bytes + group.columns / STEP * TILE * STEP);
				// SAFETY: the group's scales, of rows and of outputs.
				unsafe { add_up::<R, S, V>(&mut sums, &integers[turn % BUFFERS], d.cast(), scales.cast(), half) };
			}
		}
		// SAFETY: as above.
		unsafe { write::<R, S, V>(out, half, &sums) };
	}
}

/// Where a group is.
struct Group {
	columns: usize,
	/// Its first word in a panel.
	words: usize,
	/// Its first byte among the weights.
	bytes: usize,
}

impl Group {
	/// Returns group `index` of a part, for panels of R rows. Those before it are full.
	#[inline(always)]
	fn at<const R: usize>(part: &Part<'_>, unit: usize, index: usize) -> Self {
		let size = part.format.group();
		Self {
			columns: size.min(part.columns - index * size),
			words: index * R * (size.next_multiple_of(unit) / STEP + EXTRA_WORDS),
			bytes: index * (size * TILE + SCALE_BYTES),
		}
	}
}

/// The integers of a group: 16 rows × 16 outputs.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Integers([[i32; OUTPUTS]; MAX_ROWS]);

type Sums<S, const R: usize, const V: usize> = [[<S as Simd>::V; V]; R];

/// Reads the sums of half a tile.
#[inline(always)]
unsafe fn read<const R: usize, S: Simd, const V: usize>(from: *const [f32; TILE], half: usize) -> Sums<S, R, V> {
	// SAFETY: the caller's promise.
	core::array::from_fn(|r| core::array::from_fn(|v| unsafe { S::load(at::<S>(from.cast(), r, half, v)) }))
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

/// Adds a group: `fma(f32(S), f32(s) · d, acc)`.
// Indices are constants once the loops are unrolled; iterators are left as loops, and their sums in memory.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
unsafe fn add_up<const R: usize, S: Simd, const V: usize>(
	sums: &mut Sums<S, R, V>,
	integers: &Integers,
	d: *const f32,
	scales: *const u16,
	half: usize,
) {
	// SAFETY: the caller's promise: R row scales, and 32 scales of outputs.
	unsafe {
		let scales: [S::V; V] = core::array::from_fn(|v| S::load_f16(scales.add(half * OUTPUTS + v * S::LANES)));
		for r in 0..R {
			let d = S::splat(*d.add(r));
			for v in 0..V {
				let integers = S::convert(integers.0[r].as_ptr().add(v * S::LANES));
				sums[r][v] = S::fma(integers, S::mul(scales[v], d), sums[r][v]);
			}
		}
	}
}

/// The kernel on any machine, for tests: nothing but the order of its steps is the real one's.
#[cfg(test)]
#[derive(Default)]
pub(super) struct PortableAmx(Emulation);

#[cfg(test)]
impl PortableAmx {
	/// The kernel on a machine whose tiles are wrong.
	pub(super) fn faulty() -> Self {
		Self(Emulation::faulty())
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
