//! One run: every engine asked in turn, repetition by repetition, so that whatever else the machine does hits all alike.

use crate::{
	models::{self, Files},
	plan::{self, Measure, Scale, Unit},
	protocol::{token, Remote},
	samples::Samples,
};
use anyhow::{Context, Result};
use serde_json::{json, Value};
use std::{
	fs,
	path::{Path, PathBuf},
	process::Command,
	time::Instant,
};

/// Our engine, then its peers.
pub const ENGINES: [&str; 3] = ["ours", "llama.cpp", "candle"];
/// The machine's own figures stand under this name.
pub const MACHINE: &str = "machine";

/// What to run, and where.
pub struct Settings {
	/// Models by name.
	pub models: Vec<String>,
	/// Engines by name.
	pub engines: Vec<String>,
	/// How often.
	pub scale: Scale,
	/// Threads of every engine.
	pub threads: usize,
	/// The Python that has llama.cpp.
	pub python: Option<PathBuf>,
	/// Where `peers/llamacpp.py` lies.
	pub peers: PathBuf,
	/// The demo model's folder.
	pub demo: PathBuf,
	/// Where models and samples are kept.
	pub cache: PathBuf,
}

/// A run's models and samples.
pub struct Run<'a> {
	settings: &'a Settings,
	/// What was measured.
	pub samples: Samples,
	/// The models it was measured on.
	pub models: Vec<Files>,
	begun: Instant,
}

impl<'a> Run<'a> {
	/// Makes the models, and goes on with an interrupted run or begins one.
	pub fn open(settings: &'a Settings, mut header: Value, log: &Path) -> Result<Self> {
		let prepare = |name: &String| models::prepare(name, &settings.demo, &settings.cache);
		let models = settings.models.iter().map(prepare).collect::<Result<Vec<_>>>()?;
		let ids: serde_json::Map<_, _> = models
			.iter()
			.map(|m| (m.shape.name.into(), m.id.clone().into()))
			.collect();
		if let Some(header) = header.as_object_mut() {
			header.insert("models".into(), Value::Object(ids));
		}
		Ok(Self {
			settings,
			samples: Samples::open(log, header)?,
			models,
			begun: Instant::now(),
		})
	}

	/// Measures everything that isn't yet.
	pub fn measure(&mut self) -> Result<()> {
		self.machine()?;
		for index in 0..self.models.len() {
			self.model(index)?;
			self.fresh(index)?;
		}
		self.machine()?;
		self.samples.finish()
	}

	fn say(&self, line: &str) {
		let seconds = self.begun.elapsed().as_secs();
		eprintln!("    {:3}:{:02}  {line}", seconds / 60, seconds % 60);
	}

	/// Memory and multiplication, once before and once after the engines.
	fn machine(&mut self) -> Result<()> {
		let mut remote = self.start(MACHINE)?;
		let mut threads = vec![1, self.settings.threads];
		threads.dedup();
		for _ in 0..self.settings.scale.repetitions {
			for threads in &threads {
				for operation in ["read", "int8"] {
					let answer = remote.ask(&json!({ "op": operation, "threads": threads }));
					let measure = format!("{operation}-{threads}");
					self.samples.push(MACHINE, MACHINE, &measure, or_error(answer))?;
				}
			}
		}
		let gigabytes = |threads| self.machine_median("read", threads).unwrap_or(0.0) / 1e9;
		self.say(&format!(
			"memory: {:.1} GB/s with 1 thread, {:.1} with {}",
			gigabytes(1),
			gigabytes(self.settings.threads),
			self.settings.threads
		));
		Ok(())
	}

	/// Median over the run of what the machine can do with so many threads.
	pub fn machine_median(&self, operation: &str, threads: usize) -> Option<f64> {
		let field = if operation == "read" {
			"bytes_per_second"
		} else {
			"macs_per_second"
		};
		self.samples
			.median(MACHINE, MACHINE, &format!("{operation}-{threads}"), field)
	}

	/// The engines that stay loaded, asked in turn.
	fn model(&mut self, index: usize) -> Result<()> {
		let measures = plan::measures(&self.settings.scale);
		let files = &self.models[index];
		let (name, context) = (files.shape.name, files.shape.context);
		let wanted = |measure: &Measure, engine: &str| measure.positions <= context && measure.suits(engine);
		let missing = |samples: &Samples, measure: &Measure, engine: &str, repetition: usize| {
			wanted(measure, engine) && samples.count(name, engine, measure.key) <= repetition
		};
		let most = measures.iter().map(|m| m.repetitions).max().unwrap_or(0);
		let mut loaded: Vec<(String, Remote)> = Vec::new();
		for engine in &self.settings.engines {
			let last = |m: &&Measure| missing(&self.samples, m, engine, m.repetitions - 1);
			if measures.iter().find(last).is_some() {
				self.say(&format!("{name}: loading {engine}"));
				match self.loaded(engine, &self.models[index]) {
					Ok(remote) => loaded.push((engine.clone(), remote)),
					Err(error) => self.say(&format!("{name}: {engine} is left out: {error:#}")),
				}
			}
		}
		self.compare(index, &mut loaded)?;
		for repetition in 0..most {
			for measure in measures.iter().filter(|m| repetition < m.repetitions) {
				let mut told = Vec::new();
				for (engine, remote) in &mut loaded {
					if !missing(&self.samples, measure, engine, repetition) {
						continue;
					}
					let answer = or_error(remote.ask(&measure.request));
					told.push(format!("{engine} {}", told_of(measure, &answer)));
					self.samples.push(name, engine, measure.key, answer)?;
				}
				if !told.is_empty() {
					let of = format!("{}/{}", repetition + 1, measure.repetitions);
					self.say(&format!("{name}: {} ({of}): {}", measure.label, told.join(" · ")));
				}
			}
		}
		Ok(())
	}

