//! The engine on a graphics card: whether there is a card for it, and when to go on without.
//!
//! The bits are the processor's, so a node loses nothing but time when it goes on there. It does so when the card can't be used at
//! the start, and when the card fails again and again; a single failure is answered by starting anew.

use super::{
	metrics::Cause,
	supervisor::{Death, End},
	LOG_TARGET,
};
use std::{
	fmt,
	path::{Path, PathBuf},
	process::Stdio,
	str::FromStr,
	time::Duration,
};
use tokio::{
	process::Command,
	time::{sleep, timeout},
};

/// Failures in a row after which the engine goes on without its card.
pub const MAX_FAILURES: u32 = 3;

/// How long a program may look for its card. Drivers that nobody uses need some seconds to start.
pub const PROBE: Duration = Duration::from_secs(30);

/// Longest word of a program that goes to the log.
const MAX_WORDS: usize = 400;

/// What the engine computes on. The bits are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
	/// A graphics card if there is one and a program for it, else the processor.
	#[default]
	Auto,
	/// The processor.
	Cpu,
	/// This NVIDIA card, counted from 0.
	Cuda(u32),
}

impl FromStr for Device {
	type Err = String;

	fn from_str(text: &str) -> Result<Self, String> {
		match text.split_once(':') {
			None if text == "auto" => Some(Self::Auto),
			None if text == "cpu" => Some(Self::Cpu),
			None if text == "cuda" => Some(Self::Cuda(0)),
			Some(("cuda", number)) => number.parse().ok().map(Self::Cuda),
			_ => None,
		}
		.ok_or_else(|| "auto, cpu, cuda, or cuda:1 for the second card".into())
	}
}

impl fmt::Display for Device {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		match self {
			Self::Auto => f.write_str("auto"),
			Self::Cpu => f.write_str("cpu"),
			Self::Cuda(number) => write!(f, "cuda:{number}"),
		}
	}
}

/// The engine's program for a graphics card, which comes before the one for the processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnCard {
	/// The program.
	pub program: PathBuf,
	/// Which card, counted from 0.
	pub device: u32,
	/// Somebody asked for it by name, and is told loudly when it can't be had.
	pub named: bool,
}

impl OnCard {
	/// What is asked for, of a program that lies at `program`. Somebody who names another program means that one, unless a card is
	/// named too.
	pub fn chosen(device: Device, another: bool, program: PathBuf) -> Option<Self> {
		let (device, named) = match device {
			Device::Cpu => return None,
			Device::Auto if another => return None,
			Device::Auto => (0, false),
			Device::Cuda(device) => (device, true),
		};
		Some(Self { program, device, named })
	}

	/// The card's name, if the program starts and finds it. Everything that may be missing is found so: card, driver, CUDA's libraries.
	async fn probe(&self, patience: Duration) -> Result<String, String> {
		let asked = Command::new(&self.program)
			.args(["probe", "--device", &self.device.to_string()])
			.stdin(Stdio::null())
			.kill_on_drop(true)
			.output();
		let said = match timeout(patience, asked).await {
			Ok(Ok(said)) => said,
			Ok(Err(e)) => return Err(format!("{} cannot be started: {e}", self.program.display())),
			Err(_) => return Err(format!("its driver did not answer within {} s", patience.as_secs())),
		};
		if said.status.success() {
			return Ok(last_line(&said.stdout));
		}
		match last_line(&said.stderr) {
			words if words.is_empty() => Err(format!("{} ended with {}", self.program.display(), said.status)),
			words => Err(words),
		}
	}

	/// Whether there is a card to use. Where one is asked for by name, a driver that's still starting is waited for.
	pub async fn find(self, patience: Duration, mut pause: Duration) -> Option<Trial> {
		if !self.program.is_file() {
			if self.named {
				self.give_up(&format!(
					"there is no {}: `make engine-cuda` builds it",
					self.program.display()
				));
			}
			return None;
		}
		let tries = if self.named { MAX_FAILURES } else { 1 };
		let mut why = String::new();
		for n in 1..=tries {
			match self.probe(patience).await {
				Ok(card) => {
					log::info!(target: LOG_TARGET, "The engine computes on a graphics card: {card}");
					return Some(Trial { on: self, failures: 0 });
				}
				Err(said) => why = said,
			}
			if n < tries {
				sleep(pause).await;
				pause = pause.saturating_mul(2);
			}
		}
		self.give_up(&why);
		None
	}

	fn give_up(&self, why: &str) {
		let level = if self.named {
			log::Level::Error
		} else {
			log::Level::Warn
		};
		log::log!(
			target: LOG_TARGET, level,
			"No graphics card for the engine: {why}. It computes on the processor, with the same bits; restart the node to look for a \
			 card again.",
		);
	}
}

/// A card that is in use, as long as it does well.
#[derive(Debug)]
pub struct Trial {
	on: OnCard,
	/// Lives of the engine in a row that the card ended.
	failures: u32,
}

impl Trial {
	/// The program to start.
	pub fn program(&self) -> &Path {
		&self.on.program
	}

	/// What it is told beside what every engine is told.
	pub fn arguments(&self) -> [String; 2] {
		["--device".into(), self.on.device.to_string()]
	}

	/// Takes note of how a life of the engine ended; true if that was enough. `long` is how long it has to serve to be trusted anew.
	pub fn is_over(&mut self, death: &Death, long: Duration) -> bool {
		let (card, why) = match death {
			Death::NotStarted(why) => (true, why),
			Death::Died {
				end: End { why, .. },
				ready: None,
			} => (true, why),
			Death::Died {
				end: End { cause, why },
				ready: Some(since),
			} => (*cause == Cause::Device && since.elapsed() < long, why),
		};
		self.failures = if card { self.failures.saturating_add(1) } else { 0 };
		if self.failures < MAX_FAILURES {
			return false;
		}
		self.on.give_up(&format!(
			"{MAX_FAILURES} starts in a row failed, the last one because {why}"
		));
		true
	}
}

fn last_line(output: &[u8]) -> String {
	let text = String::from_utf8_lossy(output);
	let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
	line.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests;
