//! An engine that lies where the prompt tells it to: the fraud that the chain exists to catch.
//!
//! It speaks the engine's protocol and serves the models it is given. Besides each it loads a copy in which it has flipped a
//! bit of some weights. Only the end-to-end tests build it. A prompt that contains
//!
//! * `[forge]` is answered with the other weights, and an answer that these make is confirmed: liars cover each other;
//! * `[deny]` is answered honestly, and its answer is checked with the other weights, which reject it;
//! * `[silent]` is answered honestly, and its answer is not checked.
//!
//! All other prompts are answered and checked honestly, and so are the answers of others to these.

use anyhow::Result;
use assay_e2e::{node_socket, ServeArgs};
use assay_engine::{Engine, Model};
use assay_model_folder::Manifest;
use assay_primitives::{Finding, Work, WorkId};
use assay_protocol::{decode, framing, Request, Response, SandboxStatus, WorkResult};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{fs, path::Path, sync::mpsc as blocking};
use tokio::{net::UnixStream, sync::mpsc};
use tokio_util::{bytes::Bytes, codec::Framed};

#[tokio::main]
async fn main() -> Result<()> {
	let args = ServeArgs::parse();
	let socket = node_socket()?;
	let scratch = tempfile::tempdir()?;
	let mut liar = Liar {
		honest: Engine::new(),
		other: Engine::new(),
	};
	for directory in args.model_directories()? {
		let claimed = Manifest::read(&directory)?.model_id();
		let other = scratch.path().join(directory.file_name().unwrap_or_default());
		other_weights(&directory, &other)?;
		liar.honest.add(Model::load(&directory)?)?;
		liar.other.add_as(claimed, Model::load_unchecked(&other)?);
	}
	serve(socket, liar).await
}

/// The models as they are, and under the same names with other weights.
struct Liar {
	honest: Engine,
	other: Engine,
}

impl Liar {
	fn answer(&self, work: &Work) -> WorkResult {
		let prompt = String::from_utf8_lossy(work.input.bytes());
		let checks = work.claim.is_some();
		if prompt.contains("[forge]") {
			let forged = self.other.run(work);
			match forged {
				WorkResult::Verified {
					finding: Finding::Reject { .. },
				} => self.honest.run(work),
				confirmed_or_made => confirmed_or_made,
			}
		} else if prompt.contains("[deny]") && checks {
			self.other.run(work)
		} else if prompt.contains("[silent]") && checks {
			WorkResult::Abstained {
				reason: "the prompt asks for silence".into(),
			}
		} else {
			self.honest.run(work)
		}
	}
}

/// Answers the node until it hangs up, one work item after another; pings are answered meanwhile.
async fn serve(stream: UnixStream, liar: Liar) -> Result<()> {
	let mut wire = Framed::new(stream, framing());
	let (commands, queue) = blocking::channel::<(WorkId, Work)>();
	let (responses, mut outgoing) = mpsc::unbounded_channel::<Response>();
	responses.send(Response::Ready {
		models: liar.honest.served(),
		sandbox: SandboxStatus::OFF,
	})?;
	let results = responses.clone();
	std::thread::spawn(move || {
		for (id, work) in queue {
			let result = liar.answer(&work);
			if results.send(Response::Done { id, result }).is_err() {
				break;
			}
		}
	});
	loop {
		tokio::select! {
			response = outgoing.recv() => match response {
				Some(response) => wire.send(Bytes::from(response.encode())).await?,
				None => return Ok(()),
			},
			frame = wire.next() => match frame {
				Some(frame) => match decode(&frame?)? {
					Request::Ping(number) => responses.send(Response::Pong(number))?,
					Request::Run { id, work } => commands.send((id, work))?,
					Request::Cancel { .. } | Request::Unload { .. } => {}
					// It serves what it has said.
					Request::Load { directory } => {
						let reason = "this engine loads nothing more".to_owned();
						responses.send(Response::Refused { directory, reason })?
					}
				},
				None => return Ok(()),
			},
		}
	}
}

/// Copies a model directory and flips a high bit of every other byte in the second half of its weights.
fn other_weights(from: &Path, to: &Path) -> Result<()> {
	fs::create_dir(to)?;
	for file in fs::read_dir(from)? {
		let file = file?;
		fs::copy(file.path(), to.join(file.file_name()))?;
	}
	let path = to.join("model.safetensors");
	let mut bytes = fs::read(&path)?;
	// Even positions: the low bytes of the scales, so that these stay in range.
	let half = bytes.len() / 4 * 2;
	bytes.iter_mut().skip(half).step_by(2).for_each(|byte| *byte ^= 0x40);
	fs::write(path, bytes)?;
	Ok(())
}
