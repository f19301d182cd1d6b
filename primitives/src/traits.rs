//! The traits through which, and only through which, the pallets meet. `runtime/src/configs/inference.rs` wires them.

use crate::{
	crypto::InferenceId,
	draw::{Member, SealedMember},
	economics::{Fault, Shares},
	hash::Seal,
	model::{ListingId, ModelTerms},
	receipt::{ClaimRecord, DrawRecord, ElectorateSummary, Verdict},
	rules::WorkUnits,
	state::State,
	task::Work,
	Balance, ClaimId, Hash32, JobId, ModelId, OutputHash,
};
use alloc::vec::Vec;
use sp_runtime::DispatchResult;

/// The models that may be requested. Implemented by the models pallet.
pub trait ModelCatalog<AccountId> {
	/// Returns the model of a listing and its terms at the prices in force, also of a retired one.
	fn listing(id: ListingId) -> Option<(ModelId, ModelTerms<AccountId>)>;
	/// Returns the terms of a model's listings that take jobs, the oldest first: at most
	/// [`MAX_LISTINGS`](crate::limits::MAX_LISTINGS). None if the model is unknown.
	fn listings(model: &ModelId) -> Option<Vec<ModelTerms<AccountId>>>;
}

/// Randomness that no single author chooses. Implemented by the beacon pallet.
pub trait Beacon {
	/// Returns the accumulated VRF outputs of all blocks: while a block is finalized, its own included.
	fn value() -> Hash32;
}

/// What the chain itself knows of its finality. Implemented by the finality pallet.
pub trait FinalizedBlock {
	/// Returns the number of a block that is finalized, and before which all are. Later ones may be, too.
	fn finalized() -> u32;
}

/// Who may be drawn, and who is alive. Implemented by the providers pallet.
pub trait ProviderSet<AccountId> {
	/// Returns the electorate of a model that is in force now, with the members' least prices: the largest bonds, as they
	/// were sealed at least a period ago.
	fn sealed(model: &ModelId) -> Vec<SealedMember<AccountId>>;
	/// Returns the members of that electorate: whatever the price of a job, its seats are drawn among all of them.
	fn electorate(model: &ModelId) -> Vec<Member<AccountId>> {
		Self::sealed(model).into_iter().map(|sealed| sealed.member).collect()
	}
	/// Returns the active bonds of all providers of the chain.
	fn chain_stake() -> Balance;
	/// Returns whether a provider can take a job now: serving this model, keyed, alive, not suspended, with a free
	/// place.
	fn has_free_place(who: &AccountId, model: &ModelId) -> bool;
	/// Takes a place of a provider for a job with this much work. Returns the blocks until it must be done.
	fn engage(who: &AccountId, work: WorkUnits) -> u32;
	/// Gives that place back, and takes off what of the work was not needed.
	fn release(who: &AccountId, unused: WorkUnits);
	/// Gives a provider work that takes no place. Returns the blocks until it must be done.
	fn give_work(who: &AccountId, work: WorkUnits) -> u32;
	/// Returns the blocks in which the slowest provider does this work, behind nothing else.
	fn blocks_for(work: WorkUnits) -> u32;
	/// Returns the provider's inference key.
	fn key_of(who: &AccountId) -> Option<InferenceId>;
	/// Returns the provider that registered a key.
	fn owner_of(key: &InferenceId) -> Option<AccountId>;
	/// Returns the models a provider serves.
	fn serves(who: &AccountId) -> Vec<ModelId>;
	/// Returns whether a heartbeat is due: the provider would soon be left out of the next electorates.
	fn heartbeat_due(who: &AccountId) -> bool;
	/// Records that the provider is alive in this block.
	fn mark_alive(who: &AccountId);
	/// Returns whether a sign of life is due: the provider could validate, and has shown none in this session yet.
	fn sign_of_life_due(who: &AccountId) -> bool;
	/// Records that the provider's node runs in this block, whatever its engine does.
	fn note_sign_of_life(who: &AccountId);
	/// Returns whether it is news that the engine of a provider does not serve a model that the provider serves or, with
	/// `over`, that it serves it again. An outage lasts a period at least.
	fn outage_due(who: &AccountId, model: &ModelId, over: bool) -> bool;
	/// Records that. From then on the provider takes no job of the model, and is not sealed into its electorates, until the
	/// outage is over.
	fn note_outage(who: &AccountId, model: &ModelId, over: bool);
}

