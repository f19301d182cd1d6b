//! What the matrices of a model directory stand for: the formats of the specification, written once more for tests.

use assay_model_folder::{
	files,
	header::{Dtype, Header},
	Manifest,
};
use half::f16;
use std::{collections::BTreeMap, fs, path::Path};

/// A matrix of a model directory.
#[derive(Debug, PartialEq)]
pub(crate) struct Matrix {
	/// Its format's name.
	pub(crate) format: String,
	/// Its outputs.
	pub(crate) rows: usize,
	/// The integer of each weight: zero points are taken away, and indices looked up.
	pub(crate) integers: Vec<i32>,
	/// What each weight stands for.
	pub(crate) values: Vec<f32>,
}

/// Returns the matrices of a model directory by name.
pub(crate) fn matrices(dir: &Path) -> BTreeMap<String, Matrix> {
	let bytes = fs::read(dir.join(files::WEIGHTS)).unwrap();
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let data = |name: &str| {
		let (begin, end) = header.tensors.get(name)?.data_offsets;
		Some(&bytes[(header.data_start + begin) as usize..(header.data_start + end) as usize])
	};
	let formats = Manifest::read(dir).unwrap().formats().unwrap();
	let matrix = |(name, weight): (&String, &assay_model_folder::header::TensorInfo)| {
		let beside = |end: &str| data(&format!("{name}{end}"));
		let scales = beside("_scale")?;
		let own = data(name).unwrap();
		let rows = weight.shape[0] as usize;
		let nibbles = |bytes: &[u8]| {
			bytes
				.iter()
				.flat_map(|b| [b & 15, b >> 4])
				.map(i32::from)
				.collect::<Vec<_>>()
		};
		let stored: Vec<i32> = match weight.dtype {
			Dtype::I8 => own.iter().map(|w| i32::from(*w as i8)).collect(),
			_ => nibbles(own),
		};
		let (width, groups) = (stored.len() / rows, scales.len() / 2 / rows);
		let format = formats.of(name);
		let size = format.with_table([0; 16]).group();
		assert_eq!(width.div_ceil(size), groups, "{name}");
		let zeros = beside("_zero").map(|zeros| zeros.chunks(zeros.len() / rows).map(nibbles).collect::<Vec<_>>());
		let (mut integers, mut values) = (Vec::new(), Vec::new());
		for (at, stored) in stored.into_iter().enumerate() {
			let (row, group) = (at / width, at % width / size);
			let integer = match (&zeros, beside("_table")) {
				(Some(zeros), None) => stored - zeros[row][group],
				(None, Some(table)) => i32::from(table[stored as usize] as i8),
				(None, None) => stored,
				_ => panic!("{name} has a table and zero points"),
			};
			let scale = &scales[(row * groups + group) * 2..][..2];
			integers.push(integer);
			values.push(f16::from_le_bytes([scale[0], scale[1]]).to_f32() * integer as f32);
		}
		let format = format.to_string();
		Some((
			name.clone(),
			Matrix {
				format,
				rows,
				integers,
				values,
			},
		))
	};
	header.tensors.iter().filter_map(matrix).collect()
}
