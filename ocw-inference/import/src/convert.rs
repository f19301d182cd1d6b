//! Converts the weights: read once in the order of their file, written to their canonical positions.
//!
//! A few rows are in memory at a time. While a file passes by it is hashed for the provenance; what an interrupted
//! import has already written is read again and compared instead of converted again.

use super::{
	blocks::{quantize_rows, uninterleave, widen_rows},
	journal::{ConvertedTensor, Journal},
	source::{Source, SourceTensor, WeightFile},
	Progress, Watch,
};
use crate::{Error, Result};
use assay_model_folder::{
	files,
	header::{byte_size, Header},
	layout::{layout, TensorSpec, SCALE_SUFFIX},
	manifest::{SourceFile, TensorEntry},
};
use assay_numerics::BLOCK;
use assay_primitives::Hash32;
use std::{
	collections::HashMap,
	fs::{File, OpenOptions},
	io::{Read, Seek, SeekFrom},
	os::unix::fs::FileExt,
	path::{Path, PathBuf},
};

/// Bytes that are read at once.
const CHUNK: usize = 4 << 20;

/// Converts all weights into `model.safetensors` of the partial directory. Returns the canonical tensors with their
/// roots, and the files that were read with their hashes.
pub(super) fn convert(
	source: &Source,
	partial: &Path,
	watch: Watch<'_>,
) -> Result<(Vec<TensorEntry>, Vec<SourceFile>)> {
	let mut target = Target::open(partial, layout(&source.config.hyperparameters))?;
	let mut journal = Journal::open(partial, target.heading)?;
	let total = source.files.iter().map(|f| f.bytes).sum();
	let mut reporter = Reporter {
		watch,
		partial,
		done: 0,
		total,
	};
	let mut read = Vec::new();
	for file in &source.files {
		let mut reader = Reader::open(file)?;
		for tensor in &file.tensors {
			reader.skip_to(tensor.begin, &mut reporter)?;
			let converted = match target.check(&tensor.spec.name, &journal)? {
				Some(claimed) if reader.hash_to(tensor.end, &mut reporter)? == claimed.source => claimed.clone(),
				_ => {
					reader.seek(tensor.begin)?;
					let converted = target.convert(tensor, &mut reader, &mut reporter)?;
					journal.record(&converted)?;
					converted
				}
			};
			target.insert_roots(converted);
		}
		reader.skip_to(file.bytes, &mut reporter)?;
		read.push(SourceFile {
			name: file.name.clone(),
			root: reader.root(),
		});
	}
	Ok((target.close()?, read))
}

/// Reports the progress over all files, and ends the import when the caller asks for that.
struct Reporter<'a> {
	watch: Watch<'a>,
	partial: &'a Path,
	done: u64,
	total: u64,
}

impl Reporter<'_> {
	fn advance(&mut self, bytes: u64) -> Result<()> {
		self.done += bytes;
		let progress = Progress::Converting {
			done: self.done,
			total: self.total,
		};
		if (self.watch)(progress).is_continue() {
			return Ok(());
		}
		Err(Error::Interrupted {
			partial: self.partial.to_owned(),
		})
	}
}

/// A file with weights, hashed while it is read: each byte once, even if it is read twice.
struct Reader {
	file: File,
	path: PathBuf,
	position: u64,
	hashed: u64,
	hasher: blake3::Hasher,
	buffer: Vec<u8>,
}

impl Reader {
	fn open(file: &WeightFile) -> Result<Self> {
		Ok(Self {
			file: File::open(&file.path).map_err(Error::read(&file.path))?,
			path: file.path.clone(),
			position: 0,
			hashed: 0,
			hasher: blake3::Hasher::new(),
			buffer: Vec::new(),
		})
	}

	/// Reads the next bytes of the file.
	fn read(&mut self, bytes: usize, reporter: &mut Reporter<'_>) -> Result<&mut [u8]> {
		self.buffer.resize(bytes, 0);
		self.file
			.read_exact(&mut self.buffer)
			.map_err(Error::read(&self.path))?;
		let seen = usize::try_from(self.hashed.saturating_sub(self.position)).unwrap_or(usize::MAX);
		let new = self.buffer.get(seen..).unwrap_or_default();
		self.hasher.update(new);
		let new = new.len() as u64;
		self.hashed += new;
		self.position += bytes as u64;
		reporter.advance(new)?;
		Ok(&mut self.buffer)
	}

