//! Many clients, slow ones, and how much they may spend.

use crate::support::{answer, ask, drawn, published, stream, text, verdict, Client, Line, Scripted};
use assay_gateway::{Config, SpendingLimits, Timeouts};
use assay_primitives::{FinishReason, Verdict};
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
	io::{AsyncReadExt, AsyncWriteExt},
	net::{TcpListener, TcpSocket, TcpStream},
	sync::oneshot,
};

/// Serves a gateway on a socket until the sender is dropped.
async fn serve(network: &Arc<Scripted>, config: Config) -> (SocketAddr, oneshot::Sender<()>) {
	serve_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), network, config).await
}

async fn serve_on(listener: TcpListener, network: &Arc<Scripted>, config: Config) -> (SocketAddr, oneshot::Sender<()>) {
	let address = listener.local_addr().unwrap();
	let (end, ended) = oneshot::channel::<()>();
	let serving = network.gateway(config).serve(listener, async {
		let _ = ended.await;
	});
	tokio::spawn(serving);
	(address, end)
}

async fn connect(address: SocketAddr, body: &str) -> TcpStream {
	ask_on(TcpStream::connect(address).await.unwrap(), body).await
}

async fn ask_on(mut socket: TcpStream, body: &str) -> TcpStream {
	let head = format!(
		"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
		body.len()
	);
	socket.write_all(head.as_bytes()).await.unwrap();
	socket.write_all(body.as_bytes()).await.unwrap();
	socket
}

async fn read(mut socket: TcpStream) -> String {
	let mut bytes = Vec::new();
	let _ = socket.read_to_end(&mut bytes).await;
	String::from_utf8_lossy(&bytes).into_owned()
}

