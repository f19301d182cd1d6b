//! Draws a run: bars beside each other, light, readable without colour too.

use crate::{
	report::{Row, Sheet},
	run::ENGINES,
};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 200.0;
const RIGHT: f64 = 170.0;
const BAR: f64 = 13.0;
const GAP: f64 = 10.0;
const COLOURS: [&str; 3] = ["#1f6f5c", "#9aa5b1", "#d9c7a3"];
const INK: &str = "#24292f";
const FAINT: &str = "#6b7480";

struct Drawing {
	body: String,
	y: f64,
}

impl Drawing {
	fn new(title: &str, below: &str) -> Self {
		let mut drawing = Self {
			body: String::new(),
			y: 30.0,
		};
		drawing.text(20.0, 30.0, 17.0, INK, "start", "bold", title);
		drawing.text(20.0, 50.0, 12.0, FAINT, "start", "normal", below);
		drawing.y = 74.0;
		drawing
	}

	#[allow(clippy::too_many_arguments)] // a text is where, how large, how and what
	fn text(&mut self, x: f64, y: f64, size: f64, fill: &str, anchor: &str, weight: &str, text: &str) {
		let text = text.replace('&', "&amp;").replace('<', "&lt;");
		writeln!(
			self.body,
			r#"<text x="{x:.1}" y="{y:.1}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}">{text}</text>"#
		)
		.ok();
	}

	fn bar(&mut self, y: f64, width: f64, colour: &str) {
		let width = width.max(1.0);
		writeln!(
			self.body,
			r#"<rect x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2" fill="{colour}"/>"#
		)
		.ok();
	}

	fn upright(&mut self, x: f64, from: f64, to: f64) {
		writeln!(
			self.body,
			r#"<line x1="{x:.1}" x2="{x:.1}" y1="{from:.1}" y2="{to:.1}" stroke="{FAINT}" stroke-dasharray="3 3"/>"#
		)
		.ok();
	}

	fn finish(self) -> String {
		let height = self.y + 12.0;
		format!(
			"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"system-ui, sans-serif\">\n\
			 <rect width=\"{WIDTH}\" height=\"{height:.0}\" rx=\"8\" fill=\"#ffffff\"/>\n{}</svg>\n",
			self.body
		)
	}
}

/// Tokens a second of our engine and its peers.
pub fn speed(sheets: &[Sheet], below: &str) -> String {
	let title = "Tokens a second: the exact engine and its peers";
	let groups: Vec<_> = sheets.iter().map(|s| (s.title.as_str(), s.rows.as_slice())).collect();
	speeds(title, ENGINES, &groups, below)
}

/// Tokens a second, each row on its own scale so that all can be compared: the longest bar is the fastest engine. The first is ours.
pub fn speeds(title: &str, engines: [&str; 3], groups: &[(&str, &[Row])], below: &str) -> String {
	let mut drawing = Drawing::new(title, below);
	legend(&mut drawing, engines);
	for (title, rows) in groups {
		let rows: Vec<&Row> = rows
			.iter()
			.filter(|row| row.cells[0].words.ends_with("tok/s"))
			.collect();
		if rows.is_empty() {
			continue;
		}
		drawing.y += 14.0;
		let y = drawing.y;
		drawing.text(20.0, y, 13.0, INK, "start", "bold", heading(title));
		drawing.y += 12.0;
		for row in rows {
			bars(&mut drawing, row);
		}
	}
	drawing.finish()
}

fn heading(title: &str) -> &str {
	title.split(';').next().unwrap_or(title)
}

fn legend(drawing: &mut Drawing, engines: [&str; 3]) {
	let mut x = LEFT;
	for (engine, colour) in engines.into_iter().zip(COLOURS) {
		let y = drawing.y - 8.0;
		writeln!(
			drawing.body,
			r#"<rect x="{x:.1}" y="{y:.1}" width="11" height="11" rx="2" fill="{colour}"/>"#
		)
		.ok();
		let words = if engine == "ours" {
			"ours: exact, with trace and sampling"
		} else {
			engine
		};
		drawing.text(x + 17.0, y + 10.0, 12.0, INK, "start", "normal", words);
		x += 40.0 + 6.6 * words.len() as f64;
	}
	drawing.y += 10.0;
}

fn bars(drawing: &mut Drawing, row: &Row) {
	let most = row.cells.iter().filter_map(|cell| cell.value).fold(0.0, f64::max);
	let there: Vec<usize> = (0..ENGINES.len()).filter(|e| row.cells[*e].value.is_some()).collect();
	let middle = drawing.y + BAR * there.len() as f64 / 2.0 + 4.0;
	drawing.text(LEFT - 10.0, middle, 12.0, INK, "end", "normal", &row.label);
	for engine in there {
		let cell = &row.cells[engine];
		let width = cell.value.unwrap_or(0.0) / most * (WIDTH - LEFT - RIGHT);
		let y = drawing.y;
		drawing.bar(y, width, COLOURS[engine]);
		let mut words = cell.words.clone();
		if let Some(ratio) = row.ratio(engine).filter(|_| engine > 0) {
			words += &format!("  (ours {ratio:.2} ×)");
		}
		drawing.text(
			LEFT + width + 6.0,
			y + 10.5,
			11.0,
			if engine == 0 { INK } else { FAINT },
			"start",
			"normal",
			&words,
		);
		drawing.y += BAR;
	}
	drawing.y += GAP;
}

/// What a check costs: verification as a share of generation, with the aim as a line.
pub fn verify(sheets: &[Sheet], jobs: usize, below: &str) -> String {
	const AIM: f64 = 0.05;
	let mut drawing = Drawing::new("What a check costs: verification ÷ generation", below);
	let shares = sheets.iter().flat_map(|s| s.verify.iter().flatten());
	let most = shares.fold(AIM, |a, b| a.max(*b)) * 1.05;
	let scale = (WIDTH - LEFT - RIGHT) / most;
	let top = drawing.y - 6.0;
	for sheet in sheets {
		let model = sheet.title.split(':').next().unwrap_or_default();
		for (share, (words, colour)) in sheet.verify.iter().zip([("one job", COLOURS[0]), ("", COLOURS[1])]) {
			let Some(share) = share else { continue };
			let words = if words.is_empty() {
				format!("{jobs} jobs at once")
			} else {
				words.into()
			};
			let y = drawing.y;
			drawing.text(
				LEFT - 10.0,
				y + 10.5,
				12.0,
				INK,
				"end",
				"normal",
				&format!("{model}, {words}"),
			);
			drawing.bar(y, share * scale, colour);
			drawing.text(
				LEFT + share * scale + 6.0,
				y + 10.5,
				11.0,
				INK,
				"start",
				"normal",
				&format!("{:.1} %", share * 100.0),
			);
			drawing.y += BAR + 5.0;
		}
		drawing.y += 4.0;
	}
	let bottom = drawing.y;
	drawing.upright(LEFT + AIM * scale, top, bottom);
	drawing.text(
		LEFT + AIM * scale,
		bottom + 12.0,
		11.0,
		FAINT,
		"middle",
		"normal",
		"aim for one job: 5 %",
	);
	drawing.y += 18.0;
	drawing.finish()
}
