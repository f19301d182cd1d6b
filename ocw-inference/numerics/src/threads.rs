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

/// How often in a row a thread that is kept awake looks for work in vain before it may fall asleep: some ten
/// milliseconds, more than it waits for the last piece of a large product.
#[cfg(feature = "std")]
const PATIENCE: usize = 20_000;

/// Calls `f`, and keeps the other threads of its pool awake meanwhile: one that finds no work falls asleep within
/// microseconds, and waking it takes longer than many an operation. Outside a pool it only calls `f`.
///
/// A thread loses patience in the end, because it can find itself here within a part of what `f` shares, of which the
/// rest is elsewhere; `f` waits for that part, so that waiting for the end of `f` would be for ever.
#[cfg(feature = "std")]
pub fn with_threads_awake<R>(f: impl FnOnce() -> R) -> R {
	use alloc::sync::Arc;
	use core::sync::atomic::{AtomicBool, Ordering};

	/// Says so where `f` panics too.
	struct Done(Arc<AtomicBool>);
	impl Drop for Done {
		fn drop(&mut self) {
			self.0.store(true, Ordering::Release);
		}
	}

	let Some(caller) = rayon::current_thread_index().filter(|_| count() > 1) else {
		return f();
	};
	let done = Done(Arc::default());
	let over = Arc::clone(&done.0);
	// Nobody waits for these: a thread that the system lets run later finds that all is over.
	rayon::spawn_broadcast(move |thread| {
		// The caller gets one too, and must not wait for itself.
		let mut patience = if thread.index() == caller { 0 } else { PATIENCE };
		while patience > 0 && !over.load(Ordering::Acquire) {
			if rayon::yield_now() == Some(rayon::Yield::Executed) {
				patience = PATIENCE;
			} else {
				patience -= 1;
				std::thread::yield_now();
			}
		}
	});
	// Takes the caller's own: a pass so small that it shares no work would leave it in the queue for good.
	rayon::yield_local();
	f()
}

/// Calls `f`.
#[cfg(not(feature = "std"))]
pub fn with_threads_awake<R>(f: impl FnOnce() -> R) -> R {
	f()
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

#[cfg(all(test, feature = "std"))]
mod tests {
	use super::*;
	use std::panic::{catch_unwind, AssertUnwindSafe};

	#[test]
	fn threads_that_are_kept_awake_work_and_end_with_what_they_wait_for() {
		let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
		for round in 0..200 {
			let sum = core::sync::atomic::AtomicUsize::new(0);
			let add = |i: usize| {
				sum.fetch_add(i, core::sync::atomic::Ordering::Relaxed);
			};
			let result = pool.install(|| {
				catch_unwind(AssertUnwindSafe(|| {
					with_threads_awake(|| {
						for_each(0..100, add);
						with_threads_awake(|| for_each(0..100, add));
						assert!(round % 10 != 9, "as it should");
					})
				}))
			});
			assert_eq!(result.is_err(), round % 10 == 9);
			assert_eq!(sum.into_inner(), 2 * 4950);
		}
		// A thread that waited for ever would never end.
		pool.broadcast(|_| ());
	}

	/// A thread that waits for the rest of its part takes whatever its queue holds, the wait for the end too.
	#[test]
	fn a_part_within_which_a_thread_is_kept_awake_ends_nevertheless() {
		use core::sync::atomic::{AtomicUsize, Ordering};
		let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
		// 1: the other thread is within its part. 2: it has been asked to stay awake. 3: its part has ended.
		let (state, begun) = (&AtomicUsize::new(0), std::time::Instant::now());
		let reach = move |wanted: usize| {
			while state.load(Ordering::Acquire) < wanted {
				assert!(begun.elapsed().as_secs() < 20, "never came to {wanted}");
				std::thread::yield_now();
			}
		};
		pool.install(|| {
			rayon::in_place_scope(|scope| {
				let here = rayon::current_thread_index();
				scope.spawn_broadcast(move |_, thread| {
					if Some(thread.index()) != here {
						state.store(1, Ordering::Release);
						reach(2);
						assert_eq!(rayon::yield_local(), Some(rayon::Yield::Executed));
						state.store(3, Ordering::Release);
					}
				});
				reach(1);
				with_threads_awake(|| {
					state.store(2, Ordering::Release);
					reach(3);
				});
			});
		});
	}

	#[test]
	fn a_pass_that_shares_no_work_leaves_nothing_in_the_queue() {
		let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
		pool.install(|| {
			for _ in 0..100 {
				with_threads_awake(|| ());
			}
			assert_eq!(rayon::yield_local(), Some(rayon::Yield::Idle));
		});
	}

	#[test]
	fn outside_a_pool_nothing_is_kept_awake() {
		assert_eq!(with_threads_awake(|| 5), 5);
	}
}
