//! Linear layers: the same bits for any format, number of rows, threads and instruction set.

use crate::definition::{self, bits, noise, uneven, Matrix};
use assay_numerics::{
	format::{Group, MatrixFormat},
	linear::Linear,
	packed::{Gather, PackedMatrix},
	Isa,
};
use half::f16;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

fn run(threads: usize, op: &Linear<'_>, x: &[f32]) -> Vec<u32> {
	let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
	let mut out = vec![f32::NAN; x.len() / op.weight.width() * op.weight.rows()];
	pool.install(|| op.apply(x, &mut out)).unwrap();
	bits(&out)
}

/// How many [`formats`] there are.
const FORMATS: usize = 8;

/// All formats, and `w4` with tables whose numbers are close together too: kernels may have other ways for those.
fn formats(seed: u64) -> [MatrixFormat; FORMATS] {
	let [w8, w8_long, w4, w4z, w4z_middle, w4z_long] = definition::formats(seed);
	let MatrixFormat::W4 { table } = w4 else {
		unreachable!("the third has a table")
	};
	let close = |span| MatrixFormat::W4 {
		table: spanning(table, span),
	};
	[w8, w8_long, w4, close(16), close(32), w4z, w4z_middle, w4z_long]
}

/// A table whose least and greatest numbers, somewhere, are so far apart.
fn spanning(table: [i8; 16], span: u8) -> [i8; 16] {
	let least = i32::from(table[0]) * (255 - i32::from(span)) / 256 - i32::from(span) / 2;
	let mut offsets = table.map(|v| v as u8 % (span + 1));
	let (low, high) = (usize::from(table[1] as u8 % 8), usize::from(8 + table[2] as u8 % 8));
	(offsets[low], offsets[high]) = (0, span);
	offsets.map(|v| (least + i32::from(v)) as i8)
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(96))]
	#[test]
	fn every_isa_thread_and_number_of_rows_gives_the_bits_of_the_definition(
		seed in any::<u64>(), rows in 1usize..=40, blocks in 1usize..20, n in 1usize..100, which in 0..FORMATS,
		magnitude in -120i32..100, biased in any::<bool>(), threads in 1usize..=4,
	) {
		let k = blocks * 32;
		let x = uneven(seed, rows, k, magnitude);
		let matrix = Matrix::random(seed, n, k, formats(seed)[which]);
		let packed = matrix.pack();
		let bias = noise(seed ^ 7, n);
		let bias = biased.then_some(bias.as_slice());
		let truth = bits(&definition::linear(&x, &matrix, bias));
		for isa in Isa::available() {
			let op = Linear { weight: &packed, bias, isa };
			prop_assert_eq!(&run(threads, &op, &x), &truth, "{} in {}", isa, matrix.format);
			// The last row alone, and the rows behind the first.
			prop_assert_eq!(&run(1, &op, &x[(rows - 1) * k..])[..], &truth[(rows - 1) * n..]);
			prop_assert_eq!(&run(2, &op, &x[k.min(x.len() - k)..])[..], &truth[n.min(truth.len() - n)..]);
		}
	}

	#[test]
	fn matrices_of_different_formats_fill_the_columns_of_the_same_rows(
		seed in any::<u64>(), rows in 1usize..=40, blocks in 1usize..9, n in 1usize..70, more in 1usize..70,
		threads in 1usize..=4, which in 0..FORMATS * FORMATS,
	) {
		let k = blocks * 32;
		let (left, right) = (formats(seed)[which % FORMATS], formats(seed)[which / FORMATS]);
		let parts = [Matrix::random(seed, n, k, left), Matrix::random(seed ^ 1, more, k, right)];
		let x = uneven(seed, rows, k, 0);
		let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
		let width = n + more + 2;
		for isa in Isa::available() {
			let mut out = vec![7.0; rows * width];
			let mut column = 1;
			for part in &parts {
				let op = Linear { weight: &part.pack(), bias: None, isa };
				pool.install(|| op.apply_at(&x, &mut out, width, column)).unwrap();
				column += part.n;
				prop_assert!(op.apply_at(&x, &mut out, width, width - part.n + 1).is_err());
				prop_assert!(op.apply_at(&x, &mut out[1..], width, 0).is_err());
				prop_assert!(op.apply_at(&x, &mut out, width, usize::MAX).is_err());
			}
			let truth = parts.each_ref().map(|part| definition::linear(&x, part, None));
			for (row, out) in out.chunks(width).enumerate() {
				let expected: Vec<f32> = [&[7.0][..], &truth[0][row * n..][..n], &truth[1][row * more..][..more], &[7.0]].concat();
				prop_assert_eq!(bits(out), bits(&expected), "{} in {} and {}", isa, left, right);
			}
		}
	}

	#[test]
	fn rows_read_back_from_any_tile_and_piece(
		seed in any::<u64>(), blocks in 1usize..9, n in 1usize..100, which in 0..FORMATS, cut in 0usize..100,
	) {
		let k = blocks * 32;
		let matrix = Matrix::random(seed, n, k, formats(seed)[which]);
		let (packed, cut) = (matrix.pack(), cut.min(n));
		let rows = Gather { ids: &(0..n as u32).collect::<Vec<_>>(), weight: &packed }.rows().unwrap();
		for (i, v) in rows.iter().enumerate() {
			let (row, column) = (i / k, i % k);
			prop_assert_eq!(v.to_bits(), (matrix.scale(row, column) * matrix.integer(row, column) as f32).to_bits());
		}
		let mut out = vec![0f32; k];
		prop_assert!(!packed.row(n, &mut out) && !packed.row(0, &mut out[1..]));
		// In two pieces, over what another matrix left.
		let mut pieces = PackedMatrix::zeros(n, k, matrix.format).unwrap();
		Matrix::random(!seed, n, k, matrix.format).put(&mut pieces, 0);
		let part = |from: usize, to: usize| {
			let slice = |bytes: &[u8]| bytes[from * (bytes.len() / n)..to * (bytes.len() / n)].to_vec();
			let (weights, zeros) = (slice(&matrix.weights), slice(&matrix.zeros));
			let groups = matrix.scales.len() / n;
			let scales = matrix.scales[from * groups..to * groups].to_vec();
			Matrix { format: matrix.format, n: to - from, k, weights, scales, zeros }
		};
		part(cut, n).put(&mut pieces, cut);
		part(0, cut).put(&mut pieces, 0);
		let again = Gather { ids: &(0..n as u32).collect::<Vec<_>>(), weight: &pieces }.rows().unwrap();
		prop_assert_eq!(bits(&again), bits(&rows));
		prop_assert!(pieces.put_weights(n, &matrix.weights).is_err() && pieces.put_weights(0, &matrix.weights[1..]).is_err());
	}
}

