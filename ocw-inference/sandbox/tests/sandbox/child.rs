//! A test's process within the sandbox, and what it finds around it.

use assay_sandbox::{confine, Policy, SandboxMode, SandboxStatus};
use std::{
	fs,
	io::{self, Read, Write},
	net::{TcpListener, UdpSocket},
	os::{fd::OwnedFd, unix::net::UnixListener, unix::net::UnixStream},
	path::{Path, PathBuf},
	process::{Command, ExitStatus, Stdio},
};

/// Names the directory of a confined child, in its environment.
const DIRECTORY: &str = "ASSAY_TEST_SANDBOX";

/// What the sandbox is tested with. Files and servers exist and work, outside the sandbox.
pub(crate) struct Surroundings {
	/// Holds all of it.
	pub(crate) directory: PathBuf,
}

impl Surroundings {
	/// Where model directories are.
	pub(crate) fn models(&self) -> PathBuf {
		self.directory.join("models")
	}

	/// A file of a model, which may be read.
	pub(crate) fn weights(&self) -> PathBuf {
		self.models().join("a/weights")
	}

	/// A key, which may not.
	pub(crate) fn key(&self) -> PathBuf {
		self.directory.join("keystore/key")
	}

	/// A socket that is listened on.
	pub(crate) fn socket(&self) -> PathBuf {
		self.directory.join("socket")
	}

	/// A port of TCP that is listened on, and one of UDP.
	pub(crate) fn ports(&self) -> (u16, u16) {
		let text = fs::read_to_string(self.models().join("a/ports")).unwrap();
		let (tcp, udp) = text.split_once(' ').unwrap();
		(tcp.parse().unwrap(), udp.parse().unwrap())
	}

	/// What an engine may do with the model.
	pub(crate) fn policy(&self) -> Policy {
		Policy::serving(&self.models(), vec![self.models().join("a")])
	}

	/// Confines this process, and reports loudly what this kernel cannot.
	pub(crate) fn confine(&self, policy: &Policy) -> SandboxStatus {
		let status = confine(policy, SandboxMode::Auto).unwrap();
		if !status.is_confined() {
			eprintln!("NOT TESTED on this kernel, which lacks it: {}", status.missing());
		}
		status
	}
}

/// Returns the surroundings in the process that [`run`] has started; none in the test itself.
pub(crate) fn inside() -> Option<Surroundings> {
	let directory = std::env::var_os(DIRECTORY)?.into();
	Some(Surroundings { directory })
}

/// Runs the test `name` in a process of its own. Returns how it ended, and what it wrote to its standard input, a socket.
pub(crate) fn run(name: &str) -> (ExitStatus, String) {
	run_with(name, |_, _| ())
}

/// [`run`] with a chance to change the command.
pub(crate) fn run_with(name: &str, change: impl FnOnce(&mut Command, &Path)) -> (ExitStatus, String) {
	let directory = tempfile::tempdir().unwrap();
	let surroundings = Surroundings {
		directory: directory.path().into(),
	};
	for below in ["keystore", "models/a"] {
		fs::create_dir_all(surroundings.directory.join(below)).unwrap();
	}
	fs::write(surroundings.key(), "secret").unwrap();
	fs::write(surroundings.weights(), "weights").unwrap();
	std::os::unix::fs::symlink(surroundings.key(), surroundings.models().join("a/link")).unwrap();
	let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
	let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
	let ports = [tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port()];
	fs::write(
		surroundings.models().join("a/ports"),
		format!("{} {}", ports[0], ports[1]),
	)
	.unwrap();
	let _listener = UnixListener::bind(surroundings.socket()).unwrap();

	let (mut ours, theirs) = UnixStream::pair().unwrap();
	let mut command = Command::new(std::env::current_exe().unwrap());
	command
		.args(["--exact", "--nocapture", "--test-threads=1", name])
		.env(DIRECTORY, &surroundings.directory)
		.stdin(OwnedFd::from(theirs));
	change(&mut command, &surroundings.directory);
	command.stderr(Stdio::inherit());
	ours.write_all(b"hello").unwrap();
	let output = command.output().unwrap();
	let ran = String::from_utf8_lossy(&output.stdout);
	assert!(ran.contains("running 1 test"), "there is no test {name}");
	// Its end of the socket is closed by now, here too.
	drop(command);
	let mut said = String::new();
	// An error if it ended without reading what was sent.
	let _ = ours.read_to_string(&mut said);
	assert_eq!(fs::read(surroundings.key()).unwrap(), b"secret", "whatever happened");
	(output.status, said)
}

/// Asserts that an attempt failed with the error `errno`.
#[track_caller]
pub(crate) fn refused<T>(what: &str, errno: i32, attempt: io::Result<T>) {
	match attempt {
		Ok(_) => panic!("{what} succeeded"),
		Err(error) => assert_eq!(error.raw_os_error(), Some(errno), "{what}: {error}"),
	}
}

/// Makes a system call with its C convention for errors.
pub(crate) fn call(number: i64, arguments: [i64; 4]) -> io::Result<i64> {
	let [a, b, c, d] = arguments;
	// SAFETY: the callers pass numbers and null pointers, or pointers to what lives.
	match unsafe { libc::syscall(number, a, b, c, d) } {
		-1 => Err(io::Error::last_os_error()),
		result => Ok(result),
	}
}
