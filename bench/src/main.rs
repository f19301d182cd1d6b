//! The engine beside its peers: same weights, same shapes, same threads, one run.
//!
//! `make bench` calls `assay-bench run`. A run makes the models it lacks ([`models`]), starts a process for each engine ([`ours`],
//! [`candle`], `peers/llamacpp.py`), asks them in turn ([`plan`], [`run`]), and writes a table and a chart ([`report`], [`chart`]).
//! `make bench-gpu` calls `assay-bench gpu`, which does likewise on a graphics card ([`gpu`]).

mod candle;
mod chart;
mod gguf;
mod gpu;
mod models;
mod ours;
mod plan;
mod protocol;
mod report;
mod roofline;
mod run;
mod samples;
mod shapes;
mod weights;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use run::{Run, Settings};
use serde_json::json;
use std::{
	fs,
	path::{Path, PathBuf},
	thread,
};

#[derive(Parser)]
struct Cli {
	#[command(subcommand)]
	command: Command,
}

#[derive(Subcommand)]
enum Command {
	/// Measure, print the table, draw the charts.
	Run(RunOptions),
	/// The same on a graphics card, beside PyTorch.
	Gpu(gpu::Options),
	/// Answer a benchmark's requests as one engine: ours, candle, the machine itself, or ours on a graphics card (gpu).
	Worker {
		/// Which.
		engine: String,
		/// On which card.
		#[arg(default_value = "0")]
		device: String,
	},
}

#[derive(clap::Args)]
struct RunOptions {
	/// The repository.
	#[arg(long)]
	root: PathBuf,
	/// Where models, samples and peers are kept.
	#[arg(long)]
	cache: PathBuf,
	/// Where charts go, and `benchmarks.md` with its figures, if it is there.
	#[arg(long)]
	out: PathBuf,
	/// The Python that has llama.cpp.
	#[arg(long)]
	python: Option<PathBuf>,
	/// What is measured: commit and versions, in words.
	#[arg(long, default_value = "")]
	commit: String,
	/// Versions of compilers and peers, in words.
	#[arg(long, default_value = "")]
	versions: String,
	/// Threads of every engine; all cores if none.
	#[arg(long)]
	threads: Option<usize>,
	/// A small shape and few repetitions: to see that it works.
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
		Command::Run(options) => run(options),
		Command::Gpu(options) => gpu::run(&options),
		Command::Worker { engine, device } => match engine.as_str() {
			"ours" => protocol::serve(ours::Ours::default()),
			"candle" => protocol::serve(candle::Candle::default()),
			"gpu" => gpu::serve(&device),
			run::MACHINE => protocol::serve(roofline::Machine::default()),
			other => anyhow::bail!("no engine `{other}`"),
		},
	}
}

fn run(options: RunOptions) -> Result<()> {
	let settings = settings(&options);
	fs::create_dir_all(&settings.cache)?;
	let header = json!({
		"machine": machine(), "commit": options.commit, "versions": options.versions, "threads": settings.threads,
		"engines": settings.engines, "scale": format!("{:?}", settings.scale),
	});
	let log = settings
		.cache
		.join(if options.quick { "quick.jsonl" } else { "samples.jsonl" });
	let mut run = Run::open(&settings, header, &log)?;
	if !options.report {
		run.measure()?;
	}

	let sheets = report::sheets(&run, &settings.scale);
	let report = report::markdown(&run, &sheets);
	println!("\n{report}");
	let images = options.out.join("img");
	fs::create_dir_all(&images)?;
	let below = format!("{}; medians of one run, {} threads each", machine(), settings.threads);
	fs::write(images.join("speed.svg"), chart::speed(&sheets, &below))?;
	fs::write(
		images.join("verify.svg"),
		chart::verify(&sheets, settings.scale.jobs, &below),
	)?;
	write_figures(&options.out.join("benchmarks.md"), "make bench", &report)?;
	eprintln!(
		"    table and charts: {}; samples: {}",
		options.out.display(),
		log.display()
	);
	Ok(())
}

fn settings(options: &RunOptions) -> Settings {
	let or = |given: &[String], default: &[&str]| match given.is_empty() {
		true => default.iter().map(|name| (*name).to_owned()).collect(),
		false => given.to_vec(),
	};
	let mut engines: Vec<String> = or(&options.engines, &run::ENGINES);
	if options.python.is_none() {
		engines.retain(|engine| engine != "llama.cpp");
	}
	let models = if options.quick {
		or(&options.models, &["small"])
	} else {
		or(&options.models, &["0.5b", "1.1b", "demo"])
	};
	let cores = thread::available_parallelism().map_or(1, |n| n.get());
	Settings {
		models,
		engines,
		scale: if options.quick {
			plan::Scale::QUICK
		} else {
			plan::Scale::FULL
		},
		threads: options.threads.unwrap_or(cores).max(1),
		python: options.python.clone(),
		peers: options.root.join("bench/peers"),
		demo: options.root.join("demo-model/assay-demo"),
		cache: options.cache.clone(),
	}
}

/// The processor, in words.
fn machine() -> String {
	let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
	let field = |key: &str| {
		cpu.lines().find_map(|line| {
			line.strip_prefix(key)?
				.split_once(':')
				.map(|(_, v)| v.trim().to_owned())
		})
	};
	let flags = field("flags").unwrap_or_default();
	let has = |flag: &str| flags.split(' ').any(|f| f == flag);
	let vectors = match () {
		() if has("avx512_vnni") => "AVX-512 with VNNI",
		() if has("avx512f") => "AVX-512",
		() if has("avx2") => "AVX2",
		() => "no vectors beyond the baseline",
	};
	let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
	let kib = memory
		.lines()
		.next()
		.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
	let cores = thread::available_parallelism().map_or(1, |n| n.get());
	format!(
		"{}, {cores} cores, {vectors}, {:.0} GB",
		field("model name").unwrap_or_else(|| std::env::consts::ARCH.into()),
		kib.unwrap_or(0) as f64 / 1e6
	)
}

const END: &str = "<!-- end of figures -->";

/// Puts the report between the two marks of a document, or makes one of it.
fn write_figures(path: &Path, by: &str, report: &str) -> Result<()> {
	let begin = format!("<!-- figures: written by {by} -->");
	let figures = format!("{begin}\n\n{report}\n{END}");
	let document = match fs::read_to_string(path) {
		Err(_) => format!("{figures}\n"),
		Ok(old) => {
			let marks = || Some((old.split_once(&begin)?.0, old.split_once(END)?.1));
			let (before, after) = marks().with_context(|| format!("{} has lost its marks", path.display()))?;
			format!("{before}{figures}{after}")
		}
	};
	Ok(fs::write(path, document)?)
}
