//! Sampler `s1`: which token a row of logits gives, as integers from the first rounding on.

#[cfg(not(feature = "std"))]
use crate::math::Float;
use crate::{isa::Kernel, Isa};
use alloc::vec::Vec;

const ONE: f64 = 65_536.0;
/// Tokens that are looked at together: most groups have none that could win.
const GROUP: usize = 64;

/// The sampler of one answer.
pub struct Sampler {
	seed: [u8; 32],
	temperature: i64,
	top_k: usize,
	/// Largest distance below the best logit that passes min-p, in Q32.32.
	min_p_threshold: Option<i64>,
}

#[cfg(feature = "std")]
std::thread_local! {
	/// Logits in Q16.16, kept between rows: a vocabulary is too large to allocate for each.
	static LOGITS: core::cell::RefCell<Vec<i32>> = const { core::cell::RefCell::new(Vec::new()) };
}

/// Calls `f` with a buffer for the logits of one row, whose contents are arbitrary.
fn with_buffer<R>(len: usize, f: impl FnOnce(&mut [i32]) -> R) -> R {
	#[cfg(feature = "std")]
	return LOGITS.with_borrow_mut(|buffer| {
		buffer.resize(len, 0);
		f(buffer)
	});
	#[cfg(not(feature = "std"))]
	f(&mut alloc::vec![0; len])
}

impl Sampler {
	/// Makes the sampler of one answer. Temperature and min-p are Q16.16; a top-k or min-p of 0 is no filter.
	pub fn new(temperature: u32, top_k: u32, min_p: u32, seed: [u8; 32]) -> Self {
		let temperature = i64::from(temperature);
		// p_v / p_max = exp((l_v − l_max) / T) ≥ p  ⇔  l_max − l_v ≤ −T · ln p
		let min_p_threshold = (min_p > 0).then(|| temperature * -q16(libm::log(f64::from(min_p) / ONE)));
		Self {
			seed,
			temperature,
			top_k: top_k as usize,
			min_p_threshold,
		}
	}

	/// Returns the token that step `t` samples; none if a logit is NaN or infinite. Ties go to the lowest id. Rows are
	/// independent of one another, so many may be sampled in parallel.
	pub fn sample(&self, logits: &[f32], t: u32) -> Option<u32> {
		with_buffer(logits.len(), |l| {
			let (finite, largest) = Isa::detect().run_exact(QuantizeLogits { logits, l: &mut *l });
			let first = l.iter().position(|l| *l == largest).filter(|_| finite)?;
			if self.is_greedy() {
				u32::try_from(first).ok()
			} else {
				self.sample_quantized(l, largest, first, t)
			}
		})
	}

	/// Returns the token that step `t` samples of those that a mask allows, as if there were no others; none if a logit of the
	/// row is NaN or infinite, or if no token is allowed. Token v is allowed if bit v of the mask is set, from the lowest bit
	/// of the first word on.
	pub fn sample_allowed(&self, logits: &[f32], t: u32, mask: &[u32]) -> Option<u32> {
		with_buffer(logits.len(), |l| {
			let (finite, _) = Isa::detect().run_exact(QuantizeLogits { logits, l: &mut *l });
			if finite {
				self.sample_quantized_allowed(l, t, mask)
			} else {
				None
			}
		})
	}

	/// [`sample_allowed`](Self::sample_allowed) of logits in Q16.16.
	pub fn sample_quantized_allowed(&self, l: &[i32], t: u32, mask: &[u32]) -> Option<u32> {
		let (mut ids, mut allowed) = (Vec::new(), Vec::new());
		for (i, (word, some)) in mask.iter().zip(l.chunks(32)).enumerate() {
			let mut bits = *word;
			while bits != 0 {
				let bit = bits.trailing_zeros() as usize;
				bits &= bits - 1;
				if let Some(l) = some.get(bit) {
					ids.push(i * 32 + bit);
					allowed.push(*l);
				}
			}
		}
		let largest = *allowed.iter().max()?;
		let at = allowed.iter().position(|l| *l == largest)?;
		let first = *ids.get(at)?;
		if self.is_greedy() {
			return u32::try_from(first).ok();
		}
		// Among the allowed tokens alone places are in the order of ids, so ties fall the same way.
		let named = |(place, l): (usize, i32)| ids.get(place).map(|id| (*id, l));
		let kept: Vec<(usize, i32)> = match self.kept(&allowed, largest) {
			Some(kept) => kept.into_iter().filter_map(named).collect(),
			None => ids.iter().copied().zip(allowed.iter().copied()).collect(),
		};
		let mut argmax = GumbelArgmax::from(self, t, largest, first);
		argmax.among(&kept, l.len());
		u32::try_from(argmax.id).ok()
	}

