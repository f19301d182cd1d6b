//! The engine on a graphics card beside PyTorch: same shapes, same card, one run. `make bench-gpu` calls `assay-bench gpu`.
//!
//! Each engine is a process of its own and has the card to itself while it is asked ([`ours`], `peers/torch_bf16.py`). What the card can do
//! at most is measured in the same run ([`limits`]). A run that was interrupted goes on where it stopped.

pub mod limits;
pub mod ours;
pub mod plan;
pub mod report;

use crate::{
	chart,
	protocol::{Remote, Worker},
	run::or_error,
	samples::Samples,
	shapes::Shape,
	write_figures,
};
use anyhow::{bail, Context, Result};
use assay_engine::gpu::Gpu;
use plan::{Measure, Scale, Unit};
use report::{CARD, ENGINES};
use serde_json::{json, Value};
use std::{
	fs,
	path::{Path, PathBuf},
	process::Command,
	sync::Arc,
	time::Instant,
};

/// How the card is measured.
#[derive(clap::Args)]
pub struct Options {
	/// Which card, counted from 0 as nvidia-smi counts them.
	#[arg(long, default_value_t = 0)]
	device: u32,
	/// Where samples are kept.
	#[arg(long)]
	cache: PathBuf,
	/// Where the chart goes, and `benchmarks-gpu.md` with its figures; nothing is written if the card is an emulation.
	#[arg(long)]
	out: PathBuf,
	/// The folder with `torch_bf16.py`.
	#[arg(long)]
	peers: PathBuf,
	/// A Python that has PyTorch with CUDA; without one the peer is left out.
	#[arg(long)]
	python: Option<PathBuf>,
	/// Shapes to measure.
	#[arg(long, value_delimiter = ',', default_value = "1.1b,8b")]
	shapes: Vec<String>,
	/// What is measured: commit, in words.
	#[arg(long, default_value = "")]
	commit: String,
	/// Versions of compilers, driver and peers, in words.
	#[arg(long, default_value = "")]
	versions: String,
	/// Few repetitions of short measures: to see that it works.
	#[arg(long)]
	quick: bool,
}

/// Somebody to ask.
pub trait Asked {
	/// One request and its answer.
	fn ask(&mut self, request: &Value) -> Result<Value>;
}

impl Asked for Remote {
	fn ask(&mut self, request: &Value) -> Result<Value> {
		Remote::ask(self, request)
	}
}

/// Opens the card that our worker computes on.
pub fn open(device: &str) -> Result<Arc<dyn Gpu>> {
	#[cfg(feature = "cuda")]
	{
		let device = device.parse().context("a card is named by its number")?;
		Ok(Arc::new(assay_engine::gpu::cuda::Cuda::open(device)?))
	}
	#[cfg(all(feature = "emulation", not(feature = "cuda")))]
	{
		let _ = device;
		Ok(Arc::new(cuda_emulation::Emulated::default()))
	}
	#[cfg(not(any(feature = "cuda", feature = "emulation")))]
	bail!("this program was built for no card, so there is no card {device} for it: `make engine-cuda` builds one that has CUDA")
}

