//! The threads that answer RPC, of which strangers may keep all busy: they are few, and yield to those that make blocks.

use rustix::process::{getpriority_process, setpriority_process, Pid};
use sc_service::config::RpcConfiguration;
use std::{fs, io, path::Path};

/// Most calls that are answered at once where they read the state. The executor has places for 64 calls of the runtime, of all
/// threads together: whoever makes a block must not wait for one.
const MAX_CALLS: u32 = 32;
/// The niceness of the threads: above the engine's, whose answers are due, too.
const NICENESS: i32 = 15;
/// What the SDK names the threads.
const NAME: &str = "rpc";

/// Bounds the threads that read the state. How many connections there may be is up to the listeners, not to this.
pub fn bound(rpc: &mut RpcConfiguration) {
	// The SDK makes as many threads as connections; without listeners of their own, it makes those from the same number.
	if rpc.addr.is_some() {
		rpc.max_connections = rpc.max_connections.min(MAX_CALLS);
	}
}

/// Returns how many connections there may be, of all listeners together.
pub fn connections(rpc: &RpcConfiguration) -> usize {
	let of_listeners: Vec<u32> = match &rpc.addr {
		Some(listeners) => listeners.iter().map(|listener| listener.max_connections).collect(),
		// One for IPv4, one for IPv6.
		None => vec![rpc.max_connections; 2],
	};
	of_listeners
		.iter()
		.fold(0, |sum: usize, n| sum.saturating_add(*n as usize))
}

/// Makes the threads yield to the rest of the node, once the RPC has been started. Threads that they start do, too.
pub fn yield_to_others() {
	match raise_niceness(NAME, NICENESS) {
		Ok(0) => log::warn!(target: super::LOG_TARGET, "There are no RPC threads whose priority could be lowered"),
		Ok(threads) => log::debug!(target: super::LOG_TARGET, "{threads} RPC threads have niceness {NICENESS}"),
		Err(e) => log::warn!(
			target: super::LOG_TARGET,
			"Cannot lower the priority of the RPC threads, so a storm of calls may cost blocks: {e}"
		),
	}
}

/// Raises the niceness of this process's threads with a name. Returns how many there are.
fn raise_niceness(name: &str, niceness: i32) -> io::Result<usize> {
	let mut count = 0usize;
	for task in fs::read_dir("/proc/self/task")? {
		let task = task?.path();
		// A thread may have ended meanwhile.
		let is_named = fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
		let Some(id) = id_of(&task).filter(|_| is_named) else {
			continue;
		};
		// On Linux, niceness is a property of each thread, and a thread's id is taken for a process's.
		if getpriority_process(Some(id))? < niceness {
			setpriority_process(Some(id), niceness)?;
		}
		count = count.saturating_add(1);
	}
	Ok(count)
}

fn id_of(task: &Path) -> Option<Pid> {
	Pid::from_raw(task.file_name()?.to_str()?.parse().ok()?)
}

#[cfg(test)]
mod tests {
	use super::*;
	use std::{sync::mpsc, thread};

	/// Returns the niceness of the calling thread.
	fn own_niceness() -> i32 {
		let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
		let after_the_name = stat.rsplit(')').next().unwrap();
		after_the_name.split_whitespace().nth(16).unwrap().parse().unwrap()
	}

	#[test]
	fn only_threads_of_that_name_yield_and_pass_it_on() {
		let before = own_niceness();
		let (started, is_started) = mpsc::channel();
		let (go_on, may_go_on) = mpsc::channel::<()>();
		let named = thread::Builder::new().name("rpc-test".into());
		let named = named.spawn(move || {
			started.send(()).unwrap();
			may_go_on.recv().unwrap();
			(own_niceness(), thread::spawn(own_niceness).join().unwrap())
		});
		is_started.recv().unwrap();
		assert_eq!(raise_niceness("rpc-test", 15).unwrap(), 1);
		assert_eq!(raise_niceness("rpc-test", 3).unwrap(), 1, "it is never lowered");
		go_on.send(()).unwrap();
		let niceness = before.max(15);
		assert_eq!(named.unwrap().join().unwrap(), (niceness, niceness));
		assert_eq!(own_niceness(), before);
		assert_eq!(raise_niceness("rpc-none", 15).unwrap(), 0);
	}
}
