//! What a confined process must not be able to do.

use crate::child::{call, inside, refused, run, run_with};
use assay_sandbox::{close_inherited_descriptors, confine, Policy, SandboxMode, SandboxStatus};
use libc::{EACCES, EBADF, ENOSYS, EPERM};
use std::{
	ffi::CString,
	fs::{self, File, OpenOptions},
	io::{self, Read},
	net::{TcpListener, TcpStream, UdpSocket},
	os::{
		fd::{AsRawFd, FromRawFd},
		unix::{ffi::OsStrExt, net::UnixDatagram, net::UnixStream, process::CommandExt},
	},
	path::Path,
	process::Command,
	sync::mpsc,
	thread,
};

/// The parent, which stands for the node.
fn parent() -> i64 {
	i64::from(std::os::unix::process::parent_id())
}

#[test]
fn no_file_but_models_can_be_read() {
	let Some(around) = inside() else {
		assert!(run("denied::no_file_but_models_can_be_read").0.success());
		return;
	};
	if !around.confine(&around.policy()).landlock.is_in_force() {
		return;
	}
	refused("the key", EACCES, File::open(around.key()));
	refused(
		"the key, by a link among the models",
		EACCES,
		File::open(around.models().join("a/link")),
	);
	refused(
		"the key's directory",
		EACCES,
		fs::read_dir(around.directory.join("keystore")),
	);
	for file in ["environ", "mem", "maps"] {
		refused(file, EACCES, File::open(format!("/proc/{}/{file}", parent())));
	}
	refused("/etc/passwd", EACCES, File::open("/etc/passwd"));
	let elsewhere = thread::spawn(move || File::open(around.key()).map(drop));
	refused("the key, in a thread", EACCES, elsewhere.join().unwrap());
}

#[test]
fn a_model_that_is_not_granted_is_only_listed() {
	let Some(around) = inside() else {
		assert!(run("denied::a_model_that_is_not_granted_is_only_listed").0.success());
		return;
	};
	let policy = Policy::serving(&around.directory, vec![around.models().join("a")]);
	if !around.confine(&policy).landlock.is_in_force() {
		return;
	}
	assert!(fs::read_dir(around.directory.join("keystore")).unwrap().count() == 1);
	refused("the key, though models are beside it", EACCES, File::open(around.key()));
}

#[test]
fn no_file_can_be_changed() {
	let Some(around) = inside() else {
		assert!(run("denied::no_file_can_be_changed").0.success());
		return;
	};
	around.confine(&around.policy());
	let (weights, key, new) = (around.weights(), around.key(), around.models().join("a/new"));
	for path in [&weights, &key] {
		refused("writing", EPERM, OpenOptions::new().write(true).open(path));
		refused("appending", EPERM, OpenOptions::new().append(true).open(path));
		refused("removing", EPERM, fs::remove_file(path));
		refused("renaming", EPERM, fs::rename(path, &new));
		refused("linking", EPERM, fs::hard_link(path, &new));
		let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
		refused("setting permissions", EPERM, fs::set_permissions(path, open_to_all));
		let name = CString::new(path.as_os_str().as_bytes()).unwrap();
		refused(
			"truncating",
			EPERM,
			call(libc::SYS_truncate, [name.as_ptr() as i64, 0, 0, 0]),
		);
		let flags = i64::from(libc::O_RDONLY | libc::O_TRUNC);
		let open = [i64::from(libc::AT_FDCWD), name.as_ptr() as i64, flags, 0];
		refused("truncating while reading", EPERM, call(libc::SYS_openat, open));
	}
	let open = File::open(&weights).unwrap();
	let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o777);
	refused("permissions of an open file", EPERM, open.set_permissions(permissions));
	refused("creating", EPERM, File::create(&new));
	refused("a directory", EPERM, fs::create_dir(&new));
	refused("a link", EPERM, std::os::unix::fs::symlink("/", &new));
}

