//! Writes safetensors files with the format's own library.

use assay_model_folder::header::Dtype;
use half::{bf16, f16};
use safetensors::{serialize_to_file, Dtype as TheirDtype, View};
use std::{borrow::Cow, path::Path};

/// A tensor whose elements are computed when they are written, so that one at a time is in memory.
struct Lazy<'a> {
	name: String,
	dtype: TheirDtype,
	shape: Vec<usize>,
	values: &'a dyn Fn(&str, usize) -> Vec<f32>,
}

impl View for Lazy<'_> {
	fn dtype(&self) -> TheirDtype {
		self.dtype
	}

	fn shape(&self) -> &[usize] {
		&self.shape
	}

	fn data(&self) -> Cow<'_, [u8]> {
		let values = (self.values)(&self.name, self.shape.iter().product());
		let values = values.into_iter();
		Cow::Owned(match self.dtype {
			TheirDtype::F16 => values.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect(),
			TheirDtype::BF16 => values.flat_map(|v| bf16::from_f32(v).to_le_bytes()).collect(),
			_ => values.flat_map(f32::to_le_bytes).collect(),
		})
	}

	fn data_len(&self) -> usize {
		self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
	}
}

/// Writes tensors of one float type. `values` is given a tensor's name and how many elements it has.
pub fn write_safetensors(
	path: &Path,
	dtype: Dtype,
	tensors: impl IntoIterator<Item = (String, Vec<u64>)>,
	values: impl Fn(&str, usize) -> Vec<f32>,
) {
	let dtype = match dtype {
		Dtype::F32 => TheirDtype::F32,
		Dtype::F16 => TheirDtype::F16,
		Dtype::BF16 => TheirDtype::BF16,
		Dtype::I8 | Dtype::U8 | Dtype::I32 | Dtype::I64 => panic!("weights are published as floats"),
	};
	let tensors = tensors.into_iter().map(|(name, shape)| {
		let shape = shape.into_iter().map(|dimension| dimension as usize).collect();
		let lazy = Lazy {
			name: name.clone(),
			dtype,
			shape,
			values: &values,
		};
		(name, lazy)
	});
	serialize_to_file(tensors, None, path).unwrap();
}
