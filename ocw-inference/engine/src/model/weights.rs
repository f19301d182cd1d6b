//! The weights, checked while they are read and packed piece by piece: no matrix is ever in memory unpacked.

use crate::{Error, Result};
use assay_model_folder::{
	files,
	header::{byte_size, Dtype, Header, TensorInfo},
	layout::SCALE_SUFFIX,
	manifest::{Manifest, TensorEntry},
	Error as FolderError,
};
use assay_numerics::packed::{PackedMatrix, BLOCK, TILE};
use half::f16;
use std::{
	collections::{hash_map::Entry, HashMap, HashSet},
	fs::File,
	io::{Read, Seek},
	path::{Path, PathBuf},
	sync::{Mutex, PoisonError},
};

/// Bytes that are read, hashed and packed in one go, while they are in the CPU's cache.
const PIECE: usize = 1 << 20;

/// Weights in the form they are computed with.
#[derive(Default)]
pub struct Weights {
	/// Packed matrices by the names of their parts.
	matrices: HashMap<Vec<String>, PackedMatrix>,
	/// Norms, biases and tables.
	vectors: HashMap<String, Vec<f32>>,
}

impl Weights {
	/// Removes and returns the matrix that was packed from these, named without their `.weight`.
	pub(crate) fn matrix(&mut self, parts: &[String]) -> Result<PackedMatrix> {
		let packed = self.matrices.remove(parts);
		packed.ok_or_else(|| inconsistent(format!("model.safetensors lacks {}.weight", parts.join(".weight, "))))
	}

	/// Removes and returns an f32 tensor, if there is one of this name.
	pub(crate) fn take(&mut self, name: &str) -> Option<Vec<f32>> {
		self.vectors.remove(name)
	}

	/// Removes and returns an f32 tensor.
	pub(crate) fn vector(&mut self, name: &str) -> Result<Vec<f32>> {
		self.take(name)
			.ok_or_else(|| inconsistent(format!("model.safetensors lacks {name}")))
	}
}

fn inconsistent(reason: impl Into<String>) -> Error {
	FolderError::Inconsistent(reason.into()).into()
}

fn not_finite(entry: &TensorEntry) -> Error {
	inconsistent(format!(
		"tensor `{}` has a NaN or an infinity; no importer writes that: import the model again from a sound source",
		entry.name
	))
}

/// A `model.safetensors` that stays open, so that its weights can be read again whatever becomes of the directory.
pub(crate) struct WeightsFile {
	file: Mutex<File>,
	path: PathBuf,
	/// Whether every tensor's bytes must have the root in the manifest.
	checked: bool,
}

impl WeightsFile {
	/// Opens the file.
	pub(crate) fn open(path: PathBuf, checked: bool) -> Result<Self> {
		let file = Mutex::new(File::open(&path).map_err(Error::io(&path))?);
		Ok(Self { file, path, checked })
	}

	/// Reads the weights from the file's beginning, as [`read`] does.
	pub(crate) fn read(&self, manifest: &Manifest, groups: &[Vec<String>]) -> Result<Weights> {
		let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
		file.rewind().map_err(Error::io(&self.path))?;
		read(&mut file, &self.path, manifest, groups, self.checked)
	}
}

/// Reads a canonical `model.safetensors`. Its header must be exactly the one that the manifest implies, and every tensor's
/// bytes must have the root in the manifest. Matrices that `groups` names together are packed one below another.
fn read(file: &mut File, path: &Path, manifest: &Manifest, groups: &[Vec<String>], checked: bool) -> Result<Weights> {
	check_header(file, path, manifest)?;
	let mut reader = Reader {
		file,
		path,
		checked,
		pieces: Default::default(),
	};
	let placements = placements(manifest, groups)?;
	let mut weights = Weights::default();
	for entry in &manifest.tensors {
		let matrix = match entry.dtype {
			Dtype::I8 | Dtype::F16 => stem(&entry.name),
			Dtype::F32 | Dtype::BF16 | Dtype::I64 => {
				let values = to_f32(entry.dtype, &reader.whole(entry)?);
				if !values.iter().all(|v| v.is_finite()) {
					return Err(not_finite(entry));
				}
				weights.vectors.insert(entry.name.clone(), values);
				continue;
			}
		};
		let placement = placements.get(matrix);
		let placement = placement.ok_or_else(|| inconsistent(format!("model.safetensors lacks {matrix}.weight")))?;
		let packed = match weights.matrices.entry(placement.group.clone()) {
			Entry::Occupied(entry) => entry.into_mut(),
			Entry::Vacant(entry) => entry.insert(PackedMatrix::zeros(placement.rows, placement.width)?),
		};
		let (mut row, is_weight) = (placement.first, entry.dtype == Dtype::I8);
		let row_bytes = if is_weight {
			placement.width
		} else {
			placement.width / BLOCK * 2
		};
		reader.rows(entry, row_bytes, |rows| {
			if is_weight {
				packed.put_weights(row, rows)?;
			} else if rows
				.as_chunks::<2>()
				.0
				.iter()
				.all(|s| f16::from_le_bytes(*s).is_finite())
			{
				packed.put_scales(row, rows)?;
			} else {
				return Err(not_finite(entry));
			}
			row += rows.len() / row_bytes;
			Ok(())
		})?;
	}
	Ok(weights)
}

/// Where the rows of a matrix, and their scales, are packed.
struct Placement {
	/// The matrices that are packed below one another, this one among them.
	group: Vec<String>,
	/// Its first row.
	first: usize,
	/// Rows of all of them.
	rows: usize,
	/// Columns of each.
	width: usize,
}