	/// Whether the engines run the same weights: the cosine between their logits and ours.
	fn compare(&mut self, index: usize, loaded: &mut [(String, Remote)]) -> Result<()> {
		let name = self.models[index].shape.name;
		let tokens: Vec<u32> = (0..64).map(token).collect();
		let mut ours: Option<Vec<f32>> = None;
		for (engine, remote) in loaded {
			let out = self.settings.cache.join(format!("logits-{engine}"));
			let logits = remote
				.ask(&json!({ "op": "logits", "tokens": tokens, "out": out }))
				.and_then(|_| read_logits(&out));
			match (logits, &ours) {
				(Ok(logits), None) if engine == ENGINES[0] => ours = Some(logits),
				(Ok(logits), Some(ours)) => {
					let cosine = cosine(ours, &logits);
					self.say(&format!("{name}: logits of {engine} and ours: cosine {cosine:.6}"));
					self.samples.push(name, engine, "cosine", json!({ "cosine": cosine }))?;
				}
				(Ok(_), None) => {}
				(Err(error), _) => self.say(&format!("{name}: no logits of {engine}: {error:#}")),
			}
		}
		Ok(())
	}

	/// A new process each time: how long until it is ready, and how much memory it needs.
	fn fresh(&mut self, index: usize) -> Result<()> {
		let measures = plan::fresh(&self.settings.scale);
		let name = self.models[index].shape.name;
		for repetition in 0..self.settings.scale.long {
			for engine in &self.settings.engines {
				let last = measures.last().map_or("", |m| m.key);
				if self.samples.count(name, engine, last) > repetition {
					continue;
				}
				let mut remote = self.start(engine)?;
				let files = &self.models[index];
				for measure in measures.iter().filter(|m| m.positions <= files.shape.context) {
					let request = match measure.key {
						"load" => self.load_request(files),
						_ => measure.request.clone(),
					};
					let answer = or_error(remote.ask(&request));
					self.samples.push(name, engine, measure.key, answer)?;
				}
				if engine == ENGINES[0] {
					let answer = remote.ask(&json!({ "op": "check", "folder": files.folder }));
					self.samples.push(name, engine, "check", or_error(answer))?;
				}
			}
			self.say(&format!(
				"{name}: load and memory ({}/{})",
				repetition + 1,
				self.settings.scale.long
			));
		}
		Ok(())
	}

	fn loaded(&self, engine: &str, files: &Files) -> Result<Remote> {
		let mut remote = self.start(engine)?;
		remote.ask(&self.load_request(files))?;
		// Pages, caches and threads.
		remote.ask(&json!({ "op": "prefill", "tokens": 32 }))?;
		Ok(remote)
	}

	fn load_request(&self, files: &Files) -> Value {
		json!({
			"op": "load", "folder": files.folder, "gguf": files.gguf, "threads": self.settings.threads,
			"context": files.shape.context,
		})
	}

	fn start(&self, engine: &str) -> Result<Remote> {
		let mut command = match engine {
			"llama.cpp" => {
				let mut command = Command::new(self.settings.python.as_ref().context("llama.cpp is not there")?);
				command.arg(self.settings.peers.join("llamacpp.py"));
				command
			}
			_ => {
				let mut command = Command::new(std::env::current_exe()?);
				command.args(["worker", engine]);
				command
			}
		};
		command.env("RAYON_NUM_THREADS", self.settings.threads.to_string());
		command.env("OMP_NUM_THREADS", self.settings.threads.to_string());
		Remote::start(command)
	}
}

/// The answer, or an object with the error.
pub fn or_error(answer: Result<Value>) -> Value {
	answer.unwrap_or_else(|error| json!({ "error": format!("{error:#}") }))
}

fn told_of(measure: &Measure, answer: &Value) -> String {
	if let Some(error) = answer.get("error").and_then(Value::as_str) {
		return format!("failed: {error}");
	}
	let number = |key: &str| answer.get(key).and_then(Value::as_f64);
	match (measure.unit, number("seconds"), number("verify"), number("generate")) {
		(_, _, Some(verify), Some(generate)) => format!("{:.2} %", verify / generate * 100.0),
		(Unit::Tokens(tokens), Some(seconds), ..) => format!("{:.1} tok/s", tokens as f64 / seconds),
		(_, Some(seconds), ..) => format!("{seconds:.2} s"),
		_ => answer.to_string(),
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
