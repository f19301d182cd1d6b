//! The supervisor against engines that are small shell scripts: they exit, never get ready, or are not there.

use super::*;
use crate::inference::{backend::EngineState, metrics::Metrics, EngineStatus, WatchedShare};
use assay_protocol::Response;
use codec::Encode;
use prometheus_endpoint::Registry;
use std::{fs, fs::Permissions, os::unix::fs::PermissionsExt};

fn script(directory: &Path, body: &str) -> PathBuf {
	script_named(directory, "engine.sh", body)
}

fn script_named(directory: &Path, name: &str, body: &str) -> PathBuf {
	let path = directory.join(name);
	// Written under another name and moved: a file that is open for writing cannot be executed.
	let beside = directory.join(format!("{name}.new"));
	fs::write(&beside, format!("#!/bin/sh\n{body}\n")).unwrap();
	fs::set_permissions(&beside, Permissions::from_mode(0o755)).unwrap();
	fs::rename(beside, &path).unwrap();
	path
}

fn impatient(program: PathBuf, models: &Path) -> SupervisorOptions {
	SupervisorOptions {
		timeouts: Timeouts {
			ready: Duration::from_secs(2),
			..Timeouts::DEFAULT
		},
		min_pause: Duration::from_millis(10),
		max_pause: Duration::from_millis(40),
		..SupervisorOptions::new(program, models.to_path_buf(), ResourceLimits::default())
	}
}

async fn until(backend: &Backend, what: impl Fn(&EngineStatus) -> bool) {
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
	let directory = tempfile::tempdir().unwrap();
	let starts = directory.path().join("starts");
	let program = script(
		directory.path(),
		&format!("echo started >> {}; echo trouble >&2; exit 3", starts.display()),
	);
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), impatient(program, directory.path())));
	until(&backend, |status| status.restarts >= 3).await;
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
	assert!(fs::read_to_string(starts).unwrap().lines().count() >= 3);
}

#[tokio::test]
async fn an_engine_that_is_never_ready_is_ended_with_its_process() {
	let directory = tempfile::tempdir().unwrap();
	let pid = directory.path().join("pid");
	let program = script(
		directory.path(),
		&format!("echo $$ > {}; exec sleep 600", pid.display()),
	);
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), impatient(program, directory.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	drop(running.await);
	assert!(backend
		.status()
		.last_error
		.unwrap()
		.starts_with("the engine was not ready"));
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
	let directory = tempfile::tempdir().unwrap();
	let program = directory.path().join("engine.sh");
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), impatient(program, directory.path())));
	until(&backend, |status| {
		status.last_error.as_deref().is_some_and(|e| e.contains("--engine"))
	})
	.await;
	assert_eq!(backend.status().state, EngineState::Absent);
	script(directory.path(), "exit 0");
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 0")
	})
	.await;
	running.abort();
}

