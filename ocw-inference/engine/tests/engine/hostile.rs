//! Attacks: what an untrusted message can be made of to take time, memory or the process. Each ends early, small, and with a
//! reason.

use assay_engine::{server, Engine};
use assay_protocol::{framing, Request, MAX_FRAME_BYTES};
use codec::Encode;
use futures::{SinkExt, StreamExt};
use std::{fs, path::Path, time::Duration};
use tokio::{io::AsyncWriteExt, net::UnixStream};
use tokio_util::{bytes::Bytes, codec::Framed};

/// Nothing is ever unpickled: candle's reader of pickles is called nowhere, and no other is linked.
#[test]
fn no_reader_of_pickles_is_called_or_linked() {
	fn sources(dir: &Path, found: &mut Vec<String>) {
		for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
			if entry.is_dir() {
				sources(&entry, found);
			} else if entry.extension().is_some_and(|e| e == "rs") {
				let text = fs::read_to_string(&entry).unwrap();
				let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
				let reads = ["pickle::", "::pickle", "PthTensors", "from_pth"];
				for line in code.filter(|line| reads.iter().any(|name| line.contains(name))) {
					found.push(format!("{}: {line}", entry.display()));
				}
			}
		}
	}
	let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
	let mut found = Vec::new();
	for part in [
		"ocw-inference/engine/src",
		"ocw-inference/import/src",
		"ocw-inference/model-folder/src",
		"cli/src",
		"node/src",
		"demo-model/src",
		"primitives/src",
		"receipt/src",
	] {
		sources(&root.join(part), &mut found);
	}
	assert_eq!(found, Vec::<String>::new(), "only safetensors reach a node");
	let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
	let linked: Vec<_> = lock
		.lines()
		.filter(|line| line.starts_with("name = ") && line.contains("pickle"))
		.collect();
	assert_eq!(linked, Vec::<&str>::new());
}

/// Whatever comes over the socket, the engine ends the conversation with a reason, and quickly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_socket_ends_the_conversation() {
	let request = Request::Ping(1).encode();
	let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
	for (what, bytes, why) in [
		(
			"a frame longer than may be",
			(MAX_FRAME_BYTES as u32 + 1).to_be_bytes().to_vec(),
			"socket",
		),
		("a frame of 4 GiB", vec![0xFF; 64], "socket"),
		("a frame of nothing", framed(&[]), "a frame is not a message"),
		("an unknown message", framed(&[9, 9, 9]), "a frame is not a message"),
		(
			"a message with a tail",
			framed(&[&request[..], b"x"].concat()),
			"a frame is not a message",
		),
		("a message cut short", framed(&request[..4]), "a frame is not a message"),
		(
			"a list that claims 2³⁰ bytes",
			framed(&[&[0u8; 65][..], &[0xFE, 0xFF, 0xFF, 0xFF]].concat()),
			"a frame is not a message",
		),
		("a frame cut short", framed(&request)[..7].to_vec(), "socket"),
	] {
		let (mut stream, theirs) = UnixStream::pair().unwrap();
		let engine = tokio::spawn(server::serve(theirs, Engine::new()));
		stream.write_all(&bytes).await.unwrap();
		stream.shutdown().await.unwrap();
		let ended = tokio::time::timeout(Duration::from_secs(10), engine)
			.await
			.expect(what)
			.unwrap();
		let error = ended.expect_err(what).to_string();
		assert!(error.contains(why), "{what}: {error}");
	}
	// And a good one is answered after all of that.
	let (ours, theirs) = UnixStream::pair().unwrap();
	let engine = tokio::spawn(server::serve(theirs, Engine::new()));
	let mut node = Framed::new(ours, framing());
	node.send(Bytes::from(request)).await.unwrap();
	let answers = [node.next().await.unwrap().unwrap(), node.next().await.unwrap().unwrap()];
	assert!(
		answers.iter().any(|frame| frame[..] == [2, 1, 0, 0, 0, 0, 0, 0, 0]),
		"a pong among {answers:?}"
	);
	drop(node);
	engine.await.unwrap().unwrap();
}
