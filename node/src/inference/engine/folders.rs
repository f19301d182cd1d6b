//! The model directories on disk: which the engine is to serve, and which no longer.
//!
//! They are looked at every few seconds. A directory is new once it has not changed from one look to the next, so that a copy
//! that goes on is left alone; one that the engine refused is tried again when it has changed.

use assay_protocol::is_directory_name;
use std::{
	collections::BTreeMap,
	fs::{self, Metadata},
	os::unix::fs::MetadataExt,
	path::{Path, PathBuf},
	time::Duration,
};
use tokio::{
	sync::mpsc,
	task::JoinHandle,
	time::{interval, MissedTickBehavior},
};

/// How often the directories are looked at.
pub const SCAN_INTERVAL: Duration = Duration::from_secs(5);

/// Most model directories that are served from; those beyond, in the order of their names, are left out.
const MAX_DIRECTORIES: usize = 1_024;
/// Most files of a directory that are looked at: a model has five.
const MAX_FILES: usize = 64;

/// What a directory is known by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
	/// Of each file: its name, length, time of its last change in nanoseconds, and number on its disk.
	content: BTreeMap<String, (u64, i128, u64)>,
	/// When an owner, right or name of a file last changed.
	attributes: i128,
}

impl Stamp {
	fn of(directory: &Path) -> Option<Self> {
		let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
		let changed = |of: &Metadata| nanoseconds(of.ctime(), of.ctime_nsec());
		let mut stamp = Self {
			attributes: changed(&fs::metadata(directory).ok()?),
			..Self::default()
		};
		for entry in fs::read_dir(directory).ok()?.flatten().take(MAX_FILES) {
			let Ok(of) = fs::metadata(entry.path()) else { continue };
			let written = nanoseconds(of.mtime(), of.mtime_nsec());
			stamp.attributes = stamp.attributes.max(changed(&of));
			let name = entry.file_name().to_string_lossy().into_owned();
			stamp.content.insert(name, (of.len(), written, of.ino()));
		}
		Some(stamp)
	}
}

/// Returns the model directories in `models`, by their names.
pub fn scan(models: &Path) -> BTreeMap<String, Stamp> {
	let entries = fs::read_dir(models).into_iter().flatten().flatten();
	let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
	let mut names: Vec<_> = names.filter(|name| is_directory_name(name)).collect();
	names.sort_unstable();
	let directories = names
		.into_iter()
		.filter(|name| models.join(name).is_dir())
		.take(MAX_DIRECTORIES);
	directories
		.filter_map(|name| Some((Stamp::of(&models.join(&name))?, name)))
		.map(|(stamp, name)| (name, stamp))
		.collect()
}

/// What the engine is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
	/// Serve this directory.
	Load(String),
	/// Serve it no longer.
	Unload(String),
}

/// What is known of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
	/// It was seen once, or changes.
	Changing,
	/// It is to be loaded.
	Complete,
	/// The engine loads it.
	Loading,
	Served,
	/// The engine refused it as it is.
	Refused,
	/// The engine is to serve it no longer, because it is gone or another.
	Unwanted,
	/// The engine ends its work.
	Unloading,
}

/// The directories, and how far the engine is with each.
#[derive(Debug, Default)]
pub struct Folders {
	known: BTreeMap<String, (Stamp, Known)>,
	/// Whether they have been looked at before.
	begun: bool,
}

impl Folders {
	/// Takes in what a look at the directories found. At the first look, what is there has been there for a while.
	pub fn seen(&mut self, mut found: BTreeMap<String, Stamp>) {
		self.known.retain(|name, (stamp, known)| {
			let now = found.remove(name);
			*known = next(*known, stamp, now.as_ref());
			// Of one that is in the engine's hands, what it was loaded from.
			if let (Some(now), false) = (
				&now,
				matches!(known, Known::Loading | Known::Unwanted | Known::Unloading),
			) {
				stamp.clone_from(now);
			}
			now.is_some() || matches!(known, Known::Loading | Known::Unwanted | Known::Unloading)
		});
		let first = if self.begun { Known::Changing } else { Known::Complete };
		self.known
			.extend(found.into_iter().map(|(name, stamp)| (name, (stamp, first))));
		self.begun = true;
	}

