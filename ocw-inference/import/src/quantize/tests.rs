use super::*;
use crate::ggml::IQ4_NL;
use assay_numerics::format::Group as Size;
use half::f16;
use proptest::prelude::*;

/// Every format that the importer quantizes to.
fn formats() -> Vec<MatrixFormat> {
	let mut all = vec![
		MatrixFormat::W8 { group: Size::G32 },
		MatrixFormat::W8 { group: Size::G128 },
		MatrixFormat::W4 { table: IQ4_NL },
		MatrixFormat::W4 { table: SIGNED },
		MatrixFormat::W4 { table: MXFP4 },
	];
	all.extend(Size::ALL.map(|group| MatrixFormat::W4z { group }));
	all
}

/// What four bits in two's complement are.
const SIGNED: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];
/// A table out of order in which a number is there twice.
const MXFP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn quantized(
	format: &MatrixFormat,
	rows: &[f32],
	width: usize,
	h: Option<&[f32]>,
) -> Result<QuantizedRows, &'static str> {
	let mut out = QuantizedRows::default();
	quantize_rows(format, rows, width, h, &mut out).map(|()| out)
}

/// Returns the floats that a file's bytes stand for, by the formula of the specification.
fn decoded(format: &MatrixFormat, rows: &QuantizedRows, width: usize) -> Vec<f32> {
	let nibble = |bytes: &[u8], at: usize| bytes[at / 2] >> (4 * (at % 2)) & 15;
	let count = rows.weights.len() / format.weight_bytes(width);
	let mut out = Vec::new();
	for row in 0..count {
		let part = |bytes: &[u8], each: usize| bytes[row * each..][..each].to_vec();
		let weights = part(&rows.weights, format.weight_bytes(width));
		let scales = part(&rows.scales, format.scale_bytes(width));
		let zeros = part(&rows.zeros, format.zero_bytes(width));
		for k in 0..width {
			let group = k / format.group();
			let scale = f16::from_le_bytes([scales[2 * group], scales[2 * group + 1]]);
			let integer = match format {
				MatrixFormat::W8 { .. } => i32::from(weights[k] as i8),
				MatrixFormat::W4 { table } => i32::from(table[usize::from(nibble(&weights, k))]),
				MatrixFormat::W4z { .. } => i32::from(nibble(&weights, k)) - i32::from(nibble(&zeros, group)),
			};
			out.push(scale.to_f32() * integer as f32);
		}
	}
	out
}

/// Returns `Σ h·(w − decoded)²`.
fn lost(rows: &[f32], decoded: &[f32], h: &[f32]) -> f64 {
	let each = rows.iter().zip(decoded).zip(h.iter().cycle());
	each.map(|((w, d), h)| f64::from(*h) * (f64::from(*w) - f64::from(*d)).powi(2))
		.sum()
}

/// Returns a group rounded to nearest: what a search has to beat.
fn rounded(format: &MatrixFormat, group: &[f32]) -> Vec<f32> {
	let peak = group.iter().fold(0f32, |a, w| if w.abs() > a.abs() { *w } else { a });
	match format {
		MatrixFormat::W8 { .. } => {
			let d = f16::from_f32(peak.abs() / 127.0).to_f32();
			let each = |w: &f32| {
				if d == 0.0 {
					0.0
				} else {
					(w / d).round_ties_even().clamp(-127.0, 127.0) * d
				}
			};
			group.iter().map(each).collect()
		}
		MatrixFormat::W4 { table } => {
			let largest = table.iter().fold(0f32, |a, t| {
				if f32::from(*t).abs() > a.abs() {
					f32::from(*t)
				} else {
					a
				}
			});
			let d = f16::from_f32(peak / largest).to_f32();
			let nearest = |w: &f32| {
				let distance = |t: &&i8| (w - d * f32::from(**t)).abs();
				d * f32::from(*table.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap())
			};
			group.iter().map(nearest).collect()
		}
		MatrixFormat::W4z { .. } => {
			let (low, high) = group.iter().fold((0f32, 0f32), |(l, h), w| (l.min(*w), h.max(*w)));
			let d = f16::from_f32((high - low) / 15.0).to_f32();
			let zero = if d == 0.0 {
				0.0
			} else {
				(-low / d).round_ties_even().clamp(0.0, 15.0)
			};
			let each = |w: &f32| {
				if d == 0.0 {
					0.0
				} else {
					(w / d).round_ties_even().clamp(-zero, 15.0 - zero) * d
				}
			};
			group.iter().map(each).collect()
		}
	}
}

