//! Figures in words, and tables of them.

use std::fmt::Write;

/// Tokens a second, whose unit stands beside it.
pub fn speed(value: f64) -> String {
	match value {
		v if v < 100.0 => format!("{v:.1}"),
		v => format!("{v:.0}"),
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

/// A Markdown table whose columns are aligned in plain text too: the first left, others right. Its first line is the heading.
pub fn table(lines: &[Vec<String>]) -> String {
	let columns = lines.first().map_or(0, Vec::len);
	let cell = |line: &Vec<String>, column: usize| line.get(column).cloned().unwrap_or_default();
	let width = |column: usize| lines.iter().map(|line| cell(line, column).chars().count()).max();
	let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
	let mut out = String::new();
	for (index, line) in lines.iter().enumerate() {
		for (column, &width) in widths.iter().enumerate() {
			match (column, cell(line, column)) {
				(0, cell) => write!(out, "| {cell:width$} ").ok(),
				(_, cell) => write!(out, "| {cell:>width$} ").ok(),
			};
		}
		out.push_str("|\n");
		if index == 0 {
			for (column, width) in widths.iter().enumerate() {
				let dashes = "-".repeat(width - 1);
				out.push_str(&if column == 0 {
					format!("| {dashes}- ")
				} else {
					format!("| {dashes}: ")
				});
			}
			out.push_str("|\n");
		}
	}
	out
}

/// A line of a list, wrapped as documents are.
pub fn item(text: &str) -> String {
	const WIDTH: usize = 118;
	let (mut out, mut length) = (String::from("-"), 1);
	for word in text.split(' ') {
		let more = 1 + word.chars().count();
		if length + more > WIDTH {
			out.push_str("\n ");
			length = 1;
		}
		write!(out, " {word}").ok();
		length += more;
	}
	out.push('\n');
	out
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_table_is_aligned() {
		let lines = [["", "ours"], ["load ÷", "1.5 s"]].map(|line| line.map(String::from).to_vec());
		assert_eq!(
			table(&lines),
			"|        |  ours |\n| ------ | ----: |\n| load ÷ | 1.5 s |\n"
		);
	}
	#[test]
	fn a_long_line_of_a_list_is_wrapped() {
		let text = vec!["words"; 40].join(" ");
		let lines = item(&text);
		assert!(
			lines.lines().count() == 3 && lines.lines().all(|line| line.len() <= 118),
			"{lines}"
		);
		assert_eq!(lines.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), text);
	}
}