	/// Returns what the engine is to do next, as begun. It loads one directory at a time.
	pub fn next_step(&mut self) -> Option<Step> {
		let loading = self.known.values().any(|(_, known)| *known == Known::Loading);
		let (name, (_, known)) = self.known.iter_mut().find(|(_, (_, known))| match known {
			Known::Unwanted => true,
			Known::Complete => !loading,
			_ => false,
		})?;
		let (step, next): (fn(String) -> Step, _) = match known {
			Known::Unwanted => (Step::Unload, Known::Unloading),
			_ => (Step::Load, Known::Loading),
		};
		*known = next;
		Some(step(name.clone()))
	}

	/// Records that a directory is served. False if it was not to be loaded.
	pub fn loaded(&mut self, name: &str) -> bool {
		self.advance(name, Known::Loading, Known::Served)
	}

	/// Records that a directory was refused. False if it was not to be loaded.
	pub fn refused(&mut self, name: &str) -> bool {
		self.advance(name, Known::Loading, Known::Refused)
	}

	/// Records that a directory is no longer served, which may leave room for what was refused. False if it was not to be
	/// unloaded.
	pub fn unloaded(&mut self, name: &str) -> bool {
		if !self
			.known
			.get(name)
			.is_some_and(|(_, known)| *known == Known::Unloading)
		{
			return false;
		}
		// If it is still there, it is a new one.
		self.known.remove(name);
		for (_, known) in self.known.values_mut().filter(|(_, known)| *known == Known::Refused) {
			*known = Known::Complete;
		}
		true
	}

	/// Returns whether everything that was found is served or refused.
	pub fn is_settled(&self) -> bool {
		let waits = |known: &Known| matches!(known, Known::Complete | Known::Loading);
		self.begun && !self.known.values().any(|(_, known)| waits(known))
	}

	/// Returns whether a directory is there, or the engine has still to do with it.
	pub fn knows(&self, name: &str) -> bool {
		self.known.contains_key(name)
	}

	fn advance(&mut self, name: &str, from: Known, to: Known) -> bool {
		match self.known.get_mut(name) {
			Some((_, known)) if *known == from => {
				*known = to;
				true
			}
			_ => false,
		}
	}
}

/// Returns what is known of a directory that was as `before` says and now is so, or gone.
fn next(known: Known, before: &Stamp, now: Option<&Stamp>) -> Known {
	match (known, now) {
		// Owners and rights may change while it is served: the engine has read it.
		(Known::Served, now) if now.map(|now| &now.content) != Some(&before.content) => Known::Unwanted,
		(Known::Changing, Some(now)) if now == before => Known::Complete,
		(Known::Complete | Known::Refused, Some(now)) if now != before => Known::Changing,
		(known, _) => known,
	}
}

/// Looks at the directories every few seconds, for as long as this lives.
pub struct Watch {
	found: mpsc::Receiver<BTreeMap<String, Stamp>>,
	task: JoinHandle<()>,
}

impl Watch {
	/// Begins to look.
	pub fn start(models: PathBuf, every: Duration) -> Self {
		let (sender, found) = mpsc::channel(1);
		let task = tokio::spawn(async move {
			let mut ticks = interval(every);
			ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
			loop {
				ticks.tick().await;
				let models = models.clone();
				// A disk may keep one waiting.
				let Ok(found) = tokio::task::spawn_blocking(move || scan(&models)).await else {
					return;
				};
				if sender.send(found).await.is_err() {
					return;
				}
			}
		});
		Self { found, task }
	}

	/// Returns what the next look finds.
	pub async fn next(&mut self) -> BTreeMap<String, Stamp> {
		match self.found.recv().await {
			Some(found) => found,
			// The node shuts down.
			None => std::future::pending().await,
		}
	}
}

