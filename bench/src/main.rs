//! The engine beside its peers: same weights, same shapes, same device, one run.
//!
//! `make bench` and `make bench-gpu` call `assay-bench run`. A run takes a [`plan`] of the CPU or of a GPU, starts a process for each
//! engine of the [`entries`] ([`ours`], [`candle`], the scripts in `peers`; all answer [`engine`]'s requests), asks them what the
//! [`samples`] lack ([`run`]), and writes tables and charts ([`report`], [`chart`]). The CPU's models are made on disk first ([`models`]).

mod candle;
mod chart;
mod documents;
mod engine;
mod entries;
mod format;
mod gguf;
mod limits;
mod models;
mod options;
mod ours;
mod plan;
mod report;
mod run;
mod samples;
mod shapes;
#[cfg(test)]
mod tests;
mod weights;

use anyhow::{bail, ensure, Context, Result};
use assay_numerics::{
	isa::{amx_status, AmxStatus},
	Isa,
};
use clap::{Parser, Subcommand};
use engine::{serve, Request};
use entries::Program;
use models::Model;
use options::Options;
use plan::{Device, Plan};
use run::{Run, Start};
use samples::Samples;
use serde_json::{json, Value};
use std::{fs, num::NonZeroUsize, time::Instant};

#[derive(Parser)]
struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Subcommand)]
enum Command {
	/// Measure, print the tables, draw the charts.
	Run(Box<Options>),
	/// Answer a benchmark's requests as one engine of this program: ours or candle.
	Engine {
		/// Which.
		name: String,
		/// On this GPU instead of the CPU.
		#[arg(long)]
		gpu: Option<u32>,
	},
}

fn main() -> Result<()> {
	match Cli::parse().command {
		Command::Run(options) => run(&options, &mut |entry| options.start(entry)).map(|_| ()),
		Command::Engine { name, gpu } => match (Program::named(&name)?, gpu) {
			(Program::Ours, None) => among_threads(|| serve(&mut ours::cpu::Ours::default())),
			(Program::Ours, Some(device)) => serve(&mut ours::gpu::Opening::new(device)),
			(Program::Candle, None) => among_threads(|| serve(&mut candle::Candle::default())),
			_ => bail!("`{name}` is no engine of this program on this device"),
		},
	}
}

/// Answers on one of the threads that compute, as the node's engine does: from outside, each operation would wake one first.
fn among_threads(answer: impl FnOnce() -> Result<()> + Send) -> Result<()> {
	rayon::ThreadPoolBuilder::new().build()?.install(answer)
}

/// Measures what the plan of the device asks for, and writes it; returns the report.
fn run(options: &Options, start: &mut Start) -> Result<String> {
	fs::create_dir_all(&options.cache)?;
	let gpu = match options.gpu {
		Some(_) => {
			let all = entries::of_gpu();
			let ours = all.first().context("our engine is not to be measured")?;
			start(ours)?.context("our engine is not there")?.ask(&Request::Device)?
		}
		None => Value::Null,
	};
	let mut run = open(options, &gpu)?;
	if !options.report {
		run.measure(start)?;
	}
	let sheets = report::sheets(&run);
	let report = report::markdown(&run, &sheets);
	println!("\n{report}");
	if gpu.is_null() || gpu.get("emulated") == Some(&Value::Bool(false)) {
		documents::write(&options.out, &run, &sheets, &report)?;
	} else {
		eprintln!("    nothing was written: no GPU computed this, and its times mean nothing");
	}
	let ours = |model: &Model| model.entries.iter().find(|entry| entry.is_ours()).cloned();
	let errors = run
		.models
		.iter()
		.filter_map(|model| run.samples.error(&model.name, &ours(model)?.name, "check"));
	let errors: Vec<_> = errors.collect();
	ensure!(errors.is_empty(), "GPU and CPU do not agree: {}", errors.join("; "));
	Ok(report)
}

/// Goes on with an interrupted run or begins one: on a GPU that our engine has described, or on the CPU.
fn open(options: &Options, gpu: &Value) -> Result<Run> {
	let threads = options.threads();
	let plan = if gpu.is_null() {
		Plan::cpu(options.quick, threads)
	} else {
		let tokens = gpu.get("max_batched_tokens").and_then(Value::as_u64);
		Plan::gpu(
			options.quick,
			tokens.context("our engine does not tell its max_batched_tokens")? as usize,
		)
	};
	let plan = plan.repeated_at_most(options.repetitions.map_or(usize::MAX, NonZeroUsize::get));
	let mut models = Vec::new();
	for name in options.models() {
		models.extend(match plan.device {
			Device::Cpu => {
				let demo = options.root.join("demo-model/assay-demo");
				Model::on_disk(&name, &demo, &options.cache, Isa::Amx.works())?
			}
			Device::Gpu => vec![Model::on_gpu(&name)?],
		});
	}
	for model in &mut models {
		model.entries.retain(|entry| options.has(entry.program));
	}
	let matrix_units = match (plan.device, amx_status()) {
		(Device::Gpu, _) => None,
		(Device::Cpu, AmxStatus::Works) => Some("AMX works, and columns named “no AMX” do without it".to_owned()),
		(Device::Cpu, status) => Some(format!("{status}, so no column is with it")),
	};
	let described = models.iter().map(|model| {
		let names: Vec<_> = model.entries.iter().map(|entry| &entry.name).collect();
		json!({ "name": model.name, "ids": model.files.as_ref().map(|files| &files.ids), "engines": names })
	});
	let header = json!({
		"machine": documents::machine(), "matrix units": matrix_units, "GPU": gpu.get("name"), "max_batched_tokens": gpu.get("max_batched_tokens"),
		"commit": options.commit, "versions": options.versions, "threads": threads, "peers": options.peers_in_words(),
		"quick": options.quick, "models": described.collect::<Vec<_>>(),
	});
	let log = match (plan.device, options.quick) {
		(Device::Cpu, false) => "samples.jsonl",
		(Device::Cpu, true) => "quick.jsonl",
		(Device::Gpu, _) => "gpu-samples.jsonl",
	};
	let log = options.cache.join(log);
	eprintln!("    samples: {}", log.display());
	Ok(Run {
		plan,
		models,
		threads,
		cache: options.cache.clone(),
		samples: if options.report {
			Samples::read(&log, header)?
		} else {
			Samples::open(&log, header)?
		},
		begun: Instant::now(),
	})
}
