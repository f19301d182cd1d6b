//! Numbers as sentences write them: never better than they are.

use assay_primitives::Balance;
use std::{
	borrow::ToOwned,
	format,
	string::{String, ToString},
};

const UNITS_PER_ASY: f64 = 1e12;
/// The same as a whole number.
const ONE_ASY: Balance = 1_000_000_000_000;

/// Groups digits by thousands: `40 000`.
pub fn grouped(n: u128) -> String {
	let digits = n.to_string();
	let mut out = String::new();
	for (i, digit) in digits.chars().enumerate() {
		if i > 0 && digits.len().saturating_sub(i).is_multiple_of(3) {
			out.push(' ');
		}
		out.push(digit);
	}
	out
}

/// Writes an amount exactly, in ASY.
pub fn exact(units: Balance) -> String {
	let (whole, part) = (units / ONE_ASY, format!("{:012}", units % ONE_ASY));
	match part.trim_end_matches('0') {
		"" => format!("{whole} ASY"),
		part => format!("{whole}.{part} ASY"),
	}
}

/// Writes a stake in whole ASY, or exactly if it is less than one.
pub fn stake(units: Balance) -> String {
	match units / ONE_ASY {
		0 => exact(units),
		whole => format!("{} ASY", grouped(whole)),
	}
}

/// Rounds down to two significant digits.
fn two_digits(x: f64) -> f64 {
	let scale = 10f64.powf(x.log10().floor() - 1.0);
	// A number with two digits must not lose one to its binary form.
	(x / scale + 1e-9).floor() * scale
}

/// Writes a value in base units as ASY, rounded down to two significant digits.
pub fn worth(units: f64) -> String {
	let asy = units / UNITS_PER_ASY;
	if asy < 0.001 {
		return "0 ASY".into();
	}
	let asy = two_digits(asy);
	let (amount, unit) = match asy {
		x if x >= 1e9 => (x / 1e9, " billion"),
		x if x >= 1e6 => (x / 1e6, " million"),
		x => (x, ""),
	};
	let text = if amount >= 1e4 {
		grouped(amount.round() as u128)
	} else {
		plain(amount, 4)
	};
	format!("{text}{unit} ASY")
}

/// Writes a number with at most so many decimals, and none that are zero.
fn plain(x: f64, decimals: usize) -> String {
	let text = format!("{x:.decimals$}");
	if text.contains('.') {
		text.trim_end_matches('0').trim_end_matches('.').to_owned()
	} else {
		text
	}
}

/// Writes a share in per cent, with two significant digits below 10 %.
pub fn percent(share: f64) -> String {
	let percent = share * 100.0;
	let decimals = match percent {
		x if x >= 10.0 => 1,
		x if x >= 1.0 => 2,
		_ => 4,
	};
	format!("{} %", plain(percent, decimals))
}

/// Writes how many of all false answers pass, rounded so that it never sounds better than it is.
pub fn passing(chance: f64) -> String {
	if chance >= 1.0 {
		return "every false answer".into();
	}
	match (1.0 / chance).floor() {
		n if !n.is_finite() || n >= 1e18 => "hardly any false answer".into(),
		n if n < 2.0 => "more than half of all false answers".into(),
		n if n < 100.0 => format!("1 false answer in {n}"),
		n => format!("1 false answer in {}", grouped(two_digits(n) as u128)),
	}
}

/// Writes a number of things: `1 seat`, `2 seats`.
pub fn number(n: u32, one: &str) -> String {
	match n {
		1 => format!("1 {one}"),
		n => format!("{n} {one}s"),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn numbers_are_never_better_than_they_are() {
		for (units, text) in [
			(0.0, "0 ASY"),
			(1e9, "0.001 ASY"),
			(0.129e12, "0.12 ASY"),
			(3e12, "3 ASY"),
			(149.9e12, "140 ASY"),
			(9_990e12, "9900 ASY"),
			(78_700e12, "78 000 ASY"),
			(1_690_000e12, "1.6 million ASY"),
			(2.5e21, "2.5 billion ASY"),
		] {
			assert_eq!(worth(units), text);
		}
		for (chance, text) in [
			(1.0, "every false answer"),
			(0.6, "more than half of all false answers"),
			(0.5, "1 false answer in 2"),
			(0.0541, "1 false answer in 18"),
			(0.000_808, "1 false answer in 1 200"),
			(0.0, "hardly any false answer"),
		] {
			assert_eq!(passing(chance), text);
		}
	}

	#[test]
	fn stakes_and_shares_are_short() {
		assert_eq!(stake(40_000_999_999_999_999), "40 000 ASY");
		assert_eq!(stake(1_234_567_000_000_000_000), "1 234 567 ASY");
		assert_eq!(stake(5), "0.000000000005 ASY");
		for (share, text) in [
			(0.2, "20 %"),
			(1.0 / 3.0, "33.3 %"),
			(0.012_71, "1.27 %"),
			(0.000_4, "0.04 %"),
		] {
			assert_eq!(percent(share), text);
		}
		assert_eq!(
			(number(1, "seat"), number(2, "seat")),
			("1 seat".into(), "2 seats".into())
		);
	}
}
