//! The private folder of the engine's socket, and what killed nodes have left of theirs.

use super::LOG_TARGET;
use rustix::process::geteuid;
use std::{
	env, fs,
	fs::{File, OpenOptions, Permissions},
	io,
	os::unix::{
		fs::{MetadataExt, PermissionsExt},
		net::UnixStream,
	},
	path::{Path, PathBuf},
	time::Duration,
};
use tempfile::TempDir;

/// How such a folder's name begins; six characters by chance follow.
const PREFIX: &str = "assay-";
const CHANCE: usize = 6;
/// What lies in such a folder: the socket, and a file that its node holds locked as long as it lives.
const SOCKET: &str = "engine";
const LOCK: &str = "lock";
const MODE: u32 = 0o700;
/// Longest path of a folder, so that the socket's path fits a socket address with some air.
const MAX_PATH: usize = 90;
/// Where short paths are to be had.
const SHORT: &str = "/tmp";
/// An empty folder may be a node's that is just starting, until it is this old.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder that only this user can enter. It goes when this is dropped.
pub struct SocketFolder {
	folder: TempDir,
	_lock: File,
}

impl SocketFolder {
	/// Makes one.
	pub fn new() -> io::Result<Self> {
		let mut builder = tempfile::Builder::new();
		builder
			.prefix(PREFIX)
			.rand_bytes(CHANCE)
			.permissions(Permissions::from_mode(MODE));
		let mut folder = builder.tempdir()?;
		if folder.path().as_os_str().len() > MAX_PATH {
			folder = builder.tempdir_in(SHORT)?;
		}
		let lock = File::create(folder.path().join(LOCK))?;
		lock.try_lock()?;
		Ok(Self { folder, _lock: lock })
	}

	/// The socket's path in it.
	pub fn socket(&self) -> PathBuf {
		self.folder.path().join(SOCKET)
	}
}

/// Removes the folders of this user's nodes that died without removing them.
pub fn clear_stale() {
	let usual = env::temp_dir();
	let mut removed = clear_stale_in(&usual);
	if usual != Path::new(SHORT) {
		removed = removed.saturating_add(clear_stale_in(Path::new(SHORT)));
	}
	if removed > 0 {
		log::debug!(target: LOG_TARGET, "Removed {removed} socket folders that killed nodes had left");
	}
}

fn clear_stale_in(parent: &Path) -> usize {
	let Ok(entries) = fs::read_dir(parent) else { return 0 };
	let named = entries.filter_map(Result::ok).filter(|entry| {
		let name = entry.file_name();
		name.to_str()
			.and_then(|name| name.strip_prefix(PREFIX))
			.is_some_and(|rest| rest.len() == CHANCE && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
	});
	named
		.filter(|entry| remove_if_stale(&entry.path()).unwrap_or(false))
		.count()
}

/// Whether it was such a folder, its node dead, and is gone now. In doubt it stays.
fn remove_if_stale(folder: &Path) -> io::Result<bool> {
	let about = fs::symlink_metadata(folder)?;
	if !about.is_dir() || about.uid() != geteuid().as_raw() || about.mode() & 0o777 != MODE {
		return Ok(false);
	}
	let names = fs::read_dir(folder)?
		.map(|entry| entry.map(|e| e.file_name()))
		.collect::<io::Result<Vec<_>>>()?;
	if names.iter().any(|name| name != SOCKET && name != LOCK) {
		return Ok(false);
	}
	let (socket, lock) = (folder.join(SOCKET), folder.join(LOCK));
	// Held until the folder is gone: whoever finds it at the same time leaves it alone.
	let _held = match OpenOptions::new().write(true).open(&lock) {
		Ok(lock) => match lock.try_lock() {
			Ok(()) => Some(lock),
			Err(_) => return Ok(false),
		},
		Err(e) if e.kind() == io::ErrorKind::NotFound => {
			// Half made, or half removed, or of a node before there were locks.
			let dead = match UnixStream::connect(&socket) {
				Ok(_) => false,
				Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => true,
				Err(_) => about.modified()?.elapsed().is_ok_and(|age| age > YOUNG) && names.is_empty(),
			};
			if !dead {
				return Ok(false);
			}
			None
		}
		Err(e) => return Err(e),
	};
	for file in [socket, lock] {
		match fs::remove_file(file) {
			Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
			_ => {}
		}
	}
	// Only if nothing else has come to lie in it.
	fs::remove_dir(folder)?;
	Ok(true)
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::{os::unix::net::UnixListener, time::SystemTime};

	fn folder(parent: &Path, name: &str) -> PathBuf {
		let folder = parent.join(name);
		fs::create_dir(&folder).unwrap();
		fs::set_permissions(&folder, Permissions::from_mode(MODE)).unwrap();
		folder
	}

	/// A socket file whose listener is gone.
	fn dead_socket(folder: &Path) {
		drop(UnixListener::bind(folder.join(SOCKET)).unwrap());
	}

	#[test]
	fn only_this_user_can_enter_and_the_path_fits_an_address() {
		let made = SocketFolder::new().unwrap();
		assert_eq!(fs::metadata(made.folder.path()).unwrap().mode() & 0o777, 0o700);
		assert!(made.socket().as_os_str().len() < 108);
		drop(UnixListener::bind(made.socket()).unwrap());
	}

	#[test]
	fn what_dead_nodes_left_is_removed() {
		let parent = tempfile::tempdir().unwrap();
		let killed = folder(parent.path(), "assay-aaaaaa");
		dead_socket(&killed);
		File::create(killed.join(LOCK)).unwrap();
		let before_locks = folder(parent.path(), "assay-bbbbbb");
		dead_socket(&before_locks);
		let empty = folder(parent.path(), "assay-cccccc");
		let long_ago = SystemTime::now() - 2 * YOUNG;
		File::open(&empty).unwrap().set_modified(long_ago).unwrap();
		assert_eq!(clear_stale_in(parent.path()), 3);
		assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
	}

	#[test]
	fn what_lives_or_is_not_ours_stays() {
		let parent = tempfile::tempdir().unwrap();
		let locked = folder(parent.path(), "assay-aaaaaa");
		dead_socket(&locked);
		let lock = File::create(locked.join(LOCK)).unwrap();
		lock.lock().unwrap();
		let listening = folder(parent.path(), "assay-bbbbbb");
		let _listener = UnixListener::bind(listening.join(SOCKET)).unwrap();
		folder(parent.path(), "assay-cccccc"); // just made
		let others = folder(parent.path(), "assay-dddddd");
		dead_socket(&others);
		fs::write(others.join("journal"), b"").unwrap();
		dead_socket(&folder(parent.path(), "assay-longer-name"));
		let open = folder(parent.path(), "assay-eeeeee");
		dead_socket(&open);
		fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
		fs::write(parent.path().join("assay-ffffff"), b"a file").unwrap();
		let there = fs::read_dir(parent.path()).unwrap().count();
		assert_eq!(clear_stale_in(parent.path()), 0);
		assert_eq!(fs::read_dir(parent.path()).unwrap().count(), there);
		drop(lock);
		assert_eq!(clear_stale_in(parent.path()), 1, "now its node is dead");
	}
}
