//! How many claims a node checks of its own accord.

use std::{fmt, str::FromStr};

/// The share of the published claims of its models that a node checks without having been drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchedShare {
	permille: u16,
}

impl WatchedShare {
	/// Returns how many of a thousand claims are watched.
	pub fn permille(self) -> u32 {
		self.permille.into()
	}
}

impl FromStr for WatchedShare {
	type Err = String;

	/// Reads a percentage from 0 to 100 with at most one decimal.
	fn from_str(text: &str) -> Result<Self, String> {
		let (whole, tenths) = text.split_once('.').unwrap_or((text, "0"));
		let digits = |part: &str, most| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
		let number = |part: &str| part.parse::<u16>().ok();
		Some((whole, tenths))
			.filter(|(whole, tenths)| digits(whole, 3) && digits(tenths, 1))
			.and_then(|(whole, tenths)| number(whole)?.checked_mul(10)?.checked_add(number(tenths)?))
			.filter(|permille| *permille <= 1_000)
			.map(|permille| Self { permille })
			.ok_or_else(|| "a percentage from 0 to 100 with at most one decimal, like 5 or 2.5".into())
	}
}

impl fmt::Display for WatchedShare {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let (whole, tenths) = (self.permille / 10, self.permille % 10);
		if tenths == 0 {
			write!(f, "{whole}")
		} else {
			write!(f, "{whole}.{tenths}")
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_percentage_is_read_exactly_and_written_as_it_is_read() {
		for (text, permille) in [
			("0", 0),
			("0.1", 1),
			("2.5", 25),
			("5", 50),
			("99.9", 999),
			("100", 1_000),
		] {
			let share: WatchedShare = text.parse().unwrap();
			assert_eq!(share.permille(), permille, "{text}");
			assert_eq!(share.to_string(), text);
		}
		assert_eq!("100.0".parse::<WatchedShare>().unwrap().permille(), 1_000);
		assert_eq!(WatchedShare::default().permille(), 0);
	}

	#[test]
	fn what_is_not_a_percentage_with_one_decimal_at_most_is_refused() {
		for text in [
			"", ".", "5.", ".5", "-1", "+5", "100.1", "101", "999.9", "2.55", "5%", "5,5", "1e2", "NaN", "6554", "٥",
			"0.5.5", " 5",
		] {
			let refused = text.parse::<WatchedShare>();
			assert!(refused.is_err_and(|e| e.contains("from 0 to 100")), "{text:?}");
		}
	}
}
