//! Keeps the engine's process alive: starts it, talks to it, ends it when it misbehaves, and starts it again.
//!
//! Whatever happens to the engine, the node goes on: it makes blocks, opens votes it has committed to, and abstains from
//! what it cannot compute.

use super::{
	backend::Backend,
	card::{OnCard, Trial, PROBE},
	last_words::{listen, Heard},
	link::{converse, Limits},
	metrics::Cause,
	share::Share,
	socket::SocketFolder,
	LOG_TARGET,
};
use assay_protocol::{process::DEVICE_FAULT, ServedModel};
use std::{
	io,
	os::unix::process::ExitStatusExt,
	path::{Path, PathBuf},
	process::{ExitStatus, Stdio},
	sync::Arc,
	time::Duration,
};
use tokio::{
	net::UnixListener,
	process::{Child, Command},
	task::JoinHandle,
	time::{sleep, timeout, Instant},
};

/// How long a process that hung up is given to end by itself, and a dead one's last lines to be read.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// The signal that nothing survives; also what the kernel sends when the computer's memory is short.
const SIGKILL: i32 = 9;

/// How long a killed process is waited for. One that waits in a card's driver may outlive even that.
const BURIAL: Duration = Duration::from_secs(10);

/// How an engine is started and how patient its keeper is.
#[derive(Clone, Debug)]
pub struct Supervised {
	/// The engine's program.
	pub program: PathBuf,
	/// Its program for a graphics card, which is tried first.
	pub card: Option<OnCard>,
	/// The folder that holds a folder per model.
	pub models: PathBuf,
	/// What part of the computer it is given.
	pub share: Share,
	/// What it is given time for.
	pub limits: Limits,
	/// How long it may look for its card.
	pub probe: Duration,
	/// Pause before the first new start; doubles with each start that brings nothing.
	pub pause: Duration,
	/// Longest pause, and how long an engine must have served for the pauses to begin anew.
	pub longest_pause: Duration,
}

impl Supervised {
	/// An engine with the patience that a node has.
	pub fn new(program: PathBuf, models: PathBuf, share: Share) -> Self {
		Self {
			program,
			card: None,
			models,
			share,
			limits: Limits::DEFAULT,
			probe: PROBE,
			pause: Duration::from_secs(1),
			longest_pause: Duration::from_secs(60),
		}
	}
}

/// How one life of the engine ended.
#[derive(Debug)]
pub enum Death {
	/// The program could not be started at all.
	NotStarted(String),
	/// It ran, and was ready since, if it ever was.
	Died {
		/// How it ended.
		end: End,
		/// Since when it was ready.
		ready: Option<Instant>,
	},
}

/// Why an engine that ran is no more.
#[derive(Debug)]
pub struct End {
	/// What it's counted as.
	pub cause: Cause,
	/// For the log.
	pub why: String,
}

/// Starts the engine again and again, for as long as the node lives.
pub async fn supervise(backend: Arc<Backend>, engine: Supervised) {
	let mut pause = engine.pause;
	let mut started = false;
	let mut said = None;
	let mut card = match engine.card.clone() {
		Some(on) => {
			backend.engine_starting(false);
			let found = on.find(engine.probe, engine.pause).await;
			backend.engine_on_card(found.is_some());
			found
		}
		None => None,
	};
	loop {
		let death = live(&backend, &engine, card.as_ref(), started).await;
		if card
			.as_mut()
			.is_some_and(|card| card.is_over(&death, engine.longest_pause))
		{
			card = None;
			backend.engine_on_card(false);
			// The processor has done nothing wrong.
			pause = engine.pause;
		}
		match death {
			Death::NotStarted(why) => {
				// Once: someone may be building it, and a full log helps nobody.
				if said.as_ref() != Some(&why) {
					log::warn!(target: LOG_TARGET, "{why}. The node runs on without answering jobs and looks for it again.");
				}
				backend.engine_absent(why.clone());
				said = Some(why);
				pause = engine.longest_pause.min(pause.saturating_mul(2));
			}
			Death::Died { end, ready } => {
				let End { cause, why } = end;
				started = true;
				said = None;
				if ready.is_some_and(|since| since.elapsed() >= engine.longest_pause) {
					pause = engine.pause;
				}
				log::warn!(target: LOG_TARGET, "Engine down: {why}. Starting it again in {pause:.1?}.");
				backend.engine_died(cause, why);
				sleep(pause).await;
				pause = engine.longest_pause.min(pause.saturating_mul(2));
				continue;
			}
		}
		sleep(pause).await;
	}
}

