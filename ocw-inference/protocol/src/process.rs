//! What a node knows of its engine as a process.

use std::{
	io,
	os::{fd::AsFd, unix::net::UnixStream},
};

/// Niceness that a node gives its engine: about a tenth of the CPU's time where both want all of it.
pub const NICE: i32 = 10;

/// How the standard library begins its message on standard error when an allocation fails.
pub const OUT_OF_MEMORY: &str = "memory allocation of ";

/// The exit code of an engine whose GPU failed, or could not be used from the start: `EX_IOERR` of `sysexits.h`.
pub const DEVICE_FAULT: i32 = 74;

/// Returns the engine's end of the socket, which the node hands over as standard input. An error if that is anything else.
///
/// The program must not read its standard input in any other way.
pub fn stdin_socket() -> io::Result<UnixStream> {
	let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
	// Fails for whatever is not a connected socket.
	socket.peer_addr()?;
	Ok(socket)
}

/// Returns how many bytes the line `key` of a `/proc` file counts, as in `MemTotal:  24567890 kB`.
pub fn proc_bytes(text: &str, key: &str) -> Option<u64> {
	let line = text
		.lines()
		.find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
	let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
	kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_line_of_proc_is_counted_in_bytes() {
		let status = "VmRSS:\t  9 kB\nRssAnon:\t     3 kB\n";
		assert_eq!(proc_bytes(status, "RssAnon"), Some(3 << 10));
		assert_eq!(proc_bytes(status, "Rss"), None);
		assert_eq!(
			proc_bytes("MemTotal:       24567890 kB\nMemFree: 1 kB", "MemTotal"),
			Some(24_567_890 << 10)
		);
		assert_eq!(proc_bytes("MemTotal: many", "MemTotal"), None);
	}
}