	/// Returns the score of a token with a logit in Q16.16 at step `t`: the largest is chosen, of equal ones the lowest id.
	pub fn score(&self, l: i32, t: u32, id: u32) -> i64 {
		score(self.temperature, l, Noise::new(&self.seed, t).at(id as usize))
	}

	/// Returns whether the best logit alone decides.
	pub fn is_greedy(&self) -> bool {
		self.temperature == 0
	}

	/// Returns the token that step `t` samples of logits in Q16.16, of which `first` is the first that has the largest.
	pub fn sample_quantized(&self, l: &[i32], largest: i32, first: usize, t: u32) -> Option<u32> {
		let mut argmax = GumbelArgmax::from(self, t, largest, first);
		match self.kept(l, largest) {
			Some(kept) => argmax.among(&kept, l.len()),
			None => argmax.all(l),
		}
		u32::try_from(argmax.id).ok()
	}

	/// Returns the tokens that the filters keep, ids ascending; none if there are no filters. Both look at all tokens.
	fn kept(&self, l: &[i32], largest: i32) -> Option<Vec<(usize, i32)>> {
		// l · 2¹⁶ ≥ l_max · 2¹⁶ − threshold, as a bound of l.
		let floor = self
			.min_p_threshold
			.map(|threshold| ((i64::from(largest) << 16) - threshold + 0xFFFF) >> 16);
		let least = floor.map_or(i32::MIN, |floor| {
			floor.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
		});
		if self.top_k > 0 && self.top_k < l.len() {
			return Some(top(l, self.top_k, least));
		}
		floor.map(|_| {
			let mut kept = Vec::new();
			collect(l, |l| l >= least, |id, l| kept.push((id, l)));
			kept
		})
	}
}

/// Calls `take` for the tokens that `good` wants, ids ascending. What is wanted is rare.
#[inline(always)]
fn collect(l: &[i32], good: impl Fn(i32) -> bool, mut take: impl FnMut(usize, i32)) {
	for (group, some) in l.chunks(GROUP).enumerate() {
		if some.iter().fold(false, |any, l| any | good(*l)) {
			for (i, l) in some.iter().enumerate().filter(|(_, l)| good(**l)) {
				take(group * GROUP + i, *l);
			}
		}
	}
}

/// The k first tokens in the order (l descending, id ascending) that reach `least`, ids ascending.
fn top(l: &[i32], k: usize, least: i32) -> Vec<(usize, i32)> {
	// A total order, so that what is cut off does not depend on the algorithm.
	let order = |a: &(usize, i32), b: &(usize, i32)| b.1.cmp(&a.1).then(a.0.cmp(&b.0));
	let mut best: Vec<(usize, i32)> = Vec::with_capacity(2 * k);
	// Once there are k, an equal one with a higher id is behind them.
	let mut bar = i64::from(least) - 1;
	for (group, some) in l.chunks(GROUP).enumerate() {
		if !some.iter().fold(false, |any, l| any | (i64::from(*l) > bar)) {
			continue;
		}
		for (i, l) in some.iter().enumerate() {
			if i64::from(*l) > bar {
				best.push((group * GROUP + i, *l));
			}
		}
		if best.len() >= 2 * k.max(GROUP) {
			best.select_nth_unstable_by(k - 1, order);
			best.truncate(k);
			bar = bar.max(best.get(k - 1).map_or(bar, |(_, l)| i64::from(*l)));
		}
	}
	if best.len() > k {
		best.select_nth_unstable_by(k - 1, order);
		best.truncate(k);
	}
	best.sort_unstable_by_key(|(id, _)| *id);
	best
}

