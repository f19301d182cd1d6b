//! Sampler `s1`: which token a row of logits gives, as integers from the first rounding on.

use assay_primitives::{Hash32, SamplingParams};
use std::cmp::Reverse;

const ONE: f64 = 65_536.0;

/// The sampler of one job.
pub struct Sampler {
	seed: Hash32,
	temperature: i64,
	top_k: usize,
	/// Largest distance below the best logit that passes min-p, in Q32.32.
	reach: Option<i64>,
}

impl Sampler {
	/// The sampler for a job's parameters and seed.
	pub fn new(params: &SamplingParams, seed: Hash32) -> Self {
		let temperature = i64::from(params.temperature);
		// p_v / p_max = exp((l_v − l_max) / T) ≥ p  ⇔  l_max − l_v ≤ −T · ln p
		let reach = (params.min_p > 0).then(|| temperature * -q16(libm::log(f64::from(params.min_p) / ONE)));
		Self {
			seed,
			temperature,
			top_k: params.top_k as usize,
			reach,
		}
	}

	/// The token that step `t` chooses; none if a logit is NaN or infinite. Ties go to the lowest id.
	pub fn choose(&self, logits: &[f32], t: u32) -> Option<u32> {
		if !logits.iter().fold(true, |ok, l| ok & l.is_finite()) {
			return None;
		}
		let l: Vec<i64> = logits.iter().map(|l| q16(f64::from(*l))).collect();
		let best = |scores: &mut dyn Iterator<Item = (usize, i64)>| {
			scores
				.min_by_key(|(id, score)| (Reverse(*score), *id))
				.and_then(|(id, _)| u32::try_from(id).ok())
		};
		if self.temperature == 0 {
			return best(&mut l.iter().copied().enumerate());
		}
		let keep = self.keep(&l);
		let mut noise = Gumbel::new(&self.seed, t);
		best(&mut l.iter().zip(keep).enumerate().filter_map(|(id, (l, keep))| {
			let uniform = noise.next();
			keep.then(|| (id, (l << 16) + self.temperature * gumbel(uniform)))
		}))
	}

	/// Which tokens the filters keep. The best one always stays.
	fn keep(&self, l: &[i64]) -> Vec<bool> {
		let floor = self.reach.and_then(|reach| Some((l.iter().max()? << 16) - reach));
		let mut keep: Vec<bool> = l.iter().map(|l| floor.is_none_or(|floor| l << 16 >= floor)).collect();
		if self.top_k > 0 && self.top_k < l.len() {
			let mut order: Vec<usize> = (0..l.len()).collect();
			// A total order, so that what is cut off doesn't depend on the algorithm.
			order.select_nth_unstable_by_key(self.top_k, |id| (Reverse(l.get(*id).copied()), *id));
			for id in order.into_iter().skip(self.top_k) {
				if let Some(keep) = keep.get_mut(id) {
					*keep = false;
				}
			}
		}
		keep
	}
}

/// Q16.16, ties to even, saturating at 32 bits.
fn q16(x: f64) -> i64 {
	i64::from((x * ONE).round_ties_even() as i32)
}

/// −ln(−ln U) in Q16.16.
fn gumbel(uniform: f64) -> i64 {
	q16(-libm::log(-libm::log(uniform)))
}

/// U of token 0, 1, 2 … at one step: 52 bits of BLAKE3's output stream each, at the middle of their interval, so that U is
/// never 0 or 1.
struct Gumbel {
	stream: blake3::OutputReader,
	buffer: [u8; 4096],
	at: usize,
}

impl Gumbel {
	fn new(seed: &Hash32, t: u32) -> Self {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/sampler-s1");
		hasher.update(seed).update(&t.to_le_bytes());
		Self {
			stream: hasher.finalize_xof(),
			buffer: [0; 4096],
			at: 4096,
		}
	}

