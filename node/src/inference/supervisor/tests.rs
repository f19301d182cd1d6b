//! The supervisor against engines that are small shell scripts: they die, never connect, or are not there.

use super::{super::backend::EngineState, super::metrics::Metrics, *};
use prometheus_endpoint::Registry;
use std::{fs, fs::Permissions, os::unix::fs::PermissionsExt};

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
		..Supervised::new(program, models.to_path_buf(), Share::default())
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

/// Deaths by cause, as Prometheus sees them.
fn deaths(registry: &Registry) -> Vec<(String, u64)> {
	let families = registry.gather();
	let family = families
		.iter()
		.find(|family| family.get_name() == "assay_engine_deaths_total")
		.expect("registered from the start");
	family
		.get_metric()
		.iter()
		.map(|metric| {
			(
				metric.get_label()[0].get_value().to_owned(),
				metric.get_counter().get_value() as u64,
			)
		})
		.collect()
}

/// Which cause the end of a script is counted as.
async fn cause_of(body: &str) -> String {
	let folder = tempfile::tempdir().unwrap();
	let registry = Registry::new();
	let backend = Arc::new(Backend::new(None, Metrics::new(Some(&registry))));
	assert_eq!(deaths(&registry).len(), 4);
	assert!(deaths(&registry).iter().all(|(_, count)| *count == 0));
	let program = script(folder.path(), body);
	let running = tokio::spawn(supervise(backend.clone(), hasty(program, folder.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let counted: Vec<_> = deaths(&registry).into_iter().filter(|(_, count)| *count > 0).collect();
	assert_eq!(counted.len(), 1, "{counted:?}");
	counted[0].0.clone()
}

#[tokio::test]
async fn every_death_is_counted_by_its_cause() {
	assert_eq!(cause_of("exit 3").await, "crash");
	assert_eq!(cause_of("kill -9 $$").await, "crash");
	assert_eq!(cause_of("exec sleep 600").await, "hang");
	assert_eq!(
		cause_of("echo 'memory allocation of 4096 bytes failed' >&2; kill -6 $$").await,
		"memory"
	);
}

#[tokio::test]
async fn the_engine_is_told_its_share() {
	let folder = tempfile::tempdir().unwrap();
	let said = folder.path().join("arguments");
	let program = script(
		folder.path(),
		&format!("echo \"$@\" backtrace $RUST_BACKTRACE > {}", said.display()),
	);
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), hasty(program, folder.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let said = fs::read_to_string(said).unwrap();
	assert!(said.starts_with("serve --socket "), "{said}");
	assert!(said.trim_end().ends_with(" backtrace 0"), "{said}");
	assert!(
		said.contains(" --memory-limit ") && said.contains(" --nice 10"),
		"{said}"
	);
}
