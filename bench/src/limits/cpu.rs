//! The CPU's limits.

use super::Limits;
use assay_numerics::isa::{amx_status, AmxStatus};
use std::{hint::black_box, thread, time::Instant};

/// Far more than any cache, so that reading it is reading memory.
const BYTES: usize = 1 << 30;
const PASSES: usize = 5;
const ROUNDS: usize = 20_000_000;
/// Words from what is read to what is prefetched: 8 kB.
const PREFETCH_DISTANCE: usize = 1024;

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

	/// Bytes a second that threads read together, each its own part of a gigabyte, as a sum: of the fastest pass.
	fn read(&mut self, threads: usize) -> f64 {
		if self.0.is_empty() {
			self.0 = Vec::with_capacity(BYTES / 8);
			huge_pages(&mut self.0);
			self.0.extend(0..BYTES as u64 / 8);
		}
		let part = self.0.len() / threads;
		let pass = |_| {
			let begun = Instant::now();
			thread::scope(|scope| {
				for words in self.0.chunks_exact(part) {
					scope.spawn(move || black_box(sum(words)));
				}
			});
			(threads * part * 8) as f64 / begun.elapsed().as_secs_f64()
		};
		(0..PASSES).map(pass).fold(0.0, f64::max)
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

/// 64 independent sums: enough for any width of vector. Memory is prefetched: a core that waits for what it reads next has
/// too few requests under way to keep a server's memory busy.
#[inline(always)]
fn plain_sum(words: &[u64]) -> u64 {
	let mut lanes = [0u64; 64];
	for words in words.chunks_exact(64) {
		#[cfg(target_arch = "x86_64")]
		for line in words.chunks_exact(8) {
			use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T1};
			// SAFETY: it reads nothing, may point anywhere, and every x86-64 has it.
			unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().wrapping_add(PREFETCH_DISTANCE).cast()) };
		}
		for (lane, word) in lanes.iter_mut().zip(words) {
			*lane = lane.wrapping_add(*word);
		}
	}
	lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

/// Multiply-accumulates a second of all threads together, operands in registers.
fn multiply(threads: usize) -> Option<f64> {
	let amx = amx_status() == AmxStatus::Works;
	let (per_round, rounds): (usize, fn()) = if amx {
		(SUMS * 16 * 16 * 64 / 8, tile_rounds)
	} else {
		(macs_per_round()?, vector_rounds)
	};
	let begun = Instant::now();
	thread::scope(|scope| {
		for _ in 0..threads {
			scope.spawn(rounds);
		}
	});
	Some((threads * ROUNDS * per_round) as f64 / begun.elapsed().as_secs_f64())
}

/// Sums in flight: more than latency × ports of any CPU so far.
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
fn vector_rounds() {
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
fn vector_rounds() {}

/// Multiplies 16 rows of 64 columns with 16 outputs, in four tiles by turns.
#[cfg(target_arch = "x86_64")]
fn tile_rounds() {
	use std::arch::asm;
	#[repr(C, align(64))]
	struct Configuration([u8; 64]);
	let mut configuration = Configuration([0; 64]);
	configuration.0[0] = 1;
	for tile in 0..8 {
		// Bytes of a row, and rows.
		configuration.0[16 + 2 * tile] = 64;
		configuration.0[48 + tile] = 16;
	}
	// SAFETY: called only where AMX was found to work, and the system asked for its tiles. The first block reads the 64 bytes
	// behind the pointer, the others no memory.
	unsafe {
		asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, preserves_flags, readonly));
		for _ in 0..ROUNDS / 8 {
			for _ in 0..SUMS / 4 {
				asm!(
					"tdpbssd tmm0, tmm4, tmm5",
					"tdpbssd tmm1, tmm4, tmm5",
					"tdpbssd tmm2, tmm4, tmm5",
					"tdpbssd tmm3, tmm4, tmm5",
					out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
					options(nomem, nostack, preserves_flags),
				);
			}
		}
		asm!("tilerelease", options(nomem, nostack, preserves_flags));
	}
}

#[cfg(not(target_arch = "x86_64"))]
fn tile_rounds() {}
