//! Claims as their source publishes and reads them, and objections to them.

use crate::*;
use assay_primitives::{
	economics::objection_bond,
	limits::{MAX_ATTEMPTS, MAX_VERIFIERS},
	receipt::{Audit, ClaimRecord},
	rules::{
		WorkUnits, DRAW_DELAY, JURY_BASE_BLOCKS, JURY_REVEAL_BLOCKS, MAX_AUDITORS, MAX_DEADLINE_BLOCKS, MAX_TRANCHES,
		SECOND_ROUND_FACTOR, SETTLE_AFTER, WINDOW,
	},
	state::Trigger,
	traits::{self, ClaimStatus, NewClaim, Penalties, Pool, ProviderSet},
	ClaimId, OutputHash, State, Verdict,
};
use frame_support::{ensure, traits::Get};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{traits::Saturating, DispatchResult};

impl<T: Config> traits::Claims<T::AccountId, BlockNumberFor<T>> for Pallet<T> {
	fn publish(new: NewClaim<T::AccountId, BlockNumberFor<T>>) -> DispatchResult {
		ensure!(!Claims::<T>::contains_key(new.id), Error::<T>::AlreadyPublished);
		ensure!(new.verifiers <= MAX_VERIFIERS, Error::<T>::TooManyVerifiers);
		let now = Self::now();
		let id = new.id;
		let mut claim = Self::new_claim(new, now);
		Self::deposit_event(Event::Published {
			claim: id,
			executor: claim.record.executor.clone(),
			output_hash: claim.record.output_hash,
		});
		if claim.record.verifiers == 0 {
			Self::step(&id, &mut claim, Trigger::PublishedUnchecked);
			claim.record.electorate = Self::summary(&claim);
			claim.record.slashable = T::Providers::slashable(&claim.record.executor);
			Self::reach_verdict(id, &mut claim, Verdict::Unchecked, now);
		} else {
			Self::step(&id, &mut claim, Trigger::Published);
			Self::schedule(id, &mut claim, now.saturating_add(DRAW_DELAY.into()));
		}
		ClaimCount::<T>::mutate(&claim.record.executor, |open| *open = open.saturating_add(1));
		Claims::<T>::insert(id, claim);
		Ok(())
	}

	fn status(claim: &ClaimId) -> Option<ClaimStatus<T::AccountId, BlockNumberFor<T>>> {
		let mut claim = Claims::<T>::get(claim)?;
		// Without this one.
		claim.record.open_claims = ClaimCount::<T>::get(&claim.record.executor).saturating_sub(1);
		Some(claim.status())
	}

	fn longest(work: WorkUnits) -> u32 {
		let deadline = MAX_DEADLINE_BLOCKS.saturating_add(DRAW_DELAY);
		let tranches = deadline.saturating_mul(MAX_TRANCHES.into());
		// One audit by lottery, and one for each reason that makes it certain.
		let audits = deadline
			.saturating_mul(MAX_AUDITORS.into())
			.saturating_add(SETTLE_AFTER)
			.saturating_mul(MAX_ATTEMPTS);
		let jury = T::Providers::blocks_for(work)
			.saturating_mul(2)
			.saturating_add(JURY_BASE_BLOCKS)
			.saturating_add(JURY_REVEAL_BLOCKS);
		let dispute = jury.saturating_mul(SECOND_ROUND_FACTOR.saturating_add(1));
		[tranches, audits, dispute, WINDOW, SETTLE_AFTER]
			.into_iter()
			.fold(0, u32::saturating_add)
	}
}

impl<T: Config> Pallet<T> {
	fn new_claim(new: NewClaim<T::AccountId, BlockNumberFor<T>>, now: BlockNumberFor<T>) -> ClaimOf<T> {
		Claim {
			origin: new.origin,
			requester: new.requester,
			model: new.model,
			state: State::Executing,
			verdict: None,
			verdict_at: None,
			due: now,
			settle_at: now,
			audit_at: now,
			auditors: 0,
			reopened: false,
			work: new.work,
			seat_fee: new.seat_fee,
			next_seats: new.verifiers.into(),
			deadlines: Default::default(),
			record: ClaimRecord {
				attempt: new.attempt,
				executor: new.executor,
				drawn: new.drawn,
				output_hash: new.output_hash,
				seal: new.seal,
				root: None,
				published_at: now,
				verifiers: new.verifiers,
				tranches: Default::default(),
				audits: Default::default(),
				seats: Default::default(),
				audit: Audit::Undecided,
				dispute: None,
				electorate: Default::default(),
				slashable: 0,
				open_claims: 0,
			},
		}
	}

	fn summary(claim: &ClaimOf<T>) -> assay_primitives::receipt::ElectorateSummary {
		let electorate = T::Providers::electorate(&claim.model);
		traits::summarize(&electorate, Some(&claim.record.executor), T::Providers::chain_stake())
	}

	/// Returns the bond of an objection to a claim: none if it is not open.
	pub fn objection_bond(id: ClaimId) -> Option<assay_primitives::Balance> {
		Claims::<T>::get(id).map(|claim| Self::bond_of(&claim))
	}

	fn bond_of(claim: &ClaimOf<T>) -> assay_primitives::Balance {
		let jurors = T::Providers::electorate(&claim.model).len() as u32;
		objection_bond(&T::Params::get().rates, jurors, claim.seat_fee)
	}

	/// Checks that an account may object to a claim now.
	pub(crate) fn check_objection(
		who: &T::AccountId,
		id: &ClaimId,
		output_hash: &OutputHash,
	) -> Result<ClaimOf<T>, Error<T>> {
		let claim = Claims::<T>::get(id).ok_or(Error::<T>::UnknownClaim)?;
		ensure!(claim.record.output_hash == *output_hash, Error::<T>::OtherOutput);
		ensure!(claim.record.dispute.is_none(), Error::<T>::AlreadyDisputed);
		ensure!(
			matches!(claim.state, State::Window | State::Auditing),
			Error::<T>::WrongState
		);
		let until = claim.verdict_at.unwrap_or_default().saturating_add(WINDOW.into());
		ensure!(Self::now() < until, Error::<T>::WindowClosed);
		ensure!(!claim.is_party(who), Error::<T>::IsParty);
		ensure!(
			claim.requester == *who || T::Providers::is_bonded(who),
			Error::<T>::MayNotObject
		);
		Ok(claim)
	}

	/// Opens a dispute against a bond.
	pub(crate) fn do_object(who: T::AccountId, id: ClaimId, output_hash: OutputHash) -> DispatchResult {
		let mut claim = Self::check_objection(&who, &id, &output_hash)?;
		T::Pool::hold_objection(&id, &who, Self::bond_of(&claim))?;
		Self::begin_dispute(id, &mut claim, Trigger::Objected, Some(who), Self::now());
		Claims::<T>::insert(id, claim);
		Ok(())
	}
}
