//! From a card's samples to the table: medians, ratios, and what of the card's limits is used.

use super::plan::{self, Scale, Unit};
use crate::{
	report::{duration, speed, table, Cell, Row},
	samples::Samples,
	shapes::Shape,
};
use serde_json::Value;
use std::fmt::Write;

/// Our engine, then its peers.
pub const ENGINES: [&str; 3] = ["ours", "torch", "torch.compile"];
/// The card's own figures stand under this name.
pub const CARD: &str = "card";

/// The figures of one shape.
pub struct Sheet {
	/// Heading.
	pub title: String,
	/// Speeds beside the peers'.
	pub rows: Vec<Row>,
	/// Ours alone: label and words.
	pub own: Vec<[String; 2]>,
	/// Why a figure is missing.
	pub missing: Vec<String>,
}

/// The figures of every shape that has any.
pub fn sheets(samples: &Samples, shapes: &[Shape], scale: &Scale, rows: usize) -> Vec<Sheet> {
	let measured = |shape: &&Shape| samples.fewest_and_most(shape.name, ENGINES[0]).is_some();
	let shapes = shapes.iter().filter(measured);
	shapes.map(|shape| sheet(samples, shape, scale, rows)).collect()
}

fn sheet(samples: &Samples, shape: &Shape, scale: &Scale, rows: usize) -> Sheet {
	let (name, measures) = (shape.name, plan::measures(scale, rows));
	let seconds = |engine: &str, key: &str| samples.median(name, engine, key, "seconds");
	let mut sheet = Sheet {
		title: title(shape),
		rows: Vec::new(),
		own: Vec::new(),
		missing: Vec::new(),
	};
	for measure in &measures {
		let Unit::Tokens(tokens) = measure.unit else { continue };
		let cell = |engine: &str| match seconds(engine, &measure.key) {
			Some(seconds) => Cell {
				value: Some(tokens as f64 / seconds),
				words: speed(tokens as f64 / seconds),
			},
			None => none(match samples.error(name, engine, &measure.key) {
				Some(_) => "failed",
				None => "–",
			}),
		};
		sheet.rows.push(Row {
			label: measure.label.clone(),
			cells: ENGINES.map(cell),
			more: true,
		});
	}
	sheet.own = own(samples, shape, scale, rows);
	for engine in ENGINES {
		for measure in &measures {
			if let Some(error) = samples.error(name, engine, &measure.key) {
				sheet.missing.push(format!("{engine}, {}: {error}", measure.label));
			}
		}
		if let Some(error) = samples.error(name, engine, "load") {
			sheet.missing.push(format!("{engine}: {error}"));
		}
	}
	sheet
}

fn none(words: &str) -> Cell {
	Cell {
		value: None,
		words: words.into(),
	}
}

fn title(shape: &Shape) -> String {
	format!(
		"{}: random weights, {:.2} B of them; {} layers, {}/{}, {}/{} heads of {}, vocabulary {}",
		shape.name,
		shape.weights() as f64 / 1e9,
		shape.layers,
		shape.hidden,
		shape.intermediate,
		shape.heads,
		shape.kv_heads,
		shape.head_dim,
		shape.vocabulary,
	)
}

fn percent(share: f64) -> String {
	match share * 100.0 {
		p if p < 10.0 => format!("{p:.1} %"),
		p => format!("{p:.0} %"),
	}
}

