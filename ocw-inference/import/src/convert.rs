//! Converts the weights: read once in the order of their file, written to their canonical positions.
//!
//! A few rows are in memory at a time. While a file passes by it is hashed for the provenance; what an interrupted
//! import has already written is read again and compared instead of converted again.

use super::{
	blocks::{uninterleave, Rows},
	checkpoint::{Failed, Piece},
	journal::{ConvertedTensor, Journal, WrittenTensor},
	quantize::{Plan, QuantizedRows},
	source::{Becomes, Choice, Source, SourceTensor, WeightFile},
	Progress, Watch,
};
use crate::{Error, Result};
use assay_model_folder::{
	files,
	header::{byte_size, Header},
	layout::{layout, SourceSpec, TensorSpec, SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX},
	manifest::{SourceFile, TensorEntry},
};
use assay_numerics::{format::MatrixFormat, BLOCK};
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
/// Most elements that are converted at once.
const MOST_ELEMENTS: u64 = 1 << 20;

/// Converts all weights into `model.safetensors` of a directory, in the formats of `choice` and as `plan` has it. Returns
/// the canonical tensors with their roots, and the files that were read with their hashes.
pub(super) fn convert(
	source: &Source,
	choice: &Choice,
	plan: &Plan,
	dir: &Path,
	watch: Watch<'_>,
) -> Result<(Vec<TensorEntry>, Vec<SourceFile>)> {
	let mut target = Target::open(dir, layout(&source.config.hyperparameters, &source.formats(choice)))?;
	let mut journal = Journal::open(dir, target.heading)?;
	let total = source.files.iter().map(|f| f.bytes).sum();
	let mut reporter = Reporter {
		watch,
		partial: dir,
		done: 0,
		total,
	};
	let mut read = Vec::new();
	for file in &source.files {
		let mut reader = Reader::open(file)?;
		for tensor in &file.tensors {
			reader.skip_to(tensor.begin, &mut reporter)?;
			let converted = match target.check(tensor, choice, &journal)? {
				Some(claimed) if reader.hash_to(tensor.end, &mut reporter)? == claimed.source => claimed.clone(),
				_ => {
					reader.seek(tensor.begin)?;
					let converted = target.convert(tensor, choice, plan, &mut reader, &mut reporter)?;
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

/// Makes the file of the weights, and the journal beside it, which others that would write there wait for or are refused
/// by for as long as it is open.
pub(super) fn reserve(source: &Source, choice: &Choice, dir: &Path) -> Result<Journal> {
	let target = Target::open(dir, layout(&source.config.hyperparameters, &source.formats(choice)))?;
	Journal::open(dir, target.heading)
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

	/// Reads bytes from anywhere, without a hash.
	fn read_at(&self, bytes: &mut [u8], at: u64) -> Result<()> {
		self.file.read_exact_at(bytes, at).map_err(Error::read(&self.path))
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

	/// Returns what the journal claims of a tensor, if that is all that becomes of it and the bytes in the file agree.
	fn check<'j>(
		&self,
		tensor: &SourceTensor,
		choice: &Choice,
		journal: &'j Journal,
	) -> Result<Option<&'j ConvertedTensor>> {
		let Some(claimed) = journal.claimed(&tensor.name) else {
			return Ok(None);
		};
		let names = claimed.written.iter().map(|written| written.name.as_str());
		if !names.eq(written_of(tensor, choice).iter().map(String::as_str)) {
			return Ok(None);
		}
		for WrittenTensor { name, root } in &claimed.written {
			if self.root_at(name)? != *root {
				return Ok(None);
			}
		}
		Ok(Some(claimed))
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
		choice: &Choice,
		plan: &Plan,
		reader: &mut Reader,
		reporter: &mut Reporter<'_>,
	) -> Result<ConvertedTensor> {
		let (source, written) = match &tensor.becomes {
			Becomes::Whole { spec, interleaved } => {
				let format = spec.quantized.then(|| choice.of(spec, tensor.encoding));
				let whole = Whole {
					tensor,
					spec,
					interleaved: interleaved.unwrap_or(1).max(1),
					plan,
				};
				whole.convert(Outputs::new(self, &tensor.name, format)?, reader, reporter)?
			}
			Becomes::Piece(piece) => self.convert_piece(tensor, piece, reader, reporter)?,
		};
		Ok(ConvertedTensor {
			name: tensor.name.clone(),
			source,
			written,
		})
	}

	/// Converts a part of a packed matrix. It is read twice, since it has to be turned round: once for its hash, and once
	/// as its outputs are written.
	fn convert_piece(
		&self,
		tensor: &SourceTensor,
		piece: &Piece,
		reader: &mut Reader,
		reporter: &mut Reporter<'_>,
	) -> Result<(Hash32, Vec<WrittenTensor>)> {
		let source = reader.hash_to(tensor.end, reporter)?;
		let mut output = piece.target().map(|name| Output::new(self, name)).transpose()?;
		let read = |at: u64, bytes: &mut [u8]| reader.read_at(bytes, tensor.begin.saturating_add(at));
		let write = |bytes: &[u8]| match &mut output {
			Some(output) => {
				output.pending.extend_from_slice(bytes);
				output.flush()
			}
			None => Ok(()),
		};
		piece
			.convert(tensor.encoding, read, write)
			.map_err(|failed| match failed {
				Failed::Reason(reason) => tensor.refused(reason),
				Failed::Error(error) => error,
			})?;
		let written = output.map(Output::close).transpose()?;
		Ok((source, written.into_iter().collect()))
	}

	fn insert_roots(&mut self, converted: ConvertedTensor) {
		let written = converted.written.into_iter();
		self.roots
			.extend(written.map(|WrittenTensor { name, root }| (name, root)));
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

impl SourceTensor {
	fn refused(&self, reason: impl Into<String>) -> Error {
		Error::Tensor {
			name: self.name.clone(),
			reason: reason.into(),
		}
	}
}

/// Returns the canonical tensors that become of one.
fn written_of(tensor: &SourceTensor, choice: &Choice) -> Vec<String> {
	match &tensor.becomes {
		Becomes::Whole { spec, .. } => {
			let format = spec.quantized.then(|| choice.of(spec, tensor.encoding));
			names_of(&tensor.name, format).into_iter().flatten().collect()
		}
		Becomes::Piece(piece) => piece.target().into_iter().collect(),
	}
}

/// Returns the names of a matrix's weights, scales, table and zero points, of those that its format has; of what is no
/// matrix, its own.
fn names_of(name: &str, format: Option<MatrixFormat>) -> [Option<String>; 4] {
	let beside = |end: &str, there: bool| there.then(|| format!("{name}{end}"));
	let (table, zeros) = match format {
		Some(MatrixFormat::W4 { .. }) => (true, false),
		Some(MatrixFormat::W4z { .. }) => (false, true),
		Some(MatrixFormat::W8 { .. }) | None => (false, false),
	};
	[
		beside("", true),
		beside(SCALE_SUFFIX, format.is_some()),
		beside(TABLE_SUFFIX, table),
		beside(ZERO_SUFFIX, zeros),
	]
}

/// A tensor of the architecture while it is being converted.
struct Whole<'a> {
	tensor: &'a SourceTensor,
	spec: &'a SourceSpec,
	/// Rows of one head, if llama.cpp interleaved them; otherwise 1.
	interleaved: u64,
	plan: &'a Plan,
}

impl Whole<'_> {
	/// Returns the hash of what was read, and what was written.
	fn convert(
		&self,
		mut outputs: Outputs<'_>,
		reader: &mut Reader,
		reporter: &mut Reporter<'_>,
	) -> Result<(Hash32, Vec<WrittenTensor>)> {
		let (tensor, spec, group) = (self.tensor, self.spec, self.interleaved);
		// A vector is as many rows of one element.
		let (rows, width) = spec.rows.map_or((spec.width, 1), |rows| (rows, spec.width));
		if spec.quantized && !width.is_multiple_of(BLOCK as u64) {
			return Err(tensor.refused("has rows that are not whole blocks of 32"));
		}
		let row = tensor
			.encoding
			.bytes(width)
			.ok_or_else(|| tensor.refused("has rows that are too long, or that are not whole blocks of its type"))?;
		let bytes = row.saturating_mul(group).max(1);
		let elements = width.saturating_mul(group).max(1);
		let step = (CHUNK as u64 / bytes).min(MOST_ELEMENTS / elements).max(1) * group;
		let mut source = blake3::Hasher::new();
		let mut done = 0;
		while done < rows {
			let now = (rows - done).min(step);
			let data = reader.read((now * row) as usize, reporter)?;
			source.update(data);
			if group > 1 {
				uninterleave(data, row as usize, group as usize);
			}
			let rows = Rows {
				name: &spec.name,
				encoding: tensor.encoding,
				data,
				width: width as usize,
				first: done as usize,
			};
			outputs.put(&rows, self.plan).map_err(|reason| {
				tensor.refused(format!(
					"{reason}: the weights are damaged, or beyond what c2 holds; fetch them again, or take another model"
				))
			})?;
			outputs.flush()?;
			done += now;
		}
		Ok((*source.finalize().as_bytes(), outputs.close()?))
	}
}

/// The canonical tensors of a matrix or vector while they are being written.
struct Outputs<'a> {
	/// That of a matrix; none for a vector.
	format: Option<MatrixFormat>,
	weights: Output<'a>,
	scales: Option<Output<'a>>,
	table: Option<Output<'a>>,
	zeros: Option<Output<'a>>,
}

impl<'a> Outputs<'a> {
	fn new(target: &'a Target, name: &str, format: Option<MatrixFormat>) -> Result<Self> {
		let [_, scales, table, zeros] =
			names_of(name, format).map(|name| name.map(|name| Output::new(target, name)).transpose());
		let mut table = table?;
		if let (Some(output), Some(MatrixFormat::W4 { table })) = (&mut table, format) {
			output.pending.extend(table.map(|v| v as u8));
		}
		Ok(Self {
			format,
			weights: Output::new(target, name.to_owned())?,
			scales: scales?,
			table,
			zeros: zeros?,
		})
	}

	/// Converts rows, which are written by the next flush.
	fn put(&mut self, rows: &Rows<'_>, plan: &Plan) -> std::result::Result<(), &'static str> {
		let Some(format) = &self.format else {
			return rows.widen(plan, &mut self.weights.pending);
		};
		let mut converted = QuantizedRows::default();
		rows.convert(format, plan, &mut converted)?;
		self.weights.pending = converted.weights;
		if let Some(scales) = &mut self.scales {
			scales.pending = converted.scales;
		}
		if let Some(zeros) = &mut self.zeros {
			zeros.pending = converted.zeros;
		}
		Ok(())
	}

	fn all(self) -> impl Iterator<Item = Output<'a>> {
		[Some(self.weights), self.scales, self.table, self.zeros]
			.into_iter()
			.flatten()
	}

	fn flush(&mut self) -> Result<()> {
		let further = [&mut self.scales, &mut self.table, &mut self.zeros]
			.into_iter()
			.flatten();
		std::iter::once(&mut self.weights)
			.chain(further)
			.try_for_each(Output::flush)
	}

	/// Returns what was written.
	fn close(mut self) -> Result<Vec<WrittenTensor>> {
		self.flush()?;
		self.all().map(Output::close).collect()
	}
}

/// One canonical tensor while it is being written.
struct Output<'a> {
	target: &'a Target,
	name: String,
	at: u64,
	end: u64,
	hasher: blake3::Hasher,
	/// What is converted and not yet written.
	pending: Vec<u8>,
}

impl<'a> Output<'a> {
	fn new(target: &'a Target, name: String) -> Result<Self> {
		let (at, bytes) = target.range(&name)?;
		Ok(Self {
			target,
			name,
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

	/// Returns what was written, if that is all of it.
	fn close(self) -> Result<WrittenTensor> {
		if self.at == self.end {
			return Ok(WrittenTensor {
				name: self.name,
				root: *self.hasher.finalize().as_bytes(),
			});
		}
		Err(Error::Import(
			"a tensor does not fill its range: a defect of the importer".into(),
		))
	}
}
