//! What part of the computer the engine is given. The node comes first: it makes blocks on the same processor.

use assay_protocol::{process::NICE, ByteSize};
use std::{
	ffi::OsString,
	fs,
	path::{Path, PathBuf},
	thread::available_parallelism,
};

/// What the engine is told of memory and processor when it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
	/// Most memory it may allocate; none sets no limit.
	pub memory: Option<ByteSize>,
	/// Its niceness.
	pub nice: i32,
	/// Threads it computes on; none leaves that to it.
	pub threads: Option<usize>,
	/// Instruction set it computes with; none takes the best there is.
	pub tier: Option<String>,
	/// Memory for the keys and values of running works; none leaves that to it.
	pub kv_memory: Option<ByteSize>,
}

impl Default for Share {
	/// Three quarters of the memory, and all cores but one.
	///
	/// The free core is the node's: niceness alone makes the engine's threads wait for each other whenever the node takes a core from
	/// one of them. It costs the engine little, because one token after another is bound by memory, not by cores.
	fn default() -> Self {
		let cores = available_parallelism().map_or(1, usize::from);
		Self {
			memory: memory_of_computer().map(|bytes| ByteSize(bytes / 4 * 3)),
			nice: NICE,
			threads: Some(cores.saturating_sub(1).max(1)),
			tier: None,
			kv_memory: None,
		}
	}
}

impl Share {
	/// The arguments that tell the engine.
	pub fn arguments(&self) -> Vec<OsString> {
		let said = [
			("--memory-limit", self.memory.map(|bytes| bytes.to_string())),
			("--nice", Some(self.nice.to_string())),
			("--threads", self.threads.map(|n| n.to_string())),
			("--tier", self.tier.clone()),
			("--kv-memory", self.kv_memory.map(|bytes| bytes.to_string())),
		];
		said.into_iter()
			.filter_map(|(flag, value)| Some([flag.into(), value?.into()]))
			.flatten()
			.collect()
	}
}

/// ByteSize that this process and its children can have at most: what the computer has, or less in a container.
fn memory_of_computer() -> Option<u64> {
	let computer = total(&fs::read_to_string("/proc/meminfo").ok()?)?;
	let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
	let limits = control_groups(&groups)
		.into_iter()
		.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
	Some(limits.fold(computer, u64::min))
}

/// `MemTotal` of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
	let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
	let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
	kib.checked_mul(1024)
}

/// The files with the memory limits of a process's control group (version 2) and all groups above it.
fn control_groups(of_process: &str) -> Vec<PathBuf> {
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
	fn the_engine_is_told_what_was_chosen_and_nothing_else() {
		let share = Share {
			memory: Some(ByteSize(8 << 30)),
			nice: 5,
			threads: Some(3),
			tier: Some("avx2".into()),
			kv_memory: None,
		};
		assert_eq!(
			share.arguments(),
			[
				"--memory-limit",
				"8G",
				"--nice",
				"5",
				"--threads",
				"3",
				"--tier",
				"avx2"
			]
			.map(OsString::from)
		);
	}

	#[test]
	fn by_default_the_node_keeps_a_core_and_a_quarter_of_the_memory() {
		let share = Share::default();
		let cores = available_parallelism().map_or(1, usize::from);
		assert_eq!(share.threads, Some((cores - 1).max(1)));
		let memory = share.memory.expect("this computer tells how much it has").0;
		let all = total(&fs::read_to_string("/proc/meminfo").unwrap()).unwrap();
		assert!(memory > 0 && memory <= all / 4 * 3, "{memory} of {all}");
	}

	#[test]
	fn a_container_s_limit_is_looked_for_in_every_group_above() {
		let files = |text| {
			control_groups(text)
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
		assert_eq!(
			total("MemTotal:       24567890 kB\nMemFree: 1 kB"),
			Some(24_567_890 * 1024)
		);
		assert_eq!(total("nothing"), None);
	}
}
