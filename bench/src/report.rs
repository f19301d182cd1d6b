//! From samples to the tables: medians, ratios, and how much of the device's limits is used.

use crate::{
	engine::Request,
	format::{duration, percent, speed, table},
	models::Model,
	plan::{Device, Limit, Measure, OURS},
	run::Run,
	shapes::Shape,
};
use serde_json::Value;
use std::fmt::Write;

/// One row: a label, and for each engine of the plan a figure with its words.
pub struct Row {
	/// What was measured.
	pub label: String,
	/// For each engine.
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

impl Cell {
	fn new(value: f64, words: String) -> Self {
		let value = Some(value);
		Self { value, words }
	}

	fn none(words: impl Into<String>) -> Self {
		let (value, words) = (None, words.into());
		Self { value, words }
	}
}

impl Row {
	/// How many times better ours is than the engine with this index.
	pub fn ratio(&self, engine: usize) -> Option<f64> {
		let (ours, theirs) = (self.cells[0].value?, self.cells[engine].value?);
		Some(if self.more { ours / theirs } else { theirs / ours })
	}

	fn ratio_words(&self, engine: usize) -> String {
		self.ratio(engine).map_or("–".into(), |r| format!("{r:.2} ×"))
	}
}

/// The figures of one model.
pub struct Sheet {
	/// Name of the model.
	pub name: &'static str,
	/// Heading: the model in words.
	pub title: String,
	/// Speeds, times and memory beside the peers'.
	pub rows: Vec<Row>,
	/// Ours alone: label and words.
	pub own: Vec<[String; 2]>,
	/// Verification as a share of generation: jobs at once and share, at temperature 0.
	pub verify: Vec<(usize, f64)>,
	/// Why a figure is missing.
	pub missing: Vec<String>,
	/// Fewest and most repetitions of a figure.
	repetitions: (usize, usize),
	/// What the plan asks for, and whether it is reached.
	aims: Vec<(String, String, bool)>,
}

/// The figures of every model that has any.
pub fn sheets(run: &Run) -> Vec<Sheet> {
	let mut sheets = Vec::new();
	for model in &run.models {
		if let Some(repetitions) = run.samples.fewest_and_most(model.name(), OURS) {
			sheets.push(Figures { run, model }.sheet(repetitions));
		}
	}
	sheets
}

/// One model's samples.
struct Figures<'a> {
	run: &'a Run,
	model: &'a Model,
}

