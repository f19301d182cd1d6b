//! The compiled filters, run as the kernel runs them: some calls that they answer do not exist on the kernel of these tests.

use super::*;

/// The number that architectures have in what is filtered.
const ARCH: u32 = if cfg!(target_arch = "x86_64") {
	0xc000_003e
} else {
	0xc000_00b7
};

/// Returns what a program answers to a call.
fn answer(program: &BpfProgram, number: i64, arguments: [u32; 6]) -> u32 {
	let (mut accumulator, mut at) = (0u32, 0usize);
	loop {
		let sock_filter { code, jt, jf, k } = program[at];
		at += 1;
		match u32::from(code) {
			// Load a word: the number, the architecture, or half an argument.
			0x20 => {
				accumulator = match k {
					0 => number as u32,
					4 => ARCH,
					16.. if k % 8 == 0 => arguments[(k as usize - 16) / 8],
					_ => 0,
				}
			}
			// Jump if equal, if greater, and always; AND; return.
			0x15 => at += usize::from(if accumulator == k { jt } else { jf }),
			0x25 => at += usize::from(if accumulator > k { jt } else { jf }),
			0x05 => at += k as usize,
			0x54 => accumulator &= k,
			0x06 => return k,
			other => panic!("instruction {other:#x}"),
		}
	}
}

/// Returns the error that a call gets, or 0.
fn errno(gpu: bool, number: i64, arguments: [u32; 6]) -> i32 {
	let answers = programs(gpu)
		.expect("they compile")
		.map(|program| answer(&program, number, arguments));
	let [absent, denied] = answers.map(|answer| match answer {
		libc::SECCOMP_RET_ALLOW => 0,
		answer if answer & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO => (answer & 0xffff) as i32,
		other => panic!("answer {other:#x}"),
	});
	assert!(absent == 0 || denied == 0, "one answer to {number}");
	absent.max(denied)
}

#[test]
fn what_is_newer_than_the_lists_is_absent_in_every_form() {
	for gpu in [false, true] {
		for number in [
			i64::from(NEWEST) + 1,
			1 << 20,
			0x4000_0000,
			0x4000_0000 | 520,
			0xffff_ffff,
		] {
			assert_eq!(errno(gpu, number, [0; 6]), libc::ENOSYS, "{number}");
		}
		for number in ABSENT {
			assert_eq!(errno(gpu, *number, [0; 6]), libc::ENOSYS);
		}
	}
}

#[test]
fn what_is_listed_is_denied_whatever_its_arguments_are() {
	for arguments in [[0; 6], [1; 6], [u32::MAX; 6]] {
		for number in DENIED {
			assert_eq!(errno(false, *number, arguments), libc::EPERM, "{number}");
			assert_eq!(errno(true, *number, arguments), libc::EPERM, "{number}");
		}
		for number in DENIED_ON_CPU {
			assert_eq!(errno(false, *number, arguments), libc::EPERM, "{number}");
		}
	}
}

#[test]
fn only_sockets_with_one_peer_for_good_can_be_made() {
	for (gpu, call) in [
		(false, libc::SYS_socketpair),
		(true, libc::SYS_socketpair),
		(true, libc::SYS_socket),
	] {
		for domain in 0..50u32 {
			for kind in 0..16u32 {
				let flags = (libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u32;
				let allowed = domain == 1 && [1, 5].contains(&kind);
				let expected = if allowed { 0 } else { libc::EPERM };
				assert_eq!(
					errno(gpu, call, [domain, kind | flags, 0, 0, 0, 0]),
					expected,
					"{domain} {kind}"
				);
			}
		}
	}
}

#[test]
fn files_are_opened_to_be_read_only() {
	let open = |gpu, flags: i32| errno(gpu, libc::SYS_openat, [0, 0, flags as u32, 0, 0, 0]);
	for reading in [0, libc::O_CLOEXEC, libc::O_DIRECTORY, libc::O_PATH | libc::O_NOFOLLOW] {
		assert_eq!(open(false, reading), 0, "{reading:#o}");
	}
	for writing in [
		libc::O_WRONLY,
		libc::O_RDWR | libc::O_CLOEXEC,
		libc::O_ACCMODE,
		libc::O_CREAT,
		libc::O_TRUNC,
		libc::O_TMPFILE,
	] {
		assert_eq!(open(false, writing), libc::EPERM, "{writing:#o}");
		assert_eq!(open(true, writing), 0, "the driver's devices; Landlock denies the rest");
	}
}

#[test]
fn threads_are_started_and_processes_are_not() {
	let clone = |flags: i32| errno(false, libc::SYS_clone, [flags as u32, 0, 0, 0, 0, 0]);
	let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
	assert_eq!(clone(thread | libc::CLONE_SETTLS | libc::CLONE_PARENT_SETTID), 0);
	for process in [
		libc::SIGCHLD,
		libc::CLONE_VM | libc::CLONE_VFORK,
		thread | libc::CLONE_NEWUSER,
	] {
		assert_eq!(clone(process), libc::EPERM, "{process:#x}");
	}
}

#[test]
fn a_process_may_signal_and_limit_itself() {
	let own = std::process::id();
	assert_eq!(errno(false, libc::SYS_kill, [own, 6, 0, 0, 0, 0]), 0);
	assert_eq!(errno(false, libc::SYS_tgkill, [own, own, 6, 0, 0, 0]), 0);
	for pid in [0, own] {
		assert_eq!(errno(false, libc::SYS_prlimit64, [pid, 0, 0, 0, 0, 0]), 0);
	}
	for other in [0, 1, u32::MAX, own + 1] {
		assert_eq!(errno(false, libc::SYS_kill, [other, 9, 0, 0, 0, 0]), libc::EPERM);
		assert_eq!(errno(false, libc::SYS_tgkill, [other, other, 9, 0, 0, 0]), libc::EPERM);
	}
	assert_eq!(errno(false, libc::SYS_prlimit64, [own + 1, 0, 0, 0, 0, 0]), libc::EPERM);
}

#[test]
fn what_an_engine_lives_by_is_allowed() {
	for number in [
		libc::SYS_read,
		libc::SYS_write,
		libc::SYS_mmap,
		libc::SYS_munmap,
		libc::SYS_mprotect,
		libc::SYS_madvise,
		libc::SYS_futex,
		libc::SYS_getrandom,
		libc::SYS_epoll_create1,
		libc::SYS_epoll_pwait,
		libc::SYS_eventfd2,
		libc::SYS_getdents64,
		libc::SYS_statx,
		libc::SYS_sched_getaffinity,
		libc::SYS_prctl,
		libc::SYS_rt_sigaction,
		libc::SYS_exit_group,
		libc::SYS_recvmsg,
		libc::SYS_sendmsg,
	] {
		assert_eq!(errno(false, number, [0; 6]), 0, "{number}");
	}
}
