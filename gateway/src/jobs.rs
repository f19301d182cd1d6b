//! Open jobs: each is requested once, followed once, and read by as many clients as like to.

use crate::{
	config::Config,
	error::ApiError,
	network::{IdempotencyKey, JobEvent, JobRequest, JobTerms, Network, NetworkError, Ticket},
	request::Options,
	spending::Spending,
};
use assay_primitives::{
	limits::{MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS},
	Balance, JobId, Verdict,
};
use futures::StreamExt;
use parking_lot::Mutex;
use std::{
	collections::{HashMap, VecDeque},
	sync::Arc,
	time::{Duration, Instant},
};
use tokio::sync::{watch, OwnedSemaphorePermit, Semaphore};

/// Longest time that a job is followed. The chain closes every job sooner.
const MAX_FOLLOWED: Duration = Duration::from_secs(2 * 3600);
/// How long the request of a client that repeats it by itself is remembered.
const RETRY_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Most requests that are remembered so.
const MAX_RECENT: usize = 1024;

/// A job that a request leads to.
#[derive(Clone)]
pub(crate) struct Running {
	pub(crate) job: JobId,
	/// The name under which the request can be repeated.
	pub(crate) key: IdempotencyKey,
	pub(crate) verifiers: u8,
	/// What it costs at most.
	pub(crate) fee_ceiling: Balance,
	pub(crate) log: Arc<Log>,
}

/// Everything that has happened to a job, for readers at their own pace.
pub(crate) struct Log {
	entries: Mutex<Entries>,
	/// Changes whenever there is news.
	news: watch::Sender<()>,
}

#[derive(Default)]
struct Entries {
	events: Vec<Arc<JobEvent>>,
	/// How it ended; none while it is followed.
	end: Option<Result<(), NetworkError>>,
}

impl Log {
	fn new() -> Self {
		Self {
			entries: Mutex::default(),
			news: watch::Sender::new(()),
		}
	}

	fn push(&self, event: JobEvent) {
		self.entries.lock().events.push(Arc::new(event));
		self.news.send_replace(());
	}

	fn end(&self, result: Result<(), NetworkError>) {
		self.entries.lock().end = Some(result);
		self.news.send_replace(());
	}

	/// Returns an event by its number, as soon as it happens; none after the last.
	pub(crate) async fn event(&self, number: usize) -> Result<Option<Arc<JobEvent>>, NetworkError> {
		let mut news = self.news.subscribe();
		loop {
			{
				let entries = self.entries.lock();
				if let Some(event) = entries.events.get(number) {
					return Ok(Some(event.clone()));
				}
				if let Some(end) = &entries.end {
					return end.clone().map(|()| None);
				}
			}
			if news.changed().await.is_err() {
				return Ok(None);
			}
		}
	}
}

/// All open jobs.
pub(crate) struct Jobs {
	network: Arc<dyn Network>,
	spending: Arc<Spending>,
	places: Arc<Semaphore>,
	open: Arc<Mutex<HashMap<JobId, Arc<Log>>>>,
	recent: Mutex<VecDeque<Recent>>,
}

/// A request whose client gave it no key.
struct Recent {
	body: blake3::Hash,
	key: IdempotencyKey,
	at: Instant,
}

impl Jobs {
	pub(crate) fn new(network: Arc<dyn Network>, spending: Spending, config: &Config) -> Self {
		Self {
			network,
			spending: Arc::new(spending),
			places: Arc::new(Semaphore::new(config.max_jobs)),
			open: Arc::default(),
			recent: Mutex::default(),
		}
	}

	/// Returns how many jobs wait for their verdict.
	pub(crate) fn running(&self) -> usize {
		self.open.lock().len()
	}

	/// Requests a job, or finds the one that was requested under the same key. `body` tells requests without a key apart.
	pub(crate) async fn request(&self, terms: JobTerms, options: &Options, body: &[u8]) -> Result<Running, ApiError> {
		let body = blake3::hash(&[&[options.verifiers][..], body].concat());
		let (key, known) = match &options.key {
			Some(key) => (key.clone(), self.network.find(key).await?.is_some()),
			None => match self.repeated(&body, options.is_retry) {
				Some(key) => {
					let known = self.network.find(&key).await?.is_some();
					(key, known)
				}
				None => (self.name(body), false),
			},
		};
		let with_key = |mut error: ApiError| {
			error
				.assay
				.get_or_insert_with(|| serde_json::json!({ "idempotency_key": key.as_str() }));
			error
		};
		let place = self.place(known)?;
		let verifiers = terms.verifiers;
		let running = if known {
			self.attach(key.clone(), terms, place).await
		} else {
			self.pay(key.clone(), terms, place).await
		};
		let (ticket, log) = running.map_err(with_key)?;
		Ok(Running {
			job: ticket.job,
			key,
			verifiers,
			fee_ceiling: ticket.fee_ceiling,
			log,
		})
	}

