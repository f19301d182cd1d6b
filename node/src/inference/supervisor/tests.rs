//! The supervisor against engines that are small shell scripts: they die, never connect, or are not there.

use super::{super::backend::EngineState, super::metrics::Metrics, *};
use std::fs;

fn script(folder: &Path, body: &str) -> PathBuf {
	let path = folder.join("engine.sh");
	// Written under another name and moved: a file that is open for writing cannot be executed.
	let beside = folder.join("engine.sh.new");
	fs::write(&beside, format!("#!/bin/sh\n{body}\n")).unwrap();
	fs::set_permissions(&beside, Permissions::from_mode(0o755)).unwrap();
	fs::rename(beside, &path).unwrap();
	path
}

fn hasty(program: PathBuf, models: &Path) -> Supervised {
	Supervised {
		limits: Limits {
			connect: Duration::from_secs(2),
			..Limits::DEFAULT
		},
		pause: Duration::from_millis(10),
		longest_pause: Duration::from_millis(40),
		..Supervised::new(program, models.to_path_buf())
	}
}

async fn until(backend: &Backend, what: impl Fn(&super::super::EngineStatus) -> bool) {
	for _ in 0..1_000 {
		if what(&backend.status()) {
			return;
		}
		sleep(Duration::from_millis(10)).await;
	}
	panic!("never happened: {:?}", backend.status());
}

#[tokio::test]
async fn an_engine_that_exits_is_started_again_and_again_and_the_reason_is_kept() {
	let folder = tempfile::tempdir().unwrap();
	let starts = folder.path().join("starts");
	let program = script(
		folder.path(),
		&format!("echo started >> {}; echo trouble >&2; exit 3", starts.display()),
	);
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), hasty(program, folder.path())));
	until(&backend, |status| status.restarts >= 3).await;
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
	assert!(fs::read_to_string(starts).unwrap().lines().count() >= 3);
}

#[tokio::test]
async fn an_engine_that_never_connects_is_ended_with_its_process() {
	let folder = tempfile::tempdir().unwrap();
	let pid = folder.path().join("pid");
	let program = script(folder.path(), &format!("echo $$ > {}; exec sleep 600", pid.display()));
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), hasty(program, folder.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	drop(running.await);
	assert!(backend.status().last_error.unwrap().starts_with("it did not connect"));
	for _ in 0..500 {
		let pid = fs::read_to_string(&pid).unwrap();
		if !Path::new("/proc").join(pid.trim()).exists() {
			return;
		}
		sleep(Duration::from_millis(10)).await;
	}
	panic!("the engine outlived its supervisor");
}

#[tokio::test]
async fn a_missing_engine_is_absent_and_found_when_it_comes() {
	let folder = tempfile::tempdir().unwrap();
	let program = folder.path().join("engine.sh");
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), hasty(program, folder.path())));
	until(&backend, |status| {
		status.last_error.as_deref().is_some_and(|e| e.contains("--engine"))
	})
	.await;
	assert_eq!(backend.status().state, EngineState::Absent);
	script(folder.path(), "exit 0");
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 0")
	})
	.await;
	running.abort();
}

#[tokio::test]
async fn the_socket_lies_in_a_folder_that_only_this_user_can_enter() {
	let (folder, socket) = socket_folder().unwrap();
	assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
	assert!(socket.as_os_str().len() < 108);
	drop(UnixListener::bind(&socket).unwrap());
}
