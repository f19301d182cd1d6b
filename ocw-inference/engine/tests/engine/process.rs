//! The engine's program, started as a node starts it.

use assay_protocol::{decode, framing, is_directory_name, Request, Response, SandboxStatus, ServedModel};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{
	fs,
	os::fd::OwnedFd,
	path::Path,
	process::{Child, Command, Stdio},
	time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use tokio_util::{
	bytes::Bytes,
	codec::{Framed, LengthDelimitedCodec},
};

/// A running program, ready to take work. It ends when the socket is dropped.
pub(crate) struct Process {
	pub(crate) child: Child,
	pub(crate) socket: Framed<UnixStream, LengthDelimitedCodec>,
	pub(crate) models: Vec<ServedModel>,
	pub(crate) sandbox: SandboxStatus,
}

impl Process {
	/// Has the program serve the model of a directory; the reason if it does not.
	pub(crate) async fn load(&mut self, directory: &str) -> Result<ServedModel, String> {
		let directory = directory.to_owned();
		let request = Request::Load { directory }.encode();
		self.socket.send(Bytes::from(request)).await.unwrap();
		match self.next().await {
			Response::Loaded { model, .. } => Ok(model),
			Response::Refused { reason, .. } => Err(reason),
			other => panic!("{other:?}"),
		}
	}

	/// Returns its next message.
	pub(crate) async fn next(&mut self) -> Response {
		let frame = timeout(Duration::from_secs(300), self.socket.next()).await.unwrap();
		decode(&frame.unwrap().unwrap()).unwrap()
	}
}

/// Starts the program on two threads and waits until it serves what there is in `models`.
pub(crate) async fn start(models: &Path, arguments: &[&str]) -> Process {
	let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
	let child = Command::new(env!("CARGO_BIN_EXE_assay-engine"))
		.arg("serve")
		.arg("--models")
		.arg(models)
		.args(["--threads", "2"])
		.args(arguments)
		.stdin(OwnedFd::from(theirs))
		.stdout(Stdio::null())
		.spawn()
		.unwrap();
	ours.set_nonblocking(true).unwrap();
	let mut process = Process {
		child,
		socket: Framed::new(UnixStream::from_std(ours).unwrap(), framing()),
		models: Vec::new(),
		sandbox: SandboxStatus::OFF,
	};
	let Response::Ready { models: ready, sandbox } = process.next().await else {
		panic!("Ready comes first")
	};
	assert!(ready.is_empty(), "nothing was asked for yet");
	process.sandbox = sandbox;
	for directory in fs::read_dir(models).unwrap() {
		let name = directory.unwrap().file_name().into_string().unwrap();
		if is_directory_name(&name) {
			let loaded = process.load(&name).await;
			process.models.extend(loaded.ok());
		}
	}
	process
}
