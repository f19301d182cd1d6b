//! A proxy between a client and a node, which changes what the client sends.

use futures::{SinkExt, StreamExt};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message};

/// What becomes of a message of the client.
pub(crate) enum Handling {
	/// The node gets this.
	Pass(String),
	/// The node gets it as it is, and the client's connection is closed.
	Cut,
}

type Handler = Arc<dyn Fn(&str) -> Handling + Send + Sync>;

/// Starts a proxy before a node; returns its address.
pub(crate) async fn before(node: String, handle: impl Fn(&str) -> Handling + Send + Sync + 'static) -> String {
	let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
	let url = format!("ws://{}", listener.local_addr().unwrap());
	let handle: Handler = Arc::new(handle);
	tokio::spawn(async move {
		while let Ok((stream, _)) = listener.accept().await {
			tokio::spawn(pass(stream, node.clone(), handle.clone()));
		}
	});
	url
}

async fn pass(stream: TcpStream, node: String, handle: Handler) {
	let behind = TcpStream::connect(node.trim_start_matches("ws://")).await.unwrap();
	let (mut behind, _) = client_async(&node, behind).await.unwrap();
	let mut before = accept_async(stream).await.unwrap();
	loop {
		tokio::select! {
			Some(Ok(message)) = before.next() => {
				let handling = match &message {
					Message::Text(text) => handle(text.as_str()),
					_ => {
						behind.send(message).await.unwrap();
						continue;
					}
				};
				match handling {
					Handling::Pass(text) => behind.send(Message::text(text)).await.unwrap(),
					Handling::Cut => {
						behind.send(message).await.unwrap();
						// The node has read it once it answers.
						drop(before);
						behind.next().await;
						return;
					}
				}
			}
			Some(Ok(message)) = behind.next() => {
				if before.send(message).await.is_err() {
					return;
				}
			}
			else => return,
		}
	}
}
