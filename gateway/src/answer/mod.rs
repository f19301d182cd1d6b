//! From the events of a job to what a client gets: text while it is made, calls, and the end.
//!
//! What was sent cannot be taken back. So text of a draft is passed on only as long as it agrees with all that was sent
//! before, also across executors, and the published answer must begin with it; if it does not, the answer ends in an error.

mod progress;
mod verdict;

use crate::{
	error::ApiError,
	jobs::{Jobs, Running},
	metrics::Meter,
	network::{JobEvent, Model, Network, NetworkError},
	reading::{Parts, Reading},
	request::{Notes, Wait},
	service::Service,
};
use assay_primitives::{chat::call::Call, FinishReason, JobId, ModelId};
use axum::http::StatusCode;
use futures::{stream::BoxStream, StreamExt};
use progress::Progress;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use utoipa::ToSchema;

/// The code of a job that was refunded without an answer.
const NO_ANSWER: &str = "no_answer";

/// What an answer says of itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Assay {
	/// The job.
	#[schema(value_type = String)]
	pub(crate) job: JobId,
	/// The model that answers.
	#[schema(value_type = String)]
	pub(crate) model: ModelId,
	/// Where its receipt is.
	pub(crate) receipt: String,
	/// The name under which the answer can be had again without paying again.
	pub(crate) idempotency_key: String,
	/// Whether nobody has checked the text yet.
	pub(crate) draft: bool,
	/// `confirmed`, `unchecked` or `unverified`; null before the verdict.
	pub(crate) verdict: Option<&'static str>,
	/// How many verifiers were asked for.
	pub(crate) verifiers: u8,
	/// Whose answer it is; null before an executor is drawn.
	pub(crate) executor: Option<String>,
	/// Which attempt it is, from 1; 0 before an executor is drawn.
	pub(crate) attempt: u8,
	/// What the job costs, in base units; null before the verdict.
	pub(crate) fee: Option<String>,
	/// What it costs at most.
	pub(crate) fee_ceiling: String,
	/// What is known to contradict the executor's signatures.
	#[serde(skip_serializing_if = "Option::is_none")]
	pub(crate) contradiction: Option<String>,
	/// Fields of the request that had no effect.
	#[serde(skip_serializing_if = "Vec::is_empty")]
	pub(crate) ignored: Vec<String>,
	/// Fields of the request that had another effect than their words promise.
	#[serde(skip_serializing_if = "Vec::is_empty")]
	pub(crate) adjusted: Vec<String>,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
	pub(crate) parts: Parts,
	pub(crate) finish: FinishReason,
	pub(crate) input_tokens: u32,
	pub(crate) output_tokens: u32,
	pub(crate) assay: Assay,
}

/// What happens next in an answer.
#[derive(Debug)]
pub(crate) enum Step {
	/// The reasoning grows.
	Reasoning(String),
	/// The text grows.
	Text(String),
	/// A call is complete.
	Call(Call),
	/// The answer is complete.
	End(Box<Answer>),
	/// There is none, or what was sent is wrong.
	Failed(ApiError),
}

/// Reads the answer of a job.
pub(crate) struct Reader {
	running: Running,
	network: Arc<dyn Network>,
	jobs: Arc<Jobs>,
	meter: Meter,
	/// Number of the next event of the log.
	next: usize,
	/// Events after the verdict, if the client waits for more.
	after: Option<BoxStream<'static, Result<JobEvent, NetworkError>>>,
	state: Progress,
	deadline: Instant,
	limit: Duration,
}

