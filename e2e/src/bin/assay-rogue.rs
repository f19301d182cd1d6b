//! An engine that misbehaves, in the way that the variable `ASSAY_ROGUE` names. Only the end-to-end tests build it.
//!
//! * `garbage`: sends bytes that are not messages, without end;
//! * `flood`: reports that it is ready, and then sends results that were not requested, without end;
//! * `hoard`: serves until it gets work, and then allocates all the memory that it may have.

use anyhow::{bail, Context, Result};
use assay_e2e::{node_socket, ServeArgs};
use assay_model_folder::Manifest;
use assay_primitives::WorkId;
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, ServedModel, WorkResult};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, net::UnixStream, time::sleep};
use tokio_util::{bytes::Bytes, codec::Framed};

/// Time between attempts to send to a node that has hung up.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
	let args = ServeArgs::parse();
	args.limits.apply()?;
	let stream = node_socket()?;
	let mode = std::env::var("ASSAY_ROGUE").context("ASSAY_ROGUE names no way to misbehave")?;
	match mode.as_str() {
		"garbage" => garbage(stream).await,
		"flood" => flood(stream).await,
		"hoard" => hoard(stream, &args).await,
		other => bail!("there is no way to misbehave called {other}"),
	}
}

async fn garbage(mut stream: UnixStream) -> Result<()> {
	let mut noise = 1u32;
	let mut byte = || {
		noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
		(noise >> 24) as u8
	};
	loop {
		let bytes: Vec<u8> = std::iter::repeat_with(&mut byte).take(1 << 16).collect();
		// The node hangs up before it kills.
		if stream.write_all(&bytes).await.is_err() {
			sleep(RETRY_INTERVAL).await;
		}
	}
}

async fn flood(stream: UnixStream) -> Result<()> {
	let mut wire = Framed::new(stream, framing());
	let ready = ready(Vec::new());
	wire.send(Bytes::from(ready.encode())).await?;
	loop {
		let unrequested = Response::Done {
			id: WorkId([7; 32]),
			result: WorkResult::Abstained {
				reason: "nothing".into(),
			},
		};
		if wire.send(Bytes::from(unrequested.encode())).await.is_err() {
			sleep(RETRY_INTERVAL).await;
		}
	}
}

/// The first message of an engine without a sandbox.
fn ready(models: Vec<ServedModel>) -> Response {
	let sandbox = SandboxStatus::OFF;
	Response::Ready { models, sandbox }
}

async fn hoard(stream: UnixStream, args: &ServeArgs) -> Result<()> {
	let mut wire = Framed::new(stream, framing());
	let mut served = Vec::new();
	for directory in args.model_directories()? {
		let manifest = Manifest::read(&directory)?;
		served.push(ServedModel {
			id: manifest.model_id(),
			name: manifest.name.clone(),
			parameters: manifest.parameters(),
			load_ms: 0,
		});
	}
	let ready = ready(served);
	wire.send(Bytes::from(ready.encode())).await?;
	while let Some(frame) = wire.next().await {
		match decode(&frame?)? {
			Request::Ping(n) => wire.send(Bytes::from(Response::Pong(n).encode())).await?,
			Request::Cancel { .. } | Request::Unload { .. } => {}
			// It serves what it has said.
			Request::Load { directory } => {
				let reason = "this engine loads nothing more".to_owned();
				wire.send(Bytes::from(Response::Refused { directory, reason }.encode()))
					.await?;
			}
			Request::Run { .. } => {
				let mut hoard = Vec::new();
				loop {
					hoard.push(vec![1u8; 1 << 20]);
				}
			}
		}
	}
	Ok(())
}
