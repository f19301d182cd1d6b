//! Logits of several rows, wherever they were computed, and the tokens that are sampled from them.

use super::tensor::with_elements;
use crate::{gpu::FixedPointLogits, grammar::Mask, Result};
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

/// How the token of a row is sampled.
#[derive(Clone, Copy)]
pub(crate) struct Sampling<'s> {
	pub(crate) sampler: &'s Sampler,
	/// The token's position in the answer.
	pub(crate) step: u32,
	/// The tokens that may come there.
	pub(crate) mask: &'s Mask,
}

impl Sampling<'_> {
	fn of(&self, logits: &[f32]) -> Option<u32> {
		match self.mask {
			Mask::All => self.sampler.sample(logits, self.step),
			Mask::Only(words) => self.sampler.sample_allowed(logits, self.step, words),
			Mask::Nothing => None,
		}
	}

	/// Samples from a row on a GPU, of which `best` is the largest logit and the first token that has it. Only the token of
	/// a greedy sampler without a mask is known there; for others the row is read.
	fn of_gpu(&self, best: (i32, usize), row: impl FnOnce() -> Result<Vec<i32>>) -> Result<Option<u32>> {
		let (largest, first) = best;
		Ok(match self.mask {
			Mask::All if self.sampler.is_greedy() => u32::try_from(first).ok(),
			Mask::All => self.sampler.sample_quantized(&row()?, largest, first, self.step),
			Mask::Only(words) => self.sampler.sample_quantized_allowed(&row()?, self.step, words),
			Mask::Nothing => None,
		})
	}
}

impl Logits {
	/// Returns the token of each of `rows` rows, sampled as it says; none if a logit is not finite or no token may come.
	pub(crate) fn sample<'s>(
		&self,
		rows: usize,
		sampling: impl Fn(usize) -> Option<Sampling<'s>> + Sync,
	) -> Result<Vec<Option<u32>>> {
		match self {
			Self::Host(logits) => {
				let vocabulary = logits.dim(D::Minus1)?.max(1);
				Ok(with_elements::<f32, _>(logits, |logits| {
					let rows = logits.par_chunks(vocabulary).enumerate();
					rows.map(|(i, logits)| sampling(i).and_then(|sampling| sampling.of(logits)))
						.collect()
				})?)
			}
			Self::Gpu(logits) => (0..rows)
				.into_par_iter()
				.map(|i| match (sampling(i), logits.best(i)) {
					(Some(sampling), Some(best)) => sampling.of_gpu(best, || Ok(logits.row(i)?)),
					_ => Ok(None),
				})
				.collect(),
		}
	}
}