/// What only ours has: shares of the card's limits, the trace, verification.
fn own(samples: &Samples, shape: &Shape, scale: &Scale, rows: usize) -> Vec<[String; 2]> {
	let name = shape.name;
	let ours = |key: &str, field: &str| samples.median(name, ENGINES[0], key, field);
	let limit = |field| samples.median(CARD, CARD, "limits", field);
	let mut own = Vec::new();
	let mut say = |label: String, words: String| own.push([label, words]);
	for batch in scale.batches {
		let Some(seconds) = ours(&format!("decode-{batch}"), "seconds") else {
			continue;
		};
		let step = seconds / scale.steps as f64;
		if let Some(read) = limit("read") {
			let bytes = shape.step_bytes(scale.depth + scale.steps / 2, *batch) as f64;
			say(
				format!("of memory's speed, decode, batch {batch}"),
				percent(bytes / step / read),
			);
		}
		if let Some(int8) = limit("int8") {
			let macs = (batch * shape.token_macs()) as f64;
			say(
				format!("of int8's peak, decode, batch {batch}"),
				percent(macs / step / int8),
			);
		}
	}
	for measure in plan::measures(scale, rows) {
		let (Unit::Tokens(tokens), true) = (measure.unit, measure.key.starts_with("prefill")) else {
			continue;
		};
		if let (Some(seconds), Some(int8)) = (ours(&measure.key, "seconds"), limit("int8")) {
			let macs = (tokens * shape.prompt_macs()) as f64;
			say(
				format!("of int8's peak, {}", measure.label),
				percent(macs / seconds / int8),
			);
		}
	}
	for (key, sequences, each) in plan::traced(scale, rows) {
		let (Some(copy), Some(hash)) = (ours(&key, "copy"), ours(&key, "hash")) else {
			continue;
		};
		// Beside the step that has these rows.
		let (step, what) = match each {
			1 => (
				ours(&format!("decode-{sequences}"), "seconds").map(|s| s / scale.steps as f64),
				format!("a step of decoding, batch {sequences}"),
			),
			_ => {
				let tokens = scale.longest();
				let steps = tokens as f64 / each as f64;
				(
					ours(&format!("prefill-{tokens}"), "seconds").map(|s| s / steps),
					format!("a step of {each} rows of a prompt"),
				)
			}
		};
		let Some(step) = step else { continue };
		let megabytes = shape.row_bytes(sequences * each) as f64 / 1e6;
		say(
			format!("copying {megabytes:.1} MB of rows back, {what}"),
			format!("{} ({})", percent(copy / step), duration(copy)),
		);
		say(
			format!("hashing them, {what}"),
			format!("{} ({})", percent(hash / step), duration(hash)),
		);
	}
	for batch in scale.batches {
		let key = format!("job-{batch}");
		if let (Some(verify), Some(generate)) = (ours(&key, "verify"), ours(&key, "generate")) {
			let (input, output) = scale.job;
			say(
				format!("verify ÷ generate, {input} tokens in, {output} out, batch {batch}"),
				format!(
					"{} ({} ÷ {})",
					percent(verify / generate),
					duration(verify),
					duration(generate)
				),
			);
		}
	}
	if let Some(seconds) = ours("load", "seconds") {
		say("making the weights and moving them".into(), duration(seconds));
	}
	match (ours("check", "tokens"), samples.error(name, ENGINES[0], "check")) {
		(Some(tokens), _) => say(
			"card and processor confirm each other's answers".into(),
			format!("yes, {tokens:.0} tokens"),
		),
		(None, Some(error)) => say(
			"card and processor confirm each other's answers".into(),
			format!("NO: {error}"),
		),
		(None, None) => {}
	}
	own
}

/// The whole report in Markdown, which terminals show well enough.
pub fn markdown(samples: &Samples, sheets: &[Sheet]) -> String {
	let mut out = String::new();
	for key in ["card", "processor", "commit", "versions"] {
		if let Some(words) = samples
			.header
			.get(key)
			.and_then(Value::as_str)
			.filter(|w| !w.is_empty())
		{
			writeln!(out, "* {key}: {words}").ok();
		}
	}
	if let Some(rows) = samples.header.get("rows").and_then(Value::as_u64) {
		writeln!(
			out,
			"* rows of prompts and claims in a step: {rows}, as a node's engine has it"
		)
		.ok();
	}
	let limit = |field| samples.median(CARD, CARD, "limits", field);
	match (limit("read"), limit("int8")) {
		(Some(read), Some(int8)) => writeln!(
			out,
			"* the card at most, in this run: reading memory {:.0} GB/s; int8 by `mma.m16n8k32` {:.1} TMAC/s",
			read / 1e9,
			int8 / 1e12
		),
		_ => writeln!(out, "* the card's limits were not measured"),
	}
	.ok();
	for sheet in sheets {
		writeln!(out, "\n### {}\n", sheet.title).ok();
		let [ours, eager, compiled] = ENGINES;
		let mut lines = vec![["", ours, eager, "ours is", compiled, "ours is"].map(String::from)];
		for row in &sheet.rows {
			let ratio = |engine| row.ratio(engine).map_or("–".into(), |r| format!("{r:.2} ×"));
			let [ours, eager, compiled] = row.cells.each_ref().map(|cell| cell.words.clone());
			lines.push([row.label.clone(), ours, eager, ratio(1), compiled, ratio(2)]);
		}
		out.push_str(&table(&lines));
		if !sheet.own.is_empty() {
			out.push('\n');
			let mut lines = vec![["ours alone", ""].map(String::from)];
			lines.extend(sheet.own.iter().cloned());
			out.push_str(&table(&lines));
		}
		if !sheet.missing.is_empty() {
			out.push_str("\nMissing:\n\n");
			for words in &sheet.missing {
				writeln!(out, "* {words}").ok();
			}
		}
	}
	out
}
