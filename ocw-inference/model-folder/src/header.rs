//! The safetensors header: untrusted bytes.
//!
//! Limits come before parsing and while it goes on: what is too long is refused where it gets too long. Ranges must
//! tile the file without gaps, shapes are multiplied with checks, and a name that appears twice is an attack, not a tie
//! to break.

use crate::{Error, Result};
use serde::{
	de::{value::StrDeserializer, Error as _, MapAccess, SeqAccess, Visitor},
	Deserialize, Deserializer,
};
use std::{collections::BTreeMap, fmt, io::Read};

/// Largest header.
pub const MAX_HEADER_BYTES: u64 = 8 << 20;
/// Most tensors of one file.
pub const MAX_TENSORS: usize = 20_000;
/// Longest name of a tensor.
pub const MAX_NAME_BYTES: usize = 512;
/// Most dimensions of one tensor.
const MAX_DIMS: usize = 8;

/// Element types that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, codec::Encode, codec::Decode, serde::Serialize, serde::Deserialize)]
pub enum Dtype {
	/// Signed byte.
	#[codec(index = 0)]
	I8,
	/// Half precision.
	#[codec(index = 1)]
	F16,
	/// Single precision.
	#[codec(index = 2)]
	F32,
	/// Brain float; only in models to import.
	#[codec(index = 3)]
	BF16,
	/// Eight-byte integer; only in models to import, in tensors that are not needed.
	#[codec(index = 4)]
	I64,
	/// Unsigned byte: two weights or zero points of four bits.
	#[codec(index = 5)]
	U8,
	/// Four-byte integer; only in models to import, with eight weights of four bits.
	#[codec(index = 6)]
	I32,
}

impl Dtype {
	/// Returns the bytes of one element.
	pub fn size(self) -> u64 {
		match self {
			Self::I8 | Self::U8 => 1,
			Self::F16 | Self::BF16 => 2,
			Self::F32 | Self::I32 => 4,
			Self::I64 => 8,
		}
	}
}

/// A tensor's entry in the header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorInfo {
	/// Element type.
	#[serde(deserialize_with = "dtype")]
	pub dtype: Dtype,
	/// Dimensions, outermost first; 8 at most.
	#[serde(deserialize_with = "dimensions")]
	pub shape: Vec<u64>,
	/// Begin and end in bytes, counted from the end of the header.
	pub data_offsets: (u64, u64),
}

/// Returns the size of a tensor in bytes, unless it overflows.
pub fn byte_size(dtype: Dtype, shape: &[u64]) -> Option<u64> {
	shape.iter().try_fold(dtype.size(), |size, dim| size.checked_mul(*dim))
}

/// A checked header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
	/// Tensors by name.
	pub tensors: BTreeMap<String, TensorInfo>,
	/// Where the data begins in the file.
	pub data_start: u64,
}

impl Header {
	/// Reads and checks the header of a file of `file_bytes` bytes. Leaves the reader where the data begins.
	pub fn read(file: &mut impl Read, file_bytes: u64) -> Result<Self> {
		let refused = |reason: String| Err(Error::Header(reason));
		let mut length = [0u8; 8];
		file.read_exact(&mut length)
			.map_err(|_| Error::Header("the file is shorter than 8 bytes".into()))?;
		let length = u64::from_le_bytes(length);
		if length > MAX_HEADER_BYTES {
			return refused(format!("it claims {length} bytes; at most {MAX_HEADER_BYTES} are read"));
		}
		let data_start = 8 + length;
		if data_start > file_bytes {
			return refused(format!("it claims {length} bytes in a file of {file_bytes}"));
		}
		let mut json = Vec::new();
		file.take(length)
			.read_to_end(&mut json)
			.map_err(|e| Error::Header(e.to_string()))?;
		if json.len() as u64 != length {
			return refused("the file ends inside it".into());
		}
		let Entries(tensors) = serde_json::from_slice(&json).map_err(|e| Error::Header(e.to_string()))?;
		let header = Self { tensors, data_start };
		header.check(file_bytes - data_start)?;
		Ok(header)
	}

	fn check(&self, data_bytes: u64) -> Result<()> {
		for (name, info) in &self.tensors {
			let (begin, end) = info.data_offsets;
			let size = byte_size(info.dtype, &info.shape);
			if size.is_none() || end.checked_sub(begin) != size {
				let TensorInfo { dtype, shape, .. } = info;
				return Err(Error::Header(format!(
					"tensor `{name}`: {dtype:?} {shape:?} does not fit bytes {begin}..{end}"
				)));
			}
		}
		let mut expected = 0;
		for (name, info) in self.in_file_order() {
			if info.data_offsets.0 != expected {
				let found = info.data_offsets.0;
				return Err(Error::Header(format!(
					"tensor `{name}` begins at {found}; the one before it ends at {expected}"
				)));
			}
			expected = info.data_offsets.1;
		}
		if expected != data_bytes {
			return Err(Error::Header(format!(
				"the tensors end at {expected}, the data at {data_bytes}: the file is cut or damaged; fetch it again"
			)));
		}
		Ok(())
	}

