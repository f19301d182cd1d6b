//! One connection to a running engine: it is told which models to serve, work goes out, results come back, and silence has
//! limits.

use super::{
	exit::ExitReason,
	folders::{Folders, Step, Watch},
};
use crate::inference::{
	backend::{Backend, ProtocolViolation},
	metrics::ExitCause,
};
use assay_primitives::ModelId;
use assay_protocol::{framing, Request, Response, SandboxStatus, ServedModel};
use codec::{DecodeAll, Encode};
use futures::{SinkExt, StreamExt};
use std::{collections::BTreeMap, convert::Infallible, io, sync::Arc, time::Duration, time::Instant};
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
	/// From the start of the engine to its message that it is ready.
	pub ready: Duration,
	/// For one model: reading and testing a large one from a slow disk takes minutes.
	pub load: Duration,
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
		load: Duration::from_secs(1_800),
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
	/// It answers, but does not finish with a model directory.
	#[error("the engine has loaded the model in {0} for {n} s without an end", n = .1.as_secs())]
	Loading(String, Duration),
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
			Disconnect::NeverReady(_) | Disconnect::Silent(_) | Disconnect::Stuck(_) | Disconnect::Loading(..) => {
				ExitCause::Hang
			}
		};
		Self::new(cause, disconnect.to_string())
	}
}

/// Talks to the engine at the other end of `stream` until that ends, and has it serve the directories that `watch` finds.
/// `on_connected` receives what confines it, and may refuse it; `on_ready` what it serves once it has tried all directories that
/// were there.
pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(
	stream: S,
	backend: &Arc<Backend>,
	timeouts: Timeouts,
	watch: Watch,
	on_connected: impl FnOnce(&SandboxStatus) -> Result<(), Disconnect>,
	on_ready: impl FnOnce(&[ServedModel]),
) -> Disconnect {
	let mut connection = Connection {
		frames: Framed::new(stream, framing()),
		backend,
		timeouts,
		watch,
		folders: Folders::default(),
		served: BTreeMap::new(),
		loading: None,
		pings: 0,
		pongs: 0,
		last_pong: Instant::now(),
		last_progress: Instant::now(),
	};
	let ended = async {
		let (models, sandbox) = connection.ready().await?;
		on_connected(&sandbox)?;
		backend.engine_connected(models, sandbox);
		connection.serve(on_ready).await
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
	watch: Watch,
	folders: Folders,
	/// The models of the directories that are served.
	served: BTreeMap<String, ModelId>,
	/// The directory that the engine loads, and since when.
	loading: Option<(String, Instant)>,
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
		let first = timeout(wait, receive(&mut self.frames))
			.await
			.map_err(|_| Disconnect::NeverReady(wait))??;
		match first {
			Response::Ready { models, sandbox } if models.len() <= MAX_MODELS => Ok((models, sandbox)),
			Response::Ready { .. } => Err(Disconnect::Violation("more models than there can be")),
			_ => Err(Disconnect::Violation("a result before it was ready")),
		}
	}

	async fn serve(&mut self, on_ready: impl FnOnce(&[ServedModel])) -> Result<Infallible, Disconnect> {
		let mut ticks = interval(self.timeouts.ping);
		ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
		self.last_pong = Instant::now();
		self.last_progress = Instant::now();
		let backend = self.backend.clone();
		let mut on_ready = Some(on_ready);
		loop {
			while let Some(step) = self.folders.next_step() {
				self.begin(step).await?;
			}
			if self.folders.is_settled() {
				if let Some(on_ready) = on_ready.take() {
					on_ready(&backend.engine_ready());
				}
			}
			while let Some(id) = backend.next_cancelled() {
				self.send(&Request::Cancel { id }).await?;
			}
			while let Some((id, work)) = backend.next_work() {
				self.send(&Request::Run { id, work }).await?;
			}
			tokio::select! {
				message = receive(&mut self.frames) => self.handle(message?).await?,
				found = self.watch.next() => {
					self.folders.seen(found);
					backend.forget_refused(|directory| self.folders.knows(directory));
				}
				() = backend.work_available() => {},
				_ = ticks.tick() => self.ping().await?,
			}
		}
	}

	/// Has the engine begin or end to serve a directory.
	async fn begin(&mut self, step: Step) -> Result<(), Disconnect> {
		match step {
			Step::Load(directory) => {
				self.loading = Some((directory.clone(), Instant::now()));
				self.send(&Request::Load { directory }).await
			}
			Step::Unload(directory) => {
				// No more work from now on.
				if let Some(model) = self.served.remove(&directory) {
					self.backend.model_gone(&directory, &model);
				}
				self.send(&Request::Unload { directory }).await
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
			Response::Loaded { directory, model } if self.folders.loaded(&directory) => {
				self.loading = None;
				self.served.insert(directory.clone(), model.id);
				self.backend.model_served(&directory, model);
			}
			Response::Refused { directory, reason } if self.folders.refused(&directory) => {
				self.loading = None;
				self.backend.model_refused(directory, &reason);
			}
			Response::Unloaded { directory } if self.folders.unloaded(&directory) => {}
			Response::Loaded { .. } | Response::Refused { .. } | Response::Unloaded { .. } => {
				return Err(Disconnect::Violation("news of a model that was not asked for"))
			}
		}
		Ok(())
	}

	/// Checks that the engine is alive and makes progress, and sends the next ping.
	async fn ping(&mut self) -> Result<(), Disconnect> {
		let Timeouts {
			silence, work, load, ..
		} = self.timeouts;
		if self.last_pong.elapsed() > silence {
			return Err(Disconnect::Silent(silence));
		}
		let busy_since = self.backend.busy_since();
		if busy_since.is_some_and(|since| since.max(self.last_progress).elapsed() > work) {
			return Err(Disconnect::Stuck(work));
		}
		if let Some((directory, _)) = self.loading.take_if(|(_, since)| since.elapsed() > load) {
			return Err(Disconnect::Loading(directory, load));
		}
		self.pings = self.pings.saturating_add(1);
		self.send(&Request::Ping(self.pings)).await
	}

	async fn send(&mut self, request: &Request) -> Result<(), Disconnect> {
		let silence = self.timeouts.silence;
		let sent = timeout(silence, self.frames.send(Bytes::from(request.encode()))).await;
		Ok(sent.map_err(|_| Disconnect::Silent(silence))??)
	}
}

/// Returns the engine's next message.
async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
	frames: &mut Framed<S, LengthDelimitedCodec>,
) -> Result<Response, Disconnect> {
	let frame = frames.next().await.ok_or(Disconnect::HungUp)??;
	Response::decode_all(&mut &frame[..]).map_err(|_| Disconnect::Violation("a frame that is no message"))
}
