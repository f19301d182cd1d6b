//! The engine's program, started as a node starts it.

use assay_protocol::{decode, framing, Response, SandboxStatus, ServedModel};
use futures::StreamExt;
use std::{
	os::fd::OwnedFd,
	path::Path,
	process::{Child, Command, Stdio},
	time::Duration,
};
use tokio::{net::UnixStream, time::timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// A running program, ready to take work. It ends when the socket is dropped.
pub(crate) struct Process {
	pub(crate) child: Child,
	pub(crate) socket: Framed<UnixStream, LengthDelimitedCodec>,
	pub(crate) models: Vec<ServedModel>,
	pub(crate) sandbox: SandboxStatus,
}

/// Starts the program on two threads and waits until it is ready.
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
	let mut socket = Framed::new(UnixStream::from_std(ours).unwrap(), framing());
	let frame = timeout(Duration::from_secs(300), socket.next()).await.unwrap();
	let Response::Ready { models, sandbox } = decode(&frame.unwrap().unwrap()).unwrap() else {
		panic!("Ready comes first")
	};
	Process {
		child,
		socket,
		models,
		sandbox,
	}
}
