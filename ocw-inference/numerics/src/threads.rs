//! Work on several threads: those of rayon's current pool, or without `std` the calling thread alone.

use crate::Result;

/// Returns how many threads there are.
#[inline]
pub(crate) fn count() -> usize {
	#[cfg(feature = "std")]
	return rayon::current_num_threads();
	#[cfg(not(feature = "std"))]
	1
}

#[cfg(feature = "std")]
mod each {
	use super::Result;
	use rayon::prelude::*;

	/// Calls `f` for many small items.
	pub(crate) fn for_each<I: IntoParallelIterator>(items: I, f: impl Fn(I::Item) + Sync + Send) {
		items.into_par_iter().for_each(f);
	}

	/// Calls `f` for items that are cut to size: each may go to a thread of its own.
	pub(crate) fn try_for_each<I>(items: I, f: impl Fn(I::Item) -> Result<()> + Sync + Send) -> Result<()>
	where
		I: IntoParallelIterator,
		I::Iter: IndexedParallelIterator,
	{
		items.into_par_iter().with_max_len(1).try_for_each(f)
	}

	/// [`try_for_each`] with a state that each thread makes for itself.
	pub(crate) fn try_for_each_init<T: Sync, S>(
		items: &[T],
		init: impl Fn() -> S + Sync + Send,
		f: impl Fn(&mut S, &T) -> Result<()> + Sync + Send,
	) -> Result<()> {
		items.par_iter().with_max_len(1).try_for_each_init(init, f)
	}
}

#[cfg(not(feature = "std"))]
mod each {
	use super::Result;

	/// Calls `f` for each item.
	pub(crate) fn for_each<I: IntoIterator>(items: I, f: impl Fn(I::Item)) {
		items.into_iter().for_each(f);
	}

	/// Calls `f` for each item.
	pub(crate) fn try_for_each<I: IntoIterator>(items: I, f: impl Fn(I::Item) -> Result<()>) -> Result<()> {
		items.into_iter().try_for_each(f)
	}

	/// [`try_for_each`] with a state.
	pub(crate) fn try_for_each_init<T, S>(
		items: &[T],
		init: impl Fn() -> S,
		f: impl Fn(&mut S, &T) -> Result<()>,
	) -> Result<()> {
		let mut state = init();
		items.iter().try_for_each(|item| f(&mut state, item))
	}
}

pub(crate) use each::{for_each, try_for_each, try_for_each_init};
