//! One connection to a running engine: work goes out, results come back, and silence has limits.

use super::exit::ExitReason;
use crate::inference::{
	backend::{Backend, ProtocolViolation},
	metrics::ExitCause,
};
use assay_protocol::{framing, Request, Response, SandboxStatus, ServedModel};
use codec::{DecodeAll, Encode};
use futures::{SinkExt, StreamExt};
use std::{convert::Infallible, io, sync::Arc, time::Duration, time::Instant};
use tokio::{
	io::{AsyncRead, AsyncWrite},
	time::{interval, timeout, MissedTickBehavior},
};
use tokio_util::{
	bytes::Bytes,
	codec::{Framed, LengthDelimitedCodec},
};

/// Most models that one engine may serve.
const MAX_MODELS: usize = 1_024;

/// How long the node waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
	/// From the start of the engine to its message that it is ready: loading and testing large models takes minutes.
	pub ready: Duration,
	/// Between pings.
	pub ping: Duration,
	/// Without a pong, or without taking a frame.
	pub silence: Duration,
	/// Without a result, or a token of one. Far above what a check takes, or an answer's first token.
	pub work: Duration,
}

impl Timeouts {
	/// What a node uses.
	pub const DEFAULT: Self = Self {
		ready: Duration::from_secs(600),
		ping: Duration::from_secs(5),
		silence: Duration::from_secs(15),
		work: Duration::from_secs(300),
	};
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
	/// The engine closed its end.
	#[error("the engine hung up")]
	HungUp,
	/// Reading or writing failed, or a frame was over the limit.
	#[error("the engine's socket failed: {0}")]
	Socket(#[from] std::io::Error),
	/// A frame is no message, or not one that may come now.
	#[error("the engine violated the protocol ({0}); is it of this node's version?")]
	Violation(&'static str),
	/// It did not report that it is ready in time.
	#[error("the engine was not ready within {} s", .0.as_secs())]
	NeverReady(Duration),
	/// It does not answer.
	#[error("the engine has not answered for {} s", .0.as_secs())]
	Silent(Duration),
	/// It answers, but its work does not go on.
	#[error("the engine has computed for {} s without a result or a token", .0.as_secs())]
	Stuck(Duration),
}

impl From<ProtocolViolation> for Disconnect {
	fn from(violation: ProtocolViolation) -> Self {
		Self::Violation(match violation {
			ProtocolViolation::UnknownWork => "a result that was not requested",
			ProtocolViolation::WrongKind => "a result of the wrong kind",
			ProtocolViolation::ProgressSize => "progress by no token, or by too many",
		})
	}
}

impl From<Disconnect> for ExitReason {
	fn from(disconnect: Disconnect) -> Self {
		let cause = match &disconnect {
			Disconnect::HungUp => ExitCause::Crash,
			// A frame over the limit.
			Disconnect::Socket(e) if e.kind() == io::ErrorKind::InvalidData => ExitCause::Protocol,
			Disconnect::Socket(_) => ExitCause::Crash,
			Disconnect::Violation(_) => ExitCause::Protocol,
			Disconnect::NeverReady(_) | Disconnect::Silent(_) | Disconnect::Stuck(_) => ExitCause::Hang,
		};
		Self::new(cause, disconnect.to_string())
	}
}

/// Talks to the engine at the other end of `stream` until that ends. `on_ready` receives what it serves and what confines it,
/// and may refuse it.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
	stream: S,
	backend: &Arc<Backend>,
	timeouts: Timeouts,
	on_ready: impl FnOnce(&[ServedModel], &SandboxStatus) -> Result<(), Disconnect>,
) -> Disconnect {
	let mut connection = Connection {
		frames: Framed::new(stream, framing()),
		backend,
		timeouts,
		pings: 0,
		pongs: 0,
		last_pong: Instant::now(),
		last_progress: Instant::now(),
	};
	let ended = async {
		let (models, sandbox) = connection.ready().await?;
		on_ready(&models, &sandbox)?;
		backend.engine_ready(models, sandbox);
		connection.serve().await
	};
	match ended.await {
		Err(disconnect) => disconnect,
		Ok(never) => match never {},
	}
}

struct Connection<'a, S> {
	frames: Framed<S, LengthDelimitedCodec>,
	backend: &'a Arc<Backend>,
	timeouts: Timeouts,
	/// Pings sent.
	pings: u64,
	/// The last ping that was answered.
	pongs: u64,
	last_pong: Instant,
	/// When it last sent a result, or a token of one.
	last_progress: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
	/// Waits for the first message.
	async fn ready(&mut self) -> Result<(Vec<ServedModel>, SandboxStatus), Disconnect> {
		let wait = self.timeouts.ready;
		let first = timeout(wait, self.receive())
			.await
			.map_err(|_| Disconnect::NeverReady(wait))??;
		match first {
			Response::Ready { models, sandbox } if models.len() <= MAX_MODELS => Ok((models, sandbox)),
			Response::Ready { .. } => Err(Disconnect::Violation("more models than there can be")),
			_ => Err(Disconnect::Violation("a result before it was ready")),
		}
	}

