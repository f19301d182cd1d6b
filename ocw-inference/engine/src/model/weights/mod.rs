//! The weights, checked while they are read and packed piece by piece, several matrices at once: none is ever in memory unpacked.

mod reader;

use super::matrix::Matrix;
use crate::{Error, Result};
use assay_model_folder::{
	formats::{Formats, TABLE},
	header::{byte_size, Dtype, Header, TensorInfo},
	layout::{SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX},
	manifest::{Manifest, TensorEntry},
	Error as FolderError,
};
use assay_numerics::{format::MatrixFormat, packed::PackedMatrix};
use half::f16;
use std::{
	collections::{HashMap, HashSet},
	fs::File,
	io::{self, Read},
	ops::Range,
	os::unix::fs::FileExt,
	path::PathBuf,
};

/// Weights in the form they are computed with.
#[derive(Default)]
pub struct Weights {
	/// Packed matrices by the names of what they were packed from.
	matrices: HashMap<Vec<String>, Vec<PackedMatrix>>,
	/// Norms, biases and tables.
	vectors: HashMap<String, Vec<f32>>,
}

impl Weights {
	/// Removes and returns the matrix that was packed from these, named without their `.weight`, and their biases.
	pub(crate) fn matrix(&mut self, names: &[String]) -> Result<Matrix> {
		let packed = self.matrices.remove(names);
		let parts = packed
			.ok_or_else(|| inconsistent(format!("model.safetensors lacks {}.weight", names.join(".weight, "))))?;
		let biases = names.iter().filter_map(|name| self.take(&format!("{name}.bias")));
		Matrix::new(parts, biases.collect::<Vec<_>>().concat())
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

/// A `model.safetensors` that stays open, so that its weights can be read again whatever becomes of the directory.
pub(crate) struct WeightsFile {
	file: File,
	path: PathBuf,
	/// Whether every tensor's bytes must have the root in the manifest.
	checked: bool,
}

impl WeightsFile {
	/// Opens the file.
	pub(crate) fn open(path: PathBuf, checked: bool) -> Result<Self> {
		let file = File::open(&path).map_err(Error::io(&path))?;
		Ok(Self { file, path, checked })
	}

	/// Reads the weights of a canonical file. Its header must be exactly the one that the manifest implies, and every tensor's bytes
	/// must have the root in the manifest. Matrices that `groups` names together are packed one below another, as far as their
	/// formats are the same.
	pub(crate) fn read(&self, manifest: &Manifest, groups: &[Vec<String>]) -> Result<Weights> {
		let data_start = self.check_header(manifest)?;
		let tables = self.read_tables(manifest, data_start)?;
		let packing = Packing::plan(manifest, groups, &tables)?;
		let jobs = packing.jobs(manifest, data_start)?;
		let (mut vectors, mut packed) = (HashMap::new(), Vec::new());
		packed.resize_with(packing.parts.len(), || None);
		for made in reader::run(self, &tables, &packing.parts, jobs)? {
			match made {
				Made::Vector(name, values) => drop(vectors.insert(name, values)),
				Made::Matrix(part, matrix) => drop(packed.get_mut(part).map(|slot| slot.insert(matrix))),
				Made::Nothing => {}
			}
		}
		let mut matrices = HashMap::new();
		for (names, parts) in packing.groups {
			let parts = packed.get_mut(parts).unwrap_or_default().iter_mut().map(Option::take);
			let parts: Option<Vec<_>> = parts.collect();
			let parts =
				parts.ok_or_else(|| inconsistent(format!("model.safetensors lacks {}.weight", names.join(", "))))?;
			matrices.insert(names, parts);
		}
		Ok(Weights { matrices, vectors })
	}
}

/// What a tensor is to its matrix.
#[derive(Clone, Copy, PartialEq)]
enum Role {
	Weights,
	Scales,
	Zeros,
	Table,
}

/// Returns the matrix that a tensor belongs to, named without `.weight`, and what it is to it; none for a vector.
fn role(entry: &TensorEntry) -> Option<(&str, Role)> {
	if entry.dtype == Dtype::F32 {
		return None;
	}
	let beside = [
		(SCALE_SUFFIX, Role::Scales),
		(ZERO_SUFFIX, Role::Zeros),
		(TABLE_SUFFIX, Role::Table),
	];
	let beside = beside
		.into_iter()
		.find_map(|(end, role)| Some((entry.name.strip_suffix(end)?, role)));
	let (weight, role) = beside.unwrap_or((&entry.name, Role::Weights));
	Some((weight.strip_suffix(".weight").unwrap_or(weight), role))
}

/// The tables of matrices, by the matrices' names without `.weight`.
type Tables<'a> = HashMap<&'a str, [i8; TABLE]>;

/// A tensor, and where its bytes begin in the file.
#[derive(Clone, Copy)]
struct Tensor<'a> {
	entry: &'a TensorEntry,
	at: u64,
}

impl Tensor<'_> {
	fn bytes(&self) -> u64 {
		byte_size(self.entry.dtype, &self.entry.shape).unwrap_or(u64::MAX)
	}
}

