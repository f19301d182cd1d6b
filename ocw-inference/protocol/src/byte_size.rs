//! Sizes on a command line.

use std::{fmt, str::FromStr};

/// A number of bytes, as people write it: `512M`, `8G`, `1073741824`. K, M and G are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

impl FromStr for ByteSize {
	type Err = String;

	fn from_str(text: &str) -> std::result::Result<Self, String> {
		let unit = UNITS
			.iter()
			.find(|(unit, _)| text.to_ascii_uppercase().ends_with(*unit));
		let digits = if unit.is_some() {
			text.get(..text.len().saturating_sub(1))
		} else {
			Some(text)
		};
		let power = unit.map_or(1, |(_, power)| 1u64 << power);
		digits
			.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
			.and_then(|digits| digits.parse::<u64>().ok())
			.and_then(|count| count.checked_mul(power))
			.map(ByteSize)
			.ok_or_else(|| format!("`{text}` is not a number of bytes like 512M, 8G or 1073741824"))
	}
}

/// The shortest form that [`FromStr`] reads as the same number.
impl fmt::Display for ByteSize {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let whole = |power: u32| self.0 > 0 && self.0.is_multiple_of(1u64 << power);
		match UNITS.iter().find(|(_, power)| whole(*power)) {
			Some((unit, power)) => write!(f, "{}{unit}", self.0 >> power),
			None => write!(f, "{}", self.0),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn bytes_are_read_as_they_are_written() {
		for (text, bytes) in [
			("0", 0),
			("1000", 1000),
			("4K", 4096),
			("512m", 512 << 20),
			("8G", 8 << 30),
		] {
			let read: ByteSize = text.parse().expect(text);
			assert_eq!(read, ByteSize(bytes), "{text}");
			assert_eq!(read.to_string().parse(), Ok(read));
		}
		for wrong in ["", "G", "-1", "+1", "1.5G", "1GB", "1 G", "99999999999G", "ß"] {
			assert!(wrong.parse::<ByteSize>().is_err(), "{wrong}");
		}
	}
}