/// Quantizes logits to Q16.16; returns whether all are finite, and the largest.
struct QuantizeLogits<'a> {
	logits: &'a [f32],
	l: &'a mut [i32],
}

impl Kernel for QuantizeLogits<'_> {
	type Output = (bool, i32);

	#[inline(always)]
	fn run(self) -> (bool, i32) {
		let (mut finite, mut largest) = (true, i32::MIN);
		for (l, logit) in self.l.iter_mut().zip(self.logits) {
			finite &= logit.abs() < f32::INFINITY;
			*l = fixed_point(*logit);
			largest = largest.max(*l);
		}
		(finite, largest)
	}
}

/// The token with the largest score so far.
struct GumbelArgmax {
	temperature: i64,
	noise: Noise,
	score: i64,
	id: usize,
}

impl GumbelArgmax {
	/// Begins step `t` with the most probable token, which is most likely hard to beat.
	fn from(sampler: &Sampler, t: u32, largest: i32, first: usize) -> Self {
		let mut argmax = Self {
			temperature: sampler.temperature,
			noise: Noise::new(&sampler.seed, t),
			score: 0,
			id: first,
		};
		let noise = argmax.noise.at(first);
		argmax.score = score(argmax.temperature, largest, noise);
		argmax
	}

	/// Lets a token run.
	fn consider(&mut self, id: usize, l: i32, r: u64) {
		let score = score(self.temperature, l, r);
		if score > self.score || (score == self.score && id < self.id) {
			(self.score, self.id) = (score, id);
		}
	}

	/// Considers all tokens, but computes the noise only of those that could win.
	fn all(&mut self, l: &[i32]) {
		let isa = Isa::detect();
		let mut words = [0u64; GROUP * 8];
		for (part, some) in l.chunks(words.len()).enumerate() {
			let words = &mut words[..some.len()];
			self.noise.fill(part * GROUP * 8, words);
			let mut open = [false; 8];
			isa.run_exact(Open {
				l: some,
				words,
				temperature: self.temperature as f64,
				score: self.score as f64,
				open: &mut open,
			});
			for group in (0..open.len()).filter(|group| open[*group]) {
				let tokens = some.iter().zip(words.iter()).enumerate();
				for (i, (l, word)) in tokens.skip(group * GROUP).take(GROUP) {
					self.consider(part * GROUP * 8 + i, *l, word >> 12);
				}
			}
		}
	}

	/// Considers some tokens of `count`.
	fn among(&mut self, kept: &[(usize, i32)], count: usize) {
		// Where they are dense, a longer stretch of the stream costs less than many short ones.
		let stretch = if kept.len() > count / 32 { 512 } else { 8 };
		let (mut words, mut from) = ([0u64; 512], usize::MAX);
		for (id, l) in kept {
			let start = id / stretch * stretch;
			if start != from {
				self.noise.fill(start, &mut words[..stretch]);
				from = start;
			}
			let r = words[id - start] >> 12;
			if bound(f64::from(*l), r, self.temperature as f64) >= self.score as f64 {
				self.consider(*id, *l, r);
			}
		}
	}
}

/// Which groups of tokens have one that could reach a score.
struct Open<'a> {
	l: &'a [i32],
	words: &'a [u64],
	temperature: f64,
	score: f64,
	open: &'a mut [bool],
}

impl Kernel for Open<'_> {
	type Output = ();

	#[inline(always)]
	fn run(self) {
		let groups = self.l.chunks(GROUP).zip(self.words.chunks(GROUP));
		for (open, (l, words)) in self.open.iter_mut().zip(groups) {
			let mut any = false;
			for (l, word) in l.iter().zip(words) {
				any |= bound(f64::from(*l), word >> 12, self.temperature) >= self.score;
			}
			*open = any;
		}
	}
}

