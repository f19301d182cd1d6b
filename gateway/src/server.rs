//! Connections: how many there are, how slow they may be, and how they end.

use crate::config::Config;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
	rt::{TokioIo, TokioTimer},
	server::graceful::GracefulShutdown,
	service::TowerToHyperService,
};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
	net::{TcpListener, TcpStream},
	sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;

/// Target of this module's log lines.
const LOG_TARGET: &str = "assay::gateway";
/// Longest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long open answers may go on when the server ends.
const GRACE: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, as when no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves connections until `shutdown` is ready.
pub(crate) async fn serve(
	listener: TcpListener,
	router: Router,
	config: &Config,
	shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
	let places = Arc::new(Semaphore::new(config.max_connections));
	let graceful = GracefulShutdown::new();
	let mut http = http1::Builder::new();
	http.timer(TokioTimer::new())
		.header_read_timeout(config.timeouts.head)
		.max_buf_size(MAX_HEAD_BYTES);
	tokio::pin!(shutdown);
	loop {
		let place = tokio::select! {
			place = places.clone().acquire_owned() => place.map_err(io::Error::other)?,
			() = &mut shutdown => break,
		};
		let stream = tokio::select! {
			accepted = listener.accept() => match accepted {
				Ok((stream, _)) => stream,
				Err(e) => {
					log::warn!(target: LOG_TARGET, "A connection cannot be accepted: {e}");
					tokio::time::sleep(ACCEPT_PAUSE).await;
					continue;
				}
			},
			() = &mut shutdown => break,
		};
		let io = TokioIo::new(Box::pin(patient(stream, config.timeouts.write)));
		let connection = http.serve_connection(io, TowerToHyperService::new(router.clone()));
		let connection = graceful.watch(connection);
		tokio::spawn(async move {
			if let Err(e) = connection.await {
				log::debug!(target: LOG_TARGET, "A connection ended: {e}");
			}
			drop(place);
		});
	}
	// Jobs go on without us; their clients ask again with their keys.
	drop(listener);
	if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
		log::info!(target: LOG_TARGET, "Some answers were still open; their jobs go on");
	}
	Ok(())
}

/// Returns a stream whose writing fails if its client reads nothing for too long.
fn patient(stream: TcpStream, limit: Duration) -> TimeoutStream<TcpStream> {
	if let Err(e) = stream.set_nodelay(true) {
		log::debug!(target: LOG_TARGET, "TCP_NODELAY: {e}");
	}
	let mut stream = TimeoutStream::new(stream);
	stream.set_write_timeout(Some(limit));
	stream
}
