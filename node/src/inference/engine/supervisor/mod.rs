//! Keeps the engine's process alive: starts it, talks to it, ends it when it misbehaves, and starts it again.
//!
//! Whatever happens to the engine, the node goes on: it makes blocks, sends votes on what was computed before, and abstains
//! from what it cannot compute.

use super::{
	active_gpu::{ActiveGpu, GpuEngine, PROBE_TIMEOUT},
	connection::{self, Disconnect, Timeouts},
	exit::{Exit, ExitReason},
	folders::{Watch, SCAN_INTERVAL},
	program::command,
	resource_limits::ResourceLimits,
	stderr,
};
use crate::inference::{backend::Backend, log_target::LOG_TARGET, metrics::ExitCause};
use assay_protocol::{SandboxMode, SandboxStatus, ServedModel};
use std::{
	io,
	os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
	path::{Path, PathBuf},
	process::Stdio,
	sync::Arc,
	time::Duration,
};
use tokio::{
	net::UnixStream,
	process::Child,
	task::JoinHandle,
	time::{sleep, timeout, Instant},
};

/// How long a process that hung up is given to exit by itself, and its last lines to be read.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// How long a killed process is waited for. One that waits in a GPU's driver may outlive even that.
const REAP_TIMEOUT: Duration = Duration::from_secs(10);

/// How an engine is started, and how patient the supervisor is.
#[derive(Clone, Debug)]
pub struct SupervisorOptions {
	/// The engine's program.
	pub program: PathBuf,
	/// Its program for a GPU, which is tried first.
	pub gpu: Option<GpuEngine>,
	/// The directory that holds a model directory per model.
	pub models: PathBuf,
	/// What part of the machine it is given.
	pub limits: ResourceLimits,
	/// Whether it is to be confined.
	pub sandbox: SandboxMode,
	/// How long the node waits for its messages.
	pub timeouts: Timeouts,
	/// How often it looks for models that came or went.
	pub scan_interval: Duration,
	/// How long it may look for its GPU.
	pub probe_timeout: Duration,
	/// Pause before the first new start; doubles with each start that brings nothing.
	pub min_pause: Duration,
	/// Longest pause, and how long an engine must have served for the pauses to begin again.
	pub max_pause: Duration,
}

impl SupervisorOptions {
	/// An engine on the CPU, with the patience that a node has.
	pub fn new(program: PathBuf, models: PathBuf, limits: ResourceLimits) -> Self {
		Self {
			program,
			gpu: None,
			models,
			limits,
			sandbox: SandboxMode::Auto,
			timeouts: Timeouts::DEFAULT,
			scan_interval: SCAN_INTERVAL,
			probe_timeout: PROBE_TIMEOUT,
			min_pause: Duration::from_secs(1),
			max_pause: Duration::from_secs(60),
		}
	}
}

/// Starts the engine again and again, for as long as the node lives.
pub async fn supervise(backend: Arc<Backend>, options: SupervisorOptions) {
	let mut supervisor = Supervisor {
		pause: options.min_pause,
		gpu: None,
		started: false,
		warned: None,
		backend,
		options,
	};
	supervisor.find_gpu().await;
	loop {
		let exit = supervisor.run_once().await;
		supervisor.after(exit).await;
	}
}

struct Supervisor {
	backend: Arc<Backend>,
	options: SupervisorOptions,
	/// The GPU in use, if any.
	gpu: Option<ActiveGpu>,
	/// Before the next start.
	pause: Duration,
	/// Whether the program has ever run.
	started: bool,
	/// The last warning that it could not be started.
	warned: Option<String>,
}

impl Supervisor {
	async fn find_gpu(&mut self) {
		let Some(engine) = self.options.gpu.clone() else {
			return;
		};
		self.backend.engine_starting(false);
		self.gpu = engine.find(self.options.probe_timeout, self.options.min_pause).await;
		self.backend.engine_on_gpu(self.gpu.is_some());
	}

	/// Draws the conclusions from an exit, and pauses.
	async fn after(&mut self, exit: Exit) {
		let (min, max) = (self.options.min_pause, self.options.max_pause);
		if self.gpu.as_mut().is_some_and(|gpu| gpu.is_given_up(&exit, max)) {
			self.gpu = None;
			self.backend.engine_on_gpu(false);
			// The engine on the CPU has not failed.
			self.pause = min;
		}
		match exit {
			Exit::NotStarted(why) => {
				// Once: someone may be building it, and a full log helps nobody.
				if self.warned.as_ref() != Some(&why) {
					log::warn!(target: LOG_TARGET, "{why}. The node runs on without answering jobs and looks for it again.");
				}
				self.backend.engine_absent(why.clone());
				self.warned = Some(why);
				self.pause = max.min(self.pause.saturating_mul(2));
				sleep(self.pause).await;
			}
			Exit::Exited { reason, ready } => {
				self.started = true;
				self.warned = None;
				if ready.is_some_and(|since| since.elapsed() >= max) {
					self.pause = min;
				}
				let pause = self.pause;
				log::warn!(target: LOG_TARGET, "Engine down: {}. Starting it again in {pause:.1?}.", reason.message);
				self.backend.engine_exited(reason.cause, reason.message);
				sleep(pause).await;
				self.pause = max.min(pause.saturating_mul(2));
			}
		}
	}

