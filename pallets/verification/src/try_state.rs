//! What must hold after every block.

use crate::*;
use alloc::collections::BTreeMap;
use assay_primitives::{limits::MAX_TRANCHES, rules::MAX_DISPUTES, ClaimId, State};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

impl<T: Config> Pallet<T> {
	/// Checks that every open claim will be handled, and that records, juries and convictions agree.
	pub fn do_try_state() -> Result<(), TryRuntimeError> {
		let mut disputes = BTreeMap::new();
		let mut executors = BTreeMap::new();
		let mut count = 0u32;
		for (id, claim) in Claims::<T>::iter() {
			count = count.saturating_add(1);
			Self::check_claim(&id, &claim)?;
			let of_executor = executors.entry(claim.record.executor).or_insert(0u32);
			*of_executor = of_executor.saturating_add(1);
			if Juries::<T>::contains_key(id) {
				ensure!(claim.state == State::Disputed, "only a disputed claim has a jury");
				let open = disputes.entry(claim.model).or_insert(0u32);
				*open = open.saturating_add(1);
			}
		}
		ensure!(Claims::<T>::count() == count, "open claims are counted");
		for (executor, open) in ClaimCount::<T>::iter() {
			ensure!(
				executors.remove(&executor) == Some(open),
				"the open claims of an executor are counted"
			);
		}
		ensure!(executors.is_empty(), "every executor's claims are counted");
		for (model, open) in OpenDisputes::<T>::iter() {
			ensure!(disputes.remove(&model) == Some(open), "open disputes are counted");
			ensure!(open <= MAX_DISPUTES, "a model has a bounded number of disputes");
		}
		ensure!(disputes.is_empty(), "every jury is counted");
		for id in Juries::<T>::iter_keys() {
			ensure!(Claims::<T>::contains_key(id), "every jury has its claim");
		}
		for conviction in Convictions::<T>::iter_values() {
			ensure!(!conviction.offenders.is_empty(), "a conviction has an offender");
		}
		Ok(())
	}

	fn check_claim(id: &ClaimId, claim: &ClaimOf<T>) -> Result<(), TryRuntimeError> {
		let due = DueAt::<T>::get(claim.due);
		let listed = due.iter().any(|due| due.claim() == Some(*id));
		ensure!(listed, "something of every open claim is due");
		ensure!(claim.due >= Self::now(), "nothing was forgotten");
		ensure!(!claim.state.is_final(), "a claim that has ended is closed");
		ensure!(
			claim.state.has_verdict() <= claim.verdict.is_some(),
			"a claim in its window has a verdict"
		);
		let record = &claim.record;
		ensure!(record.seats.len() == claim.deadlines.len(), "every seat has a deadline");
		ensure!(
			record.seats.iter().all(|seat| seat.provider != record.executor),
			"no executor checks itself"
		);
		ensure!(
			record.tranches.len() <= usize::from(MAX_TRANCHES),
			"tranches are bounded"
		);
		ensure!(
			record.seats.iter().all(|seat| record.draw(seat.tranche).is_some()),
			"every seat was drawn"
		);
		ensure!(
			(claim.state == State::Disputed) <= record.dispute.is_some(),
			"a disputed claim has a dispute"
		);
		Ok(())
	}
}
