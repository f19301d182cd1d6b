//! Reproducible chance: many jobs on all cores, with the same result for the same seed.

use assay_primitives::Hash32;
use rand::{rngs::StdRng, RngCore, SeedableRng};
use rayon::prelude::*;
use sp_crypto_hashing::blake2_256;

/// The source of chance. It makes VRF outputs and players; the draws are the chain's own hashes.
pub type Rng = StdRng;

/// Jobs that share one stream of chance.
const CHUNK: u64 = 1_000;

/// How long a simulation is, and its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
	/// Jobs of each row.
	pub jobs: u64,
	/// The seed of everything.
	pub seed: u64,
}

/// The mean of a quantity over all jobs of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
	sum: f64,
	squares: f64,
	jobs: f64,
}

impl Mean {
	/// Returns the mean.
	pub fn value(&self) -> f64 {
		self.sum / self.jobs
	}

	/// Returns the standard error of the mean.
	pub fn error(&self) -> f64 {
		let variance = (self.squares / self.jobs - self.value() * self.value()).max(0.0);
		(variance / self.jobs).sqrt()
	}

	/// Returns the sum over all jobs.
	pub fn sum(&self) -> f64 {
		self.sum
	}

	/// Returns whether the mean may be at most this value: it is not above it by more than three standard errors, of which
	/// the error of a handful of events is at least one event.
	pub fn is_within(&self, bound: f64) -> bool {
		let error = self.error().max(1.0 / self.jobs);
		self.value() - 3.0 * error <= bound
	}

	fn add(&mut self, value: f64) {
		self.sum += value;
		self.squares += value * value;
		self.jobs += 1.0;
	}

	fn merge(&mut self, other: &Self) {
		self.sum += other.sum;
		self.squares += other.squares;
		self.jobs += other.jobs;
	}
}

impl Effort {
	/// Returns the same simulation with fewer jobs, for rows of which each job is long.
	pub fn divided(self, by: u64) -> Self {
		Self {
			jobs: (self.jobs / by).max(1),
			..self
		}
	}

	/// Plays all jobs of a row, and returns the means of what each of them measures. The label names the row: rows with
	/// different labels have different chance.
	pub fn measure<const N: usize>(&self, label: &str, job: impl Fn(&mut Rng) -> [f64; N] + Sync) -> [Mean; N] {
		let chunks: Vec<_> = (0..self.jobs.div_ceil(CHUNK)).collect();
		let parts: Vec<[Mean; N]> = chunks
			.into_par_iter()
			.map(|chunk| {
				let mut rng = self.stream(label, chunk);
				let mut means = [Mean::default(); N];
				for _ in 0..CHUNK.min(self.jobs - chunk * CHUNK) {
					for (mean, value) in means.iter_mut().zip(job(&mut rng)) {
						mean.add(value);
					}
				}
				means
			})
			.collect();
		// In order, so that the sums of floating-point numbers do not depend on the threads.
		parts.iter().fold([Mean::default(); N], |mut sum, part| {
			for (mean, more) in sum.iter_mut().zip(part) {
				mean.merge(more);
			}
			sum
		})
	}

	fn stream(&self, label: &str, chunk: u64) -> Rng {
		let mut bytes = label.as_bytes().to_vec();
		bytes.extend(self.seed.to_le_bytes());
		bytes.extend(chunk.to_le_bytes());
		StdRng::from_seed(blake2_256(&bytes))
	}
}

/// Returns 32 random bytes, such as the output of somebody's VRF.
pub fn hash(rng: &mut Rng) -> Hash32 {
	let mut bytes = [0; 32];
	rng.fill_bytes(&mut bytes);
	bytes
}

#[cfg(test)]
mod tests {
	use super::*;
	use rand::Rng as _;

	#[test]
	fn the_same_seed_and_label_give_the_same_row() {
		let effort = Effort { jobs: 5_500, seed: 7 };
		let row = |effort: Effort, label| effort.measure(label, |rng| [rng.gen::<f64>()])[0];
		assert_eq!(row(effort, "a"), row(effort, "a"));
		assert_ne!(row(effort, "a"), row(effort, "b"));
		assert_ne!(row(effort, "a"), row(Effort { seed: 8, ..effort }, "a"));
		assert!((row(effort, "a").value() - 0.5).abs() < 0.02);
	}

	#[test]
	fn a_mean_is_within_a_bound_unless_it_is_clearly_above() {
		let [half] = Effort { jobs: 10_000, seed: 1 }.measure("half", |rng| [f64::from(u8::from(rng.gen_bool(0.5)))]);
		assert!(half.is_within(0.5) && half.is_within(0.6) && !half.is_within(0.45));
		assert!((half.error() - 0.005).abs() < 0.000_1);
	}
}
