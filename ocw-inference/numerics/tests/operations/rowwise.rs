//! Operations that work row by row.

use crate::definition::{self, bits, noise};
use assay_numerics::{
	activation::{Gelu, SiluMul},
	flag_non_finite,
	norm::{HeadNorm, LayerNorm, RmsNorm},
	rope::{Rope, RopeScaling, Tables},
	Isa,
};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

/// Runs an operation with every instruction set and number of threads, on all rows together and on the last alone. `op`
/// gets the rows, the instruction set and the number of the first row.
fn check(
	x: &[f32],
	width: usize,
	truth: &[f32],
	op: impl Fn(&[f32], Isa, usize) -> Vec<f32> + Sync,
) -> Result<(), TestCaseError> {
	let (rows, truth) = (x.len() / width, bits(truth));
	for isa in Isa::available() {
		for threads in [1, 2] {
			let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			let run = |x: &[f32], first: usize| bits(&pool.install(|| op(x, isa, first)));
			prop_assert_eq!(&run(x, 0), &truth, "{} with {} threads", isa, threads);
			let last = run(&x[(rows - 1) * width..], rows - 1);
			prop_assert_eq!(&last[..], &truth[truth.len() / rows * (rows - 1)..]);
		}
	}
	Ok(())
}

/// The result of an operation with so many elements.
fn apply(len: usize, op: impl FnOnce(&mut [f32]) -> assay_numerics::Result<()>) -> Vec<f32> {
	let mut out = vec![f32::NAN; len];
	op(&mut out).unwrap();
	out
}

/// The result of an operation that changes rows in place.
fn in_place(x: &[f32], op: impl FnOnce(&mut [f32]) -> assay_numerics::Result<()>) -> Vec<f32> {
	let mut out = x.to_vec();
	op(&mut out).unwrap();
	out
}

fn rows() -> impl Strategy<Value = usize> {
	prop::sample::select(vec![1usize, 2, 3, 7, 33, 256])
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(16))]

	#[test]
	fn norms_are_those_of_the_definition(seed in any::<u64>(), rows in rows(), width in 1usize..300, magnitude in -60i32..60) {
		let x: Vec<f32> = noise(seed, rows * width).iter().map(|v| v * 2f32.powi(magnitude)).collect();
		let (w, b) = (noise(seed ^ 1, width), noise(seed ^ 2, width));
		let truth: Vec<f32> = x.chunks(width).flat_map(|x| definition::rms_norm(x, &w, 1e-5)).collect();
		check(&x, width, &truth, |x, isa, _| {
			apply(x.len(), |y| RmsNorm { weight: &w, epsilon: 1e-5, isa }.apply(x, y))
		})?;
		let truth: Vec<f32> = x.chunks(width).flat_map(|x| definition::layer_norm(x, &w, &b, 1e-12)).collect();
		check(&x, width, &truth, |x, isa, _| {
			apply(x.len(), |y| LayerNorm { weight: &w, bias: &b, epsilon: 1e-12, isa }.apply(x, y))
		})?;
	}

	#[test]
	fn activations_are_those_of_the_definition(seed in any::<u64>(), rows in rows(), width in 1usize..300, magnitude in -60i32..60) {
		let x: Vec<f32> = noise(seed, rows * 2 * width).iter().map(|v| v * 2f32.powi(magnitude)).collect();
		let gated = |x: &[f32]| (0..width).map(|i| definition::gate(x[i], x[width + i])).collect::<Vec<_>>();
		let truth: Vec<f32> = x.chunks(2 * width).flat_map(gated).collect();
		check(&x, 2 * width, &truth, |x, isa, _| apply(x.len() / 2, |y| SiluMul { isa }.apply(x, 2 * width, y)))?;
		let truth: Vec<f32> = x.iter().map(|x| definition::gelu(*x)).collect();
		check(&x, 2 * width, &truth, |x, isa, _| apply(x.len(), |y| Gelu { isa }.apply(x, y)))?;
	}

	#[test]
	fn heads_are_normed_and_rotated_by_their_own_position(
		seed in any::<u64>(), rows in rows(), half in 1usize..40, heads in 1usize..5, kv_heads in 1usize..3, start in 0usize..100,
	) {
		let head_dim = 2 * half;
		let width = (heads + 2 * kv_heads) * head_dim;
		let x = noise(seed, rows * width);
		let (q, k) = (noise(seed ^ 1, head_dim), noise(seed ^ 2, head_dim));
		let tables = Tables::new(10_000.0, &RopeScaling::None, head_dim, 400);
		// Neighbours in a batch stand at unrelated positions.
		let positions: Vec<u32> = (0..rows).map(|row| ((start + row * 37) % 400) as u32).collect();
		let (mut normed, mut rotated) = (Vec::new(), Vec::new());
		for (row, position) in x.chunks(width).zip(&positions) {
			for (head, x) in row.chunks(head_dim).enumerate() {
				let at = *position as usize * half;
				match head {
					_ if head < heads => normed.extend(definition::rms_norm(x, &q, 1e-6)),
					_ if head < heads + kv_heads => normed.extend(definition::rms_norm(x, &k, 1e-6)),
					_ => normed.extend(x),
				}
				if head < heads + kv_heads {
					rotated.extend(definition::rotate(x, &tables.cos[at..at + half], &tables.sin[at..at + half]));
				} else {
					rotated.extend(x);
				}
			}
		}
		check(&x, width, &normed, |x, isa, _| {
			in_place(x, |x| HeadNorm { q: &q, k: &k, heads, kv_heads, epsilon: 1e-6, isa }.apply(x, width))
		})?;
		check(&x, width, &rotated, |x, isa, first| {
			let (cos, sin, positions) = (&tables.cos, &tables.sin, &positions[first..]);
			in_place(x, |x| Rope { cos, sin, positions, heads: heads + kv_heads, head_dim, isa }.apply(x, width))
		})?;
	}
}

