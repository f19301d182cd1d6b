//! The weights, checked while they are read.

use crate::{
	files,
	header::{byte_size, Dtype, Header},
	manifest::Manifest,
	Error, Result,
};
use candle_core::{Device, Tensor};
use half::f16;
use std::{collections::HashMap, fs::File, io::Read, path::Path};

/// Tensors by name. int8 is held as U8 in two's complement, because candle has no signed byte; f16 scales are widened to f32.
pub type Weights = HashMap<String, Tensor>;

/// Reads a canonical `model.safetensors`. Its header must be exactly the one that the manifest implies, and every tensor's
/// bytes must have the root in the manifest.
pub fn read(path: &Path, manifest: &Manifest, checked: bool) -> Result<Weights> {
	let mut file = File::open(path).map_err(Error::io(path))?;
	let bytes = file.metadata().map_err(Error::io(path))?.len();
	let header = Header::read(&mut file, bytes)?;
	let entries = || manifest.tensors.iter();
	let expected = Header::canonical(entries().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
	if checked {
		for (name, info) in &header.tensors {
			let agrees = entries().any(|t| t.name == *name && t.dtype == info.dtype && t.shape == info.shape);
			if !agrees {
				let found = format!("{:?} {:?}", info.dtype, info.shape);
				return Err(Error::Disagree(format!(
					"model.safetensors has tensor `{name}` {found}, the manifest hasn't"
				)));
			}
		}
	}
	let mut found = Vec::new();
	let start = header.data_start;
	File::open(path)
		.and_then(|f| f.take(start).read_to_end(&mut found))
		.map_err(Error::io(path))?;
	if found != expected {
		return Err(Error::Disagree(
			"the header of model.safetensors is not the canonical one of this manifest".into(),
		));
	}

	let mut weights = Weights::new();
	for entry in entries() {
		let size = byte_size(entry.dtype, &entry.shape).unwrap_or(u64::MAX);
		let mut data = Vec::new();
		(&mut file).take(size).read_to_end(&mut data).map_err(Error::io(path))?;
		if checked {
			files::check_root(&format!("tensor `{}`", entry.name), &files::root(&data), &entry.root)?;
		}
		let shape: Vec<usize> = entry.shape.iter().map(|d| *d as usize).collect();
		weights.insert(entry.name.clone(), tensor(entry.dtype, data, shape)?);
	}
	Ok(weights)
}

fn tensor(dtype: Dtype, data: Vec<u8>, shape: Vec<usize>) -> Result<Tensor> {
	Ok(match dtype {
		Dtype::I8 => Tensor::from_vec(data, shape, &Device::Cpu)?,
		_ => Tensor::from_vec(to_f32(dtype, &data), shape, &Device::Cpu)?,
	})
}

/// Little-endian elements as f32; exact for every type.
pub fn to_f32(dtype: Dtype, data: &[u8]) -> Vec<f32> {
	let two = |b: &[u8]| <[u8; 2]>::try_from(b).unwrap_or_default();
	match dtype {
		Dtype::I8 => data.iter().map(|b| f32::from(*b as i8)).collect(),
		Dtype::F16 => data
			.chunks_exact(2)
			.map(|b| f16::from_le_bytes(two(b)).to_f32())
			.collect(),
		Dtype::BF16 => data
			.chunks_exact(2)
			.map(|b| half::bf16::from_le_bytes(two(b)).to_f32())
			.collect(),
		Dtype::F32 => data
			.chunks_exact(4)
			.map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default()))
			.collect(),
	}
}
