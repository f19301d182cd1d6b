//! Metrics, with the suffixes and labels of vLLM, so that dashboards for it can be used.

use crate::{answer::Answer, error::ApiError, network::Health};
use assay_primitives::FinishReason;
use prometheus::{
	Encoder, Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, Result, TextEncoder,
};
use std::{sync::Arc, time::Instant};

/// Bounds of the seconds to a first token, and to a whole answer.
const LATENCY: &[f64] = &[
	0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
];
/// Bounds of the seconds between two chunks.
const CHUNKS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// All metrics.
pub(crate) struct Metrics {
	registry: Registry,
	running: IntGauge,
	waiting: IntGauge,
	prompt_tokens: IntCounterVec,
	generation_tokens: IntCounterVec,
	success: IntCounterVec,
	errors: IntCounterVec,
	first_token: HistogramVec,
	between_tokens: HistogramVec,
	whole: HistogramVec,
	best: IntGauge,
	finalized: IntGauge,
	balance: Gauge,
}

impl Metrics {
	pub(crate) fn new() -> Result<Self> {
		let registry = Registry::new();
		let gauge = |name: &str, help: &str| -> Result<IntGauge> {
			let gauge = IntGauge::new(name, help)?;
			registry.register(Box::new(gauge.clone()))?;
			Ok(gauge)
		};
		let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec> {
			let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
			registry.register(Box::new(counter.clone()))?;
			Ok(counter)
		};
		let histogram = |name: &str, help: &str, bounds: &[f64]| -> Result<HistogramVec> {
			let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
			let histogram = HistogramVec::new(options, &["model_name"])?;
			registry.register(Box::new(histogram.clone()))?;
			Ok(histogram)
		};
		let balance = Gauge::new(
			"assay_gateway_account_balance",
			"What the account that pays can spend, in base units",
		)?;
		registry.register(Box::new(balance.clone()))?;
		Ok(Self {
			running: gauge(
				"assay_gateway_num_requests_running",
				"Requests whose job has an executor",
			)?,
			waiting: gauge(
				"assay_gateway_num_requests_waiting",
				"Requests whose job waits for an executor",
			)?,
			prompt_tokens: counter(
				"assay_gateway_prompt_tokens_total",
				"Prompt tokens of complete answers",
				&["model_name"],
			)?,
			generation_tokens: counter(
				"assay_gateway_generation_tokens_total",
				"Generated tokens of complete answers",
				&["model_name"],
			)?,
			success: counter(
				"assay_gateway_request_success_total",
				"Complete answers",
				&["model_name", "finished_reason"],
			)?,
			errors: counter(
				"assay_gateway_request_errors_total",
				"Requests that ended in an error",
				&["code"],
			)?,
			first_token: histogram(
				"assay_gateway_time_to_first_token_seconds",
				"Seconds from a request to its first text",
				LATENCY,
			)?,
			between_tokens: histogram(
				"assay_gateway_inter_token_latency_seconds",
				"Seconds between two chunks of text",
				CHUNKS,
			)?,
			whole: histogram(
				"assay_gateway_e2e_request_latency_seconds",
				"Seconds from a request to its complete answer",
				LATENCY,
			)?,
			best: gauge("assay_gateway_best_block", "Number of the node's best block")?,
			finalized: gauge("assay_gateway_finalized_block", "Number of the node's finalized block")?,
			balance,
			registry,
		})
	}

	/// Returns all metrics in the text format.
	pub(crate) fn text(&self) -> Result<String> {
		let mut text = Vec::new();
		TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
		Ok(String::from_utf8_lossy(&text).into_owned())
	}

	/// Notes how the node and the account are doing.
	pub(crate) fn chain(&self, health: &Health) {
		let number = |block: u64| i64::try_from(block).unwrap_or(i64::MAX);
		self.best.set(number(health.best));
		self.finalized.set(number(health.finalized));
		self.balance.set(health.balance as f64);
	}

	/// Counts an error.
	pub(crate) fn error(&self, error: &ApiError) {
		self.errors.with_label_values(&[error.code]).inc();
	}
}

/// Measures one answer.
pub(crate) struct Meter {
	metrics: Arc<Metrics>,
	model: String,
	begun: Instant,
	last_text: Option<Instant>,
	/// Whether an executor was drawn.
	drawn: bool,
}

impl Meter {
	pub(crate) fn new(metrics: Arc<Metrics>, model: &str) -> Self {
		metrics.waiting.inc();
		Self {
			metrics,
			model: model.into(),
			begun: Instant::now(),
			last_text: None,
			drawn: false,
		}
	}

	pub(crate) fn drawn(&mut self) {
		if !std::mem::replace(&mut self.drawn, true) {
			self.metrics.waiting.dec();
			self.metrics.running.inc();
		}
	}

	pub(crate) fn text(&mut self) {
		let (metric, since) = match self.last_text {
			None => (&self.metrics.first_token, self.begun),
			Some(last) => (&self.metrics.between_tokens, last),
		};
		metric
			.with_label_values(&[self.model.as_str()])
			.observe(since.elapsed().as_secs_f64());
		self.last_text = Some(Instant::now());
	}

	pub(crate) fn end(&mut self, answer: &Answer) {
		let model = self.model.as_str();
		let reason = match answer.finish {
			_ if !answer.parts.calls.is_empty() => "tool_calls",
			FinishReason::Length => "length",
			_ => "stop",
		};
		self.metrics.success.with_label_values(&[model, reason]).inc();
		self.metrics
			.prompt_tokens
			.with_label_values(&[model])
			.inc_by(answer.input_tokens.into());
		self.metrics
			.generation_tokens
			.with_label_values(&[model])
			.inc_by(answer.output_tokens.into());
		self.metrics
			.whole
			.with_label_values(&[model])
			.observe(self.begun.elapsed().as_secs_f64());
	}

	/// Counts an error after an answer has begun; one before is counted where it is written.
	pub(crate) fn error(&self, error: &ApiError) {
		self.metrics.error(error);
	}
}

impl Drop for Meter {
	fn drop(&mut self) {
		if self.drawn {
			&self.metrics.running
		} else {
			&self.metrics.waiting
		}
		.dec();
	}
}
