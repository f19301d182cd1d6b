//! Prometheus metrics of inference on this node.

use super::{backend::EngineStatus, log_target::LOG_TARGET};
use assay_protocol::SandboxStatus;
use prometheus_endpoint::{
	register, Counter, CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, Opts, PrometheusError, Registry, U64,
};
use std::time::Duration;

/// What a work item is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
	/// It makes an answer.
	Executor,
	/// It checks one: for a seat, an audit, a jury, or of the node's own accord.
	Verifier,
}

impl Role {
	fn label(self) -> &'static str {
		match self {
			Self::Executor => "executor",
			Self::Verifier => "verifier",
		}
	}
}

/// Why an engine exited or was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCause {
	/// It exited, was killed by a signal, or hung up.
	Crash,
	/// It was not ready, did not answer, or did not finish in time.
	Hang,
	/// It needed more memory than it was given.
	Memory,
	/// It violated the protocol of the socket.
	Protocol,
	/// Its GPU failed, or could not be used.
	Device,
}

impl ExitCause {
	const ALL: [Self; 5] = [Self::Crash, Self::Hang, Self::Memory, Self::Protocol, Self::Device];

	fn label(self) -> &'static str {
		match self {
			Self::Crash => "crash",
			Self::Hang => "hang",
			Self::Memory => "memory",
			Self::Protocol => "protocol",
			Self::Device => "device",
		}
	}
}

struct Registered {
	up: Gauge<U64>,
	on_gpu: Gauge<U64>,
	models: Gauge<U64>,
	refused: Gauge<U64>,
	sandbox: GaugeVec<U64>,
	exits: CounterVec<U64>,
	restarts: Counter<U64>,
	queue: Gauge<U64>,
	done: CounterVec<U64>,
	abstained: Counter<U64>,
	journaled: Counter<U64>,
	streams: Gauge<U64>,
	chunks: Counter<U64>,
	streamed: Counter<U64>,
	seconds: HistogramVec,
}

impl Registered {
	fn new(registry: &Registry) -> Result<Self, PrometheusError> {
		let seconds = HistogramOpts::new(
			"assay_task_seconds",
			"Seconds from handing work to the engine to its result",
		)
		.buckets(vec![
			0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
		]);
		let exits = register(
			CounterVec::new(
				Opts::new(
					"assay_engine_exits_total",
					"Times the engine exited or was ended, by cause",
				),
				&["cause"],
			)?,
			registry,
		)?;
		// From zero on: an alert on the first exit needs something to compare with.
		for cause in ExitCause::ALL {
			exits.with_label_values(&[cause.label()]).inc_by(0);
		}
		let sandbox = register(
			GaugeVec::new(
				Opts::new(
					"assay_engine_sandbox",
					"1 for each part of the sandbox that confines the engine that was last ready",
				),
				&["part"],
			)?,
			registry,
		)?;
		for (part, _) in SandboxStatus::OFF.parts() {
			sandbox.with_label_values(&[part]).set(0);
		}
		Ok(Self {
			exits,
			sandbox,
			up: register(Gauge::new("assay_engine_up", "1 while the engine answers")?, registry)?,
			on_gpu: register(
				Gauge::new(
					"assay_engine_on_gpu",
					"1 while the engine is the one for a GPU, 0 while it is the one for the CPU",
				)?,
				registry,
			)?,
			models: register(
				Gauge::new("assay_models_served", "Models that the engine serves")?,
				registry,
			)?,
			refused: register(
				Gauge::new(
					"assay_models_refused",
					"Model directories that the engine does not serve",
				)?,
				registry,
			)?,
			restarts: register(
				Counter::new("assay_engine_restarts_total", "Times the engine was started again")?,
				registry,
			)?,
			queue: register(
				Gauge::new("assay_tasks_open", "Work items queued or being computed")?,
				registry,
			)?,
			done: register(
				CounterVec::new(Opts::new("assay_tasks_done_total", "Work items answered"), &["role"])?,
				registry,
			)?,
			abstained: register(
				Counter::new("assay_tasks_abstained_total", "Work items given up without a result")?,
				registry,
			)?,
			journaled: register(
				Counter::new("assay_results_journaled_total", "Results put on disk")?,
				registry,
			)?,
			streams: register(
				Gauge::new("assay_streams_open", "Subscriptions that follow a draft of this node")?,
				registry,
			)?,
			chunks: register(
				Counter::new(
					"assay_stream_chunks_total",
					"Signed chunks of drafts sent to subscribers",
				)?,
				registry,
			)?,
			streamed: register(
				Counter::new("assay_stream_tokens_total", "Tokens of drafts sent to subscribers")?,
				registry,
			)?,
			seconds: register(HistogramVec::new(seconds, &["role"])?, registry)?,
		})
	}
}