/// Large enough that threads share the work, whatever its form.
#[test]
fn large_shapes_give_the_same_bits_on_all_threads_and_instruction_sets() {
	for (n, k, rows) in [
		(67, 1024, 256),
		(1000, 2048, 1),
		(515, 2880, 7),
		(33, 4096, 33),
		(65, 608, 1300),
	] {
		for format in formats(n as u64) {
			let matrix = Matrix::random(n as u64, n, k, format);
			let packed = matrix.pack();
			let x = uneven(k as u64, rows, k, 0);
			let reference = Linear {
				weight: &packed,
				bias: None,
				isa: Isa::Portable,
			};
			let truth = run(2, &reference, &x);
			let some = [0, rows / 2, rows - 1];
			for row in some {
				let defined = bits(&definition::linear(&x[row * k..][..k], &matrix, None));
				assert!(truth[row * n..][..n] == defined, "[{n}, {k}] in {format}, row {row}");
			}
			for isa in Isa::available().filter(|isa| *isa != Isa::Portable) {
				for threads in [1, 2, 5] {
					let op = Linear { isa, ..reference };
					assert!(
						run(threads, &op, &x) == truth,
						"[{n}, {k}] in {format}, {rows} rows, {isa}, {threads} threads"
					);
				}
			}
		}
	}
}

#[test]
fn what_is_added_to_rows_is_the_product_and_one_addition() {
	for (n, k, rows) in [(67, 96, 3), (64, 4096, 33)] {
		for format in formats(k as u64) {
			let matrix = Matrix::random(n as u64, n, k, format);
			let packed = matrix.pack();
			let (x, bias, stream) = (noise(1, rows * k), noise(2, n), noise(3, rows * n));
			let product = definition::linear(&x, &matrix, Some(&bias));
			let truth: Vec<f32> = stream.iter().zip(&product).map(|(x, y)| x + y).collect();
			for isa in Isa::available() {
				let op = Linear {
					weight: &packed,
					bias: Some(&bias),
					isa,
				};
				let mut out = stream.clone();
				op.add_to(&x, &mut out).unwrap();
				assert!(bits(&out) == bits(&truth), "{isa} in {format}");
				assert!(op.add_to(&x, &mut out[1..]).is_err());
			}
		}
	}
}

