//! Draws a run: bars beside each other, light, readable without color too.

use crate::{
	entries::{Entry, Program},
	report::{Row, Sheet},
};
use anyhow::Result;
use plotters::{
	prelude::*,
	style::text_anchor::{HPos, Pos, VPos},
};

const WIDTH: i32 = 900;
const LEFT: i32 = 210;
const RIGHT: i32 = 290;
const TOP: i32 = 66;
const BAR: i32 = 13;
const GAP: i32 = 10;
const HEADING: i32 = 26;
const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0x5c);
const OURS_TOO: RGBColor = RGBColor(0x6f, 0xae, 0x9c);
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const FAINT: RGBColor = RGBColor(0x6b, 0x74, 0x80);

/// A chart of horizontal bars.
pub struct Chart<'a> {
	title: &'a str,
	subtitle: &'a str,
	/// Lines of bars below a heading, which may be empty.
	groups: Vec<(String, Vec<Line>)>,
	/// A mark across all lines, and its words.
	mark: Option<(f64, &'a str)>,
}

/// A labeled line with a bar for each figure.
struct Line {
	label: String,
	bars: Vec<Bar>,
}

struct Bar {
	/// As a share of the longest.
	length: f64,
	words: String,
	color: RGBColor,
	ours: bool,
}

impl<'a> Chart<'a> {
	/// Tokens a second, each row on its own scale so that all can be compared: the longest bar is the fastest engine.
	pub fn speeds(title: &'a str, subtitle: &'a str, sheets: &[Sheet]) -> Self {
		let group = |sheet: &Sheet| {
			let heading = sheet.title.split(';').next().unwrap_or_default().to_owned();
			let rows = sheet.rows.iter().filter(|row| row.drawn);
			(heading, rows.map(|row| Line::of_row(row, &sheet.entries)).collect())
		};
		// What fits into a cache is measured, but its bars would be as large as those of real models.
		let real = sheets.iter().filter(|sheet| sheet.shape != "demo");
		Self {
			title,
			subtitle,
			groups: real.map(group).collect(),
			mark: None,
		}
	}

	/// What a check costs: verification as a share of generation, with the aim as a mark.
	pub fn verify(title: &'a str, subtitle: &'a str, sheets: &[Sheet]) -> Self {
		const AIM: f64 = 0.04;
		let shares = sheets.iter().flat_map(|sheet| &sheet.verify);
		let most = shares.fold(AIM, |most, (.., share)| most.max(*share)) * 1.05;
		let group = |sheet: &Sheet| {
			let line = |(column, jobs, share): &(usize, usize, f64)| {
				let entry = sheet.entries.get(*column).map_or("", |entry| entry.name.as_str());
				let jobs_in_words = match jobs {
					1 => "one job".into(),
					_ => format!("{jobs} jobs"),
				};
				Line {
					label: format!("{} {entry}, {jobs_in_words}", sheet.shape),
					bars: vec![Bar {
						length: share / most,
						words: format!("{:.1} %", share * 100.0),
						color: if *jobs > 1 { OURS_TOO } else { OURS },
						ours: *jobs == 1,
					}],
				}
			};
			(String::new(), sheet.verify.iter().map(line).collect())
		};
		Self {
			title,
			subtitle,
			groups: sheets.iter().map(group).collect(),
			mark: Some((AIM / most, "aim for one job with AMX: 4 %")),
		}
	}

	fn height(&self) -> i32 {
		let group = |(heading, lines): &(String, Vec<Line>)| {
			let lines: i32 = lines.iter().map(|line| line.bars.len() as i32 * BAR + GAP).sum();
			lines + if heading.is_empty() { 0 } else { HEADING }
		};
		let mark = if self.mark.is_some() { 18 } else { 0 };
		TOP + self.groups.iter().map(group).sum::<i32>() + mark + 12
	}

	/// The chart as SVG.
	pub fn svg(&self) -> Result<String> {
		let mut svg = String::new();
		let root = SVGBackend::with_string(&mut svg, (WIDTH as u32, self.height() as u32)).into_drawing_area();
		root.fill(&WHITE)?;
		let text = |x: i32, y: i32, (size, color, side): (f64, RGBColor, HPos), words: &str| {
			let style = TextStyle::from(("sans-serif", size).into_font()).color(&color);
			root.draw(&Text::new(words, (x, y), style.pos(Pos::new(side, VPos::Center))))
		};
		let bar = |x: i32, y: i32, width: i32, color: RGBColor| {
			let corners = [(x, y), (x + width.max(1), y + BAR - 1)];
			root.draw(&Rectangle::new(corners, color.filled()))
		};
		text(20, 25, (21.0, INK, HPos::Left), self.title)?;
		text(20, 46, (15.0, FAINT, HPos::Left), self.subtitle)?;
		let mut y = TOP;
		for (heading, lines) in &self.groups {
			if !heading.is_empty() {
				text(20, y + HEADING / 2, (16.0, INK, HPos::Left), heading)?;
				y += HEADING;
			}
			for line in lines {
				let middle = y + line.bars.len() as i32 * BAR / 2;
				text(LEFT - 10, middle, (15.0, INK, HPos::Right), &line.label)?;
				for Bar {
					length,
					words,
					color,
					ours,
				} in &line.bars
				{
					let width = (length * f64::from(WIDTH - LEFT - RIGHT)).round() as i32;
					bar(LEFT, y, width, *color)?;
					let ink = if *ours { INK } else { FAINT };
					text(LEFT + width + 6, y + BAR / 2, (14.0, ink, HPos::Left), words)?;
					y += BAR;
				}
				y += GAP;
			}
		}
		if let Some((length, words)) = self.mark {
			let x = LEFT + (length * f64::from(WIDTH - LEFT - RIGHT)).round() as i32;
			root.draw(&PathElement::new([(x, TOP - 6), (x, y)], FAINT))?;
			text(x, y + 9, (14.0, FAINT, HPos::Center), words)?;
		}
		root.present()?;
		drop(root);
		Ok(svg)
	}
}

impl Line {
	fn of_row(row: &Row, entries: &[Entry]) -> Self {
		let most = row.cells.iter().filter_map(|cell| cell.value).fold(0.0, f64::max);
		let best = row.best_peer(entries);
		let bar = |(index, entry): (usize, &Entry)| {
			let cell = row.cells.get(index)?;
			let ratio = best
				.filter(|_| entry.is_our_best())
				.and_then(|best| row.ratio(index, best));
			let ratio = ratio.map_or(String::new(), |ratio| format!("  ({ratio:.2} × the best peer)"));
			let whose = if entry.is_ours() && entry.name != "ours" {
				"ours, "
			} else {
				""
			};
			Some(Bar {
				length: cell.value? / most,
				words: format!("{} {whose}{}{ratio}", cell.words, entry.name),
				color: color(entry),
				ours: entry.is_our_best(),
			})
		};
		Self {
			label: row.label.clone(),
			bars: entries.iter().enumerate().filter_map(bar).collect(),
		}
	}
}

/// Ours is green, each peer has a color of its own.
fn color(entry: &Entry) -> RGBColor {
	match entry.program {
		Program::Ours if entry.is_our_best() => OURS,
		Program::Ours => OURS_TOO,
		Program::LlamaCpp | Program::Torch => RGBColor(0x9a, 0xa5, 0xb1),
		Program::IkLlamaCpp | Program::TorchCompile => RGBColor(0xd9, 0xc7, 0xa3),
		Program::OpenVino => RGBColor(0xa9, 0xbe, 0xd8),
		Program::Candle => RGBColor(0xe4, 0xd5, 0xd5),
	}
}
