//! Operations that work row by row.

use crate::definition::{self, bits, noise};
use assay_engine::canonical::{
	activation::{Gelu, SiluMul},
	mark_bad_rows,
	norm::{HeadNorm, LayerNorm, RmsNorm},
	rope::{Rope, Tables},
	Tier,
};
use assay_model_folder::config::RopeScaling;
use candle_core::{CustomOp1, Device, Tensor};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

fn tensor(x: &[f32], width: usize) -> Tensor {
	Tensor::from_slice(x, (x.len() / width, width), &Device::Cpu).unwrap()
}

/// On every tier and number of threads, all rows together and the last alone.
fn check(
	x: &[f32],
	width: usize,
	truth: &[f32],
	op: impl Fn(&Tensor, Tier, usize) -> Tensor + Sync,
) -> Result<(), TestCaseError> {
	let (rows, truth) = (x.len() / width, bits(truth));
	for tier in Tier::available() {
		for threads in [1, 2] {
			let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			let run = |x: &[f32], first: usize| {
				let y = pool.install(|| op(&tensor(x, width), tier, first));
				bits(&y.flatten_all().unwrap().to_vec1::<f32>().unwrap())
			};
			prop_assert_eq!(&run(x, 0), &truth, "{} with {} threads", tier, threads);
			let last = run(&x[(rows - 1) * width..], rows - 1);
			prop_assert_eq!(&last[..], &truth[truth.len() / rows * (rows - 1)..]);
		}
	}
	Ok(())
}

fn apply<O: CustomOp1>(x: &Tensor, op: &O) -> Tensor {
	x.apply_op1_no_bwd(op).unwrap()
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
		check(&x, width, &truth, |x, tier, _| {
			apply(x, &RmsNorm { weight: &w, epsilon: 1e-5, tier })
		})?;
		let truth: Vec<f32> = x.chunks(width).flat_map(|x| definition::layer_norm(x, &w, &b, 1e-12)).collect();
		check(&x, width, &truth, |x, tier, _| {
			apply(x, &LayerNorm { weight: &w, bias: &b, epsilon: 1e-12, tier })
		})?;
	}

	#[test]
	fn activations_are_those_of_the_definition(seed in any::<u64>(), rows in rows(), width in 1usize..300, magnitude in -60i32..60) {
		let x: Vec<f32> = noise(seed, rows * 2 * width).iter().map(|v| v * 2f32.powi(magnitude)).collect();
		let gated = |x: &[f32]| (0..width).map(|i| definition::gate(x[i], x[width + i])).collect::<Vec<_>>();
		let truth: Vec<f32> = x.chunks(2 * width).flat_map(gated).collect();
		check(&x, 2 * width, &truth, |x, tier, _| apply(x, &SiluMul { tier }))?;
		let truth: Vec<f32> = x.iter().map(|x| definition::gelu(*x)).collect();
		check(&x, 2 * width, &truth, |x, tier, _| apply(x, &Gelu { tier }))?;
	}

	#[test]
	fn heads_are_normed_and_turned_by_their_own_position(
		seed in any::<u64>(), rows in rows(), half in 1usize..40, heads in 1usize..5, kv_heads in 1usize..3, start in 0usize..100,
	) {
		let head_dim = 2 * half;
		let width = (heads + 2 * kv_heads) * head_dim;
		let x = noise(seed, rows * width);
		let (q, k) = (noise(seed ^ 1, head_dim), noise(seed ^ 2, head_dim));
		let tables = Tables::new(10_000.0, &RopeScaling::None, head_dim, 400);
		// Neighbours in a batch stand at unrelated positions.
		let positions: Vec<u32> = (0..rows).map(|row| ((start + row * 37) % 400) as u32).collect();
		let (mut normed, mut turned) = (Vec::new(), Vec::new());
		for (row, position) in x.chunks(width).zip(&positions) {
			for (head, x) in row.chunks(head_dim).enumerate() {
				let at = *position as usize * half;
				match head {
					_ if head < heads => normed.extend(definition::rms_norm(x, &q, 1e-6)),
					_ if head < heads + kv_heads => normed.extend(definition::rms_norm(x, &k, 1e-6)),
					_ => normed.extend(x),
				}
				match head < heads + kv_heads {
					true => turned.extend(definition::rotate(x, &tables.cos[at..at + half], &tables.sin[at..at + half])),
					false => turned.extend(x),
				}
			}
		}
		check(&x, width, &normed, |x, tier, _| {
			apply(x, &HeadNorm { q: &q, k: &k, heads, kv_heads, epsilon: 1e-6, tier })
		})?;
		check(&x, width, &turned, |x, tier, first| {
			let (cos, sin, positions) = (&tables.cos, &tables.sin, &positions[first..]);
			apply(x, &Rope { cos, sin, positions, heads: heads + kv_heads, head_dim, tier })
		})?;
	}
}

#[test]
fn rows_that_fail_are_marked_and_no_others() {
	let mut x = vec![1.0f32; 6 * 4];
	x[4] = f32::NAN;
	x[2 * 4 + 3] = f32::NEG_INFINITY;
	// Overflows f16 only once rounded: 65 504 is its largest value, from 65 520 on values round up.
	x[3 * 4 + 2] = 65_519.0;
	x[4 * 4 + 2] = -65_520.0;
	x[5 * 4 + 1] = 65_520.0;
	let mut bad = vec![true, false, false, false, false, false];
	mark_bad_rows(&x, 2..4, &mut bad).unwrap();
	assert_eq!(bad, [true, true, true, false, true, false]);
	assert!(mark_bad_rows(&x, 2..5, &mut bad).is_err() && mark_bad_rows(&x[1..], 2..4, &mut bad).is_err());
	assert!(half::f16::from_f32(65_519.0).is_finite() && half::f16::from_f32(65_520.0).is_infinite());
}

#[test]
fn operands_that_do_not_fit_are_errors() {
	let x = tensor(&[0.0; 12], 6);
	let tier = Tier::detect();
	let norm = RmsNorm {
		weight: &[1.0; 5],
		epsilon: 0.0,
		tier,
	};
	assert!(x.apply_op1_no_bwd(&norm).is_err());
	assert!(norm.apply(&[0.0; 10], &mut [0.0; 5]).is_err());
	let rope = Rope {
		cos: &[1.0; 2],
		sin: &[0.0; 2],
		positions: &[0, 2],
		heads: 2,
		head_dim: 2,
		tier,
	};
	assert!(x.apply_op1_no_bwd(&rope).is_err());
	assert!(rope.apply(&mut [0.0; 12], 5).is_err());
	let gate = SiluMul { tier };
	assert!(tensor(&[0.0; 3], 3).apply_op1_no_bwd(&gate).is_err());
	assert!(gate.apply(&[0.0; 4], 4, &mut [0.0; 4]).is_err());
}