	/// Reads on up to here, for the hashes alone. Returns the hash of what was read.
	fn hash_to(&mut self, end: u64, reporter: &mut Reporter<'_>) -> Result<Hash32> {
		let mut hasher = blake3::Hasher::new();
		while self.position < end {
			let bytes = (end - self.position).min(CHUNK as u64) as usize;
			hasher.update(self.read(bytes, reporter)?);
		}
		Ok(*hasher.finalize().as_bytes())
	}

	fn skip_to(&mut self, end: u64, reporter: &mut Reporter<'_>) -> Result<()> {
		self.hash_to(end, reporter).map(drop)
	}

	fn seek(&mut self, to: u64) -> Result<()> {
		if to != self.position {
			self.file.seek(SeekFrom::Start(to)).map_err(Error::read(&self.path))?;
			self.position = to;
		}
		Ok(())
	}

	/// Returns the BLAKE3 hash of all that was read.
	fn root(&self) -> Hash32 {
		*self.hasher.finalize().as_bytes()
	}
}

/// The canonical `model.safetensors` while it is being written.
struct Target {
	file: File,
	path: PathBuf,
	specs: Vec<TensorSpec>,
	/// Where each tensor's bytes begin, and how many they are.
	ranges: HashMap<String, (u64, u64)>,
	/// Hash of the header.
	heading: Hash32,
	roots: HashMap<String, Hash32>,
}

impl Target {
	fn open(partial: &Path, specs: Vec<TensorSpec>) -> Result<Self> {
		let header = Header::canonical(specs.iter().map(|t| (t.name.as_str(), t.dtype, t.shape.as_slice())));
		let mut end = header.len() as u64;
		let mut ranges = HashMap::new();
		for spec in &specs {
			let bytes = byte_size(spec.dtype, &spec.shape).unwrap_or(u64::MAX);
			ranges.insert(spec.name.clone(), (end, bytes));
			end = end.saturating_add(bytes);
		}
		let path = partial.join(files::WEIGHTS);
		let mut options = OpenOptions::new();
		let options = options.read(true).write(true).create(true).truncate(false);
		let file = options.open(&path).map_err(Error::write(&path))?;
		file.set_len(end)
			.and_then(|()| file.write_all_at(&header, 0))
			.map_err(Error::write(&path))?;
		Ok(Self {
			file,
			path,
			specs,
			ranges,
			heading: files::root(&header),
			roots: HashMap::new(),
		})
	}

	fn range(&self, name: &str) -> Result<(u64, u64)> {
		let unknown = || Error::Import(format!("tensor {name} is not part of the canonical weights"));
		self.ranges.get(name).copied().ok_or_else(unknown)
	}

