//! What Prometheus sees of inference on this node.

use prometheus_endpoint::{
	register, Counter, CounterVec, Gauge, HistogramOpts, HistogramVec, Opts, PrometheusError, Registry, U64,
};
use std::time::Duration;

/// Which side of a job a task is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
	/// Makes the answer.
	Executor,
	/// Checks it.
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

/// What ended an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
	/// It exited, was killed by a signal, or hung up.
	Crash,
	/// It did not come up, or answer, or finish in time.
	Hang,
	/// It wanted more memory than it was given.
	Memory,
	/// It broke the protocol of the socket.
	Garbage,
	/// Its graphics card failed, or could not be used.
	Device,
}

impl Cause {
	const ALL: [Self; 5] = [Self::Crash, Self::Hang, Self::Memory, Self::Garbage, Self::Device];

	fn label(self) -> &'static str {
		match self {
			Self::Crash => "crash",
			Self::Hang => "hang",
			Self::Memory => "memory",
			Self::Garbage => "garbage",
			Self::Device => "device",
		}
	}
}

struct Registered {
	up: Gauge<U64>,
	on_card: Gauge<U64>,
	deaths: CounterVec<U64>,
	restarts: Counter<U64>,
	queue: Gauge<U64>,
	jobs: Counter<U64>,
	done: CounterVec<U64>,
	abstained: Counter<U64>,
	journaled: Counter<U64>,
	seconds: HistogramVec,
}

impl Registered {
	fn new(registry: &Registry) -> Result<Self, PrometheusError> {
		let seconds = HistogramOpts::new(
			"assay_task_seconds",
			"Seconds from handing a task to the engine to its result",
		)
		.buckets(vec![
			0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
		]);
		let deaths = register(
			CounterVec::new(
				Opts::new("assay_engine_deaths_total", "Times the engine ended, by cause"),
				&["cause"],
			)?,
			registry,
		)?;
		// From zero on: an alert on the first death needs something to compare with.
		for cause in Cause::ALL {
			deaths.with_label_values(&[cause.label()]).inc_by(0);
		}
		Ok(Self {
			deaths,
			up: register(Gauge::new("assay_engine_up", "1 while the engine answers")?, registry)?,
			on_card: register(
				Gauge::new(
					"assay_engine_on_card",
					"1 while the engine is one for a graphics card, 0 while it is the processor's",
				)?,
				registry,
			)?,
			restarts: register(
				Counter::new("assay_engine_restarts_total", "Times the engine was started again")?,
				registry,
			)?,
			queue: register(
				Gauge::new("assay_tasks_open", "Tasks queued or being computed")?,
				registry,
			)?,
			jobs: register(
				Counter::new("assay_jobs_seen_total", "Jobs that this node was given a task of")?,
				registry,
			)?,
			done: register(
				CounterVec::new(Opts::new("assay_tasks_done_total", "Tasks answered"), &["role"])?,
				registry,
			)?,
			abstained: register(
				Counter::new("assay_tasks_abstained_total", "Tasks given up without a vote")?,
				registry,
			)?,
			journaled: register(
				Counter::new("assay_votes_journaled_total", "Votes put on disk")?,
				registry,
			)?,
			seconds: register(HistogramVec::new(seconds, &["role"])?, registry)?,
		})
	}
}

/// The metrics, or nothing on a node without Prometheus.
pub struct Metrics(Option<Registered>);

impl Metrics {
	/// Registers everything. A name that is taken costs the metrics, not the node.
	pub fn new(registry: Option<&Registry>) -> Self {
		Self(registry.and_then(|registry| {
			Registered::new(registry)
				.inspect_err(|e| log::warn!(target: super::LOG_TARGET, "No inference metrics: {e}"))
				.ok()
		}))
	}

	fn with(&self, f: impl FnOnce(&Registered)) {
		if let Some(registered) = &self.0 {
			f(registered);
		}
	}

	/// The engine came or went.
	pub fn engine_up(&self, up: bool) {
		self.with(|m| m.up.set(u64::from(up)));
	}

	/// The engine is one for a graphics card, or the processor's.
	pub fn engine_on_card(&self, on_card: bool) {
		self.with(|m| m.on_card.set(u64::from(on_card)));
	}

	/// The engine is started again.
	pub fn restarted(&self) {
		self.with(|m| m.restarts.inc());
	}

	/// The engine ended.
	pub fn died(&self, cause: Cause) {
		self.with(|m| m.deaths.with_label_values(&[cause.label()]).inc());
	}

	/// So many tasks are open now.
	pub fn open(&self, tasks: usize) {
		self.with(|m| m.queue.set(tasks as u64));
	}

	/// A job's first task has come.
	pub fn job_seen(&self) {
		self.with(|m| m.jobs.inc());
	}

	/// A computation answered so many tasks.
	pub fn done(&self, role: Role, tasks: usize, took: Duration) {
		self.with(|m| {
			m.done.with_label_values(&[role.label()]).inc_by(tasks as u64);
			m.seconds.with_label_values(&[role.label()]).observe(took.as_secs_f64());
		});
	}

	/// So many tasks were given up.
	pub fn abstained(&self, tasks: usize) {
		self.with(|m| m.abstained.inc_by(tasks as u64));
	}

	/// So many votes went to disk.
	pub fn journaled(&self, votes: usize) {
		self.with(|m| m.journaled.inc_by(votes as u64));
	}
}