/// Rows of three widths, whose last group is whole or short: ordinary ones, and ones with outliers.
fn rows() -> impl Strategy<Value = (usize, Vec<f32>, Vec<f32>)> {
	let weight = prop_oneof![
		8 => -1.0f32..1.0,
		1 => -20.0f32..20.0,
		1 => Just(0.0f32),
		1 => -1e-4f32..1e-4,
	];
	let size = prop_oneof![Just(1.0f32), Just(0.03), Just(1e-5), Just(2e4), Just(1e-7)];
	prop_oneof![Just(32usize), Just(96), Just(288)].prop_flat_map(move |width| {
		let values = prop::collection::vec(weight.clone(), 2 * width);
		let importance = prop::collection::vec(
			prop_oneof![4 => 0.01f32..1.0, 1 => 1.0f32..500.0, 1 => Just(0.0f32)],
			width,
		);
		(values, importance, size.clone()).prop_map(move |(values, mut h, size)| {
			h[0] = 1.0;
			(width, values.iter().map(|v| v * size).collect(), h)
		})
	})
}

proptest! {
	#[test]
	fn a_search_never_loses_more_than_rounding_does((width, rows, h) in rows()) {
		for format in formats() {
			let found = decoded(&format, &quantized(&format, &rows, width, Some(&h)).unwrap(), width);
			for (row, found) in rows.chunks(width).zip(found.chunks(width)) {
				let groups = row.chunks(format.group()).zip(found.chunks(format.group())).zip(h.chunks(format.group()));
				for ((row, found), h) in groups {
					let (ours, plain) = (lost(row, found, h), lost(row, &rounded(&format, row), h));
					// The search adds in f32.
					prop_assert!(ours <= plain * 1.0001 + 1e-16, "{format}: {ours} and {plain}");
				}
			}
		}
	}

	#[test]
	fn bytes_have_the_sizes_of_the_format_and_decode_within_bounds((width, rows, h) in rows()) {
		for format in formats() {
			let bytes = quantized(&format, &rows, width, Some(&h)).unwrap();
			prop_assert_eq!(bytes.weights.len(), 2 * format.weight_bytes(width));
			prop_assert_eq!(bytes.scales.len(), 2 * format.scale_bytes(width));
			prop_assert_eq!(bytes.zeros.len(), 2 * format.zero_bytes(width));
			prop_assert!(bytes.scales.chunks(2).all(|s| f16::from_le_bytes([s[0], s[1]]).is_finite()));
			if format.zero_bytes(width) * 2 > format.groups(width) {
				let last = format.zero_bytes(width);
				prop_assert!(bytes.zeros.chunks(last).all(|row| row[last - 1] >> 4 == 0));
			}
			// With the same weight for each column no weight is lost by more than the largest of its group, or than the steps
			// of the smallest f16 cost.
			let plain = decoded(&format, &quantized(&format, &rows, width, None).unwrap(), width);
			for (row, found) in rows.chunks(width).zip(plain.chunks(width)) {
				for (row, found) in row.chunks(format.group()).zip(found.chunks(format.group())) {
					let peak = row.iter().fold(0f32, |a, w| a.max(w.abs()));
					prop_assert!(row.iter().zip(found).all(|(w, f)| (w - f).abs() <= peak * 1.001 + 127.0 * 6e-8), "{}", format);
				}
			}
		}
	}

	#[test]
	fn weights_that_a_format_holds_come_back_exactly(
		codes in prop::collection::vec(0usize..16, 288), scale in prop_oneof![1u16..0x7000, Just(1), Just(0x6FFF)],
		zeros in prop::collection::vec(0i32..16, 9), h in prop::collection::vec(0.001f32..100.0, 288),
	) {
		let size = f16::from_bits(scale).to_f32();
		for format in formats() {
			let integer = |(k, code): (usize, &usize)| match format {
				// Int8 holds whatever has its 127 in each group.
				MatrixFormat::W8 { .. } => if k % 32 == 5 { -127 } else { *code as i32 * 8 - 60 },
				MatrixFormat::W4 { table } => i32::from(table[*code]),
				MatrixFormat::W4z { group } => *code as i32 - zeros[k / group.size()],
			};
			let row: Vec<f32> = codes.iter().enumerate().map(|each| size * integer(each) as f32).collect();
			if row.iter().any(|w| w.abs() > 60000.0) {
				continue;
			}
			let bytes = quantized(&format, &row, 288, Some(&h)).unwrap();
			prop_assert_eq!(decoded(&format, &bytes, 288), row, "{}", format);
		}
	}

	#[test]
	fn any_bits_are_quantized_or_refused(bits in prop::collection::vec(any::<u32>(), 128)) {
		let row: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
		for format in formats() {
			let finite = row.iter().all(|w| w.is_finite());
			match quantized(&format, &row, 128, None) {
				Err(reason) if !finite => prop_assert_eq!(reason, QuantizeError::NonFinite.reason()),
				Err(reason) => prop_assert_eq!(reason, QuantizeError::TooLarge.reason()),
				Ok(bytes) => prop_assert!(finite && decoded(&format, &bytes, 128).iter().all(|w| w.is_finite())),
			}
		}
	}
}

