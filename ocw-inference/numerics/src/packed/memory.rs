//! Cache lines of memory.

use crate::{Error, Result};
use alloc::{string::String, vec::Vec};

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;

/// Returns so many lines of zeros; `what` names them in an error.
pub(crate) fn zeroed(lines: usize, what: impl FnOnce() -> String) -> Result<Vec<Line>> {
	let mut all = Vec::new();
	if all.try_reserve_exact(lines).is_err() {
		return Err(Error::Memory(what()));
	}
	ask_for_huge_pages(all.as_mut_ptr(), lines);
	all.resize(lines, Line([0; LINE]));
	Ok(all)
}

/// A matrix is read from end to end for each token: with pages of 2 MiB, fewer translations are looked up on the way.
/// Where the system has none to give, nothing changes.
#[cfg(all(target_os = "linux", feature = "std"))]
fn ask_for_huge_pages(start: *mut Line, lines: usize) {
	const PAGE: usize = 4096;
	let skipped = start.cast::<u8>().align_offset(PAGE);
	if let Some(len) = (lines * LINE).checked_sub(skipped).filter(|len| *len >= 2 << 20) {
		// SAFETY: advice about memory of ours; it changes no byte of it.
		unsafe {
			libc::madvise(start.cast::<u8>().add(skipped).cast(), len, libc::MADV_HUGEPAGE);
		}
	}
}

#[cfg(not(all(target_os = "linux", feature = "std")))]
fn ask_for_huge_pages(_: *mut Line, _: usize) {}

/// Returns the bytes of lines.
pub(crate) fn bytes(lines: &[Line]) -> &[u8] {
	// SAFETY: a line is 64 bytes without padding, and bytes have no alignment.
	unsafe { core::slice::from_raw_parts(lines.as_ptr().cast(), core::mem::size_of_val(lines)) }
}

/// Returns the bytes of lines.
pub(crate) fn bytes_mut(lines: &mut [Line]) -> &mut [u8] {
	// SAFETY: as above; every bit pattern is a line.
	unsafe { core::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), core::mem::size_of_val(lines)) }
}