impl Figures<'_> {
	fn sheet(&self, repetitions: (usize, usize)) -> Sheet {
		let plan = &self.run.plan;
		let all = plan.measures.iter().chain(&plan.fresh);
		let mut rows: Vec<Row> = all.filter_map(|measure| self.row(measure)).collect();
		rows.extend(self.shares());
		let mut sheet = Sheet {
			name: self.model.name(),
			title: title(&self.model.shape),
			rows,
			own: self.own(),
			verify: self.verify(),
			missing: self.missing(),
			repetitions,
			aims: Vec::new(),
		};
		// The aims are for real shapes on the CPU.
		if plan.device == Device::Cpu && matches!(sheet.name, "0.5b" | "1.1b") {
			sheet.aims = self.aims(&sheet);
		}
		sheet
	}

	fn median(&self, engine: &str, key: &str, field: &str) -> Option<f64> {
		self.run.samples.median(self.model.name(), engine, key, field)
	}

	fn ours(&self, key: &str, field: &str) -> Option<f64> {
		self.median(OURS, key, field)
	}

	fn error(&self, engine: &str, key: &str) -> Option<&str> {
		self.run.samples.error(self.model.name(), engine, key)
	}

	/// A measure that is one figure of each engine.
	fn row(&self, measure: &Measure) -> Option<Row> {
		let tokens = measure.tokens;
		if measure.label.is_empty() || tokens.is_none() && measure.ours_only {
			return None;
		}
		let memory = matches!(measure.request, Request::Memory);
		let cell = |engine: &str| {
			if !measure.fits(&self.model.shape) {
				return Cell::none(format!("context {}", self.model.shape.context));
			}
			if !measure.suits(engine) {
				return Cell::none("none");
			}
			let median = self.median(engine, &measure.key, if memory { "bytes" } else { "seconds" });
			match (median, tokens) {
				(None, _) if self.error(engine, &measure.key).is_some() => Cell::none("failed"),
				(None, _) => Cell::none("–"),
				(Some(seconds), Some(tokens)) => Cell::new(tokens as f64 / seconds, speed(tokens as f64 / seconds)),
				(Some(bytes), None) if memory => Cell::new(bytes, format!("{:.0} MB", bytes / 1e6)),
				(Some(seconds), None) => Cell::new(seconds, duration(seconds)),
			}
		};
		Some(Row {
			label: measure.label.clone(),
			cells: self.run.plan.engines.map(cell),
			more: tokens.is_some(),
		})
	}

	/// How much of what the device could do at most is used.
	fn shares(&self) -> Vec<Row> {
		let mut rows = Vec::new();
		for limit in [Limit::Memory, Limit::Int8] {
			let most = self.run.plan.limits.last().and_then(|m| self.run.limit(m, limit));
			let Some(most) = most else { continue };
			for measure in &self.run.plan.measures {
				if !measure.limits.contains(&limit) || !measure.fits(&self.model.shape) {
					continue;
				}
				let Some((label, work)) = work(&self.model.shape, &measure.request, limit) else {
					continue;
				};
				let cell = |engine: &str| {
					// Peers on a GPU compute with other weights.
					let seconds = if engine == OURS || self.run.plan.device == Device::Cpu {
						self.median(engine, &measure.key, "seconds")
					} else {
						None
					};
					let share = seconds.map(|seconds| work / seconds / most);
					share.map_or(Cell::none("–"), |share| Cell::new(share, percent(share)))
				};
				rows.push(Row {
					label,
					cells: self.run.plan.engines.map(cell),
					more: true,
				});
			}
		}
		rows
	}

	/// What only ours does: verification, trace, the check at load.
	fn own(&self) -> Vec<[String; 2]> {
		let mut own = Vec::new();
		let mut line = |label: String, words: String| own.push([label, words]);
		for measure in &self.run.plan.measures {
			self.own_line(measure, &mut line);
		}
		for (key, what) in [("decode-128", "decode at depth 128"), ("prefill-512", "prefill of 512")] {
			if let Some(share) = self.ours(key, "trace") {
				line(format!("trace's share of {what}"), format!("{:.2} %", share * 100.0));
			}
		}
		let bytes = self.model.shape.weights() as f64 * 1.0625;
		match (self.ours("load", "seconds"), self.run.plan.device) {
			(Some(seconds), Device::Cpu) => {
				let label = "load: reading, checking and packing together";
				line(label.into(), format!("{:.2} GB/s", bytes / seconds / 1e9));
			}
			(Some(seconds), Device::Gpu) => line("making the weights and moving them".into(), duration(seconds)),
			(None, _) => {}
		}
		if let Some(rate) = self.ours("hash", "bytes_per_second") {
			line(
				"BLAKE3 of the weights, one thread".into(),
				format!("{:.2} GB/s", rate / 1e9),
			);
		}
		for engine in self.run.plan.engines {
			if let Some(cosine) = self.median(engine, "cosine", "cosine") {
				line(format!("logits of {engine} beside ours"), format!("cosine {cosine:.5}"));
			}
		}
		own
	}

	/// What a measure that only ours does tells.
	fn own_line(&self, measure: &Measure, line: &mut dyn FnMut(String, String)) {
		let (key, label) = (&measure.key, &measure.label);
		match measure.request {
			Request::Job { prompt, .. } => {
				if let (Some(verify), Some(generate)) = (self.ours(key, "verify"), self.ours(key, "generate")) {
					let tokens = self.ours(key, "answer").unwrap_or(0.0);
					let (share, parts) = (verify / generate * 100.0, [verify, generate].map(duration).join(" ÷ "));
					line(
						format!("{label}, {prompt} tokens in, {tokens:.0} out"),
						format!("{share:.1} % ({parts})"),
					);
					if label.starts_with("verify ÷ generate") && !label.contains("temperature") {
						line(
							format!("{label}: checks and audits of a job with 0, 1, 2, 3 verifiers"),
							checks(share),
						);
					}
				}
			}
			Request::Trace { sequences, tokens } => self.trace(key, sequences, tokens, line),
			Request::Check { .. } => match (self.ours(key, "tokens"), self.error(OURS, key)) {
				(Some(tokens), _) => line(label.clone(), format!("yes, {tokens:.0} tokens")),
				(None, Some(error)) => line(label.clone(), format!("NO: {error}")),
				(None, None) => {}
			},
			_ => {}
		}
	}

	/// A trace that was measured by itself, beside the step of which it is a part.
	fn trace(&self, key: &str, sequences: usize, tokens: usize, line: &mut dyn FnMut(String, String)) {
		let step = self.run.plan.step_of_trace(sequences, tokens);
		let step = step.and_then(|(key, steps)| Some(self.ours(key, "seconds")? / steps));
		let (Some(copy), Some(hash), Some(step)) = (self.ours(key, "copy"), self.ours(key, "hash"), step) else {
			return;
		};
		let of = if tokens == 1 {
			format!("a step of decoding, batch of {sequences}")
		} else {
			format!("a step of {tokens} tokens of a prompt")
		};
		let megabytes = self.model.shape.trace_bytes(sequences * tokens) as f64 / 1e6;
		let words = |seconds: f64| format!("{} ({})", percent(seconds / step), duration(seconds));
		line(
			format!("copying {megabytes:.1} MB of trace to the host, {of}"),
			words(copy),
		);
		line(format!("hashing it, {of}"), words(hash));
	}

	fn verify(&self) -> Vec<(usize, f64)> {
		let share = |measure: &Measure| match measure.request {
			Request::Job {
				batch, temperature: 0, ..
			} => Some((
				batch,
				self.ours(&measure.key, "verify")? / self.ours(&measure.key, "generate")?,
			)),
			_ => None,
		};
		self.run.plan.measures.iter().filter_map(share).collect()
	}

	/// Errors, each with its engine and measure.
	fn missing(&self) -> Vec<String> {
		let mut missing = Vec::new();
		for engine in self.run.plan.engines {
			for measure in self.run.plan.measures.iter().chain(&self.run.plan.fresh) {
				let error = self.error(engine, &measure.key);
				missing.extend(error.map(|error| format!("{engine}, {}: {error}", measure.key)));
			}
			if self.run.plan.fresh.is_empty() {
				missing.extend(self.error(engine, "load").map(|error| format!("{engine}: {error}")));
			}
		}
		missing
	}

	/// What DESIGN asks of the engine, and whether it is reached.
	fn aims(&self, sheet: &Sheet) -> Vec<(String, String, bool)> {
		let name = sheet.name;
		let mut aims = Vec::new();
		for row in &sheet.rows {
			let wanted: &[(usize, f64)] = if row.label.starts_with("prefill") {
				&[(1, 2.5)]
			} else if row.label.starts_with("decode at depth") {
				&[(1, 1.0), (2, 1.0)]
			} else {
				&[]
			};
			for (engine, least) in wanted {
				if let Some(ratio) = row.ratio(*engine) {
					let peer = self.run.plan.engines[*engine];
					let what = format!("{name}: {} ≥ {least:.1} × {peer}", row.label);
					aims.push((what, format!("{ratio:.2} ×"), ratio >= *least));
				}
			}
		}
		if let Some((_, share)) = sheet.verify.iter().find(|(batch, _)| *batch == 1) {
			let what = format!("{name}: verify ÷ generate ≤ 5 %, one job");
			aims.push((what, format!("{:.1} %", share * 100.0), *share <= 0.05));
		}
		if let Some(share) = self.ours("decode-128", "trace") {
			let what = format!("{name}: trace and its root ≤ 2 % of generation");
			aims.push((what, format!("{:.2} %", share * 100.0), share <= 0.02));
		}
		if let Some(rate) = self.ours("hash", "bytes_per_second") {
			let what = format!("{name}: check at load ≥ 2 GB/s a thread");
			aims.push((what, format!("{:.2} GB/s", rate / 1e9), rate >= 2e9));
		}
		if let Some(bytes) = self.ours("memory", "bytes") {
			let bytes = bytes / self.model.shape.weights() as f64;
			let what = format!("{name}: memory ≤ 1.15 bytes a weight, all of the process");
			aims.push((what, format!("{bytes:.2}"), bytes <= 1.15));
		}
		aims
	}
}