impl Reader {
	pub(crate) fn new(
		service: &Service,
		running: Running,
		model: &Model,
		reading: Reading,
		notes: &Notes,
		wait: Wait,
		limit: Duration,
	) -> Self {
		let assay = Assay {
			job: running.job,
			model: model.id,
			receipt: format!("/v1/receipts/{}", running.job),
			idempotency_key: running.key.to_string(),
			draft: true,
			verdict: None,
			verifiers: running.verifiers,
			executor: None,
			attempt: 0,
			fee: None,
			fee_ceiling: running.fee_ceiling.to_string(),
			contradiction: None,
			ignored: notes.ignored.clone(),
			adjusted: notes.adjusted.clone(),
		};
		let deadline = Instant::now();
		Self {
			running,
			network: service.network.clone(),
			jobs: service.jobs.clone(),
			meter: Meter::new(service.metrics.clone(), &model.name),
			next: 0,
			after: None,
			state: Progress::new(assay, reading, wait),
			deadline: deadline.checked_add(limit).unwrap_or(deadline),
			limit,
		}
	}

	/// Returns what the answer says of itself so far.
	pub(crate) fn assay(&self) -> &Assay {
		&self.state.assay
	}

	/// Returns the next step. The future may be dropped: no event is lost.
	pub(crate) async fn step(&mut self) -> Step {
		loop {
			if let Some(step) = self.state.pending.pop() {
				return self.mark(step);
			}
			let event = match tokio::time::timeout_at(self.deadline, self.event()).await {
				Ok(Ok(event)) => event,
				Ok(Err(error)) => return self.mark(Step::Failed(error.into())),
				Err(_) => return self.mark(Step::Failed(timeout(self.limit))),
			};
			match *event {
				JobEvent::Drawn { .. } => self.meter.drawn(),
				JobEvent::Text { .. } => self.meter.text(),
				_ => {}
			}
			self.state.take(&event);
		}
	}

	/// Reads on to the end of the answer.
	pub(crate) async fn finish(mut self) -> Result<Answer, ApiError> {
		self.state.streams = false;
		loop {
			match self.step().await {
				Step::End(answer) => return Ok(*answer),
				Step::Failed(error) => return Err(error),
				Step::Reasoning(_) | Step::Text(_) | Step::Call(_) => {}
			}
		}
	}

	async fn event(&mut self) -> Result<Arc<JobEvent>, NetworkError> {
		if let Some(after) = &mut self.after {
			loop {
				match after.next().await {
					Some(Ok(event)) if event.fee().is_some() => return Ok(Arc::new(event)),
					Some(Ok(_)) => {}
					Some(Err(error)) => return Err(error),
					None => return Err(ended()),
				}
			}
		}
		match self.running.log.event(self.next).await? {
			Some(event) => {
				self.next = self.next.saturating_add(1);
				if matches!(*event, JobEvent::Verdict { .. }) && self.state.wait > Wait::Verdict {
					self.after = Some(self.network.follow(self.running.job));
				}
				Ok(event)
			}
			None => Err(ended()),
		}
	}

	/// Counts a step, and adds the job to an error, so that a client can look it up.
	fn mark(&mut self, mut step: Step) -> Step {
		match &mut step {
			Step::Reasoning(_) | Step::Text(_) | Step::Call(_) => {}
			Step::End(answer) => self.meter.end(answer),
			Step::Failed(error) => {
				error.assay = serde_json::to_value(&self.state.assay).ok();
				if error.code == NO_ANSWER {
					self.jobs.forget(&self.running.key);
				}
			}
		}
		step
	}

	/// Counts an error that is written into a stream.
	pub(crate) fn count(&self, error: &ApiError) {
		self.meter.error(error);
	}
}

fn ended() -> NetworkError {
	NetworkError::Internal("the job's events ended early".into())
}

fn timeout(limit: Duration) -> ApiError {
	ApiError {
		// The next try finds the job.
		retry: true,
		..ApiError::new(
			StatusCode::GATEWAY_TIMEOUT,
			"verdict_timeout",
			format!(
				"the answer was not complete after {} seconds. The job goes on: the same request with this \
				 `Idempotency-Key` returns its answer without paying again",
				limit.as_secs()
			),
		)
	}
}

#[cfg(test)]
mod tests;
