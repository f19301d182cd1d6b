//! From samples to the tables: medians, ratios, and how much of the device's limits is used.

mod aims;
mod own;
#[cfg(test)]
mod tests;

use crate::{
	engine::Request,
	entries::Entry,
	format::{duration, item, percent, speed, table},
	models::Model,
	plan::{Device, Limit, Measure},
	run::Run,
	shapes::Shape,
};
use aims::Aim;
use serde_json::Value;
use std::fmt::Write;

/// What is better of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Better {
	/// More of it.
	More,
	/// Less of it.
	Less,
}

/// One row: a label, and for each engine of the sheet a figure with its words.
pub struct Row {
	/// What was measured.
	pub label: String,
	/// For each engine.
	pub cells: Vec<Cell>,
	/// What is better; none if it says how much of something is used, or how alike something is.
	pub better: Option<Better>,
	/// Whether it is drawn too.
	pub drawn: bool,
	/// The name of what was measured in the log of samples.
	pub key: String,
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
	/// How many times better one engine is than another.
	pub fn ratio(&self, one: usize, other: usize) -> Option<f64> {
		let value = |engine: usize| self.cells.get(engine)?.value;
		let (one, other) = (value(one)?, value(other)?);
		match self.better? {
			Better::More => Some(one / other),
			Better::Less => Some(other / one),
		}
	}

	/// The best of the peers.
	pub fn best_peer(&self, entries: &[Entry]) -> Option<usize> {
		let better = self.better?;
		let value = |(index, entry): (usize, &Entry)| {
			let value = self.cells.get(index)?.value?;
			(!entry.is_ours()).then_some((index, value))
		};
		let peers = entries.iter().enumerate().filter_map(value);
		let order = |a: &(usize, f64), b: &(usize, f64)| match better {
			Better::More => a.1.total_cmp(&b.1),
			Better::Less => b.1.total_cmp(&a.1),
		};
		peers.max_by(order).map(|(index, _)| index)
	}
}

/// The figures of one model.
pub struct Sheet {
	/// Name of the model's shape.
	pub shape: &'static str,
	/// Heading: the model in words.
	pub title: String,
	/// The columns.
	pub entries: Vec<Entry>,
	/// Speeds, times and memory beside the peers'.
	pub rows: Vec<Row>,
	/// Ours alone: a label, and words for each of our columns.
	pub own: Vec<(String, Vec<String>)>,
	/// Verification as a share of generation: the column, jobs at once, and the share, at temperature 0.
	pub verify: Vec<(usize, usize, f64)>,
	/// Why a figure is missing.
	pub missing: Vec<String>,
	/// Fewest and most repetitions of a figure.
	repetitions: (usize, usize),
	/// What the design asks for, and whether it is reached.
	aims: Vec<Aim>,
}

