//! The engine beside its peers: same weights, same shapes, same device, one run.
//!
//! `make bench` and `make bench-gpu` call `assay-bench run`. A run takes a [`plan`] of the CPU or of a GPU, starts a process for each
//! engine ([`ours`], [`candle`], `peers/llamacpp.py`, `peers/torch_bf16.py`; all answer [`engine`]'s requests), asks them what the
//! [`samples`] lack ([`run`]), and writes tables and charts ([`report`], [`chart`]). The CPU's models are made on disk first ([`models`]).

mod candle;
mod chart;
mod documents;
mod engine;
mod gguf;
mod limits;
mod models;
mod ours;
mod plan;
mod report;
mod run;
mod samples;
mod shapes;
#[cfg(test)]
mod tests;
mod weights;

use anyhow::{bail, Context, Result};
use clap::{Parser, Subcommand};
use engine::{serve, Engine, Remote, Request};
use models::Model;
use plan::{Device, Plan, OURS};
use run::{Run, Start};
use samples::Samples;
use serde_json::{json, Value};
use std::{fs, path::PathBuf, process::Command as Process, thread, time::Instant};

#[derive(Parser)]
struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Subcommand)]
enum Command {
	/// Measure, print the tables, draw the charts.
	Run(Options),
	/// Answer a benchmark's requests as one engine of this program: ours or candle.
	Engine {
		/// Which.
		name: String,
		/// On this GPU instead of the CPU.
		#[arg(long)]
		gpu: Option<u32>,
	},
}

/// What to run, and where.
#[derive(clap::Args)]
struct Options {
	/// Measure on this GPU, counted from 0 as nvidia-smi counts them, instead of the CPU.
	#[arg(long)]
	gpu: Option<u32>,
	/// The repository.
	#[arg(long)]
	root: PathBuf,
	/// Where models and samples are kept.
	#[arg(long)]
	cache: PathBuf,
	/// Where charts go, and the document with its figures, if it is there. Nothing is written if the GPU is an emulation.
	#[arg(long)]
	out: PathBuf,
	/// The Python that has llama.cpp, or PyTorch with CUDA; without one these are left out.
	#[arg(long)]
	python: Option<PathBuf>,
	/// What is measured: commit, in words.
	#[arg(long, default_value = "")]
	commit: String,
	/// Versions of compilers, driver and peers, in words.
	#[arg(long, default_value = "")]
	versions: String,
	/// Threads of every engine; all cores if none.
	#[arg(long)]
	threads: Option<usize>,
	/// Small shapes and few repetitions: to see that it works.
	#[arg(long)]
	quick: bool,
	/// Measure nothing: write the report of what the interrupted run has so far.
	#[arg(long)]
	report: bool,
	/// Models to measure.
	#[arg(long, value_delimiter = ',')]
	models: Vec<String>,
	/// Engines to measure.
	#[arg(long, value_delimiter = ',')]
	engines: Vec<String>,
}

fn main() -> Result<()> {
	match Cli::parse().command {
		Command::Run(options) => run(&options, &mut |name| options.start(name)).map(|_| ()),
		Command::Engine { name, gpu } => match (name.as_str(), gpu) {
			(OURS, None) => serve(&mut ours::cpu::Ours::default()),
			(OURS, Some(device)) => serve(&mut ours::gpu::Opening::new(device)),
			("candle", None) => serve(&mut candle::Candle::default()),
			_ => bail!("no engine `{name}`"),
		},
	}
}

impl Options {
	fn threads(&self) -> usize {
		let cores = thread::available_parallelism().map_or(1, |n| n.get());
		self.threads.unwrap_or(cores).max(1)
	}

	/// Models by name: those asked for, or those of this device.
	fn models(&self) -> Vec<String> {
		let default: &[&str] = match (self.gpu, self.quick) {
			(None, false) => &["0.5b", "1.1b", "demo"],
			(None, true) => &["small"],
			(Some(_), false) => &["1.1b", "8b"],
			(Some(_), true) => &["tiny"],
		};
		if self.models.is_empty() {
			default.iter().map(|name| (*name).to_owned()).collect()
		} else {
			self.models.clone()
		}
	}