/// Bytes read or multiply-accumulates of what was measured, and what the table calls this share of the limit.
fn work(shape: &Shape, request: &Request, limit: Limit) -> Option<(String, f64)> {
	let of = match limit {
		Limit::Memory => "of memory's speed",
		Limit::Int8 => "of int8's peak",
	};
	match *request {
		Request::Prefill {
			tokens,
			max_batched_tokens,
		} => {
			let whole = if max_batched_tokens == Some(tokens) {
				" in one step"
			} else {
				""
			};
			let work = tokens * shape.prompt_macs();
			Some((format!("{of}, prefill {tokens}{whole}"), work as f64))
		}
		Request::Decode { depth, tokens, batch } => {
			let step = match limit {
				Limit::Memory => shape.step_bytes(depth + tokens / 2, batch),
				Limit::Int8 => batch * shape.token_macs(),
			};
			let which = if batch == 1 {
				format!("depth {depth}")
			} else {
				format!("batch of {batch}")
			};
			Some((format!("{of}, {which}"), (tokens * step) as f64))
		}
		_ => None,
	}
}

fn title(shape: &Shape) -> String {
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

/// The whole report in Markdown, which terminals show well enough.
pub fn markdown(run: &Run, sheets: &[Sheet]) -> String {
	let mut out = head(run);
	for sheet in sheets {
		let (fewest, most) = sheet.repetitions;
		write!(
			out,
			"\n### {}\n\n{fewest} to {most} repetitions; medians.\n\n",
			sheet.title
		)
		.ok();
		let [ours, first, second] = run.plan.engines;
		let mut lines = vec![["", ours, first, "ours is", second, "ours is"].map(String::from)];
		for row in &sheet.rows {
			let [ours, first, second] = row.cells.each_ref().map(|cell| cell.words.clone());
			lines.push([
				row.label.clone(),
				ours,
				first,
				row.ratio_words(1),
				second,
				row.ratio_words(2),
			]);
		}
		out.push_str(&table(&lines));
		out.push('\n');
		let mut lines = vec![["ours alone", ""].map(String::from)];
		lines.extend(sheet.own.iter().cloned());
		out.push_str(&table(&lines));
		if !sheet.missing.is_empty() {
			out.push_str("\nMissing:\n\n");
			for words in &sheet.missing {
				writeln!(out, "- {words}").ok();
			}
		}
	}
	let mut lines = vec![["aim", "measured", ""].map(String::from)];
	for (what, words, reached) in sheets.iter().flat_map(|sheet| &sheet.aims) {
		let reached = if *reached { "reached" } else { "missed" };
		lines.push([what.clone(), words.clone(), reached.into()]);
	}
	if lines.len() > 1 {
		out.push_str("\n### Aims\n\n");
		out.push_str(&table(&lines));
	}
	out
}

/// What was measured on, and what it can do at most.
fn head(run: &Run) -> String {
	let mut out = String::new();
	for key in ["GPU", "machine", "commit", "versions"] {
		let words = run.samples.header.get(key).and_then(Value::as_str).unwrap_or_default();
		if !words.is_empty() {
			writeln!(out, "- {key}: {words}").ok();
		}
	}
	if let Some(tokens) = run.samples.header.get("max_batched_tokens").and_then(Value::as_u64) {
		writeln!(
			out,
			"- tokens of prompts in a step: at most {tokens}, as a node's engine has it"
		)
		.ok();
	}
	let most = match run.plan.device {
		Device::Cpu => {
			let read = most(run, Limit::Memory, 1, 1e9, "GB/s");
			format!(
				"machine at most: reading memory {read}; int8 {}",
				most(run, Limit::Int8, 0, 1e9, "GMAC/s")
			)
		}
		Device::Gpu => {
			let (read, int8) = (
				most(run, Limit::Memory, 0, 1e9, "GB/s"),
				most(run, Limit::Int8, 1, 1e12, "TMAC/s"),
			);
			format!("GPU at most: reading memory {read}; int8 by `mma.m16n8k32` {int8}")
		}
	};
	writeln!(out, "- the {most}").ok();
	out
}

/// A limit as it was measured: on the CPU with one thread and with all. The unit stands behind the first.
fn most(run: &Run, limit: Limit, decimals: usize, scale: f64, unit: &str) -> String {
	let words = |measure: &Measure| {
		let rate = run.limit(measure, limit).map(|rate| rate / scale);
		let rate = rate.map_or("–".into(), |rate| format!("{rate:.decimals$}"));
		match (run.plan.device, &measure.request) {
			(Device::Cpu, Request::Limits { threads: 1 }) => format!("{rate} {unit} with one thread"),
			(Device::Cpu, Request::Limits { threads }) => format!("{rate} with {threads}"),
			_ => format!("{rate} {unit}"),
		}
	};
	let all: Vec<String> = run.plan.limits.iter().map(words).collect();
	all.join(", ")
}

/// The share of verdicts that are audited.
const AUDIT_RATE: f64 = 0.05;

/// Returns what verifying a job costs of its generation, by its number of verifiers: a check each, and the audits.
fn checks(share: f64) -> String {
	let cost = |verifiers: u8| format!("{:.1}", share * (f64::from(verifiers) + AUDIT_RATE));
	format!("{} %", (0..=3).map(cost).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
	use super::*;

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
