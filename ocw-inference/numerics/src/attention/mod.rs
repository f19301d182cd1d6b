//! Attention over f16 pages, in tiles of 256 keys (`docs/spec/c2.md` §2.7).
//!
//! A row sees the keys that its mask names and nothing else, and the tiles have a fixed *size* and fixed borders, so a
//! row's result does not depend on how many rows are computed with it or where its pages are.

mod kernel;

use crate::{
	error::bail_shape,
	kv::{put_head, round_rows, PageShape, Pool, Segment, PAGE},
	simd::{Plain, Simd},
	threads, Isa, Result,
};
use alloc::{vec, vec::Vec};
use core::ops::Range;
use kernel::{Queries, Scratch};

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

/// Writes the keys and values of fused rows q ‖ k ‖ v to the pages of their sequences, then computes attention. Operand
/// f32
/// `[rows, (heads + 2 · kv_heads) · head_dim]`; result `[rows, heads · head_dim]`.
pub struct Attention<'a> {
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
	pub isa: Isa,
}

impl Attention<'_> {
	/// Computes the operation on slices: x `[rows, width]`, out `[rows, heads · head_dim]`. Keys and values go to the
	/// pool, where they stay.
	pub fn apply<S>(&self, pool: &mut Pool<S>, x: &[f32], width: usize, out: &mut [f32]) -> Result<()>
	where
		S: AsRef<[u16]> + AsMut<[u16]>,
	{
		let rows = x.len().checked_div(width).unwrap_or(0);
		let mut kv = vec![0; rows * pool.shape().row()];
		self.apply_and_keep(pool, x, width, &mut kv, out)
	}

	/// [`Self::apply`] that leaves the keys and values of the rows in `kv` too, as they go to the pool: f16 bits
	/// `[rows, 2 · kv_heads · head_dim]`, of each row its keys, then its values.
	pub fn apply_and_keep<S>(
		&self,
		pool: &mut Pool<S>,
		x: &[f32],
		width: usize,
		kv: &mut [u16],
		out: &mut [f32],
	) -> Result<()>
	where
		S: AsRef<[u16]> + AsMut<[u16]>,
	{
		let rows = x.len().checked_div(width).unwrap_or(0);
		pool.check(self.segments, rows)?;
		let shape = pool.shape();
		let elements = pool.elements();
		match pool.storage_mut().as_mut().get_mut(..elements) {
			Some(storage) => self.run(shape, storage, (x, rows, width), kv, out),
			None => bail_shape!("attention: the pages are not in this machine's memory"),
		}
	}

	fn run(
		&self,
		shape: PageShape,
		storage: &mut [u16],
		(x, rows, width): (&[f32], usize, usize),
		kv: &mut [u16],
		out: &mut [f32],
	) -> Result<()> {
		self.check(shape, width)?;
		if x.len() != rows * width || out.len() != rows * self.heads * shape.head_dim {
			bail_shape!(
				"attention: {} values in rows of {width}, {} results",
				x.len(),
				out.len()
			);
		}
		self.isa.check()?;
		let plan = Plan {
			op: self,
			shape,
			x,
			width,
			rows,
		};
		round_rows(x, width, width - shape.row(), kv)?;
		plan.write(kv, storage)?;
		plan.attention(storage, out)
	}

	fn check(&self, shape: PageShape, width: usize) -> Result<()> {
		let PageShape {
			layers,
			kv_heads,
			head_dim,
		} = shape;
		let grouped = kv_heads > 0 && head_dim > 0 && self.heads > 0 && self.heads.is_multiple_of(kv_heads);
		if !grouped || width != (self.heads + 2 * kv_heads) * head_dim || self.layer >= layers {
			bail_shape!("attention: rows of {width}, {} heads, {kv_heads} key heads", self.heads);
		}
		if matches!(self.mask, Mask::Causal { window: Some(0) }) {
			bail_shape!("attention: a window of no keys");
		}
		Ok(())
	}
}

/// What the threads share of an [`Attention`], checked.
struct Plan<'a> {
	op: &'a Attention<'a>,
	shape: PageShape,
	/// The operand `[rows, width]`.
	x: &'a [f32],
	width: usize,
	rows: usize,
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

// SAFETY: each user states why no two threads touch one element.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
	/// # Safety
	/// The range lies inside the memory, which outlives the slice, and nobody else has a part of it.
	unsafe fn slice<'b>(&self, from: usize, len: usize) -> &'b mut [T] {
		// SAFETY: the caller's promise.
		unsafe { core::slice::from_raw_parts_mut(self.0.add(from), len) }
	}
}

