//! Attention over f16 pages, in tiles of 256 keys (`docs/spec/c1-w8.md` §2.7).
//!
//! A row sees the keys that its mask names and nothing else, and the tiles have a fixed *size* and fixed borders, so a row's
//! result doesn't know how many rows were computed with it or where its pages lie.

mod kernel;

use super::{
	elements,
	simd::{Plain, Simd},
	Output, Tier,
};
use crate::kv::{Pool, Segment, PAGE};
use candle_core::{bail, CpuStorage, CustomOp1, Layout, Result};
use half::slice::HalfFloatSliceExt;
use kernel::{Queries, Scratch};
use rayon::prelude::*;
use std::{cell::RefCell, ops::Range};

/// Keys whose sums are taken together.
pub const TILE: usize = 256;

/// Multiplications from which on a second thread is worth waking.
const WORTH_THREADS: usize = 1 << 17;

/// Which keys a row at position p sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
	/// Keys 0…p; with a window W, only max(0, p − W + 1)…p.
	Causal {
		/// W.
		window: Option<usize>,
	},
	/// All keys of the sequence, up to the segment's last row: the encoder.
	Full,
}

/// Writes the keys and values of fused rows q ‖ k ‖ v to the pages of their sequences, then attends. Operand f32
/// `[rows, (heads + 2 · kv_heads) · head_dim]`; result `[rows, heads · head_dim]`.
pub struct Attention<'a> {
	/// Where keys and values go and stay.
	pub pool: RefCell<&'a mut Pool>,
	/// Layer of the pool's pages.
	pub layer: usize,
	/// The sequences of the batch; their rows follow one another and cover all rows.
	pub segments: &'a [Segment<'a>],
	/// Query heads.
	pub heads: usize,
	/// `1 / √head_dim`, taken in f64 and rounded.
	pub scale: f32,
	/// Which keys a row sees.
	pub mask: Mask,
	/// Which instructions compute.
	pub tier: Tier,
}

impl CustomOp1 for Attention<'_> {
	fn name(&self) -> &'static str {
		"c1-w8 attention"
	}

	fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Output {
		let (rows, width) = layout.shape().dims2()?;
		let result = (rows, self.width()?);
		let mut out = vec![0f32; result.0 * result.1];
		self.apply(elements(x, layout)?, width, &mut out)?;
		Ok((CpuStorage::F32(out), result.into()))
	}
}

impl Attention<'_> {
	/// Length of a row of the result.
	fn width(&self) -> Result<usize> {
		match self.pool.try_borrow() {
			Ok(pool) => Ok(self.heads * pool.head_dim()),
			Err(_) => bail!("attention: the pool is in use"),
		}
	}

	/// The operation on slices: x `[rows, width]`, out `[rows, heads · head_dim]`.
	pub fn apply(&self, x: &[f32], width: usize, out: &mut [f32]) -> Result<()> {
		let Ok(mut pool) = self.pool.try_borrow_mut() else {
			bail!("attention: the pool is in use")
		};
		let rows = x.len().checked_div(width).unwrap_or(0);
		self.check(&pool, rows, width)?;
		if x.len() != rows * width || out.len() != rows * self.heads * pool.head_dim() {
			bail!(
				"attention: {} values in rows of {width}, {} results",
				x.len(),
				out.len()
			);
		}
		let plan = Plan {
			layer: self.layer,
			segments: self.segments,
			heads: self.heads,
			scale: self.scale,
			mask: self.mask,
			tier: self.tier,
			x,
			width,
			rows,
			kv_heads: pool.kv_heads(),
			head_dim: pool.head_dim(),
		};
		self.tier.check()?;
		plan.write(&mut pool);
		plan.attend(&pool, out)
	}

	fn check(&self, pool: &Pool, rows: usize, width: usize) -> Result<()> {
		let (kv_heads, head_dim) = (pool.kv_heads(), pool.head_dim());
		let grouped = kv_heads > 0 && head_dim > 0 && self.heads > 0 && self.heads.is_multiple_of(kv_heads);
		if !grouped || width != (self.heads + 2 * kv_heads) * head_dim || self.layer >= pool.layers() {
			bail!("attention: rows of {width}, {} heads, {kv_heads} key heads", self.heads);
		}
		if pool.card().is_some() || matches!(self.mask, Mask::Causal { window: Some(0) }) {
			bail!("attention: pages on a graphics card, or a window of no keys");
		}
		pool.check(self.segments, rows)
	}
}