	fn next(&mut self) -> f64 {
		if self.at >= self.buffer.len() {
			self.stream.fill(&mut self.buffer);
			self.at = 0;
		}
		let bytes = self
			.buffer
			.get(self.at..self.at + 8)
			.and_then(|b| b.try_into().ok())
			.unwrap_or_default();
		self.at += 8;
		((u64::from_le_bytes(bytes) >> 12) as f64 + 0.5) / (1u64 << 52) as f64
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn params(temperature: u32, top_k: u32, min_p: u32) -> SamplingParams {
		SamplingParams {
			temperature,
			top_k,
			min_p,
			..SamplingParams::greedy(8)
		}
	}

	fn counts(params: &SamplingParams, logits: &[f32], draws: u32) -> Vec<u32> {
		let sampler = Sampler::new(params, [7; 32]);
		let mut counts = vec![0; logits.len()];
		for t in 0..draws {
			counts[sampler.choose(logits, t).unwrap() as usize] += 1;
		}
		counts
	}

	#[test]
	fn temperature_zero_takes_the_largest_logit_and_the_lowest_id_of_a_tie() {
		let sampler = Sampler::new(&params(0, 0, 0), [0; 32]);
		assert_eq!(sampler.choose(&[0.5, 2.0, 2.0, 1.0], 0), Some(1));
		// Closer than a step of Q16.16 is a tie.
		assert_eq!(sampler.choose(&[1.0, 1.000_001], 0), Some(0));
	}

	#[test]
	fn tokens_come_as_often_as_the_softmax_says() {
		let logits = [0.0f32, 1.0, 2.0, -1.0];
		for temperature in [0.5f64, 1.0, 2.0] {
			let weights: Vec<f64> = logits.iter().map(|l| (f64::from(*l) / temperature).exp()).collect();
			let total: f64 = weights.iter().sum();
			let counts = counts(&params((temperature * ONE) as u32, 0, 0), &logits, 20_000);
			for (count, weight) in counts.iter().zip(&weights) {
				assert!(
					(f64::from(*count) / 20_000.0 - weight / total).abs() < 0.015,
					"{counts:?}"
				);
			}
		}
	}

	#[test]
	fn top_k_keeps_the_largest_and_the_lowest_ids_of_a_tie() {
		let counts = counts(&params(1 << 20, 2, 0), &[1.0, 3.0, 1.0, 0.0], 2_000);
		assert!(
			counts[0] > 0 && counts[1] > 0 && counts[2] == 0 && counts[3] == 0,
			"{counts:?}"
		);
	}

	#[test]
	fn min_p_keeps_what_is_probable_enough_relative_to_the_best() {
		// e^-1 = 0.37 passes one quarter, e^-2 = 0.14 doesn't.
		let counts = counts(&params(1 << 16, 0, 1 << 14), &[2.0, 1.0, 0.0], 2_000);
		assert!(counts[0] > 0 && counts[1] > 0 && counts[2] == 0, "{counts:?}");
	}

	#[test]
	fn another_seed_or_step_draws_other_noise() {
		let (mut a, mut b, mut c) = (
			Gumbel::new(&[0; 32], 0),
			Gumbel::new(&[0; 32], 1),
			Gumbel::new(&[1; 32], 0),
		);
		let draw = |g: &mut Gumbel| (0..600).map(|_| g.next().to_bits()).collect::<Vec<_>>();
		let (a, b, c) = (draw(&mut a), draw(&mut b), draw(&mut c));
		assert!(a != b && b != c && a != c);
		assert!(a
			.iter()
			.all(|u| (0.0..1.0).contains(&f64::from_bits(*u)) && f64::from_bits(*u) > 0.0));
	}

	#[test]
	fn a_row_that_is_not_finite_chooses_nothing() {
		let sampler = Sampler::new(&params(1 << 16, 0, 0), [0; 32]);
		assert_eq!(sampler.choose(&[0.0, f32::NAN], 0), None);
		assert_eq!(sampler.choose(&[0.0, f32::INFINITY], 0), None);
	}
}
