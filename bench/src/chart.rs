//! Draws a run: bars beside each other, light, readable without color too.

use crate::report::{Row, Sheet};
use anyhow::Result;
use plotters::{
	prelude::*,
	style::text_anchor::{HPos, Pos, VPos},
};

const WIDTH: i32 = 860;
const LEFT: i32 = 200;
const RIGHT: i32 = 170;
const TOP: i32 = 84;
const BAR: i32 = 13;
const GAP: i32 = 10;
const HEADING: i32 = 26;
const BARS: [RGBColor; 3] = [
	RGBColor(0x1f, 0x6f, 0x5c),
	RGBColor(0x9a, 0xa5, 0xb1),
	RGBColor(0xd9, 0xc7, 0xa3),
];
const INK: RGBColor = RGBColor(0x24, 0x29, 0x2f);
const FAINT: RGBColor = RGBColor(0x6b, 0x74, 0x80);

/// A chart of horizontal bars.
pub struct Chart<'a> {
	title: &'a str,
	subtitle: &'a str,
	/// What the colors mean.
	legend: Vec<&'a str>,
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
	color: usize,
}

impl<'a> Chart<'a> {
	/// Tokens a second, each row on its own scale so that all can be compared: the longest bar is the fastest engine. The first is ours.
	pub fn speeds(title: &'a str, subtitle: &'a str, legend: [&'a str; 3], sheets: &[Sheet]) -> Self {
		let group = |sheet: &Sheet| {
			let heading = sheet.title.split(';').next().unwrap_or_default().to_owned();
			let rows = sheet.rows.iter();
			let rows = rows.filter(|row| row.cells[0].words.ends_with("tok/s"));
			(heading, rows.map(Line::of_row).collect())
		};
		Self {
			title,
			subtitle,
			legend: legend.into(),
			groups: sheets.iter().map(group).collect(),
			mark: None,
		}
	}

	/// What a check costs: verification as a share of generation, with the aim as a mark.
	pub fn verify(title: &'a str, subtitle: &'a str, sheets: &[Sheet]) -> Self {
		const AIM: f64 = 0.05;
		let shares = sheets.iter().flat_map(|sheet| &sheet.verify);
		let most = shares.fold(AIM, |most, (_, share)| most.max(*share)) * 1.05;
		let group = |sheet: &Sheet| {
			let line = |(jobs, share): &(usize, f64)| Line {
				label: match jobs {
					1 => format!("{}, one job", sheet.name),
					_ => format!("{}, {jobs} jobs at once", sheet.name),
				},
				bars: vec![Bar {
					length: share / most,
					words: format!("{:.1} %", share * 100.0),
					color: usize::from(*jobs > 1),
				}],
			};
			(String::new(), sheet.verify.iter().map(line).collect())
		};
		Self {
			title,
			subtitle,
			legend: Vec::new(),
			groups: sheets.iter().map(group).collect(),
			mark: Some((AIM / most, "aim for one job: 5 %")),
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
		let bar = |x: i32, y: i32, width: i32, color: usize| {
			let color = BARS[color % BARS.len()].filled();
			root.draw(&Rectangle::new([(x, y), (x + width.max(1), y + BAR - 1)], color))
		};
		text(20, 25, (21.0, INK, HPos::Left), self.title)?;
		text(20, 46, (15.0, FAINT, HPos::Left), self.subtitle)?;
		let mut x = LEFT;
		for (color, words) in self.legend.iter().enumerate() {
			bar(x, 64, BAR - 1, color)?;
			text(x + 17, 70, (15.0, INK, HPos::Left), words)?;
			x += 40 + words.len() as i32 * 33 / 5;
		}
		let mut y = TOP;
		for (heading, lines) in &self.groups {
			if !heading.is_empty() {
				text(20, y + HEADING / 2, (16.0, INK, HPos::Left), heading)?;
				y += HEADING;
			}
			for line in lines {
				let middle = y + line.bars.len() as i32 * BAR / 2;
				text(LEFT - 10, middle, (15.0, INK, HPos::Right), &line.label)?;
				for Bar { length, words, color } in &line.bars {
					let width = (length * f64::from(WIDTH - LEFT - RIGHT)).round() as i32;
					bar(LEFT, y, width, *color)?;
					let ink = if *color == 0 { INK } else { FAINT };
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
	fn of_row(row: &Row) -> Self {
		let most = row.cells.iter().filter_map(|cell| cell.value).fold(0.0, f64::max);
		let bar = |(color, cell): (usize, &crate::report::Cell)| {
			let ratio = row.ratio(color).filter(|_| color > 0);
			let ratio = ratio.map_or(String::new(), |ratio| format!("  (ours {ratio:.2} ×)"));
			Some(Bar {
				length: cell.value? / most,
				words: format!("{}{ratio}", cell.words),
				color,
			})
		};
		Self {
			label: row.label.clone(),
			bars: row.cells.iter().enumerate().filter_map(bar).collect(),
		}
	}
}
