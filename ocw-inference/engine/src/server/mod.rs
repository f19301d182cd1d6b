//! The engine's side of the socket: one thread computes, step by step, and another reads models; the rest only passes messages.

mod loader;

use crate::{
	engine::{Executor, ModelNews},
	process::end_if_device_failed,
	progress::Progress,
	Engine, Error, Model, Result,
};
use assay_primitives::WorkId;
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, Work, WorkResult, MAX_QUEUE};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use loader::Loader;
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

/// [`serve`] on `threads` threads (0: one for each core), in a process confined by `sandbox`, making the engine while pings are
/// already answered. Models that the node asks for are read while others serve.
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
		loaded: commands.clone(),
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
	let ended = tokio::select! {
		ended = send(writer, outgoing, progress) => ended,
		ended = receive(reader, &in_flight, &commands, &responses) => ended,
		ended = computing => ended.unwrap_or_else(|_| Err(Error::Socket("the computing thread panicked".into()))),
	};
	// Where there is no room for it, the computing thread finds the node gone at its next answer.
	drop(commands.try_send(Command::End));
	ended
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
			Request::Load { directory } => pass(commands, Command::Load(directory.clone()))
				.err()
				.map(|reason| Response::Refused { directory, reason }),
			Request::Unload { directory } => {
				if pass(commands, Command::Unload(directory)).is_err() {
					return Err(Error::Socket(
						"too many commands wait to take in one that must not be lost".into(),
					));
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
	let passed = pass(commands, Command::Run(id, Box::new(work)));
	if passed.is_ok() {
		ids.insert(id);
	}
	passed.err()
}

/// Passes a command to the computing thread, or returns the reason why not.
fn pass(commands: &blocking::SyncSender<Command>, command: Command) -> std::result::Result<(), String> {
	commands.try_send(command).map_err(|error| match error {
		blocking::TrySendError::Full(_) => "too many commands wait already".into(),
		blocking::TrySendError::Disconnected(_) => "the engine computes nothing any more".into(),
	})
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
	/// Read a model directory.
	Load(String),
	/// What was read of a model directory is here.
	Loaded(String, Box<Result<Model>>),
	/// Serve a directory's model no longer.
	Unload(String),
	/// The node has hung up.
	End,
}

/// The computing thread's ends of all channels.
struct ComputeLoop {
	commands: blocking::Receiver<Command>,
	/// Where what was read comes in among the commands.
	loaded: blocking::SyncSender<Command>,
	in_flight: InFlight,
	progress: Progress,
	responses: mpsc::Sender<Response>,
	sandbox: SandboxStatus,
}

impl ComputeLoop {
	/// Makes the engine, reports that it's ready, then works until the node hangs up: takes commands in between steps, and waits for
	/// them when there is nothing to do.
	fn run(self, load: impl FnOnce() -> Result<Engine>) -> Result<()> {
		// Where a GPU failed, nothing is taken down: that would call its driver again.
		let mut engine = load().map_err(end_if_device_failed)?;
		for error in engine.drop_models_beyond_memory() {
			log::error!("{error}");
		}
		let mut executor = engine.executor().map_err(end_if_device_failed)?;
		let mut loader = Loader::new(engine.directory(), self.loaded.clone());
		// The executor has its models, and drops those that leave.
		drop(engine);
		let ready = Response::Ready {
			models: executor.served(),
			sandbox: self.sandbox,
		};
		let mut hung_up = self.responses.blocking_send(ready).is_err();
		while !hung_up {
			if executor.is_idle() {
				match self.commands.recv() {
					Ok(command) => hung_up = self.execute(command, &mut executor, &mut loader)?,
					Err(_) => return Ok(()),
				}
			}
			while let Ok(command) = self.commands.try_recv() {
				hung_up |= self.execute(command, &mut executor, &mut loader)?;
			}
			let mut on_token = |id: &WorkId, token| self.progress.add(id, token);
			for (id, result) in executor.step(&mut on_token).map_err(end_if_device_failed)? {
				hung_up |= self.answer(id, result);
			}
			for news in executor.take_news() {
				hung_up |= self.responses.blocking_send(response(news)).is_err();
			}
		}
		Ok(())
	}

	/// Executes a command; true if the node has hung up.
	fn execute(&self, command: Command, executor: &mut Executor, loader: &mut Loader) -> Result<bool> {
		Ok(match command {
			Command::Run(id, work) => match executor.submit(id, *work) {
				Some(result) => self.answer(id, result),
				None => false,
			},
			Command::Cancel(id) if executor.cancel(&id) => {
				let reason = "it was cancelled".into();
				self.answer(id, WorkResult::Abstained { reason })
			}
			Command::Cancel(_) => false,
			Command::Load(directory) => {
				// Where there is no work, nobody is disturbed.
				match loader.load(directory.clone(), executor.is_idle()) {
					Ok(()) => false,
					Err(error) => self
						.responses
						.blocking_send(response(ModelNews::Refused(directory, error)))
						.is_err(),
				}
			}
			Command::Loaded(directory, model) => {
				executor.add(&directory, *model).map_err(end_if_device_failed)?;
				false
			}
			Command::Unload(directory) => {
				executor.retire(&directory).map_err(end_if_device_failed)?;
				false
			}
			Command::End => true,
		})
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

fn response(news: ModelNews) -> Response {
	match news {
		ModelNews::Serving(directory, model) => Response::Loaded { directory, model },
		ModelNews::Refused(directory, error) => Response::Refused {
			directory,
			reason: error.to_string(),
		},
		ModelNews::Stopped(directory) => Response::Unloaded { directory },
	}
}

fn abstained(id: WorkId, reason: String) -> Response {
	let result = WorkResult::Abstained { reason };
	Response::Done { id, result }
}

fn socket_error(error: impl std::fmt::Display) -> Error {
	Error::Socket(error.to_string())
}
