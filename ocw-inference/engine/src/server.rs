//! The engine's side of the socket: one thread computes, step by step; the rest only passes messages.

use crate::{engine::Executor, process::end_if_device_failed, progress::Progress, Engine, Error, Result};
use assay_primitives::WorkId;
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, Work, WorkResult, MAX_QUEUE};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{
	collections::HashSet,
	sync::{mpsc as blocking, Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
	net::{
		unix::{OwnedReadHalf, OwnedWriteHalf},
		UnixStream,
	},
	sync::{mpsc, oneshot},
};
use tokio_util::{
	bytes::Bytes,
	codec::{FramedRead, FramedWrite},
};

/// Answers the node at the other end of `stream` until it hangs up, computing on all cores.
pub async fn serve(stream: UnixStream, engine: Engine) -> Result<()> {
	serve_loading(stream, 0, SandboxStatus::OFF, move || Ok(engine)).await
}

/// [`serve`] on `threads` threads (0: one for each core), in a process confined by `sandbox`, loading the models while pings are
/// already answered.
pub async fn serve_loading(
	stream: UnixStream,
	threads: usize,
	sandbox: SandboxStatus,
	load: impl FnOnce() -> Result<Engine> + Send + 'static,
) -> Result<()> {
	let (reader, writer) = stream.into_split();
	let (in_flight, progress) = (InFlight::default(), Progress::default());
	let (commands, queue) = blocking::sync_channel(2 * MAX_QUEUE);
	// Deep enough for all that is in flight and then some: the computing thread waits rather than lose a result.
	let (responses, outgoing) = mpsc::channel::<Response>(2 * MAX_QUEUE);
	let compute_loop = ComputeLoop {
		commands: queue,
		in_flight: in_flight.clone(),
		progress: progress.clone(),
		responses: responses.clone(),
		sandbox,
	};
	let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
	let pool = pool.map_err(|e| Error::Socket(format!("no threads to compute on: {e}")))?;
	let (over, computing) = oneshot::channel();
	std::thread::Builder::new()
		.name("compute".into())
		.spawn(move || over.send(pool.install(move || compute_loop.run(load))))
		.map_err(|e| Error::Socket(format!("no thread to compute on: {e}")))?;

	// Work in progress is not waited for: nobody will read its result. And who computes nothing has no reason to stay.
	tokio::select! {
		ended = send(writer, outgoing, progress) => ended,
		ended = receive(reader, &in_flight, &commands, &responses) => ended,
		ended = computing => ended.unwrap_or_else(|_| Err(Error::Socket("the computing thread panicked".into()))),
	}
}

/// Sends what there is to send, progress only while nothing else waits.
async fn send(writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Response>, progress: Progress) -> Result<()> {
	let mut frames = FramedWrite::new(writer, framing());
	loop {
		let response = tokio::select! {
			biased;
			response = outgoing.recv() => match response {
				Some(response) => response,
				None => return Ok(()),
			},
			response = progress.next() => response,
		};
		frames
			.send(Bytes::from(response.encode()))
			.await
			.map_err(socket_error)?;
	}
}

/// Answers pings at once and passes the rest on, until the node hangs up.
async fn receive(
	reader: OwnedReadHalf,
	in_flight: &InFlight,
	commands: &blocking::SyncSender<Command>,
	responses: &mpsc::Sender<Response>,
) -> Result<()> {
	let mut frames = FramedRead::new(reader, framing());
	while let Some(frame) = frames.next().await {
		let answer = match decode::<Request>(&frame.map_err(socket_error)?)? {
			Request::Ping(number) => Some(Response::Pong(number)),
			Request::Run { id, work } => submit(in_flight, commands, id, work).map(|reason| abstained(id, reason)),
			Request::Cancel { id } => {
				if in_flight.lock().contains(&id) && commands.try_send(Command::Cancel(id)).is_err() {
					log::warn!("too many commands wait; a cancellation is left out");
				}
				None
			}
		};
		if let Some(answer) = answer {
			responses.send(answer).await.map_err(socket_error)?;
		}
	}
	log::info!("the node hung up");
	Ok(())
}

/// Passes a work item to the computing thread, or returns the reason why not.
fn submit(in_flight: &InFlight, commands: &blocking::SyncSender<Command>, id: WorkId, work: Work) -> Option<String> {
	let mut ids = in_flight.lock();
	if ids.contains(&id) {
		log::warn!("work {id} is here already");
		return None;
	}
	if ids.len() >= MAX_QUEUE {
		return Some(format!("{MAX_QUEUE} work items are here already"));
	}
	match commands.try_send(Command::Run(id, Box::new(work))) {
		Ok(()) => {
			ids.insert(id);
			None
		}
		Err(blocking::TrySendError::Full(_)) => Some("too many commands wait already".into()),
		Err(blocking::TrySendError::Disconnected(_)) => Some("the engine has no models".into()),
	}
}

/// Ids of the work that was accepted and is not answered yet.
#[derive(Clone, Default)]
struct InFlight(Arc<Mutex<HashSet<WorkId>>>);

impl InFlight {
	fn lock(&self) -> MutexGuard<'_, HashSet<WorkId>> {
		self.0.lock().unwrap_or_else(PoisonError::into_inner)
	}
}

