//! What the engine's process may take from its machine. It sets this for itself, before its first thread starts.
//!
//! A node shares its machine with its engine, and comes first: the engine has a higher niceness, allocates no more than it
//! was given, and is the one to go when the whole machine is short of memory.
//!
//! And how it exits when a GPU fails: at once, because nothing done on that GPU in this process can be relied on any more.

use crate::{Error, Result};
use assay_protocol::{
	process::{proc_bytes, DEVICE_FAULT, OUT_OF_MEMORY},
	ByteSize,
};
use rustix::process::{getpriority_process, getrlimit, setpriority_process, setrlimit, Resource, Rlimit};
use std::{
	fs::{self, File},
	io::{Read, Seek},
	thread,
	time::Duration,
};

/// How much likelier than others the kernel ends this process when memory is short, in thousandths of all memory.
const OOM_SCORE: &str = "500";

/// How often an engine on a GPU checks how much memory it has.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);

/// Ends the process if a GPU failed, and returns any other error.
pub fn end_if_device_failed(error: Error) -> Error {
	match error {
		Error::Device(why) => device_failed(&why),
		error => error,
	}
}

/// Ends the process because a GPU failed.
pub fn device_failed(why: &str) -> ! {
	log::error!(
		"The GPU failed: {}. This process ends; the next one runs its self-test again.",
		why.replace('\n', "; ")
	);
	// Not exit(): that runs what the driver left to be done at the end, which may wait for the GPU forever.
	// SAFETY: there is nothing that this process still has to write.
	unsafe { libc::_exit(DEVICE_FAULT) }
}

/// Limits on the command line of an engine program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct ProcessLimits {
	/// Most memory to allocate, in bytes, or with K, M or G. Past it the process ends.
	#[arg(long, value_name = "BYTES")]
	pub memory_limit: Option<ByteSize>,
	/// Niceness, from 0 to 19: the higher, the sooner others get the CPU.
	#[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..=19))]
	pub nice: Option<i32>,
}

impl ProcessLimits {
	/// Sets the limits for this process. Threads inherit the niceness of the one that starts them: call this before any starts.
	pub fn apply(&self) -> Result<()> {
		self.apply_common()?;
		if let Some(ByteSize(bytes)) = self.memory_limit {
			// Data, not address space: files that are only mapped to be read, and pages that are only reserved, cost nothing.
			limit(Resource::Data, bytes).map_err(|e| Error::Limit(format!("memory {}: {e}", ByteSize(bytes))))?;
		}
		Ok(())
	}

	/// [`Self::apply`] for a process that computes on a GPU. Returns what watches its memory, if that is limited; it is to be
	/// started when threads may be.
	///
	/// A driver maps as much as all GPUs and the machine have together, so that one address means the same on each. A limit
	/// on what is mapped would end the process before its first kernel; so a thread watches the pages that are resident.
	pub fn apply_to_gpu_process(&self) -> Result<Option<MemoryWatch>> {
		self.apply_common()?;
		self.memory_limit.map(MemoryWatch::open).transpose()
	}

	fn apply_common(&self) -> Result<()> {
		if let Some(nice) = self.nice {
			raise_niceness(nice).map_err(|e| Error::Limit(format!("niceness {nice}: {e}")))?;
		}
		// A dump of gigabytes of weights would fill the disk that the node writes its journal to.
		limit(Resource::Core, 0).map_err(|e| Error::Limit(format!("core dumps: {e}")))?;
		// Best effort: some containers forbid it.
		if let Err(e) = fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
			log::debug!("/proc/self/oom_score_adj: {e}");
		}
		Ok(())
	}
}

/// Ends the process when it has more memory than it may.
pub struct MemoryWatch {
	most: ByteSize,
	/// `/proc/self/status`, open since before the sandbox.
	status: File,
}

impl MemoryWatch {
	fn open(most: ByteSize) -> Result<Self> {
		let unknown = |why: String| {
			Error::Limit(format!(
				"/proc/self/status doesn't tell how much memory is resident{why}"
			))
		};
		let status = File::open("/proc/self/status").map_err(|e| unknown(format!(": {e}")))?;
		let watch = Self { most, status };
		watch.resident().ok_or_else(|| unknown(String::new()))?;
		Ok(watch)
	}

	/// Watches from now on, in a thread of its own.
	pub fn start(self) -> Result<()> {
		let watch = move || loop {
			if let Some(now) = self.resident().filter(|now| *now > self.most.0) {
				// The text by which the node tells this exit from others.
				eprintln!("{OUT_OF_MEMORY}{now} bytes in all is past the limit of {}", self.most);
				std::process::abort();
			}
			thread::sleep(WATCH_INTERVAL);
		};
		let started = thread::Builder::new().name("memory".into()).spawn(watch);
		started.map_err(|e| Error::Limit(format!("no thread to watch the memory: {e}")))?;
		Ok(())
	}

	/// Returns the bytes of this process's own resident pages. Files that are only mapped to be read aren't in it.
	fn resident(&self) -> Option<u64> {
		let mut text = String::new();
		let mut status = &self.status;
		status.rewind().ok()?;
		status.read_to_string(&mut text).ok()?;
		proc_bytes(&text, "RssAnon")
	}
}

/// Raises the niceness; one that is higher already stays, because going back takes privileges.
fn raise_niceness(nice: i32) -> rustix::io::Result<()> {
	let now = getpriority_process(None)?;
	if nice > now {
		setpriority_process(None, nice)?;
	}
	Ok(())
}

/// Lowers a limit permanently; one that is lower already stays.
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
	fn a_failed_gpu_ends_the_process_with_its_code() {
		if std::env::var_os(ALONE).is_some() {
			let other = end_if_device_failed(Error::Compute("a defect".into()));
			end_if_device_failed(Error::Device(format!("after {other}")));
		}
		let output = alone("a_failed_gpu_ends_the_process_with_its_code");
		assert_eq!(output.status.code(), Some(DEVICE_FAULT));
	}

	#[test]
	fn an_engine_on_a_gpu_ends_past_its_memory() {
		if std::env::var_os(ALONE).is_some() {
			let limits = ProcessLimits {
				memory_limit: Some(ByteSize(1)),
				nice: None,
			};
			let watch = limits.apply_to_gpu_process().expect("it is limited");
			watch.expect("memory is limited").start().expect("a thread");
			thread::sleep(Duration::from_secs(60));
		}
		let output = alone("an_engine_on_a_gpu_ends_past_its_memory");
		let stderr = String::from_utf8_lossy(&output.stderr);
		assert!(stderr.lines().any(|line| line.starts_with(OUT_OF_MEMORY)), "{stderr}");
		assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(6));
	}

	#[test]
	fn a_process_knows_its_resident_pages() {
		let watch = MemoryWatch::open(ByteSize(u64::MAX)).expect("this machine tells");
		let before = watch.resident().expect("this machine tells");
		let written = std::hint::black_box(vec![1u8; 64 << 20]);
		assert!(
			watch.resident() >= Some(before + (48 << 20)),
			"{before}, and {} written",
			written.len()
		);
	}
}