/// Answers requests from stdin, on a card.
pub fn serve(device: &str) -> Result<()> {
	// Left to itself CUDA counts the fastest card first. Before any thread.
	if std::env::var_os("CUDA_DEVICE_ORDER").is_none() {
		std::env::set_var("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
	}
	crate::protocol::serve(Opening {
		device: device.to_owned(),
		opened: None,
	})
}

/// Opens the card at the first request, so that it's the answer that says why it can't.
struct Opening {
	device: String,
	opened: Option<ours::Ours>,
}

impl Worker for Opening {
	fn answer(&mut self, request: &Value) -> Result<Value> {
		if self.opened.is_none() {
			self.opened = Some(ours::Ours::new(open(&self.device)?, cfg!(not(feature = "cuda"))));
		}
		self.opened.as_mut().context("no card")?.answer(request)
	}
}

/// Measures with processes, and writes what `Options` say.
pub fn run(options: &Options) -> Result<()> {
	measure(options, &mut |engine| {
		let mut command = match (engine, &options.python) {
			("ours", _) => {
				let mut command = Command::new(std::env::current_exe()?);
				command.args(["worker", "gpu", &options.device.to_string()]);
				command
			}
			(_, Some(python)) => {
				let mut command = Command::new(python);
				command.arg(options.peers.join("torch_bf16.py"));
				command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
				command.env("ASSAY_GPU", options.device.to_string());
				if engine == "torch.compile" {
					command.arg("--compile");
				}
				command
			}
			(_, None) => return Ok(None),
		};
		command.stderr(std::process::Stdio::inherit());
		Ok(Some(Box::new(Remote::start(command)?)))
	})
	.map(|_| ())
}

/// Starts an engine; none if it isn't here.
type Start<'a> = &'a mut dyn FnMut(&str) -> Result<Option<Box<dyn Asked>>>;

/// Measures; returns the report.
fn measure(options: &Options, start: Start<'_>) -> Result<String> {
	let scale = if options.quick { Scale::QUICK } else { Scale::FULL };
	let shapes = options.shapes.iter();
	let shapes = shapes.map(|name| Shape::on_card(name).with_context(|| format!("no shape `{name}`")));
	let shapes: Vec<Shape> = shapes.collect::<Result<_>>()?;
	let ours = |start: Start<'_>| start(ENGINES[0])?.context("our engine is not there");

	let device = ours(start)?.ask(&json!({ "op": "device" }))?;
	let card = device
		.get("name")
		.and_then(Value::as_str)
		.unwrap_or_default()
		.to_owned();
	let emulated = device.get("emulated") != Some(&Value::Bool(false));
	let rows = device.get("rows").and_then(Value::as_u64).unwrap_or(256) as usize;
	let header = json!({
		"card": card, "processor": crate::machine(), "commit": options.commit, "versions": options.versions, "rows": rows,
		"scale": format!("{scale:?}"), "shapes": options.shapes, "peer": options.python,
	});
	fs::create_dir_all(&options.cache)?;
	let log = options.cache.join("gpu-samples.jsonl");
	let mut run = Run {
		samples: Samples::open(&log, header)?,
		begun: Instant::now(),
	};
	run.say(&format!("computing on {card}"));

	run.limits(ours(start)?.as_mut(), scale.repetitions)?;
	for shape in &shapes {
		for engine in ENGINES {
			run.engine(shape, engine, &scale, rows, start)?;
		}
	}
	run.limits(ours(start)?.as_mut(), 2 * scale.repetitions)?;
	run.samples.finish()?;

	let sheets = report::sheets(&run.samples, &shapes, &scale, rows);
	let report = report::markdown(&run.samples, &sheets);
	println!("\n{report}");
	if emulated {
		eprintln!("    nothing was written: no card computed this, and its times say nothing");
	} else {
		write(&options.out, &report, &sheets, &card)?;
	}
	let wrong = shapes
		.iter()
		.filter_map(|s| run.samples.error(s.name, ENGINES[0], "check"));
	match wrong.collect::<Vec<_>>().as_slice() {
		[] => Ok(report),
		all => bail!("card and processor do not agree: {}", all.join("; ")),
	}
}

fn write(out: &Path, report: &str, sheets: &[report::Sheet], card: &str) -> Result<()> {
	let images = out.join("img");
	fs::create_dir_all(&images)?;
	let groups: Vec<_> = sheets.iter().map(|s| (s.title.as_str(), s.rows.as_slice())).collect();
	let words = [
		"ours: exact int8, with trace and sampling",
		"PyTorch, bf16",
		"torch.compile, bf16",
	];
	let title = "Tokens a second on a graphics card: the exact engine and PyTorch";
	let below = format!("{card}; medians of one run");
	fs::write(images.join("gpu.svg"), chart::speeds(title, words, &groups, &below))?;
	let figures = format!("![{title}](img/gpu.svg)\n\n{report}");
	write_figures(&out.join("benchmarks-gpu.md"), "make bench-gpu", &figures)?;
	eprintln!("    table and chart: {}", out.display());
	Ok(())
}

struct Run {
	samples: Samples,
	begun: Instant,
}

impl Run {
	fn say(&self, line: &str) {
		let seconds = self.begun.elapsed().as_secs();
		eprintln!("    {:3}:{:02}  {line}", seconds / 60, seconds % 60);
	}

	/// What the card can do at most, until there are so many samples.
	fn limits(&mut self, worker: &mut dyn Asked, until: usize) -> Result<()> {
		while self.samples.count(CARD, CARD, "limits") < until {
			let answer = or_error(worker.ask(&json!({ "op": "limits" })));
			self.say(&format!("the card's limits: {answer}"));
			self.samples.push(CARD, CARD, "limits", answer)?;
		}
		Ok(())
	}

	/// All that one engine is asked about one shape and isn't measured yet.
	fn engine(&mut self, shape: &Shape, engine: &str, scale: &Scale, rows: usize, start: Start<'_>) -> Result<()> {
		let ours = engine == ENGINES[0];
		let all = plan::measures(scale, rows).into_iter();
		let mut all: Vec<Measure> = all
			.filter(|m| (ours || !m.ours_only) && m.positions <= shape.context)
			.collect();
		// The processor makes and checks a few tokens of a billion weights in seconds, of eight in minutes.
		if ours && shape.weights() < 2_000_000_000 {
			all.push(Measure {
				key: "check".into(),
				label: "card and processor check each other".into(),
				request: json!({ "op": "check", "prompt": scale.job.0, "answer": scale.check }),
				unit: Unit::Parts,
				repetitions: 1,
				positions: scale.job.0 + scale.check,
				ours_only: true,
			});
		}
		let missing = |samples: &Samples, m: &Measure| samples.count(shape.name, engine, &m.key) < m.repetitions;
		if !all.iter().any(|m| missing(&self.samples, m)) {
			return Ok(());
		}
		let Some(mut worker) = start(engine)? else {
			self.say(&format!("{}: {engine} is not here", shape.name));
			return Ok(());
		};
		self.say(&format!("{}: loading {engine}", shape.name));
		let request = json!({ "op": "load", "shape": shape.name, "config": shape.config() });
		let loaded = or_error(worker.ask(&request));
		let error = loaded.get("error").cloned();
		self.samples.push(shape.name, engine, "load", loaded)?;
		if let Some(error) = error {
			self.say(&format!("{}: {engine} is left out: {error}", shape.name));
			return Ok(());
		}
		let most = all.iter().map(|m| m.repetitions).max().unwrap_or(0);
		for repetition in 0..most {
			for measure in all.iter().filter(|m| repetition < m.repetitions) {
				if self.samples.count(shape.name, engine, &measure.key) > repetition {
					continue;
				}
				// Once without a clock: kernels are loaded, memory is taken, peers compile.
				if repetition == 0 && matches!(measure.unit, Unit::Tokens(_)) {
					worker.ask(&measure.request).ok();
				}
				let answer = or_error(worker.ask(&measure.request));
				let of = format!("{}/{}", repetition + 1, measure.repetitions);
				self.say(&format!(
					"{}: {engine}, {} ({of}): {}",
					shape.name,
					measure.label,
					told_of(measure, &answer)
				));
				self.samples.push(shape.name, engine, &measure.key, answer)?;
			}
		}
		Ok(())
	}
}

fn told_of(measure: &Measure, answer: &Value) -> String {
	match (measure.unit, answer.get("seconds").and_then(Value::as_f64)) {
		(Unit::Tokens(tokens), Some(seconds)) => crate::report::speed(tokens as f64 / seconds),
		_ => answer.to_string(),
	}
}

#[cfg(test)]
mod tests;