/// Returns the tensors of a file in their order.
fn tensors(manifest: &Manifest, data_start: u64) -> impl Iterator<Item = Tensor<'_>> {
	manifest.tensors.iter().scan(data_start, |at, entry| {
		let tensor = Tensor { entry, at: *at };
		*at = at.saturating_add(tensor.bytes());
		Some(tensor)
	})
}

/// What one thread reads by itself.
enum Job<'a> {
	Vector(Tensor<'a>),
	/// The table of a matrix.
	Table(&'a str, Tensor<'a>),
	/// The tensors of a part, each with its first row there.
	Part(usize, Vec<(Tensor<'a>, Role, usize)>),
}

impl Job<'_> {
	fn bytes(&self) -> u64 {
		match self {
			Self::Vector(tensor) | Self::Table(_, tensor) => tensor.bytes(),
			Self::Part(_, tensors) => tensors.iter().map(|(tensor, ..)| tensor.bytes()).sum(),
		}
	}
}

/// What became of a job.
enum Made {
	Vector(String, Vec<f32>),
	Matrix(usize, PackedMatrix),
	Nothing,
}

/// Which matrices are packed one below another.
struct Packing {
	/// Matrices that are one operation, and the range of their parts.
	groups: Vec<(Vec<String>, Range<usize>)>,
	/// What is packed into one.
	parts: Vec<Part>,
	/// Where each matrix is.
	places: HashMap<String, Place>,
}

/// Matrices of one format, one below another.
struct Part {
	rows: usize,
	width: usize,
	format: MatrixFormat,
}

/// Where the rows of a matrix are packed.
struct Place {
	/// Index of its part.
	part: usize,
	/// Its first row there.
	first: usize,
}

impl Packing {
	fn plan(manifest: &Manifest, groups: &[Vec<String>], tables: &Tables<'_>) -> Result<Self> {
		let formats = manifest.formats()?;
		let matrices = manifest.tensors.iter().filter_map(|entry| match role(entry) {
			Some((matrix, Role::Weights)) => Some((matrix, matrix_of(entry, matrix, &formats, tables))),
			_ => None,
		});
		let mut matrices: HashMap<&str, Option<Part>> = matrices.collect();
		let grouped: HashSet<&str> = groups.iter().flatten().map(String::as_str).collect();
		let mut alone: Vec<_> = matrices
			.keys()
			.filter(|name| !grouped.contains(*name))
			.map(|name| vec![(*name).to_owned()])
			.collect();
		alone.sort_unstable();
		let mut packing = Self {
			groups: Vec::new(),
			parts: Vec::new(),
			places: HashMap::new(),
		};
		for group in groups.iter().chain(&alone) {
			let begin = packing.parts.len();
			for name in group {
				match matrices.remove(name.as_str()) {
					Some(Some(matrix)) => packing.put(name, matrix, begin)?,
					Some(None) => return Err(inconsistent(format!("{name}.weight has a shape of no matrix"))),
					None => return Err(inconsistent(format!("model.safetensors lacks {name}.weight"))),
				}
			}
			packing.groups.push((group.clone(), begin..packing.parts.len()));
		}
		Ok(packing)
	}

	/// Returns what is to be read, the largest first: a thread that came to one of them last would leave the others idle.
	fn jobs<'a>(&self, manifest: &'a Manifest, data_start: u64) -> Result<Vec<Job<'a>>> {
		let mut parts: Vec<_> = self.parts.iter().map(|_| Vec::new()).collect();
		let mut jobs = Vec::new();
		for tensor in tensors(manifest, data_start) {
			match role(tensor.entry) {
				None => jobs.push(Job::Vector(tensor)),
				Some((matrix, Role::Table)) => jobs.push(Job::Table(matrix, tensor)),
				Some((matrix, role)) => {
					let place = self.places.get(matrix);
					let place = place.and_then(|place| Some((parts.get_mut(place.part)?, place.first)));
					let (part, first) =
						place.ok_or_else(|| inconsistent(format!("model.safetensors lacks {matrix}.weight")))?;
					part.push((tensor, role, first));
				}
			}
		}
		jobs.extend(
			parts
				.into_iter()
				.enumerate()
				.map(|(part, tensors)| Job::Part(part, tensors)),
		);
		jobs.sort_by_key(|job| std::cmp::Reverse(job.bytes()));
		Ok(jobs)
	}

	/// Puts a matrix below the one before it, if that is not older than the part `begin` and has the same format.
	fn put(&mut self, name: &str, matrix: Part, begin: usize) -> Result<()> {
		let group = self.parts.get_mut(begin..).unwrap_or_default();
		if group.iter().any(|part| part.width != matrix.width) {
			return Err(inconsistent(format!(
				"{name}.weight does not have the inputs of its neighbors"
			)));
		}
		let mut first = 0;
		match group.last_mut() {
			Some(above) if above.format == matrix.format => {
				first = above.rows;
				above.rows = above.rows.saturating_add(matrix.rows);
			}
			_ => self.parts.push(matrix),
		}
		let part = self.parts.len().saturating_sub(1);
		self.places.insert(name.to_owned(), Place { part, first });
		Ok(())
	}
}

