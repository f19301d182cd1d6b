//! The engine on a GPU: whether there is one to use, and when to go on without.
//!
//! The bits are the CPU's, so a node loses nothing but time when it goes on there. It does so when the GPU can't be used at
//! the start, and when it fails again and again; a single failure is answered by a new start.

use super::{
	exit::{Exit, ExitReason},
	program::command,
};
use crate::inference::{log_target::LOG_TARGET, metrics::ExitCause};
use std::{
	fmt,
	path::{Path, PathBuf},
	process::Stdio,
	str::FromStr,
	time::Duration,
};
use tokio::time::{sleep, timeout};

/// Failures in a row after which the engine goes on without its GPU.
const MAX_FAILURES: u32 = 3;

/// How long a program may look for its GPU. Drivers that nobody uses need some seconds to start.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest line of a program that goes to the log, in characters.
const MAX_LINE: usize = 400;

/// What the engine computes on. The bits are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineDevice {
	/// A GPU if there is one and a program for it, else the CPU.
	#[default]
	Auto,
	/// The CPU.
	Cpu,
	/// This NVIDIA GPU, counted from 0.
	Cuda(u32),
}

impl FromStr for EngineDevice {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		match text.split_once(':') {
			None if text == "auto" => Some(Self::Auto),
			None if text == "cpu" => Some(Self::Cpu),
			None if text == "cuda" => Some(Self::Cuda(0)),
			Some(("cuda", number)) => number.parse().ok().map(Self::Cuda),
			_ => None,
		}
		.ok_or_else(|| "auto, cpu, cuda, or cuda:1 for the second GPU".into())
	}
}

impl fmt::Display for EngineDevice {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Auto => f.write_str("auto"),
			Self::Cpu => f.write_str("cpu"),
			Self::Cuda(number) => write!(f, "cuda:{number}"),
		}
	}
}

/// The engine's program for a GPU, which comes before the one for the CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuEngine {
	/// The program.
	pub program: PathBuf,
	/// Which GPU, counted from 0.
	pub device: u32,
	/// The operator named the GPU: that it can't be used is an error, not a warning.
	pub required: bool,
}

impl GpuEngine {
	/// The GPU that `device` means, of the program at `program`. An operator who names another program (`custom_program`)
	/// means that one, unless a GPU is named too.
	pub fn chosen(device: EngineDevice, custom_program: bool, program: PathBuf) -> Option<Self> {
		let (device, required) = match device {
			EngineDevice::Cpu => return None,
			EngineDevice::Auto if custom_program => return None,
			EngineDevice::Auto => (0, false),
			EngineDevice::Cuda(device) => (device, true),
		};
		Some(Self {
			program,
			device,
			required,
		})
	}

	/// Returns the GPU's name, if the program starts and finds it. An error covers everything that may be missing: GPU, driver,
	/// CUDA's libraries.
	async fn probe(&self, patience: Duration) -> Result<String, String> {
		let probing = command(&self.program)
			.args(["probe", "--device", &self.device.to_string()])
			.stdin(Stdio::null())
			.output();
		let output = match timeout(patience, probing).await {
			Ok(Ok(output)) => output,
			Ok(Err(e)) => return Err(format!("{} cannot be started: {e}", self.program.display())),
			Err(_) => return Err(format!("its driver did not answer within {} s", patience.as_secs())),
		};
		if output.status.success() {
			return Ok(last_line(&output.stdout));
		}
		match last_line(&output.stderr) {
			line if line.is_empty() => Err(format!("{} ended with {}", self.program.display(), output.status)),
			line => Err(line),
		}
	}

	/// Returns the GPU if it can be used. Where it is required, a driver that is still starting is waited for.
	pub async fn find(self, patience: Duration, mut pause: Duration) -> Option<ActiveGpu> {
		if !self.program.is_file() {
			if self.required {
				self.log_given_up(&format!(
					"there is no {}: `make engine-cuda` builds it",
					self.program.display()
				));
			}
			return None;
		}
		let tries = if self.required { MAX_FAILURES } else { 1 };
		let mut why = String::new();
		for n in 1..=tries {
			match self.probe(patience).await {
				Ok(name) => {
					log::info!(target: LOG_TARGET, "The engine computes on a GPU: {name}");
					return Some(ActiveGpu {
						engine: self,
						failures: 0,
					});
				}
				Err(reason) => why = reason,
			}
			if n < tries {
				sleep(pause).await;
				pause = pause.saturating_mul(2);
			}
		}
		self.log_given_up(&why);
		None
	}

	fn log_given_up(&self, why: &str) {
		let level = if self.required {
			log::Level::Error
		} else {
			log::Level::Warn
		};
		log::log!(
			target: LOG_TARGET, level,
			"No GPU for the engine: {why}. It computes on the CPU, with the same bits; restart the node to look for a GPU again.",
		);
	}
}

/// A GPU that is in use, as long as it does not fail too often.
#[derive(Debug)]
pub struct ActiveGpu {
	engine: GpuEngine,
	/// Runs of the engine in a row that the GPU ended.
	failures: u32,
}

impl ActiveGpu {
	/// The program to start.
	pub fn program(&self) -> &Path {
		&self.engine.program
	}

	/// Arguments besides those of every engine.
	pub fn arguments(&self) -> [String; 2] {
		["--device".into(), self.engine.device.to_string()]
	}

	/// Counts how a run of the engine ended; true if the GPU is given up. `trusted_after` is how long it has to serve for
	/// earlier failures to be forgotten.
	pub fn is_given_up(&mut self, exit: &Exit, trusted_after: Duration) -> bool {
		let (failed, why) = match exit {
			Exit::NotStarted(why) => (true, why),
			Exit::Exited { reason, ready: None } => (true, &reason.message),
			Exit::Exited {
				reason: ExitReason { cause, message },
				ready: Some(since),
			} => (*cause == ExitCause::Device && since.elapsed() < trusted_after, message),
		};
		self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
		if self.failures < MAX_FAILURES {
			return false;
		}
		self.engine.log_given_up(&format!(
			"{MAX_FAILURES} starts in a row failed, the last one because {why}"
		));
		true
	}
}

fn last_line(output: &[u8]) -> String {
	let text = String::from_utf8_lossy(output);
	let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
	line.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect()
}

#[cfg(test)]
mod tests;
