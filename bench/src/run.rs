//! One run: every engine is asked, repetition by repetition, for what the plan lacks.

use crate::{
	engine::{token, Engine, Request},
	entries::Entry,
	format::{duration, speed},
	models::Model,
	plan::{Device, Limit, Measure, Plan},
	samples::Samples,
};
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::{
	fs,
	path::{Path, PathBuf},
	time::Instant,
};

/// The device's own samples stand under this name instead of a model's and an engine's.
pub const DEVICE: &str = "device";

/// Starts an engine; none if it isn't installed.
pub type Start<'a> = dyn FnMut(&Entry) -> Result<Option<Box<dyn Engine>>> + 'a;

/// An engine with the model in question.
type Loaded<'a> = (&'a Entry, Box<dyn Engine>);

/// A run's plan, models and samples.
pub struct Run {
	/// What is measured.
	pub plan: Plan,
	/// On which models, with which engines.
	pub models: Vec<Model>,
	/// Threads of every engine.
	pub threads: usize,
	/// Where engines leave their logits.
	pub cache: PathBuf,
	/// What was measured.
	pub samples: Samples,
	/// When this run began, or went on.
	pub begun: Instant,
}

impl Run {
	/// Measures everything that isn't yet.
	pub fn measure(&mut self, start: &mut Start) -> Result<()> {
		let models = self.models.clone();
		self.limits(1, start)?;
		for model in &models {
			let together = match self.plan.device {
				Device::Cpu => model.entries.len().max(1),
				Device::Gpu => 1,
			};
			for group in model.entries.chunks(together) {
				self.loaded(model, group, start)?;
			}
			for repetition in 0..self.plan.fresh.iter().map(|m| m.repetitions).max().unwrap_or(0) {
				self.fresh(model, repetition, start)?;
			}
		}
		self.limits(2, start)?;
		self.samples.finish()
	}

	/// The median of a limit of the device, in bytes or multiply-accumulates per second.
	pub fn limit(&self, measure: &Measure, limit: Limit) -> Option<f64> {
		let field = match limit {
			Limit::Memory => "read",
			Limit::Int8 => "int8",
		};
		self.samples.median(DEVICE, DEVICE, &measure.key, field)
	}

	/// Prints a line of progress.
	fn log(&self, line: &str) {
		let seconds = self.begun.elapsed().as_secs();
		eprintln!("    {:3}:{:02}  {line}", seconds / 60, seconds % 60);
	}

	/// What the device can do at most, until each limit was measured so many times over.
	fn limits(&mut self, times: usize, start: &mut Start) -> Result<()> {
		let all = self.plan.limits.clone();
		let most = times * all.iter().map(|m| m.repetitions).max().unwrap_or(0);
		let missing = |samples: &Samples, measure: &Measure, most| samples.count(DEVICE, DEVICE, &measure.key) < most;
		if !all.iter().any(|measure| missing(&self.samples, measure, most)) {
			return Ok(());
		}
		let mut entries = self.models.iter().flat_map(|model| &model.entries);
		let ours = entries
			.find(|entry| entry.is_ours())
			.context("no model, or not our engine, is to be measured")?;
		let mut ours = start(ours)?.context("our engine is not there")?;
		for repetition in 1..=most {
			for measure in &all {
				if missing(&self.samples, measure, repetition) {
					let answer = or_error(ours.ask(&measure.request));
					self.samples.push(DEVICE, DEVICE, &measure.key, answer)?;
				}
			}
		}
		for measure in &all {
			let giga = |limit| self.limit(measure, limit).unwrap_or(0.0) / 1e9;
			let (read, int8) = (giga(Limit::Memory), giga(Limit::Int8));
			self.log(&format!(
				"{}: memory {read:.1} GB/s, int8 {int8:.0} GMAC/s",
				measure.key
			));
		}
		Ok(())
	}

	/// Asks engines that stay loaded, in turn.
	fn loaded(&mut self, model: &Model, entries: &[Entry], start: &mut Start) -> Result<()> {
		let name = model.name.as_str();
		let measures = self.plan.measures.clone();
		let missing = |samples: &Samples, measure: &Measure, entry: &Entry, repetitions| {
			measure.fits(&model.shape)
				&& measure.suits(entry)
				&& samples.count(name, &entry.name, &measure.key) < repetitions
		};
		let mut loaded: Vec<Loaded> = Vec::new();
		for entry in entries {
			let mut all = measures.iter();
			if all.any(|m| missing(&self.samples, m, entry, m.repetitions)) {
				if let Some(process) = self.load(model, entry, start)? {
					loaded.push((entry, process));
				}
			}
		}
		if model.files.is_some() {
			self.compare(name, &mut loaded)?;
		}
		for repetition in 1..=measures.iter().map(|m| m.repetitions).max().unwrap_or(0) {
			for measure in measures.iter().filter(|m| repetition <= m.repetitions) {
				let mut figures = Vec::new();
				for (entry, process) in &mut loaded {
					if !missing(&self.samples, measure, entry, repetition) {
						continue;
					}
					// Kernels are loaded, memory is taken, peers compile.
					if repetition == 1 && self.plan.warm_up.is_none() && measure.tokens.is_some() {
						process.ask(&measure.request).ok();
					}
					let answer = or_error(process.ask(&measure.request));
					figures.push(format!("{} {}", entry.name, figure(measure, &answer)));
					self.samples.push(name, &entry.name, &measure.key, answer)?;
				}
				if !figures.is_empty() {
					let (label, of, all) = (&measure.label, measure.repetitions, figures.join(" · "));
					self.log(&format!("{name}: {label} ({repetition}/{of}): {all}"));
				}
			}
		}
		Ok(())
	}