/// At least `l · 2¹⁶ + T · g(r)`, without a logarithm.
///
/// With u = 1 − U: −ln U ≥ u, so −ln(−ln U) ≤ −ln u = −ln 2 · log₂ u. And log₂(2ᵉ · (1 + f)) ≥ e + f, which are the
/// bits of a float, read as an integer. The three steps added to g cover all roundings: its own to Q16.16 (half a
/// step), those of the logarithms (far below one), and those of this sum, below 2⁻²⁹ · T + 2⁻⁵ at the largest numbers
/// there are.
#[inline(always)]
fn bound(l: f64, r: u64, temperature: f64) -> f64 {
	// f64's exponent bits of 1.0, and its unit of f.
	const BIAS: f64 = 1023.0;
	const UNIT: f64 = 1.0 / (1u64 << 52) as f64;
	const WIDE: u64 = 0x4330_0000_0000_0000; // 2⁵²: behind it, integers below 2⁵² are the mantissa
	let m = (1u64 << 52) - 1 - r;
	// (m + 0.5) / 2⁵², exact.
	let u = (f64::from_bits(WIDE | m) - (1u64 << 52) as f64 + 0.5) * UNIT;
	// Its bits, rounded down to a number that converts exactly: 2⁻²⁰ of f are lost.
	let bits = f64::from_bits(WIDE | (u.to_bits() >> 32)) - (1u64 << 52) as f64;
	let log2 = bits * (1.0 / (1u64 << 20) as f64) - BIAS;
	let g = -log2 * (core::f64::consts::LN_2 * ONE * (1.0 + 1e-9)) + 3.0;
	l * ONE + temperature * g + 1.0
}

/// Q16.16, ties to even, saturating at 32 bits.
fn q16(x: f64) -> i64 {
	i64::from((x * ONE).round_ties_even() as i32)
}

/// `l · 2¹⁶ + T · g`.
fn score(temperature: i64, l: i32, r: u64) -> i64 {
	(i64::from(l) << 16) + temperature * gumbel(r)
}

/// A logit in Q16.16, ties to even, saturating at 32 bits.
#[inline(always)]
pub(crate) fn fixed_point(logit: f32) -> i32 {
	// Multiplying by a power of two is exact, and what overflows saturates: the same integer as by way of f64.
	(logit * 65_536.0).round_ties_even() as i32
}

/// −ln(−ln U) in Q16.16 of U = (r + 0.5) / 2⁵²: the middle of r's interval, so that U is never 0 or 1.
fn gumbel(r: u64) -> i64 {
	let uniform = (r as f64 + 0.5) / (1u64 << 52) as f64;
	q16(-libm::log(-libm::log(uniform)))
}

/// The noise of one step: BLAKE3's output stream, 8 bytes a token, of which the upper 52 bits are r.
struct Noise(blake3::OutputReader);

impl Noise {
	fn new(seed: &[u8; 32], t: u32) -> Self {
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/sampler-s1");
		hasher.update(seed).update(&t.to_le_bytes());
		Self(hasher.finalize_xof())
	}

	/// Fills in the words of tokens from `first` on.
	fn fill(&mut self, first: usize, words: &mut [u64]) {
		let mut bytes = [[0u8; 8]; 512];
		for (i, words) in words.chunks_mut(bytes.len()).enumerate() {
			let bytes = &mut bytes[..words.len()];
			self.0.set_position((first + i * 512) as u64 * 8);
			self.0.fill(bytes.as_flattened_mut());
			for (word, bytes) in words.iter_mut().zip(bytes) {
				*word = u64::from_le_bytes(*bytes);
			}
		}
	}