/// Exits by cause, as Prometheus receives them.
fn exits(registry: &Registry) -> Vec<(String, u64)> {
	let families = registry.gather();
	let family = families
		.iter()
		.find(|family| family.get_name() == "assay_engine_exits_total")
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
	let directory = tempfile::tempdir().unwrap();
	let registry = Registry::new();
	let backend = Arc::new(Backend::new(
		None,
		WatchedShare::default(),
		Metrics::new(Some(&registry)),
	));
	assert_eq!(exits(&registry).len(), 5);
	assert!(exits(&registry).iter().all(|(_, count)| *count == 0));
	let program = script(directory.path(), body);
	let running = tokio::spawn(supervise(backend.clone(), impatient(program, directory.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let counted: Vec<_> = exits(&registry).into_iter().filter(|(_, count)| *count > 0).collect();
	assert_eq!(counted.len(), 1, "{counted:?}");
	counted[0].0.clone()
}

#[tokio::test]
async fn every_exit_is_counted_by_its_cause() {
	assert_eq!(cause_of("exit 3").await, "crash");
	assert_eq!(cause_of("kill -9 $$").await, "crash");
	assert_eq!(cause_of("exit 74").await, "device");
	assert_eq!(cause_of("exec sleep 600").await, "hang");
	assert_eq!(
		cause_of("echo 'memory allocation of 4096 bytes failed' >&2; kill -6 $$").await,
		"memory"
	);
}

/// Runs with a program for a GPU whose script is `gpu`, until the CPU's engine is started. Returns the programs' calls, in
/// order, and whether the GPU is in use at the end.
async fn with_gpu(gpu: &str, required: bool) -> (Vec<String>, bool) {
	let directory = tempfile::tempdir().unwrap();
	let calls = directory.path().join("calls");
	let cpu = script(directory.path(), &format!("echo cpu >> {}; exit 3", calls.display()));
	let program = script_named(
		directory.path(),
		"gpu.sh",
		&format!("echo \"gpu $*\" >> {}\n{gpu}", calls.display()),
	);
	let registry = Registry::new();
	let backend = Arc::new(Backend::new(
		None,
		WatchedShare::default(),
		Metrics::new(Some(&registry)),
	));
	let engine = SupervisorOptions {
		gpu: Some(GpuEngine {
			program,
			device: 1,
			required,
		}),
		probe_timeout: Duration::from_secs(2),
		..impatient(cpu, directory.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
	let on_gpu = registry
		.gather()
		.iter()
		.find(|family| family.get_name() == "assay_engine_on_gpu")
		.map(|family| family.get_metric()[0].get_gauge().get_value());
	let calls = fs::read_to_string(calls).unwrap();
	let calls = calls.lines().map(|line| {
		let mut words = line.split(' ');
		[words.next(), words.next()]
			.into_iter()
			.flatten()
			.collect::<Vec<_>>()
			.join(" ")
	});
	let calls = calls.take_while(|call| call != "cpu").collect();
	(calls, on_gpu == Some(1.0))
}

const NO_DRIVER: &str = "echo 'libcuda.so.1: cannot open shared object file' >&2; exit 127";

#[tokio::test]
async fn without_a_gpu_the_cpu_computes() {
	assert_eq!(with_gpu(NO_DRIVER, false).await, (vec!["gpu probe".into()], false));
}

#[tokio::test]
async fn a_required_gpu_is_looked_for_again_and_then_the_cpu_computes() {
	assert_eq!(with_gpu(NO_DRIVER, true).await, (vec!["gpu probe".into(); 3], false));
}

#[tokio::test]
async fn a_driver_that_hangs_is_not_waited_for() {
	let (calls, on_gpu) = with_gpu("exec sleep 600", false).await;
	assert_eq!((calls.len(), on_gpu), (1, false));
}

#[tokio::test]
async fn a_gpu_that_fails_at_each_start_is_given_up() {
	for serve in ["exit 74", "kill -11 $$", "exit 127"] {
		let program = format!("if [ $1 = probe ]; then echo a GPU; else {serve}; fi");
		let (calls, on_gpu) = with_gpu(&program, false).await;
		let expected = ["gpu probe", "gpu serve", "gpu serve", "gpu serve"];
		assert_eq!((calls, on_gpu), (expected.map(String::from).to_vec(), false), "{serve}");
	}
}

#[tokio::test]
async fn a_missing_program_for_a_gpu_costs_nothing() {
	let directory = tempfile::tempdir().unwrap();
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let engine = SupervisorOptions {
		gpu: Some(GpuEngine {
			program: directory.path().join("nothing"),
			device: 0,
			required: false,
		}),
		..impatient(script(directory.path(), "exit 3"), directory.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
}

#[tokio::test]
async fn the_engine_on_a_gpu_is_told_which() {
	let directory = tempfile::tempdir().unwrap();
	let arguments = directory.path().join("arguments");
	let program = script_named(
		directory.path(),
		"gpu.sh",
		&format!("[ $1 = probe ] || echo \"$@\" > {}", arguments.display()),
	);
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let engine = SupervisorOptions {
		gpu: Some(GpuEngine {
			program,
			device: 3,
			required: true,
		}),
		..impatient(directory.path().join("nothing"), directory.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let arguments = fs::read_to_string(arguments).unwrap();
	assert!(
		arguments.starts_with("serve --models ") && arguments.trim_end().ends_with(" --device 3"),
		"{arguments}"
	);
}

#[tokio::test]
async fn the_engine_receives_its_limits() {
	let directory = tempfile::tempdir().unwrap();
	let arguments = directory.path().join("arguments");
	let program = script(
		directory.path(),
		&format!("echo \"$@\" backtrace $RUST_BACKTRACE > {}", arguments.display()),
	);
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let running = tokio::spawn(supervise(backend.clone(), impatient(program, directory.path())));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let arguments = fs::read_to_string(arguments).unwrap();
	assert!(arguments.starts_with("serve --models "), "{arguments}");
	assert!(arguments.trim_end().ends_with(" backtrace 0"), "{arguments}");
	assert!(
		arguments.contains(" --memory-limit ") && arguments.contains(" --nice 10"),
		"{arguments}"
	);
}

/// Runs an engine that reports that it is ready, without a sandbox, and waits until something has come of it.
async fn without_sandbox(mode: SandboxMode, what: impl Fn(&EngineStatus) -> bool) -> (EngineStatus, String) {
	let directory = tempfile::tempdir().unwrap();
	let arguments = directory.path().join("arguments");
	let ready = Response::Ready {
		models: Vec::new(),
		sandbox: SandboxStatus::OFF,
	};
	let ready = ready.encode();
	let length = u32::try_from(ready.len()).unwrap().to_be_bytes();
	let frame: String = length
		.iter()
		.chain(&ready)
		.map(|byte| format!("\\{byte:03o}"))
		.collect();
	let program = script(
		directory.path(),
		&format!(
			"echo \"$@\" > {}; printf '{frame}' >&0; exec sleep 600",
			arguments.display()
		),
	);
	let backend = Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None)));
	let options = SupervisorOptions {
		sandbox: mode,
		..impatient(program, directory.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), options));
	until(&backend, what).await;
	running.abort();
	(backend.status(), fs::read_to_string(arguments).unwrap())
}

#[tokio::test]
async fn an_engine_without_the_sandbox_that_is_required_is_not_used() {
	for mode in [SandboxMode::Auto, SandboxMode::Off] {
		let (status, arguments) = without_sandbox(mode, |status| status.state == EngineState::Ready).await;
		assert_eq!(status.sandbox, Some(SandboxStatus::OFF));
		assert!(arguments.contains(&format!(" --sandbox {mode}")), "{arguments}");
	}
	let (status, arguments) = without_sandbox(SandboxMode::Require, |status| status.last_error.is_some()).await;
	assert!(status
		.last_error
		.unwrap()
		.contains("without the sandbox that is required"));
	assert_eq!(status.sandbox, None, "it was never taken to be ready");
	assert!(arguments.contains(" --sandbox require"), "{arguments}");
}

#[tokio::test]
async fn each_side_reads_the_end_of_the_stream_when_the_other_is_gone() {
	use tokio::io::AsyncReadExt;
	let directory = tempfile::tempdir().unwrap();
	let ended = directory.path().join("ended");
	// Copies its standard input until that ends.
	let program = script(
		directory.path(),
		&format!("cat > /dev/null; echo ended > {}; exit 7", ended.display()),
	);
	let supervisor = Supervisor {
		backend: Arc::new(Backend::new(None, WatchedShare::default(), Metrics::new(None))),
		pause: Duration::ZERO,
		gpu: None,
		started: false,
		warned: None,
		options: impatient(program.clone(), directory.path()),
	};
	let (mut child, stream) = supervisor.spawn(&program).unwrap();
	drop(stream);
	let status = timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
	assert_eq!(status.code(), Some(7), "the node's end is open in no other process");
	assert!(ended.exists());

	let program = script_named(directory.path(), "sleeper.sh", "exec sleep 600");
	let (mut child, mut stream) = supervisor.spawn(&program).unwrap();
	child.kill().await.unwrap();
	let read = timeout(Duration::from_secs(10), stream.read(&mut [0; 1]))
		.await
		.unwrap();
	assert_eq!(read.unwrap(), 0, "the engine's end is open in no other process");
}
