//! Figures in words, and tables of them.

use std::fmt::Write;

/// Tokens a second in words.
pub fn speed(value: f64) -> String {
	match value {
		v if v < 100.0 => format!("{v:.1} tok/s"),
		v => format!("{v:.0} tok/s"),
	}
}

/// Seconds in words.
pub fn duration(seconds: f64) -> String {
	match seconds {
		s if s < 0.1 => format!("{:.1} ms", s * 1e3),
		s if s < 1.0 => format!("{:.0} ms", s * 1e3),
		s => format!("{s:.2} s"),
	}
}

/// A share of one in per cents.
pub fn percent(share: f64) -> String {
	match share * 100.0 {
		p if p < 10.0 => format!("{p:.1} %"),
		p => format!("{p:.0} %"),
	}
}

/// A Markdown table whose columns are aligned in plain text too: the first left, others right.
pub fn table<const N: usize>(lines: &[[String; N]]) -> String {
	let width = |column: usize| {
		lines
			.iter()
			.map(|line| line[column].chars().count())
			.max()
			.unwrap_or(0)
			.max(3)
	};
	let widths: [usize; N] = std::array::from_fn(width);
	let mut out = String::new();
	for (index, line) in lines.iter().enumerate() {
		for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
			match column {
				0 => write!(out, "| {cell:width$} ").ok(),
				_ => write!(out, "| {cell:>width$} ").ok(),
			};
		}
		out.push_str("|\n");
		if index == 0 {
			for (column, width) in widths.into_iter().enumerate() {
				let dashes = "-".repeat(width);
				out.push_str(&if column == 0 {
					format!("| {dashes} ")
				} else {
					format!("| {}: ", &dashes[1..])
				});
			}
			out.push_str("|\n");
		}
	}
	out
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_table_is_aligned() {
		let lines = [["", "ours"], ["load ÷", "1.5 s"]].map(|line| line.map(String::from));
		assert_eq!(
			table(&lines),
			"|        |  ours |\n| ------ | ----: |\n| load ÷ | 1.5 s |\n"
		);
	}
}
