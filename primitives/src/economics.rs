//! Fees, their shares and restitution, as pure functions. Every amount that enters leaves again, which tests check.

use crate::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// The published rates. One struct, a chain parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rates {
	/// What one verifier adds to the price of a job that nobody checks.
	pub verifier_surcharge: Permill,
	/// The executor's part of a checked job's fee.
	pub executor: Permill,
	/// The executor's part of an unchecked job's fee.
	pub executor_unchecked: Permill,
	/// The part that all verifiers share; the part of one who did not confirm goes back to the requester.
	pub verifiers: Permill,
	/// The largest royalty that a model's owner may set. The treasury takes what the other parts leave.
	pub royalty_max: Permill,
	/// Of its bond: an executor whose output was rejected by a supermajority.
	pub slash_rejected: Permill,
	/// Of its bond: a voter against a supermajority.
	pub slash_dissent: Permill,
	/// Of its bond: a voter that committed and did not reveal.
	pub slash_no_reveal: Permill,
	/// Of its bond: an executor without an output in time.
	pub slash_no_output: Permill,
	/// Of the fee ceiling: what is due to a requester for each attempt that failed by a provider's fault, paid from its
	/// slash.
	pub restitution: Permill,
}

impl Rates {
	/// The rates every Assay chain starts with.
	pub const DEFAULT: Self = Self {
		verifier_surcharge: Permill::from_percent(10),
		executor: Permill::from_percent(60),
		executor_unchecked: Permill::from_percent(95),
		verifiers: Permill::from_percent(30),
		royalty_max: Permill::from_percent(5),
		slash_rejected: Permill::from_percent(20),
		slash_dissent: Permill::from_percent(10),
		slash_no_reveal: Permill::from_percent(2),
		slash_no_output: Permill::from_percent(1),
		restitution: Permill::from_percent(10),
	};
}

/// A fault that costs bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Fault {
	/// The output was rejected by a supermajority.
	#[codec(index = 0)]
	Rejected,
	/// The vote was against a supermajority.
	#[codec(index = 1)]
	Dissent,
	/// Committed, and did not reveal.
	#[codec(index = 2)]
	NoReveal,
	/// No output in time.
	#[codec(index = 3)]
	NoOutput,
}

impl Rates {
	/// Returns the part of its bond that a fault costs a provider.
	pub fn slash(&self, fault: Fault) -> Permill {
		match fault {
			Fault::Rejected => self.slash_rejected,
			Fault::Dissent => self.slash_dissent,
			Fault::NoReveal => self.slash_no_reveal,
			Fault::NoOutput => self.slash_no_output,
		}
	}
}

/// Returns the fee of a job with these token counts, checked by `n − 1` verifiers. Saturates; a saturated fee can't be
/// held.
pub fn fee(rates: &Rates, price_in: Balance, price_out: Balance, tokens_in: u32, tokens_out: u32, n: u32) -> Balance {
	let base = price_in
		.saturating_mul(tokens_in.into())
		.saturating_add(price_out.saturating_mul(tokens_out.into()));
	let surcharge = rates
		.verifier_surcharge
		.mul_floor(base)
		.saturating_mul(n.saturating_sub(1).into());
	base.saturating_add(surcharge)
}

/// A fee, split. The parts and the refund add up to the fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
	/// To the executor.
	pub executor: Balance,
	/// To each confirming verifier.
	pub verifier: Balance,
	/// To the model's owner.
	pub royalty: Balance,
	/// To the treasury: the rest, rounding included.
	pub treasury: Balance,
	/// Back to the requester: the parts of verifiers that did not confirm.
	pub refund: Balance,
}

/// Splits the `fee` of a committee of `n` of whose verifiers `confirming` confirmed.
pub fn split(rates: &Rates, fee: Balance, n: u32, confirming: u32, royalty: Permill) -> Shares {
	let verifiers = n.saturating_sub(1);
	let executor = if verifiers == 0 {
		rates.executor_unchecked
	} else {
		rates.executor
	}
	.mul_floor(fee);
	let left = fee.saturating_sub(executor);
	let pool = if verifiers == 0 {
		0
	} else {
		rates.verifiers.mul_floor(fee).min(left)
	};
	let verifier = pool.checked_div(verifiers.into()).unwrap_or(0);
	let missing = verifiers.saturating_sub(confirming);
	let refund = verifier.saturating_mul(missing.into());
	let left = left.saturating_sub(verifier.saturating_mul(verifiers.into()));
	let royalty = royalty.min(rates.royalty_max).mul_floor(fee).min(left);
	Shares {
		executor,
		verifier,
		royalty,
		treasury: left.saturating_sub(royalty),
		refund,
	}
}

/// Splits slashed money: the requester gets what is due first, the treasury takes the rest.
pub fn restitution(slashed: Balance, due: Balance) -> (Balance, Balance) {
	let requester = slashed.min(due);
	(requester, slashed.saturating_sub(requester))
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const RATES: Rates = Rates::DEFAULT;

	#[test]
	fn the_published_split_of_a_full_committee() {
		let shares = split(&RATES, 1_000, 4, 3, Permill::from_percent(5));
		assert_eq!(
			shares,
			Shares {
				executor: 600,
				verifier: 100,
				royalty: 50,
				treasury: 50,
				refund: 0
			}
		);
	}

	#[test]
	fn an_unchecked_job_pays_its_executor_95_per_cent_and_costs_least() {
		let shares = split(&RATES, 1_000, 1, 0, Permill::from_percent(5));
		assert_eq!(
			shares,
			Shares {
				executor: 950,
				verifier: 0,
				royalty: 50,
				treasury: 0,
				refund: 0
			}
		);
		assert!(fee(&RATES, 1, 2, 100, 100, 1) < fee(&RATES, 1, 2, 100, 100, 4));
	}

	proptest! {
		#[test]
		fn a_split_conserves_the_fee(fee in 0u128..u128::MAX >> 1, f in 0u32..5, absent in 0u32..13, royalty in 0u32..=1_000_000) {
			let n = 3 * f + 1;
			let confirming = (n - 1).saturating_sub(absent);
			let s = split(&RATES, fee, n, confirming, Permill::from_parts(royalty));
			let sum = s.executor + s.verifier * u128::from(confirming) + s.royalty + s.treasury + s.refund;
			prop_assert_eq!(sum, fee);
		}

		#[test]
		fn more_tokens_or_voters_never_cost_less(p in 0u128..1 << 60, q in 0u128..1 << 60, i in 0u32..9000, o in 0u32..2000, f in 0u32..4) {
			let n = 3 * f + 1;
			let here = fee(&RATES, p, q, i, o, n);
			prop_assert!(fee(&RATES, p, q, i + 1, o, n) >= here);
			prop_assert!(fee(&RATES, p, q, i, o + 1, n) >= here);
			prop_assert!(fee(&RATES, p, q, i, o, n + 3) >= here);
		}

		#[test]
		fn restitution_conserves_and_serves_the_requester_first(slashed in any::<u128>(), due in any::<u128>()) {
			let (requester, treasury) = restitution(slashed, due);
			prop_assert_eq!(requester + treasury, slashed);
			prop_assert!(treasury == 0 || requester == due);
		}
	}
}
