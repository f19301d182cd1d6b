//! Reading tensors: each is hashed and packed by one thread, a piece at a time while that is in the CPU's cache, and as many at once
//! as there are threads. So the memory of a matrix, too, is first touched by the thread that fills it.

use super::{inconsistent, to_f32, Job, Made, Part, Role, Tables, Tensor, WeightsFile};
use crate::{Error, Result};
use assay_model_folder::{files, manifest::TensorEntry};
use assay_numerics::packed::{PackedMatrix, TILE};
use half::f16;
use std::{
	io,
	os::unix::fs::FileExt,
	sync::{
		atomic::{AtomicBool, AtomicUsize, Ordering},
		Mutex, PoisonError,
	},
};

/// Bytes that are read, hashed and packed in one go.
const PIECE: usize = 1 << 18;

/// Does the jobs, each on one of the threads of the current pool, in their order. The first that fails ends the others.
pub(super) fn run(file: &WeightsFile, tables: &Tables<'_>, parts: &[Part], jobs: Vec<Job<'_>>) -> Result<Vec<Made>> {
	let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
	let made = Mutex::new(Vec::with_capacity(jobs.len()));
	let work = || {
		let mut reader = Reader {
			file,
			tables,
			parts,
			piece: Vec::new(),
		};
		while let (Some(job), false) = (
			jobs.get(next.fetch_add(1, Ordering::Relaxed)),
			failed.load(Ordering::Relaxed),
		) {
			let result = reader.run(job);
			failed.fetch_or(result.is_err(), Ordering::Relaxed);
			made.lock().unwrap_or_else(PoisonError::into_inner).push(result);
		}
	};
	rayon::scope(|scope| {
		for _ in 0..rayon::current_num_threads() {
			scope.spawn(|_| work());
		}
	});
	made.into_inner()
		.unwrap_or_else(PoisonError::into_inner)
		.into_iter()
		.collect()
}

/// One thread's way of reading.
struct Reader<'a> {
	file: &'a WeightsFile,
	tables: &'a Tables<'a>,
	parts: &'a [Part],
	/// The piece that is read, hashed and packed.
	piece: Vec<u8>,
}

