//! Which instruction set computes. The bits are the same.

use crate::{Error, Result};
use alloc::{
	format,
	string::{String, ToString},
};
use core::{fmt, str::FromStr};

/// The instruction set that an operation uses. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
	/// Nothing beyond the target's baseline. On x86-64 that has no fused multiply-add, so it is slow: the reference.
	Portable,
	/// NEON with `sdot`: aarch64 from ARMv8.2 on.
	Neon,
	/// AVX2, FMA and F16C.
	Avx2,
	/// AVX-512 F, BW, VL, DQ and VNNI.
	Avx512,
	/// AVX-512, and the int8 tiles of AMX for linear layers of several rows.
	Amx,
}

impl Isa {
	/// All instruction sets, the slowest first.
	pub const ALL: [Self; 5] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512, Self::Amx];

	/// Returns the fastest instruction set of this machine.
	pub fn detect() -> Self {
		Self::ALL
			.into_iter()
			.rev()
			.find(|isa| isa.works())
			.unwrap_or(Self::Portable)
	}

	/// Returns those that this machine has, the slowest first.
	pub fn available() -> impl Iterator<Item = Self> {
		Self::ALL.into_iter().filter(|isa| isa.works())
	}

	/// Returns whether this machine has the instructions. Of AMX, also whether the system lets this process use them and
	/// whether they gave the bits of the portable code when they were first asked for.
	pub fn works(self) -> bool {
		match self {
			Self::Portable => true,
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx2 => {
				is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
			}
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx512 => {
				Self::Avx2.works()
					&& is_x86_feature_detected!("avx512f")
					&& is_x86_feature_detected!("avx512bw")
					&& is_x86_feature_detected!("avx512vl")
					&& is_x86_feature_detected!("avx512dq")
					&& is_x86_feature_detected!("avx512vnni")
			}
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Amx => amx_status() == AmxStatus::Works,
			#[cfg(all(feature = "simd", target_arch = "aarch64"))]
			Self::Neon => std::arch::is_aarch64_feature_detected!("dotprod"),
			#[allow(unreachable_patterns)]
			_ => false,
		}
	}

	/// Runs a body compiled for this instruction set. Fails if the machine lacks it, or if this thread does not round
	/// as IEEE 754 says.
	pub(crate) fn run<K: Kernel>(self, kernel: K) -> Result<K::Output> {
		self.check()?;
		Ok(self.run_exact(kernel))
	}

	/// [`Self::run`] for bodies that round nothing: how the thread rounds does not matter to them.
	pub(crate) fn run_exact<K: Kernel>(self, kernel: K) -> K::Output {
		match self {
			// SAFETY: `works` asked the CPU for exactly these features.
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx512 | Self::Amx if self.works() => unsafe { run_avx512(kernel) },
			// SAFETY: as above.
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			Self::Avx2 if self.works() => unsafe { run_avx2(kernel) },
			_ => kernel.run(),
		}
	}

	/// Checks that this thread may compute with this instruction set.
	pub(crate) fn check(self) -> Result<()> {
		if !self.works() {
			return Err(Error::Unsupported(self));
		}
		if !rounds_as_ieee754() {
			return Err(Error::Rounding);
		}
		Ok(())
	}
}

/// Whether AMX can be used, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmxStatus {
	/// It works, and gives the bits of the portable code.
	Works,
	/// The CPU, or this build, does not have it.
	Absent,
	/// The system does not let this process use it.
	Denied,
	/// It gave other bits than the portable code, so it is not used.
	Differs,
}

impl fmt::Display for AmxStatus {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Works => "AMX works",
			Self::Absent => "this machine has no AMX",
			Self::Denied => "the system does not let this process use AMX",
			Self::Differs => "AMX gave other bits than the portable code and is not used: this machine may be faulty",
		})
	}
}

/// Returns whether AMX can be used. The first call asks the CPU, then the system, then multiplies on both and compares.
pub fn amx_status() -> AmxStatus {
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	return crate::linear::amx_status();
	#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
	AmxStatus::Absent
}

impl fmt::Display for Isa {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(match self {
			Self::Portable => "portable",
			Self::Neon => "neon",
			Self::Avx2 => "avx2",
			Self::Avx512 => "avx512",
			Self::Amx => "amx",
		})
	}
}

impl FromStr for Isa {
	type Err = String;

	fn from_str(name: &str) -> core::result::Result<Self, String> {
		Self::ALL
			.into_iter()
			.find(|isa| isa.to_string() == name)
			.ok_or_else(|| {
				format!("no instruction set is called `{name}`; there are portable, neon, avx2, avx512 and amx")
			})
	}
}

/// An operation's body on plain slices. Implementations are `#[inline(always)]`, so that each instruction set compiles
/// its own.
pub(crate) trait Kernel {
	/// What it returns.
	type Output;
	/// Computes.
	fn run(self) -> Self::Output;
}

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
	kernel.run()
}

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
	kernel.run()
}

/// Returns whether this thread rounds to nearest and keeps subnormals. A foreign library may have switched either.
#[cfg(target_arch = "x86_64")]
pub(crate) fn rounds_as_ieee754() -> bool {
	// Flush-to-zero, rounding mode, denormals-are-zero.
	const MUST_BE_CLEAR: u32 = 0x8000 | 0x6000 | 0x0040;
	let mut control = 0u32;
	// SAFETY: stores the 32-bit control register at the given address and does nothing else.
	unsafe {
		core::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack, preserves_flags));
	}
	control & MUST_BE_CLEAR == 0
}

/// Returns whether this thread rounds to nearest and keeps subnormals. A foreign library may have switched either.
#[cfg(target_arch = "aarch64")]
pub(crate) fn rounds_as_ieee754() -> bool {
	// Flush-to-zero (also of f16), default NaN, rounding mode.
	const MUST_BE_CLEAR: u64 = 1 << 24 | 1 << 19 | 3 << 22;
	let control: u64;
	// SAFETY: reads the floating-point control register.
	unsafe {
		core::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack, preserves_flags));
	}
	control & MUST_BE_CLEAR == 0
}

/// Nothing is known about other CPUs' switches.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) fn rounds_as_ieee754() -> bool {
	true
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn names_of_instruction_sets_read_back_and_the_portable_one_always_works() {
		for isa in Isa::ALL {
			assert_eq!(isa.to_string().parse(), Ok(isa));
		}
		assert!("avx1".parse::<Isa>().is_err());
		assert!(Isa::available().any(|t| t == Isa::Portable) && Isa::detect().works());
	}

	#[cfg(target_arch = "x86_64")]
	#[test]
	fn a_thread_that_flushes_subnormals_is_refused() {
		let set = |control: u32| {
			// SAFETY: loads the control register of this thread, which ends with the test.
			unsafe { core::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control, options(nostack)) }
		};
		assert!(Isa::Portable.check().is_ok());
		for wrong in [0x9F80, 0x1FC0, 0x3F80] {
			set(wrong);
			let refused = Isa::Portable.check().is_err();
			set(0x1F80);
			assert!(refused, "{wrong:x}");
		}
	}
}