/// What the computing thread is to do.
enum Command {
	Run(WorkId, Box<Work>),
	Cancel(WorkId),
}

/// The computing thread's ends of all channels.
struct ComputeLoop {
	commands: blocking::Receiver<Command>,
	in_flight: InFlight,
	progress: Progress,
	responses: mpsc::Sender<Response>,
	sandbox: SandboxStatus,
}

impl ComputeLoop {
	/// Loads, reports that it's ready, then works until the queue closes: takes commands in between steps, and waits for
	/// them when there is nothing to do.
	fn run(self, load: impl FnOnce() -> Result<Engine>) -> Result<()> {
		// Where a GPU failed, nothing is taken down: that would call its driver again.
		let mut engine = load().map_err(end_if_device_failed)?;
		for error in engine.drop_models_beyond_memory() {
			log::error!("{error}");
		}
		let mut executor = engine.executor().map_err(end_if_device_failed)?;
		let ready = Response::Ready {
			models: engine.served(),
			sandbox: self.sandbox,
		};
		let mut hung_up = self.responses.blocking_send(ready).is_err();
		while !hung_up {
			if executor.is_idle() {
				match self.commands.recv() {
					Ok(command) => hung_up = self.execute(command, &mut executor),
					Err(_) => return Ok(()),
				}
			}
			while let Ok(command) = self.commands.try_recv() {
				hung_up |= self.execute(command, &mut executor);
			}
			let mut on_token = |id: &WorkId, token| self.progress.add(id, token);
			for (id, result) in executor.step(&mut on_token).map_err(end_if_device_failed)? {
				hung_up |= self.answer(id, result);
			}
		}
		Ok(())
	}

	/// Executes a command; true if the node has hung up.
	fn execute(&self, command: Command, executor: &mut Executor<'_>) -> bool {
		match command {
			Command::Run(id, work) => match executor.submit(id, *work) {
				Some(result) => self.answer(id, result),
				None => false,
			},
			Command::Cancel(id) if executor.cancel(&id) => {
				let reason = "it was cancelled".into();
				self.answer(id, WorkResult::Abstained { reason })
			}
			Command::Cancel(_) => false,
		}
	}

	/// Sends a result; true if the node has hung up.
	fn answer(&self, id: WorkId, result: WorkResult) -> bool {
		// Before the result, so that no progress follows it; what finds no room is in the result.
		for message in self.progress.end(&id) {
			if self.responses.try_send(message).is_err() {
				break;
			}
		}
		self.in_flight.lock().remove(&id);
		self.responses.blocking_send(Response::Done { id, result }).is_err()
	}
}

fn abstained(id: WorkId, reason: String) -> Response {
	let result = WorkResult::Abstained { reason };
	Response::Done { id, result }
}

fn socket_error(error: impl std::fmt::Display) -> Error {
	Error::Socket(error.to_string())
}