impl Reader<'_> {
	fn run(&mut self, job: &Job<'_>) -> Result<Made> {
		match job {
			Job::Vector(tensor) => Ok(Made::Vector(tensor.entry.name.clone(), self.floats(*tensor)?)),
			Job::Table(matrix, tensor) => {
				let now = self.whole(*tensor)?;
				let table = self.tables.get(matrix);
				if table.is_some_and(|table| table.map(|v| v as u8) == now[..]) {
					Ok(Made::Nothing)
				} else {
					Err(inconsistent(
						"model.safetensors changes while it is read; load the model again",
					))
				}
			}
			Job::Part(index, tensors) => {
				let part = self.parts.get(*index).ok_or_else(|| inconsistent("no such matrix"))?;
				let mut matrix = PackedMatrix::zeros(part.rows, part.width, part.format)?;
				for (tensor, role, first) in tensors {
					self.pack(*tensor, *role, part, *first, &mut matrix)?;
				}
				Ok(Made::Matrix(*index, matrix))
			}
		}
	}

	/// Reads a tensor and calls `put` with its rows, a piece at a time.
	fn rows(&mut self, tensor: Tensor<'_>, row_bytes: usize, mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
		let WeightsFile { file, path, checked } = self.file;
		// Whole tiles: each is finished while it's in the cache.
		let tile = row_bytes.saturating_mul(TILE).max(1);
		let most = (PIECE / tile).max(1).saturating_mul(tile) as u64;
		// The header tiles the file, so this is no more than the file has.
		let (mut at, mut left) = (tensor.at, tensor.bytes());
		let mut hasher = blake3::Hasher::new();
		while left > 0 {
			let size = left.min(most);
			let bytes = usize::try_from(size).map_err(|_| too_large(tensor.entry))?;
			if let Some(more) = bytes.checked_sub(self.piece.len()) {
				self.piece
					.try_reserve_exact(more)
					.map_err(|_| too_large(tensor.entry))?;
				self.piece.resize(bytes, 0);
			}
			let piece = self.piece.get_mut(..bytes).unwrap_or_default();
			file.read_exact_at(piece, at).map_err(|error| match error.kind() {
				io::ErrorKind::UnexpectedEof => inconsistent("model.safetensors ends early"),
				_ => Error::io(path)(error),
			})?;
			if *checked {
				hasher.update(piece);
			}
			put(piece)?;
			(at, left) = (at.saturating_add(size), left - size);
		}
		if *checked {
			let root = hasher.finalize();
			let entry = tensor.entry;
			files::check_root(&format!("tensor `{}`", entry.name), root.as_bytes(), &entry.root)?;
		}
		Ok(())
	}

	/// Reads a tensor that belongs to a matrix, and packs it from row `first` on.
	fn pack(&mut self, tensor: Tensor<'_>, role: Role, part: &Part, first: usize, to: &mut PackedMatrix) -> Result<()> {
		let (width, format, entry) = (part.width, part.format, tensor.entry);
		let row_bytes = match role {
			Role::Weights => format.weight_bytes(width),
			Role::Scales => format.scale_bytes(width),
			Role::Zeros | Role::Table => format.zero_bytes(width),
		};
		if row_bytes == 0 {
			return Err(inconsistent(format!(
				"tensor `{}` is not part of its matrix",
				entry.name
			)));
		}
		let odd = format.groups(width) % 2 == 1;
		let mut row = first;
		self.rows(tensor, row_bytes, |rows| {
			match role {
				Role::Weights => to.put_weights(row, rows)?,
				Role::Scales if !are_finite(rows) => return Err(not_finite(entry)),
				Role::Scales => to.put_scales(row, rows)?,
				Role::Zeros | Role::Table if odd && has_padding(rows, row_bytes) => return Err(padded(entry)),
				Role::Zeros | Role::Table => to.put_zeros(row, rows)?,
			}
			row += rows.len() / row_bytes;
			Ok(())
		})
	}

	/// Reads a vector.
	fn floats(&mut self, tensor: Tensor<'_>) -> Result<Vec<f32>> {
		let values = to_f32(tensor.entry.dtype, &self.whole(tensor)?);
		if values.iter().all(|v| v.is_finite()) {
			Ok(values)
		} else {
			Err(not_finite(tensor.entry))
		}
	}

	/// Reads a tensor whole.
	fn whole(&mut self, tensor: Tensor<'_>) -> Result<Vec<u8>> {
		let mut data = Vec::new();
		data.try_reserve_exact(usize::try_from(tensor.bytes()).unwrap_or(usize::MAX))
			.map_err(|_| too_large(tensor.entry))?;
		self.rows(tensor, 1, |bytes| {
			data.extend_from_slice(bytes);
			Ok(())
		})?;
		Ok(data)
	}
}

fn too_large(entry: &TensorEntry) -> Error {
	inconsistent(format!("tensor `{}` doesn't fit into memory", entry.name))
}

fn not_finite(entry: &TensorEntry) -> Error {
	inconsistent(format!(
		"tensor `{}` has a NaN or an infinity; no importer writes that: import the model again from a sound source",
		entry.name
	))
}

/// Returns whether all of these f16 are.
fn are_finite(scales: &[u8]) -> bool {
	let mut scales = scales.as_chunks::<2>().0.iter();
	scales.all(|scale| f16::from_le_bytes(*scale).is_finite())
}

/// Returns whether a row of zero points has something behind its last one, in the high half of its last byte.
fn has_padding(rows: &[u8], row_bytes: usize) -> bool {
	rows.chunks_exact(row_bytes)
		.any(|row| row.last().is_some_and(|last| last >> 4 != 0))
}

fn padded(entry: &TensorEntry) -> Error {
	inconsistent(format!(
		"tensor `{}` has bits behind the last zero point of a row; no importer writes that: import the model again",
		entry.name
	))
}
