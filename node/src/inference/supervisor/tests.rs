//! The supervisor against engines that are small shell scripts: they die, never connect, or are not there.

use super::{super::backend::EngineState, super::metrics::Metrics, *};
use prometheus_endpoint::Registry;
use std::{fs, fs::Permissions, os::unix::fs::PermissionsExt};

fn script(folder: &Path, body: &str) -> PathBuf {
	named(folder, "engine.sh", body)
}

fn named(folder: &Path, name: &str, body: &str) -> PathBuf {
	let path = folder.join(name);
	// Written under another name and moved: a file that is open for writing cannot be executed.
	let beside = folder.join(format!("{name}.new"));
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
	assert_eq!(deaths(&registry).len(), 5);
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
	assert_eq!(cause_of("exit 74").await, "device");
	assert_eq!(cause_of("exec sleep 600").await, "hang");
	assert_eq!(
		cause_of("echo 'memory allocation of 4096 bytes failed' >&2; kill -6 $$").await,
		"memory"
	);
}

/// What happens with a program for a card that does this, until the processor's engine has come: the programs' calls, in order, and
/// whether the card is in use at the end.
async fn with_card(card: &str, by_name: bool) -> (Vec<String>, bool) {
	let folder = tempfile::tempdir().unwrap();
	let calls = folder.path().join("calls");
	let processor = script(folder.path(), &format!("echo processor >> {}; exit 3", calls.display()));
	let program = named(
		folder.path(),
		"card.sh",
		&format!("echo \"card $*\" >> {}\n{card}", calls.display()),
	);
	let registry = Registry::new();
	let backend = Arc::new(Backend::new(None, Metrics::new(Some(&registry))));
	let engine = Supervised {
		card: Some(OnCard {
			program,
			device: 1,
			named: by_name,
		}),
		probe: Duration::from_secs(2),
		..hasty(processor, folder.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
	let on_card = registry
		.gather()
		.iter()
		.find(|family| family.get_name() == "assay_engine_on_card")
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
	let calls = calls.take_while(|call| call != "processor").collect();
	(calls, on_card == Some(1.0))
}

const NO_DRIVER: &str = "echo 'libcuda.so.1: cannot open shared object file' >&2; exit 127";

#[tokio::test]
async fn without_a_card_the_processor_computes() {
	assert_eq!(with_card(NO_DRIVER, false).await, (vec!["card probe".into()], false));
}

#[tokio::test]
async fn a_card_that_was_named_is_looked_for_again_and_then_the_processor_computes() {
	assert_eq!(with_card(NO_DRIVER, true).await, (vec!["card probe".into(); 3], false));
}

#[tokio::test]
async fn a_driver_that_hangs_is_not_waited_for() {
	let (calls, on_card) = with_card("exec sleep 600", false).await;
	assert_eq!((calls.len(), on_card), (1, false));
}

#[tokio::test]
async fn a_card_that_fails_at_each_start_is_given_up() {
	for serve in ["exit 74", "kill -11 $$", "exit 127"] {
		let program = format!("if [ $1 = probe ]; then echo a card; else {serve}; fi");
		let (calls, on_card) = with_card(&program, false).await;
		let expected = ["card probe", "card serve", "card serve", "card serve"];
		assert_eq!(
			(calls, on_card),
			(expected.map(String::from).to_vec(), false),
			"{serve}"
		);
	}
}

#[tokio::test]
async fn a_program_for_a_card_that_is_not_there_costs_nothing() {
	let folder = tempfile::tempdir().unwrap();
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let engine = Supervised {
		card: Some(OnCard {
			program: folder.path().join("nothing"),
			device: 0,
			named: false,
		}),
		..hasty(script(folder.path(), "exit 3"), folder.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| {
		status.last_error.as_deref() == Some("exited with code 3")
	})
	.await;
	running.abort();
}

#[tokio::test]
async fn the_engine_on_a_card_is_told_which() {
	let folder = tempfile::tempdir().unwrap();
	let said = folder.path().join("arguments");
	let program = named(
		folder.path(),
		"card.sh",
		&format!("[ $1 = probe ] || echo \"$@\" > {}", said.display()),
	);
	let backend = Arc::new(Backend::new(None, Metrics::new(None)));
	let engine = Supervised {
		card: Some(OnCard {
			program,
			device: 3,
			named: true,
		}),
		..hasty(folder.path().join("nothing"), folder.path())
	};
	let running = tokio::spawn(supervise(backend.clone(), engine));
	until(&backend, |status| status.last_error.is_some()).await;
	running.abort();
	let said = fs::read_to_string(said).unwrap();
	assert!(
		said.starts_with("serve --socket ") && said.trim_end().ends_with(" --device 3"),
		"{said}"
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
