//! Formats of quantized matrices (`docs/spec/c2.md` §2.1): how an integer weight is stored, and how many inputs of one
//! output share a scale.

use core::fmt;

/// Columns of the smallest group. The width of every matrix is a multiple of it.
pub const BLOCK: usize = 32;

/// How many consecutive inputs of one output share a scale. The last group of a row may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
	/// 32 inputs.
	G32,
	/// 64 inputs.
	G64,
	/// 128 inputs.
	G128,
}

impl Group {
	/// All of them, the smallest first.
	pub const ALL: [Self; 3] = [Self::G32, Self::G64, Self::G128];

	/// Returns the number of inputs.
	pub const fn size(self) -> usize {
		match self {
			Self::G32 => 32,
			Self::G64 => 64,
			Self::G128 => 128,
		}
	}

	/// Returns the group of so many inputs, if there is one.
	pub fn of_size(size: usize) -> Option<Self> {
		Self::ALL.into_iter().find(|group| group.size() == size)
	}
}

/// How the weights of a matrix are stored. A weight is an integer times the f16 scale of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatrixFormat {
	/// An int8 for each weight, in groups of 32 or 128.
	W8 {
		/// Inputs that share a scale.
		group: Group,
	},
	/// A 4-bit index for each weight into the matrix's table, in groups of 32.
	W4 {
		/// The integers that an index stands for.
		table: [i8; 16],
	},
	/// A 4-bit number for each weight, from which the group's 4-bit zero point is subtracted.
	W4z {
		/// Inputs that share a scale and a zero point.
		group: Group,
	},
}

impl MatrixFormat {
	/// Int8 in groups of 32: what the importer writes unless it is asked for something else.
	pub const W8_32: Self = Self::W8 { group: Group::G32 };

	/// Returns whether the profile has this format: int8 has no groups of 64.
	pub fn is_allowed(&self) -> bool {
		!matches!(self, Self::W8 { group: Group::G64 })
	}

	/// Returns how many inputs of one output share a scale.
	pub fn group(&self) -> usize {
		match self {
			Self::W8 { group } | Self::W4z { group } => group.size(),
			Self::W4 { .. } => Group::G32.size(),
		}
	}

	/// Returns the groups of a row.
	pub fn groups(&self, width: usize) -> usize {
		width.div_ceil(self.group())
	}

	/// Returns the bits of a weight.
	pub fn bits(&self) -> usize {
		match self {
			Self::W8 { .. } => 8,
			Self::W4 { .. } | Self::W4z { .. } => 4,
		}
	}

	/// Returns the bytes of a row's weights in a file.
	pub fn weight_bytes(&self, width: usize) -> usize {
		match self {
			Self::W8 { .. } => width,
			Self::W4 { .. } | Self::W4z { .. } => width / 2,
		}
	}

	/// Returns the bytes of a row's scales in a file.
	pub fn scale_bytes(&self, width: usize) -> usize {
		self.groups(width) * 2
	}

	/// Returns the bytes of a row's zero points in a file; 0 where the format has none.
	pub fn zero_bytes(&self, width: usize) -> usize {
		match self {
			Self::W4z { .. } => self.groups(width).div_ceil(2),
			Self::W8 { .. } | Self::W4 { .. } => 0,
		}
	}
}

impl fmt::Display for MatrixFormat {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::W8 { group } => write!(f, "w8-{}", group.size()),
			Self::W4 { .. } => f.write_str("w4"),
			Self::W4z { group } => write!(f, "w4z-{}", group.size()),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::string::ToString;

	#[test]
	fn a_row_in_a_file_has_the_bytes_of_the_specification() {
		let w4 = MatrixFormat::W4 { table: [0; 16] };
		let w8 = |group| MatrixFormat::W8 { group };
		let w4z = |group| MatrixFormat::W4z { group };
		for (format, name, width, bytes) in [
			(MatrixFormat::W8_32, "w8-32", 96, [96, 6, 0]),
			(w8(Group::G128), "w8-128", 160, [160, 4, 0]),
			(w4, "w4", 96, [48, 6, 0]),
			(w4z(Group::G32), "w4z-32", 96, [48, 6, 2]),
			(w4z(Group::G64), "w4z-64", 96, [48, 4, 1]),
			(w4z(Group::G128), "w4z-128", 288, [144, 6, 2]),
		] {
			assert_eq!(format.to_string(), name);
			let found = [
				format.weight_bytes(width),
				format.scale_bytes(width),
				format.zero_bytes(width),
			];
			assert!(found == bytes && format.is_allowed(), "{name}: {found:?}");
		}
		assert!(!w8(Group::G64).is_allowed());
		assert!(Group::ALL.iter().all(|g| Group::of_size(g.size()) == Some(*g)) && Group::of_size(96).is_none());
	}
}