fn quick() -> Timeouts {
	Timeouts {
		head: Duration::from_secs(1),
		body: Duration::from_secs(1),
		..Timeouts::default()
	}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_at_once_all_end_well() {
	let lines = |words: &str| {
		let mut lines = answer(words);
		lines.insert(2, Line::Pause(Duration::from_millis(300)));
		lines
	};
	let network = Scripted::new().on("many", lines("one two three four"));
	let (address, _end) = serve(&network, Config::default()).await;
	let streams = (0..200).map(|_| async { read(connect(address, &stream("many").to_string()).await).await });
	let bodies = futures::future::join_all(streams).await;
	for body in &bodies {
		assert!(
			body.starts_with("HTTP/1.1 200") && body.contains("data: [DONE]"),
			"{body}"
		);
	}
	assert_eq!(network.paid(), 200);
}

#[tokio::test]
async fn more_jobs_than_places_are_refused_for_nothing() {
	let network = Scripted::new().on("hang", vec![drawn(1), Line::Hang]);
	let client = Client(
		network
			.gateway(Config {
				max_jobs: 1,
				..Config::default()
			})
			.router(),
	);
	let first = tokio::spawn({
		let client = client.clone();
		async move { client.chat(ask("hang"), &[("idempotency-key", "k")]).await }
	});
	while network.paid() == 0 {
		tokio::task::yield_now().await;
	}
	let reply = client.chat(ask("hi"), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["code"]),
		(503, &json!("overloaded"))
	);
	assert_eq!((reply.header("retry-after"), network.paid()), ("5", 1));
	// The open job's own client gets in, without a place.
	let again = tokio::time::timeout(
		Duration::from_millis(50),
		client.chat(ask("hang"), &[("idempotency-key", "k")]),
	)
	.await;
	assert!(again.is_err(), "{again:?}");
	first.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_off_and_slows_nobody() {
	// Each piece is a chunk of 270 bytes: more than the small buffers of both sides hold.
	let pieces = (0..4_000).map(|_| text("a_longer_word "));
	let mut lines = vec![drawn(1)];
	lines.extend(pieces);
	lines.extend([
		published(&"a_longer_word ".repeat(4_000), FinishReason::Eos),
		verdict(Verdict::Confirmed),
	]);
	let network = Scripted::new().on("flood", lines);
	let timeouts = Timeouts {
		write: Duration::from_secs(3),
		..Timeouts::default()
	};
	let config = Config {
		timeouts,
		..Config::default()
	};
	let socket = TcpSocket::new_v4().unwrap();
	socket.set_send_buffer_size(16 * 1024).unwrap();
	socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
	let (address, _end) = serve_on(socket.listen(64).unwrap(), &network, config).await;
	let slow = TcpSocket::new_v4().unwrap();
	slow.set_recv_buffer_size(4 * 1024).unwrap();
	let slow = ask_on(slow.connect(address).await.unwrap(), &stream("flood").to_string()).await;
	while network.paid() == 0 {
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	let others = (0..5).map(|_| async { read(connect(address, &stream("flood").to_string()).await).await });
	for body in futures::future::join_all(others).await {
		assert!(body.contains("[DONE]"), "{}", body.len());
	}
	tokio::time::sleep(Duration::from_secs(4)).await;
	let rest = tokio::time::timeout(Duration::from_secs(5), read(slow))
		.await
		.expect("it is closed");
	assert!(
		rest.starts_with("HTTP/1.1 200") && !rest.contains("finish_reason\":\"stop"),
		"{}",
		rest.len()
	);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_senders_are_answered_or_cut_off() {
	let network = Scripted::new();
	let config = Config {
		timeouts: quick(),
		..Config::default()
	};
	let (address, _end) = serve(&network, config).await;
	// A body that never ends, a byte at a time.
	let mut socket = TcpStream::connect(address).await.unwrap();
	let head = format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1000\r\n\r\n");
	socket.write_all(head.as_bytes()).await.unwrap();
	let (mut reader, mut writer) = socket.into_split();
	let dripping = tokio::spawn(async move {
		while writer.write_all(b" ").await.is_ok() {
			tokio::time::sleep(Duration::from_millis(50)).await;
		}
	});
	let mut begun = vec![0; 12];
	reader.read_exact(&mut begun).await.unwrap();
	assert_eq!(begun, b"HTTP/1.1 408");
	dripping.abort();
	// A head that never ends, and a connection that says nothing.
	for begun in ["GET / HTTP/1.1\r\nhost: ", ""] {
		let mut socket = TcpStream::connect(address).await.unwrap();
		socket.write_all(begun.as_bytes()).await.unwrap();
		let ended = tokio::time::timeout(Duration::from_secs(5), read(socket))
			.await
			.expect("it is closed");
		assert!(!ended.contains("200 OK"), "{ended}");
	}
	assert_eq!(network.paid(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_answered_although_it_is_still_being_sent() {
	let network = Scripted::new();
	let (address, _end) = serve(&network, Config::default()).await;
	for length in [2 << 20, 100 << 20] {
		let mut socket = TcpStream::connect(address).await.unwrap();
		let head = format!(
			"POST /v1/messages HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
		);
		socket.write_all(head.as_bytes()).await.unwrap();
		if length == 2 << 20 {
			socket.write_all(&vec![b' '; length]).await.unwrap();
		}
		let reply = read(socket).await;
		assert!(
			reply.starts_with("HTTP/1.1 413") && reply.contains("request_too_large"),
			"{length}: {reply}"
		);
	}
}

#[tokio::test]
async fn a_server_that_ends_lets_answers_end() {
	let slow = vec![
		drawn(1),
		text("a"),
		Line::Pause(Duration::from_millis(200)),
		published("a", FinishReason::Eos),
		verdict(Verdict::Confirmed),
	];
	let network = Scripted::new().on("slow", slow);
	let (address, end) = serve(&network, Config::default()).await;
	let socket = connect(address, &stream("slow").to_string()).await;
	while network.paid() == 0 {
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	drop(end);
	assert!(read(socket).await.contains("[DONE]"));
	assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn spending_has_limits_that_a_restart_does_not_lift() {
	let dir = tempfile::tempdir().unwrap();
	let config = |per_request, per_day| Config {
		spending: SpendingLimits {
			per_request: Some(per_request),
			per_day: Some(per_day),
			file: Some(dir.path().join("spending.json")),
		},
		..Config::default()
	};
	// Each job may cost 1000 and costs 42.
	let network = Scripted::new();
	let client = |config| Client(network.gateway(config).router());
	let reply = client(config(999, 10_000)).chat(ask("hi"), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["code"]),
		(402, &json!("insufficient_quota"))
	);
	let first = client(config(1000, 1042));
	assert_eq!(first.chat(ask("hi"), &[("idempotency-key", "k")]).await.status, 200);
	let file = dir.path().join("spending.json");
	while !std::fs::read_to_string(&file).unwrap().contains(r#""spent":"42""#) {
		// The fee is counted just after the answer.
		tokio::time::sleep(Duration::from_millis(5)).await;
	}
	let again = client(config(1000, 1041));
	let reply = again.chat(ask("hi"), &[]).await;
	assert_eq!(
		(reply.status.as_u16(), &reply.json()["error"]["type"]),
		(429, &json!("insufficient_quota"))
	);
	assert!(!reply.header("retry-after").is_empty() && reply.header("x-should-retry") == "false");
	assert_eq!(
		again.chat(ask("hi"), &[("idempotency-key", "k")]).await.status,
		200,
		"it is paid already"
	);
	assert_eq!(network.paid(), 1);
	assert_eq!(client(config(1000, 1042)).chat(ask("hi"), &[]).await.status, 200);
}