/// The figures of every model that has any.
pub fn sheets(run: &Run) -> Vec<Sheet> {
	let mut sheets = Vec::new();
	for model in &run.models {
		let ours = model.entries.iter().find(|entry| entry.is_ours());
		let repetitions = ours.and_then(|ours| run.samples.fewest_and_most(&model.name, &ours.name));
		if let Some(repetitions) = repetitions {
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
		rows.extend(self.bytes_a_weight());
		rows.extend(self.shares());
		rows.extend(self.cosines());
		let mut sheet = Sheet {
			shape: self.model.shape.name,
			title: title(self.model),
			entries: self.model.entries.clone(),
			rows,
			own: self.own(),
			verify: self.verify(),
			missing: self.missing(),
			repetitions,
			aims: Vec::new(),
		};
		// The aims are for real shapes on the CPU.
		if plan.device == Device::Cpu && matches!(sheet.shape, "0.5b" | "1.1b") {
			sheet.aims = self.aims(&sheet);
		}
		sheet
	}

	fn median(&self, entry: &Entry, key: &str, field: &str) -> Option<f64> {
		self.run.samples.median(&self.model.name, &entry.name, key, field)
	}

	fn error(&self, entry: &Entry, key: &str) -> Option<&str> {
		self.run.samples.error(&self.model.name, &entry.name, key)
	}

	/// A row of a cell for each engine.
	fn row_of(&self, label: String, better: Option<Better>, cell: impl Fn(&Entry) -> Cell) -> Row {
		Row {
			label,
			cells: self.model.entries.iter().map(cell).collect(),
			better,
			drawn: false,
			key: String::new(),
		}
	}

	/// A measure that is one figure of each engine.
	fn row(&self, measure: &Measure) -> Option<Row> {
		let tokens = measure.tokens;
		if measure.label.is_empty() || tokens.is_none() && measure.ours_only {
			return None;
		}
		let memory = matches!(measure.request, Request::Memory);
		let cell = |entry: &Entry| {
			if !measure.fits(&self.model.shape) {
				return Cell::none(format!("context {}", self.model.shape.context));
			}
			if !measure.suits(entry) {
				return Cell::none("–");
			}
			let median = self.median(entry, &measure.key, if memory { "bytes" } else { "seconds" });
			match (median, tokens) {
				(None, _) if self.error(entry, &measure.key).is_some() => Cell::none("failed"),
				(None, _) => Cell::none("–"),
				(Some(seconds), Some(tokens)) => Cell::new(tokens as f64 / seconds, speed(tokens as f64 / seconds)),
				(Some(bytes), None) if memory => Cell::new(bytes, format!("{:.0} MB", bytes / 1e6)),
				(Some(seconds), None) => Cell::new(seconds, duration(seconds)),
			}
		};
		let (unit, better) = match tokens {
			Some(_) => (", tok/s", Better::More),
			None => ("", Better::Less),
		};
		Some(Row {
			drawn: measure.drawn,
			key: measure.key.clone(),
			..self.row_of(format!("{}{unit}", measure.label), Some(better), cell)
		})
	}

	/// Memory of the whole process for each weight.
	fn bytes_a_weight(&self) -> Option<Row> {
		let asks = |measure: &&Measure| matches!(measure.request, Request::Memory);
		let measure = self.run.plan.fresh.iter().find(asks)?;
		let cell = |entry: &Entry| {
			let bytes = self.median(entry, &measure.key, "bytes");
			let bytes = bytes.map(|bytes| bytes / self.model.shape.weights() as f64);
			bytes.map_or(Cell::none("–"), |bytes| Cell::new(bytes, format!("{bytes:.2}")))
		};
		Some(self.row_of("peak memory, bytes a weight".into(), None, cell))
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
				let Some(label) = share_of(&measure.request, limit) else {
					continue;
				};
				let cell = |entry: &Entry| {
					// Peers on a GPU compute with other weights.
					let comparable = entry.is_ours() || self.run.plan.device == Device::Cpu;
					let seconds = self.median(entry, &measure.key, "seconds").filter(|_| comparable);
					let work = work(&self.model.shape, entry, &measure.request, limit);
					let share = seconds.zip(work).map(|(seconds, work)| work / seconds / most);
					share.map_or(Cell::none("–"), |share| Cell::new(share, percent(share)))
				};
				rows.push(self.row_of(label, None, cell));
			}
		}
		rows
	}

	/// How alike the logits are, if they were compared.
	fn cosines(&self) -> Option<Row> {
		let first = self.model.entries.iter().find(|entry| entry.is_ours())?;
		let cell = |entry: &Entry| {
			let cosine = self.median(entry, "cosine", "cosine");
			cosine.map_or(Cell::none("–"), |cosine| Cell::new(cosine, format!("{cosine:.5}")))
		};
		let row = self.row_of(format!("logits beside {}'s, cosine", first.name), None, cell);
		row.cells.iter().any(|cell| cell.value.is_some()).then_some(row)
	}

	/// Errors, each with its engine and measure.
	fn missing(&self) -> Vec<String> {
		let mut missing = Vec::new();
		for entry in &self.model.entries {
			for measure in self.run.plan.measures.iter().chain(&self.run.plan.fresh) {
				let error = self.error(entry, &measure.key);
				missing.extend(error.map(|error| format!("{}, {}: {error}", entry.name, measure.key)));
			}
			if self.run.plan.fresh.is_empty() {
				missing.extend(
					self.error(entry, "load")
						.map(|error| format!("{}: {error}", entry.name)),
				);
			}
		}
		missing
	}
}

/// What the table calls a share of a limit.
fn share_of(request: &Request, limit: Limit) -> Option<String> {
	let of = match limit {
		Limit::Memory => "of memory's speed",
		Limit::Int8 => "of int8's peak",
	};
	match *request {
		Request::Prefill {
			tokens,
			max_batched_tokens,
		} => {
			let whole = max_batched_tokens == Some(tokens);
			Some(format!(
				"{of}, prefill {tokens}{}",
				if whole { " in one step" } else { "" }
			))
		}
		Request::Decode { depth, batch: 1, .. } => Some(format!("{of}, depth {depth}")),
		Request::Decode { batch, .. } => Some(format!("{of}, batch of {batch}")),
		_ => None,
	}
}

