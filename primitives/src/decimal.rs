//! Amounts in JSON: decimal strings. A JSON number is a 64-bit float to most readers and loses digits above 2^53.

use crate::Balance;
use alloc::string::String;
use serde::{de::Error, Deserialize, Deserializer, Serializer};

/// Writes an amount as a string of decimal digits.
pub fn serialize<S: Serializer>(amount: &Balance, s: S) -> Result<S::Ok, S::Error> {
	s.collect_str(amount)
}

/// Reads an amount from a string of decimal digits.
pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Balance, D::Error> {
	let text = String::deserialize(d)?;
	let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
	digits
		.then(|| text.parse().ok())
		.flatten()
		.ok_or_else(|| D::Error::custom("expected an amount in base units, as a string of decimal digits"))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[derive(serde::Serialize, serde::Deserialize)]
	struct Amount(#[serde(with = "super")] Balance);

	#[test]
	fn the_largest_amount_keeps_every_digit() {
		let text = serde_json::to_string(&Amount(Balance::MAX)).expect("it writes");
		assert_eq!(text, "\"340282366920938463463374607431768211455\"");
		assert_eq!(serde_json::from_str::<Amount>(&text).expect("it reads").0, Balance::MAX);
	}

	#[test]
	fn whatever_is_no_string_of_digits_is_refused() {
		for wrong in [
			"1",
			"1.0",
			"\"\"",
			"\"-1\"",
			"\"+1\"",
			"\"1e3\"",
			"\"340282366920938463463374607431768211456\"",
		] {
			assert!(serde_json::from_str::<Amount>(wrong).is_err(), "{wrong}");
		}
	}
}
