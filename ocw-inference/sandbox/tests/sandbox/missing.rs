//! A kernel that lacks a part: here a filter hides its system call, as an older kernel or a container does.

use crate::child::{inside, refused, run, Surroundings};
use assay_sandbox::{confine, Protection, SandboxMode};
use libc::{EACCES, ENOSYS, EPERM};
use seccompiler::{apply_filter, BpfProgram, SeccompAction, SeccompFilter};
use std::{
	fs::{self, File, OpenOptions},
	net::{TcpStream, UdpSocket},
};

/// Has a system call of this thread fail from now on.
fn hide(call: i64, errno: i32) {
	let arch = std::env::consts::ARCH.try_into().unwrap();
	let action = SeccompAction::Errno(errno as u32);
	let filter = SeccompFilter::new([(call, Vec::new())].into(), SeccompAction::Allow, action, arch);
	apply_filter(&BpfProgram::try_from(filter.unwrap()).unwrap()).unwrap();
}

/// Requires a sandbox that cannot be whole, and returns why it was refused.
fn refusal(around: &Surroundings) -> String {
	confine(&around.policy(), SandboxMode::Require).unwrap_err().to_string()
}

#[test]
fn without_landlock_files_are_read_but_nothing_leaves_the_process() {
	let Some(around) = inside() else {
		assert!(
			run("missing::without_landlock_files_are_read_but_nothing_leaves_the_process")
				.0
				.success()
		);
		return;
	};
	hide(libc::SYS_landlock_create_ruleset, ENOSYS);
	let (tcp, udp) = around.ports();
	let status = confine(&around.policy(), SandboxMode::Auto).unwrap();
	assert_eq!(
		(status.landlock, status.seccomp),
		(Protection::Missing, Protection::Enforced)
	);
	assert!(status.no_new_privs && !status.is_confined());
	assert_eq!(fs::read(around.key()).unwrap(), b"secret", "that is what is missing");
	refused("TCP", EPERM, TcpStream::connect(("127.0.0.1", tcp)));
	refused(
		"UDP",
		EPERM,
		UdpSocket::bind(("127.0.0.1", 0)).and_then(|s| s.send_to(b"key", ("127.0.0.1", udp))),
	);
	refused("writing", EPERM, OpenOptions::new().write(true).open(around.key()));
	refused("removing", EPERM, fs::remove_file(around.key()));
}

#[test]
fn without_seccomp_files_and_tcp_stay_closed() {
	let Some(around) = inside() else {
		assert!(run("missing::without_seccomp_files_and_tcp_stay_closed").0.success());
		return;
	};
	hide(libc::SYS_seccomp, EPERM);
	let (tcp, _) = around.ports();
	let status = confine(&around.policy(), SandboxMode::Auto).unwrap();
	assert_eq!(status.seccomp, Protection::Missing);
	assert!(!status.is_confined());
	if status.landlock.is_in_force() {
		refused("the key", EACCES, File::open(around.key()));
		refused("writing", EACCES, OpenOptions::new().write(true).open(around.weights()));
	}
	if status.landlock == Protection::Enforced {
		refused("TCP", EACCES, TcpStream::connect(("127.0.0.1", tcp)));
	}
}

#[test]
fn a_required_sandbox_with_a_part_missing_is_an_error() {
	let Some(around) = inside() else {
		assert!(run("missing::a_required_sandbox_with_a_part_missing_is_an_error")
			.0
			.success());
		return;
	};
	// As older kernels, kernels that have it switched off, and containers answer.
	hide(libc::SYS_landlock_create_ruleset, ENOSYS);
	let why = refusal(&around);
	assert!(why.contains("missing: landlock.") && why.contains("5.13"), "{why}");
	hide(libc::SYS_landlock_create_ruleset, libc::EOPNOTSUPP);
	let why = refusal(&around);
	assert!(why.contains("missing: landlock.") && why.contains("lsm="), "{why}");
	hide(libc::SYS_seccomp, EPERM);
	let why = refusal(&around);
	assert!(why.contains("landlock, seccomp") && why.contains("seccomp: "), "{why}");
}