/// The validators as the consensus has them. Implemented by the runtime.
pub trait Validators<AccountId> {
	/// Returns whether an account has session keys: only then can it validate.
	fn has_keys(who: &AccountId) -> bool;
	/// Returns the validators of this session.
	fn sitting() -> Vec<AccountId>;
	/// Returns the author of this block, which is known once the block has begun its session, if it begins one.
	fn author() -> Option<AccountId>;
	/// Returns the slots of a session.
	fn session_slots() -> u32;
}

/// What finalizes blocks, GRANDPA. Implemented by the runtime.
pub trait FinalityGadget<BlockNumber> {
	/// Returns the id of the set of the last change.
	fn set_id() -> u64;
	/// Returns whether a change of the set can be forced now: none is pending, and the last forced one is long ago.
	fn can_force_change() -> bool;
	/// Makes the change of the session that begins in this block a forced one, which takes effect `delay` blocks later
	/// though no block is finalized. The new set continues from the block `finalized`, as the successor of the set
	/// `set_id`.
	fn force_change(delay: BlockNumber, finalized: BlockNumber, set_id: u64);
}

/// What faults cost. Implemented by the providers pallet.
pub trait Penalties<AccountId> {
	/// Money taken from a bond. Dropping it would burn it.
	type Credit;

	/// Returns whether an account is a provider with anything at stake.
	fn is_bonded(who: &AccountId) -> bool;
	/// Returns what a provider could lose: its active bond and what is unbonding.
	fn slashable(who: &AccountId) -> Balance;
	/// Takes an amount for [`Fault::Lapse`] or [`Fault::NoOutput`] in work of a model, as far as the cap of this session
	/// allows. Lapses during an outage of that model do not count against the provider's other models.
	fn fine(who: &AccountId, fault: Fault, model: &ModelId, amount: Balance) -> Self::Credit;
	/// Suspends a provider at once and freezes its bond, until every suspension is lifted. It stays out of electorates
	/// until it says that it is ready.
	fn suspend(who: &AccountId);
	/// Lifts one suspension.
	fn lift(who: &AccountId);
	/// Returns whether a provider is suspended.
	fn is_suspended(who: &AccountId) -> bool;
	/// Returns whether a provider was suspended in this block or later.
	fn was_suspended_since(who: &AccountId, block: u32) -> bool;
	/// Takes what a fault costs of the bond. [`Fault::WrongJuror`] costs once a session.
	fn slash(who: &AccountId, fault: Fault) -> Self::Credit;
}

/// The requester's money. Implemented by the payments pallet, the only one that moves money between accounts.
pub trait Escrow<AccountId> {
	/// Holds the fee ceiling and the storage deposit of a new job.
	fn hold(job: JobId, payer: &AccountId, fee_ceiling: Balance, deposit: Balance) -> DispatchResult;
	/// Pays a settled job's shares from its hold and gives the rest back. The shares may not exceed the ceiling; there
	/// are as many `seats` as the shares pay. The deposit stays held.
	fn settle(
		job: &JobId,
		shares: &Shares,
		executor: &AccountId,
		seats: &[AccountId],
		owner: &AccountId,
	) -> DispatchResult;
	/// Gives the whole fee ceiling back. The deposit stays held.
	fn refund(job: &JobId) -> DispatchResult;
	/// Gives the storage deposit back and removes the job's record.
	fn close(job: &JobId) -> DispatchResult;
}

/// The pool that pays audits, juries and replaced seats, and the bonds of objections. Implemented by the payments
/// pallet.
pub trait Pool<AccountId> {
	/// Money taken from a bond.
	type Credit;

