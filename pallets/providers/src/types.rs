//! The types of stake, and the changes of a provider's record: unlocking, slashing, jailing, being alive.

use assay_primitives::{crypto::InferenceId, economics::Rates, Balance, ModelId};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_runtime::traits::{AtLeast32BitUnsigned, Zero};

/// The most providers of a chain. Bounds the choice of validators.
pub const MAX_PROVIDERS: u32 = 1_024;
/// The most withdrawals a provider may wait for at once.
pub const MAX_CHUNKS: u32 = 16;
/// The most models one provider may serve.
pub const MAX_MODELS: u32 = 16;
/// The largest capacity: jobs one provider may hold at once.
pub const MAX_CAPACITY: u32 = 32;
/// The most faults that are recorded of one provider.
pub const MAX_FAULTS: u32 = 16;

/// The parameters a chain sets, in one struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderParams<BlockNumber> {
	/// Least active bond of a provider that is drawn or validates.
	pub min_bond: Balance,
	/// Blocks between unbonding and withdrawing; the money stays slashable until then. Must outlast every job (`T_max`)
	/// and the time in which an equivocation may be reported.
	pub unbonding_period: BlockNumber,
	/// Most validators.
	pub max_validators: u32,
	/// Blocks in jail.
	pub jail_period: BlockNumber,
	/// Faults within this many blocks count together.
	pub fault_window: BlockNumber,
	/// Number of faults within the window that jail; 1 to [`MAX_FAULTS`].
	pub faults_to_jail: u32,
	/// Blocks after a message of a provider until a heartbeat is due.
	pub heartbeat_interval: BlockNumber,
	/// Blocks without a message after which a provider is not drawn. More than `heartbeat_interval`.
	pub offline_after: BlockNumber,
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
	/// Active bond: the weight in draws and in the choice of validators.
	pub bond: Balance,
	/// What is unbonding, oldest first.
	pub unlocking: BoundedVec<Chunk<BlockNumber>, ConstU32<MAX_CHUNKS>>,
	/// Jobs it may hold at once, over all its models. Zero: it is not drawn.
	pub capacity: u32,
	/// Jobs it holds now.
	pub load: u32,
	/// The models it serves.
	pub models: BoundedVec<ModelId, ConstU32<MAX_MODELS>>,
	/// The key its node signs votes with.
	pub key: Option<InferenceId>,
	/// Block of its last message; none before the first.
	pub last_seen: Option<BlockNumber>,
	/// First block in which it may leave jail; none outside.
	pub jailed_until: Option<BlockNumber>,
	/// Blocks of its faults that still count, oldest first.
	pub faults: BoundedVec<BlockNumber, ConstU32<MAX_FAULTS>>,
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
	pub models: alloc::vec::Vec<ModelId>,
	/// Jobs it may hold at once.
	pub capacity: u32,
}

impl<BlockNumber: AtLeast32BitUnsigned + Copy> ProviderRecord<BlockNumber> {
	/// Returns a provider that has just bonded: it holds one job at a time and serves nothing yet.
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
			faults: BoundedVec::new(),
		}
	}

	/// Returns all money at stake: the active bond and what is unbonding.
	pub fn slashable(&self) -> Balance {
		self.unlocking
			.iter()
			.fold(self.bond, |sum, chunk| sum.saturating_add(chunk.amount))
	}

	/// Returns whether the provider takes jobs and is allowed to: bonded, keyed, serving, not jailed.
	pub fn is_ready(&self, params: &ProviderParams<BlockNumber>) -> bool {
		self.bond >= params.min_bond
			&& self.key.is_some()
			&& self.jailed_until.is_none()
			&& self.capacity > 0
			&& !self.models.is_empty()
	}

	/// Returns whether the provider could be drawn now: ready, alive, with free capacity.
	pub fn is_available(&self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		let alive = self
			.last_seen
			.is_some_and(|seen| now.saturating_sub(seen) <= params.offline_after);
		alive && self.load < self.capacity && self.is_ready(params)
	}

	/// Returns whether a heartbeat is due.
	pub(crate) fn is_heartbeat_due(&self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		let due = self
			.last_seen
			.is_none_or(|seen| now.saturating_sub(seen) >= params.heartbeat_interval);
		due && self.is_ready(params)
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
		true
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

	/// Subtracts slashed money: from the active bond first, then from what would be withdrawn last.
	pub(crate) fn slash(&mut self, amount: Balance) {
		let mut left = amount;
		let mut take = |from: &mut Balance| {
			let part = left.min(*from);
			*from = from.saturating_sub(part);
			left = left.saturating_sub(part);
		};
		take(&mut self.bond);
		for chunk in self.unlocking.iter_mut().rev() {
			take(&mut chunk.amount);
		}
		self.unlocking.retain(|chunk| !chunk.amount.is_zero());
	}

	/// Records a fault. Returns whether that makes too many within the window.
	pub(crate) fn record_fault(&mut self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> bool {
		self.faults.retain(|at| now.saturating_sub(*at) < params.fault_window);
		if self.faults.is_full() {
			self.faults.remove(0);
		}
		// Cannot fail: the oldest was removed if the list was full.
		let _ = self.faults.try_push(now);
		self.faults.len() >= params.faults_to_jail.clamp(1, MAX_FAULTS) as usize
	}

	/// Jails the provider, or keeps it in jail longer. Returns the first block in which it may leave.
	pub(crate) fn jail(&mut self, params: &ProviderParams<BlockNumber>, now: BlockNumber) -> BlockNumber {
		let until = now
			.saturating_add(params.jail_period)
			.max(self.jailed_until.unwrap_or_else(Zero::zero));
		self.jailed_until = Some(until);
		self.faults = BoundedVec::new();
		until
	}
}