#[test]
fn no_network_can_be_reached() {
	let Some(around) = inside() else {
		assert!(run("denied::no_network_can_be_reached").0.success());
		return;
	};
	let (tcp, udp) = around.ports();
	around.confine(&around.policy());
	refused("TCP", EPERM, TcpStream::connect(("127.0.0.1", tcp)));
	refused("a server", EPERM, TcpListener::bind(("127.0.0.1", 0)));
	refused(
		"UDP",
		EPERM,
		UdpSocket::bind(("127.0.0.1", 0)).and_then(|s| s.send_to(b"key", ("127.0.0.1", udp))),
	);
	refused("a socket's file", EPERM, UnixStream::connect(around.socket()));
	refused("a pair that sends to any address", EPERM, UnixDatagram::pair());
	let raw = i64::from(libc::SOCK_RAW);
	let mut pair = [0i32; 2];
	let arguments = [i64::from(libc::AF_UNIX), raw, 0, pair.as_mut_ptr() as i64];
	refused(
		"a raw pair, which is one too",
		EPERM,
		call(libc::SYS_socketpair, arguments),
	);
	let inherited = i64::from(io::stdin().as_raw_fd());
	refused(
		"another peer for the node's socket",
		EPERM,
		call(libc::SYS_connect, [inherited, 0, 0, 0]),
	);
	refused("io_uring", EPERM, call(libc::SYS_io_uring_setup, [1, 0, 0, 0]));
}

#[test]
fn no_program_or_process_can_be_started() {
	let Some(around) = inside() else {
		assert!(run("denied::no_program_or_process_can_be_started").0.success());
		return;
	};
	around.confine(&around.policy());
	refused("a program", EPERM, Command::new("/bin/true").spawn());
	refused(
		"another program in this process",
		EPERM,
		Err::<(), _>(Command::new("/bin/true").exec()),
	);
	// SAFETY: the child, if there is one, ends at once.
	let forked = match unsafe { libc::fork() } {
		-1 => Err(io::Error::last_os_error()),
		0 => unsafe { libc::_exit(0) },
		child => Ok(child),
	};
	refused("a copy of this process", EPERM, forked);
	refused("clone3", ENOSYS, call(libc::SYS_clone3, [0; 4]));
}

#[test]
fn no_other_process_can_be_touched() {
	let Some(around) = inside() else {
		assert!(run("denied::no_other_process_can_be_touched").0.success());
		return;
	};
	around.confine(&around.policy());
	let node = parent();
	refused(
		"tracing",
		EPERM,
		call(libc::SYS_ptrace, [i64::from(libc::PTRACE_ATTACH), node, 0, 0]),
	);
	refused(
		"reading memory",
		EPERM,
		call(libc::SYS_process_vm_readv, [node, 0, 0, 0]),
	);
	refused("a descriptor of it", EPERM, call(libc::SYS_pidfd_open, [node, 0, 0, 0]));
	// Signal 0 is none: it only asks whether one could be sent.
	for everybody in [node, 0, -1] {
		refused("a signal", EPERM, call(libc::SYS_kill, [everybody, 0, 0, 0]));
	}
	refused(
		"a signal to its thread",
		EPERM,
		call(libc::SYS_tgkill, [node, node, 0, 0]),
	);
	let stdin = i64::from(io::stdin().as_raw_fd());
	refused(
		"signals from a socket",
		EPERM,
		call(libc::SYS_fcntl, [stdin, i64::from(libc::F_SETOWN), node, 0]),
	);
	refused(
		"its niceness",
		EPERM,
		call(libc::SYS_setpriority, [i64::from(libc::PRIO_PROCESS), node, 19, 0]),
	);
	refused(
		"a queued signal",
		EPERM,
		call(libc::SYS_rt_sigqueueinfo, [node, 0, 0, 0]),
	);
	refused(
		"its limits",
		EPERM,
		call(libc::SYS_prlimit64, [node, i64::from(libc::RLIMIT_NOFILE), 0, 0]),
	);
	refused("its CPUs", EPERM, call(libc::SYS_sched_setaffinity, [node, 0, 0, 0]));
}

#[test]
fn unknown_system_calls_are_absent_and_other_forms_denied() {
	let Some(around) = inside() else {
		assert!(run("denied::unknown_system_calls_are_absent_and_other_forms_denied")
			.0
			.success());
		return;
	};
	around.confine(&around.policy());
	refused("a call of the future", ENOSYS, call(470, [0; 4]));
	refused("openat2", ENOSYS, call(libc::SYS_openat2, [0; 4]));
	#[cfg(target_arch = "x86_64")]
	for x32 in [libc::SYS_getpid, 520, libc::SYS_socket] {
		refused("a call of x32", ENOSYS, call(0x4000_0000 | x32, [0; 4]));
	}
}