/// The metrics, or nothing on a node without Prometheus.
pub struct Metrics(Option<Registered>);

impl Metrics {
	/// Registers all metrics. If a name is taken, the node runs without them.
	pub fn new(registry: Option<&Registry>) -> Self {
		Self(registry.and_then(|registry| {
			Registered::new(registry)
				.inspect_err(|e| log::warn!(target: LOG_TARGET, "No inference metrics: {e}"))
				.ok()
		}))
	}

	fn with(&self, f: impl FnOnce(&Registered)) {
		if let Some(registered) = &self.0 {
			f(registered);
		}
	}

	/// Records whether the engine answers.
	pub fn engine_up(&self, up: bool) {
		self.with(|m| m.up.set(u64::from(up)));
	}

	/// Records whether the engine is the one for a GPU.
	pub fn engine_on_gpu(&self, on_gpu: bool) {
		self.with(|m| m.on_gpu.set(u64::from(on_gpu)));
	}

	/// Records how many models the engine serves, and how many directories it refused.
	pub fn models(&self, status: &EngineStatus) {
		self.with(|m| {
			m.models.set(status.models.len() as u64);
			m.refused.set(status.refused.len() as u64);
		});
	}

	/// Records what confines the engine.
	pub fn engine_sandbox(&self, sandbox: &SandboxStatus) {
		self.with(|m| {
			for (part, in_force) in sandbox.parts() {
				m.sandbox.with_label_values(&[part]).set(u64::from(in_force));
			}
		});
	}

	/// Counts a new start of the engine.
	pub fn restarted(&self) {
		self.with(|m| m.restarts.inc());
	}

	/// Counts an exit of the engine.
	pub fn exited(&self, cause: ExitCause) {
		self.with(|m| m.exits.with_label_values(&[cause.label()]).inc());
	}

	/// Records how many work items are open.
	pub fn open(&self, items: usize) {
		self.with(|m| m.queue.set(items as u64));
	}

	/// Counts an answered work item and records how long the engine took.
	pub fn done(&self, role: Role, took: Duration) {
		self.with(|m| {
			m.done.with_label_values(&[role.label()]).inc();
			m.seconds.with_label_values(&[role.label()]).observe(took.as_secs_f64());
		});
	}

	/// Counts a work item that was given up.
	pub fn abstained(&self) {
		self.with(|m| m.abstained.inc());
	}

	/// Counts one more subscription that follows a draft.
	pub fn stream_opened(&self) {
		self.with(|m| m.streams.inc());
	}

	/// Counts one subscription less.
	pub fn stream_closed(&self) {
		self.with(|m| m.streams.dec());
	}

	/// Counts a chunk that was sent to a subscriber.
	pub fn chunk_sent(&self, tokens: usize) {
		self.with(|m| {
			m.chunks.inc();
			m.streamed.inc_by(tokens as u64);
		});
	}

	/// Counts a result that was put on disk.
	pub fn journaled(&self) {
		self.with(|m| m.journaled.inc());
	}
}