	/// Puts money into the pool.
	fn collect(credit: Self::Credit);
	/// Pays from the pool, as far as it reaches. Returns the amount.
	fn pay(who: &AccountId, amount: Balance) -> Balance;
	/// Returns the amount of taken money.
	fn amount(credit: &Self::Credit) -> Balance;
	/// Pays from taken money; an account that cannot receive loses its part, and the rest goes to the treasury.
	fn distribute(credit: Self::Credit, payments: &[(AccountId, Balance)]);
	/// Holds the bond of an objection to a claim.
	fn hold_objection(claim: &ClaimId, who: &AccountId, bond: Balance) -> DispatchResult;
	/// Gives the bond of an objection back, if there is one.
	fn return_objection(claim: &ClaimId);
	/// Pays from the bond of an objection; the rest goes back to the objector, or to the treasury if it lost.
	fn spend_objection(claim: &ClaimId, payments: &[(AccountId, Balance)], lost: bool);
}

/// A claim as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClaim<AccountId, BlockNumber> {
	/// Its name.
	pub id: ClaimId,
	/// What it answers, as its source names it.
	pub origin: JobId,
	/// Who asked, and may object to it.
	pub requester: AccountId,
	/// The model.
	pub model: ModelId,
	/// The attempt, from 0.
	pub attempt: u8,
	/// Who computed it.
	pub executor: AccountId,
	/// The executor's draw.
	pub drawn: DrawRecord<BlockNumber>,
	/// Hash of the output.
	pub output_hash: OutputHash,
	/// The executor's seal.
	pub seal: Seal,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// The work of one check.
	pub work: WorkUnits,
	/// What one check is paid.
	pub seat_fee: Balance,
}

/// A claim's standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimStatus<AccountId, BlockNumber> {
	/// Its state.
	pub state: State,
	/// Its verdict, once there is one; it may change until the state is final.
	pub verdict: Option<Verdict>,
	/// The block of the verdict.
	pub verdict_at: Option<BlockNumber>,
	/// The block in which something is due next.
	pub due: BlockNumber,
	/// What a receipt shows of it.
	pub record: ClaimRecord<AccountId, BlockNumber>,
}

/// Verification as the source of claims uses it. Implemented by the verification pallet.
pub trait Claims<AccountId, BlockNumber> {
	/// Takes a claim, which will be closed through [`ClaimSource::closed`]. Refused if its name is taken.
	fn publish(claim: NewClaim<AccountId, BlockNumber>) -> DispatchResult;
	/// Returns the standing of an open claim.
	fn status(claim: &ClaimId) -> Option<ClaimStatus<AccountId, BlockNumber>>;
	/// Returns the most blocks from a publication to the claim's end, whatever anybody does.
	fn longest(work: WorkUnits) -> u32;
}

/// A pallet whose claims are verified. Implemented by the jobs pallet.
pub trait ClaimSource<AccountId, BlockNumber> {
	/// Returns what recomputes a claim: with its output for a check, without for its executor.
	fn work(origin: &JobId, check: bool) -> Option<Work>;
	/// Receives a claim that has ended. `approvals` are the approving seats in the order drawn, to be paid as far as the
	/// escrow pays seats. Returns how many of them the escrow has paid.
	fn closed(
		origin: &JobId,
		claim: &ClaimId,
		status: ClaimStatus<AccountId, BlockNumber>,
		approvals: &[AccountId],
	) -> u32;
}

/// Summarizes an electorate, with the stake of a claim's executor in it.
pub fn summarize<AccountId: PartialEq>(
	members: &[Member<AccountId>],
	executor: Option<&AccountId>,
	chain: Balance,
) -> ElectorateSummary {
	let stake_of = |who: &AccountId| {
		members
			.iter()
			.find(|member| member.who == *who)
			.map(|member| member.stake)
	};
	ElectorateSummary {
		members: u32::try_from(members.len()).unwrap_or(u32::MAX),
		stake: crate::draw::total_stake(members),
		largest: members.iter().map(|member| member.stake).max().unwrap_or(0),
		executor: executor.and_then(stake_of).unwrap_or(0),
		chain,
	}
}
