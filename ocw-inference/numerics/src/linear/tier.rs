//! Which kernel computes a product, and what it wants of its operands.

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use super::{amx, avx2, avx512};
use super::{
	panels::Cut,
	portable::{self, Portable},
	prefetch::Prefetch,
	product::Product,
};
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
use crate::format::BLOCK;
use crate::{
	format::{Group, MatrixFormat},
	packed::{layout::Part, STEP, TILE},
	Isa, Result,
};
use core::ops::Range;

/// A kernel: adds the products of some groups of a tile with the rows of a panel to their sums.
pub(super) trait TileKernel {
	/// Whether it reads weights that it unpacks first, to int8 in the layout of `w8`, for several panels.
	const UNPACKS: bool;
	/// Lines of scratch memory that it reads behind what it unpacked.
	const SLACK: usize = 0;

	/// Unpacks some groups.
	///
	/// # Safety
	/// The CPU has what the kernel needs. `to` begins at a line and has room for the groups.
	unsafe fn unpack(&mut self, _: &Part<'_>, _to: &mut [u8]) {}

	/// Prefetches memory that is read after the next [`Self::add`]. A kernel may do so in steps while it adds.
	fn prefetch(&mut self, lines: Prefetch) {
		lines.issue();
	}

	/// Adds some groups to the sums of one panel's rows.
	///
	/// # Safety
	/// The CPU has what the kernel needs. `words` holds these groups for `sums.len()` rows, in the tier's units.
	unsafe fn add(&mut self, part: &Part<'_>, words: &[i32], sums: &mut [[f32; TILE]]);
}

/// A kernel and how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
	Portable,
	#[cfg(all(feature = "simd", target_arch = "aarch64"))]
	Neon,
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	Avx2,
	/// Reads weights as they are packed.
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	Avx512,
	/// Unpacks weights of 4 bits once for several panels.
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	Avx512Unpacked,
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	Amx,
	/// The tiles' instructions emulated, the rest in vectors of AVX-512.
	#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
	EmulatedAmx,
	/// The tiles' instructions emulated, the rest portable.
	#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
	PortableAmx,
	/// The same with a fault.
	#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
	FaultyAmx,
}

impl Tier {
	/// Returns the tier for so many rows.
	pub(super) fn of(isa: Isa, rows: usize, format: &MatrixFormat) -> Self {
		match isa {
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Amx if rows >= amx::WORTH_ROWS => Self::Amx,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Amx | Isa::Avx512 if format.bits() == 4 && rows >= avx512::WORTH_UNPACKING => Self::Avx512Unpacked,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Amx | Isa::Avx512 => Self::Avx512,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Isa::Avx2 => Self::Avx2,
			#[cfg(all(feature = "simd", target_arch = "aarch64"))]
			Isa::Neon => Self::Neon,
			_ => {
				let _ = (rows, format);
				Self::Portable
			}
		}
	}

	/// Returns the format of the weights that the kernel reads.
	pub(super) fn format(self, packed: MatrixFormat) -> MatrixFormat {
		if !self.unpacks() {
			return packed;
		}
		let group = Group::of_size(packed.group()).unwrap_or(Group::G32);
		MatrixFormat::W8 { group }
	}

	fn unpacks(self) -> bool {
		match self {
			Self::Portable => false,
			#[cfg(all(feature = "simd", target_arch = "aarch64"))]
			Self::Neon => false,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx2 | Self::Avx512 => false,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx512Unpacked | Self::Amx => true,
			#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
			Self::EmulatedAmx | Self::PortableAmx | Self::FaultyAmx => true,
		}
	}

	/// Returns how rows are cut for the kernel.
	pub(super) fn cut(self, format: &MatrixFormat) -> Cut {
		let (rows, unit) = match self {
			Self::Portable => (portable::ROWS, STEP),
			#[cfg(all(feature = "simd", target_arch = "aarch64"))]
			Self::Neon => (super::neon::ROWS, STEP),
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx2 => (avx2::ROWS, BLOCK),
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx512 | Self::Avx512Unpacked => (avx512::ROWS, BLOCK),
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Amx => return amx::cut(format),
			#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
			Self::EmulatedAmx | Self::PortableAmx | Self::FaultyAmx => return amx::cut(format),
		};
		let _ = format;
		Cut { rows, unit }
	}

	/// Computes some tiles and panels of a product.
	///
	/// # Safety
	/// The CPU has what the tier needs.
	pub(super) unsafe fn run(self, product: &Product<'_>, tiles: Range<usize>, panels: Range<usize>) -> Result<()> {
		// SAFETY: the caller's promise.
		unsafe {
			match self {
				Self::Portable => product.run_with(Portable, tiles, panels),
				#[cfg(all(feature = "simd", target_arch = "aarch64"))]
				Self::Neon => product.run_with(super::neon::Neon, tiles, panels),
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Self::Avx2 => product.run_with(avx2::Avx2, tiles, panels),
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Self::Avx512 => product.run_with(avx512::Packed, tiles, panels),
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Self::Avx512Unpacked => product.run_with(avx512::Unpacked, tiles, panels),
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Self::Amx => product.run_with(amx::Amx::<amx::Instructions>::default(), tiles, panels),
				#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
				Self::EmulatedAmx => product.run_with(amx::Amx::<amx::Emulation>::default(), tiles, panels),
				#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
				Self::PortableAmx => product.run_with(amx::PortableAmx::default(), tiles, panels),
				#[cfg(all(test, feature = "simd", target_arch = "x86_64"))]
				Self::FaultyAmx => product.run_with(amx::PortableAmx::faulty(), tiles, panels),
			}
		}
	}
}