#[test]
fn rows_that_are_not_finite_are_flagged_and_no_others() {
	let mut x = vec![1.0f32; 6 * 4];
	x[4] = f32::NAN;
	x[2 * 4 + 3] = f32::NEG_INFINITY;
	// Overflows f16 only once rounded: 65 504 is its largest value, from 65 520 on values round up.
	x[3 * 4 + 2] = 65_519.0;
	x[4 * 4 + 2] = -65_520.0;
	x[5 * 4 + 1] = 65_520.0;
	let mut flags = vec![true, false, false, false, false, false];
	flag_non_finite(&x, 2..4, &mut flags).unwrap();
	assert_eq!(flags, [true, true, true, false, true, false]);
	assert!(flag_non_finite(&x, 2..5, &mut flags).is_err() && flag_non_finite(&x[1..], 2..4, &mut flags).is_err());
	assert!(half::f16::from_f32(65_519.0).is_finite() && half::f16::from_f32(65_520.0).is_infinite());
}

#[test]
fn operands_that_do_not_fit_are_errors() {
	let isa = Isa::detect();
	let norm = RmsNorm {
		weight: &[1.0; 5],
		epsilon: 0.0,
		isa,
	};
	assert!(norm.apply(&[0.0; 12], &mut [0.0; 12]).is_err());
	assert!(norm.apply(&[0.0; 10], &mut [0.0; 5]).is_err());
	let rope = Rope {
		cos: &[1.0; 2],
		sin: &[0.0; 2],
		positions: &[0, 2],
		heads: 2,
		head_dim: 2,
		isa,
	};
	assert!(rope.apply(&mut [0.0; 12], 6).is_err());
	assert!(rope.apply(&mut [0.0; 12], 5).is_err());
	let gate = SiluMul { isa };
	assert!(gate.apply(&[0.0; 3], 3, &mut [0.0; 1]).is_err());
	assert!(Gelu { isa }.apply(&[0.0; 3], &mut [0.0; 2]).is_err());
	assert!(gate.apply(&[0.0; 4], 4, &mut [0.0; 4]).is_err());
}