impl Drop for Watch {
	fn drop(&mut self) {
		self.task.abort();
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	fn stamp(content: u64, attributes: i128) -> Stamp {
		Stamp {
			content: [("manifest.json".to_owned(), (content, 1, 1))].into(),
			attributes,
		}
	}

	fn found<const N: usize>(directories: [(&str, Stamp); N]) -> BTreeMap<String, Stamp> {
		directories.map(|(name, stamp)| (name.to_owned(), stamp)).into()
	}

	fn load(name: &str) -> Option<Step> {
		Some(Step::Load(name.into()))
	}

	fn unload(name: &str) -> Option<Step> {
		Some(Step::Unload(name.into()))
	}

	#[test]
	fn what_is_there_at_first_is_loaded_one_after_the_other() {
		let mut folders = Folders::default();
		assert!(!folders.is_settled());
		folders.seen(found([("a", stamp(1, 1)), ("b", stamp(1, 1))]));
		assert_eq!((folders.next_step(), folders.next_step()), (load("a"), None));
		assert!(folders.loaded("a") && !folders.loaded("a") && !folders.loaded("b") && !folders.is_settled());
		assert_eq!(folders.next_step(), load("b"));
		assert!(folders.refused("b") && folders.is_settled());
	}

	#[test]
	fn a_copy_that_goes_on_is_left_alone_until_it_is_complete() {
		let mut folders = Folders::default();
		folders.seen(found([]));
		assert!(folders.is_settled());
		for size in 1..4 {
			folders.seen(found([("a", stamp(size, 1))]));
			assert_eq!(folders.next_step(), None);
			assert!(folders.is_settled());
		}
		folders.seen(found([("a", stamp(3, 1))]));
		assert_eq!(folders.next_step(), load("a"));
	}

	#[test]
	fn a_refused_directory_is_tried_again_when_it_has_changed() {
		let mut folders = Folders::default();
		folders.seen(found([("a", stamp(1, 1))]));
		assert_eq!(folders.next_step(), load("a"));
		assert!(folders.refused("a"));
		for _ in 0..3 {
			folders.seen(found([("a", stamp(1, 1))]));
			assert_eq!(folders.next_step(), None);
		}
		// Its owner is another: the engine may be able to read it now.
		folders.seen(found([("a", stamp(1, 2))]));
		assert_eq!(folders.next_step(), None);
		folders.seen(found([("a", stamp(1, 2))]));
		assert_eq!(folders.next_step(), load("a"));
	}

	#[test]
	fn a_served_directory_that_is_gone_or_another_is_unloaded_and_read_anew() {
		let mut folders = Folders::default();
		folders.seen(found([("a", stamp(1, 1)), ("b", stamp(1, 1))]));
		for name in ["a", "b"] {
			assert_eq!(folders.next_step(), load(name));
			assert!(folders.loaded(name));
		}
		folders.seen(found([("a", stamp(1, 7)), ("b", stamp(1, 1))]));
		assert_eq!(folders.next_step(), None, "rights are no content");
		folders.seen(found([("a", stamp(2, 7))]));
		assert_eq!((folders.next_step(), folders.next_step()), (unload("a"), unload("b")));
		assert_eq!(folders.next_step(), None);
		assert!(folders.unloaded("b") && !folders.unloaded("b") && folders.unloaded("a"));
		folders.seen(found([("a", stamp(2, 7))]));
		folders.seen(found([("a", stamp(2, 7))]));
		assert_eq!((folders.next_step(), folders.next_step()), (load("a"), None));
	}

	#[test]
	fn a_directory_that_goes_while_it_is_loaded_is_unloaded_at_once() {
		let mut folders = Folders::default();
		folders.seen(found([("a", stamp(1, 1))]));
		assert_eq!(folders.next_step(), load("a"));
		folders.seen(found([]));
		assert_eq!(folders.next_step(), None);
		assert!(folders.loaded("a"));
		folders.seen(found([]));
		assert_eq!(folders.next_step(), unload("a"));
	}

	#[test]
	fn room_that_a_model_leaves_is_offered_to_what_was_refused() {
		let mut folders = Folders::default();
		folders.seen(found([("a", stamp(1, 1)), ("b", stamp(1, 1))]));
		assert!(folders.next_step() == load("a") && folders.loaded("a"));
		assert!(folders.next_step() == load("b") && folders.refused("b"));
		folders.seen(found([("b", stamp(1, 1))]));
		assert!(folders.next_step() == unload("a") && folders.next_step().is_none());
		assert!(folders.unloaded("a"));
		assert_eq!(folders.next_step(), load("b"));
	}

	#[test]
	fn only_complete_directories_are_found_and_their_changes_are_seen() {
		let models = tempfile::tempdir().unwrap();
		let at = |name: &str| models.path().join(name);
		for name in ["model", "import.partial", ".hidden"] {
			fs::create_dir(at(name)).unwrap();
			fs::write(at(name).join("manifest.json"), "{}").unwrap();
		}
		fs::write(at("README"), "no model").unwrap();
		let before = scan(models.path());
		assert_eq!(before.keys().collect::<Vec<_>>(), ["model"]);
		assert_eq!(scan(models.path()), before);
		fs::write(at("model").join("model.safetensors"), "weights").unwrap();
		let after = scan(models.path());
		assert_ne!(after["model"].content, before["model"].content);
		fs::remove_dir_all(at("model")).unwrap();
		assert!(scan(models.path()).is_empty() && scan(&at("nothing")).is_empty());
	}
}