/// Returns one matrix by itself, if its shape is that of a matrix.
fn matrix_of(entry: &TensorEntry, matrix: &str, formats: &Formats, tables: &Tables<'_>) -> Option<Part> {
	let [rows, columns] = entry.shape[..] else {
		return None;
	};
	let width = match entry.dtype {
		Dtype::U8 => columns.checked_mul(2)?,
		_ => columns,
	};
	let table = tables.get(matrix).copied().unwrap_or_default();
	Some(Part {
		rows: usize::try_from(rows).ok()?,
		width: usize::try_from(width).ok()?,
		format: formats.of(&entry.name).with_table(table),
	})
}

impl WeightsFile {
	/// Checks the header of the file. Returns where the data begins.
	fn check_header(&self, manifest: &Manifest) -> Result<u64> {
		let Self { file, path, .. } = self;
		let bytes = file.metadata().map_err(Error::io(path))?.len();
		let header = Header::read(&mut Cursor { file, at: 0 }, bytes)?;
		let mut found = Vec::new();
		Cursor { file, at: 0 }
			.take(header.data_start)
			.read_to_end(&mut found)
			.map_err(Error::io(path))?;
		let listed = manifest.tensors.iter();
		let expected = Header::canonical(listed.map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
		if found == expected {
			return Ok(header.data_start);
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

	/// Reads the tables of matrices ahead of everything else, since weights are packed by them. Their roots are checked where they
	/// are read in their turn.
	fn read_tables<'a>(&self, manifest: &'a Manifest, data_start: u64) -> Result<Tables<'a>> {
		let mut tables = HashMap::new();
		for Tensor { entry, at } in tensors(manifest, data_start) {
			if let Some((matrix, Role::Table)) = role(entry) {
				let mut bytes = [0; TABLE];
				self.file.read_exact_at(&mut bytes, at).map_err(Error::io(&self.path))?;
				tables.insert(matrix, bytes.map(|v| v as i8));
			}
		}
		Ok(tables)
	}
}

/// The bytes of a file from one on. The place is its own and not the file's, which threads share.
struct Cursor<'a> {
	file: &'a File,
	at: u64,
}

impl Read for Cursor<'_> {
	fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
		let read = self.file.read_at(buffer, self.at)?;
		self.at += read as u64;
		Ok(read)
	}
}

/// Returns little-endian elements as f32; exact for every float and for small integers.
pub fn to_f32(dtype: Dtype, data: &[u8]) -> Vec<f32> {
	let two = |b: &[u8]| <[u8; 2]>::try_from(b).unwrap_or_default();
	match dtype {
		Dtype::I8 => data.iter().map(|b| f32::from(*b as i8)).collect(),
		Dtype::U8 => data.iter().map(|b| f32::from(*b)).collect(),
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
		Dtype::I32 => data
			.chunks_exact(4)
			.map(|b| i32::from_le_bytes(b.try_into().unwrap_or_default()) as f32)
			.collect(),
		Dtype::F32 => data
			.chunks_exact(4)
			.map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default()))
			.collect(),
	}
}
