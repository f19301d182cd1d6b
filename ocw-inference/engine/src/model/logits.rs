//! Logits of several rows, wherever they were computed, and the tokens that are sampled from them.

use super::tensor::with_elements;
use crate::{gpu::FixedPointLogits, Result};
use assay_numerics::sampler::Sampler;
use candle_core::{Tensor, D};
use rayon::prelude::*;

/// Logits of several rows.
pub(crate) enum Logits {
	/// f32 `[rows, vocabulary]`, in this machine's memory.
	Host(Tensor),
	/// In Q16.16, in the memory of a GPU.
	Gpu(FixedPointLogits),
}

impl Logits {
	/// Returns the token of each of `rows` rows, sampled by its sampler at its step; none if a logit is not finite.
	pub(crate) fn sample<'s>(
		&self,
		rows: usize,
		sampler: impl Fn(usize) -> Option<(&'s Sampler, u32)> + Sync,
	) -> Result<Vec<Option<u32>>> {
		match self {
			Self::Host(logits) => {
				let vocabulary = logits.dim(D::Minus1)?.max(1);
				Ok(with_elements::<f32, _>(logits, |logits| {
					let rows = logits.par_chunks(vocabulary).enumerate();
					rows.map(|(i, logits)| sampler(i).and_then(|(sampler, t)| sampler.sample(logits, t)))
						.collect()
				})?)
			}
			Self::Gpu(logits) => (0..rows)
				.into_par_iter()
				.map(|i| match (sampler(i), logits.best(i)) {
					(Some((sampler, _)), Some((_, first))) if sampler.is_greedy() => Ok(u32::try_from(first).ok()),
					(Some((sampler, t)), Some((largest, first))) => {
						Ok(sampler.sample_quantized(&logits.row(i)?, largest, first, t))
					}
					_ => Ok(None),
				})
				.collect(),
		}
	}
}
