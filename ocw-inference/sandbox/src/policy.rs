//! What a confined process may still do.

use std::path::{Path, PathBuf};

/// What a confined process may still open and call. Everything else is denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
	/// Directories that may be listed, with all below them.
	pub list: Vec<PathBuf>,
	/// Files that may be read, and directories with all below them. A path that does not exist grants nothing.
	pub read: Vec<PathBuf>,
	/// Device files that may be read, written and controlled.
	pub devices: Vec<PathBuf>,
	/// Whether the driver of an NVIDIA GPU makes its system calls in this process.
	pub gpu: bool,
}

/// Where NVIDIA's driver and CUDA's libraries read. None of it is secret on an ordinary machine.
const DRIVER_READS: [&str; 20] = [
	// Libraries, and where the dynamic linker looks for them.
	"/lib",
	"/lib64",
	"/usr/lib",
	"/usr/lib64",
	"/usr/local/lib",
	"/usr/local/cuda",
	"/usr/local/nvidia",
	"/opt/cuda",
	"/etc/ld.so.cache",
	"/etc/nvidia",
	// The driver's version and settings, and which modules and devices there are.
	"/proc/driver/nvidia",
	"/proc/devices",
	"/proc/modules",
	"/sys/bus/pci",
	"/sys/module",
	// Memory and CPUs of the machine, and the process's own.
	"/proc/cpuinfo",
	"/proc/meminfo",
	"/proc/sys/vm",
	"/proc/self",
	"/sys/devices",
];

impl Policy {
	/// An engine on the CPU that serves the directories `models`, which are in `parent`.
	pub fn serving(parent: &Path, models: Vec<PathBuf>) -> Self {
		Self {
			list: vec![parent.into()],
			read: models,
			..Self::default()
		}
	}

	/// Adds what the driver of an NVIDIA GPU needs: its device files, what it reads about the machine, and the libraries that
	/// CUDA loads late, from the system's directories and those in `LD_LIBRARY_PATH`.
	pub fn with_gpu(mut self) -> Self {
		self.gpu = true;
		self.read.extend(DRIVER_READS.map(PathBuf::from));
		self.read.extend(library_directories());
		self.devices.extend(device_files());
		self
	}
}

/// Returns the directories that `LD_LIBRARY_PATH` names, and those of the libraries that this process has loaded: CUDA's may
/// be where its compiler was installed, and load others from beside them.
fn library_directories() -> Vec<PathBuf> {
	let named = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
	let named = std::env::split_paths(&named).filter(|path| path.is_absolute());
	let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
	let loaded = maps.lines().filter_map(library_directory);
	let mut directories: Vec<_> = named.chain(loaded).collect();
	directories.sort();
	directories.dedup();
	directories
}

/// Returns the directory of the library that a line of `/proc/self/maps` is about, if it is about one.
fn library_directory(line: &str) -> Option<PathBuf> {
	let path = Path::new(line.get(line.find('/')?..)?);
	let name = path.file_name()?.to_str()?;
	(name.ends_with(".so") || name.contains(".so."))
		.then(|| path.parent().map(Path::to_path_buf))
		.flatten()
}

/// Returns NVIDIA's device files that there are now.
fn device_files() -> Vec<PathBuf> {
	let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
	let names = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("nvidia"));
	names.map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_directory_of_a_loaded_library_is_found_in_its_line() {
		let line = |path: &str| format!("7f00-7f01 r-xp 00000000 fe:00 99      {path}");
		let directory = |path: &str| library_directory(&line(path));
		assert_eq!(directory("/opt/c u/libcublas.so.13"), Some("/opt/c u".into()));
		assert_eq!(directory("/lib/x86_64/libc.so"), Some("/lib/x86_64".into()));
		for other in ["/usr/bin/assay-engine", "[heap]", "", "/home/me/notes.some"] {
			assert_eq!(directory(other), None, "{other}");
		}
	}

	#[test]
	fn without_a_gpu_nothing_but_models_is_opened() {
		let models = vec![PathBuf::from("/m/a")];
		let policy = Policy::serving(Path::new("/m"), models.clone());
		assert_eq!((policy.list.len(), &policy.read), (1, &models));
		assert!(policy.devices.is_empty() && !policy.gpu);
		let gpu = policy.with_gpu();
		assert!(gpu.gpu && gpu.read.len() > models.len());
	}
}
