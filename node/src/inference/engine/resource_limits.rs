//! What part of the machine the engine is given. The node comes first: it makes blocks on the same CPU.

use assay_protocol::{
	process::{proc_bytes, NICE},
	ByteSize,
};
use std::{
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	thread::available_parallelism,
};

/// Limits of memory and CPU, which the engine receives as arguments and sets for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLimits {
	/// Most memory it may allocate; none sets no limit.
	pub memory: Option<ByteSize>,
	/// Its niceness.
	pub nice: i32,
	/// Threads it computes on; none leaves that to the engine.
	pub threads: Option<usize>,
	/// Instruction set it computes with; none takes the best there is.
	pub isa: Option<String>,
	/// Memory for the keys and values of work in progress; none leaves that to the engine.
	pub kv_memory: Option<ByteSize>,
}

impl Default for ResourceLimits {
	/// Three quarters of the memory, and all cores but one.
	///
	/// The free core is the node's: niceness alone makes the engine's threads wait for each other whenever the node takes a
	/// core from one of them. It costs the engine little, because decoding is bound by memory, not by cores.
	fn default() -> Self {
		let cores = available_parallelism().map_or(1, usize::from);
		Self {
			memory: total_memory().map(|bytes| ByteSize(bytes / 4 * 3)),
			nice: NICE,
			threads: Some(cores.saturating_sub(1).max(1)),
			isa: None,
			kv_memory: None,
		}
	}
}

impl ResourceLimits {
	/// Returns them as arguments of the engine.
	pub fn arguments(&self) -> Vec<OsString> {
		let flags = [
			("--memory-limit", self.memory.map(|bytes| bytes.to_string())),
			("--nice", Some(self.nice.to_string())),
			("--threads", self.threads.map(|n| n.to_string())),
			("--isa", self.isa.clone()),
			("--kv-memory", self.kv_memory.map(|bytes| bytes.to_string())),
		];
		flags
			.into_iter()
			.filter_map(|(flag, value)| Some([flag.into(), value?.into()]))
			.flatten()
			.collect()
	}
}

/// Returns how many bytes this process and its children can have: what the machine has, or less in a container.
fn total_memory() -> Option<u64> {
	let machine = proc_bytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal")?;
	let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
	let limits = memory_limit_files(&groups)
		.into_iter()
		.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
	Some(limits.fold(machine, u64::min))
}

/// Returns the files with the memory limits of a process's control group (version 2) and all groups above it.
fn memory_limit_files(of_process: &str) -> Vec<PathBuf> {
	let root = Path::new("/sys/fs/cgroup");
	let group = of_process
		.lines()
		.find_map(|line| line.strip_prefix("0::/"))
		.unwrap_or_default();
	let group = Path::new(group);
	let plain = !group.components().any(|part| part.as_os_str() == "..");
	let groups = if plain {
		group.ancestors()
	} else {
		Path::new("").ancestors()
	};
	groups.map(|group| root.join(group).join("memory.max")).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn only_what_is_set_becomes_an_argument() {
		let limits = ResourceLimits {
			memory: Some(ByteSize(8 << 30)),
			nice: 5,
			threads: Some(3),
			isa: Some("avx2".into()),
			kv_memory: None,
		};
		assert_eq!(
			limits.arguments(),
			["--memory-limit", "8G", "--nice", "5", "--threads", "3", "--isa", "avx2"].map(OsString::from)
		);
	}

	#[test]
	fn by_default_the_node_keeps_a_core_and_a_quarter_of_the_memory() {
		let limits = ResourceLimits::default();
		let cores = available_parallelism().map_or(1, usize::from);
		assert_eq!(limits.threads, Some((cores - 1).max(1)));
		let memory = limits.memory.expect("this machine tells how much it has").0;
		let all = proc_bytes(&fs::read_to_string("/proc/meminfo").unwrap(), "MemTotal").unwrap();
		assert!(memory > 0 && memory <= all / 4 * 3, "{memory} of {all}");
	}

	#[test]
	fn a_container_s_limit_is_looked_for_in_every_group_above() {
		let files = |text| {
			memory_limit_files(text)
				.iter()
				.map(|path| path.to_string_lossy().into_owned())
				.collect::<Vec<_>>()
		};
		assert_eq!(
			files("0::/system.slice/assay.service\n"),
			[
				"/sys/fs/cgroup/system.slice/assay.service/memory.max",
				"/sys/fs/cgroup/system.slice/memory.max",
				"/sys/fs/cgroup/memory.max"
			]
		);
		assert_eq!(files("0::/../../other"), ["/sys/fs/cgroup/memory.max"]);
		assert_eq!(files(""), ["/sys/fs/cgroup/memory.max"]);
	}
}
