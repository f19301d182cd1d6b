//! A GGUF file's header: untrusted bytes.
//!
//! Every count and length has a limit that is checked before anything is read or allocated by it; names appear once;
//! tensors tile the file in steps of the alignment. Values are data, never programs. Format: `docs/gguf.md` of ggml.

use crate::{blocks::Encoding, ggml::BlockType, Error, Result};
use assay_model_folder::header::MAX_TENSORS;
use std::{collections::BTreeMap, io::Read};

/// Largest header: metadata and the table of tensors.
const MAX_HEADER_BYTES: u64 = 64 << 20;
/// Most metadata entries.
const MAX_ENTRIES: u64 = 10_000;
/// Longest key or tensor name.
const MAX_NAME_BYTES: u64 = 1 << 10;
/// Longest string of the metadata.
const MAX_TEXT_BYTES: u64 = 1 << 20;
/// Most elements of an array.
const MAX_ELEMENTS: u64 = 1 << 21;
/// Most dimensions of a tensor.
const MAX_DIMS: u32 = 4;
/// Largest alignment.
const MAX_ALIGNMENT: u64 = 1 << 16;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
	/// Any integer.
	Int(i128),
	/// f32 or f64.
	Float(f64),
	Bool(bool),
	Text(String),
	Ints(Vec<i64>),
	Floats(Vec<f32>),
	Texts(Vec<String>),
	/// An array of a type that no importer needs; read past.
	Skipped,
}

/// A tensor of the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
	/// How its elements are written.
	pub(super) encoding: Encoding,
	/// Dimensions, outermost first.
	pub(super) shape: Vec<u64>,
	/// Where its bytes are in the file.
	pub(super) range: (u64, u64),
}

/// A checked header.
#[derive(Debug)]
pub(super) struct Gguf {
	/// Metadata by key.
	pub(super) metadata: BTreeMap<String, Value>,
	/// Tensors by GGUF's names.
	pub(super) tensors: BTreeMap<String, Tensor>,
}

const CUT: &str = "the file ends inside its header; fetch it again";

fn unreadable(error: std::io::Error) -> Error {
	Error::Gguf(match error.kind() {
		std::io::ErrorKind::UnexpectedEof => CUT.into(),
		_ => error.to_string(),
	})
}

fn refused<T>(reason: impl Into<String>) -> Result<T> {
	Err(Error::Gguf(reason.into()))
}

impl Gguf {
	/// Reads and checks the header of a file of `file_bytes` bytes.
	pub(super) fn read(reader: impl Read, file_bytes: u64) -> Result<Self> {
		let mut input = Input {
			reader,
			position: 0,
			limit: file_bytes.min(MAX_HEADER_BYTES),
			whole: file_bytes <= MAX_HEADER_BYTES,
		};
		match &input.array::<4>()? {
			b"GGUF" => {}
			b"FUGG" => return refused("big-endian GGUF; take the little-endian file"),
			b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => {
				return refused("a llama.cpp file older than GGUF; take a GGUF file of the model");
			}
			b"vers" => return refused("it looks like a Git LFS pointer; fetch the file itself with `git lfs pull`"),
			_ => return refused("it does not begin with `GGUF`: it is of another kind, or cut; fetch it again"),
		}
		match input.u32()? {
			2 | 3 => {}
			v if (1..=3).contains(&v.swap_bytes()) => return refused("big-endian GGUF; take the little-endian file"),
			v => return refused(format!("version {v}; 2 and 3 are read")),
		}
		let (tensors, entries) = (input.u64()?, input.u64()?);
		if tensors > MAX_TENSORS as u64 || entries > MAX_ENTRIES {
			return refused(format!(
				"{tensors} tensors and {entries} metadata entries; at most {MAX_TENSORS} and {MAX_ENTRIES} are read"
			));
		}
		let mut metadata = BTreeMap::new();
		for _ in 0..entries {
			let key = input.text(MAX_NAME_BYTES)?;
			let kind = input.u32()?;
			let value = input.value(kind, &key)?;
			if metadata.insert(key.clone(), value).is_some() {
				return refused(format!("`{key}` appears twice"));
			}
		}
		let alignment = match metadata.get("general.alignment") {
			None => 32,
			Some(Value::Int(a)) => u64::try_from(*a).unwrap_or(0),
			Some(_) => 0,
		};
		if !alignment.is_power_of_two() || !(8..=MAX_ALIGNMENT).contains(&alignment) {
			return refused("`general.alignment` must be a power of two from 8 to 65536");
		}
		let mut table = Vec::new();
		for _ in 0..tensors {
			table.push(input.tensor()?);
		}
		let data_start = input.position.next_multiple_of(alignment);
		let tensors = locate(table, data_start, alignment, file_bytes)?;
		Ok(Self { metadata, tensors })
	}
}

