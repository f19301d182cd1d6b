//! What to run, and where: the command line.

use crate::engine::{Engine, Remote};
use anyhow::Result;
use std::{path::PathBuf, process::Command, thread};

/// What to run, and where.
#[derive(clap::Args)]
pub struct Options {
	/// Measure on this GPU, counted from 0 as nvidia-smi counts them, instead of the CPU.
	#[arg(long)]
	pub gpu: Option<u32>,
	/// The repository.
	#[arg(long)]
	pub root: PathBuf,
	/// Where models and samples are kept.
	#[arg(long)]
	pub cache: PathBuf,
	/// Where charts go, and the document with its figures, if it is there. Nothing is written if the GPU is an emulation.
	#[arg(long)]
	pub out: PathBuf,
	/// The Python that has llama.cpp, or PyTorch with CUDA; without one these are left out.
	#[arg(long)]
	pub python: Option<PathBuf>,
	/// What is measured: commit, in words.
	#[arg(long, default_value = "")]
	pub commit: String,
	/// Versions of compilers, driver and peers, in words.
	#[arg(long, default_value = "")]
	pub versions: String,
	/// Threads of every engine; all cores if none.
	#[arg(long)]
	pub threads: Option<usize>,
	/// Small shapes and few repetitions: to see that it works.
	#[arg(long)]
	pub quick: bool,
	/// Measure nothing: write the report of what the interrupted run has so far.
	#[arg(long)]
	pub report: bool,
	/// Models to measure.
	#[arg(long, value_delimiter = ',')]
	pub models: Vec<String>,
	/// Engines to measure.
	#[arg(long, value_delimiter = ',')]
	pub engines: Vec<String>,
}

impl Options {
	/// Threads of every engine.
	pub fn threads(&self) -> usize {
		let cores = thread::available_parallelism().map_or(1, |n| n.get());
		self.threads.unwrap_or(cores).max(1)
	}

	/// Models by name: those asked for, or those of this device.
	pub fn models(&self) -> Vec<String> {
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
	pub fn start(&self, name: &str) -> Result<Option<Box<dyn Engine>>> {
		let script = match name {
			"llama.cpp" => Some("llamacpp.py"),
			"torch" | "torch.compile" => Some("torch_bf16.py"),
			_ => None,
		};
		let mut process = match (script, &self.python) {
			(None, _) => {
				let mut process = Command::new(std::env::current_exe()?);
				process.args(["engine", name]);
				process.args(self.gpu.iter().flat_map(|gpu| ["--gpu".to_owned(), gpu.to_string()]));
				process
			}
			(Some(_), None) => return Ok(None),
			(Some(script), Some(python)) => {
				let mut process = Command::new(python);
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
