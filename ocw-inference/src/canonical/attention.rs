//! Attention over f16 pages, in tiles of 256 keys (`docs/spec/c1-w8.md` §2.7).
//!
//! A row sees the keys that its mask names and nothing else, and the tiles have a fixed *size* and fixed borders, so a row's
//! result doesn't know how many rows were computed with it or where its pages lie.

use super::{elements, exp::exp, Kernel, Output, Tier};
use crate::kv::{Pool, Segment, PAGE};
use candle_core::{bail, CpuStorage, CustomOp1, Layout, Result};
use half::f16;
use std::{cell::RefCell, ops::Range};

/// Keys whose sums are taken together.
pub const TILE: usize = 256;

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
		let x = elements(x, layout)?;
		let Ok(mut pool) = self.pool.try_borrow_mut() else {
			bail!("attention: the pool is in use")
		};
		self.check(&pool, rows, width)?;
		write(&mut pool, self.layer, self.segments, x, width, self.heads);
		let mut out = vec![0f32; rows * self.heads * pool.head_dim()];
		self.tier.run(Body {
			plan: &Plan {
				layer: self.layer,
				segments: self.segments,
				heads: self.heads,
				scale: self.scale,
				mask: self.mask,
			},
			pool: &pool,
			x,
			width,
			out: &mut out,
		})?;
		Ok((CpuStorage::F32(out), (rows, self.heads * pool.head_dim()).into()))
	}
}

impl Attention<'_> {
	fn check(&self, pool: &Pool, rows: usize, width: usize) -> Result<()> {
		let (kv_heads, head_dim) = (pool.kv_heads(), pool.head_dim());
		let grouped = kv_heads > 0 && head_dim > 0 && self.heads > 0 && self.heads.is_multiple_of(kv_heads);
		if !grouped || width != (self.heads + 2 * kv_heads) * head_dim || self.layer >= pool.layers() {
			bail!("attention: rows of {width}, {} heads, {kv_heads} key heads", self.heads);
		}
		let mut next = 0;
		for segment in self.segments {
			let end = segment.start.checked_add(segment.rows.len()).unwrap_or(usize::MAX);
			let known = segment.pages.iter().all(|page| page.index() < pool.capacity());
			let ordered = segment.rows.start == next && segment.rows.end > next;
			if !ordered || !known || end.div_ceil(PAGE) > segment.pages.len() {
				bail!("attention: segment {segment:?} in a batch of {rows}");
			}
			next = segment.rows.end;
		}
		if next != rows || matches!(self.mask, Mask::Causal { window: Some(0) }) {
			bail!("attention: segments of {next} rows in a batch of {rows}");
		}
		Ok(())
	}
}

/// What the threads share of an [`Attention`].
struct Plan<'a> {
	layer: usize,
	segments: &'a [Segment<'a>],
	heads: usize,
	scale: f32,
	mask: Mask,
}

impl Plan<'_> {
	/// The keys that the row at a position sees.
	fn keys(&self, segment: &Segment<'_>, position: usize) -> Range<usize> {
		match self.mask {
			Mask::Causal { window } => window.map_or(0, |w| (position + 1).saturating_sub(w))..position + 1,
			Mask::Full => 0..segment.start + segment.rows.len(),
		}
	}
}

/// Rounds keys and values to f16 (ties to even) and puts them into the pages.
fn write(pool: &mut Pool, layer: usize, segments: &[Segment<'_>], x: &[f32], width: usize, heads: usize) {
	let (kv_heads, head_dim) = (pool.kv_heads(), pool.head_dim());
	let part = pool.part();
	for segment in segments {
		for row in segment.rows.clone() {
			let position = segment.start + row - segment.rows.start;
			let at = pool.offset(segment.pages[position / PAGE], layer);
			let slot = position % PAGE;
			let (keys, values) = pool.storage_mut()[at..at + 2 * part].split_at_mut(part);
			let (k, v) = x[row * width + heads * head_dim..(row + 1) * width].split_at(kv_heads * head_dim);
			for (i, (k, v)) in k.iter().zip(v).enumerate() {
				let (head, d) = (i / head_dim, i % head_dim);
				keys[i * PAGE + slot] = f16::from_f32(*k).to_bits();
				values[(head * PAGE + slot) * head_dim + d] = f16::from_f32(*v).to_bits();
			}
		}
	}
}

struct Body<'a> {
	plan: &'a Plan<'a>,
	pool: &'a Pool,
	x: &'a [f32],
	width: usize,
	out: &'a mut [f32],
}

impl Kernel for Body<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let (op, pool, head_dim) = (self.plan, self.pool, self.pool.head_dim());
		let group = op.heads / pool.kv_heads();
		let (mut scores, mut tile_out) = (Vec::new(), vec![0f32; head_dim]);
		for segment in op.segments {
			for row in segment.rows.clone() {
				let keys = op.keys(segment, segment.start + row - segment.rows.start);
				for head in 0..op.heads {
					let q = &self.x[row * self.width + head * head_dim..][..head_dim];
					let out = &mut self.out[(row * op.heads + head) * head_dim..][..head_dim];
					let kv = head / group;
					let page = |t: usize| &pool.storage()[pool.offset(segment.pages[t / PAGE], op.layer)..];
					scores.clear();
					for t in keys.clone() {
						let k = &page(t)[kv * head_dim * PAGE..];
						let s = q.iter().enumerate().fold(0f32, |s, (d, q)| {
							q.mul_add(f16::from_bits(k[d * PAGE + t % PAGE]).to_f32(), s)
						});
						scores.push(s * op.scale);
					}
					let max = scores
						.iter()
						.fold(f32::NEG_INFINITY, |m, s| if *s > m { *s } else { m });
					let mut total = 0f32;
					out.fill(0.0);
					let mut t = keys.start;
					while t < keys.end {
						let end = keys.end.min((t / TILE + 1) * TILE);
						let mut tile_total = 0f32;
						tile_out.fill(0.0);
						for t in t..end {
							let e = exp(scores[t - keys.start] - max);
							tile_total += e;
							let v = &page(t)[pool.part() + (kv * PAGE + t % PAGE) * head_dim..][..head_dim];
							for (o, v) in tile_out.iter_mut().zip(v) {
								*o = e.mul_add(f16::from_bits(*v).to_f32(), *o);
							}
						}
						total += tile_total;
						for (o, t) in out.iter_mut().zip(&tile_out) {
							*o += t;
						}
						t = end;
					}
					for o in out {
						*o /= total;
					}
				}
			}
		}
	}
}