/// Returns the placement of every matrix by its name.
fn placements(manifest: &Manifest, groups: &[Vec<String>]) -> Result<HashMap<String, Placement>> {
	let matrices = manifest.tensors.iter().filter(|entry| entry.dtype == Dtype::I8);
	let mut shapes: HashMap<&str, &[u64]> = matrices.map(|m| (stem(&m.name), m.shape.as_slice())).collect();
	let grouped: HashSet<&str> = groups.iter().flatten().map(String::as_str).collect();
	let alone: Vec<_> = shapes
		.keys()
		.filter(|name| !grouped.contains(*name))
		.map(|name| vec![(*name).to_owned()])
		.collect();
	let mut placements = HashMap::new();
	for group in groups.iter().chain(&alone) {
		let (mut parts, mut rows, mut columns) = (Vec::new(), 0, None);
		for part in group {
			let size = |size: &u64| usize::try_from(*size).unwrap_or(usize::MAX);
			match shapes.remove(part.as_str()) {
				Some([n, k]) if *columns.get_or_insert(size(k)) == size(k) => {
					parts.push((part, rows));
					rows = size(n).saturating_add(rows);
				}
				Some(shape) => return Err(inconsistent(format!("{part}.weight can't be {shape:?}"))),
				None => return Err(inconsistent(format!("model.safetensors lacks {part}.weight"))),
			}
		}
		for (part, first) in parts {
			let placement = Placement {
				group: group.clone(),
				first,
				rows,
				width: columns.unwrap_or(0),
			};
			placements.insert(part.clone(), placement);
		}
	}
	Ok(placements)
}

/// Checks the header of the file; the next byte read is the first of the data.
fn check_header(file: &mut File, path: &Path, manifest: &Manifest) -> Result<()> {
	let bytes = file.metadata().map_err(Error::io(path))?.len();
	let header = Header::read(file, bytes)?;
	let mut found = Vec::new();
	file.rewind().map_err(Error::io(path))?;
	Read::by_ref(file)
		.take(header.data_start)
		.read_to_end(&mut found)
		.map_err(Error::io(path))?;
	let listed = manifest.tensors.iter();
	let expected = Header::canonical(listed.map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
	if found == expected {
		return Ok(());
	}
	let listed: HashMap<_, _> = manifest.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
	let agrees = |name: &str, info: &TensorInfo| {
		let entry = listed.get(name);
		entry.is_some_and(|t| t.dtype == info.dtype && t.shape == info.shape)
	};
	let unlisted = header.tensors.iter().find(|(name, info)| !agrees(name, info));
	Err(match unlisted {
		Some((name, TensorInfo { dtype, shape, .. })) => inconsistent(format!(
			"model.safetensors has tensor `{name}` {dtype:?} {shape:?}, the manifest has not"
		)),
		None => inconsistent("the header of model.safetensors is not the canonical one of this manifest"),
	})
}

/// Reads tensor after tensor.
struct Reader<'a> {
	file: &'a mut File,
	path: &'a Path,
	checked: bool,
	/// The piece that is being packed, and the next one.
	pieces: [Vec<u8>; 2],
}

impl Reader<'_> {
	/// Reads the next tensor and calls `put` with its rows, a piece at a time, while the next piece is read and hashed.
	fn rows(
		&mut self,
		entry: &TensorEntry,
		row_bytes: usize,
		mut put: impl FnMut(&[u8]) -> Result<()> + Send,
	) -> Result<()> {
		let Self {
			file,
			path,
			checked,
			pieces: [now, next],
		} = self;
		// The header tiles the file, so this is no more than the file has.
		let mut left = byte_size(entry.dtype, &entry.shape).unwrap_or(u64::MAX);
		// Whole tiles: each is finished while it's in the cache.
		let tile = row_bytes.saturating_mul(TILE).max(1);
		let most = (PIECE / tile).max(1).saturating_mul(tile) as u64;
		let mut hasher = blake3::Hasher::new();
		let mut read = |piece: &mut Vec<u8>| {
			piece.clear();
			let size = left.min(most);
			let read = Read::by_ref(file)
				.take(size)
				.read_to_end(piece)
				.map_err(Error::io(path))?;
			if read as u64 != size {
				return Err(inconsistent("model.safetensors ends early"));
			}
			left -= size;
			if *checked {
				hasher.update(piece);
			}
			Ok(())
		};
		read(now)?;
		while !now.is_empty() {
			let (done, read) = rayon::join(|| put(now), || read(next));
			done.and(read)?;
			std::mem::swap(now, next);
		}
		if self.checked {
			let root = hasher.finalize();
			files::check_root(&format!("tensor `{}`", entry.name), root.as_bytes(), &entry.root)?;
		}
		Ok(())
	}

	/// Reads the next tensor whole.
	fn whole(&mut self, entry: &TensorEntry) -> Result<Vec<u8>> {
		let size = byte_size(entry.dtype, &entry.shape).unwrap_or(u64::MAX);
		let mut data = Vec::new();
		data.try_reserve_exact(usize::try_from(size).unwrap_or(usize::MAX))
			.map_err(|_| inconsistent(format!("tensor `{}` doesn't fit into memory", entry.name)))?;
		self.rows(entry, 1, |bytes| {
			data.extend_from_slice(bytes);
			Ok(())
		})?;
		Ok(data)
	}
}

/// Returns the matrix NAME of `NAME.weight` and `NAME.weight_scale`.
fn stem(name: &str) -> &str {
	let name = name.strip_suffix(SCALE_SUFFIX).unwrap_or(name);
	name.strip_suffix(".weight").unwrap_or(name)
}

/// Returns little-endian elements as f32; exact for every float.
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
