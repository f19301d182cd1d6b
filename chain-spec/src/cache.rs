//! The genesis states of presets, which nodes keep from one start to the next.

use super::ChainSpec;
use std::{
	fs::{self, File},
	path::{Path, PathBuf},
	time::{Duration, SystemTime},
};

/// Most states that a directory keeps, each with more than a megabyte. Every build has its own, the tests of one build need
/// five, and clones share the directory.
const MAX_STATES: usize = 16;
/// The age from which a file that somebody was writing has been given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60 * 60);
/// Digits of a state's name, a hash.
const NAME_DIGITS: usize = 64;

/// Returns the same chain with its genesis state in place of the preset that it follows from. A preset is built by the
/// runtime, for which the runtime is compiled: five seconds of CPU at each start. The directory keeps what was built.
///
/// # Errors
///
/// Explains why the runtime builds no state. A directory that cannot be written costs time only.
pub fn with_state(spec: &ChainSpec, cache: &Path) -> Result<ChainSpec, String> {
	let plain = spec.as_json(false)?;
	let name = sp_crypto_hashing::blake2_256(plain.as_bytes());
	let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
	let directory = cache.join("specs");
	let path = directory.join(name);
	if let Some(kept) = read(&path) {
		return Ok(kept);
	}
	let raw = spec.as_json(true)?;
	keep(&path, raw.as_bytes());
	prune(&directory);
	ChainSpec::from_json_bytes(raw.into_bytes())
}

fn read(path: &Path) -> Option<ChainSpec> {
	let spec = ChainSpec::from_json_bytes(fs::read(path).ok()?).ok()?;
	// What is used stays longer than what is not.
	let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
	Some(spec)
}

/// Writes a file whole, also beside other nodes that write the same, or not at all.
fn keep(path: &Path, bytes: &[u8]) {
	let beside = path.with_extension(std::process::id().to_string());
	let directory = path.parent().map_or(Ok(()), fs::create_dir_all);
	let written = directory.and_then(|()| fs::write(&beside, bytes));
	let _ = written.and_then(|()| fs::rename(&beside, path));
}

/// Removes the states that were used longest ago, and what nodes left that ended while they wrote. Other nodes may do the
/// same at once: one that misses a state builds it again.
fn prune(directory: &Path) {
	let Ok(files) = fs::read_dir(directory) else { return };
	let mut states: Vec<(SystemTime, PathBuf)> = Vec::new();
	for file in files.flatten() {
		let Ok(used) = file.metadata().and_then(|facts| facts.modified()) else {
			continue;
		};
		let path = file.path();
		let name = path.file_stem().unwrap_or_default().as_encoded_bytes();
		if name.len() != NAME_DIGITS || !name.iter().all(u8::is_ascii_hexdigit) {
			continue;
		}
		if path.extension().is_none() {
			states.push((used, path));
		} else if used.elapsed().is_ok_and(|age| age > GIVEN_UP_AFTER) {
			let _ = fs::remove_file(path);
		}
	}
	states.sort_unstable();
	let surplus = states.len().saturating_sub(MAX_STATES);
	for (_, path) in states.into_iter().take(surplus) {
		let _ = fs::remove_file(path);
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::{development, WASM_BINARY};
	use std::thread;

	fn directory(name: &str) -> PathBuf {
		let path = std::env::temp_dir().join(format!("assay-chain-spec-{}-{name}", std::process::id()));
		let _ = fs::remove_dir_all(&path);
		fs::create_dir_all(&path).unwrap();
		path
	}

	/// Writes a file that was last used so many seconds ago, and returns its path.
	fn used_before(directory: &Path, name: &str, seconds: u64) -> PathBuf {
		let path = directory.join(name);
		let file = File::create(&path).unwrap();
		file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
			.unwrap();
		path
	}

	fn state(n: usize) -> String {
		format!("{n:064x}")
	}

	#[test]
	fn a_state_is_built_once_and_read_from_then_on() {
		if WASM_BINARY.is_none() {
			eprintln!("NOT RUN: built without the Wasm runtime");
			return;
		}
		let cache = directory("cache");
		let spec = development().unwrap();
		let built = with_state(&spec, &cache).unwrap().as_json(true).unwrap();
		assert_eq!(built, spec.as_json(true).unwrap());
		let mut files = fs::read_dir(cache.join("specs")).unwrap();
		let path = files.next().unwrap().unwrap().path();
		// What is kept is what is read.
		let renamed = built.replacen("Assay Development", "Another", 1);
		fs::write(&path, &renamed).unwrap();
		assert_eq!(with_state(&spec, &cache).unwrap().name(), "Another");
		// What cannot be read is built again.
		fs::write(&path, "{").unwrap();
		assert_eq!(with_state(&spec, &cache).unwrap().name(), "Assay Development");
		fs::remove_dir_all(&cache).unwrap();
	}

	#[test]
	fn the_states_that_were_used_longest_ago_are_removed() {
		let specs = directory("prune");
		let states: Vec<PathBuf> = (0..MAX_STATES + 3)
			.map(|n| used_before(&specs, &state(n), 100 * n as u64))
			.collect();
		let given_up = used_before(&specs, &format!("{}.17", state(0)), 3_700);
		let others = [
			used_before(&specs, &format!("{}.18", state(1)), 3_500),
			used_before(&specs, "notes", 1_000_000),
			used_before(&specs, &"x".repeat(64), 1_000_000),
		];
		prune(&specs);
		let (kept, removed) = states.split_at(MAX_STATES);
		assert!(kept.iter().all(|path| path.exists()));
		assert!(!removed.iter().any(|path| path.exists()));
		assert!(!given_up.exists(), "nobody goes on writing it");
		assert!(
			others.iter().all(|path| path.exists()),
			"still being written, or not ours"
		);
		fs::remove_dir_all(&specs).unwrap();
	}

	#[test]
	fn nodes_that_prune_at_once_leave_the_same_states() {
		let specs = directory("at-once");
		let names: Vec<String> = (0..8 * MAX_STATES).map(state).collect();
		thread::scope(|scope| {
			for names in names.chunks(MAX_STATES) {
				let specs = &specs;
				scope.spawn(move || {
					for name in names {
						keep(&specs.join(name), name.as_bytes());
						prune(specs);
					}
				});
			}
		});
		prune(&specs);
		let left: Vec<PathBuf> = fs::read_dir(&specs).unwrap().map(|file| file.unwrap().path()).collect();
		assert_eq!(left.len(), MAX_STATES);
		for path in left {
			assert_eq!(
				fs::read(&path).unwrap(),
				path.file_name().unwrap().as_encoded_bytes(),
				"whole"
			);
		}
		fs::remove_dir_all(&specs).unwrap();
	}
}
