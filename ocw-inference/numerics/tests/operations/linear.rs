//! Linear layers: the same bits for any number of rows, threads and instruction set.

use crate::definition::{self, bits, noise, uneven, weights};
use assay_numerics::{linear::Linear, packed::PackedMatrix, Isa};
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

const ROWS: [usize; 6] = [1, 2, 3, 7, 33, 256];

fn run(threads: usize, op: &Linear<'_>, x: &[f32]) -> Vec<u32> {
	let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
	let mut out = vec![f32::NAN; x.len() / op.weight.width() * op.weight.rows()];
	pool.install(|| op.apply(x, &mut out)).unwrap();
	bits(&out)
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(24))]
	#[test]
	fn every_isa_thread_and_number_of_rows_gives_the_bits_of_the_definition(
		seed in any::<u64>(), rows in prop::sample::select(ROWS.to_vec()), blocks in 1usize..9, n in 1usize..100,
		magnitude in -120i32..100, biased in any::<bool>(),
	) {
		let k = blocks * 32;
		let x = uneven(seed, rows, k, magnitude);
		let (w, scales) = weights(seed, n, k);
		let bias = noise(seed ^ 7, n);
		let bias = biased.then_some(bias.as_slice());
		let truth = bits(&definition::linear(&x, &w, &scales, bias, k));
		// PackedMatrix as one matrix, and as two below one another.
		let cut = n / 2;
		let parts = [(&w[..cut * k], &scales[..cut * blocks]), (&w[cut * k..], &scales[cut * blocks..])];
		for packed in [PackedMatrix::pack(&[(&w, &scales)], k).unwrap(), PackedMatrix::pack(&parts, k).unwrap()] {
			for isa in Isa::available() {
				let op = Linear { weight: &packed, bias, isa };
				for threads in [1, 2] {
					prop_assert_eq!(&run(threads, &op, &x), &truth, "{} with {} threads", isa, threads);
				}
				// The last row alone, and the rows behind the first.
				prop_assert_eq!(&run(1, &op, &x[(rows - 1) * k..])[..], &truth[(rows - 1) * n..]);
				prop_assert_eq!(&run(2, &op, &x[k.min(x.len() - k)..])[..], &truth[n.min(truth.len() - n)..]);
			}
		}
	}
}

/// Large enough that threads share the work, whatever its form.
#[test]
fn large_shapes_give_the_same_bits_on_all_threads_and_instruction_sets() {
	for (n, k, rows) in [(67, 1024, 256), (1000, 2048, 1), (515, 5632, 7), (33, 4096, 33)] {
		let (w, scales) = weights(n as u64, n, k);
		let packed = PackedMatrix::pack(&[(&w, &scales)], k).unwrap();
		let x = uneven(k as u64, rows, k, 0);
		let truth = bits(&definition::linear(&x, &w, &scales, None, k));
		for isa in Isa::available().filter(|isa| *isa != Isa::Portable) {
			for threads in [1, 2, 5] {
				let op = Linear {
					weight: &packed,
					bias: None,
					isa,
				};
				assert!(
					run(threads, &op, &x) == truth,
					"[{n}, {k}], {rows} rows, {isa}, {threads} threads"
				);
			}
		}
	}
}

#[test]
fn what_is_added_to_rows_is_the_product_and_one_addition() {
	for (n, k, rows) in [(67, 64, 3), (64, 4096, 33)] {
		let (w, scales) = weights(n as u64, n, k);
		let packed = PackedMatrix::pack(&[(&w, &scales)], k).unwrap();
		let (x, bias, stream) = (noise(1, rows * k), noise(2, n), noise(3, rows * n));
		let product = definition::linear(&x, &w, &scales, Some(&bias), k);
		let truth: Vec<f32> = stream.iter().zip(&product).map(|(x, y)| x + y).collect();
		for isa in Isa::available() {
			let op = Linear {
				weight: &packed,
				bias: Some(&bias),
				isa,
			};
			let mut out = stream.clone();
			op.add_to(&x, &mut out).unwrap();
			assert!(bits(&out) == bits(&truth), "{isa}");
			assert!(op.add_to(&x, &mut out[1..]).is_err());
		}
	}
}

#[test]
fn extreme_weights_and_activations_do_not_saturate() {
	let k = 64;
	for (weight, sign) in [(0x80u8, 1.0f32), (0x80, -1.0), (0x7F, 1.0), (0x7F, -1.0)] {
		let (w, scales) = (vec![weight; 33 * k], vec![half::f16::MAX; 33 * 2]);
		let packed = PackedMatrix::pack(&[(&w, &scales)], k).unwrap();
		let x = vec![sign; 3 * k];
		let truth = bits(&definition::linear(&x, &w, &scales, None, k));
		for isa in Isa::available() {
			let op = Linear {
				weight: &packed,
				bias: None,
				isa,
			};
			assert_eq!(run(1, &op, &x), truth, "{isa}");
		}
	}
}

#[test]
fn a_packed_weight_takes_little_more_than_a_byte() {
	let (w, scales) = weights(1, 512, 256);
	let packed = PackedMatrix::pack(&[(&w, &scales)], 256).unwrap();
	assert_eq!(packed.bytes(), 512 * 256 * 17 / 16);
}
