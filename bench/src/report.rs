//! From samples to the table: medians, ratios, and what of the machine's limits is used.

use crate::{
	models::Files,
	plan::{self, Scale, Unit},
	run::{Run, ENGINES},
};
use serde_json::Value;
use std::fmt::Write;

/// One row: a label, and for each engine a figure with its words.
pub struct Row {
	/// What was measured.
	pub label: String,
	/// For each engine of [`ENGINES`].
	pub cells: [Cell; 3],
	/// Whether more is better.
	pub more: bool,
}

/// A figure, and how it is written.
#[derive(Clone, Default)]
pub struct Cell {
	/// In the row's unit.
	pub value: Option<f64>,
	/// As the table shows it.
	pub words: String,
}

impl Row {
	/// How many times better ours is than the engine with this index.
	pub fn ratio(&self, engine: usize) -> Option<f64> {
		let (ours, theirs) = (self.cells[0].value?, self.cells[engine].value?);
		Some(if self.more { ours / theirs } else { theirs / ours })
	}
}

/// The figures of one model.
pub struct Sheet {
	/// Heading: the model in words.
	pub title: String,
	/// Speeds, times and memory beside the peers'.
	pub rows: Vec<Row>,
	/// Ours alone: label and words.
	pub own: Vec<(String, String)>,
	/// Verification as a share of generation: one job, batched.
	pub verify: [Option<f64>; 2],
	/// Fewest and most repetitions of a figure.
	repetitions: Option<(usize, usize)>,
	/// Trace's share of decoding.
	trace: Option<f64>,
	/// Bytes of weights hashed a second by one thread.
	check: Option<f64>,
	/// Peak memory by weights.
	bytes_a_weight: Option<f64>,
}

/// The figures of every model that has any.
pub fn sheets(run: &Run<'_>, scale: &Scale) -> Vec<Sheet> {
	let measured = |files: &&Files| run.samples.fewest_and_most(files.shape.name, ENGINES[0]).is_some();
	let measured = run.models.iter().filter(measured);
	measured.map(|files| sheet(run, files, scale)).collect()
}

fn sheet(run: &Run<'_>, files: &Files, scale: &Scale) -> Sheet {
	let name = files.shape.name;
	let mut rows = Vec::new();
	let all = plan::measures(scale).into_iter().filter(|m| !m.ours_only);
	for measure in all.chain(plan::fresh(scale)).filter(|m| !m.label.is_empty()) {
		let fits = measure.positions <= files.shape.context || !matches!(measure.unit, Unit::Tokens(_));
		let cell = |engine: &str| {
			if !fits {
				return Cell {
					value: None,
					words: format!("context {}", files.shape.context),
				};
			}
			if !measure.suits(engine) {
				return Cell {
					value: None,
					words: "none".into(),
				};
			}
			let field = if measure.unit == Unit::Bytes {
				"bytes"
			} else {
				"seconds"
			};
			let median = run.samples.median(name, engine, measure.key, field);
			let (value, words) = match (measure.unit, median) {
				(_, None) if run.samples.error(name, engine, measure.key).is_some() => (None, "failed".into()),
				(_, None) => (None, "–".into()),
				(Unit::Tokens(tokens), Some(seconds)) => {
					(Some(tokens as f64 / seconds), speed(tokens as f64 / seconds))
				}
				(Unit::Seconds, Some(seconds)) => (Some(seconds), duration(seconds)),
				(Unit::Bytes, Some(bytes)) => (Some(bytes), format!("{:.0} MB", bytes / 1e6)),
			};
			Cell { value, words }
		};
		rows.push(Row {
			label: measure.label.to_owned(),
			cells: ENGINES.map(cell),
			more: matches!(measure.unit, Unit::Tokens(_)),
		});
	}
	rows.extend(limits(run, files, scale));
	let (own, verify) = own(run, files, scale);
	let ours = |measure: &str, field: &str| run.samples.median(name, ENGINES[0], measure, field);
	Sheet {
		title: title(files),
		rows,
		own,
		verify,
		repetitions: run.samples.fewest_and_most(name, ENGINES[0]),
		trace: ours("decode-128", "trace"),
		check: ours("check", "bytes_per_second"),
		bytes_a_weight: ours("memory", "bytes").map(|bytes| bytes / files.shape.weights() as f64),
	}
}