#[test]
fn extreme_weights_and_activations_do_not_saturate() {
	let w8 = |group| MatrixFormat::W8 { group };
	let w4z = |group| MatrixFormat::W4z { group };
	let w4 = |least: i8, span: i8| {
		let mut table = [least; 16];
		table[15] += span;
		MatrixFormat::W4 { table }
	};
	let cases = [
		(w4(-128, 16), 0xFF, 0),
		(w4(-128, 17), 0xFF, 0),
		(w4(111, 16), 0xFF, 0),
		(w4(-16, 32), 0xFF, 0),
		(w4(-16, 33), 0xFF, 0),
		(w4(-8, 16), 0, 0),
		(w8(Group::G32), 0x80, 0),
		(w8(Group::G128), 0x80, 0),
		(w8(Group::G128), 0x7F, 0),
		(MatrixFormat::W4 { table: [-128; 16] }, 0, 0),
		(MatrixFormat::W4 { table: [127; 16] }, 0xFF, 0),
		(w4z(Group::G128), 0xFF, 0),
		(w4z(Group::G128), 0, 0xFF),
		(w4z(Group::G64), 0xFF, 0xFF),
	];
	for (format, weight, zero) in cases {
		let (n, k) = (33, 256);
		let mut matrix = Matrix::random(1, n, k, format);
		matrix.weights.fill(weight);
		matrix.zeros.fill(zero);
		matrix.scales.fill(f16::MAX);
		let packed = matrix.pack();
		for (sign, rows) in [(1.0f32, 3), (-1.0, 3), (1.0, 20), (-1.0, 20)] {
			let x = vec![sign; rows * k];
			let truth = bits(&definition::linear(&x, &matrix, None));
			for isa in Isa::available() {
				let op = Linear {
					weight: &packed,
					bias: None,
					isa,
				};
				assert_eq!(run(1, &op, &x), truth, "{isa} in {format}");
			}
		}
	}
}

#[test]
fn what_is_not_finite_stays_so_and_leaves_other_rows_alone() {
	let (n, k, rows) = (40, 288, 20);
	for format in formats(3) {
		let matrix = Matrix::random(3, n, k, format);
		let packed = matrix.pack();
		let mut x = uneven(9, rows, k, 0);
		let wrong = [
			f32::NAN,
			f32::INFINITY,
			f32::NEG_INFINITY,
			f32::from_bits(0x7F80_0001),
			f32::from_bits(0xFFFF_FFFF),
		];
		for (i, v) in wrong.into_iter().enumerate() {
			x[(3 * i + 1) * k + 17 * i] = v;
		}
		let truth = definition::linear(&x, &matrix, None);
		for isa in Isa::available() {
			let op = Linear {
				weight: &packed,
				bias: None,
				isa,
			};
			for (i, (y, truth)) in run(2, &op, &x).into_iter().zip(&truth).enumerate() {
				let failed = (0..5).any(|w| i / n == 3 * w + 1);
				assert_eq!(truth.is_finite(), !failed, "the definition, row {}", i / n);
				assert!(
					failed && !f32::from_bits(y).is_finite() || y == truth.to_bits(),
					"{isa} in {format}, row {}",
					i / n
				);
			}
		}
	}
}

#[test]
fn a_packed_weight_takes_little_more_than_its_bits() {
	let (n, k) = (512, 2048);
	for (format, most) in formats(1)
		.into_iter()
		.zip([1.0625, 1.016, 0.5625, 0.5625, 0.5625, 0.579, 0.54, 0.521])
	{
		let bytes = PackedMatrix::zeros(n, k, format).unwrap().bytes() as f64 / (n * k) as f64;
		assert!(bytes <= most && bytes > most - 0.01, "{format}: {bytes}");
	}
}

#[test]
fn what_the_formats_do_not_allow_is_refused() {
	let w8 = MatrixFormat::W8_32;
	for (rows, width) in [
		(0, 32),
		(1, 0),
		(1, 48),
		(usize::MAX, 32),
		(1, usize::MAX - 31),
		(1 << 40, 1 << 22),
	] {
		assert!(PackedMatrix::zeros(rows, width, w8).is_err(), "[{rows}, {width}]");
	}
	assert!(PackedMatrix::zeros(1, 64, MatrixFormat::W8 { group: Group::G64 }).is_err());
	assert!(PackedMatrix::zeros(2, 32, w8).unwrap().put_zeros(0, &[0; 2]).is_err());
	let mut w4z = PackedMatrix::zeros(2, 96, MatrixFormat::W4z { group: Group::G32 }).unwrap();
	assert!(w4z.put_zeros(0, &[0xFF, 0x0F, 0xFF, 0x1F]).is_err());
	assert!(w4z.put_zeros(0, &[0xFF, 0x0F, 0xFF, 0x0F]).is_ok());
	assert!(w4z.put_zeros(1, &[0xFF, 0x0F, 0xFF, 0x0F]).is_err());
	assert!(w4z.put_scales(0, &[0; 11]).is_err() && w4z.put_scales(0, &[0; 12]).is_ok());
}
