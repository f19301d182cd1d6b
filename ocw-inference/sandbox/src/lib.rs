//! The sandbox of the engine's process. The engine reads what strangers wrote (model files, tokenizers, prompts) beside a
//! node that holds keys; a fault in it must not reach them.
//!
//! A process confines itself, for good, before it reads the first of those bytes:
//!
//! * [Landlock](https://docs.kernel.org/userspace-api/landlock.html) limits which files it may open: models to be read, and
//!   with a GPU what its driver needs;
//! * a filter of system calls (seccomp) takes away the network, other programs and processes, and whatever changes a file;
//! * `no_new_privs` keeps programs with privileges of their own from giving it any, and what root may do beyond others is
//!   dropped, but for reading.
//!
//! Sockets and files that are open already stay usable, so what a process inherits is closed first
//! ([`close_inherited_descriptors`]). Nothing here hides that files exist, or limits memory and CPU.

#![deny(missing_docs)]

mod error;
#[cfg(target_os = "linux")]
mod files;
mod policy;
#[cfg(target_os = "linux")]
mod system_calls;

pub use assay_protocol::{Protection, SandboxMode, SandboxStatus};
pub use error::{Error, Result};
pub use policy::Policy;

/// Confines the calling thread and all threads it starts later, and filters the system calls of all that run, as far as the
/// kernel can. Returns what is in force.
///
/// What the kernel lacks is logged as a warning; with [`SandboxMode::Require`] it is an error, after which the process is
/// to end. With [`SandboxMode::Off`] nothing is done.
pub fn confine(policy: &Policy, mode: SandboxMode) -> Result<SandboxStatus> {
	if mode == SandboxMode::Off {
		return Ok(SandboxStatus::OFF);
	}
	let (status, errors) = apply(policy);
	if mode == SandboxMode::Require && !status.is_confined() {
		let reasons: Vec<_> = errors.iter().map(Error::to_string).collect();
		return Err(Error::Required {
			missing: status.missing(),
			reasons: reasons.join("; "),
		});
	}
	for error in errors {
		log::warn!("sandbox: {error}");
	}
	Ok(status)
}

#[cfg(target_os = "linux")]
fn apply(policy: &Policy) -> (SandboxStatus, Vec<Error>) {
	let mut errors = Vec::new();
	if let Err(error) = drop_capabilities() {
		errors.push(error);
	}
	let mut outcome = |applied: Result<Protection>| {
		applied.unwrap_or_else(|error| {
			errors.push(error);
			Protection::Missing
		})
	};
	// Landlock before the filter: it opens the files of its rules, which the filter may not allow.
	let landlock = outcome(files::restrict(policy));
	let seccomp = outcome(system_calls::filter(policy));
	let status = SandboxStatus {
		landlock,
		seccomp,
		// Both set it; here the kernel says so.
		no_new_privs: rustix::thread::no_new_privs().unwrap_or(false),
	};
	(status, errors)
}

/// Drops what the process may do as root, for good: also to raise the limits that it was given. A model that only root can
/// read stays readable.
#[cfg(target_os = "linux")]
fn drop_capabilities() -> Result<()> {
	use rustix::thread::{capabilities, set_capabilities, CapabilitySet, CapabilitySets};
	let drop = || {
		let kept = capabilities(None)?.permitted & CapabilitySet::DAC_READ_SEARCH;
		let sets = CapabilitySets {
			effective: kept,
			permitted: kept,
			inheritable: CapabilitySet::empty(),
		};
		set_capabilities(None, sets)
	};
	drop().map_err(|error| Error::Capabilities(error.into()))
}

#[cfg(not(target_os = "linux"))]
fn apply(_policy: &Policy) -> (SandboxStatus, Vec<Error>) {
	let status = SandboxStatus {
		landlock: Protection::Missing,
		seccomp: Protection::Missing,
		no_new_privs: false,
	};
	(status, vec![Error::System])
}

/// Closes every descriptor but standard input, output and error, so that nothing that was open in the process that started
/// this one stays open here. An error if the kernel refuses; before Linux 5.9 it does.
///
/// # Safety
///
/// Nothing in this process may use a descriptor that it has opened before: call this first thing in `main`.
#[cfg(target_os = "linux")]
pub unsafe fn close_inherited_descriptors() -> Result<()> {
	// SAFETY: no memory is passed; that nobody uses the descriptors is the caller's promise.
	if unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32) } == 0 {
		Ok(())
	} else {
		Err(Error::Descriptors(std::io::Error::last_os_error()))
	}
}

/// Does nothing on this system.
///
/// # Safety
///
/// As on Linux.
#[cfg(not(target_os = "linux"))]
pub unsafe fn close_inherited_descriptors() -> Result<()> {
	Err(Error::System)
}