fn title(files: &Files) -> String {
	let shape = &files.shape;
	let millions = shape.weights() as f64 / 1e6;
	let kind = if shape.name == "demo" {
		"the demo model"
	} else {
		"random weights"
	};
	format!(
		"{}: {kind}, {} weights; {} layers, {}/{}, {}/{} heads of {}, vocabulary {}{}",
		shape.name,
		if millions < 100.0 {
			format!("{millions:.1} M")
		} else {
			format!("{:.2} B", millions / 1e3)
		},
		shape.layers,
		shape.hidden,
		shape.intermediate,
		shape.heads,
		shape.kv_heads,
		shape.head_dim,
		shape.vocabulary,
		if shape.tied { " (tied)" } else { "" },
	)
}

/// How much of what the machine could do at most is used.
fn limits(run: &Run<'_>, files: &Files, scale: &Scale) -> Vec<Row> {
	let (name, shape) = (files.shape.name, &files.shape);
	let threads = run.samples.header.get("threads").and_then(Value::as_u64).unwrap_or(1) as usize;
	let mut rows = Vec::new();
	let mut row = |label: String, limit: Option<f64>, measure: &str, work: f64| {
		let cell = |engine: &str| {
			let seconds = run.samples.median(name, engine, measure, "seconds");
			let share = seconds.zip(limit).map(|(seconds, limit)| work / seconds / limit);
			Cell {
				value: share,
				words: share.map_or("–".into(), |share| format!("{:.0} %", share * 100.0)),
			}
		};
		rows.push(Row {
			label,
			cells: ENGINES.map(cell),
			more: true,
		});
	};
	let read = run.machine_median("read", threads);
	for (measure, depth) in [("decode-128", 128), ("decode-1024", 1024)] {
		if depth + scale.steps <= shape.context {
			let work = (scale.steps * shape.decode_bytes(depth + scale.steps / 2)) as f64;
			row(format!("of memory's speed, depth {depth}"), read, measure, work);
		}
	}
	let int8 = run.machine_median("int8", threads);
	if shape.context >= 512 {
		row(
			"of int8's peak, prefill 512".into(),
			int8,
			"prefill-512",
			(512 * shape.prompt_macs()) as f64,
		);
	}
	rows
}

/// What only ours does: verification, trace, the check at load.
fn own(run: &Run<'_>, files: &Files, scale: &Scale) -> (Vec<(String, String)>, [Option<f64>; 2]) {
	let name = files.shape.name;
	let ours = |measure: &str, field: &str| run.samples.median(name, ENGINES[0], measure, field);
	let mut rows = Vec::new();
	let mut shares = [None, None];
	let many = format!("{} jobs at once", scale.jobs);
	for (index, measure, which) in [
		(0, "job-1", "one job"),
		(1, "job-n", &many),
		(2, "job-warm", "one job at temperature 1"),
	] {
		let (Some(verify), Some(generate)) = (ours(measure, "verify"), ours(measure, "generate")) else {
			continue;
		};
		if let Some(share) = shares.get_mut(index) {
			*share = Some(verify / generate);
		}
		let tokens = ours(measure, "answer").unwrap_or(0.0);
		rows.push((
			format!("verify ÷ generate, {which}, {} tokens in, {tokens:.0} out", scale.job.0),
			format!(
				"{:.1} % ({} ÷ {})",
				verify / generate * 100.0,
				duration(verify),
				duration(generate)
			),
		));
	}
	for (measure, what) in [("decode-128", "decode at depth 128"), ("prefill-512", "prefill of 512")] {
		if let Some(share) = ours(measure, "trace") {
			rows.push((format!("trace's share of {what}"), format!("{:.2} %", share * 100.0)));
		}
	}
	if let Some(seconds) = ours("load", "seconds") {
		let bytes = files.shape.weights() as f64 * 1.0625;
		let words = format!("{:.2} GB/s", bytes / seconds / 1e9);
		rows.push(("load: reading, checking and packing together".into(), words));
	}
	if let Some(rate) = ours("check", "bytes_per_second") {
		rows.push((
			"BLAKE3 of the weights, one thread".into(),
			format!("{:.2} GB/s", rate / 1e9),
		));
	}
	for engine in &ENGINES[1..] {
		if let Some(cosine) = run.samples.median(name, engine, "cosine", "cosine") {
			rows.push((format!("logits of {engine} beside ours"), format!("cosine {cosine:.5}")));
		}
	}
	(rows, shares)
}

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