	async fn serve(&mut self) -> Result<Infallible, Disconnect> {
		let mut ticks = interval(self.timeouts.ping);
		ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
		self.last_pong = Instant::now();
		self.last_progress = Instant::now();
		let backend = self.backend.clone();
		loop {
			while let Some(id) = backend.next_cancelled() {
				self.send(&Request::Cancel { id }).await?;
			}
			while let Some((id, work)) = backend.next_work() {
				self.send(&Request::Run { id, work }).await?;
			}
			tokio::select! {
				message = self.receive() => self.handle(message?).await?,
				() = backend.work_available() => {},
				_ = ticks.tick() => self.ping().await?,
			}
		}
	}

	async fn handle(&mut self, message: Response) -> Result<(), Disconnect> {
		match message {
			Response::Done { id, result } => {
				self.last_progress = Instant::now();
				let backend = self.backend.clone();
				// The journal waits for the disk: not on a thread that others need.
				tokio::task::spawn_blocking(move || backend.done(&id, result))
					.await
					.map_err(|_| Disconnect::Violation("a result that could not be handled"))??;
			}
			Response::Progress { id, first, tokens } => {
				if self.backend.progress(&id, first, tokens)? {
					self.last_progress = Instant::now();
				}
			}
			// Each ping once: a flood of pongs is no heartbeat.
			Response::Pong(n) if n > self.pongs && n <= self.pings => {
				self.pongs = n;
				self.last_pong = Instant::now();
			}
			Response::Pong(_) => return Err(Disconnect::Violation("a pong without its ping")),
			Response::Ready { .. } => return Err(Disconnect::Violation("ready twice")),
		}
		Ok(())
	}

	/// Checks that the engine is alive and makes progress, and sends the next ping.
	async fn ping(&mut self) -> Result<(), Disconnect> {
		let Timeouts { silence, work, .. } = self.timeouts;
		if self.last_pong.elapsed() > silence {
			return Err(Disconnect::Silent(silence));
		}
		let busy_since = self.backend.busy_since();
		if busy_since.is_some_and(|since| since.max(self.last_progress).elapsed() > work) {
			return Err(Disconnect::Stuck(work));
		}
		self.pings = self.pings.saturating_add(1);
		self.send(&Request::Ping(self.pings)).await
	}

	async fn receive(&mut self) -> Result<Response, Disconnect> {
		let frame = self.frames.next().await.ok_or(Disconnect::HungUp)??;
		Response::decode_all(&mut &frame[..]).map_err(|_| Disconnect::Violation("a frame that is no message"))
	}

	async fn send(&mut self, request: &Request) -> Result<(), Disconnect> {
		let silence = self.timeouts.silence;
		let sent = timeout(silence, self.frames.send(Bytes::from(request.encode()))).await;
		Ok(sent.map_err(|_| Disconnect::Silent(silence))??)
	}
}
