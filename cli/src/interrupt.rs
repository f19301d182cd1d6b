//! Ctrl-C and SIGTERM while a command waits: it ends with what it knows.

use crate::error::CliError;
use tokio::signal::unix::{signal, SignalKind};

/// Waits until the program is interrupted. From the first call on nothing else ends it then, so whoever calls this once calls it
/// wherever the command waits.
pub(crate) async fn wait() -> CliError {
	let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
	else {
		return std::future::pending().await;
	};
	tokio::select! {
		_ = interrupt.recv() => {}
		_ = terminate.recv() => {}
	}
	CliError::Interrupted("interrupted".into())
}