	/// Returns what the journal claims of a tensor, if the bytes in the file agree.
	fn check<'j>(&self, name: &str, journal: &'j Journal) -> Result<Option<&'j ConvertedTensor>> {
		let Some(claimed) = journal.claimed(name) else {
			return Ok(None);
		};
		let scales = format!("{name}{SCALE_SUFFIX}");
		let agrees = self.root_at(name)? == claimed.root
			&& (!self.ranges.contains_key(&scales) || self.root_at(&scales)? == claimed.scales);
		Ok(agrees.then_some(claimed))
	}

	fn root_at(&self, name: &str) -> Result<Hash32> {
		let (begin, bytes) = self.range(name)?;
		let (mut hasher, mut buffer) = (blake3::Hasher::new(), Vec::new());
		let mut done = 0;
		while done < bytes {
			buffer.resize((bytes - done).min(CHUNK as u64) as usize, 0);
			self.file
				.read_exact_at(&mut buffer, begin + done)
				.map_err(Error::read(&self.path))?;
			hasher.update(&buffer);
			done += buffer.len() as u64;
		}
		Ok(*hasher.finalize().as_bytes())
	}

	/// Converts one tensor, some rows at a time.
	fn convert(
		&self,
		tensor: &SourceTensor,
		reader: &mut Reader,
		reporter: &mut Reporter<'_>,
	) -> Result<ConvertedTensor> {
		let spec = &tensor.spec;
		let refused = |reason: &str| Error::Tensor {
			name: spec.name.clone(),
			reason: reason.into(),
		};
		let scales_name = format!("{}{SCALE_SUFFIX}", spec.name);
		let mut weights = Output::new(self, &spec.name)?;
		let mut scales = spec.quantized.then(|| Output::new(self, &scales_name)).transpose()?;
		// A vector is as many rows of one element.
		let (rows, width) = spec.rows.map_or((spec.width, 1), |rows| (rows, spec.width));
		if spec.quantized && !width.is_multiple_of(BLOCK as u64) {
			return Err(refused("has rows that are not whole blocks of 32"));
		}
		let row = tensor
			.encoding
			.bytes(width)
			.ok_or_else(|| refused("has rows that are too long, or that are not whole blocks of its type"))?;
		let group = tensor.interleaved.unwrap_or(1).max(1);
		let step = (CHUNK as u64 / row.saturating_mul(group).max(1)).max(1) * group;
		let mut source = blake3::Hasher::new();
		let mut left = rows;
		while left > 0 {
			let now = left.min(step);
			left -= now;
			let data = reader.read((now * row) as usize, reporter)?;
			source.update(data);
			if group > 1 {
				uninterleave(data, row as usize, group as usize);
			}
			match &mut scales {
				Some(scales) => quantize_rows(tensor.encoding, data, &mut weights.pending, &mut scales.pending),
				None => widen_rows(tensor.encoding, data, &mut weights.pending),
			}
			.map_err(|reason| {
				refused(&format!(
					"{reason}: the weights are damaged, or beyond what c1-w8 holds; fetch them again, or take another model"
				))
			})?;
			weights.flush()?;
			scales.as_mut().map_or(Ok(()), Output::flush)?;
		}
		Ok(ConvertedTensor {
			name: spec.name.clone(),
			source: *source.finalize().as_bytes(),
			root: weights.close()?,
			scales: scales.map_or(Ok(Hash32::default()), Output::close)?,
		})
	}

	fn insert_roots(&mut self, converted: ConvertedTensor) {
		let scales = format!("{}{SCALE_SUFFIX}", converted.name);
		if self.ranges.contains_key(&scales) {
			self.roots.insert(scales, converted.scales);
		}
		self.roots.insert(converted.name, converted.root);
	}

	/// Syncs the file to disk. Returns its tensors.
	fn close(self) -> Result<Vec<TensorEntry>> {
		self.file.sync_all().map_err(Error::write(&self.path))?;
		let entry = |TensorSpec { name, dtype, shape }: TensorSpec| {
			let root = self.roots.get(&name).copied().ok_or_else(|| Error::Tensor {
				name: name.clone(),
				reason: "was not written".into(),
			})?;
			Ok(TensorEntry {
				name,
				dtype,
				shape,
				root,
			})
		};
		self.specs.into_iter().map(entry).collect()
	}
}

/// One canonical tensor while it is being written.
struct Output<'a> {
	target: &'a Target,
	at: u64,
	end: u64,
	hasher: blake3::Hasher,
	/// What is converted and not yet written.
	pending: Vec<u8>,
}

impl<'a> Output<'a> {
	fn new(target: &'a Target, name: &str) -> Result<Self> {
		let (at, bytes) = target.range(name)?;
		Ok(Self {
			target,
			at,
			end: at.saturating_add(bytes),
			hasher: blake3::Hasher::new(),
			pending: Vec::new(),
		})
	}

	fn flush(&mut self) -> Result<()> {
		let bytes = self.pending.len() as u64;
		if self.at.saturating_add(bytes) > self.end {
			return Err(Error::Import(
				"a tensor outgrew its range: a defect of the importer".into(),
			));
		}
		let Target { file, path, .. } = self.target;
		file.write_all_at(&self.pending, self.at).map_err(Error::write(path))?;
		self.hasher.update(&self.pending);
		self.pending.clear();
		self.at += bytes;
		Ok(())
	}

	/// Returns the root of what was written, if that is all of it.
	fn close(self) -> Result<Hash32> {
		if self.at == self.end {
			return Ok(*self.hasher.finalize().as_bytes());
		}
		Err(Error::Import(
			"a tensor does not fill its range: a defect of the importer".into(),
		))
	}
}