/// A line of the table: name, tensor with its range still counted from the beginning of the data.
type Line = (String, Tensor);

/// Checks that the tensors tile the data in steps of the alignment and end with the file.
fn locate(mut table: Vec<Line>, data_start: u64, alignment: u64, file_bytes: u64) -> Result<BTreeMap<String, Tensor>> {
	table.sort_by_key(|(_, tensor)| tensor.range);
	let mut tensors = BTreeMap::new();
	// Both below 2⁶³: a range's end was added up with a check, and it is compared with the file's size before the next one.
	let (mut expected, mut end) = (0u64, 0u64);
	for (name, mut tensor) in table {
		let (begin, stop) = tensor.range;
		if begin != expected {
			return refused(format!(
				"tensor `{name}` begins at {begin}; the one before it ends at {end}, in steps of {alignment}"
			));
		}
		let place = |at: u64| data_start.checked_add(at).filter(|at| *at <= file_bytes);
		let (Some(first), Some(last)) = (place(begin), place(stop)) else {
			return refused(format!("tensor `{name}` ends after the file; fetch the file again"));
		};
		tensor.range = (first, last);
		end = stop;
		expected = end.next_multiple_of(alignment);
		if tensors.insert(name.clone(), tensor).is_some() {
			return refused(format!("tensor `{name}` appears twice"));
		}
	}
	// The padding after the last tensor may be missing.
	let rest = file_bytes.saturating_sub(data_start.saturating_add(end));
	if rest < alignment {
		Ok(tensors)
	} else {
		refused(format!("{rest} bytes after the last tensor"))
	}
}

/// The header's bytes, with an end.
struct Input<R> {
	reader: R,
	position: u64,
	limit: u64,
	/// Whether the limit is the file's own end.
	whole: bool,
}

impl<R: Read> Input<R> {
	/// Refuses to read beyond the header's end.
	fn check_room(&self, bytes: u64) -> Result<()> {
		match (bytes <= self.limit.saturating_sub(self.position), self.whole) {
			(true, _) => Ok(()),
			(false, true) => refused(CUT),
			(false, false) => refused(format!("its header is larger than {MAX_HEADER_BYTES} bytes")),
		}
	}

	fn take(&mut self, bytes: u64) -> Result<Vec<u8>> {
		self.check_room(bytes)?;
		let mut content = Vec::new();
		let read = (&mut self.reader).take(bytes).read_to_end(&mut content);
		if read.map_err(unreadable)? as u64 != bytes {
			return refused(CUT);
		}
		self.position += bytes;
		Ok(content)
	}

	fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
		self.check_room(N as u64)?;
		let mut bytes = [0; N];
		self.reader.read_exact(&mut bytes).map_err(unreadable)?;
		self.position += N as u64;
		Ok(bytes)
	}

	fn u32(&mut self) -> Result<u32> {
		self.array().map(u32::from_le_bytes)
	}

	fn u64(&mut self) -> Result<u64> {
		self.array().map(u64::from_le_bytes)
	}

	fn text(&mut self, limit: u64) -> Result<String> {
		let bytes = self.u64()?;
		if bytes > limit {
			return refused(format!("a string of {bytes} bytes; at most {limit} are read here"));
		}
		String::from_utf8(self.take(bytes)?).or_else(|_| refused("a string that is not UTF-8"))
	}

	/// A single number of GGUF's type `kind`; none for strings, arrays and unknown types.
	fn number(&mut self, kind: u32) -> Result<Option<Value>> {
		Ok(Some(match kind {
			0 => Value::Int(u8::from_le_bytes(self.array()?).into()),
			1 => Value::Int(i8::from_le_bytes(self.array()?).into()),
			2 => Value::Int(u16::from_le_bytes(self.array()?).into()),
			3 => Value::Int(i16::from_le_bytes(self.array()?).into()),
			4 => Value::Int(self.u32()?.into()),
			5 => Value::Int(i32::from_le_bytes(self.array()?).into()),
			6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
			7 => match self.array()? {
				[0] => Value::Bool(false),
				[1] => Value::Bool(true),
				[b] => return refused(format!("a boolean that is {b}")),
			},
			10 => Value::Int(self.u64()?.into()),
			11 => Value::Int(i64::from_le_bytes(self.array()?).into()),
			12 => Value::Float(f64::from_le_bytes(self.array()?)),
			_ => return Ok(None),
		}))
	}

	fn value(&mut self, kind: u32, key: &str) -> Result<Value> {
		match kind {
			8 => self.text(MAX_TEXT_BYTES).map(Value::Text),
			9 => self.values(key),
			_ => match self.number(kind)? {
				Some(value) => Ok(value),
				None => refused(format!("`{key}` has the unknown type {kind}")),
			},
		}
	}

	/// An array. Only strings of the tokenizer and numbers of four bytes or more are kept: so what is held in memory is
	/// a small multiple of what was read.
	fn values(&mut self, key: &str) -> Result<Value> {
		let (kind, count) = (self.u32()?, self.u64()?);
		if count > MAX_ELEMENTS {
			return refused(format!("`{key}` has {count} elements; at most {MAX_ELEMENTS} are read"));
		}
		match kind {
			8 => {
				let keep = key.starts_with("tokenizer.");
				let mut texts = Vec::new();
				for _ in 0..count {
					let text = self.text(MAX_TEXT_BYTES)?;
					if keep {
						texts.push(text);
					}
				}
				Ok(if keep { Value::Texts(texts) } else { Value::Skipped })
			}
			4 | 5 | 10 | 11 => {
				let mut ints = Vec::new();
				for _ in 0..count {
					if let Some(Value::Int(v)) = self.number(kind)? {
						let small = i64::try_from(v);
						ints.push(small.or_else(|_| refused(format!("`{key}` has a number of 2⁶³ or more")))?);
					}
				}
				Ok(Value::Ints(ints))
			}
			6 => {
				let mut floats = Vec::new();
				for _ in 0..count {
					floats.push(f32::from_le_bytes(self.array()?));
				}
				Ok(Value::Floats(floats))
			}
			0..=3 | 7 | 12 => {
				let size = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8]
					.get(kind as usize)
					.copied()
					.unwrap_or(0);
				for _ in 0..count {
					self.take(size)?;
				}
				Ok(Value::Skipped)
			}
			9 => refused(format!("`{key}` is an array of arrays")),
			_ => refused(format!("`{key}` is an array of the unknown type {kind}")),
		}
	}

	/// A line of the table of tensors.
	fn tensor(&mut self) -> Result<Line> {
		let name = self.text(MAX_NAME_BYTES)?;
		let dims = self.u32()?;
		if !(1..=MAX_DIMS).contains(&dims) {
			return refused(format!(
				"tensor `{name}` has {dims} dimensions; 1 to {MAX_DIMS} are read"
			));
		}
		let mut shape = Vec::new();
		for _ in 0..dims {
			shape.push(self.u64()?);
		}
		let width = shape.first().copied().unwrap_or(0);
		// GGUF writes the innermost dimension first.
		shape.reverse();
		let kind = self.u32()?;
		let begin = self.u64()?;
		let encoding = encoding(&name, kind)?;
		let rows = shape.split_last().map(|(_, outer)| outer);
		let rows = rows.and_then(|outer| outer.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim)));
		let size = encoding
			.bytes(width)
			.zip(rows)
			.and_then(|(row, rows)| row.checked_mul(rows));
		let end = size
			.and_then(|size| begin.checked_add(size))
			.filter(|end| *end < 1 << 62);
		match end {
			Some(end) => Ok((
				name,
				Tensor {
					encoding,
					shape,
					range: (begin, end),
				},
			)),
			None => refused(format!("tensor `{name}`: no file holds {shape:?} of its type")),
		}
	}
}

