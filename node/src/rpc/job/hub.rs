//! One reader of the chain for all job subscriptions: it reads each watched job once in a best block, and publishes what has
//! changed. A subscriber gets the newest update whenever it is ready for one, so none can hold up others or fill memory.

use super::{
	follower::{Follower, Reading},
	source::{Head, Source, MAX_JOBS_READ},
	status::{JobStatus, JobUpdate, Until},
};
use crate::rpc::{error::Error, places::Places};
use assay_primitives::JobId;
use futures::{FutureExt, Stream, StreamExt};
use parking_lot::Mutex;
use std::{collections::HashMap, pin::pin, sync::Arc};
use tokio::sync::{watch, Notify};

/// The newest update of a job.
pub(in crate::rpc) type Updates = watch::Receiver<JobUpdate>;

/// A job with subscribers, of whom all wait for the same.
struct Watched {
	follower: Follower,
	updates: watch::Sender<JobUpdate>,
}

/// Follows the jobs of all subscriptions.
pub(in crate::rpc) struct Hub<S> {
	pub(in crate::rpc) source: S,
	/// The places of job subscriptions. They and those of streams bound what is watched.
	pub(super) places: Arc<Places>,
	/// At most one of each kind for a job.
	watched: Mutex<HashMap<JobId, Vec<(Until, Watched)>>>,
	/// Wakes [`Hub::run`] when a job may have changed while it became watched.
	wake: Notify,
}

impl<S: Source> Hub<S> {
	/// Makes the hub of a node that allows so many connections.
	pub(super) fn new(source: S, connections: usize) -> Self {
		Self {
			source,
			places: Arc::new(Places::new(connections)),
			watched: Mutex::default(),
			wake: Notify::new(),
		}
	}

	/// Returns a job as it is in the best block. Reads the state.
	pub(super) fn status(&self, job: JobId) -> Result<JobStatus, Error> {
		self.read(self.source.head(), job)
	}

	/// Returns the updates of a job from now on. Reads the state, unless the job is watched already.
	pub(in crate::rpc) fn watch(&self, job: JobId, until: Until) -> Result<Updates, Error> {
		if let Some(updates) = self.subscribe(job, until) {
			return Ok(updates);
		}
		let head = self.source.head();
		let now = self.read(head, job)?;
		let (follower, update) = Follower::new(&self.source, head, now, until);
		let (updates, receiver) = watch::channel(update);
		let mut watched = self.watched.lock();
		let of_job = watched.entry(job).or_default();
		match of_job.iter().find(|(other, _)| *other == until) {
			// Somebody was faster.
			Some((_, watched)) => return Ok(watched.updates.subscribe()),
			None => of_job.push((until, Watched { follower, updates })),
		}
		drop(watched);
		if self.source.head() != head {
			self.wake.notify_one();
		}
		Ok(receiver)
	}

	/// Publishes what changes until `heads` ends, which yields whenever there is a new best or finalized block. Reads the
	/// state, so it takes a thread of its own.
	pub(super) async fn run(self: Arc<Self>, heads: impl Stream<Item = ()>) {
		let mut heads = pin!(heads.fuse());
		loop {
			tokio::select! {
				head = heads.next() => if head.is_none() { break },
				() = self.wake.notified() => {}
			}
			// Only the newest head counts.
			while let Some(Some(())) = heads.next().now_or_never() {}
			self.publish_changes();
		}
		self.watched.lock().clear();
	}

	fn read(&self, head: Head, job: JobId) -> Result<JobStatus, Error> {
		let mut read = self.source.read(head, &[job])?;
		read.pop().flatten().ok_or(Error::UnknownJob(job))
	}

	fn subscribe(&self, job: JobId, until: Until) -> Option<Updates> {
		let watched = self.watched.lock();
		let (_, watched) = watched.get(&job)?.iter().find(|(other, _)| *other == until)?;
		Some(watched.updates.subscribe())
	}

	/// Reads the jobs that may have changed, each once, and publishes what has.
	fn publish_changes(&self) {
		let head = self.source.head();
		let (mut to_read, mut others) = (Vec::new(), Vec::new());
		self.watched.lock().retain(|job, of_job| {
			of_job.retain(|(_, watched)| watched.updates.receiver_count() > 0);
			let needs_reading = |(_, watched): &(_, Watched)| watched.follower.needs_reading(&self.source, head);
			if of_job.iter().any(needs_reading) {
				to_read.push(*job);
			} else if !of_job.is_empty() {
				others.push(*job);
			}
			!of_job.is_empty()
		});
		for jobs in to_read.chunks(MAX_JOBS_READ) {
			// A failure is in the log. These jobs are read again in the next block.
			let read = self.source.read(head, jobs).unwrap_or_default();
			let read = read.into_iter().map(Some).chain(std::iter::repeat(None));
			for (job, status) in jobs.iter().zip(read) {
				let reading = match status {
					Some(Some(status)) => Reading::Present(status),
					Some(None) => Reading::Absent,
					None => Reading::None,
				};
				self.publish(job, head, reading);
			}
		}
		for job in &others {
			self.publish(job, head, Reading::None);
		}
	}

	fn publish(&self, job: &JobId, head: Head, reading: Reading) {
		let mut all = self.watched.lock();
		let Some(of_job) = all.get_mut(job) else { return };
		of_job.retain_mut(|(_, Watched { follower, updates })| {
			let next = follower.next(&self.source, head, reading.clone(), &updates.borrow());
			let Some(next) = next else { return true };
			let goes_on = next.ended.is_none();
			updates.send_replace(next);
			// Its receivers still get the last update when the sender is gone.
			goes_on
		});
		if of_job.is_empty() {
			all.remove(job);
		}
	}

	/// Returns how many jobs are watched.
	#[cfg(test)]
	pub(super) fn watched(&self) -> usize {
		self.watched.lock().len()
	}
}
