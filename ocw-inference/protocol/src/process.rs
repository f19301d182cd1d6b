//! What a node knows of its engine as a process.

/// Niceness that a node gives its engine: about a tenth of the CPU's time where both want all of it.
pub const NICE: i32 = 10;

/// How the standard library begins its message on standard error when an allocation fails.
pub const OUT_OF_MEMORY: &str = "memory allocation of ";

/// The exit code of an engine whose GPU failed, or could not be used from the start: `EX_IOERR` of `sysexits.h`.
pub const DEVICE_FAULT: i32 = 74;