impl Plan<'_> {
	/// Returns the keys that the row at a position sees.
	fn keys(&self, segment: &Segment<'_>, position: usize) -> Range<usize> {
		match self.op.mask {
			Mask::Causal { window } => window.map_or(0, |w| (position + 1).saturating_sub(w))..position + 1,
			Mask::Full => 0..segment.start + segment.rows.len(),
		}
	}

	/// Returns whether more than one thread is worth waking for so many multiplications.
	fn worth_threads(&self, work: usize) -> bool {
		threads::count() > 1 && work >= WORTH_THREADS
	}

	/// Puts the keys and values of the rows into the pages.
	fn write(&self, kv: &[u16], storage: &mut [u16]) -> Result<()> {
		let (shape, PageShape { kv_heads, head_dim, .. }) = (self.shape, self.shape);
		let (part, offsets) = (shape.part(), |page| shape.offset(page, self.op.layer));
		let offsets: Vec<Vec<usize>> = (self.op.segments.iter())
			.map(|segment| segment.pages.iter().copied().map(offsets).collect())
			.collect();
		let storage = Shared(storage.as_mut_ptr());
		let head = |head: usize| -> Result<()> {
			for (segment, offsets) in self.op.segments.iter().zip(&offsets) {
				for row in segment.rows.clone() {
					let position = segment.start + row - segment.rows.start;
					let (at, slot) = (offsets[position / PAGE] + head * head_dim * PAGE, position % PAGE);
					// SAFETY: `check` knows the page, and this key head's part of any page is written by this call
					// alone.
					let (keys, to_value) = unsafe {
						(
							storage.slice(at, head_dim * PAGE),
							storage.slice(at + part + slot * head_dim, head_dim),
						)
					};
					let (key, value) = shape.head_of(kv, row, head);
					put_head(key, value, slot, keys, to_value);
				}
			}
			Ok(())
		};
		if self.worth_threads(self.rows * kv_heads * head_dim * 64) {
			threads::try_for_each(0..kv_heads, head)
		} else {
			(0..kv_heads).try_for_each(head)
		}
	}

	/// Computes attention; out `[rows, heads · head_dim]`.
	fn attention(&self, storage: &[u16], out: &mut [f32]) -> Result<()> {
		let PageShape { kv_heads, head_dim, .. } = self.shape;
		let group = self.op.heads / kv_heads;
		// Enough queries that the pages stay in a near cache, few enough that the threads share the work evenly.
		let block = (4 * kernel::QUERIES).div_ceil(group);
		let mut tasks = Vec::new();
		let mut work = 0;
		for segment in self.op.segments {
			for start in segment.rows.clone().step_by(block) {
				let rows = start..segment.rows.end.min(start + block);
				work += rows.len() * (segment.start + rows.end - segment.rows.start) * self.op.heads * head_dim;
				tasks.extend((0..kv_heads).map(|kv_head| Task {
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
				.try_for_each(|task| self.dispatch(task, storage, &mut scratch, &out));
		}
		threads::try_for_each_init(&tasks, Scratch::default, |scratch, task| {
			self.dispatch(task, storage, scratch, &out)
		})
	}

	/// Runs a task with the chosen instruction set.
	fn dispatch(&self, task: &Task<'_>, storage: &[u16], scratch: &mut Scratch, out: &Shared<f32>) -> Result<()> {
		self.op.isa.check()?;
		// SAFETY: `check` asked the CPU for the features.
		unsafe {
			match self.op.isa {
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Isa::Avx512 | Isa::Amx => self.run_avx512(task, storage, scratch, out),
				#[cfg(all(feature = "simd", target_arch = "x86_64"))]
				Isa::Avx2 => self.run_avx2(task, storage, scratch, out),
				#[cfg(all(feature = "simd", target_arch = "aarch64"))]
				Isa::Neon => self.run::<crate::simd::Neon>(task, storage, scratch, out),
				_ => self.run::<Plain>(task, storage, scratch, out),
			}
		}
		Ok(())
	}

	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
	unsafe fn run_avx512(&self, task: &Task<'_>, storage: &[u16], scratch: &mut Scratch, out: &Shared<f32>) {
		// SAFETY: compiled for the features, and the caller's promise.
		unsafe { self.run::<crate::simd::Avx512>(task, storage, scratch, out) }
	}

	#[cfg(all(feature = "simd", target_arch = "x86_64"))]
	#[target_feature(enable = "avx2,fma,f16c")]
	unsafe fn run_avx2(&self, task: &Task<'_>, storage: &[u16], scratch: &mut Scratch, out: &Shared<f32>) {
		// SAFETY: compiled for the features, and the caller's promise.
		unsafe { self.run::<crate::simd::Avx2>(task, storage, scratch, out) }
	}

	/// # Safety
	/// The CPU has the instructions of S, and this is inlined into a function compiled for them.
	#[inline(always)]
	unsafe fn run<S: Simd>(&self, task: &Task<'_>, storage: &[u16], scratch: &mut Scratch, out: &Shared<f32>) {
		let PageShape { kv_heads, head_dim, .. } = self.shape;
		let (segment, heads) = (task.segment, self.op.heads);
		let (group, part, page_head) = (heads / kv_heads, self.shape.part(), task.kv_head * head_dim * PAGE);
		let pages: Vec<_> = (segment.pages.iter())
			.map(|page| {
				let at = self.shape.offset(*page, self.op.layer) + page_head;
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
				outs[i] = unsafe { out.slice((row * heads + head) * head_dim, head_dim) };
			}
			let queries = Queries {
				q: &q[..some.len()],
				keys: &keys[..some.len()],
				pages: &pages,
				scale: self.op.scale,
			};
			// SAFETY: the caller's promise; `check` saw that all keys have pages.
			unsafe { kernel::attention::<S>(&queries, scratch, &mut outs[..some.len()]) };
		}
	}
}
