//! Operations of the profile for one element or one row, from bytes that somebody committed to: what a referee computes.
//!
//! Everything here is the portable definition of an operation on the smallest operands that it has, without threads,
//! `std` or features of a machine. Weights are rows in the form that they have in a file, keys and values are rows as the
//! trace hashes them. Sizes that do not fit are errors.
//!
//! | step of a layer (§3.1) | here |
//! |---|---|
//! | an element of a product, a logit | [`linear_element`] |
//! | a row of the embedding | [`embedding_row`] |
//! | a norm of a row, or of a head | [`rms_norm`] |
//! | a rotated pair, and its angle | [`rotate`], [`Tables::of`](crate::rope::Tables::of) |
//! | a head of a row after attention | [`attention_head`] |
//! | an element of the gate | [`gate`] |
//! | the choice of a token | [`choose`], [`outranks`] |
//! | all rows of one chunk and layer | [`Cell`] |

mod cell;

pub use cell::{Cell, CellRows, LayerMatrix, LayerShape, LayerVector, LayerWeights};

use crate::{
	activation::SiluMul,
	attention::{Attention, Mask},
	error::bail_shape,
	format::MatrixFormat,
	kv::{PageId, PageShape, Pool, Segment, PAGE},
	linear::Linear,
	norm::RmsNorm,
	packed::PackedMatrix,
	rope::Rope,
	sampler::{fixed_point, Sampler},
	Isa, Result,
};
use alloc::{vec, vec::Vec};
use half::f16;

/// A row of a quantized matrix as it is in a file.
#[derive(Clone, Copy, Debug)]
pub struct WeightRow<'a> {
	/// Its weights: int8, or two 4-bit numbers a byte.
	pub weights: &'a [u8],
	/// Its scales, f16 little-endian.
	pub scales: &'a [u8],
	/// Its zero points, two a byte; empty where the format has none.
	pub zeros: &'a [u8],
}

/// Returns the element of `linear(x, W)` that a row of W gives (§2.2), with the element of the bias if there is one.
pub fn linear_element(x: &[f32], format: MatrixFormat, row: &WeightRow<'_>, bias: Option<f32>) -> Result<f32> {
	let weight = &pack(format, x.len(), core::iter::once(Ok(*row)))?;
	let (mut y, bias) = ([0.0], bias.map(|bias| [bias]));
	let linear = Linear {
		weight,
		bias: bias.as_ref().map(<[f32; 1]>::as_slice),
		isa: Isa::Portable,
	};
	linear.apply(x, &mut y)?;
	Ok(y[0])
}

/// Returns the row of an embedding of this width (§2.3).
pub fn embedding_row(width: usize, format: MatrixFormat, row: &WeightRow<'_>) -> Result<Vec<f32>> {
	let table = pack(format, width, core::iter::once(Ok(*row)))?;
	let mut out = vec![0.0; width];
	table.row(0, &mut out);
	Ok(out)
}

/// Packs rows of a matrix.
fn pack<'a>(
	format: MatrixFormat,
	width: usize,
	rows: impl ExactSizeIterator<Item = Result<WeightRow<'a>>>,
) -> Result<PackedMatrix> {
	let mut matrix = PackedMatrix::zeros(rows.len(), width, format)?;
	for (i, row) in rows.enumerate() {
		let WeightRow { weights, scales, zeros } = row?;
		let sizes = [
			format.weight_bytes(width),
			format.scale_bytes(width),
			format.zero_bytes(width),
		];
		if [weights.len(), scales.len(), zeros.len()] != sizes {
			bail_shape!("a row of {width} in {format} has {sizes:?} bytes of weights, scales and zero points");
		}
		matrix.put_weights(i, weights)?;
		matrix.put_scales(i, scales)?;
		if !zeros.is_empty() {
			matrix.put_zeros(i, zeros)?;
		}
	}
	Ok(matrix)
}

/// Returns the RMS norm of a row (§2.4), or of one head (§2.9).
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Result<Vec<f32>> {
	let mut out = vec![0.0; x.len()];
	let norm = RmsNorm {
		weight,
		epsilon,
		isa: Isa::Portable,
	};
	norm.apply(x, &mut out)?;
	Ok(out)
}