	async fn run_once(&self) -> Exit {
		let program = self
			.gpu
			.as_ref()
			.map_or(self.options.program.as_path(), ActiveGpu::program);
		if !program.is_file() {
			return Exit::NotStarted(format!(
				"No engine at {}: build it (`cargo build --release`), put it beside the node, or name it with --engine",
				program.display()
			));
		}
		let (mut child, stream) = match self.spawn(program) {
			Ok(spawned) => spawned,
			Err(e) => {
				return Exit::NotStarted(format!("Cannot start the engine {}: {e}", program.display()));
			}
		};
		self.backend.engine_starting(self.started);
		let lines = child.stderr.take().map(|lines| tokio::spawn(stderr::log_lines(lines)));
		let mut ready = None;
		let reason = self.watch(&mut child, stream, &mut ready).await;
		match timeout(REAP_TIMEOUT, child.kill()).await {
			Ok(Ok(())) => {}
			Ok(Err(e)) => log::debug!(target: LOG_TARGET, "The engine was already gone: {e}"),
			Err(_) => {
				log::warn!(target: LOG_TARGET, "The engine's process was killed and is still there: it waits for a device")
			}
		}
		let reason = explained_by_stderr(reason, lines).await;
		Exit::Exited { reason, ready }
	}

	/// Starts the program with one end of a socket pair as its standard input, and returns the other end.
	///
	/// Both ends are closed on exec, and the engine's is closed here when the command is dropped: so each side reads the
	/// end of the stream as soon as the other process is gone.
	fn spawn(&self, program: &Path) -> io::Result<(Child, UnixStream)> {
		let (ours, theirs) = StdStream::pair()?;
		ours.set_nonblocking(true)?;
		let stream = UnixStream::from_std(ours)?;
		let child = command(program)
			.arg("serve")
			.arg("--models")
			.arg(&self.options.models)
			.args(self.options.limits.arguments())
			.args(["--sandbox", &self.options.sandbox.to_string()])
			.args(self.gpu.iter().flat_map(ActiveGpu::arguments))
			.stdin(OwnedFd::from(theirs))
			.stdout(Stdio::null())
			.stderr(Stdio::piped())
			.spawn()?;
		Ok((child, stream))
	}

	/// Talks to a started engine until it exits or misbehaves, and returns which. Sets `ready` once it is.
	async fn watch(&self, child: &mut Child, stream: UnixStream, ready: &mut Option<Instant>) -> ExitReason {
		let began = Instant::now();
		let models = &self.options.models;
		let required = self.options.sandbox == SandboxMode::Require;
		let on_connected = |sandbox: &SandboxStatus| {
			// An engine of this version does not get here without it. Another program may.
			if required && !sandbox.is_confined() {
				return Err(Disconnect::Violation("it serves without the sandbox that is required"));
			}
			Ok(())
		};
		let on_ready = |served: &[ServedModel]| {
			*ready = Some(Instant::now());
			log_ready(served, models, began.elapsed());
		};
		let watch = Watch::start(models.clone(), self.options.scan_interval);
		let timeouts = self.options.timeouts;
		let disconnect = tokio::select! {
			biased;
			status = child.wait() => return ExitReason::of_process(status),
			disconnect = connection::run(stream, &self.backend, timeouts, watch, on_connected, on_ready) => disconnect,
		};
		let reason = ExitReason::from(disconnect);
		if reason.cause != ExitCause::Crash {
			return reason;
		}
		// A process that crashes closes its socket first: its exit status is more specific.
		timeout(EXIT_GRACE, child.wait())
			.await
			.map_or(reason, ExitReason::of_process)
	}
}

/// An engine that may allocate no more writes so before it aborts; by its exit alone that is a crash like any other.
async fn explained_by_stderr(reason: ExitReason, lines: Option<JoinHandle<bool>>) -> ExitReason {
	let Some(lines) = lines else { return reason };
	match timeout(EXIT_GRACE, lines).await {
		Ok(Ok(true)) if reason.cause == ExitCause::Crash => {
			let message = format!(
				"it ran out of the memory that it may allocate ({}); see --engine-memory",
				reason.message
			);
			ExitReason::new(ExitCause::Memory, message)
		}
		_ => reason,
	}
}

fn log_ready(models: &[ServedModel], directory: &Path, took: Duration) {
	if models.is_empty() {
		log::warn!(
			target: LOG_TARGET,
			"The engine serves no model: put one model directory per model into {} (`assay model check DIR` tells what is \
			 wrong with one); it is found there within seconds",
			directory.display()
		);
	}
	log::info!(target: LOG_TARGET, "Engine ready after {took:.1?} with {} model(s)", models.len());
}

#[cfg(test)]
mod tests;
