//! The engine's program in its sandbox. `assay-sandbox` tests what that denies; here, that the engine is in it and works.

use crate::{
	common::{folder, Tiny},
	process::start,
};
use assay_primitives::{Input, SamplingParams, WorkId};
use assay_protocol::{decode, Request, Response, SandboxStatus, Work, WorkResult};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{fs, os::unix::fs::symlink, time::Duration};
use tokio::time::timeout;
use tokio_util::bytes::Bytes;

/// Returns the values of a key in the kernel's status of all threads of a process.
fn of_threads(process: u32, key: &str) -> Vec<String> {
	let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
	let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap());
	let lines = statuses.map(|status| {
		let value = status
			.lines()
			.find_map(|line| Some(line.strip_prefix(key)?.trim().to_owned()));
		value.unwrap()
	});
	lines.collect()
}

#[tokio::test]
async fn all_threads_of_an_engine_are_confined_and_it_answers() {
	let (model, models) = (folder(Tiny::default()), tempfile::tempdir().unwrap());
	// A model on another disk, say.
	symlink(model.path(), models.path().join("linked")).unwrap();
	let mut engine = start(models.path(), &[]).await;
	assert_eq!(engine.models.len(), 1);
	if !engine.sandbox.is_confined() {
		eprintln!(
			"NOT TESTED on this kernel, which lacks it: {}",
			engine.sandbox.missing()
		);
		return;
	}
	let filters = of_threads(engine.child.id(), "Seccomp:");
	assert!(
		filters.len() > 2 && filters.iter().all(|mode| mode == "2"),
		"{filters:?}"
	);
	let privileges = of_threads(engine.child.id(), "NoNewPrivs:");
	assert!(privileges.iter().all(|held| held == "1"), "{privileges:?}");

	let work = Work {
		model: engine.models[0].id,
		input: Input::Text(b"hello".to_vec().try_into().unwrap()),
		params: SamplingParams::greedy(4),
		seed: [1; 32],
		claim: None,
	};
	let id = WorkId([2; 32]);
	let request = Request::Run { id, work }.encode();
	engine.socket.send(Bytes::from(request)).await.unwrap();
	let answer = loop {
		let frame = timeout(Duration::from_secs(60), engine.socket.next()).await.unwrap();
		match decode(&frame.unwrap().unwrap()).unwrap() {
			Response::Progress { .. } => {}
			answer => break answer,
		}
	};
	assert!(
		matches!(
			&answer,
			Response::Done {
				result: WorkResult::Executed { .. },
				..
			}
		),
		"{answer:?}"
	);
	drop(engine.socket);
	assert!(engine.child.wait().unwrap().success());
}

#[tokio::test]
async fn a_link_in_a_model_does_not_open_what_is_elsewhere() {
	let (model, models) = (folder(Tiny::default()), tempfile::tempdir().unwrap());
	let elsewhere = tempfile::tempdir().unwrap();
	let moved = elsewhere.path().join("tokenizer-elsewhere.json");
	let copy = |name: &str| {
		let directory = models.path().join(name);
		fs::create_dir(&directory).unwrap();
		for file in fs::read_dir(model.path()).unwrap() {
			let file = file.unwrap();
			fs::copy(file.path(), directory.join(file.file_name())).unwrap();
		}
		directory
	};
	let tokenizer = copy("linking").join("tokenizer.json");
	fs::rename(&tokenizer, &moved).unwrap();
	symlink(&moved, &tokenizer).unwrap();
	let mut free = start(models.path(), &["--sandbox", "off"]).await;
	assert_eq!((free.models.len(), free.sandbox), (1, SandboxStatus::OFF));
	// These tests may run in a container that filters, too.
	let mode = |process: u32| of_threads(process, "Seccomp:").remove(0);
	assert_eq!(mode(free.child.id()), mode(std::process::id()));
	drop(free.socket);
	free.child.wait().unwrap();

	let mut confined = start(models.path(), &[]).await;
	if confined.sandbox.landlock.is_in_force() {
		assert!(confined.models.is_empty(), "the file is outside the model's directory");
	}
	drop(confined.socket);
	confined.child.wait().unwrap();
}

#[tokio::test]
async fn a_model_that_comes_later_is_read_and_a_link_to_one_elsewhere_is_not() {
	let (model, models) = (folder(Tiny::default()), tempfile::tempdir().unwrap());
	let mut engine = start(models.path(), &[]).await;
	symlink(model.path(), models.path().join("linked")).unwrap();
	let linked = engine.load("linked").await;
	assert!(linked.is_err() || !engine.sandbox.landlock.is_in_force());
	if linked.is_ok() {
		eprintln!("NOT TESTED on this kernel, which lacks Landlock");
		return;
	}
	let partial = models.path().join("coming.partial");
	fs::create_dir(&partial).unwrap();
	for file in fs::read_dir(model.path()).unwrap() {
		let file = file.unwrap();
		fs::copy(file.path(), partial.join(file.file_name())).unwrap();
	}
	for refused in ["coming", "coming.partial", "../coming", "nothing"] {
		assert!(engine.load(refused).await.is_err(), "{refused}");
	}
	fs::rename(&partial, models.path().join("coming")).unwrap();
	assert_eq!(engine.load("coming").await.unwrap().name, "tiny");
	drop(engine.socket);
	assert!(engine.child.wait().unwrap().success());
}