/// The encoding of ggml's type `kind`.
fn encoding(name: &str, kind: u32) -> Result<Encoding> {
	/// Types that have a name and are not imported.
	const OTHERS: [(u32, &str); 18] = [
		(9, "Q8_1"),
		(15, "Q8_K"),
		(16, "IQ2_XXS"),
		(17, "IQ2_XS"),
		(18, "IQ3_XXS"),
		(19, "IQ1_S"),
		(21, "IQ3_S"),
		(22, "IQ2_S"),
		(24, "I8"),
		(25, "I16"),
		(26, "I32"),
		(27, "I64"),
		(28, "F64"),
		(29, "IQ1_M"),
		(34, "TQ1_0"),
		(35, "TQ2_0"),
		(40, "NVFP4"),
		(41, "Q1_0"),
	];
	match kind {
		0 => Ok(Encoding::F32),
		1 => Ok(Encoding::F16),
		30 => Ok(Encoding::Bf16),
		_ => BlockType::of(kind).map(Encoding::Blocks).ok_or_else(|| {
			let known = OTHERS.iter().find(|(k, _)| *k == kind);
			let shown = known.map_or_else(|| format!("of the unknown type {kind}"), |(_, name)| (*name).to_owned());
			let taken: Vec<&str> = BlockType::ALL.iter().map(|(_, _, name, ..)| *name).collect();
			Error::Tensor {
				name: name.into(),
				reason: format!(
					"is {shown}; imported are f32, f16, bf16, {}. Take the model's Q8_0 file, or make one from its \
					 original with llama.cpp: `convert_hf_to_gguf.py --outtype q8_0`",
					taken.join(", ")
				),
			}
		}),
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn text(out: &mut Vec<u8>, text: &str) {
		out.extend((text.len() as u64).to_le_bytes());
		out.extend(text.as_bytes());
	}

	/// A header with these metadata bytes and lines of the table (name, dims, type, offset).
	fn header(entries: &[(&str, u32, Vec<u8>)], table: &[(&str, &[u64], u32, u64)]) -> Vec<u8> {
		let mut out = b"GGUF\x03\0\0\0".to_vec();
		out.extend((table.len() as u64).to_le_bytes());
		out.extend((entries.len() as u64).to_le_bytes());
		for (key, kind, value) in entries {
			text(&mut out, key);
			out.extend(kind.to_le_bytes());
			out.extend(value);
		}
		for (name, dims, kind, offset) in table {
			text(&mut out, name);
			out.extend((dims.len() as u32).to_le_bytes());
			dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
			out.extend(kind.to_le_bytes());
			out.extend(offset.to_le_bytes());
		}
		out.resize(out.len().next_multiple_of(32), 0);
		out
	}

	fn read(mut bytes: Vec<u8>, data: usize) -> Result<Gguf> {
		bytes.extend(vec![0; data]);
		Gguf::read(bytes.as_slice(), bytes.len() as u64)
	}

	#[test]
	fn a_good_header_is_read() {
		let gguf = read(
			header(
				&[("a", 4, 7u32.to_le_bytes().to_vec()), ("b", 7, vec![1])],
				&[("n", &[8], 0, 0), ("w", &[32, 3], 8, 32)],
			),
			32 + 102,
		)
		.unwrap();
		assert_eq!(gguf.metadata["a"], Value::Int(7));
		assert_eq!(gguf.metadata["b"], Value::Bool(true));
		assert_eq!(
			(gguf.tensors["w"].encoding, &gguf.tensors["w"].shape[..]),
			(Encoding::Blocks(BlockType::Q8_0), &[3, 32][..])
		);
		let (begin, end) = gguf.tensors["w"].range;
		assert_eq!(end - begin, 102);
	}

	#[test]
	fn a_malformed_header_is_refused_with_its_reason() {
		let long = u64::MAX.to_le_bytes().to_vec();
		let array = |kind: u32, count: u64| [kind.to_le_bytes().to_vec(), count.to_le_bytes().to_vec()].concat();
		for (bytes, data, reason) in [
			(b"GGML\x03\0\0\0".to_vec(), 64, "does not begin"),
			(b"tjgg\x03\0\0\0".to_vec(), 64, "older than GGUF"),
			(b"GGUF\x01\0\0\0".to_vec(), 64, "version 1"),
			(b"GGUF\0\0\0\x03".to_vec(), 64, "big-endian"),
			(b"GGUF\x03\0".to_vec(), 0, "ends inside"),
			(
				[b"GGUF\x03\0\0\0".to_vec(), long.clone(), long.clone()].concat(),
				64,
				"at most",
			),
			(header(&[("a", 8, long.clone())], &[]), 0, "at most 1048576"),
			(header(&[("a", 9, array(9, 1))], &[]), 64, "array of arrays"),
			(header(&[("a", 9, array(4, 1 << 40))], &[]), 64, "at most 2097152"),
			(header(&[("a", 9, array(4, 1 << 20))], &[]), 64, "ends inside"),
			(header(&[("a", 9, array(77, 1))], &[]), 64, "unknown type 77"),
			(header(&[("a", 13, vec![])], &[]), 64, "unknown type 13"),
			(header(&[("a", 7, vec![2])], &[]), 0, "a boolean that is 2"),
			(header(&[("a", 7, vec![1]), ("a", 7, vec![1])], &[]), 0, "appears twice"),
			(
				header(&[("general.alignment", 4, 48u32.to_le_bytes().to_vec())], &[]),
				0,
				"power of two",
			),
			(
				header(&[("general.alignment", 4, 0u32.to_le_bytes().to_vec())], &[]),
				0,
				"power of two",
			),
			(header(&[], &[("w", &[], 0, 0)]), 0, "0 dimensions"),
			(header(&[], &[("w", &[1, 1, 1, 1, 1], 0, 0)]), 4, "5 dimensions"),
			(header(&[], &[("w", &[1 << 40, 1 << 40], 0, 0)]), 4, "no file holds"),
			(header(&[], &[("w", &[33], 8, 0)]), 34, "no file holds"),
			(header(&[], &[("w", &[8], 0, u64::MAX - 3)]), 32, "no file holds"),
			(header(&[], &[("w", &[8], 0, 32)]), 64, "begins at 32"),
			(header(&[], &[("w", &[8], 0, 0), ("v", &[8], 0, 0)]), 64, "begins at 0"),
			(
				header(&[], &[("w", &[8], 0, 0), ("w", &[8], 0, 32)]),
				64,
				"appears twice",
			),
			(header(&[], &[("w", &[64], 0, 0)]), 32, "ends after the file"),
			(header(&[], &[("w", &[8], 0, 0)]), 64, "after the last tensor"),
			(header(&[], &[("w", &[256], 16, 0)]), 66, "is IQ2_XXS"),
			(header(&[], &[("w", &[256], 99, 0)]), 144, "unknown type 99"),
		] {
			let error = read(bytes, data).unwrap_err().to_string();
			assert!(error.contains(reason), "{reason}: {error}");
		}
	}

	proptest! {
		#[test]
		fn no_bytes_make_the_reader_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
			let mut bytes = header(
				&[
					("general.alignment", 4, 32u32.to_le_bytes().to_vec()),
					("tokenizer.x", 9, [8u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec(), b"x".to_vec()].concat()),
					("f", 9, [6u32.to_le_bytes().to_vec(), 2u64.to_le_bytes().to_vec(), vec![0; 8]].concat()),
				],
				&[("n", &[8], 0, 0), ("w", &[32, 3], 8, 32)],
			);
			bytes.extend(vec![0; 134]);
			for (at, value) in flips {
				let at = at.index(bytes.len());
				bytes[at] = value;
			}
			bytes.truncate(cut.index(bytes.len()) + 1);
			let _ = Gguf::read(bytes.as_slice(), bytes.len() as u64);
		}
	}
}
