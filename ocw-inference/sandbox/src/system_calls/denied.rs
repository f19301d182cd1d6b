//! The system calls that a confined process may not make. x86-64 has some that newer architectures left out.

use super::bits;
use libc::*;
use seccompiler::SeccompCmpOp::{self, Eq, Ne};

/// Conditions on arguments, all of which have to hold: which argument, how it is compared, and with what.
pub(super) type Arguments = Vec<(u8, SeccompCmpOp, u32)>;

/// Fail as on a kernel that does not have them, so that C libraries use an older call: these take their flags in memory, where
/// a filter cannot read them.
pub(super) const ABSENT: &[c_long] = &[SYS_clone3, SYS_openat2];

/// Denied to every engine.
#[rustfmt::skip] // by topic, not one a line
pub(super) const DENIED: &[c_long] = &[
	// Programs.
	SYS_execve, SYS_execveat,
	// The network. What `socket` and `socketpair` may make is below.
	SYS_connect,
	// Other processes.
	SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_process_madvise, SYS_process_mrelease, SYS_kcmp,
	SYS_pidfd_open, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_tkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
	SYS_setpriority, SYS_ioprio_set, SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr, SYS_migrate_pages,
	SYS_move_pages, SYS_perf_event_open,
	// Memory and messages of the same user's processes.
	SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semctl, SYS_semop, SYS_semtimedop, SYS_msgget, SYS_msgsnd, SYS_msgrcv,
	SYS_msgctl, SYS_mq_open, SYS_mq_unlink,
	// Keys that the kernel keeps.
	SYS_add_key, SYS_request_key, SYS_keyctl,
	// Other ways to make system calls, and parts of the kernel that had many faults.
	SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register, SYS_bpf, SYS_userfaultfd, SYS_personality,
	// What changes files, which Landlock does not see in part.
	SYS_truncate, SYS_fallocate, SYS_mkdirat, SYS_mknodat, SYS_linkat, SYS_symlinkat, SYS_unlinkat, RENAMEAT, SYS_renameat2,
	SYS_fchmod, SYS_fchmodat, FCHMODAT2, SYS_fchown, SYS_fchownat, SYS_utimensat, SYS_setxattr, SYS_lsetxattr,
	SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SETXATTRAT, REMOVEXATTRAT, FILE_SETATTR,
	// Files by other names than paths, and news of files.
	SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_inotify_init1, SYS_inotify_add_watch, SYS_fanotify_init,
	SYS_fanotify_mark,
	// Namespaces, mounts, and the machine as a whole, for an engine whose user is root.
	SYS_unshare, SYS_setns, SYS_chroot, SYS_pivot_root, SYS_mount, SYS_umount2, SYS_mount_setattr, SYS_open_tree, SYS_move_mount,
	SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, OPEN_TREE_ATTR, SYS_quotactl, SYS_quotactl_fd, SYS_swapon, SYS_swapoff,
	SYS_reboot, SYS_kexec_load, KEXEC_FILE_LOAD, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_acct, SYS_syslog,
	SYS_sethostname, SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_vhangup,
	SYS_lookup_dcookie, SYS_nfsservctl,
	#[cfg(target_arch = "x86_64")] SYS_fork,
	#[cfg(target_arch = "x86_64")] SYS_vfork,
	#[cfg(target_arch = "x86_64")] SYS_creat,
	#[cfg(target_arch = "x86_64")] SYS_mkdir,
	#[cfg(target_arch = "x86_64")] SYS_rmdir,
	#[cfg(target_arch = "x86_64")] SYS_mknod,
	#[cfg(target_arch = "x86_64")] SYS_link,
	#[cfg(target_arch = "x86_64")] SYS_symlink,
	#[cfg(target_arch = "x86_64")] SYS_unlink,
	#[cfg(target_arch = "x86_64")] SYS_rename,
	#[cfg(target_arch = "x86_64")] SYS_chmod,
	#[cfg(target_arch = "x86_64")] SYS_chown,
	#[cfg(target_arch = "x86_64")] SYS_lchown,
	#[cfg(target_arch = "x86_64")] SYS_utime,
	#[cfg(target_arch = "x86_64")] SYS_utimes,
	#[cfg(target_arch = "x86_64")] SYS_futimesat,
	#[cfg(target_arch = "x86_64")] SYS_inotify_init,
	#[cfg(target_arch = "x86_64")] SYS_uselib,
	#[cfg(target_arch = "x86_64")] SYS_modify_ldt,
	#[cfg(target_arch = "x86_64")] SYS_iopl,
	#[cfg(target_arch = "x86_64")] SYS_ioperm,
];

