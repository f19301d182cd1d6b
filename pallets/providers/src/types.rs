//! The types of stake, and the changes of a provider's record: unlocking, slashing, jailing, being alive.

use alloc::vec::Vec;
use assay_primitives::{
	crypto::InferenceId,
	draw::{Member, SealedMember},
	economics::{Rates, SessionFines},
	limits::{MAX_MEMBERS, MAX_PROVIDERS_PER_MODEL},
	model::Prices,
	rules::{Backlog, HEARTBEAT_AGE, PERIOD},
	Balance, ModelId,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::cmp::Ordering;
use frame_support::{storage::bounded_btree_map::BoundedBTreeMap, traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::traits::{AtLeast32BitUnsigned, Zero};

/// The most providers with an active bond. Bounds the choice of validators.
pub const MAX_PROVIDERS: u32 = 1_024;
/// The most withdrawals a provider may wait for at once.
pub const MAX_CHUNKS: u32 = 16;
/// The most models one provider may serve.
pub const MAX_MODELS: u32 = 16;
/// The largest capacity: jobs one provider may execute at once.
pub const MAX_CAPACITY: u32 = 32;

/// The least prices at which providers of a model execute. Who is not in it executes at any price.
pub type LeastPricesOf<AccountId> = BoundedBTreeMap<AccountId, Prices, ConstU32<MAX_PROVIDERS_PER_MODEL>>;

/// The providers of a model whose engines do not serve it, and since which block.
pub type OutagesOf<AccountId> = BoundedBTreeMap<AccountId, u32, ConstU32<MAX_PROVIDERS_PER_MODEL>>;

/// The parameters a chain sets, in one struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderParams<BlockNumber> {
	/// Least active bond of a provider that is sealed into electorates or validates.
	pub min_bond: Balance,
	/// Blocks between unbonding and withdrawing, unless the genesis sets others; the money stays slashable until then. An
	/// equivocation may be reported as long.
	pub unbonding_period: BlockNumber,
	/// The least unbonding period that a genesis may set. Must outlast every claim, its disputes included.
	pub min_unbonding_period: BlockNumber,
	/// Most validators.
	pub max_validators: u32,
	/// Blocks in jail, after an offence against the consensus.
	pub jail_period: BlockNumber,
	/// Blocks after a message of a provider until a heartbeat is due. Less than [`HEARTBEAT_AGE`].
	pub heartbeat_interval: BlockNumber,
	/// Blocks without being eligible after which a provider loses its places in models' lists.
	pub absence_limit: BlockNumber,
	/// Most electorates that one block seals.
	pub max_seals_per_block: u32,
	/// Work that every provider does in a block, at least.
	pub least_speed: u32,
	/// Blocks of the sessions in which fines and lapses are counted.
	pub session_blocks: u32,
	/// The published rates, slashes among them.
	pub rates: Rates,
}

/// A part of a bond that is unbonding.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Chunk<BlockNumber> {
	/// The amount, slashable until it is withdrawn.
	pub amount: Balance,
	/// First block in which it can be withdrawn.
	pub at: BlockNumber,
}

/// A provider.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct ProviderRecord<BlockNumber> {
	/// Active bond: the weight in electorates and in the choice of validators.
	pub bond: Balance,
	/// What is unbonding, oldest first.
	pub unlocking: BoundedVec<Chunk<BlockNumber>, ConstU32<MAX_CHUNKS>>,
	/// Jobs it may execute at once, over all its models. Zero: it only verifies.
	pub capacity: u32,
	/// Jobs it executes now.
	pub load: u32,
	/// The models it serves.
	pub models: BoundedVec<ModelId, ConstU32<MAX_MODELS>>,
	/// The key its node signs votes with.
	pub key: Option<InferenceId>,
	/// Block of its last message; none before the first.
	pub last_seen: Option<BlockNumber>,
	/// First block in which it may leave jail; none outside.
	pub jailed_until: Option<BlockNumber>,
	/// Whether it was ready last: a suspension or too many lapses end that, its own call renews it.
	pub ready: bool,
	/// Suspensions that are not lifted.
	pub suspensions: u32,
	/// The last block in which it was suspended, as of the last suspension or lift.
	pub suspended_at: Option<u32>,
	/// What faults in inference took of the active bond since the provider last unbonded, and it has not replaced.
	pub lost_bond: Balance,
	/// Fines and lapses of the last session in which there were any.
	pub fines: SessionFines,
	/// Work it was given and may not have done yet.
	pub backlog: Backlog,
}

/// The members of a model's electorate, as they were in one block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Seal<AccountId> {
	/// That block. The seal is in force from [`PERIOD`] blocks later on.
	pub sealed_at: u32,
	/// The members, the largest bond first.
	pub members: BoundedVec<Member<AccountId>, ConstU32<MAX_MEMBERS>>,
	/// Their least prices.
	pub least: LeastPricesOf<AccountId>,
}

