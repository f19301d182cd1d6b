//! Memory that is asked for before it is read.

use crate::packed::memory::LINE;

/// Memory that is read soon, asked for piece by piece while something else is computed: the cores have room for few
/// requests at a time.
#[derive(Clone, Copy)]
pub(super) struct Upcoming {
	/// Nothing is read there, so it may lie anywhere.
	start: *const u8,
	lines: usize,
}

impl Default for Upcoming {
	fn default() -> Self {
		Self::new(core::ptr::null(), 0)
	}
}

impl Upcoming {
	pub(super) fn new(start: *const u8, lines: usize) -> Self {
		Self { start, lines }
	}

	/// Returns how many lines make about so many pieces.
	#[inline(always)]
	pub(super) fn piece(&self, pieces: usize) -> usize {
		self.lines.div_ceil(pieces.max(1))
	}

	/// Asks for up to so many lines that were not asked for.
	#[inline(always)]
	pub(super) fn ask(&mut self, lines: usize) {
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
