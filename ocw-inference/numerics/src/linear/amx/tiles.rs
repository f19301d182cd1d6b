//! The instructions of AMX, and an exact emulation of them for machines that have none.
//!
//! Stable Rust has no intrinsics for them, so they are blocks of assembly. The configuration and one tile, the last
//! product, survive between two blocks: nothing else in the process touches tiles, and the system saves them.

use super::{Integers, OUTPUTS};
#[cfg(test)]
use super::{STEP, TILE};
use core::arch::asm;

/// Bytes from a step of weights to the next one: two tiles side by side.
const WEIGHT_STRIDE: usize = 128;
/// Bytes from a row of integers to the next one.
const INTEGER_STRIDE: usize = OUTPUTS * 4;

/// What is multiplied: one or two units of rows' activations with 16 outputs' weights.
pub(super) struct Products {
	/// int8, unit after unit, row after row.
	pub(super) activations: *const i8,
	/// int8, a step of four columns every 128 bytes.
	pub(super) weights: *const u8,
	/// One or two.
	pub(super) units: usize,
	/// Rows of the activations, and bytes of a unit, as configured. They are constants where a product is computed: if they
	/// were read from memory, they would wait until the last product is stored.
	pub(super) rows: usize,
	pub(super) unit: usize,
}

/// What multiplies tiles.
pub(super) trait Tiles {
	/// Gets ready for this many rows, up to 16, and units of this many bytes, up to 64.
	fn configure(&mut self, rows: usize, unit: usize);

	/// Multiplies.
	///
	/// # Safety
	/// The CPU has the instructions. Pointers are good for what [`Products`] says, in rows and units as configured.
	unsafe fn multiply(&mut self, products: &Products);

	/// Writes the integers of the last product, of the rows that it had.
	///
	/// # Safety
	/// The CPU has the instructions. Something was multiplied.
	unsafe fn store(&mut self, to: &mut Integers);
}

/// The instructions.
#[derive(Default)]
pub(in super::super) struct Instructions {
	rows: usize,
	unit: usize,
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
	palette: u8,
	start_row: u8,
	reserved: [u8; 14],
	/// Bytes of a row of each tile.
	row_bytes: [u16; 16],
	/// Rows of each tile.
	rows: [u8; 16],
}

impl Configuration {
	/// Tile 0 are integers, 1 and 3 activations, 2 and 4 weights. The CPU renames them, so that products that follow one
	/// another need no other tiles.
	fn new(rows: usize, unit: usize) -> Self {
		let mut configuration = Self {
			palette: 1,
			start_row: 0,
			reserved: [0; 14],
			row_bytes: [0; 16],
			rows: [0; 16],
		};
		for (tile, (bytes, tile_rows)) in configuration
			.row_bytes
			.iter_mut()
			.zip(&mut configuration.rows)
			.take(5)
			.enumerate()
		{
			let (of_row, count) = match tile {
				0 => (INTEGER_STRIDE, rows),
				1 | 3 => (unit, rows),
				_ => (64, unit / 4),
			};
			(*bytes, *tile_rows) = (of_row as u16, count as u8);
		}
		configuration
	}
}

