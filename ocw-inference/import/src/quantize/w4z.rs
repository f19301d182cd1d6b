//! Four bits minus a zero point of four bits.

use super::fit::{Fit, Group, LANES};
use assay_numerics::QuantizeError;
use half::f16;

/// Added and taken away again it rounds to an integer, ties to even: 1.5 · 2²³. Exact below 2²².
const ROUND: f32 = 12_582_912.0;
/// The largest number of four bits.
const MOST: f32 = 15.0;
/// Scales that are tried, as a share of the one that cuts no weight.
const SHARES: [f32; 11] = [1.04, 1.0, 0.97, 0.94, 0.91, 0.88, 0.84, 0.8, 0.75, 0.69, 0.62];
/// A zero point is tried if the scale that cuts nothing is at most so many times the smallest such scale.
const WIDEST: f32 = 1.6;

/// Writes the numbers of a group's weights; returns its scale and zero point.
pub(super) fn quantize(mut group: Group, codes: &mut [u8]) -> Result<(f16, u8), &'static str> {
	let Some((fit, zero)) = search(&mut group)? else {
		codes.fill(0);
		return Ok((f16::ZERO, 0));
	};
	for (code, integer) in codes.iter_mut().zip(group.integers(&fit, nearest(zero))) {
		*code = (integer + zero) as u8;
	}
	Ok((fit.scale, zero as u8))
}

/// Returns what rounds to the integers that a zero point has.
#[inline(always)]
fn nearest(zero: f32) -> impl Fn([f32; LANES]) -> [f32; LANES] {
	let (low, high) = (-zero, MOST - zero);
	move |x| {
		x.map(|x| {
			// Not `clamp`, which keeps a NaN.
			let x = if x > low { x } else { low };
			let x = if x < high { x } else { high };
			(x + ROUND) - ROUND
		})
	}
}

/// Returns the best that is found, with its zero point; none if that is zero.
fn search(group: &mut Group) -> Result<Option<(Fit, f32)>, &'static str> {
	if group.is_zero() {
		return Ok(None);
	}
	let (low, high) = group
		.values()
		.iter()
		.fold((0f32, 0f32), |(low, high), v| (low.min(*v), high.max(*v)));
	// Rounded to nearest: the scale that spreads fifteen steps over all weights, and over zero.
	let plain = group.scale((high - low) / MOST);
	if !plain.is_finite() {
		return Err(QuantizeError::TooLarge.reason());
	}
	let zero_of = |scale: f32| {
		let zero = if scale > 0.0 {
			(-low / scale).round_ties_even()
		} else {
			0.0
		};
		zero.clamp(0.0, MOST)
	};
	let zero = zero_of(group.of_values(plain));
	let mut best = (group.plain(plain, nearest(zero)), zero);
	let peak = group.peak().abs();
	let mut consider = |scale: f32, zero: f32| {
		if let Some(fit) = group
			.fit(scale, nearest(zero))
			.filter(|fit| fit.scale.is_sign_positive())
		{
			if fit.error < best.0.error {
				best = (fit, zero);
			}
		}
	};
	// Where the largest weight may land: finds weights that are such products already.
	for integer in 1..=15u8 {
		let scale = peak / f32::from(integer);
		consider(scale, zero_of(scale));
	}
	let whole = |zero: f32| {
		let side = |reach: f32, steps: f32| match (reach > 0.0, steps > 0.0) {
			(false, _) => 0.0,
			(true, true) => reach / steps,
			(true, false) => f32::INFINITY,
		};
		side(-low, zero).max(side(high, MOST - zero))
	};
	let zeros = || (0..=15u8).map(f32::from);
	let smallest = zeros().map(whole).fold(f32::INFINITY, f32::min);
	for zero in zeros().filter(|zero| whole(*zero) <= smallest * WIDEST) {
		for share in SHARES {
			consider(whole(zero) * share, zero);
		}
	}
	let (fit, zero) = best;
	let fit = group.refine(fit, nearest(zero));
	Ok((fit.scale.to_f32() != 0.0).then_some((fit, zero)))
}