/// What DESIGN asks of the engine, and whether it is reached.
pub fn targets(sheets: &[Sheet]) -> Vec<(String, String, bool)> {
	let mut all = Vec::new();
	for sheet in sheets {
		let model = sheet.title.split(':').next().unwrap_or_default();
		// The aims are for real shapes.
		if !matches!(model, "0.5b" | "1.1b") {
			continue;
		}
		for row in &sheet.rows {
			let wanted: &[(usize, f64)] = match row.label.as_str() {
				label if label.starts_with("prefill") => &[(1, 2.5)],
				label if label.starts_with("decode at depth") => &[(1, 1.0), (2, 1.0)],
				_ => continue,
			};
			for (engine, least) in wanted {
				if let Some(ratio) = row.ratio(*engine) {
					let what = format!("{model}: {} ≥ {least:.1} × {}", row.label, ENGINES[*engine]);
					all.push((what, format!("{ratio:.2} ×"), ratio >= *least));
				}
			}
		}
		if let Some(share) = sheet.verify[0] {
			let what = format!("{model}: verify ÷ generate ≤ 5 %, one job");
			all.push((what, format!("{:.1} %", share * 100.0), share <= 0.05));
		}
		if let Some(share) = sheet.trace {
			let what = format!("{model}: trace and digest ≤ 2 % of generation");
			all.push((what, format!("{:.2} %", share * 100.0), share <= 0.02));
		}
		if let Some(rate) = sheet.check {
			let what = format!("{model}: check at load ≥ 2 GB/s a thread");
			all.push((what, format!("{:.2} GB/s", rate / 1e9), rate >= 2e9));
		}
		if let Some(bytes) = sheet.bytes_a_weight {
			let what = format!("{model}: memory ≤ 1.15 bytes a weight, all of the process");
			all.push((what, format!("{bytes:.2}"), bytes <= 1.15));
		}
	}
	all
}

/// The whole report in Markdown, which terminals show well enough.
pub fn markdown(run: &Run<'_>, sheets: &[Sheet]) -> String {
	let mut out = String::new();
	let header = &run.samples.header;
	for key in ["machine", "commit", "versions"] {
		if let Some(words) = header.get(key).and_then(Value::as_str) {
			writeln!(out, "* {key}: {words}").ok();
		}
	}
	let threads = header.get("threads").and_then(Value::as_u64).unwrap_or(1) as usize;
	let giga = |operation, threads| run.machine_median(operation, threads).unwrap_or(0.0) / 1e9;
	writeln!(
		out,
		"* the machine at most: reading memory {:.1} GB/s with one thread, {:.1} with {threads}; int8 {:.0} GMAC/s with one thread, {:.0} with {threads}",
		giga("read", 1),
		giga("read", threads),
		giga("int8", 1),
		giga("int8", threads),
	)
	.ok();
	for sheet in sheets {
		writeln!(out, "\n### {}\n", sheet.title).ok();
		if let Some((fewest, most)) = sheet.repetitions {
			writeln!(out, "{fewest} to {most} repetitions; medians.\n").ok();
		}
		let mut lines = vec![["", "ours", "llama.cpp", "ours is", "candle", "ours is"].map(String::from)];
		for row in &sheet.rows {
			let [ours, llama, candle] = &row.cells;
			let ratio = |engine| row.ratio(engine).map_or("–".into(), |r| format!("{r:.2} ×"));
			lines.push([
				row.label.clone(),
				ours.words.clone(),
				llama.words.clone(),
				ratio(1),
				candle.words.clone(),
				ratio(2),
			]);
		}
		out.push_str(&table(&lines));
		out.push('\n');
		let mut lines = vec![["ours alone", ""].map(String::from)];
		lines.extend(sheet.own.iter().map(|(label, words)| [label.clone(), words.clone()]));
		out.push_str(&table(&lines));
	}
	let targets = targets(sheets);
	if !targets.is_empty() {
		out.push_str("\n### Aims\n\n");
		let mut lines = vec![["aim", "measured", ""].map(String::from)];
		for (what, words, reached) in targets {
			lines.push([what, words, if reached { "reached" } else { "missed" }.into()]);
		}
		out.push_str(&table(&lines));
	}
	out
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

	#[test]
	fn ratios_say_how_many_times_better_ours_is() {
		let cell = |value| Cell {
			value: Some(value),
			words: String::new(),
		};
		let mut row = Row {
			label: String::new(),
			cells: [cell(3.0), cell(2.0), Cell::default()],
			more: true,
		};
		assert_eq!(row.ratio(1), Some(1.5));
		assert_eq!(row.ratio(2), None);
		row.more = false;
		assert_eq!(row.ratio(1), Some(2.0 / 3.0));
	}
}
