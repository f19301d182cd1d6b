//! Models that come and go while the engine serves.

use super::*;

/// A node that looks for models at short intervals.
fn connect_to(backend: &Arc<Backend>, models: &Path) -> (Wire, JoinHandle<Disconnect>) {
	let (here, there) = tokio::io::duplex(1 << 20);
	let (backend, models) = (backend.clone(), models.to_owned());
	let timeouts = Timeouts {
		silence: Duration::from_secs(20),
		..timeouts()
	};
	let running = tokio::spawn(async move {
		let watch = Watch::start(models, Duration::from_millis(20));
		connection::run(here, &backend, timeouts, watch, |_| Ok(()), |_| ()).await
	});
	(Framed::new(there, framing()), running)
}

/// The next request but pings.
async fn next(wire: &mut Wire) -> Request {
	loop {
		let frame = wire.next().await.unwrap().unwrap();
		match Request::decode_all(&mut &frame[..]).unwrap() {
			Request::Ping(n) => send(wire, Response::Pong(n)).await,
			other => return other,
		}
	}
}

fn directory(models: &Path, name: &str) {
	fs::create_dir(models.join(name)).unwrap();
	fs::write(models.join(name).join("manifest.json"), name).unwrap();
}

async fn expect_load(wire: &mut Wire, name: &str) {
	let directory = name.to_owned();
	assert_eq!(next(wire).await, Request::Load { directory });
}

async fn load(wire: &mut Wire, name: &str) {
	let directory = name.to_owned();
	send(
		wire,
		Response::Loaded {
			directory,
			model: served(),
		},
	)
	.await;
}

async fn refuse(wire: &mut Wire, name: &str, reason: &str) {
	let (directory, reason) = (name.to_owned(), reason.to_owned());
	send(wire, Response::Refused { directory, reason }).await;
}

async fn nothing_served(wire: &mut Wire) {
	let ready = Response::Ready {
		models: Vec::new(),
		sandbox: SandboxStatus::OFF,
	};
	send(wire, ready).await;
}

pub(super) async fn until(backend: &Backend, what: impl Fn(&EngineStatus) -> bool) {
	for _ in 0..1_000 {
		if what(&backend.status()) {
			return;
		}
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	panic!("never happened: {:?}", backend.status());
}

#[tokio::test]
async fn a_model_takes_work_while_another_is_still_loaded() {
	let (journal, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	for name in ["a", "b"] {
		directory(models.path(), name);
	}
	let backend = open(journal.path());
	let work = work(1, false);
	backend.enqueue(work.clone());
	let (mut wire, _running) = connect_to(&backend, models.path());
	nothing_served(&mut wire).await;
	expect_load(&mut wire, "a").await;
	assert_eq!(
		backend.probe(&work.model),
		ProbeResult::Pending,
		"no outage is reported yet"
	);
	let mut events = backend.events();
	events.mark_unchanged();
	load(&mut wire, "a").await;
	events.changed().await.unwrap();
	// The order of the two is the node's.
	let requests = [next(&mut wire).await, next(&mut wire).await];
	let directory = "b".to_owned();
	assert!(requests.contains(&Request::Load { directory }), "{requests:?}");
	assert!(
		requests.iter().any(|request| matches!(request, Request::Run { .. })),
		"{requests:?}"
	);
	let status = backend.status();
	assert_eq!((status.state, status.models), (EngineState::Starting, vec![served()]));
	assert_eq!(backend.probe(&work.model), ProbeResult::Serving);
	refuse(&mut wire, "b", "it is\nmalformed").await;
	until(&backend, |status| status.state == EngineState::Ready).await;
	let refused = RefusedDirectory {
		directory: "b".into(),
		reason: "it ismalformed".into(),
	};
	assert_eq!(backend.status().refused, [refused]);
}

#[tokio::test]
async fn a_directory_that_comes_is_served_and_one_that_goes_no_longer() {
	let (journal, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	let backend = open(journal.path());
	let (mut wire, running) = connect_to(&backend, models.path());
	nothing_served(&mut wire).await;
	until(&backend, |status| status.state == EngineState::Ready).await;
	let work = work(1, false);
	assert_eq!(backend.probe(&work.model), ProbeResult::Abstained);
	directory(models.path(), "new");
	expect_load(&mut wire, "new").await;
	load(&mut wire, "new").await;
	until(&backend, |status| status.models == [served()]).await;
	assert_eq!(backend.probe(&work.model), ProbeResult::Serving);
	assert_eq!(backend.enqueue(work.clone()), EnqueueResult::Pending);
	let Request::Run { id, .. } = next(&mut wire).await else {
		panic!("work was to come")
	};

	fs::remove_dir_all(models.path().join("new")).unwrap();
	let directory = "new".to_owned();
	assert_eq!(
		next(&mut wire).await,
		Request::Unload {
			directory: directory.clone()
		}
	);
	assert_eq!(backend.probe(&work.model), ProbeResult::Abstained);
	// What it computes is answered nevertheless.
	let result = compute(&work);
	send(&mut wire, Response::Done { id, result }).await;
	answer_of(&backend, &work).await;
	send(
		&mut wire,
		Response::Unloaded {
			directory: directory.clone(),
		},
	)
	.await;
	send(&mut wire, Response::Unloaded { directory }).await;
	assert!(matches!(
		running.await.unwrap(),
		Disconnect::Violation("news of a model that was not asked for")
	));
}

#[tokio::test]
async fn a_refused_directory_is_asked_for_again_once_it_has_changed() {
	let (journal, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	directory(models.path(), "bad");
	let backend = open(journal.path());
	let (mut wire, running) = connect_to(&backend, models.path());
	nothing_served(&mut wire).await;
	expect_load(&mut wire, "bad").await;
	refuse(&mut wire, "bad", "it is malformed").await;
	until(&backend, |status| status.refused.len() == 1).await;
	tokio::time::sleep(Duration::from_millis(100)).await;
	fs::write(models.path().join("bad/manifest.json"), "better").unwrap();
	expect_load(&mut wire, "bad").await;
	load(&mut wire, "bad").await;
	until(&backend, |status| status.refused.is_empty() && status.models.len() == 1).await;
	// Nothing was asked for in between, and nothing is now.
	load(&mut wire, "bad").await;
	assert!(matches!(running.await.unwrap(), Disconnect::Violation(_)));
	assert!(backend.status().models.len() == 1);
}

#[tokio::test]
async fn an_engine_that_never_ends_loading_is_ended() {
	let (journal, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	directory(models.path(), "endless");
	let backend = open(journal.path());
	let (here, there) = tokio::io::duplex(1 << 20);
	let mut wire: Wire = Framed::new(there, framing());
	let patience = Timeouts {
		load: Duration::from_millis(50),
		silence: Duration::from_secs(20),
		..timeouts()
	};
	let watch = Watch::start(models.path().to_owned(), Duration::from_millis(20));
	let running =
		tokio::spawn(async move { connection::run(here, &backend, patience, watch, |_| Ok(()), |_| ()).await });
	nothing_served(&mut wire).await;
	assert!(matches!(running.await.unwrap(), Disconnect::Loading(directory, _) if directory == "endless"));
}
