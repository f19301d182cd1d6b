//! The draw of an executor.
//!
//! Candidates are drawn by sealed stake among the members that execute at the job's prices; the first with a free place
//! executes. The draw reads what providers do at this
//! moment, so who makes blocks may bias it: that costs fairness and nothing else, because what an answer is worth is
//! reckoned as if its executor were corrupt.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	draw::{draw_distinct, executor_seed, Member},
	receipt::DrawRecord,
	rules::{generation_work, EXECUTOR_CANDIDATES},
	state::Trigger,
	traits::{Beacon, ProviderSet},
	JobId,
};
use frame_support::{ensure, storage::with_storage_layer, traits::Get};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Saturating, DispatchError};

impl<T: Config> Pallet<T> {
	/// Draws an executor for a waiting job among the members that are willing, and lets it begin. Returns false, and
	/// changes nothing, if nobody has a free place.
	pub(crate) fn draw_executor(
		id: &JobId,
		job: JobOf<T>,
		willing: Vec<Member<T::AccountId>>,
		now: BlockNumberFor<T>,
	) -> bool {
		let beacon = T::Beacon::value();
		let seed = executor_seed(&T::GenesisHash::get(), id, job.attempt, &beacon);
		let candidates = draw_distinct(&seed, willing, EXECUTOR_CANDIDATES);
		let (failed, fresh): (Vec<_>, Vec<_>) = candidates
			.into_iter()
			.filter(|who| T::Providers::has_free_place(who, &job.model))
			.partition(|who| job.failed.contains(who));
		let drawn = DrawRecord { block: now, beacon };
		fresh
			.into_iter()
			.chain(failed)
			.any(|who| with_storage_layer(|| Self::begin(id, job.clone(), who, drawn)).is_ok())
	}

	/// Lets a provider execute a job, unless it has too much to do already.
	fn begin(
		id: &JobId,
		mut job: JobOf<T>,
		executor: T::AccountId,
		drawn: DrawRecord<BlockNumberFor<T>>,
	) -> Result<(), DispatchError> {
		let work = generation_work(job.input_ceiling, job.output_ceiling);
		let blocks = T::Providers::engage(&executor, work);
		ensure!(
			blocks.saturating_sub(T::Providers::blocks_for(work)) <= T::Params::get().backlog_blocks,
			DispatchError::Other("the provider has too much to do")
		);
		ensure!(
			job.step(Trigger::ExecutorDrawn),
			DispatchError::Other("the job does not wait")
		);
		let claim = job.execution_by(T::GenesisHash::get(), id, &executor, &drawn).claim();
		job.deadline = Self::add_duty(
			drawn.block.saturating_add(blocks.into()),
			Duty {
				job: *id,
				executor: executor.clone(),
			},
		)?;
		Self::deposit_event(Event::Drawn {
			job: *id,
			attempt: job.attempt,
			executor: executor.clone(),
			claim,
			deadline: job.deadline,
		});
		job.engagement = Some(Engagement { executor, drawn, claim });
		Jobs::<T>::insert(id, job);
		Ok(())
	}
}
