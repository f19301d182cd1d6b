//! Prefetching memory that is read soon.

use crate::packed::memory::LINE;

/// Lines to prefetch into the second cache, some at a time while something else is computed: a core has room for few
/// requests.
#[derive(Clone, Copy)]
pub(super) struct Prefetch {
	/// Nothing is read there, so it may lie anywhere.
	start: *const u8,
	lines: usize,
}

impl Default for Prefetch {
	fn default() -> Self {
		Self::new(core::ptr::null(), 0)
	}
}

impl Prefetch {
	pub(super) fn new(start: *const u8, lines: usize) -> Self {
		Self { start, lines }
	}

	/// Returns how many lines to issue in each of so many steps.
	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	#[inline(always)]
	pub(super) fn per_step(&self, steps: usize) -> usize {
		self.lines.div_ceil(steps.max(1))
	}

	/// Prefetches the next lines, up to so many.
	#[inline(always)]
	pub(super) fn issue(&mut self, lines: usize) {
		let lines = lines.min(self.lines);
		self.lines -= lines;
		for _ in 0..lines {
			#[cfg(all(feature = "simd", target_arch = "x86_64"))]
			{
				use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
				// SAFETY: it reads nothing, may point anywhere, and every x86-64 has it.
				unsafe { _mm_prefetch::<_MM_HINT_T1>(self.start.cast()) };
			}
			self.start = self.start.wrapping_add(LINE);
		}
	}
}
