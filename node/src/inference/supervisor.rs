//! Keeps the engine's process alive: starts it, talks to it, ends it when it misbehaves, and starts it again.
//!
//! Whatever happens to the engine, the node goes on: it makes blocks, opens votes it has committed to, and abstains from
//! what it cannot compute.

use super::{
	backend::Backend,
	link::{converse, Ended, Limits},
	ENGINE_LOG_TARGET, LOG_TARGET,
};
use futures::StreamExt;
use ocw_inference::protocol::ServedModel;
use std::{
	fs::Permissions,
	io,
	os::unix::{fs::PermissionsExt, process::ExitStatusExt},
	path::{Path, PathBuf},
	process::{ExitStatus, Stdio},
	sync::Arc,
	time::Duration,
};
use tokio::{
	net::UnixListener,
	process::{Child, ChildStderr, Command},
	time::{sleep, timeout, Instant},
};
use tokio_util::codec::{FramedRead, LinesCodec};

/// Longest path of a Unix socket, with some air.
const MAX_SOCKET_PATH: usize = 96;
/// How long a process that hung up is given to end by itself.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// Longest line of the engine that goes to the log.
const MAX_LINE: usize = 8 * 1024;

/// How an engine is started and how patient its keeper is.
#[derive(Clone, Debug)]
pub struct Supervised {
	/// The engine's program.
	pub program: PathBuf,
	/// The folder that holds a folder per model.
	pub models: PathBuf,
	/// What it is given time for.
	pub limits: Limits,
	/// Pause before the first new start; doubles with each start that brings nothing.
	pub pause: Duration,
	/// Longest pause, and how long an engine must have served for the pauses to begin anew.
	pub longest_pause: Duration,
}

impl Supervised {
	/// An engine with the patience that a node has.
	pub fn new(program: PathBuf, models: PathBuf) -> Self {
		Self {
			program,
			models,
			limits: Limits::DEFAULT,
			pause: Duration::from_secs(1),
			longest_pause: Duration::from_secs(60),
		}
	}
}

/// How one life of the engine ended.
#[derive(Debug)]
enum Death {
	/// The program could not be started at all.
	NotStarted(String),
	/// It ran, and was ready since, if it ever was.
	Died { why: String, ready: Option<Instant> },
}

/// Starts the engine again and again, for as long as the node lives.
pub async fn supervise(backend: Arc<Backend>, engine: Supervised) {
	let mut pause = engine.pause;
	let mut started = false;
	let mut said = None;
	loop {
		match live(&backend, &engine, started).await {
			Death::NotStarted(why) => {
				// Once: someone may be building it, and a full log helps nobody.
				if said.as_ref() != Some(&why) {
					log::warn!(target: LOG_TARGET, "{why}. The node runs on without answering jobs and looks for it again.");
				}
				backend.engine_absent(why.clone());
				said = Some(why);
				pause = engine.longest_pause.min(pause.saturating_mul(2));
			}
			Death::Died { why, ready } => {
				started = true;
				said = None;
				if ready.is_some_and(|since| since.elapsed() >= engine.longest_pause) {
					pause = engine.pause;
				}
				log::warn!(target: LOG_TARGET, "Engine down: {why}. Starting it again in {pause:.1?}.");
				backend.engine_died(why);
				sleep(pause).await;
				pause = engine.longest_pause.min(pause.saturating_mul(2));
				continue;
			}
		}
		sleep(pause).await;
	}
}

async fn live(backend: &Arc<Backend>, engine: &Supervised, again: bool) -> Death {
	if !engine.program.is_file() {
		return Death::NotStarted(format!(
			"No engine at {}: build it (`cargo build --release`), put it beside the node, or name it with --engine",
			engine.program.display()
		));
	}
	let (folder, socket) = match socket_folder() {
		Ok(made) => made,
		Err(e) => return Death::NotStarted(format!("Cannot make a private folder for the engine's socket: {e}")),
	};
	let listener = match UnixListener::bind(&socket) {
		Ok(listener) => listener,
		Err(e) => return Death::NotStarted(format!("Cannot listen on {}: {e}", socket.display())),
	};
	let spawned = Command::new(&engine.program)
		.arg("serve")
		.arg("--socket")
		.arg(&socket)
		.arg("--models")
		.arg(&engine.models)
		.stdin(Stdio::null())
		.stdout(Stdio::null())
		.stderr(Stdio::piped())
		.kill_on_drop(true)
		.spawn();
	let mut child = match spawned {
		Ok(child) => child,
		Err(e) => return Death::NotStarted(format!("Cannot start the engine {}: {e}", engine.program.display())),
	};
	backend.engine_starting(again);
	if let Some(stderr) = child.stderr.take() {
		tokio::spawn(log_lines(stderr));
	}
	let mut ready = None;
	let why = watch(&mut child, listener, backend, engine, &mut ready).await;
	if let Err(e) = child.kill().await {
		log::debug!(target: LOG_TARGET, "The engine was already gone: {e}");
	}
	drop(folder);
	Death::Died { why, ready }
}

