//! The weights, checked while they are read and packed as they come: no tensor is in memory twice.

use crate::{
	canonical::linear::Packed,
	files,
	header::{byte_size, Dtype, Header, TensorInfo},
	layout::SCALE_SUFFIX,
	manifest::{Manifest, TensorEntry},
	Error, Result,
};
use half::f16;
use std::{
	collections::HashMap,
	fs::File,
	io::{Read, Seek},
	path::Path,
};

/// Bytes that are read and hashed in one go, while they are in the processor's cache.
const PIECE: u64 = 1 << 20;

/// Weights in the form they are computed with.
#[derive(Default)]
pub struct Weights {
	/// Packed matrices by the names of their parts.
	matrices: HashMap<Vec<String>, Packed>,
	/// Norms, biases and tables.
	vectors: HashMap<String, Vec<f32>>,
}

impl Weights {
	/// Takes the matrix out that was packed from these, named without their `.weight`.
	pub(crate) fn matrix(&mut self, parts: &[String]) -> Result<Packed> {
		let packed = self.matrices.remove(parts);
		packed.ok_or_else(|| Error::Disagree(format!("model.safetensors lacks {}.weight", parts.join(".weight, "))))
	}

	/// Takes an f32 tensor out, if there is such a one.
	pub(crate) fn take(&mut self, name: &str) -> Option<Vec<f32>> {
		self.vectors.remove(name)
	}

	/// Takes an f32 tensor out.
	pub(crate) fn vector(&mut self, name: &str) -> Result<Vec<f32>> {
		self.take(name)
			.ok_or_else(|| Error::Disagree(format!("model.safetensors lacks {name}")))
	}
}

/// Reads a canonical `model.safetensors`. Its header must be exactly the one that the manifest implies, and every tensor's
/// bytes must have the root in the manifest. Matrices that `groups` names together are packed one below another.
pub fn read(path: &Path, manifest: &Manifest, groups: &[Vec<String>], checked: bool) -> Result<Weights> {
	let mut file = open(path, manifest)?;
	let mut weights = Weights::default();
	// Matrices whose group isn't complete yet: they wait as they were read, and are dropped when they are packed.
	let mut waiting: HashMap<String, (Vec<u8>, Vec<f16>)> = HashMap::new();
	for entry in &manifest.tensors {
		let data = tensor(&mut file, path, entry, checked)?;
		let matrix = match entry.dtype {
			Dtype::I8 => {
				waiting.entry(stem(&entry.name).into()).or_default().0 = data;
				continue;
			}
			Dtype::F16 => stem(&entry.name),
			Dtype::F32 | Dtype::BF16 | Dtype::I64 => {
				weights.vectors.insert(entry.name.clone(), to_f32(entry.dtype, &data));
				continue;
			}
		};
		waiting.entry(matrix.into()).or_default().1 = to_f16(&data);
		let alone = [matrix.to_owned()];
		let group = groups.iter().find(|group| group.iter().any(|part| part == matrix));
		let group = group.map_or(&alone[..], Vec::as_slice);
		let complete = |part: &String| waiting.get(part).is_some_and(|(_, scales)| !scales.is_empty());
		if group.iter().all(complete) {
			let parts: Vec<_> = group.iter().filter_map(|part| waiting.remove(part)).collect();
			let slices: Vec<_> = parts.iter().map(|(w, s)| (w.as_slice(), s.as_slice())).collect();
			let width = width(manifest, group);
			weights.matrices.insert(group.to_vec(), Packed::pack(&slices, width)?);
		}
	}
	Ok(weights)
}

/// Opens the file, checks its header and leaves it where the data begins.
fn open(path: &Path, manifest: &Manifest) -> Result<File> {
	let mut file = File::open(path).map_err(Error::io(path))?;
	let bytes = file.metadata().map_err(Error::io(path))?.len();
	let header = Header::read(&mut file, bytes)?;
	let mut found = Vec::new();
	file.rewind().map_err(Error::io(path))?;
	(&mut file)
		.take(header.data_start)
		.read_to_end(&mut found)
		.map_err(Error::io(path))?;
	let listed = manifest.tensors.iter();
	let expected = Header::canonical(listed.map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
	if found == expected {
		return Ok(file);
	}
	let listed: HashMap<_, _> = manifest.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
	let agrees = |name: &str, info: &TensorInfo| {
		let entry = listed.get(name);
		entry.is_some_and(|t| t.dtype == info.dtype && t.shape == info.shape)
	};
	let stranger = header.tensors.iter().find(|(name, info)| !agrees(name, info));
	Err(Error::Disagree(match stranger {
		Some((name, TensorInfo { dtype, shape, .. })) => {
			format!("model.safetensors has tensor `{name}` {dtype:?} {shape:?}, the manifest hasn't")
		}
		None => "the header of model.safetensors is not the canonical one of this manifest".into(),
	}))
}

/// Reads the bytes of the next tensor, hashing them as they come.
fn tensor(file: &mut File, path: &Path, entry: &TensorEntry, checked: bool) -> Result<Vec<u8>> {
	// The header tiles the file, so this is no more than the file has.
	let size = byte_size(entry.dtype, &entry.shape).unwrap_or(u64::MAX);
	let mut data = Vec::new();
	data.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
		.map_err(|_| Error::Disagree(format!("tensor `{}` doesn't fit into memory", entry.name)))?;
	let mut hasher = blake3::Hasher::new();
	let mut left = size;
	while left > 0 {
		let begin = data.len();
		let read = Read::by_ref(file)
			.take(left.min(PIECE))
			.read_to_end(&mut data)
			.map_err(Error::io(path))?;
		if read == 0 {
			return Err(Error::Disagree("model.safetensors ends early".into()));
		}
		if checked {
			hasher.update(data.get(begin..).unwrap_or_default());
		}
		left -= read as u64;
	}
	if checked {
		let root = hasher.finalize();
		files::check_root(&format!("tensor `{}`", entry.name), root.as_bytes(), &entry.root)?;
	}
	Ok(data)
}

/// `NAME.weight` and `NAME.weight_scale` belong to matrix NAME.
fn stem(name: &str) -> &str {
	let name = name.strip_suffix(SCALE_SUFFIX).unwrap_or(name);
	name.strip_suffix(".weight").unwrap_or(name)
}

/// Columns of a group's matrices, which all read the same rows.
fn width(manifest: &Manifest, group: &[String]) -> usize {
	let first = group.first().map(|name| format!("{name}.weight"));
	let entry = manifest
		.tensors
		.iter()
		.find(|entry| Some(&entry.name) == first.as_ref());
	entry
		.and_then(|entry| entry.shape.last())
		.map_or(0, |width| *width as usize)
}

fn to_f16(data: &[u8]) -> Vec<f16> {
	let two = |b: &[u8]| f16::from_le_bytes(b.try_into().unwrap_or_default());
	data.chunks_exact(2).map(two).collect()
}

/// Little-endian elements as f32; exact for every float.
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
		Dtype::I64 => data
			.chunks_exact(8)
			.map(|b| i64::from_le_bytes(b.try_into().unwrap_or_default()) as f32)
			.collect(),
		Dtype::F32 => data
			.chunks_exact(4)
			.map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default()))
			.collect(),
	}
}