/// A model's electorate: the seal that is in force, and the one after it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Electorate<AccountId> {
	/// The seal that is in force until the next is. It is empty before a model's first seal is in force.
	pub in_force: Seal<AccountId>,
	/// The last seal, if there was one after that.
	pub next: Option<Seal<AccountId>>,
}

impl<AccountId: Ord> Seal<AccountId> {
	/// Returns a seal without members.
	pub(crate) fn empty(sealed_at: u32) -> Self {
		Self {
			sealed_at,
			members: BoundedVec::new(),
			least: BoundedBTreeMap::new(),
		}
	}
}

impl<AccountId> Seal<AccountId> {
	fn is_in_force(&self, now: u32) -> bool {
		now.saturating_sub(self.sealed_at) >= PERIOD
	}
}

/// The order of an electorate: the largest bond first, equal bonds by account.
fn order<AccountId: Ord>(a: &Member<AccountId>, b: &Member<AccountId>) -> Ordering {
	b.stake.cmp(&a.stake).then_with(|| a.who.cmp(&b.who))
}

impl<AccountId: Ord> Seal<AccountId> {
	/// Seals the [`MAX_MEMBERS`] largest bonds, equal bonds by account, at any price.
	pub fn new(sealed_at: u32, mut eligible: Vec<Member<AccountId>>) -> Self {
		eligible.sort_unstable_by(order);
		Self {
			sealed_at,
			members: BoundedVec::truncate_from(eligible),
			least: BoundedBTreeMap::new(),
		}
	}

	/// Seals the members' least prices too.
	pub(crate) fn at_least(mut self, mut least: LeastPricesOf<AccountId>) -> Self {
		least.retain(|who, _| self.stake_of(who).is_some());
		self.least = least;
		self
	}

	/// Returns the members with their least prices.
	pub(crate) fn sealed_members(self) -> Vec<SealedMember<AccountId>> {
		let least = self.least;
		let members = self.members.into_iter();
		members
			.map(|member| SealedMember {
				least: least.get(&member.who).copied().unwrap_or_default(),
				member,
			})
			.collect()
	}

	/// Returns the stake of a member; none of anybody else.
	pub(crate) fn stake_of(&self, who: &AccountId) -> Option<Balance> {
		self.members
			.iter()
			.find(|member| member.who == *who)
			.map(|member| member.stake)
	}

	/// Returns whether the members are in their order, each once.
	pub(crate) fn is_sorted(&self) -> bool {
		self.members.is_sorted_by(|a, b| order(a, b).is_lt())
	}
}

impl<AccountId: Ord> Electorate<AccountId> {
	/// Returns the electorate of a model that nobody has served before.
	pub(crate) fn new(now: u32) -> Self {
		Self {
			in_force: Seal::empty(now),
			next: None,
		}
	}
}

impl<AccountId> Electorate<AccountId> {
	/// Returns the seal that is in force in a block: the newest that is [`PERIOD`] blocks old.
	pub fn in_force(self, now: u32) -> Seal<AccountId> {
		match self.next {
			Some(next) if next.is_in_force(now) => next,
			_ => self.in_force,
		}
	}

	/// Returns whether the model may be sealed again: a seal that is not in force yet would be lost.
	pub(crate) fn may_seal(&self, now: u32) -> bool {
		self.next.as_ref().is_none_or(|next| next.is_in_force(now))
	}

	/// Adds the next seal, which changes nothing that is in force.
	pub(crate) fn seal(self, seal: Seal<AccountId>) -> Self {
		Self {
			in_force: self.in_force(seal.sealed_at),
			next: Some(seal),
		}
	}

	/// Returns whether no draw can find a member any more.
	pub(crate) fn is_empty(&self) -> bool {
		let next = self.next.as_ref();
		self.in_force.members.is_empty() && next.is_none_or(|next| next.members.is_empty())
	}
}

/// A provider that exists from the start, alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenesisProvider<AccountId> {
	/// The provider's account, in which the bond is held.
	pub account: AccountId,
	/// Active bond.
	pub bond: Balance,
	/// The key its node signs votes with, as SS58 text in JSON.
	pub inference_key: InferenceId,
	/// The models it serves.
	pub models: Vec<ModelId>,
	/// Jobs it may execute at once.
	pub capacity: u32,
}

impl<BlockNumber: AtLeast32BitUnsigned + Copy> ProviderRecord<BlockNumber> {
	/// Returns a provider that has just bonded: it executes one job at a time and serves nothing yet.
	pub(crate) fn new(bond: Balance) -> Self {
		Self {
			bond,
			unlocking: BoundedVec::new(),
			capacity: 1,
			load: 0,
			models: BoundedVec::new(),
			key: None,
			last_seen: None,
			jailed_until: None,
			ready: true,
			suspensions: 0,
			suspended_at: None,
			lost_bond: 0,
			fines: SessionFines::default(),
			backlog: Backlog::default(),
		}
	}