impl Tiles for Instructions {
	fn configure(&mut self, rows: usize, unit: usize) {
		if (self.rows, self.unit) == (rows, unit) {
			return;
		}
		(self.rows, self.unit) = (rows, unit);
		let configuration = Configuration::new(rows, unit);
		// SAFETY: `Instructions` are only used where the CPU has them and the system allows it. The block reads all 64
		// bytes behind the pointer: without `nomem` the compiler has written them before.
		unsafe {
			asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, preserves_flags, readonly),
				out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _);
		}
	}

	#[inline(always)]
	unsafe fn multiply(&mut self, products: &Products) {
		// SAFETY: the caller's promise. The blocks read memory only behind the pointers.
		unsafe {
			if products.units == 1 {
				asm!(
					"tilezero tmm0",
					"tileloadd tmm2, [{weights} + {weight_stride}]",
					"tileloadd tmm1, [{activations} + {unit}]",
					"tdpbssd tmm0, tmm1, tmm2",
					weights = in(reg) products.weights, weight_stride = in(reg) WEIGHT_STRIDE,
					activations = in(reg) products.activations, unit = in(reg) products.unit,
					out("tmm0") _, out("tmm1") _, out("tmm2") _,
					options(nostack, preserves_flags, readonly),
				);
			} else {
				asm!(
					"tilezero tmm0",
					"tileloadd tmm2, [{weights} + {weight_stride}]",
					"tileloadd tmm1, [{activations} + {unit}]",
					"tdpbssd tmm0, tmm1, tmm2",
					"tileloadd tmm4, [{more_weights} + {weight_stride}]",
					"tileloadd tmm3, [{more_activations} + {unit}]",
					"tdpbssd tmm0, tmm3, tmm4",
					weights = in(reg) products.weights, weight_stride = in(reg) WEIGHT_STRIDE,
					activations = in(reg) products.activations, unit = in(reg) products.unit,
					more_weights = in(reg) products.weights.wrapping_add(products.unit / 4 * WEIGHT_STRIDE),
					more_activations = in(reg) products.activations.wrapping_add(products.rows * products.unit),
					out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
					options(nostack, preserves_flags, readonly),
				);
			}
		}
	}

	#[inline(always)]
	unsafe fn store(&mut self, to: &mut Integers) {
		// SAFETY: the caller's promise; there is room for 16 rows.
		unsafe {
			asm!("tilestored [{to} + {stride}], tmm0", to = in(reg) to, stride = in(reg) INTEGER_STRIDE,
				options(nostack, preserves_flags));
		}
	}
}

impl Drop for Instructions {
	fn drop(&mut self) {
		if self.rows > 0 {
			// SAFETY: the configuration was loaded, so there are the instructions. With the tiles given back, the system
			// need not save them when it switches threads.
			unsafe { asm!("tilerelease", options(nomem, nostack, preserves_flags)) };
		}
	}
}

/// The same in plain Rust.
#[cfg(test)]
#[derive(Default)]
pub(in super::super) struct Emulation {
	rows: usize,
	unit: usize,
	product: Integers,
	/// Whether the last row's last integer is wrong by one.
	faulty: bool,
}

#[cfg(test)]
impl Emulation {
	pub(super) fn faulty() -> Self {
		Self {
			faulty: true,
			..Self::default()
		}
	}
}

#[cfg(test)]
impl Tiles for Emulation {
	fn configure(&mut self, rows: usize, unit: usize) {
		assert!((1..=16).contains(&rows) && (1..=64).contains(&unit) && unit.is_multiple_of(4));
		(self.rows, self.unit) = (rows, unit);
	}

	unsafe fn multiply(&mut self, products: &Products) {
		assert!((1..=2).contains(&products.units));
		for (row, output) in (0..self.rows).flat_map(|row| (0..OUTPUTS).map(move |output| (row, output))) {
			let mut sum = 0i32;
			for (unit, column) in (0..products.units).flat_map(|unit| (0..self.unit).map(move |column| (unit, column)))
			{
				let step = unit * self.unit / STEP + column / STEP;
				// SAFETY: the caller's promise.
				let (q, w) = unsafe {
					(
						*products.activations.add((unit * self.rows + row) * self.unit + column),
						*products.weights.add(step * TILE * STEP + output * STEP + column % STEP) as i8,
					)
				};
				sum = sum.wrapping_add(i32::from(q) * i32::from(w));
			}
			let last = (row, output) == (self.rows - 1, OUTPUTS - 1);
			sum += i32::from(self.faulty && last);
			self.product.0[row][output] = sum;
		}
	}

	unsafe fn store(&mut self, to: &mut Integers) {
		to.0[..self.rows].copy_from_slice(&self.product.0[..self.rows]);
	}
}
