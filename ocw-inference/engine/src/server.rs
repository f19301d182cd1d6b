//! The engine's side of the socket: one thread computes, step by step; the rest only passes messages.

use crate::{engine::Executor, process::end_if_device_failed, Engine, Error, Result};
use assay_primitives::WorkId;
use assay_protocol::{decode, framing, Request, Response, Work, WorkResult, MAX_QUEUE};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{
	collections::HashSet,
	path::Path,
	sync::{mpsc as blocking, Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
	net::UnixStream,
	sync::{mpsc, oneshot},
};
use tokio_util::{
	bytes::Bytes,
	codec::{FramedRead, FramedWrite},
};

/// Answers the node that listens at `socket` until it hangs up, computing on all cores.
pub async fn serve(socket: &Path, engine: Engine) -> Result<()> {
	serve_loading(socket, 0, move || Ok(engine)).await
}

/// [`serve`] on so many threads (0: one for each core), connecting first and loading the models then.
pub async fn serve_loading(
	socket: &Path,
	threads: usize,
	load: impl FnOnce() -> Result<Engine> + Send + 'static,
) -> Result<()> {
	let stream = UnixStream::connect(socket).await.map_err(Error::io(socket))?;
	let (reader, writer) = stream.into_split();
	let mut frames = FramedRead::new(reader, framing());
	let mut out = FramedWrite::new(writer, framing());

	let held = Held::default();
	let (orders, queue) = blocking::sync_channel(2 * MAX_QUEUE);
	// Deep enough for all that is held and then some: the computing thread waits rather than lose a result.
	let (responses, mut outgoing) = mpsc::channel::<Response>(2 * MAX_QUEUE);
	let desk = Desk {
		queue,
		held: held.clone(),
		results: responses.clone(),
	};
	let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
	let pool = pool.map_err(|e| Error::Socket(format!("no threads to compute on: {e}")))?;
	let (over, computing) = oneshot::channel();
	std::thread::Builder::new()
		.name("compute".into())
		.spawn(move || over.send(pool.install(move || desk.compute(load))))
		.map_err(|e| Error::Socket(format!("no thread to compute on: {e}")))?;

	let sending = async {
		while let Some(response) = outgoing.recv().await {
			out.send(Bytes::from(response.encode())).await.map_err(broken)?;
		}
		Ok::<(), Error>(())
	};
	let receiving = async {
		while let Some(frame) = frames.next().await {
			let answer = match decode::<Request>(&frame.map_err(broken)?)? {
				Request::Ping(number) => Some(Response::Pong(number)),
				Request::Run { id, work } => take_in(&held, &orders, id, work).map(|reason| abstained(id, reason)),
				Request::Cancel { id } => {
					if held.lock().contains(&id) && orders.try_send(Order::Cancel(id)).is_err() {
						log::warn!("too many orders wait; a cancellation is left out");
					}
					None
				}
			};
			if let Some(answer) = answer {
				responses.send(answer).await.map_err(broken)?;
			}
		}
		log::info!("the node hung up");
		Ok(())
	};
	// Work in progress is not waited for: nobody will read its result. And who computes nothing has no reason to stay.
	tokio::select! {
		ended = sending => ended,
		ended = receiving => ended,
		ended = computing => ended.unwrap_or_else(|_| Err(Error::Socket("the computing thread panicked".into()))),
	}
}

/// Hands a piece of work to the computing thread, or says why not.
fn take_in(held: &Held, orders: &blocking::SyncSender<Order>, id: WorkId, work: Work) -> Option<String> {
	let mut ids = held.lock();
	if ids.contains(&id) {
		log::warn!("work 0x{} is here already", hex::encode(id));
		return None;
	}
	if ids.len() >= MAX_QUEUE {
		return Some(format!("{MAX_QUEUE} pieces of work are here already"));
	}
	match orders.try_send(Order::Run(id, Box::new(work))) {
		Ok(()) => {
			ids.insert(id);
			None
		}
		Err(blocking::TrySendError::Full(_)) => Some("too many orders wait already".into()),
		Err(blocking::TrySendError::Disconnected(_)) => Some("the engine has no models".into()),
	}
}

/// Names of the work that is taken in and not answered.
#[derive(Clone, Default)]
struct Held(Arc<Mutex<HashSet<WorkId>>>);

impl Held {
	fn lock(&self) -> MutexGuard<'_, HashSet<WorkId>> {
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// What the computing thread is told.
enum Order {
	Run(WorkId, Box<Work>),
	Cancel(WorkId),
}

/// The computing thread's ends of all channels.
struct Desk {
	queue: blocking::Receiver<Order>,
	held: Held,
	results: mpsc::Sender<Response>,
}

impl Desk {
	/// Loads, says that it's ready, then works until the queue closes: takes orders in between steps, and waits for them
	/// when there is nothing to do.
	fn compute(self, load: impl FnOnce() -> Result<Engine>) -> Result<()> {
		// Where a graphics card failed, nothing is taken down: that would ask the card again.
		let engine = load().map_err(end_if_device_failed)?;
		let mut workshop = engine.executor().map_err(end_if_device_failed)?;
		let ready = Response::Ready {
			models: engine.served(),
		};
		let mut gone = self.results.blocking_send(ready).is_err();
		while !gone {
			if workshop.is_idle() {
				match self.queue.recv() {
					Ok(order) => gone = self.follow(order, &mut workshop),
					Err(_) => return Ok(()),
				}
			}
			while let Ok(order) = self.queue.try_recv() {
				gone |= self.follow(order, &mut workshop);
			}
			for (id, result) in workshop.step().map_err(end_if_device_failed)? {
				gone |= self.answer(id, result);
			}
		}
		Ok(())
	}

	/// Does what it's told; true if nobody listens any more.
	fn follow(&self, order: Order, workshop: &mut Executor<'_>) -> bool {
		match order {
			Order::Run(id, work) => match workshop.submit(id, *work) {
				Some(result) => self.answer(id, result),
				None => false,
			},
			Order::Cancel(id) if workshop.cancel(&id) => {
				let reason = "it was cancelled".into();
				self.answer(id, WorkResult::Abstained { reason })
			}
			Order::Cancel(_) => false,
		}
	}

	/// Sends a result; true if nobody listens any more.
	fn answer(&self, id: WorkId, result: WorkResult) -> bool {
		self.held.lock().remove(&id);
		self.results.blocking_send(Response::Done { id, result }).is_err()
	}
}

fn abstained(id: WorkId, reason: String) -> Response {
	let result = WorkResult::Abstained { reason };
	Response::Done { id, result }
}

fn broken(error: impl std::fmt::Display) -> Error {
	Error::Socket(error.to_string())
}
