//! Through these traits, and only these, the pallets meet. `runtime/src/configs/inference.rs` wires them.

use crate::{
	crypto::InferenceId, draw::Candidate, economics::Fault, economics::Shares, model::ModelTerms, Balance, JobId,
	ModelId,
};
use alloc::vec::Vec;
use sp_runtime::{DispatchError, DispatchResult};

/// What may be asked. Filled by the models pallet.
pub trait ModelCatalog<AccountId> {
	/// The terms of a registered model; retired ones too.
	fn terms(model: &ModelId) -> Option<ModelTerms<AccountId>>;
}

/// Who may answer. Filled by the providers pallet.
pub trait ProviderSet<AccountId> {
	/// Money taken from a bond. Dropping it would burn it: give it to an [`Escrow`].
	type Credit;

	/// Providers that can be drawn for a model now: serving it, bonded, keyed, alive, not jailed, with a free place.
	fn candidates(model: &ModelId) -> Vec<Candidate<AccountId>>;
	/// Takes one place of a drawn provider's capacity.
	fn engage(who: &AccountId);
	/// Gives the place back.
	fn release(who: &AccountId);
	/// The provider's inference key.
	fn key_of(who: &AccountId) -> Option<InferenceId>;
	/// The provider that registered a key.
	fn owner_of(key: &InferenceId) -> Option<AccountId>;
	/// The models a provider serves.
	fn serves(who: &AccountId) -> Vec<ModelId>;
	/// Whether a sign of life is due: the provider would soon count as offline.
	fn heartbeat_due(who: &AccountId) -> bool;
	/// Notes a sign of life.
	fn alive(who: &AccountId);
	/// Slashes a provider for a fault at the published rate, and jails it after too many. Returns the money taken.
	fn punish(who: &AccountId, fault: Fault) -> Self::Credit;
}

/// The requester's money. Filled by the payments pallet, the only room that pays.
pub trait Escrow<AccountId> {
	/// Money taken from a bond.
	type Credit;

	/// Holds the fee ceiling and the storage deposit of a new job.
	fn hold(job: JobId, payer: &AccountId, ceiling: Balance, deposit: Balance) -> DispatchResult;
	/// Pays a concluded job's shares from its hold and gives the rest of the fee ceiling back. The shares may not exceed the
	/// ceiling. The deposit stays held.
	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &AccountId,
		verifiers: &[AccountId],
		owner: &AccountId,
	) -> Result<(), DispatchError>;
	/// Gives the whole fee ceiling back. The deposit stays held.
	fn refund(job: &JobId) -> DispatchResult;
	/// Shares slashed money: up to `owed` to the job's payer, the rest to the treasury. Returns what the payer got.
	fn restitute(job: &JobId, slashed: Self::Credit, owed: Balance) -> Balance;
	/// Gives the storage deposit back and forgets the job.
	fn close(job: &JobId) -> DispatchResult;
}
