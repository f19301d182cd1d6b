//! What can keep a process from being confined.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can keep a process from being confined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
	/// The operator requires a sandbox that this machine does not give.
	#[error("a sandbox is required (--engine-sandbox require), and this is missing: {missing}. {reasons}")]
	Required {
		/// The parts.
		missing: String,
		/// Why they are missing.
		reasons: String,
	},
	/// The kernel was built without Landlock, or a container hides it.
	#[error("this kernel has no Landlock: it takes Linux 5.13 or later, and a container that allows its system calls")]
	NoLandlock,
	/// The kernel has Landlock and does not use it.
	#[error("this kernel has Landlock and does not use it: add `landlock` to its boot parameter `lsm=`")]
	LandlockDisabled,
	/// The kernel refused a rule.
	#[cfg(target_os = "linux")]
	#[error("Landlock: {0}")]
	Landlock(#[from] landlock::RulesetError),
	/// The kernel refused the filter of system calls.
	#[cfg(target_os = "linux")]
	#[error("seccomp: {0}")]
	Seccomp(#[from] seccompiler::Error),
	/// The filter could not be compiled, as for a CPU that it is not written for.
	#[cfg(target_os = "linux")]
	#[error("there is no filter of system calls for this CPU: {0}")]
	Filter(#[from] seccompiler::BackendError),
	/// The process keeps what its user may do as root.
	#[error("capabilities could not be dropped: {0}")]
	Capabilities(std::io::Error),
	/// Descriptors of the process that started this one stay open.
	#[error("inherited descriptors could not be closed: {0}")]
	Descriptors(std::io::Error),
	/// The operating system is not Linux.
	#[error("there is no sandbox on {}", std::env::consts::OS)]
	System,
}