	/// Returns the tensors in the order of their data.
	pub fn in_file_order(&self) -> Vec<(&str, &TensorInfo)> {
		let mut all: Vec<_> = self.tensors.iter().map(|(name, info)| (name.as_str(), info)).collect();
		all.sort_by_key(|(_, info)| info.data_offsets);
		all
	}

	/// Returns the header bytes, length included, of a canonical file: these tensors in this order, padded with spaces
	/// to 8 bytes.
	pub fn canonical<'a>(tensors: impl Iterator<Item = (&'a str, Dtype, &'a [u64])>) -> Vec<u8> {
		let mut json = String::from("{");
		let mut begin = 0u64;
		for (i, (name, dtype, shape)) in tensors.enumerate() {
			let end = begin.saturating_add(byte_size(dtype, shape).unwrap_or(u64::MAX));
			let comma = if i == 0 { "" } else { "," };
			let shape: Vec<_> = shape.iter().map(u64::to_string).collect();
			let shape = shape.join(",");
			json.push_str(&format!(
				r#"{comma}"{name}":{{"dtype":"{dtype:?}","shape":[{shape}],"data_offsets":[{begin},{end}]}}"#
			));
			begin = end;
		}
		json.push('}');
		while json.len() % 8 != 0 {
			json.push(' ');
		}
		let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
		bytes.extend(json.into_bytes());
		bytes
	}
}

fn dtype<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Dtype, D::Error> {
	let name = String::deserialize(deserializer)?;
	Dtype::deserialize(StrDeserializer::<D::Error>::new(&name)).map_err(|_| {
		let name: String = name.chars().take(20).collect();
		D::Error::custom(format!(
			"its type is {name}; F32, F16 and BF16 are imported. Take the floats that it was made from"
		))
	})
}

fn dimensions<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<u64>, D::Error> {
	struct Dimensions;
	impl<'de> Visitor<'de> for Dimensions {
		type Value = Vec<u64>;

		fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
			f.write_str("a list of dimensions")
		}

		fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Vec<u64>, A::Error> {
			let mut dimensions = Vec::new();
			while let Some(dimension) = list.next_element()? {
				if dimensions.len() >= MAX_DIMS {
					return Err(A::Error::custom(format!("more than {MAX_DIMS} dimensions")));
				}
				dimensions.push(dimension);
			}
			Ok(dimensions)
		}
	}
	deserializer.deserialize_seq(Dimensions)
}

/// The header's map, refused while it is parsed if it breaks a limit.
struct Entries(BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Entries {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
		struct EntriesVisitor;
		impl<'de> Visitor<'de> for EntriesVisitor {
			type Value = Entries;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				f.write_str("a map from tensor names to dtype, shape and data_offsets")
			}

			fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Entries, A::Error> {
				let mut tensors = BTreeMap::new();
				let mut metadata = false;
				while let Some(name) = map.next_key::<String>()? {
					if name == "__metadata__" {
						if std::mem::replace(&mut metadata, true) {
							return Err(A::Error::custom("`__metadata__` appears twice"));
						}
						// The format's own library reads null as no metadata.
						map.next_value::<Option<Notes>>()?;
						continue;
					}
					if tensors.len() >= MAX_TENSORS {
						return Err(A::Error::custom(format!("more than {MAX_TENSORS} tensors")));
					}
					// A name ends up in error messages and logs.
					if name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
						return Err(A::Error::custom(format!(
							"a name of {} bytes; 1 to {MAX_NAME_BYTES} without control characters are read",
							name.len()
						)));
					}
					let info: TensorInfo = map
						.next_value()
						.map_err(|e| A::Error::custom(format!("tensor `{name}`: {e}")))?;
					if tensors.contains_key(&name) {
						return Err(A::Error::custom(format!("tensor `{name}` appears twice")));
					}
					tensors.insert(name, info);
				}
				Ok(Entries(tensors))
			}
		}
		deserializer.deserialize_map(EntriesVisitor)
	}
}

/// `__metadata__`: texts that are not used. Checked to be texts, and not kept.
struct Notes;

impl<'de> Deserialize<'de> for Notes {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
		struct NotesVisitor;
		impl<'de> Visitor<'de> for NotesVisitor {
			type Value = Notes;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				f.write_str("a map from texts to texts")
			}

			fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Notes, A::Error> {
				while map.next_entry::<Note, Note>()?.is_some() {}
				Ok(Notes)
			}
		}
		deserializer.deserialize_map(NotesVisitor)
	}
}

/// A text that isn't kept.
struct Note;

impl<'de> Deserialize<'de> for Note {
	fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
		struct NoteVisitor;
		impl Visitor<'_> for NoteVisitor {
			type Value = Note;

			fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
				f.write_str("a text")
			}

			fn visit_str<E>(self, _: &str) -> std::result::Result<Note, E> {
				Ok(Note)
			}
		}
		deserializer.deserialize_str(NoteVisitor)
	}
}
