//! What a confined process must still be able to do.

use crate::child::{call, inside, refused, run};
use libc::{EACCES, EPERM};
use std::{
	fs::{self, File, OpenOptions},
	io::{Read, Write},
	net::UdpSocket,
	os::{
		fd::AsFd,
		unix::{net::UnixStream, process::ExitStatusExt},
	},
	thread,
	time::Duration,
};

/// The socket that is this process's standard input.
fn inherited() -> UnixStream {
	UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap())
}

#[test]
fn models_memory_threads_and_the_socket_work() {
	let Some(around) = inside() else {
		let (status, said) = run("granted::models_memory_threads_and_the_socket_work");
		assert!(status.success());
		assert_eq!(said, "hello yourself");
		return;
	};
	around.confine(&around.policy());
	assert_eq!(fs::read(around.weights()).unwrap(), b"weights");
	assert!(fs::read_dir(around.models()).unwrap().count() == 1);
	let threads: Vec<_> = (0..4u8)
		.map(|n| {
			thread::Builder::new()
				.name(format!("worker {n}"))
				.spawn(move || vec![n; 16 << 20].iter().filter(|byte| **byte == n).count())
				.unwrap()
		})
		.collect();
	for thread in threads {
		assert_eq!(thread.join().unwrap(), 16 << 20);
	}
	thread::sleep(Duration::from_millis(1));
	assert!(thread::available_parallelism().is_ok());
	assert!(
		std::collections::HashMap::from([(1, 2)]).contains_key(&1),
		"random bytes"
	);
	let (mut one, mut other) = UnixStream::pair().unwrap();
	one.write_all(b"x").unwrap();
	other.read_exact(&mut [0]).unwrap();
	assert!(call(libc::SYS_kill, [i64::from(std::process::id()), 0, 0, 0]).is_ok());
	assert!(inherited().peer_addr().is_ok());

	let mut socket = inherited();
	let mut heard = [0; 5];
	socket.read_exact(&mut heard).unwrap();
	let heard = String::from_utf8_lossy(&heard);
	socket.write_all(format!("{heard} yourself").as_bytes()).unwrap();
}

/// The node learns from this signal that memory was exhausted.
#[test]
fn a_confined_process_can_abort() {
	let Some(around) = inside() else {
		let (status, _) = run("granted::a_confined_process_can_abort");
		assert_eq!(status.signal(), Some(libc::SIGABRT));
		return;
	};
	around.confine(&around.policy());
	std::process::abort();
}

#[test]
fn with_a_gpu_more_is_open_but_no_key_and_no_network() {
	let Some(around) = inside() else {
		assert!(run("granted::with_a_gpu_more_is_open_but_no_key_and_no_network")
			.0
			.success());
		return;
	};
	let mut policy = around.policy().with_gpu();
	// Stands for a device of the driver.
	policy.devices.push("/dev/null".into());
	let status = around.confine(&policy);
	refused("UDP", EPERM, UdpSocket::bind(("127.0.0.1", 0)));
	refused("a socket's file", EPERM, UnixStream::connect(around.socket()));
	let kind = i64::from(libc::SOCK_DGRAM);
	let datagrams = call(libc::SYS_socket, [i64::from(libc::AF_UNIX), kind, 0, 0]);
	refused("datagrams to any address", EPERM, datagrams);
	let kind = i64::from(libc::SOCK_SEQPACKET);
	assert!(call(libc::SYS_socket, [i64::from(libc::AF_UNIX), kind, 0, 0]).is_ok());
	assert!(OpenOptions::new().read(true).write(true).open("/dev/null").is_ok());
	assert!(fs::read_to_string("/proc/self/maps").is_ok());
	if status.landlock.is_in_force() {
		refused("the key", EACCES, File::open(around.key()));
		let another_way = format!("/proc/self/root{}", around.key().display());
		refused("the key, by another way", EACCES, File::open(another_way));
		refused("writing", EACCES, OpenOptions::new().write(true).open(around.weights()));
		refused("creating", EACCES, File::create(around.models().join("a/new")));
		refused("/etc/passwd", EACCES, File::open("/etc/passwd"));
		let node = std::os::unix::process::parent_id();
		refused("the node's memory", EACCES, File::open(format!("/proc/{node}/mem")));
	}
}
