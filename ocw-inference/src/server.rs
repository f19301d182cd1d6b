//! The engine's side of the socket: one thread computes, the rest only passes messages.

use crate::{
	protocol::{decode, framing, Request, Response, Work, WorkResult, MAX_QUEUE},
	Engine, Error, Result,
};
use assay_primitives::Hash32;
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{path::Path, sync::mpsc as blocking};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::{
	bytes::Bytes,
	codec::{FramedRead, FramedWrite},
};

/// Answers the node that listens at `socket` until it hangs up.
pub async fn serve(socket: &Path, engine: Engine) -> Result<()> {
	serve_loading(socket, move || Ok(engine)).await
}

/// [`serve`], connecting first and loading the models then, on the computing thread.
pub async fn serve_loading(socket: &Path, load: impl FnOnce() -> Result<Engine> + Send + 'static) -> Result<()> {
	let stream = UnixStream::connect(socket).await.map_err(Error::io(socket))?;
	let (reader, writer) = stream.into_split();
	let mut frames = FramedRead::new(reader, framing());
	let mut out = FramedWrite::new(writer, framing());

	let (work, queue) = blocking::sync_channel::<(Hash32, Work)>(MAX_QUEUE);
	// As deep as the queue and then some: the computing thread waits rather than lose a result.
	let (responses, mut outgoing) = mpsc::channel::<Response>(2 * MAX_QUEUE);
	let results = responses.clone();
	let computing = std::thread::Builder::new()
		.name("compute".into())
		.spawn(move || compute(load, &queue, &results))
		.map_err(|e| Error::Socket(format!("no thread to compute on: {e}")))?;

	let sending = async {
		while let Some(response) = outgoing.recv().await {
			out.send(Bytes::from(response.encode())).await.map_err(broken)?;
		}
		// The computing thread is gone, and with it the reason to stay.
		Ok::<(), Error>(())
	};
	let receiving = async {
		while let Some(frame) = frames.next().await {
			let answer = match decode::<Request>(&frame.map_err(broken)?)? {
				Request::Ping(number) => Some(Response::Pong(number)),
				Request::Run { id, work: job } => work.try_send((id, job)).err().map(|error| {
					let reason = match error {
						blocking::TrySendError::Full(_) => format!("{MAX_QUEUE} pieces of work wait already"),
						blocking::TrySendError::Disconnected(_) => "the engine has no models".into(),
					};
					Response::Done {
						id,
						result: WorkResult::Abstained { reason },
					}
				}),
			};
			if let Some(answer) = answer {
				responses.send(answer).await.map_err(broken)?;
			}
		}
		log::info!("the node hung up");
		Ok(())
	};
	let ended = tokio::select! {
		ended = sending => ended,
		ended = receiving => ended,
	};
	// Work in progress is not waited for: nobody will read its result.
	match computing.is_finished().then(|| computing.join()) {
		Some(Ok(loaded)) => ended.and(loaded),
		Some(Err(_)) => Err(Error::Socket("the computing thread panicked".into())),
		None => ended,
	}
}

/// The computing thread: loads, says that it's ready, then works until the queue closes.
fn compute(
	load: impl FnOnce() -> Result<Engine>,
	queue: &blocking::Receiver<(Hash32, Work)>,
	results: &mpsc::Sender<Response>,
) -> Result<()> {
	let engine = load()?;
	let mut gone = results
		.blocking_send(Response::Ready {
			models: engine.served(),
		})
		.is_err();
	while let (false, Ok((id, work))) = (gone, queue.recv()) {
		gone = results
			.blocking_send(Response::Done {
				id,
				result: engine.run(&work),
			})
			.is_err();
	}
	Ok(())
}

fn broken(error: impl std::fmt::Display) -> Error {
	Error::Socket(error.to_string())
}