	/// r of one token.
	fn at(&mut self, id: usize) -> u64 {
		let mut word = [0];
		self.fill(id, &mut word);
		word[0] >> 12
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn counts((temperature, top_k, min_p): (u32, u32, u32), logits: &[f32], draws: u32) -> Vec<u32> {
		let sampler = Sampler::new(temperature, top_k, min_p, [7; 32]);
		let mut counts = vec![0; logits.len()];
		for t in 0..draws {
			counts[sampler.sample(logits, t).unwrap() as usize] += 1;
		}
		counts
	}

	#[test]
	fn temperature_zero_takes_the_largest_logit_and_the_lowest_id_of_a_tie() {
		let sampler = Sampler::new(0, 0, 0, [0; 32]);
		assert_eq!(sampler.sample(&[0.5, 2.0, 2.0, 1.0], 0), Some(1));
		// Closer than a step of Q16.16 is a tie.
		assert_eq!(sampler.sample(&[1.0, 1.000_001], 0), Some(0));
	}

	#[test]
	fn tokens_come_as_often_as_the_softmax_says() {
		let logits = [0.0f32, 1.0, 2.0, -1.0];
		for temperature in [0.5f64, 1.0, 2.0] {
			let weights: Vec<f64> = logits.iter().map(|l| (f64::from(*l) / temperature).exp()).collect();
			let total: f64 = weights.iter().sum();
			let counts = counts(((temperature * ONE) as u32, 0, 0), &logits, 20_000);
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
		let counts = counts((1 << 20, 2, 0), &[1.0, 3.0, 1.0, 0.0], 2_000);
		assert!(
			counts[0] > 0 && counts[1] > 0 && counts[2] == 0 && counts[3] == 0,
			"{counts:?}"
		);
	}

	#[test]
	fn min_p_keeps_what_is_probable_enough_relative_to_the_best() {
		// e^-1 = 0.37 passes one quarter, e^-2 = 0.14 does not.
		let counts = counts((1 << 16, 0, 1 << 14), &[2.0, 1.0, 0.0], 2_000);
		assert!(counts[0] > 0 && counts[1] > 0 && counts[2] == 0, "{counts:?}");
	}

	#[test]
	fn another_seed_or_step_draws_other_noise_and_any_part_of_it_is_the_same() {
		let draw = |seed: u8, t, first, count| {
			let mut words = vec![0; count];
			Noise::new(&[seed; 32], t).fill(first, &mut words);
			words
		};
		let whole = draw(0, 0, 0, 1200);
		assert!(whole != draw(0, 1, 0, 1200) && whole != draw(1, 0, 0, 1200));
		for (first, count) in [(0, 1), (7, 9), (511, 2), (600, 600), (1199, 1)] {
			assert_eq!(draw(0, 0, first, count), whole[first..first + count]);
		}
	}

	/// §5.1, word for word, of the tokens that a mask allows.
	fn by_definition(
		(temperature, top_k, min_p): (u32, u32, u32),
		seed: [u8; 32],
		logits: &[f32],
		t: u32,
		mask: &[u32],
	) -> Option<u32> {
		let l: Vec<i64> = logits.iter().map(|l| q16(f64::from(*l))).collect();
		let mut order: Vec<usize> = (0..l.len()).filter(|v| mask[v / 32] >> (v % 32) & 1 == 1).collect();
		order.sort_by_key(|v| (std::cmp::Reverse(l[*v]), *v));
		let temperature = i64::from(temperature);
		let largest = l[*order.first()?];
		let threshold = temperature * -q16(libm::log(f64::from(min_p) / ONE));
		let rank = |v: usize| order.iter().position(|o| *o == v).unwrap();
		let kept = |v: usize| {
			(top_k == 0 || rank(v) < top_k as usize) && (min_p == 0 || l[v] << 16 >= (largest << 16) - threshold)
		};
		let mut hasher = blake3::Hasher::new_derive_key("assay/v1/sampler-s1");
		hasher.update(&seed).update(&t.to_le_bytes());
		let mut stream = vec![0; 8 * l.len()];
		hasher.finalize_xof().fill(&mut stream);
		let r = |v: usize| u64::from_le_bytes(stream[8 * v..8 * v + 8].try_into().unwrap()) >> 12;
		let score = |v: usize| match temperature {
			0 => l[v],
			_ => (l[v] << 16) + temperature * gumbel(r(v)),
		};
		let tokens = order.iter().copied();
		tokens
			.filter(|v| temperature == 0 || kept(*v))
			.min_by_key(|v| (std::cmp::Reverse(score(*v)), *v))
			.map(|v| v as u32)
	}

	proptest! {
		#![proptest_config(ProptestConfig::with_cases(400))]
		#[test]
		fn leaving_out_what_cannot_win_changes_no_choice(
			seed in any::<[u8; 32]>(), t in any::<u32>(), count in 1usize..900, spread in -12i32..8, levels in prop::option::of(1u32..9),
			temperature in prop_oneof![Just(0u32), Just(1), 1u32..1 << 20, Just(1 << 16), any::<u32>()],
			top_k in prop_oneof![Just(0u32), 1u32..20, 1u32..1000], min_p in prop_oneof![Just(0u32), 1u32..=1 << 16],
		) {
			let unit = |i: usize| {
				let bytes = *blake3::hash(&[&seed[..], &(i as u64).to_le_bytes()].concat()).as_bytes();
				f32::from(u16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0 - 1.0
			};
			// Few levels make many ties.
			let level = |v: f32| levels.map_or(v, |levels| (v * levels as f32).round() / levels as f32);
			let logits: Vec<f32> = (0..count).map(|i| level(unit(i)) * 2f32.powi(spread)).collect();
			let sampler = Sampler::new(temperature, top_k, min_p, seed);
			let definition = |mask: &[u32]| by_definition((temperature, top_k, min_p), seed, &logits, t, mask);
			let words = count.div_ceil(32);
			let all = vec![u32::MAX; words];
			prop_assert_eq!(sampler.sample(&logits, t), definition(&all));
			prop_assert_eq!(sampler.sample_allowed(&logits, t, &all), definition(&all));
			let mut bytes = vec![0; words * 4];
			blake3::Hasher::new().update(&seed).update(b"mask").finalize_xof().fill(&mut bytes);
			let half: Vec<u32> = bytes.chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
			let few: Vec<u32> = half.iter().map(|w| if w % 3 == 0 { w & w >> 7 & w >> 13 & w >> 19 } else { 0 }).collect();
			for mask in [&half, &few, &vec![0; words]] {
				prop_assert_eq!(sampler.sample_allowed(&logits, t, mask), definition(mask));
			}
		}

		#[test]
		fn the_bound_is_above_every_score(r in any::<u64>(), cut in 0u32..52, high in any::<bool>(), l in any::<i32>(), temperature in any::<u32>()) {
			// Down to both ends, where the noise is large.
			let r = (r >> 12) >> cut;
			let r = if high { (1 << 52) - 1 - r } else { r };
			let score = (i64::from(l) << 16) + i64::from(temperature) * gumbel(r);
			let above = bound(f64::from(l), r, f64::from(temperature));
			prop_assert!(above >= score as f64);
			// And not far above where it matters: half a unit of g.
			if high && cut > 4 {
				prop_assert!(above - score as f64 <= f64::from(temperature) * 0.5 * ONE + 2.0);
			}
		}
	}

	#[test]
	fn a_row_that_is_not_finite_has_no_sample() {
		let sampler = Sampler::new(1 << 16, 0, 0, [0; 32]);
		assert_eq!(sampler.sample(&[0.0, f32::NAN], 0), None);
		assert_eq!(sampler.sample(&[0.0, f32::INFINITY], 0), None);
		// Nor if only what is not allowed isn't finite: that is a property of the row.
		assert_eq!(sampler.sample_allowed(&[0.0, f32::NAN], 0, &[1]), None);
	}

	#[test]
	fn what_a_mask_leaves_out_is_as_if_it_were_not_there() {
		let logits = [9.0, 1.0, 9.0, 3.0, 2.0];
		let sampler = |temperature, top_k| Sampler::new(temperature, top_k, 0, [3; 32]);
		assert_eq!(sampler(0, 0).sample_allowed(&logits, 0, &[0b11010]), Some(3));
		// The largest of a top-k of 1 is the largest allowed one.
		assert_eq!(sampler(1 << 16, 1).sample_allowed(&logits, 0, &[0b10010]), Some(4));
		assert_eq!(sampler(1 << 16, 0).sample_allowed(&logits, 0, &[0b00010]), Some(1));
		assert_eq!(sampler(0, 0).sample_allowed(&logits, 0, &[0]), None);
		// Bits behind the last token and a mask that is too short name nothing.
		assert_eq!(sampler(0, 0).sample_allowed(&logits, 0, &[!0b11111]), None);
		assert_eq!(sampler(0, 0).sample_allowed(&logits, 0, &[]), None);
	}
}