/// Bytes read or multiply-accumulates of what was measured.
fn work(shape: &Shape, entry: &Entry, request: &Request, limit: Limit) -> Option<f64> {
	match *request {
		Request::Prefill { tokens, .. } => Some((tokens * shape.prompt_macs()) as f64),
		Request::Decode { depth, tokens, batch } => {
			let step = match limit {
				Limit::Memory => shape.step_bytes(depth + tokens / 2, batch, entry.bits),
				Limit::Int8 => (batch * shape.token_macs()) as f64,
			};
			Some(tokens as f64 * step)
		}
		_ => None,
	}
}

fn title(model: &Model) -> String {
	let shape = &model.shape;
	let millions = shape.weights() as f64 / 1e6;
	let kind = if shape.name == "demo" {
		"the demo model"
	} else {
		"random weights"
	};
	format!(
		"{}: {kind}, {} of them; {} layers, {}/{}, {}/{} heads of {}, vocabulary {}{}",
		model.name,
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
		let repetitions = match sheet.repetitions {
			(fewest, most) if fewest == most => most.to_string(),
			(fewest, most) => format!("{fewest} to {most}"),
		};
		write!(out, "\n### {}\n\n{repetitions} repetitions; medians.\n\n", sheet.title).ok();
		out.push_str(&table(&beside_peers(sheet)));
		out.push('\n');
		let ours = sheet.entries.iter().filter(|entry| own::has_column(entry));
		let heading = ["ours alone".to_owned()]
			.into_iter()
			.chain(ours.map(|entry| entry.name.clone()));
		let mut lines = vec![heading.collect::<Vec<_>>()];
		lines.extend(sheet.own.iter().map(|(label, words)| {
			let label = [label.clone()].into_iter();
			label.chain(words.iter().cloned()).collect()
		}));
		out.push_str(&table(&lines));
		if !sheet.missing.is_empty() {
			out.push_str("\nMissing:\n\n");
			for words in &sheet.missing {
				out.push_str(&item(words));
			}
		}
	}
	out.push_str(&aims::markdown(sheets));
	out
}

/// The table of all engines: each one's figures, which peer is the best, and how many times better ours is.
fn beside_peers(sheet: &Sheet) -> Vec<Vec<String>> {
	let best: Vec<usize> = (0..sheet.entries.len())
		.filter(|index| sheet.entries.get(*index).is_some_and(Entry::is_our_best))
		.collect();
	let name = |index: usize| sheet.entries.get(index).map_or("", |entry| entry.name.as_str());
	let mut heading = vec![String::new()];
	heading.extend(sheet.entries.iter().map(|entry| entry.name.clone()));
	heading.push("best peer".into());
	heading.extend(best.iter().map(|ours| format!("{} is", name(*ours))));
	let mut lines = vec![heading];
	for row in &sheet.rows {
		let mut line = vec![row.label.clone()];
		line.extend(row.cells.iter().map(|cell| cell.words.clone()));
		let peer = row.best_peer(&sheet.entries);
		line.push(peer.map_or("–", name).into());
		line.extend(best.iter().map(|ours| {
			let ratio = peer.and_then(|peer| row.ratio(*ours, peer));
			ratio.map_or("–".into(), |ratio| format!("{ratio:.2} ×"))
		}));
		lines.push(line);
	}
	lines
}

/// What was measured on, and what it can do at most.
fn head(run: &Run) -> String {
	let mut out = String::new();
	for key in ["GPU", "machine", "matrix units", "commit", "versions"] {
		let words = run.samples.header.get(key).and_then(Value::as_str).unwrap_or_default();
		if !words.is_empty() {
			out.push_str(&item(&format!("{key}: {words}")));
		}
	}
	if let Some(tokens) = run.samples.header.get("max_batched_tokens").and_then(Value::as_u64) {
		let words = "tokens of prompts in a step: at most";
		out.push_str(&item(&format!("{words} {tokens}, as a node's engine has it")));
	}
	let most = match run.plan.device {
		Device::Cpu => {
			let read = most(run, Limit::Memory, 1, 1e9, "GB/s");
			let int8 = most(run, Limit::Int8, 0, 1e9, "GMAC/s");
			format!("machine at most: reading memory {read}; multiplying int8, in tiles where it has them, {int8}")
		}
		Device::Gpu => {
			let (read, int8) = (
				most(run, Limit::Memory, 0, 1e9, "GB/s"),
				most(run, Limit::Int8, 1, 1e12, "TMAC/s"),
			);
			format!("GPU at most: reading memory {read}; int8 by `mma.m16n8k32` {int8}")
		}
	};
	out.push_str(&item(&format!("the {most}")));
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
