//! What to run, and where: the command line.

use crate::{
	engine::{Engine, Remote},
	entries::{peer_of, Entry, Program},
};
use anyhow::Result;
use std::{num::NonZeroUsize, path::PathBuf, process::Command, thread};

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
	/// A peer that is installed, and the Python that has it: NAME=PYTHON. The others are left out.
	#[arg(long = "peer", value_parser = |text: &str| peer_of(text).map_err(|error| format!("{error:#}")))]
	pub peers: Vec<(Program, PathBuf)>,
	/// What is measured: commit, in words.
	#[arg(long, default_value = "")]
	pub commit: String,
	/// Versions of compilers, driver and peers, in words.
	#[arg(long, default_value = "")]
	pub versions: String,
	/// Threads of every engine; all cores if none.
	#[arg(long)]
	pub threads: Option<NonZeroUsize>,
	/// Small shapes and few repetitions: to see that it works.
	#[arg(long)]
	pub quick: bool,
	/// Repeat each measure at most so many times: for a slow machine.
	#[arg(long)]
	pub repetitions: Option<NonZeroUsize>,
	/// Measure nothing: write the report of the last run, whether it ended or not.
	#[arg(long)]
	pub report: bool,
	/// Models to measure: `demo`, shapes, or shapes of one width, such as 1.1b-4bit.
	#[arg(long, value_delimiter = ',')]
	pub models: Vec<String>,
	/// Engines to measure.
	#[arg(long, value_delimiter = ',')]
	pub engines: Vec<String>,
}

impl Options {
	/// Threads of every engine.
	pub fn threads(&self) -> usize {
		let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
		self.threads.unwrap_or_else(cores).get()
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

	/// Whether an engine is wanted, and installed.
	pub fn has(&self, program: Program) -> bool {
		let wanted = self.engines.is_empty() || self.engines.iter().any(|name| name == program.name());
		wanted && (program.script().is_none() || self.python(program).is_some())
	}

	/// The peers that are installed, and where.
	pub fn peers_in_words(&self) -> Vec<String> {
		let words = |(program, python): &(Program, PathBuf)| format!("{}={}", program.name(), python.display());
		self.peers.iter().map(words).collect()
	}

	fn python(&self, program: Program) -> Option<&PathBuf> {
		self.peers
			.iter()
			.find(|(peer, _)| *peer == program)
			.map(|(_, python)| python)
	}

	/// Starts the process of an engine.
	pub fn start(&self, entry: &Entry) -> Result<Option<Box<dyn Engine>>> {
		let mut process = match (entry.program.script(), self.python(entry.program)) {
			(None, _) => {
				let mut process = Command::new(std::env::current_exe()?);
				process.args(["engine", entry.program.name()]);
				process.args(self.gpu.iter().flat_map(|gpu| ["--gpu".to_owned(), gpu.to_string()]));
				process
			}
			(Some(_), None) => return Ok(None),
			(Some((script, arguments)), Some(python)) => {
				let mut process = Command::new(python);
				process.arg(self.root.join("bench/peers").join(script)).args(arguments);
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
