//! The engine beside its peers: same weights, same shapes, same device, one run.
//!
//! `make bench` and `make bench-gpu` call `assay-bench run`. A run takes a [`plan`] of the CPU or of a GPU, starts a process for each
//! engine ([`ours`], [`candle`], `peers/llamacpp.py`, `peers/torch_bf16.py`; all answer [`engine`]'s requests), asks them what the
//! [`samples`] lack ([`run`]), and writes tables and charts ([`report`], [`chart`]). The CPU's models are made on disk first ([`models`]).

mod candle;
mod chart;
mod documents;
mod engine;
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
use clap::{Parser, Subcommand};
use engine::{serve, Request};
use models::Model;
use options::Options;
use plan::{Device, Plan, OURS};
use run::{Run, Start};
use samples::Samples;
use serde_json::{json, Value};
use std::{fs, time::Instant};

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

/// Measures what the plan of the device asks for, and writes it; returns the report.
fn run(options: &Options, start: &mut Start) -> Result<String> {
	fs::create_dir_all(&options.cache)?;
	let gpu = match options.gpu {
		Some(_) => start(OURS)?.context("our engine is not there")?.ask(&Request::Device)?,
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
	let errors = run
		.models
		.iter()
		.filter_map(|m| run.samples.error(m.name(), OURS, "check"));
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
	let models = options.models();
	let models = models.iter().map(|name| match plan.device {
		Device::Cpu => Model::on_disk(name, &options.root.join("demo-model/assay-demo"), &options.cache),
		Device::Gpu => Model::on_gpu(name),
	});
	let models = models.collect::<Result<Vec<_>>>()?;
	let mut engines: Vec<String> = plan.engines.map(String::from).into();
	engines.retain(|engine| options.engines.is_empty() || options.engines.contains(engine));
	let ids: Vec<_> = models
		.iter()
		.map(|m| (m.name(), m.files.as_ref().map(|files| &files.id)))
		.collect();
	let header = json!({
		"machine": documents::machine(), "GPU": gpu.get("name"), "max_batched_tokens": gpu.get("max_batched_tokens"),
		"commit": options.commit, "versions": options.versions, "threads": threads, "python": options.python,
		"quick": options.quick, "engines": engines, "models": ids,
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
		engines,
		threads,
		cache: options.cache.clone(),
		samples: Samples::open(&log, header)?,
		begun: Instant::now(),
	})
}
