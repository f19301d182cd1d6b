//! An engine that misbehaves, in the way that the variable `ASSAY_ROGUE` names. Only the end-to-end tests build it.
//!
//! * `garbage`: connects, and sends what is no message, without end;
//! * `flood`: says that it is ready, and then sends results that nobody asked for, without end;
//! * `hoard`: serves, until it is given work: then it takes all the memory that it may have.

use anyhow::{bail, Context, Result};
use assay_engine::process::Limits;
use assay_model_folder::Manifest;
use assay_primitives::WorkId;
use assay_protocol::{decode, framing, Request, Response, ServedModel, WorkResult};
use clap::Parser;
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{
	path::{Path, PathBuf},
	time::Duration,
};
use tokio::{io::AsyncWriteExt, net::UnixStream, time::sleep};
use tokio_util::{bytes::Bytes, codec::Framed};

/// Between tries to send to a node that hung up.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Parser)]
enum Command {
	/// Takes what `assay-engine serve` takes.
	Serve {
		#[arg(long)]
		socket: PathBuf,
		#[arg(long)]
		models: PathBuf,
		#[command(flatten)]
		limits: Limits,
		#[arg(trailing_var_arg = true, allow_hyphen_values = true)]
		ignored: Vec<String>,
	},
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
	let Command::Serve {
		socket,
		models,
		limits,
		ignored: _,
	} = Command::parse();
	limits.apply()?;
	let stream = UnixStream::connect(&socket).await?;
	let way = std::env::var("ASSAY_ROGUE").context("ASSAY_ROGUE names no way to misbehave")?;
	match way.as_str() {
		"garbage" => garbage(stream).await,
		"flood" => flood(stream).await,
		"hoard" => hoard(stream, &models).await,
		other => bail!("no way to misbehave: {other}"),
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
			sleep(PAUSE).await;
		}
	}
}

async fn flood(stream: UnixStream) -> Result<()> {
	let mut wire = Framed::new(stream, framing());
	let ready = Response::Ready { models: Vec::new() };
	wire.send(Bytes::from(ready.encode())).await?;
	loop {
		let unasked = Response::Done {
			id: WorkId([7; 32]),
			result: WorkResult::Abstained {
				reason: "nothing".into(),
			},
		};
		if wire.send(Bytes::from(unasked.encode())).await.is_err() {
			sleep(PAUSE).await;
		}
	}
}

async fn hoard(stream: UnixStream, models: &Path) -> Result<()> {
	let mut wire = Framed::new(stream, framing());
	let mut served = Vec::new();
	for entry in std::fs::read_dir(models)? {
		let folder = entry?.path();
		if folder.join("manifest.json").is_file() {
			let manifest = Manifest::read(&folder)?;
			served.push(ServedModel {
				id: manifest.model_id(),
				name: manifest.name.clone(),
				parameters: manifest.parameters(),
				load_ms: 0,
			});
		}
	}
	let ready = Response::Ready { models: served };
	wire.send(Bytes::from(ready.encode())).await?;
	while let Some(frame) = wire.next().await {
		match decode(&frame?)? {
			Request::Ping(n) => wire.send(Bytes::from(Response::Pong(n).encode())).await?,
			Request::Cancel { .. } => {}
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