/// What the threads share of an [`Attention`], checked.
struct Plan<'a> {
	layer: usize,
	segments: &'a [Segment<'a>],
	heads: usize,
	scale: f32,
	mask: Mask,
	tier: Tier,
	/// The operand `[rows, width]`.
	x: &'a [f32],
	width: usize,
	rows: usize,
	kv_heads: usize,
	head_dim: usize,
}

/// One key head and some rows of one segment.
struct Task<'a> {
	segment: &'a Segment<'a>,
	kv_head: usize,
	/// Rows of the batch.
	rows: Range<usize>,
}

/// A start of memory that several threads write, each its own elements.
struct Shared<T>(*mut T);

// SAFETY: who uses it says why no two threads touch one element.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
	/// # Safety
	/// The range lies inside the memory, which outlives the slice, and nobody else has a part of it.
	unsafe fn slice<'b>(&self, from: usize, len: usize) -> &'b mut [T] {
		// SAFETY: the caller's promise.
		unsafe { std::slice::from_raw_parts_mut(self.0.add(from), len) }
	}
}

impl Plan<'_> {
	/// The keys that the row at a position sees.
	fn keys(&self, segment: &Segment<'_>, position: usize) -> Range<usize> {
		match self.mask {
			Mask::Causal { window } => window.map_or(0, |w| (position + 1).saturating_sub(w))..position + 1,
			Mask::Full => 0..segment.start + segment.rows.len(),
		}
	}

	/// Whether more than one thread is worth waking for so many multiplications.
	fn worth_threads(&self, work: usize) -> bool {
		rayon::current_num_threads() > 1 && work >= WORTH_THREADS
	}

	/// Rounds keys and values to f16 (ties to even) and puts them into the pages.
	fn write(&self, pool: &mut Pool) {
		let (part, offsets) = (pool.part(), |page| pool.offset(page, self.layer));
		let offsets: Vec<Vec<usize>> = self
			.segments
			.iter()
			.map(|segment| segment.pages.iter().copied().map(offsets).collect())
			.collect();
		let storage = Shared(pool.storage_mut().as_mut_ptr());
		let head = |head: usize| {
			let mut halves = vec![half::f16::ZERO; self.head_dim];
			for (segment, offsets) in self.segments.iter().zip(&offsets) {
				for row in segment.rows.clone() {
					let position = segment.start + row - segment.rows.start;
					let (at, slot) = (offsets[position / PAGE] + head * self.head_dim * PAGE, position % PAGE);
					let part_of_row = |part: usize| {
						let from = row * self.width + (self.heads + part * self.kv_heads + head) * self.head_dim;
						&self.x[from..from + self.head_dim]
					};
					// SAFETY: `check` knows the page, and this key head's part of any page is written by this call alone.
					let (keys, values) = unsafe {
						(
							storage.slice(at, self.head_dim * PAGE),
							storage.slice(at + part + slot * self.head_dim, self.head_dim),
						)
					};
					halves.convert_from_f32_slice(part_of_row(0));
					for (key, half) in keys.iter_mut().skip(slot).step_by(PAGE).zip(&halves) {
						*key = half.to_bits();
					}
					halves.convert_from_f32_slice(part_of_row(1));
					for (value, half) in values.iter_mut().zip(&halves) {
						*value = half.to_bits();
					}
				}
			}
		};
		match self.worth_threads(self.rows * self.kv_heads * self.head_dim * 64) {
			true => (0..self.kv_heads).into_par_iter().with_max_len(1).for_each(head),
			false => (0..self.kv_heads).for_each(head),
		}
	}

	/// Attends; out `[rows, heads · head_dim]`.
	fn attend(&self, pool: &Pool, out: &mut [f32]) -> Result<()> {
		let group = self.heads / self.kv_heads;
		// Enough queries that the pages stay in a near cache, few enough that the threads share the work evenly.
		let block = (4 * kernel::QUERIES).div_ceil(group);
		let mut tasks = Vec::new();
		let mut work = 0;
		for segment in self.segments {
			for start in segment.rows.clone().step_by(block) {
				let rows = start..segment.rows.end.min(start + block);
				work += rows.len() * (segment.start + rows.end - segment.rows.start) * self.heads * self.head_dim;
				tasks.extend((0..self.kv_heads).map(|kv_head| Task {
					segment,
					kv_head,
					rows: rows.clone(),
				}));
			}
		}
		let out = Shared(out.as_mut_ptr());
		if !self.worth_threads(work) {
			let mut scratch = Scratch::default();
			return tasks
				.iter()
				.try_for_each(|task| self.dispatch(task, pool, &mut scratch, &out));
		}
		tasks
			.par_iter()
			.with_max_len(1)
			.try_for_each_init(Scratch::default, |scratch, task| {
				self.dispatch(task, pool, scratch, &out)
			})
	}

	/// Runs a task on the tier's instructions.
	fn dispatch(&self, task: &Task<'_>, pool: &Pool, scratch: &mut Scratch, out: &Shared<f32>) -> Result<()> {
		self.tier.check()?;
		// SAFETY: `check` asked the processor for the features.
		unsafe {
			match self.tier {
				#[cfg(target_arch = "x86_64")]
				Tier::Avx512 => self.run_avx512(task, pool, scratch, out),
				#[cfg(target_arch = "x86_64")]
				Tier::Avx2 => self.run_avx2(task, pool, scratch, out),
				#[cfg(target_arch = "aarch64")]
				Tier::Neon => self.run::<super::simd::Neon>(task, pool, scratch, out),
				_ => self.run::<Plain>(task, pool, scratch, out),
			}
		}
		Ok(())
	}

	#[cfg(target_arch = "x86_64")]
	#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
	unsafe fn run_avx512(&self, task: &Task<'_>, pool: &Pool, scratch: &mut Scratch, out: &Shared<f32>) {
		// SAFETY: compiled for the features, and the caller's promise.
		unsafe { self.run::<super::simd::Avx512>(task, pool, scratch, out) }
	}

	#[cfg(target_arch = "x86_64")]
	#[target_feature(enable = "avx2,fma,f16c")]
	unsafe fn run_avx2(&self, task: &Task<'_>, pool: &Pool, scratch: &mut Scratch, out: &Shared<f32>) {
		// SAFETY: compiled for the features, and the caller's promise.
		unsafe { self.run::<super::simd::Avx2>(task, pool, scratch, out) }
	}

	/// # Safety
	/// The processor has the instructions of S, and this is inlined into a function compiled for them.
	#[inline(always)]
	unsafe fn run<S: Simd>(&self, task: &Task<'_>, pool: &Pool, scratch: &mut Scratch, out: &Shared<f32>) {
		let (segment, head_dim, group) = (task.segment, self.head_dim, self.heads / self.kv_heads);
		let (storage, part, page_head) = (pool.storage(), pool.part(), task.kv_head * head_dim * PAGE);
		let pages: Vec<_> = (segment.pages.iter())
			.map(|page| {
				let at = pool.offset(*page, self.layer) + page_head;
				let page = |at: usize| &storage[at..at + head_dim * PAGE];
				(page(at), page(at + part))
			})
			.collect();
		let all: Vec<_> = (task.rows.clone())
			.flat_map(|row| (0..group).map(move |head| (row, task.kv_head * group + head)))
			.collect();
		for some in all.chunks(S::QUERIES) {
			let mut q = [&[][..]; kernel::QUERIES];
			let mut keys = [const { 0..0 }; kernel::QUERIES];
			let mut outs: [&mut [f32]; kernel::QUERIES] = Default::default();
			for (i, (row, head)) in some.iter().enumerate() {
				q[i] = &self.x[row * self.width + head * head_dim..][..head_dim];
				keys[i] = self.keys(segment, segment.start + row - segment.rows.start);
				// SAFETY: inside the result; row and head belong to this task alone.
				outs[i] = unsafe { out.slice((row * self.heads + head) * head_dim, head_dim) };
			}
			let queries = Queries {
				q: &q[..some.len()],
				keys: &keys[..some.len()],
				pages: &pages,
				scale: self.scale,
			};
			// SAFETY: the caller's promise; `check` saw that all keys have pages.
			unsafe { kernel::attend::<S>(&queries, scratch, &mut outs[..some.len()]) };
		}
	}
}
