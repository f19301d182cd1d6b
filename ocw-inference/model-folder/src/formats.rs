//! The formats of a model's matrices (`docs/spec/c2.md`, "Matrix formats"): which tensors stand for a matrix, and which
//! format its tensors have.

use crate::{
	config::Hyperparameters,
	header::Dtype,
	layout::{source_layout, SourceSpec, TensorSpec, SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX},
	manifest::TensorEntry,
	Error, Result,
};
use assay_numerics::format::{Group, MatrixFormat};
use std::{
	collections::{BTreeMap, HashMap},
	fmt,
	str::FromStr,
};

/// Entries of a table of weights.
pub const TABLE: usize = 16;

/// The format of a matrix as a manifest states it. The table of `w4` is in the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
	/// Eight bits a weight, a scale for each group of 32 or 128.
	W8(Group),
	/// Four bits a weight, which are an index into the matrix's table; a scale for each group of 32.
	W4,
	/// Four bits a weight, a scale and a zero point for each group.
	W4z(Group),
}

impl Format {
	/// All of them.
	pub const ALL: [Self; 6] = [
		Self::W8(Group::G32),
		Self::W8(Group::G128),
		Self::W4,
		Self::W4z(Group::G32),
		Self::W4z(Group::G64),
		Self::W4z(Group::G128),
	];

	/// Returns the scales of a row of so many inputs.
	fn groups(self, width: u64) -> u64 {
		width.div_ceil(self.with_table([0; TABLE]).group() as u64)
	}

	/// Returns the format in which the engine holds a matrix of this one, with its table.
	pub fn with_table(self, table: [i8; TABLE]) -> MatrixFormat {
		match self {
			Self::W8(group) => MatrixFormat::W8 { group },
			Self::W4 => MatrixFormat::W4 { table },
			Self::W4z(group) => MatrixFormat::W4z { group },
		}
	}

	/// Returns the tensors of a matrix `[rows, width]`, sorted by name.
	pub fn tensors(self, name: &str, rows: u64, width: u64) -> Vec<TensorSpec> {
		let tensor = |end: &str, dtype, shape: &[u64]| TensorSpec {
			name: format!("{name}{end}"),
			dtype,
			shape: shape.to_vec(),
		};
		let groups = self.groups(width);
		let weight = match self {
			Self::W8(_) => tensor("", Dtype::I8, &[rows, width]),
			Self::W4 | Self::W4z(_) => tensor("", Dtype::U8, &[rows, width / 2]),
		};
		let scale = tensor(SCALE_SUFFIX, Dtype::F16, &[rows, groups]);
		let further = match self {
			Self::W8(_) => None,
			Self::W4 => Some(tensor(TABLE_SUFFIX, Dtype::I8, &[TABLE as u64])),
			Self::W4z(_) => Some(tensor(ZERO_SUFFIX, Dtype::U8, &[rows, groups.div_ceil(2)])),
		};
		[Some(weight), Some(scale), further].into_iter().flatten().collect()
	}

	/// Returns the format that has this many groups to a row, if one of the same kind has: of several, the one with the
	/// smallest groups, since they are then the same.
	fn with_groups(self, width: u64, groups: u64) -> Option<Self> {
		let same_kind = |other: &Self| std::mem::discriminant(&self) == std::mem::discriminant(other);
		let mut all = Self::ALL.into_iter().filter(same_kind);
		all.find(|format| format.groups(width) == groups)
	}
}

impl From<MatrixFormat> for Format {
	fn from(format: MatrixFormat) -> Self {
		match format {
			MatrixFormat::W8 { group } => Self::W8(group),
			MatrixFormat::W4 { .. } => Self::W4,
			MatrixFormat::W4z { group } => Self::W4z(group),
		}
	}
}

impl Default for Format {
	fn default() -> Self {
		Self::W8(Group::G32)
	}
}

impl fmt::Display for Format {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		self.with_table([0; TABLE]).fmt(f)
	}
}

impl FromStr for Format {
	type Err = String;

	/// Reads a name as [`fmt::Display`] writes it; `w8` alone is `w8-32`.
	fn from_str(name: &str) -> std::result::Result<Self, String> {
		let found = Self::ALL.into_iter().find(|format| format.to_string() == name);
		found.or((name == "w8").then(Self::default)).ok_or_else(|| {
			let names = Self::ALL.map(|format| format.to_string()).join(", ");
			format!("`{name}` is no format of weights; there are {names}, and w8 for w8-32")
		})
	}
}

/// The formats of a model's matrices by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Formats(BTreeMap<String, Format>);

impl Formats {
	/// Returns a matrix's format: `w8` in groups of 32 unless it has another one.
	pub fn of(&self, matrix: &str) -> Format {
		self.0.get(matrix).copied().unwrap_or_default()
	}

	/// Sets a matrix's format.
	pub fn insert(&mut self, matrix: String, format: Format) {
		self.0.insert(matrix, format);
	}

	/// Returns the formats that a model's matrices have by their tensors, or the first matrix whose tensors are those of
	/// no format.
	pub fn read(hyperparameters: &Hyperparameters, tensors: &[TensorEntry]) -> Result<Self> {
		let tensors = tensors.iter().map(|entry| (entry.name.as_str(), entry)).collect();
		let mut formats = Self::default();
		for spec in source_layout(hyperparameters) {
			if let (Some(rows), true) = (spec.rows, spec.quantized) {
				formats.insert(spec.name.clone(), read_format(&spec, rows, &tensors)?);
			}
		}
		Ok(formats)
	}
}

/// Returns the format of one matrix.
fn read_format(spec: &SourceSpec, rows: u64, tensors: &HashMap<&str, &TensorEntry>) -> Result<Format> {
	let refused = |reason: String| {
		Err(Error::Inconsistent(format!(
			"matrix `{}` {reason}; import the model again",
			spec.name
		)))
	};
	let beside = |end: &str| tensors.get(format!("{}{end}", spec.name).as_str()).copied();
	let (Some(weight), Some(scale)) = (beside(""), beside(SCALE_SUFFIX)) else {
		return refused("has no weights or no scales in the manifest".into());
	};
	let (table, zero) = (beside(TABLE_SUFFIX), beside(ZERO_SUFFIX));
	// Any group of a kind stands for the kind here.
	let kind = match (weight.dtype, table, zero) {
		(Dtype::I8, None, None) => Format::default(),
		(Dtype::U8, Some(_), None) => Format::W4,
		(Dtype::U8, None, Some(_)) => Format::W4z(Group::G32),
		(dtype, ..) => {
			return refused(format!(
				"has {dtype:?} weights {} a table and {} zero points, which is no format of c2",
				if table.is_some() { "with" } else { "without" },
				if zero.is_some() { "with" } else { "without" },
			));
		}
	};
	let groups = match scale.shape[..] {
		[_, groups] => groups,
		_ => {
			return refused(format!(
				"has scales {:?}, not so many for each of {rows} rows",
				scale.shape
			));
		}
	};
	match kind.with_groups(spec.width, groups) {
		Some(format) => Ok(format),
		None => refused(format!(
			"has {groups} scales a row of {}, which no group of its format gives",
			spec.width
		)),
	}
}