	/// Starts the process of an engine.
	fn start(&self, name: &str) -> Result<Option<Box<dyn Engine>>> {
		let script = match name {
			"llama.cpp" => Some("llamacpp.py"),
			"torch" | "torch.compile" => Some("torch_bf16.py"),
			_ => None,
		};
		let mut process = match (script, &self.python) {
			(None, _) => {
				let mut process = Process::new(std::env::current_exe()?);
				process.args(["engine", name]);
				process.args(self.gpu.iter().flat_map(|gpu| ["--gpu".to_owned(), gpu.to_string()]));
				process
			}
			(Some(_), None) => return Ok(None),
			(Some(script), Some(python)) => {
				let mut process = Process::new(python);
				process.arg(self.root.join("bench/peers").join(script));
				if name == "torch.compile" {
					process.arg("--compile");
				}
				process
			}
		};
		match self.gpu {
			Some(gpu) => process
				.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
				.env("ASSAY_GPU", gpu.to_string()),
			None => {
				let threads = self.threads().to_string();
				process
					.env("RAYON_NUM_THREADS", &threads)
					.env("OMP_NUM_THREADS", &threads)
			}
		};
		Ok(Some(Box::new(Remote::start(process)?)))
	}
}

/// Measures what the plan of the device asks for, and writes it; returns the report.
fn run(options: &Options, start: &mut Start) -> Result<String> {
	fs::create_dir_all(&options.cache)?;
	let threads = options.threads();
	let mut header = json!({
		"machine": documents::machine(), "commit": options.commit, "versions": options.versions, "threads": threads,
		"quick": options.quick, "python": options.python,
	});
	let mut set = |key: &str, value: Value| {
		header
			.as_object_mut()
			.and_then(|header| header.insert(key.into(), value))
	};
	let mut emulated = false;
	let plan = if options.gpu.is_some() {
		let gpu = start(OURS)?.context("our engine is not there")?.ask(&Request::Device)?;
		emulated = gpu.get("emulated") != Some(&Value::Bool(false));
		let tokens = gpu
			.get("max_batched_tokens")
			.and_then(Value::as_u64)
			.context("no max_batched_tokens")?;
		set("GPU", gpu.get("name").cloned().unwrap_or_default());
		set("max_batched_tokens", tokens.into());
		Plan::gpu(options.quick, tokens as usize)
	} else {
		Plan::cpu(options.quick, threads)
	};
	let demo = options.root.join("demo-model/assay-demo");
	let model = |name: &String| match plan.device {
		Device::Cpu => Model::on_disk(name, &demo, &options.cache),
		Device::Gpu => Model::on_gpu(name),
	};
	let models = options.models().iter().map(model).collect::<Result<Vec<_>>>()?;
	let mut engines: Vec<String> = plan.engines.map(String::from).into();
	engines.retain(|engine| options.engines.is_empty() || options.engines.contains(engine));
	set("engines", json!(engines));
	let ids = models
		.iter()
		.map(|m| (m.name(), m.files.as_ref().map(|files| &files.id)));
	set("models", json!(ids.collect::<std::collections::BTreeMap<_, _>>()));

	let log = options.cache.join(match (plan.device, options.quick) {
		(Device::Cpu, false) => "samples.jsonl",
		(Device::Cpu, true) => "quick.jsonl",
		(Device::Gpu, _) => "gpu-samples.jsonl",
	});
	let samples = Samples::open(&log, header)?;
	let mut run = Run {
		plan,
		models,
		engines,
		threads,
		cache: options.cache.clone(),
		samples,
		begun: Instant::now(),
	};
	if !options.report {
		run.measure(start)?;
	}
	let sheets = report::sheets(&run);
	let report = report::markdown(&run, &sheets);
	println!("\n{report}");
	eprintln!("    samples: {}", log.display());
	if emulated {
		eprintln!("    nothing was written: no GPU computed this, and its times mean nothing");
	} else {
		documents::write(&options.out, &run, &sheets, &report)?;
	}
	let wrong: Vec<_> = run
		.models
		.iter()
		.filter_map(|m| run.samples.error(m.name(), OURS, "check"))
		.collect();
	anyhow::ensure!(wrong.is_empty(), "GPU and CPU do not agree: {}", wrong.join("; "));
	Ok(report)
}