/// Returns elements i and i + head_dim/2 of a head after the rotation by an angle (§2.6).
pub fn rotate(pair: [f32; 2], cos: f32, sin: f32) -> Result<[f32; 2]> {
	let mut rotated = pair;
	let rope = Rope {
		cos: &[cos],
		sin: &[sin],
		positions: &[0],
		heads: 1,
		head_dim: 2,
		isa: Isa::Portable,
	};
	rope.apply(&mut rotated, 2)?;
	Ok(rotated)
}

/// Returns one head of attention of the row at the last of some positions (§2.7), from its rotated query and the keys
/// and values of that head, f16 bits `[positions, head_dim]`, from position 0 on. What the mask hides may be anything.
pub fn attention_head(q: &[f32], keys: &[u16], values: &[u16], scale: f32, mask: Mask) -> Result<Vec<f32>> {
	let head_dim = q.len();
	let positions = keys.len().checked_div(head_dim).unwrap_or(0);
	if positions == 0 || positions * head_dim != keys.len() || values.len() != keys.len() {
		bail_shape!(
			"attention: {} keys and {} values of a head of {head_dim}",
			keys.len(),
			values.len()
		);
	}
	let rows: Vec<u16> = (keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim)))
		.flat_map(|(key, value)| key.iter().chain(value))
		.copied()
		.collect();
	let shape = PageShape {
		layers: 1,
		kv_heads: 1,
		head_dim,
	};
	let last = positions - 1;
	let (before, own) = rows.split_at(last * shape.row());
	let (mut pool, pages) = pages(shape, before, positions)?;
	// Halves as floats, which are rounded to themselves again.
	let own = own.iter().map(|half| f16::from_bits(*half).to_f32());
	let x: Vec<f32> = q.iter().copied().chain(own).collect();
	let attention = Attention {
		layer: 0,
		segments: &[Segment {
			rows: 0..1,
			start: last,
			pages: &pages,
		}],
		heads: 1,
		scale,
		mask,
		isa: Isa::Portable,
	};
	let mut out = vec![0.0; head_dim];
	attention.apply(&mut pool, &x, 3 * head_dim, &mut out)?;
	Ok(out)
}

/// Returns pages for so many positions of one layer, of which the first have these keys and values.
fn pages(shape: PageShape, rows: &[u16], positions: usize) -> Result<(Pool, Vec<PageId>)> {
	let mut pool = Pool::new(shape, positions.div_ceil(PAGE))?;
	let pages: Vec<PageId> = core::iter::from_fn(|| pool.alloc()).collect();
	for (page, rows) in pages.iter().zip(rows.chunks((PAGE * shape.row()).max(1))) {
		if let Some(page) = pool.page_mut(*page, 0) {
			shape.put_rows(rows, page)?;
		}
	}
	Ok((pool, pages))
}

/// Returns an element of the gate (§2.8).
pub fn gate(g: f32, u: f32) -> Result<f32> {
	let mut y = [0.0];
	SiluMul { isa: Isa::Portable }.apply(&[g, u], 2, &mut y)?;
	Ok(y[0])
}

/// Returns the token that step `t` of a run chooses from a row of logits (§5.1), of those that a mask allows if there is
/// one; none if the row fails or no token is allowed.
pub fn choose(sampler: &Sampler, logits: &[f32], t: u32, mask: Option<&[u32]>) -> Option<u32> {
	match mask {
		None => sampler.sample(logits, t),
		Some(mask) => sampler.sample_allowed(logits, t, mask),
	}
}

/// Returns whether step `t` of a run prefers one token to another, each with its logit, if its filters keep both: who
/// shows such a token has shown that the other was not chosen. None if a logit is not finite.
pub fn outranks(sampler: &Sampler, t: u32, token: (u32, f32), other: (u32, f32)) -> Option<bool> {
	let score = |(id, logit): (u32, f32)| logit.is_finite().then(|| sampler.score(fixed_point(logit), t, id));
	let (one, two) = (score(token)?, score(other)?);
	Some(one > two || (one == two && token.0 < other.0))
}
