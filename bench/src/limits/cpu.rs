//! The CPU's limits.

use super::Limits;
use std::{hint::black_box, thread, time::Instant};

/// Far more than any cache, so that reading it is reading memory.
const BYTES: usize = 1 << 30;
const PASSES: usize = 3;
const ROUNDS: usize = 20_000_000;

/// A gigabyte to read, filled by the first measurement.
#[derive(Default)]
pub struct Memory(Vec<u64>);

impl Memory {
	/// Measures both with so many threads.
	pub fn limits(&mut self, threads: usize) -> Limits {
		let threads = threads.max(1);
		Limits {
			read: self.read(threads),
			int8: multiply(threads),
		}
	}

	/// Bytes a second that threads read together, each its own part of a gigabyte, as a sum.
	fn read(&mut self, threads: usize) -> f64 {
		if self.0.is_empty() {
			self.0 = Vec::with_capacity(BYTES / 8);
			huge_pages(&mut self.0);
			self.0.extend(0..BYTES as u64 / 8);
		}
		let part = self.0.len() / threads;
		let begun = Instant::now();
		for _ in 0..PASSES {
			thread::scope(|scope| {
				for words in self.0.chunks_exact(part) {
					scope.spawn(move || black_box(sum(words)));
				}
			});
		}
		(PASSES * threads * part * 8) as f64 / begun.elapsed().as_secs_f64()
	}
}

/// Asks for huge pages for what isn't touched yet: else the limit would be the page tables' and not the memory's.
fn huge_pages(memory: &mut Vec<u64>) {
	const PAGE: usize = 4096;
	let room = memory.spare_capacity_mut();
	let begin = room.as_mut_ptr() as usize;
	let (first, end) = (begin.next_multiple_of(PAGE), begin + std::mem::size_of_val(room));
	// SAFETY: whole pages of this vector's own room; the advice changes no contents.
	unsafe {
		libc::madvise(
			first as *mut libc::c_void,
			(end - first) / PAGE * PAGE,
			libc::MADV_HUGEPAGE,
		)
	};
}

#[cfg(target_arch = "x86_64")]
fn sum(words: &[u64]) -> u64 {
	#[target_feature(enable = "avx512f")]
	fn wide(words: &[u64]) -> u64 {
		plain_sum(words)
	}
	#[target_feature(enable = "avx2")]
	fn half(words: &[u64]) -> u64 {
		plain_sum(words)
	}
	// SAFETY: each is called only where the CPU has the feature.
	unsafe {
		if is_x86_feature_detected!("avx512f") {
			wide(words)
		} else if is_x86_feature_detected!("avx2") {
			half(words)
		} else {
			plain_sum(words)
		}
	}
}

#[cfg(not(target_arch = "x86_64"))]
fn sum(words: &[u64]) -> u64 {
	plain_sum(words)
}

/// 64 independent sums: enough for any width of vector.
#[inline(always)]
fn plain_sum(words: &[u64]) -> u64 {
	let mut lanes = [0u64; 64];
	for words in words.chunks_exact(64) {
		for (lane, word) in lanes.iter_mut().zip(words) {
			*lane = lane.wrapping_add(*word);
		}
	}
	lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// Multiply-accumulates a second of all threads together, operands in registers.
fn multiply(threads: usize) -> Option<f64> {
	let per_round = macs_per_round()?;
	let begun = Instant::now();
	thread::scope(|scope| {
		for _ in 0..threads {
			scope.spawn(rounds);
		}
	});
	Some((threads * ROUNDS * per_round) as f64 / begun.elapsed().as_secs_f64())
}

/// Sums in flight: more than latency × ports of any CPU so far.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 16;

#[cfg(target_arch = "x86_64")]
fn macs_per_round() -> Option<usize> {
	if has_vnni() {
		Some(SUMS * 64)
	} else if is_x86_feature_detected!("avx2") {
		Some(SUMS * 32)
	} else {
		None
	}
}

#[cfg(not(target_arch = "x86_64"))]
fn macs_per_round() -> Option<usize> {
	None
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
	is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

#[cfg(target_arch = "x86_64")]
fn rounds() {
	use std::arch::x86_64::*;
	#[target_feature(enable = "avx512f,avx512vnni")]
	fn vnni() {
		let (a, b) = (_mm512_set1_epi8(black_box(3)), _mm512_set1_epi8(black_box(5)));
		let mut sums = [_mm512_setzero_si512(); SUMS];
		for _ in 0..ROUNDS {
			for sum in &mut sums {
				*sum = _mm512_dpbusd_epi32(*sum, a, b);
			}
		}
		black_box(sums);
	}
	#[target_feature(enable = "avx2")]
	fn madd() {
		let (a, ones) = (_mm256_set1_epi8(black_box(3)), _mm256_set1_epi16(black_box(1)));
		let mut sums = [_mm256_setzero_si256(); SUMS];
		for _ in 0..ROUNDS {
			for sum in &mut sums {
				// Each sum multiplies itself, or the compiler would find one product for all of them.
				*sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, *sum), ones));
			}
		}
		black_box(sums);
	}
	// SAFETY: called only where `macs_per_round` has found one of the two features.
	unsafe {
		if has_vnni() {
			vnni()
		} else {
			madd()
		}
	}
}

#[cfg(not(target_arch = "x86_64"))]
fn rounds() {}