	/// Starts an engine with a model; none, with a line that says why, if it cannot be had.
	fn load(&mut self, model: &Model, entry: &Entry, start: &mut Start) -> Result<Option<Box<dyn Engine>>> {
		let (name, engine) = (model.name.as_str(), entry.name.as_str());
		self.log(&format!("{name}: loading {engine}"));
		let Some(mut process) = start(entry)? else {
			self.log(&format!("{name}: {engine} is not installed"));
			return Ok(None);
		};
		let mut answer = or_error(process.ask(&Request::Load(model.load(entry, self.threads)?)));
		if self.plan.fresh.is_empty() {
			self.samples.push(name, engine, "load", answer.clone())?;
		}
		if let (None, Some(request)) = (answer.get("error"), &self.plan.warm_up) {
			answer = or_error(process.ask(request));
		}
		if let Some(error) = answer.get("error") {
			self.log(&format!("{name}: {engine} is left out: {error}"));
			return Ok(None);
		}
		Ok(Some(process))
	}

	/// Whether the engines run the same weights: the cosine between their logits and ours.
	fn compare(&mut self, name: &str, loaded: &mut [Loaded]) -> Result<()> {
		let tokens: Vec<u32> = (0..64).map(token).collect();
		let mut ours: Option<Vec<f32>> = None;
		for (entry, process) in loaded.iter_mut().filter(|(entry, _)| !entry.reference) {
			let (tokens, out, engine) = (tokens.clone(), self.cache.join("logits"), &entry.name);
			let answer = process.ask(&Request::Logits {
				tokens,
				out: out.clone(),
			});
			match (answer.and_then(|_| read_logits(&out)), &ours) {
				(Ok(logits), None) if entry.is_ours() => ours = Some(logits),
				(Ok(logits), Some(ours)) => {
					let cosine = cosine(ours, &logits);
					self.log(&format!("{name}: logits of {engine} and ours: cosine {cosine:.6}"));
					self.samples.push(name, engine, "cosine", json!({ "cosine": cosine }))?;
				}
				(Ok(_), None) => {}
				(Err(error), _) => self.log(&format!("{name}: no logits of {engine}: {error:#}")),
			}
		}
		Ok(())
	}

	/// A new process of each engine: how long until it is ready, and how much memory it needs.
	fn fresh(&mut self, model: &Model, repetition: usize, start: &mut Start) -> Result<()> {
		let name = model.name.as_str();
		// With other instructions our engine loads the same bytes.
		let entries = model
			.entries
			.iter()
			.filter(|entry| !entry.is_ours() || entry.is_our_best());
		for entry in entries {
			let engine = entry.name.as_str();
			let suits = |m: &&Measure| m.fits(&model.shape) && m.suits(entry);
			let measures: Vec<Measure> = self.plan.fresh.iter().filter(suits).cloned().collect();
			let done = |m: &Measure| self.samples.count(name, engine, &m.key) > repetition;
			if measures.last().is_none_or(done) {
				continue;
			}
			let Some(mut process) = start(entry)? else {
				continue;
			};
			for measure in &measures {
				let request = match &measure.request {
					Request::Load(_) => Request::Load(model.load(entry, self.threads)?),
					other => other.clone(),
				};
				let answer = or_error(process.ask(&request));
				self.samples.push(name, engine, &measure.key, answer)?;
			}
			self.log(&format!("{name}: load and memory of {engine} ({})", repetition + 1));
		}
		Ok(())
	}
}

/// The answer, or an object with the error.
fn or_error(answer: Result<Value>) -> Value {
	answer.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }))
}

/// An answer in words.
fn figure(measure: &Measure, answer: &Value) -> String {
	let number = |key: &str| answer.get(key).and_then(Value::as_f64);
	let share = |part: f64, whole: f64| format!("{:.2} %", part / whole * 100.0);
	match (measure.tokens, number("seconds")) {
		(Some(tokens), Some(seconds)) => format!("{} tok/s", speed(tokens as f64 / seconds)),
		(None, Some(seconds)) => match number("whole") {
			Some(whole) => share(seconds, whole),
			None => duration(seconds),
		},
		_ => match (number("verify"), number("generate")) {
			(Some(verify), Some(generate)) => share(verify, generate),
			_ => answer.to_string(),
		},
	}
}

fn read_logits(path: &Path) -> Result<Vec<f32>> {
	let bytes = fs::read(path)?;
	fs::remove_file(path)?;
	let floats = bytes
		.chunks_exact(4)
		.map(|b| f32::from_le_bytes(b.try_into().unwrap_or_default()));
	Ok(floats.collect())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
	let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
	dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}
