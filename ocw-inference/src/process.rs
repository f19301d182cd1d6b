//! What the engine's process may take from its computer. It sets this for itself, before its first thread starts.
//!
//! A node shares its computer with its engine, and comes first: the engine stands behind it in the scheduler's queue, allocates no
//! more than it was given, and is the one to go when the whole computer is short of memory.

use crate::{Error, Result};
use rustix::process::{getpriority_process, getrlimit, setpriority_process, setrlimit, Resource, Rlimit};
use std::{fmt, fs, str::FromStr};

/// Niceness that a node gives its engine: about a tenth of the processor's time where both want all of it.
pub const NICE: i32 = 10;

/// How much likelier than others the kernel ends this process when memory is short, in thousandths of all memory.
const OOM_SCORE: &str = "500";

/// How the standard library begins its last words when an allocation fails.
pub const OUT_OF_MEMORY: &str = "memory allocation of ";

/// Limits on the command line of a program that plays the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Limits {
	/// Most memory to allocate, in bytes, or with K, M or G. Past it the process ends.
	#[arg(long, value_name = "BYTES")]
	pub memory_limit: Option<Bytes>,
	/// Niceness, from 0 to 19: the higher, the sooner others get the processor.
	#[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
	pub nice: Option<i32>,
}

impl Limits {
	/// Sets the limits for this process. Threads inherit the niceness of the one that starts them: call this before any starts.
	pub fn apply(&self) -> Result<()> {
		if let Some(nice) = self.nice {
			give_way(nice).map_err(|e| Error::Limit(format!("niceness {nice}: {e}")))?;
		}
		if let Some(Bytes(bytes)) = self.memory_limit {
			// Data, not address space: files that are only mapped to be read, and pages that are only reserved, cost nothing.
			limit(Resource::Data, bytes).map_err(|e| Error::Limit(format!("memory {}: {e}", Bytes(bytes))))?;
		}
		// A dump of gigabytes of weights would fill a disk that the node writes its votes to.
		limit(Resource::Core, 0).map_err(|e| Error::Limit(format!("core dumps: {e}")))?;
		// Only a wish: some containers forbid it.
		if let Err(e) = fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
			log::debug!("/proc/self/oom_score_adj: {e}");
		}
		Ok(())
	}
}

/// Raises the niceness; one that is higher already stays, because going back takes privileges.
fn give_way(nice: i32) -> rustix::io::Result<()> {
	let now = getpriority_process(None)?;
	if nice > now {
		setpriority_process(None, nice)?;
	}
	Ok(())
}

/// Lowers a limit for good; one that is lower already stays.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
	let most = getrlimit(resource).maximum.map_or(most, |now| now.min(most));
	let both = Rlimit {
		current: Some(most),
		maximum: Some(most),
	};
	setrlimit(resource, both)
}

/// A number of bytes, as people write it: `512M`, `8G`, `1073741824`. K, M and G are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

const UNITS: [(char, u32); 3] = [('G', 30), ('M', 20), ('K', 10)];

impl FromStr for Bytes {
	type Err = String;

	fn from_str(text: &str) -> std::result::Result<Self, String> {
		let unit = UNITS
			.iter()
			.find(|(unit, _)| text.to_ascii_uppercase().ends_with(*unit));
		let digits = if unit.is_some() {
			text.get(..text.len().saturating_sub(1))
		} else {
			Some(text)
		};
		let power = unit.map_or(1, |(_, power)| 1u64 << power);
		digits
			.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
			.and_then(|digits| digits.parse::<u64>().ok())
			.and_then(|count| count.checked_mul(power))
			.map(Bytes)
			.ok_or_else(|| format!("`{text}` is no number of bytes like 512M, 8G or 1073741824"))
	}
}

/// The shortest form that [`FromStr`] reads as the same number.
impl fmt::Display for Bytes {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let whole = |power: u32| self.0 > 0 && self.0.is_multiple_of(1u64 << power);
		match UNITS.iter().find(|(_, power)| whole(*power)) {
			Some((unit, power)) => write!(f, "{}{unit}", self.0 >> power),
			None => write!(f, "{}", self.0),
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn bytes_are_read_as_they_are_written() {
		for (text, bytes) in [
			("0", 0),
			("1000", 1000),
			("4K", 4096),
			("512m", 512 << 20),
			("8G", 8 << 30),
		] {
			let read: Bytes = text.parse().expect(text);
			assert_eq!(read, Bytes(bytes), "{text}");
			assert_eq!(read.to_string().parse(), Ok(read));
		}
		for wrong in ["", "G", "-1", "+1", "1.5G", "1GB", "1 G", "99999999999G", "ß"] {
			assert!(wrong.parse::<Bytes>().is_err(), "{wrong}");
		}
	}
}
