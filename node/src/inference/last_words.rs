//! What the engine writes to its standard error: lines for the node's log, and perhaps the reason of its end.

use super::ENGINE_LOG_TARGET;
use assay_protocol::process::OUT_OF_MEMORY;
use futures::StreamExt;
use std::{io, time::Duration};
use tokio::{
	io::AsyncRead,
	time::{sleep, Instant},
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

/// Longest line that goes to the log.
const MAX_LINE: usize = 8 * 1024;
/// Most lines that go to the log in one [`WINDOW`]: an engine that raves must not fill the disk.
const MAX_LINES: usize = 200;
const WINDOW: Duration = Duration::from_secs(10);
/// What each line beyond that costs the engine: it waits when nobody reads.
const PACE: Duration = Duration::from_millis(1);

/// What was learnt from the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
	/// Nothing that explains an end.
	Nothing,
	/// An allocation failed.
	OutOfMemory,
}

/// Logs the lines until there are no more.
pub async fn listen(stderr: impl AsyncRead + Unpin) -> Heard {
	let mut heard = Heard::Nothing;
	let mut lines = FramedRead::new(stderr, LinesCodec::new_with_max_length(MAX_LINE));
	let (mut since, mut logged, mut left_out) = (Instant::now(), 0usize, 0usize);
	while let Some(line) = lines.next().await {
		if since.elapsed() > WINDOW {
			if left_out > 0 {
				log::warn!(target: ENGINE_LOG_TARGET, "({left_out} more lines were left out)");
			}
			(since, logged, left_out) = (Instant::now(), 0, 0);
		}
		if matches!(&line, Ok(line) if line.starts_with(OUT_OF_MEMORY)) {
			heard = Heard::OutOfMemory;
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
				log::warn!(target: ENGINE_LOG_TARGET, "(a line over {MAX_LINE} bytes was left out)")
			}
			Err(LinesCodecError::Io(e)) if e.kind() == io::ErrorKind::InvalidData => {}
			Err(_) => break,
		}
	}
	heard
}

/// The engine writes `LEVEL: text`; whatever else a process may print is information.
fn log_line(line: &str) {
	let printable: String = line.chars().filter(|c| !c.is_control()).collect();
	let (level, text) = printable
		.split_once(": ")
		.and_then(|(level, text)| Some((level.parse::<log::Level>().ok()?, text)))
		.unwrap_or((log::Level::Info, &printable));
	log::log!(target: ENGINE_LOG_TARGET, level, "{text}");
}

#[cfg(test)]
mod tests {
	use super::*;

	#[tokio::test]
	async fn a_failed_allocation_is_heard_among_other_lines_and_garbage() {
		let lines = b"INFO: hello\nmemory allocation of 12 bytes failed\n\xff\xfe\nlast".as_slice();
		assert_eq!(listen(lines).await, Heard::OutOfMemory);
		let quoted = b"WARN: memory allocation of 12 bytes failed\n".as_slice();
		assert_eq!(
			listen(quoted).await,
			Heard::Nothing,
			"only the standard library's own words"
		);
		assert_eq!(listen(b"".as_slice()).await, Heard::Nothing);
	}

	#[tokio::test]
	async fn a_raving_engine_is_read_slowly() {
		let lines = "x\n".repeat(MAX_LINES + 100);
		let begun = Instant::now();
		listen(lines.as_bytes()).await;
		assert!(begun.elapsed() >= 100 * PACE, "{:?}", begun.elapsed());
	}
}