#[test]
fn rows_of_zeros_constants_and_tiny_weights_are_quantized() {
	for format in formats() {
		for row in [[0.0f32; 128], [-0.0; 128], [1e-40; 128], [-1e-9; 128]] {
			let bytes = quantized(&format, &row, 128, None).unwrap();
			assert!(bytes.scales.iter().all(|b| *b == 0), "{format}");
			assert!(decoded(&format, &bytes, 128).iter().all(|w| *w == 0.0), "{format}");
		}
		for constant in [0.3f32, -0.3, 1e-3, -1e-5, 250.0] {
			let row = [constant; 128];
			let found = decoded(&format, &quantized(&format, &row, 128, None).unwrap(), 128);
			// As near as f16 is, whose smallest numbers are 6e-8 apart.
			let bound = constant.abs() / 1500.0 + 127.0 * 3e-8;
			assert!(
				found.iter().all(|f| (f - constant).abs() <= bound),
				"{format}: {constant} {}",
				found[0]
			);
		}
	}
}

#[test]
fn what_no_scale_holds_is_refused() {
	for format in formats() {
		for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
			let mut row = [0.5f32; 128];
			row[77] = bad;
			assert_eq!(
				quantized(&format, &row, 128, None),
				Err(QuantizeError::NonFinite.reason()),
				"{format}"
			);
		}
		for large in [1e8f32, -1e8, f32::MAX, f32::MIN] {
			let mut row = [0.5f32; 128];
			row[3] = large;
			assert_eq!(
				quantized(&format, &row, 128, None),
				Err(QuantizeError::TooLarge.reason()),
				"{format}"
			);
		}
		assert!(quantized(&format, &[1.0; 48], 48, None).is_err());
		assert!(quantized(&format, &[1.0; 64], 64, Some(&[1.0; 32])).is_err());
		assert!(quantized(&format, &[1.0; 64], 64, Some(&[0.0; 64])).is_err());
		assert!(quantized(&format, &[1.0; 64], 64, Some(&[f32::NAN; 64])).is_err());
	}
}

/// Returns numbers that look random, near those of a bell curve.
fn bell(count: usize) -> Vec<f32> {
	let mut state = 7u64;
	let mut uniform = || {
		state = state
			.wrapping_mul(6364136223846793005)
			.wrapping_add(1442695040888963407);
		(state >> 40) as f32 / (1 << 24) as f32 - 0.5
	};
	(0..count)
		.map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 0.05)
		.collect()
}

#[test]
fn a_search_loses_much_less_than_rounding_where_columns_differ() {
	let (width, rows) = (256, bell(256 * 64));
	let h: Vec<f32> = (0..width).map(|k| if k % 17 == 3 { 400.0 } else { 1.0 }).collect();
	for (format, most) in [
		(MatrixFormat::W4 { table: IQ4_NL }, 0.5),
		(MatrixFormat::W4z { group: Size::G32 }, 0.6),
		(MatrixFormat::W4z { group: Size::G64 }, 0.7),
		(MatrixFormat::W4z { group: Size::G128 }, 0.8),
	] {
		let error = |h: Option<&[f32]>, by: &[f32]| {
			lost(
				&rows,
				&decoded(&format, &quantized(&format, &rows, width, h).unwrap(), width),
				by,
			)
		};
		let plain: Vec<f32> = rows
			.chunks(format.group())
			.flat_map(|group| rounded(&format, group))
			.collect();
		let share = error(Some(&h), &h) / lost(&rows, &plain, &h);
		println!(
			"{format}: {share:.3} of the error of rounding, {:.3} unweighted",
			error(None, &[1.0]) / lost(&rows, &plain, &[1.0])
		);
		assert!(share < most, "{format}: {share}");
		assert!(error(Some(&h), &h) < error(None, &h), "{format}");
	}
}

#[test]
fn bytes_depend_neither_on_threads_nor_on_pieces() {
	let (width, rows) = (160, bell(160 * 50));
	for format in formats() {
		let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
		let whole = one.install(|| quantized(&format, &rows, width, None)).unwrap();
		let mut pieces = QuantizedRows::default();
		let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
		for piece in rows.chunks(width * 7) {
			three
				.install(|| quantize_rows(&format, piece, width, None, &mut pieces))
				.unwrap();
		}
		assert_eq!(whole, pieces, "{format}");
	}
}

/// The bytes of a search are part of a model's id: whoever changes them changes the quantizer's name in the provenance.
#[test]
fn the_bytes_of_a_search_are_the_recorded_ones() {
	let (width, rows) = (160, bell(160 * 12));
	let h: Vec<f32> = (0..width).map(|k| 1.0 + (k * k % 23) as f32).collect();
	let mut hasher = blake3::Hasher::new();
	for format in formats() {
		for rows in [&rows, &rows.iter().map(|w| w * 3e-5).collect()] {
			let bytes = quantized(&format, rows, width, Some(&h)).unwrap();
			for part in [&bytes.weights, &bytes.scales, &bytes.zeros] {
				hasher.update(part);
			}
		}
	}
	assert_eq!(
		hasher.finalize().to_hex().as_str(),
		"cbe19e8e7d660d78aef8dbb3b6ab5ee5f384b9cd4a88983ad51c514209cc60c8"
	);
}
