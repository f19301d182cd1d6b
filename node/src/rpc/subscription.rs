//! What all subscriptions of this node have in common: how long they last, and what they wait for.

use super::{error::Error, LOG_TARGET};
use futures::{channel::oneshot, FutureExt};
use jsonrpsee::{SubscriptionMessage, SubscriptionSink};
use sc_rpc::SubscriptionTaskExecutor;
use std::{fmt::Display, time::Duration};

/// How long subscribers are served.
#[derive(Clone, Copy)]
pub(super) struct Patience {
	/// With one subscription.
	pub(super) subscription: Duration,
	/// Without making room for the next notification.
	pub(super) notification: Duration,
}

impl Patience {
	/// An hour for those who read.
	pub(super) const DEFAULT: Self = Self {
		subscription: Duration::from_secs(60 * 60),
		notification: Duration::from_secs(60),
	};
}

/// Runs what reads the state where it holds up no other task.
pub(super) async fn on_blocking_thread<T: Send + 'static>(
	executor: &SubscriptionTaskExecutor,
	read: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
	let (sender, receiver) = oneshot::channel();
	let read = async move {
		// Nobody receives it if the client has gone.
		let _ = sender.send(read());
	};
	executor.spawn_blocking("substrate-rpc-subscription", Some("rpc"), read.boxed());
	receiver.await.map_err(|_| Error::Runtime)?
}

/// Sends a message, and returns whether it could be sent in time.
pub(super) async fn send(
	sink: &SubscriptionSink,
	message: Result<SubscriptionMessage, impl Display>,
	patience: Patience,
) -> bool {
	match message {
		Ok(message) => sink.send_timeout(message, patience.notification).await.is_ok(),
		Err(e) => {
			log::error!(target: LOG_TARGET, "A notification is not valid JSON: {e}");
			false
		}
	}
}
