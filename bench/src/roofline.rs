//! What the machine can do at most, measured in the same run: reading memory, and multiplying int8.

use crate::protocol::{number, text, Worker};
use anyhow::{bail, Result};
use serde_json::{json, Value};
use std::{hint::black_box, thread, time::Instant};

/// Far more than any cache, so that reading it is reading memory.
const BYTES: usize = 1 << 30;
const PASSES: usize = 3;
const ROUNDS: usize = 20_000_000;

/// The machine itself.
#[derive(Default)]
pub struct Machine {
	memory: Vec<u64>,
}

impl Worker for Machine {
	fn answer(&mut self, request: &Value) -> Result<Value> {
		let threads = number(request, "threads")?.max(1);
		match text(request, "op")? {
			"read" => Ok(json!({ "bytes_per_second": self.read(threads) })),
			"int8" => match multiply(threads) {
				Some(rate) => Ok(json!({ "macs_per_second": rate })),
				None => bail!("no int8 instruction is known for this processor"),
			},
			other => bail!("the machine does not do `{other}`"),
		}
	}
}

impl Machine {
	/// Bytes a second that threads read together, each its own part of a gigabyte, as a sum.
	fn read(&mut self, threads: usize) -> f64 {
		if self.memory.is_empty() {
			self.memory = Vec::with_capacity(BYTES / 8);
			huge_pages(&mut self.memory);
			self.memory.extend(0..BYTES as u64 / 8);
		}
		let part = self.memory.len() / threads;
		let begun = Instant::now();
		for _ in 0..PASSES {
			thread::scope(|scope| {
				for words in self.memory.chunks_exact(part) {
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
	// SAFETY: each is called where the processor has said that it has the feature.
	unsafe {
		match () {
			() if is_x86_feature_detected!("avx512f") => wide(words),
			() if is_x86_feature_detected!("avx2") => half(words),
			() => plain_sum(words),
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

/// Sums in flight: more than latency × ports of any processor so far.
#[cfg(target_arch = "x86_64")]
const SUMS: usize = 16;

#[cfg(target_arch = "x86_64")]
fn macs_per_round() -> Option<usize> {
	match () {
		() if has_vnni() => Some(SUMS * 64),
		() if is_x86_feature_detected!("avx2") => Some(SUMS * 32),
		() => None,
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
	// SAFETY: as in `macs_per_round`, the processor has said what it has.
	unsafe {
		match () {
			() if has_vnni() => vnni(),
			() => madd(),
		}
	}
}

#[cfg(not(target_arch = "x86_64"))]
fn rounds() {}