async fn live(backend: &Arc<Backend>, engine: &Supervised, card: Option<&Trial>, again: bool) -> Death {
	let program = card.map_or(engine.program.as_path(), Trial::program);
	if !program.is_file() {
		return Death::NotStarted(format!(
			"No engine at {}: build it (`cargo build --release`), put it beside the node, or name it with --engine",
			program.display()
		));
	}
	let folder = match SocketFolder::new() {
		Ok(made) => made,
		Err(e) => return Death::NotStarted(format!("Cannot make a private folder for the engine's socket: {e}")),
	};
	let socket = folder.socket();
	let listener = match UnixListener::bind(&socket) {
		Ok(listener) => listener,
		Err(e) => return Death::NotStarted(format!("Cannot listen on {}: {e}", socket.display())),
	};
	let spawned = Command::new(program)
		.arg("serve")
		.arg("--socket")
		.arg(&socket)
		.arg("--models")
		.arg(&engine.models)
		.args(engine.share.arguments())
		.args(card.map(Trial::arguments).into_iter().flatten())
		// A backtrace takes memory and a lock. Where memory is out, making one fails while the lock is held, and the engine hangs.
		.env("RUST_BACKTRACE", "0")
		.env("RUST_LIB_BACKTRACE", "0")
		.stdin(Stdio::null())
		.stdout(Stdio::null())
		.stderr(Stdio::piped())
		.kill_on_drop(true)
		.spawn();
	let mut child = match spawned {
		Ok(child) => child,
		Err(e) => return Death::NotStarted(format!("Cannot start the engine {}: {e}", program.display())),
	};
	backend.engine_starting(again);
	let lines = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr)));
	let mut ready = None;
	let end = watch(&mut child, listener, backend, engine, &mut ready).await;
	match timeout(BURIAL, child.kill()).await {
		Ok(Ok(())) => {}
		Ok(Err(e)) => log::debug!(target: LOG_TARGET, "The engine was already gone: {e}"),
		Err(_) => {
			log::warn!(target: LOG_TARGET, "The engine's process was killed and is still there: it waits for a device")
		}
	}
	drop(folder);
	let end = with_last_words(end, lines).await;
	Death::Died { end, ready }
}

/// An engine that may allocate no more says so on its way out; to whoever watches the process that is a crash like any other.
async fn with_last_words(end: End, lines: Option<JoinHandle<Heard>>) -> End {
	let Some(lines) = lines else { return end };
	match timeout(LAST_BREATH, lines).await {
		Ok(Ok(Heard::OutOfMemory)) if end.cause == Cause::Crash => End {
			cause: Cause::Memory,
			why: format!(
				"it ran out of the memory that it may allocate ({}); see --engine-memory",
				end.why
			),
		},
		_ => end,
	}
}

/// Talks to a started engine until it exits or misbehaves; says which.
async fn watch(
	child: &mut Child,
	listener: UnixListener,
	backend: &Arc<Backend>,
	engine: &Supervised,
	ready: &mut Option<Instant>,
) -> End {
	let limits = engine.limits;
	let conversation = async {
		let stream = match timeout(limits.connect, listener.accept()).await {
			Ok(Ok((stream, _))) => stream,
			Ok(Err(e)) => return Err(End::new(Cause::Crash, format!("it could not be reached: {e}"))),
			Err(_) => {
				let why = format!("it did not connect within {} s", limits.connect.as_secs());
				return Err(End::new(Cause::Hang, why));
			}
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
		Ok(ended) if ended.cause() == Cause::Crash => timeout(LAST_BREATH, child.wait())
			.await
			.map_or_else(|_| End::new(Cause::Crash, ended.to_string()), exit),
		Ok(ended) => End::new(ended.cause(), ended.to_string()),
		Err(end) => end,
	}
}

impl End {
	fn new(cause: Cause, why: String) -> Self {
		Self { cause, why }
	}
}

fn exit(status: io::Result<ExitStatus>) -> End {
	let why = match status.map(|status| (status.signal(), status.code())) {
		Ok((Some(SIGKILL), _)) => {
			format!("killed by signal {SIGKILL}: by someone, or by the kernel because the computer's memory is short")
		}
		Ok((Some(signal), _)) => format!("killed by signal {signal}"),
		Ok((None, Some(DEVICE_FAULT))) => {
			return End::new(
				Cause::Device,
				format!("its graphics card failed (exit code {DEVICE_FAULT})"),
			)
		}
		Ok((None, Some(code))) => format!("exited with code {code}"),
		Ok((None, None)) => "exited".to_owned(),
		Err(e) => format!("its process was lost: {e}"),
	};
	End::new(Cause::Crash, why)
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

#[cfg(test)]
mod tests;