	/// Returns all money at stake: the active bond and what is unbonding.
	pub fn slashable(&self) -> Balance {
		self.unlocking
			.iter()
			.fold(self.bond, |sum, chunk| sum.saturating_add(chunk.amount))
	}

	/// Returns whether the provider may be sealed into the electorates of the models it serves: bonded, keyed, alive,
	/// ready, neither suspended nor jailed. Its load and its capacity do not matter.
	pub fn is_eligible(&self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		let alive = self
			.last_seen
			.is_some_and(|seen| now.saturating_sub(seen) <= HEARTBEAT_AGE.into());
		alive && self.is_in_service(params)
	}

	/// Returns whether the provider could execute a job now: eligible, with a free place.
	pub fn is_available(&self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		self.load < self.capacity && self.is_eligible(params, now)
	}

	/// Returns whether a heartbeat is due: without one, a provider that serves a model would soon not be eligible.
	pub(crate) fn is_heartbeat_due(&self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		let due = self
			.last_seen
			.is_none_or(|seen| now.saturating_sub(seen) >= params.heartbeat_interval);
		due && !self.models.is_empty() && self.is_in_service(params)
	}

	/// Returns whether only a heartbeat could be missing.
	fn is_in_service(&self, params: &ProviderParams<BlockNumber>) -> bool {
		self.bond >= params.min_bond
			&& self.key.is_some()
			&& self.ready
			&& !self.is_suspended()
			&& self.jailed_until.is_none()
	}

	/// Returns whether the provider is suspended.
	pub fn is_suspended(&self) -> bool {
		self.suspensions > 0
	}

	/// Returns whether the provider may validate, as far as its bond and the jail are concerned.
	pub(crate) fn may_validate(&self, params: &ProviderParams<BlockNumber>) -> bool {
		self.jailed_until.is_none() && self.seat_weight() >= params.min_bond
	}

	/// Returns whether the provider could make way for another: not suspended, with no job and no work to do.
	pub(crate) fn is_idle(&self, now: u32, params: &ProviderParams<BlockNumber>) -> bool {
		self.load == 0 && !self.is_suspended() && self.backlog.left(now, params.least_speed) == 0
	}

	/// Returns the weight in the choice of validators: the active bond and what faults in inference took of it.
	pub(crate) fn seat_weight(&self) -> Balance {
		self.bond.saturating_add(self.lost_bond)
	}

	/// Adds to the active bond, which first replaces what faults in inference took of it.
	pub(crate) fn add_bond(&mut self, amount: Balance) {
		self.bond = self.bond.saturating_add(amount);
		self.lost_bond = self.lost_bond.saturating_sub(amount);
	}

	/// Starts unbonding a part of the active bond. Returns false, and changes nothing, if too many parts are unbonding.
	pub(crate) fn unlock(&mut self, amount: Balance, at: BlockNumber) -> bool {
		match self.unlocking.last_mut() {
			Some(last) if last.at == at => last.amount = last.amount.saturating_add(amount),
			_ => {
				if self.unlocking.try_push(Chunk { amount, at }).is_err() {
					return false;
				}
			}
		}
		self.bond = self.bond.saturating_sub(amount);
		// From its own decision on, only what it leaves bonded counts.
		self.lost_bond = 0;
		true
	}

	/// Starts unbonding all of the active bond, which its owner did not ask for: if too many parts are unbonding, the last
	/// of them waits as long. Returns the amount.
	pub(crate) fn unlock_all(&mut self, at: BlockNumber) -> Balance {
		let amount = self.bond;
		if amount > 0 && !self.unlock(amount, at) {
			if let Some(last) = self.unlocking.last_mut() {
				last.at = at;
			}
			self.unlock(amount, at);
		}
		amount
	}

	/// Removes what has completed its unbonding period and returns the amount.
	pub(crate) fn withdraw(&mut self, now: BlockNumber) -> Balance {
		let mut out: Balance = 0;
		self.unlocking.retain(|chunk| {
			let waits = chunk.at > now;
			if !waits {
				out = out.saturating_add(chunk.amount);
			}
			waits
		});
		out
	}

	/// Subtracts slashed money: from the active bond first, then from what would be withdrawn last. Returns the part of
	/// the active bond.
	pub(crate) fn slash(&mut self, amount: Balance) -> Balance {
		let mut left = amount;
		let mut take = |from: &mut Balance| {
			let part = left.min(*from);
			*from = from.saturating_sub(part);
			left = left.saturating_sub(part);
			part
		};
		let active = take(&mut self.bond);
		for chunk in self.unlocking.iter_mut().rev() {
			take(&mut chunk.amount);
		}
		self.unlocking.retain(|chunk| !chunk.amount.is_zero());
		active
	}

	/// Jails the provider, or keeps it in jail longer. Returns the first block in which it may leave.
	pub(crate) fn jail(&mut self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> BlockNumber {
		let until = now
			.saturating_add(params.jail_period)
			.max(self.jailed_until.unwrap_or_else(Zero::zero));
		self.jailed_until = Some(until);
		until
	}
}