/// Talks to a started engine until it exits or misbehaves; says which.
async fn watch(
	child: &mut Child,
	listener: UnixListener,
	backend: &Arc<Backend>,
	engine: &Supervised,
	ready: &mut Option<Instant>,
) -> String {
	let limits = engine.limits;
	let conversation = async {
		let stream = match timeout(limits.connect, listener.accept()).await {
			Ok(Ok((stream, _))) => stream,
			Ok(Err(e)) => return Err(format!("it could not be reached: {e}")),
			Err(_) => return Err(format!("it did not connect within {} s", limits.connect.as_secs())),
		};
		let began = Instant::now();
		let announce = |models: &[ServedModel]| {
			*ready = Some(Instant::now());
			announce(models, &engine.models, began.elapsed());
		};
		Ok(converse(stream, backend, limits, announce).await)
	};
	let ended = tokio::select! {
		biased;
		status = child.wait() => return exit(status),
		ended = conversation => ended,
	};
	match ended {
		// A process that dies closes its socket first: its exit says more than that.
		Ok(hung_up @ (Ended::HungUp | Ended::Socket(_))) => timeout(LAST_BREATH, child.wait())
			.await
			.map_or_else(|_| hung_up.to_string(), exit),
		Ok(ended) => ended.to_string(),
		Err(why) => why,
	}
}

fn exit(status: io::Result<ExitStatus>) -> String {
	match status.map(|status| (status.signal(), status.code())) {
		Ok((Some(signal), _)) => format!("killed by signal {signal}"),
		Ok((None, Some(code))) => format!("exited with code {code}"),
		Ok((None, None)) => "exited".to_owned(),
		Err(e) => format!("its process was lost: {e}"),
	}
}

fn announce(models: &[ServedModel], folder: &Path, took: Duration) {
	if models.is_empty() {
		log::warn!(
			target: LOG_TARGET,
			"The engine serves no model: put one folder per model into {} (`assay-engine check DIR` says what is wrong with one) \
			 and restart it",
			folder.display()
		);
	}
	for model in models {
		log::info!(
			target: LOG_TARGET,
			"Serving {} {} ({} parameters, loaded and proved in {} ms)", model.name, model.id, model.parameters, model.load_ms,
		);
	}
	log::info!(target: LOG_TARGET, "Engine ready after {took:.1?} with {} model(s)", models.len());
}

/// A folder that only this user can enter, and the socket's path in it.
fn socket_folder() -> io::Result<(tempfile::TempDir, PathBuf)> {
	let mut builder = tempfile::Builder::new();
	builder.prefix("assay-").permissions(Permissions::from_mode(0o700));
	let mut folder = builder.tempdir()?;
	if folder.path().as_os_str().len() > MAX_SOCKET_PATH {
		folder = builder.tempdir_in("/tmp")?;
	}
	let socket = folder.path().join("engine");
	Ok((folder, socket))
}

/// Gives the engine's own log lines to the node's log.
async fn log_lines(stderr: ChildStderr) {
	let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(MAX_LINE));
	while let Some(line) = lines.next().await {
		match line {
			Ok(line) => log_line(&line),
			Err(tokio_util::codec::LinesCodecError::MaxLineLengthExceeded) => {
				log::warn!(target: ENGINE_LOG_TARGET, "(a line over {MAX_LINE} bytes was left out)")
			}
			Err(tokio_util::codec::LinesCodecError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {}
			Err(_) => return,
		}
	}
}

/// The engine writes `LEVEL: text`; whatever else a process may print is information.
fn log_line(line: &str) {
	let printable: String = line.chars().filter(|c| !c.is_control()).collect();
	let (level, text) = printable
		.split_once(": ")
		.and_then(|(level, text)| Some((level.parse::<log::Level>().ok()?, text)))
		.unwrap_or((log::Level::Info, &printable));
	log::log!(target: ENGINE_LOG_TARGET, level, "{text}");
}

#[cfg(test)]
mod tests;
