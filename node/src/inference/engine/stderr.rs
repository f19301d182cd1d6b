//! The engine's standard error: lines for the node's log, and perhaps the reason of its exit.

use assay_protocol::process::OUT_OF_MEMORY;
use futures::StreamExt;
use std::{io, time::Duration};
use tokio::{
	io::AsyncRead,
	time::{sleep, Instant},
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// The engine's lines have a target of their own.
const LOG_TARGET: &str = "assay::engine";
/// Longest line that goes to the log.
const MAX_LINE: usize = 8 * 1024;
/// Most lines that go to the log in one [`WINDOW`]: an engine that logs without end must not fill the disk.
const MAX_LINES: usize = 200;
const WINDOW: Duration = Duration::from_secs(10);
/// Pause after each line beyond that; the engine has to wait when nobody reads.
const PACE: Duration = Duration::from_millis(1);

/// Logs the lines until there are no more. Returns whether one reported that an allocation failed.
pub async fn log_lines(stderr: impl AsyncRead + Unpin) -> bool {
	let mut out_of_memory = false;
	let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(MAX_LINE));
	let (mut since, mut logged, mut left_out) = (Instant::now(), 0usize, 0usize);
	while let Some(line) = lines.next().await {
		if since.elapsed() > WINDOW {
			if left_out > 0 {
				log::warn!(target: LOG_TARGET, "({left_out} more lines were left out)");
			}
			(since, logged, left_out) = (Instant::now(), 0, 0);
		}
		if matches!(&line, Ok(line) if line.starts_with(OUT_OF_MEMORY)) {
			out_of_memory = true;
		}
		if logged >= MAX_LINES {
			left_out = left_out.saturating_add(1);
			sleep(PACE).await;
			continue;
		}
		logged = logged.saturating_add(1);
		match line {
			Ok(line) => log_line(&line),
			Err(LinesCodecError::MaxLineLengthExceeded) => {
				log::warn!(target: LOG_TARGET, "(a line over {MAX_LINE} bytes was left out)")
			}
			Err(LinesCodecError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {}
			Err(_) => break,
		}
	}
	out_of_memory
}

/// The engine writes `LEVEL: text`; whatever else a process may print is information.
fn log_line(line: &str) {
	let printable: String = line.chars().filter(|c| !c.is_control()).collect();
	let (level, text) = printable
		.split_once(": ")
		.and_then(|(level, text)| Some((level.parse::<log::Level>().ok()?, text)))
		.unwrap_or((log::Level::Info, &printable));
	log::log!(target: LOG_TARGET, level, "{text}");
}

#[cfg(test)]
mod tests {
	use super::*;

	#[tokio::test]
	async fn a_failed_allocation_is_found_among_other_lines_and_invalid_bytes() {
		let lines = b"INFO: hello\nmemory allocation of 12 bytes failed\n\xff\xfe\nlast".as_slice();
		assert!(log_lines(lines).await);
		let quoted = b"WARN: memory allocation of 12 bytes failed\n".as_slice();
		assert!(!log_lines(quoted).await, "only the standard library's own message");
		assert!(!log_lines(b"".as_slice()).await);
	}

	#[tokio::test]
	async fn an_engine_that_logs_without_end_is_read_slowly() {
		let lines = "x\n".repeat(MAX_LINES + 100);
		let begun = Instant::now();
		log_lines(lines.as_bytes()).await;
		assert!(begun.elapsed() >= 100 * PACE, "{:?}", begun.elapsed());
	}
}
