//! One conversation with a running engine: works go out, results come back, and silence has limits.

use super::{
	backend::{Backend, Unasked},
	metrics::Cause,
};
use assay_protocol::{framing, Request, Response, ServedModel};
use codec::{DecodeAll, Encode};
use futures::{SinkExt, StreamExt};
use std::{io, sync::Arc, time::Duration};
use tokio::{
	io::{AsyncRead, AsyncWrite},
	time::{interval, timeout, Instant, MissedTickBehavior},
};
use tokio_util::{
	bytes::Bytes,
	codec::{Framed, LengthDelimitedCodec},
};

/// Most models that one engine may serve.
const MAX_MODELS: usize = 1_024;

/// How long the node waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
	/// From the start of the engine to its connection.
	pub connect: Duration,
	/// From its connection to its word that it is ready: loading and proving large models takes minutes.
	pub ready: Duration,
	/// Between pings.
	pub ping: Duration,
	/// Without a pong, or without taking a frame.
	pub silence: Duration,
	/// On one work. Far above any job's deadlines.
	pub work: Duration,
}

impl Limits {
	/// What a node uses.
	pub const DEFAULT: Self = Self {
		connect: Duration::from_secs(30),
		ready: Duration::from_secs(600),
		ping: Duration::from_secs(5),
		silence: Duration::from_secs(15),
		work: Duration::from_secs(300),
	};
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
	/// The engine closed its end.
	#[error("the engine hung up")]
	HungUp,
	/// Reading or writing failed, or a frame was over the limit.
	#[error("the engine's socket failed: {0}")]
	Socket(#[from] std::io::Error),
	/// Not a message of the protocol.
	#[error("the engine sent garbage ({0}); is it of this node's version?")]
	Garbage(&'static str),
	/// It did not say that it is ready in time.
	#[error("the engine was not ready within {} s", .0.as_secs())]
	NeverReady(Duration),
	/// It does not answer.
	#[error("the engine has not answered for {} s", .0.as_secs())]
	Silent(Duration),
	/// It answers, but one work never ends.
	#[error("the engine has worked on one task for {} s", .0.as_secs())]
	Stuck(Duration),
}

impl Ended {
	/// What this end is counted as.
	pub fn cause(&self) -> Cause {
		match self {
			Self::HungUp => Cause::Crash,
			// A frame over the limit.
			Self::Socket(e) if e.kind() == io::ErrorKind::InvalidData => Cause::Garbage,
			Self::Socket(_) => Cause::Crash,
			Self::Garbage(_) => Cause::Garbage,
			Self::NeverReady(_) | Self::Silent(_) | Self::Stuck(_) => Cause::Hang,
		}
	}
}

type Wire<S> = Framed<S, LengthDelimitedCodec>;

/// Talks to the engine at the other end of `stream` until it ends. `ready` hears what it serves.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
	stream: S,
	backend: &Arc<Backend>,
	limits: Limits,
	ready: impl FnOnce(&[ServedModel]),
) -> Ended {
	match talk(Framed::new(stream, framing()), backend, limits, ready).await {
		Err(ended) => ended,
		Ok(never) => match never {},
	}
}

enum Never {}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
	mut wire: Wire<S>,
	backend: &Arc<Backend>,
	limits: Limits,
	ready: impl FnOnce(&[ServedModel]),
) -> Result<Never, Ended> {
	let first = timeout(limits.ready, receive(&mut wire))
		.await
		.map_err(|_| Ended::NeverReady(limits.ready))??;
	let Response::Ready { models } = first else {
		return Err(Ended::Garbage("a result before it was ready"));
	};
	if models.len() > MAX_MODELS {
		return Err(Ended::Garbage("more models than there can be"));
	}
	ready(&models);
	backend.engine_ready(models);

	let mut ticks = interval(limits.ping);
	ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
	let (mut pings, mut pongs) = (0u64, 0u64);
	let mut heard = Instant::now();
	let mut progress = std::time::Instant::now();
	loop {
		while let Some(id) = backend.next_cancelled() {
			send(&mut wire, &Request::Cancel { id }, limits).await?;
		}
		while let Some((id, work)) = backend.next_work() {
			send(&mut wire, &Request::Run { id, work }, limits).await?;
		}
		tokio::select! {
			message = receive(&mut wire) => match message? {
				Response::Done { id, result } => {
					progress = std::time::Instant::now();
					let backend = backend.clone();
					// The journal waits for the disk: not on a thread that others need.
					match tokio::task::spawn_blocking(move || backend.done(&id, result)).await {
						Ok(Ok(())) => {},
						Ok(Err(Unasked::Work)) => return Err(Ended::Garbage("a result that nobody asked for")),
						Ok(Err(Unasked::Kind)) => return Err(Ended::Garbage("a result of the wrong kind")),
						Err(_) => return Err(Ended::Garbage("a result that could not be kept")),
					}
				},
				// Each ping once: a flood of pongs is no conversation.
				Response::Pong(n) if n > pongs && n <= pings => {
					pongs = n;
					heard = Instant::now();
				},
				Response::Pong(_) => return Err(Ended::Garbage("a pong without its ping")),
				Response::Ready { .. } => return Err(Ended::Garbage("ready twice")),
			},
			() = backend.work_came() => {},
			_ = ticks.tick() => {
				if heard.elapsed() > limits.silence {
					return Err(Ended::Silent(limits.silence));
				}
				if backend.waits_since().is_some_and(|since| since.max(progress).elapsed() > limits.work) {
					return Err(Ended::Stuck(limits.work));
				}
				pings = pings.saturating_add(1);
				send(&mut wire, &Request::Ping(pings), limits).await?;
			},
		}
	}
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> Result<Response, Ended> {
	let frame = wire.next().await.ok_or(Ended::HungUp)??;
	Response::decode_all(&mut &frame[..]).map_err(|_| Ended::Garbage("no message of the protocol"))
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
	wire: &mut Wire<S>,
	request: &Request,
	limits: Limits,
) -> Result<(), Ended> {
	let sent = timeout(limits.silence, wire.send(Bytes::from(request.encode()))).await;
	Ok(sent.map_err(|_| Ended::Silent(limits.silence))??)
}