/// Asks for the process's id in the way of 32-bit programs, whose numbers of system calls mean other things.
#[cfg(target_arch = "x86_64")]
fn old_getpid() -> i64 {
	let result: i64;
	// SAFETY: the call takes no arguments and touches no memory.
	unsafe {
		std::arch::asm!("int 0x80", inlateout("rax") 20i64 => result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
	}
	result
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_system_call_of_32_bits_ends_the_process() {
	use std::os::unix::process::ExitStatusExt;
	const NAME: &str = "denied::a_system_call_of_32_bits_ends_the_process";
	if let Some(around) = inside() {
		if std::env::var_os("ASSAY_TEST_FREE").is_none() {
			around.confine(&around.policy());
		}
		assert_eq!(old_getpid(), i64::from(std::process::id()));
		return;
	}
	let (free, _) = run_with(NAME, |command, _| {
		command.env("ASSAY_TEST_FREE", "1");
	});
	if free.signal() == Some(libc::SIGSEGV) {
		eprintln!("NOT TESTED: this kernel has no system calls of 32 bits");
		return;
	}
	assert!(
		free.success(),
		"outside the sandbox it is a call like any other: {free}"
	);
	assert_eq!(run(NAME).0.signal(), Some(libc::SIGSYS));
}

#[test]
fn threads_that_run_already_are_filtered_too() {
	let Some(around) = inside() else {
		assert!(run("denied::threads_that_run_already_are_filtered_too").0.success());
		return;
	};
	let (go, wait) = mpsc::channel::<()>();
	let earlier = thread::spawn(move || {
		wait.recv().unwrap();
		UdpSocket::bind(("127.0.0.1", 0)).map(drop)
	});
	around.confine(&around.policy());
	go.send(()).unwrap();
	refused("a socket in an earlier thread", EPERM, earlier.join().unwrap());
}

/// Meaningful where these tests run as root; others have nothing to drop.
#[test]
fn nothing_is_left_of_root_but_reading() {
	use rustix::{
		process::{setrlimit, Resource, Rlimit},
		thread::{capabilities, CapabilitySet},
	};
	let Some(around) = inside() else {
		assert!(run("denied::nothing_is_left_of_root_but_reading").0.success());
		return;
	};
	let set = |most| {
		let both = Rlimit {
			current: Some(most),
			maximum: Some(most),
		};
		setrlimit(Resource::Core, both)
	};
	set(0).unwrap();
	around.confine(&around.policy());
	let left = capabilities(None).unwrap();
	assert!(CapabilitySet::DAC_READ_SEARCH.contains(left.permitted | left.effective) && left.inheritable.is_empty());
	assert!(set(1).is_err(), "a limit is one also for root");
}

/// The number of a descriptor that the parent leaves open.
const LEFT_OPEN: i32 = 77;

#[test]
fn what_was_left_open_is_closed() {
	if inside().is_some() {
		// SAFETY: as long as it is not used, nobody else's descriptor is.
		let mut key = unsafe { File::from_raw_fd(LEFT_OPEN) };
		let mut text = String::new();
		key.read_to_string(&mut text).unwrap();
		assert_eq!(text, "secret", "it was left open");
		// SAFETY: this thread is the only one that uses descriptors, and from here on only the standard ones.
		unsafe { close_inherited_descriptors() }.unwrap();
		refused("what was open", EBADF, key.read(&mut [0]));
		std::mem::forget(key);
		return;
	}
	let open = |command: &mut Command, directory: &Path| {
		let key = File::open(directory.join("keystore/key")).unwrap();
		// SAFETY: between fork and exec only a system call is made.
		unsafe {
			command.pre_exec(move || match libc::dup2(key.as_raw_fd(), LEFT_OPEN) {
				-1 => Err(io::Error::last_os_error()),
				_ => Ok(()),
			})
		};
	};
	assert!(run_with("denied::what_was_left_open_is_closed", open).0.success());
}

#[test]
fn a_required_sandbox_is_given_or_an_error() {
	let Some(around) = inside() else {
		assert!(run("denied::a_required_sandbox_is_given_or_an_error").0.success());
		return;
	};
	assert_eq!(confine(&around.policy(), SandboxMode::Off).unwrap(), SandboxStatus::OFF);
	assert_eq!(
		fs::read(around.key()).unwrap(),
		b"secret",
		"switched off, nothing is denied"
	);
	match confine(&around.policy(), SandboxMode::Require) {
		Ok(status) => {
			assert!(status.is_confined());
			refused("the key", EACCES, File::open(around.key()));
			// What the kernel says of this thread, which is what a person sees in /proc.
			let mode = rustix::thread::secure_computing_mode().unwrap();
			assert_eq!(mode, rustix::thread::SecureComputingMode::Filter);
			assert!(rustix::thread::no_new_privs().unwrap());
		}
		Err(error) => {
			assert!(error.to_string().contains("--engine-sandbox require"), "{error}");
			eprintln!("NOT TESTED on this kernel: {error}");
		}
	}
}
