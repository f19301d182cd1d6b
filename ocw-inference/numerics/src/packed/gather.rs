//! Rows of a quantized table by index.

use super::PackedMatrix;
use crate::{error::bail_shape, Result};
use alloc::{vec, vec::Vec};

/// Rows of a quantized table by index: the embedding (§2.3).
pub struct Gather<'a> {
	/// Row indices.
	pub ids: &'a [u32],
	/// The table.
	pub weight: &'a PackedMatrix,
}

impl Gather<'_> {
	/// Returns the rows, f32 `[ids, width]`.
	pub fn rows(&self) -> Result<Vec<f32>> {
		let width = self.weight.width();
		let mut out = vec![0f32; self.ids.len() * width];
		for (id, out) in self.ids.iter().zip(out.chunks_exact_mut(width)) {
			if !self.weight.row(*id as usize, out) {
				bail_shape!("token {id} is outside the vocabulary of {}", self.weight.rows());
			}
		}
		Ok(out)
	}
}