	/// Returns a place for a job; a job that is open already may need none.
	fn place(&self, known: bool) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
		match self.places.clone().try_acquire_owned() {
			Ok(place) => Ok(Some(place)),
			Err(_) if known => Ok(None),
			Err(_) => Err(overloaded()),
		}
	}

	/// Pays for a job. Its own task does, because a client that leaves must not leave it half done.
	async fn pay(
		&self,
		key: IdempotencyKey,
		terms: JobTerms,
		place: Option<OwnedSemaphorePermit>,
	) -> Result<(Ticket, Arc<Log>), ApiError> {
		let quote = self.network.quote(&terms).await?;
		let (network, spending, open) = (self.network.clone(), self.spending.clone(), self.open.clone());
		let paying = async move {
			spending.reserve(&key, &quote).await?;
			let request = JobRequest {
				key: key.clone(),
				terms,
				max_fee: quote.fee_ceiling,
			};
			match network.request(request).await {
				Ok(ticket) => Ok((ticket, follow(network, spending, open, key, ticket.job, place))),
				// It may be paid all the same, or the ceiling under this key may be that of another request.
				Err(error @ (NetworkError::Unreachable(_) | NetworkError::Internal(_) | NetworkError::KeyReused)) => {
					Err(error.into())
				}
				Err(error) => {
					spending.settle(&key, 0).await;
					Err(error.into())
				}
			}
		};
		finish(tokio::spawn(paying)).await
	}

	/// Finds a job that is paid already. The network compares the terms. Should it have forgotten the job since, it must not
	/// pay for another one, whose fee no limit has seen.
	async fn attach(
		&self,
		key: IdempotencyKey,
		terms: JobTerms,
		place: Option<OwnedSemaphorePermit>,
	) -> Result<(Ticket, Arc<Log>), ApiError> {
		let request = JobRequest {
			key: key.clone(),
			terms,
			max_fee: 0,
		};
		let ticket = self.network.request(request).await?;
		let open = self.open.lock().get(&ticket.job).cloned();
		match (open, place) {
			(Some(log), _) => Ok((ticket, log)),
			(None, None) => Err(overloaded()),
			(None, place) => {
				let (network, spending, open) = (self.network.clone(), self.spending.clone(), self.open.clone());
				Ok((ticket, follow(network, spending, open, key, ticket.job, place)))
			}
		}
	}

	/// Returns the key of the request that an official client repeats by itself, which must not pay twice.
	fn repeated(&self, body: &blake3::Hash, is_retry: bool) -> Option<IdempotencyKey> {
		let recent = self.recent.lock();
		let found = recent
			.iter()
			.rev()
			.find(|recent| recent.body == *body && recent.at.elapsed() < RETRY_WINDOW);
		found.filter(|_| is_retry).map(|recent| recent.key.clone())
	}

	/// Names a request whose client gave it no key.
	fn name(&self, body: blake3::Hash) -> IdempotencyKey {
		let key = IdempotencyKey::random();
		let mut recent = self.recent.lock();
		if recent.len() >= MAX_RECENT {
			recent.pop_front();
		}
		recent.push_back(Recent {
			body,
			key: key.clone(),
			at: Instant::now(),
		});
		key
	}

	/// Forgets a request that was refunded, so that a client that repeats it by itself gets a new job.
	pub(crate) fn forget(&self, key: &IdempotencyKey) {
		self.recent.lock().retain(|recent| recent.key != *key);
	}
}

async fn finish<T>(task: tokio::task::JoinHandle<Result<T, ApiError>>) -> Result<T, ApiError> {
	task.await
		.unwrap_or_else(|e| Err(NetworkError::Internal(format!("a task ended early: {e}")).into()))
}

fn overloaded() -> ApiError {
	ApiError::unavailable(
		"overloaded",
		"too many jobs wait for their verdict; nothing was spent, try again soon",
	)
}

/// Follows a job up to its verdict, unless that is done already, and counts its fee.
fn follow(
	network: Arc<dyn Network>,
	spending: Arc<Spending>,
	open: Arc<Mutex<HashMap<JobId, Arc<Log>>>>,
	key: IdempotencyKey,
	job: JobId,
	place: Option<OwnedSemaphorePermit>,
) -> Arc<Log> {
	let log = {
		let mut open = open.lock();
		if let Some(log) = open.get(&job) {
			return log.clone();
		}
		let log = Arc::new(Log::new());
		open.insert(job, log.clone());
		log
	};
	let read = log.clone();
	tokio::spawn(async move {
		let followed = tokio::time::timeout(MAX_FOLLOWED, record(&*network, job, &read)).await;
		let (fee, end) = match followed {
			Ok((fee, end)) => (fee, end),
			Err(_) => (
				None,
				Err(NetworkError::Internal("the job has no verdict after two hours".into())),
			),
		};
		open.lock().remove(&job);
		read.end(end);
		if let Some(fee) = fee {
			spending.settle(&key, fee).await;
		}
		drop(place);
	});
	log
}

/// How large the draft of an attempt is. Who makes it is a stranger: what no answer can have is not kept.
#[derive(Default)]
struct Draft {
	bytes: usize,
	chunks: usize,
}

impl Draft {
	fn fits(&mut self, event: &JobEvent) -> bool {
		match event {
			JobEvent::Text { text, .. } => {
				self.bytes = self.bytes.saturating_add(text.len());
				self.chunks = self.chunks.saturating_add(1);
				!text.is_empty() && self.bytes <= MAX_OUTPUT_BYTES as usize && self.chunks <= MAX_OUTPUT_TOKENS as usize
			}
			JobEvent::Drawn { .. } => {
				*self = Self::default();
				true
			}
			_ => true,
		}
	}
}

/// Records what happens to a job up to its verdict, and returns what it costs.
async fn record(network: &dyn Network, job: JobId, log: &Log) -> (Option<Balance>, Result<(), NetworkError>) {
	let mut events = network.follow(job);
	let mut draft = Draft::default();
	while let Some(event) = events.next().await {
		match event {
			Ok(event) if !draft.fits(&event) => {}
			Ok(event) => {
				let fee = event.fee();
				log.push(event);
				if fee.is_some() {
					return (fee, Ok(()));
				}
			}
			Err(error) => return (None, Err(error)),
		}
	}
	(
		None,
		Err(NetworkError::Internal(
			"the job's events ended before its verdict".into(),
		)),
	)
}

/// Returns whether a verdict gives the requester its money back.
pub(crate) fn is_refund(verdict: &Verdict) -> bool {
	matches!(verdict, Verdict::Overturned | Verdict::Refunded(_))
}
