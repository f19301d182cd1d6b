//! Whether AMX can be used: the CPU has it, the system allows it, and it gives the bits of the portable code.

use super::super::{
	panels::Panels,
	product::{Columns, Product, WriteMode},
	tier::Tier,
};
use crate::{
	format::{Group, MatrixFormat},
	isa::AmxStatus,
	packed::PackedMatrix,
	Isa, Result,
};
use alloc::{vec, vec::Vec};
use core::arch::x86_64::{__cpuid_count, __get_cpuid_max, _xgetbv};
use std::sync::OnceLock;

/// Returns whether AMX can be used; finds it out once.
pub(crate) fn status() -> AmxStatus {
	static STATUS: OnceLock<AmxStatus> = OnceLock::new();
	*STATUS.get_or_init(|| {
		if !Isa::Avx512.works() || !cpu_has_tiles() {
			AmxStatus::Absent
		} else if !permitted() {
			AmxStatus::Denied
		} else if !tiles_are_exact(Tier::Amx) {
			AmxStatus::Differs
		} else {
			AmxStatus::Works
		}
	})
}

/// Asks the CPU for tiles and their int8 products, and whether the system switches their state.
fn cpu_has_tiles() -> bool {
	const TILE: u32 = 1 << 24;
	const INT8: u32 = 1 << 25;
	const OSXSAVE: u32 = 1 << 27;
	/// The tiles' configuration and their data.
	const STATE: u64 = 3 << 17;
	if __get_cpuid_max(0).0 < 7 || __cpuid_count(1, 0).ecx & OSXSAVE == 0 {
		return false;
	}
	let features = __cpuid_count(7, 0).edx;
	if features & TILE == 0 || features & INT8 == 0 {
		return false;
	}
	// SAFETY: the CPU has `xgetbv`, as OSXSAVE says.
	unsafe { read_xcr0() & STATE == STATE }
}

#[target_feature(enable = "xsave")]
unsafe fn read_xcr0() -> u64 {
	// SAFETY: the caller's promise.
	unsafe { _xgetbv(0) }
}

/// Asks the system for the tiles' state, which is so large that no process has it unasked.
#[cfg(target_os = "linux")]
fn permitted() -> bool {
	const ARCH_GET_XCOMP_PERM: libc::c_int = 0x1022;
	const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
	const TILE_DATA: libc::c_ulong = 18;
	let mut states: u64 = 0;
	// SAFETY: the first call writes 64 bits behind the pointer, the second none.
	unsafe {
		libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0
			&& libc::syscall(libc::SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &raw mut states) == 0
			&& states & (1 << TILE_DATA) != 0
	}
}

/// Other systems hand the state out when it is first used, or have none.
#[cfg(not(target_os = "linux"))]
fn permitted() -> bool {
	false
}

/// Multiplies some matrices of each format, and returns whether the tier gave the portable code's bits.
pub(super) fn tiles_are_exact(tier: Tier) -> bool {
	let table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
	let w8 = |group| MatrixFormat::W8 { group };
	let w4z = |group| MatrixFormat::W4z { group };
	let formats = [
		w8(Group::G32),
		w8(Group::G128),
		MatrixFormat::W4 { table },
		w4z(Group::G32),
		w4z(Group::G64),
		w4z(Group::G128),
	];
	// Rows for one panel and several; columns for part of a chunk, a chunk and more, with short groups.
	let shapes = [(9, 40, 64), (16, 32, 224), (37, 33, 1120)];
	formats
		.iter()
		.zip(shapes.iter().cycle().skip(1))
		.chain(formats.iter().map(|format| (format, &shapes[2])))
		.all(|(format, (rows, n, k))| same_bits(tier, *format, *rows, *n, *k).unwrap_or(false))
}

fn same_bits(tier: Tier, format: MatrixFormat, rows: usize, n: usize, k: usize) -> Result<bool> {
	let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
	let mut weight = PackedMatrix::zeros(n, k, format)?;
	weight.put_weights(0, &noise.bytes(n * format.weight_bytes(k)))?;
	// About 2⁻⁷, of both signs; some subnormal or zero.
	let scale = |bits: [u8; 2]| match bits[1] % 16 {
		0 => [bits[0], 0],
		_ => [bits[0], bits[1] & 0x87 | 0x20],
	};
	let scales: Vec<u8> = noise
		.bytes(n * format.scale_bytes(k))
		.as_chunks()
		.0
		.iter()
		.flat_map(|s| scale(*s))
		.collect();
	weight.put_scales(0, &scales)?;
	if let MatrixFormat::W4z { .. } = format {
		let mut zeros = noise.bytes(n * format.zero_bytes(k));
		if format.groups(k) % 2 == 1 {
			for row in zeros.chunks_mut(format.zero_bytes(k)) {
				row.iter_mut().last().into_iter().for_each(|last| *last &= 15);
			}
		}
		weight.put_zeros(0, &zeros)?;
	}
	let x: Vec<f32> = noise
		.bytes(rows * k * 4)
		.as_chunks()
		.0
		.iter()
		.map(|b| i32::from_le_bytes(*b) as f32 / (1u32 << 31) as f32)
		.collect();
	Ok(multiply(&weight, &x, tier)? == multiply(&weight, &x, Tier::Portable)?)
}

/// Multiplies on this thread alone.
fn multiply(weight: &PackedMatrix, x: &[f32], tier: Tier) -> Result<Vec<u32>> {
	let (n, k, format) = (weight.rows(), weight.width(), tier.format(weight.format()));
	let mut out = vec![0f32; x.len() / k * n];
	let panels = Panels::on_this_thread(x, k, format, tier.cut(&format))?;
	let product = Product {
		weight,
		bias: None,
		isa: Isa::Portable,
		tier,
		panels: &panels,
		out: Columns::new(&mut out, n, n, WriteMode::Write),
	};
	product.run(0..weight.tiles(), 0..panels.count())?;
	Ok(out.into_iter().map(f32::to_bits).collect())
}

/// Xorshift.
struct Noise(u64);

impl Noise {
	fn bytes(&mut self, count: usize) -> Vec<u8> {
		let mut next = || {
			self.0 ^= self.0 << 13;
			self.0 ^= self.0 >> 7;
			self.0 ^= self.0 << 17;
			(self.0 >> 32) as u8
		};
		(0..count).map(|_| next()).collect()
	}
}
