//! What the engine's process may take from its computer. It sets this for itself, before its first thread starts.
//!
//! A node shares its computer with its engine, and comes first: the engine stands behind it in the scheduler's queue, allocates no
//! more than it was given, and is the one to go when the whole computer is short of memory.
//!
//! And how it ends when a graphics card fails: at once, because nothing done on that card in this process can be relied on any more.

use crate::{Error, Result};
use assay_protocol::{
	process::{DEVICE_FAULT, OUT_OF_MEMORY},
	ByteSize,
};
use rustix::process::{getpriority_process, getrlimit, setpriority_process, setrlimit, Resource, Rlimit};
use std::{fs, thread, time::Duration};

/// How much likelier than others the kernel ends this process when memory is short, in thousandths of all memory.
const OOM_SCORE: &str = "500";

/// How often an engine on a graphics card looks how much memory it has.
const LOOK: Duration = Duration::from_millis(250);

/// Ends the process if a graphics card failed, and hands any other error back.
pub fn end_if_device_failed(error: Error) -> Error {
	match error {
		Error::Device(why) => device_failed(&why),
		error => error,
	}
}

/// Ends the process because a graphics card failed.
pub fn device_failed(why: &str) -> ! {
	log::error!(
		"The graphics card failed: {}. This process ends; the next one proves itself anew.",
		why.replace('\n', "; ")
	);
	// Not exit(): that runs what the driver left to be done at the end, which may wait for the card for ever.
	// SAFETY: there is nothing that this process still has to write.
	unsafe { libc::_exit(DEVICE_FAULT) }
}

/// Limits on the command line of a program that plays the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Limits {
	/// Most memory to allocate, in bytes, or with K, M or G. Past it the process ends.
	#[arg(long, value_name = "BYTES")]
	pub memory_limit: Option<ByteSize>,
	/// Niceness, from 0 to 19: the higher, the sooner others get the processor.
	#[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
	pub nice: Option<i32>,
}

impl Limits {
	/// Sets the limits for this process. Threads inherit the niceness of the one that starts them: call this before any starts.
	pub fn apply(&self) -> Result<()> {
		self.apply_common()?;
		if let Some(ByteSize(bytes)) = self.memory_limit {
			// Data, not address space: files that are only mapped to be read, and pages that are only reserved, cost nothing.
			limit(Resource::Data, bytes).map_err(|e| Error::Limit(format!("memory {}: {e}", ByteSize(bytes))))?;
		}
		Ok(())
	}

	/// [`Self::apply`] for a process that computes on a graphics card.
	///
	/// A driver maps as much as all cards and the computer have together, so that one address means the same on each. A limit on what is
	/// mapped would end it before its first kernel; so a thread looks at the pages that are really there.
	pub fn apply_watching(&self) -> Result<()> {
		self.apply_common()?;
		let Some(most) = self.memory_limit else { return Ok(()) };
		if resident().is_none() {
			return Err(Error::Limit(
				"/proc/self/status doesn't say how much memory it has".into(),
			));
		}
		let watch = move || loop {
			if let Some(now) = resident().filter(|now| *now > most.0) {
				// The words by which the node knows this end from others.
				eprintln!("{OUT_OF_MEMORY}{now} bytes in all is past the limit of {most}");
				std::process::abort();
			}
			thread::sleep(LOOK);
		};
		let started = thread::Builder::new().name("memory".into()).spawn(watch);
		started.map_err(|e| Error::Limit(format!("no thread to watch the memory: {e}")))?;
		Ok(())
	}

	fn apply_common(&self) -> Result<()> {
		if let Some(nice) = self.nice {
			give_way(nice).map_err(|e| Error::Limit(format!("niceness {nice}: {e}")))?;
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

/// ByteSize of this process's own pages that are in memory.
fn resident() -> Option<u64> {
	own_pages(&fs::read_to_string("/proc/self/status").ok()?)
}

/// `RssAnon` of `/proc/self/status`: files that are only mapped to be read aren't in it.
fn own_pages(status: &str) -> Option<u64> {
	let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
	let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
	kib.checked_mul(1024)
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

#[cfg(test)]
mod tests {
	use super::*;

	/// Runs one of these tests again in a process of its own, which may end as it has to.
	fn alone(test: &str) -> std::process::Output {
		let program = std::env::current_exe().expect("this program");
		let mut command = std::process::Command::new(program);
		command.args(["--exact", "--nocapture", &format!("process::tests::{test}")]);
		command.env(ALONE, "1").output().expect("it starts")
	}

	const ALONE: &str = "ASSAY_TEST_ALONE";

	#[test]
	fn a_card_that_fails_ends_the_process_with_its_code() {
		if std::env::var_os(ALONE).is_some() {
			let other = end_if_device_failed(Error::Compute("a defect".into()));
			end_if_device_failed(Error::Device(format!("after {other}")));
		}
		let ended = alone("a_card_that_fails_ends_the_process_with_its_code");
		assert_eq!(ended.status.code(), Some(DEVICE_FAULT));
	}

	#[test]
	fn an_engine_on_a_card_ends_past_its_memory() {
		if std::env::var_os(ALONE).is_some() {
			let limits = Limits {
				memory_limit: Some(ByteSize(1)),
				nice: None,
			};
			limits.apply_watching().expect("a thread");
			thread::sleep(Duration::from_secs(60));
		}
		let ended = alone("an_engine_on_a_card_ends_past_its_memory");
		let said = String::from_utf8_lossy(&ended.stderr);
		assert!(said.lines().any(|line| line.starts_with(OUT_OF_MEMORY)), "{said}");
		assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6));
	}

	#[test]
	fn a_process_knows_its_own_pages() {
		assert_eq!(own_pages("VmRSS:\t  9 kB\nRssAnon:\t     3 kB\n"), Some(3 << 10));
		assert_eq!(own_pages("VmRSS: 9 kB"), None);
		let before = resident().expect("this computer tells");
		let written = std::hint::black_box(vec![1u8; 64 << 20]);
		assert!(
			resident() >= Some(before + (48 << 20)),
			"{before}, and {} written",
			written.len()
		);
	}
}
