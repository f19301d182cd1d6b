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

	/// Prefetches all of them.
	pub(super) fn issue(self) {
		self.in_steps(1).step();
	}

	/// Spreads them over so many steps.
	#[inline(always)]
	pub(super) fn in_steps(self, steps: usize) -> Steps {
		Steps {
			next: self.start,
			left: self.lines,
			each: self.lines.div_ceil(steps.max(1)),
		}
	}
}

/// Lines that are prefetched in steps.
pub(super) struct Steps {
	next: *const u8,
	/// Lines of all steps that are left, and of one.
	left: usize,
	each: usize,
}

impl Steps {
	/// Prefetches the next lines.
	#[inline(always)]
	pub(super) fn step(&mut self) {
		let lines = self.each.min(self.left);
		self.left -= lines;
		// Where many panels share the work, it is one, for which no loop is worth beginning.
		if lines == 1 {
			return self.line();
		}
		for _ in 0..lines {
			self.line();
		}
	}

	#[inline(always)]
	fn line(&mut self) {
		#[cfg(all(feature = "simd", target_arch = "x86_64"))]
		{
			use core::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
			// SAFETY: it reads nothing, may point anywhere, and every x86-64 has it.
			unsafe { _mm_prefetch::<_MM_HINT_T1>(self.next.cast()) };
		}
		self.next = self.next.wrapping_add(LINE);
	}
}
