//! How one run of the engine ended.

use crate::inference::metrics::ExitCause;
use assay_protocol::process::DEVICE_FAULT;
use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};
use tokio::time::Instant;

/// The signal that nothing survives; also what the kernel sends when the machine is short of memory.
const SIGKILL: i32 = 9;

/// The end of one run.
#[derive(Debug)]
pub enum Exit {
	/// The program could not be started at all.
	NotStarted(String),
	/// It ran.
	Exited {
		/// Why it ended.
		reason: ExitReason,
		/// Since when it was ready, if it ever was.
		ready: Option<Instant>,
	},
}

/// Why an engine that ran is gone.
#[derive(Debug)]
pub struct ExitReason {
	/// What it is counted as.
	pub cause: ExitCause,
	/// For the log.
	pub message: String,
}

impl ExitReason {
	/// A reason that is counted as `cause`.
	pub fn new(cause: ExitCause, message: impl Into<String>) -> Self {
		let message = message.into();
		Self { cause, message }
	}

	/// The reason that an exit status gives.
	pub fn of_process(status: io::Result<ExitStatus>) -> Self {
		let message =
			match status.map(|status| (status.signal(), status.code())) {
				Ok((Some(SIGKILL), _)) => {
					format!("killed by signal {SIGKILL}: by someone, or by the kernel because the machine is short of memory")
				}
				Ok((Some(signal), _)) => format!("killed by signal {signal}"),
				Ok((None, Some(DEVICE_FAULT))) => {
					return Self::new(ExitCause::Device, format!("its GPU failed (exit code {DEVICE_FAULT})"))
				}
				Ok((None, Some(code))) => format!("exited with code {code}"),
				Ok((None, None)) => "exited".to_owned(),
				Err(e) => format!("its process was lost: {e}"),
			};
		Self::new(ExitCause::Crash, message)
	}
}
