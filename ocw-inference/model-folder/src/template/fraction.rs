//! Fractions: numbers of a conversation with a fraction or an exponent, as Python writes and compares them. Nothing is
//! computed with them.

use std::cmp::Ordering;

/// Writes a fraction as Python's `repr`: the fewest digits that name it, with an exponent from 10¹⁶ on and below 10⁻⁴.
pub(super) fn written(x: f64) -> String {
	let scientific = format!("{x:e}");
	let Some((digits, exponent)) = scientific.split_once('e') else {
		return scientific;
	};
	match exponent.parse::<i32>() {
		Ok(exponent @ -4..16) => {
			let positional = x.to_string();
			let point = if exponent >= 0 && !positional.contains('.') {
				".0"
			} else {
				""
			};
			positional + point
		}
		Ok(exponent) => {
			let sign = if exponent < 0 { '-' } else { '+' };
			format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
		}
		Err(_) => scientific,
	}
}

/// Compares a whole number with a fraction, exactly. A fraction of a conversation is within the range of 64-bit integers.
pub(super) fn compare(whole: i64, x: f64) -> Ordering {
	// Exact within that range.
	let below = x.floor();
	match whole.cmp(&(below as i64)) {
		Ordering::Equal if x > below => Ordering::Less,
		order => order,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn fractions_are_written_as_python_writes_them() {
		for (x, text) in [
			(0.0, "0.0"),
			(1.0, "1.0"),
			(-2.0, "-2.0"),
			(0.5, "0.5"),
			(0.7, "0.7"),
			(0.1 + 0.2, "0.30000000000000004"),
			(1e-4, "0.0001"),
			(1.5e-4, "0.00015"),
			(1e-5, "1e-05"),
			(-1.25e-7, "-1.25e-07"),
			(5e-324, "5e-324"),
			(1e-100, "1e-100"),
			(1e15, "1000000000000000.0"),
			(1e16, "1e+16"),
			(123_456_789_012_345_680.0, "1.2345678901234568e+17"),
			(9_007_199_254_740_993.0, "9007199254740992.0"),
			(100.0, "100.0"),
			(2.5e3, "2500.0"),
		] {
			assert_eq!(written(x), text);
		}
	}

	#[test]
	fn whole_numbers_and_fractions_are_compared_exactly() {
		use Ordering::{Equal, Greater, Less};
		for (whole, x, order) in [
			(1, 1.0, Equal),
			(0, 0.5, Less),
			(1, 0.5, Greater),
			(-1, -0.5, Less),
			(0, -0.5, Greater),
			(i64::MAX, 9_223_372_036_854_774_784.0, Greater),
			(9_007_199_254_740_993, 9_007_199_254_740_992.0, Greater),
			(i64::MIN, -9_223_372_036_854_774_784.0, Less),
		] {
			assert_eq!(compare(whole, x), order, "{whole} {x}");
		}
	}
}