// The library of C constants lacks these on some architectures. What is newer has the same number on all of them.
const RENAMEAT: c_long = if cfg!(target_arch = "x86_64") { 264 } else { 38 };
const KEXEC_FILE_LOAD: c_long = if cfg!(target_arch = "x86_64") { 320 } else { 294 };
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const OPEN_TREE_ATTR: c_long = 467;
const FILE_SETATTR: c_long = 469;

/// Denied where no driver of a GPU needs them: it listens on sockets that only its own process connects to, and places its
/// threads.
pub(super) const DENIED_ON_CPU: &[c_long] = &[
	SYS_socket,
	SYS_bind,
	SYS_listen,
	SYS_accept,
	SYS_accept4,
	SYS_sched_setaffinity,
];

/// Kinds of sockets. Only a stream or a sequence of packets (1 and 5) has one peer for good; others send to any address
/// without `connect`.
const KINDS: std::ops::Range<u32> = 0..16;

/// Namespaces that a thread may be started in.
const NAMESPACES: [c_int; 7] = [
	CLONE_NEWNS,
	CLONE_NEWCGROUP,
	CLONE_NEWUTS,
	CLONE_NEWIPC,
	CLONE_NEWUSER,
	CLONE_NEWPID,
	CLONE_NEWNET,
];

/// `F_SETOWN`, `F_SETSIG` and `F_SETOWN_EX` of `fcntl`, which have signals sent to others.
const COMMANDS: [u32; 3] = [8, 10, 15];

/// `FIOSETOWN` and `SIOCSPGRP` of `ioctl`, which do so too, and `TIOCSTI` and `TIOCLINUX`, which type into a terminal.
const REQUESTS: [u32; 4] = [0x8901, 0x8902, 0x5412, 0x541c];

/// Calls that are denied by their arguments, any of the conditions.
pub(super) fn by_arguments(gpu: bool) -> Vec<(c_long, Arguments)> {
	let own = std::process::id();
	let flag = |flag: c_int| flag.unsigned_abs();
	let mut denied: Vec<(c_long, Arguments)> = vec![
		// Signals to others. 0 and -1 would be many at once.
		(SYS_kill, vec![(0, Ne, own)]),
		(SYS_tgkill, vec![(0, Ne, own)]),
		// Limits of others.
		(SYS_prlimit64, vec![(0, Ne, 0), (0, Ne, own)]),
		// A process instead of a thread.
		(SYS_clone, vec![(0, bits(flag(CLONE_THREAD)), 0)]),
	];
	denied.extend(NAMESPACES.map(|namespace| (SYS_clone, vec![(0, bits(flag(namespace)), flag(namespace))])));
	denied.extend(COMMANDS.map(|command| (SYS_fcntl, vec![(1, Eq, command)])));
	denied.extend(REQUESTS.map(|request| (SYS_ioctl, vec![(1, Eq, request)])));
	let mut sockets = vec![SYS_socketpair];
	if gpu {
		sockets.push(SYS_socket);
	}
	for call in sockets {
		denied.push((call, vec![(0, Ne, flag(AF_UNIX))]));
		let kinds = KINDS.filter(|kind| ![flag(SOCK_STREAM), flag(SOCK_SEQPACKET)].contains(kind));
		denied.extend(kinds.map(|kind| (call, vec![(1, bits(0xf), kind)])));
	}
	if !gpu {
		denied.extend(writing(SYS_openat, 2));
		#[cfg(target_arch = "x86_64")]
		denied.extend(writing(SYS_open, 1));
	}
	denied
}

/// Returns the conditions under which a call opens a file to change it, by its argument `flags`.
fn writing(call: c_long, flags: u8) -> Vec<(c_long, Arguments)> {
	let flag = |flag: c_int| flag.unsigned_abs();
	let modes = [O_WRONLY, O_RDWR, O_ACCMODE].map(|mode| (call, vec![(flags, bits(flag(O_ACCMODE)), flag(mode))]));
	// Without its part that means a directory, which is also a flag for reading.
	let unnamed = O_TMPFILE & !O_DIRECTORY;
	let creating = [O_CREAT, O_TRUNC, unnamed].map(|bit| (call, vec![(flags, bits(flag(bit)), flag(bit))]));
	modes.into_iter().chain(creating).collect()
}
