//! The traits through which, and only through which, the pallets meet. `runtime/src/configs/inference.rs` wires them.

use crate::{
	crypto::InferenceId, draw::Candidate, economics::Fault, economics::Shares, model::ModelTerms, Balance, JobId,
	ModelId,
};
use alloc::vec::Vec;
use sp_runtime::{DispatchError, DispatchResult};

/// The models that may be requested. Implemented by the models pallet.
pub trait ModelCatalog<AccountId> {
	/// Returns the terms of a registered model, also of a retired one.
	fn terms(model: &ModelId) -> Option<ModelTerms<AccountId>>;
}

/// The providers that may answer. Implemented by the providers pallet.
pub trait ProviderSet<AccountId> {
	/// Money taken from a bond. Dropping it would burn it: give it to an [`Escrow`].
	type Credit;

	/// Returns the providers that can be drawn for a model now: serving it, bonded, keyed, alive, not jailed, with free
	/// capacity.
	fn candidates(model: &ModelId) -> Vec<Candidate<AccountId>>;
	/// Takes one unit of a drawn provider's capacity.
	fn engage(who: &AccountId);
	/// Gives that unit back.
	fn release(who: &AccountId);
	/// Returns the provider's inference key.
	fn key_of(who: &AccountId) -> Option<InferenceId>;
	/// Returns the provider that registered a key.
	fn owner_of(key: &InferenceId) -> Option<AccountId>;
	/// Returns the models a provider serves.
	fn serves(who: &AccountId) -> Vec<ModelId>;
	/// Returns whether a heartbeat is due: the provider would soon count as offline.
	fn heartbeat_due(who: &AccountId) -> bool;
	/// Records that the provider is alive in this block.
	fn mark_alive(who: &AccountId);
	/// Slashes a provider for a fault at the published rate, and jails it after too many. Returns the money taken.
	fn punish(who: &AccountId, fault: Fault) -> Self::Credit;
}

/// The requester's money. Implemented by the payments pallet, the only one that pays.
pub trait Escrow<AccountId> {
	/// Money taken from a bond.
	type Credit;

	/// Holds the fee ceiling and the storage deposit of a new job.
	fn hold(job: JobId, payer: &AccountId, fee_ceiling: Balance, deposit: Balance) -> DispatchResult;
	/// Pays a concluded job's shares from its hold and gives the rest of the fee ceiling back. The shares may not
	/// exceed the ceiling. The deposit stays held.
	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &AccountId,
		verifiers: &[AccountId],
		owner: &AccountId,
	) -> Result<(), DispatchError>;
	/// Gives the whole fee ceiling back. The deposit stays held.
	fn refund(job: &JobId) -> DispatchResult;
	/// Shares slashed money: up to `due` to the job's payer, the rest to the treasury. Returns what the payer got.
	fn restitute(job: &JobId, slashed: Self::Credit, due: Balance) -> Balance;
	/// Gives the storage deposit back and removes the job's record.
	fn close(job: &JobId) -> DispatchResult;
}
