//! Decimal numbers, read and written exactly and without floats: amounts of ASY, Q16.16 and parts per million.

use std::{fmt, str::FromStr};

const DECIMALS: u32 = 12;

/// An amount of the chain's token; one ASY is 10¹² units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asy(pub(crate) u128);

/// Splits a decimal into the digits before and after the point.
fn split(text: &str) -> Result<(&str, &str), String> {
	let (whole, part) = text.split_once('.').unwrap_or((text, ""));
	let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
	if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
		return Err(format!("`{text}` is not a decimal number like 12 or 0.05"));
	}
	Ok((whole, part))
}

/// Returns `text` × 10^`decimals`, which must be whole.
fn scaled(text: &str, decimals: u32) -> Result<u128, String> {
	let (whole, part) = split(text)?;
	let part = part.trim_end_matches('0');
	let places = part.len();
	if places > decimals as usize {
		return Err(format!("`{text}` has more than {decimals} decimals"));
	}
	let zeros = "0".repeat((decimals as usize).saturating_sub(places));
	format!("0{whole}{part}{zeros}")
		.parse()
		.map_err(|_| format!("`{text}` is too large"))
}

impl FromStr for Asy {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		scaled(text, DECIMALS).map(Self)
	}
}

impl fmt::Display for Asy {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		f.write_str(&assay_receipt::assurance::words::exact(self.0))
	}
}

impl serde::Serialize for Asy {
	/// Writes a decimal string without the unit, because JSON numbers lose digits.
	fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
		s.serialize_str(self.to_string().trim_end_matches(" ASY"))
	}
}

/// Reads a decimal as Q16.16, rounded to the nearest step, ties up. What is not 0 does not become it: 0 has a meaning of its own.
pub(crate) fn q16(text: &str) -> Result<u32, String> {
	let value = scaled(text, 9)?;
	let rounded = value.checked_mul(1 << 17).map(|v| (v / 1_000_000_000 + 1) >> 1);
	let rounded = rounded.and_then(|v| u32::try_from(v).ok());
	match rounded {
		Some(0) if value > 0 => Err(format!(
			"`{text}` is less than the smallest step, 1/65536: give 0 or 0.00002"
		)),
		Some(rounded) => Ok(rounded),
		None => Err(format!("`{text}` is too large")),
	}
}

/// Reads a percentage, with or without `%`, as parts per million.
pub(crate) fn percent(text: &str) -> Result<u32, String> {
	let parts = scaled(text.trim_end_matches('%'), 4)?;
	u32::try_from(parts)
		.ok()
		.filter(|p| *p <= 1_000_000)
		.ok_or_else(|| format!("`{text}` is more than 100 %"))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn amounts_are_exact_to_the_last_unit() {
		for (text, units, shown) in [
			("0", 0, "0 ASY"),
			("1", 1_000_000_000_000, "1 ASY"),
			("0.000000000001", 1, "0.000000000001 ASY"),
			(".5", 500_000_000_000, "0.5 ASY"),
			("1.10", 1_100_000_000_000, "1.1 ASY"),
			("10000.", 10_000_000_000_000_000, "10000 ASY"),
			(
				"9007199254740993.000000000001",
				9_007_199_254_740_993_000_000_000_001,
				"9007199254740993.000000000001 ASY",
			),
		] {
			let amount: Asy = text.parse().unwrap();
			assert_eq!((amount.0, amount.to_string().as_str()), (units, shown));
		}
	}

	#[test]
	fn what_is_not_exactly_an_amount_is_refused() {
		let huge = "9".repeat(40);
		for text in [
			"",
			".",
			"-1",
			"1e3",
			"1,5",
			"0.0000000000001",
			"0x10",
			" 1",
			"1 ASY",
			"1.2.3",
			"١",
			&huge,
		] {
			assert!(text.parse::<Asy>().is_err(), "{text}");
		}
	}

	#[test]
	fn temperature_rounds_to_the_nearest_step() {
		assert_eq!(q16("0"), Ok(0));
		assert_eq!(q16("1"), Ok(65_536));
		assert_eq!(q16("0.7"), Ok(45_875));
		assert_eq!(q16("16.0"), Ok(16 << 16));
		assert_eq!((q16("0.00002"), q16("0.000")), (Ok(1), Ok(0)));
		assert!(q16("65536").is_err() && q16("hot").is_err() && q16("0.000007").is_err());
	}

	#[test]
	fn percentages_go_up_to_a_hundred() {
		assert_eq!(percent("5"), Ok(50_000));
		assert_eq!(percent("2.5%"), Ok(25_000));
		assert_eq!(percent("100"), Ok(1_000_000));
		assert!(percent("100.0001").is_err() && percent("0.00001").is_err());
	}
}
