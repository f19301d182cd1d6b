//! Markdown tables, and how numbers stand in them.

use crate::random::Mean;
use std::fmt::{Display, Formatter, Result};

/// A table with a header.
pub(super) struct Table {
	rows: Vec<Vec<String>>,
}

impl Table {
	pub(super) fn new(header: &[&str]) -> Self {
		Self {
			rows: vec![header.iter().map(|cell| (*cell).into()).collect()],
		}
	}

	pub(super) fn row(&mut self, cells: Vec<String>) {
		self.rows.push(cells);
	}
}

impl Display for Table {
	fn fmt(&self, f: &mut Formatter<'_>) -> Result {
		for (index, row) in self.rows.iter().enumerate() {
			writeln!(f, "| {} |", row.join(" | "))?;
			if index == 0 {
				writeln!(f, "|{}", " -- |".repeat(row.len()))?;
			}
		}
		Ok(())
	}
}

/// Formats a share with three digits, as a percentage.
pub(super) fn percent(share: f64) -> String {
	format!("{} %", digits(share * 100.0))
}

/// Formats a measured share with its standard error, as a percentage.
pub(super) fn measured(mean: &Mean) -> String {
	if mean.sum() == 0.0 {
		return "0 %".into();
	}
	if mean.error() == 0.0 {
		return percent(mean.value());
	}
	format!("{} ± {} %", digits(mean.value() * 100.0), short(mean.error() * 100.0))
}

/// Formats a quotient.
pub(super) fn ratio(value: f64) -> String {
	format!("{value:.2}")
}

/// Formats an amount in ASY.
pub(super) fn asy(amount: f64) -> String {
	if !amount.is_finite() {
		return "none settled".into();
	}
	let (rounded, mut text) = (amount.round() as u64, String::new());
	for (index, digit) in rounded.to_string().chars().rev().enumerate() {
		if index > 0 && index % 3 == 0 {
			text.push(' ');
		}
		text.push(digit);
	}
	if amount < 100.0 {
		return format!("{} ASY", digits(amount));
	}
	format!("{} ASY", text.chars().rev().collect::<String>())
}

fn digits(value: f64) -> String {
	if value == 0.0 {
		return "0".into();
	}
	let whole = value.abs().log10().floor() as i32;
	let places = (2 - whole).clamp(0, 6) as usize;
	let text = format!("{value:.places$}");
	if text.contains('.') {
		text.trim_end_matches('0').trim_end_matches('.').into()
	} else {
		text
	}
}

fn short(value: f64) -> String {
	let whole = value.abs().log10().floor() as i32;
	let places = (1 - whole).clamp(0, 6) as usize;
	format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn numbers_have_three_digits() {
		assert_eq!(percent(0.05), "5 %");
		assert_eq!(percent(0.012_345), "1.23 %");
		assert_eq!(percent(1.0), "100 %");
		assert_eq!(percent(0.000_000_2), "0.00002 %");
		assert_eq!(asy(1_234_567.4), "1 234 567 ASY");
		assert_eq!(asy(88.89), "88.9 ASY");
		assert_eq!(asy(f64::INFINITY), "none settled");
	}

	#[test]
	fn a_table_is_markdown() {
		let mut table = Table::new(&["a", "b"]);
		table.row(vec!["1".into(), "2".into()]);
		assert_eq!(table.to_string(), "| a | b |\n| -- | -- |\n| 1 | 2 |\n");
	}
}
