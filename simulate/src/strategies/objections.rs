//! Objections to true claims, for the sake of a refund.
//!
//! The requester objects and hopes that too few jurors vote. An undecided dispute that an objection opened leaves the
//! verdict as it is, and the objector pays the jurors.

use super::indicator;
use crate::{
	electorate::{Case, Electorate},
	random::{Effort, Mean},
};
use assay_primitives::{
	dispute::Decision,
	economics::{objection_bond, payout, Rates},
};
use sp_arithmetic::Permill;

/// What objections achieve.
#[derive(Clone, Copy, Debug)]
pub struct Objections {
	/// The share that overturns the claim, and brings a refund.
	pub overturned: Mean,
	/// The share that stays undecided.
	pub undecided: Mean,
	/// What an objection costs its maker, of its bond.
	pub cost: Mean,
}

/// Measures objections, at this share of corrupt jurors, who side with the objector, and this honest absence.
pub fn measure(effort: Effort, alpha: f64, absent: f64) -> Objections {
	let electorate = Electorate::full(alpha);
	let rates = Rates::DEFAULT;
	let seat = rates.seat_fee(1_000, 1_100_000_000, 128, 256);
	let jurors = electorate.others.len() as u32;
	let bond = objection_bond(&rates, jurors, seat);
	let [overturned, undecided, cost] = effort.measure(&format!("objections {alpha} {absent}"), |rng| {
		let case = Case {
			truth: true,
			executor: Some(electorate.honest_from),
			absent,
			..Case::default()
		};
		let decision = electorate.dispute(rng, &case);
		let cost = match decision {
			Some(Decision::Overturned) => 0,
			Some(Decision::Upheld) => bond,
			// At least half of the jurors' fees: those of a quorum's worth of heads.
			None => bond - payout(bond, seat, jurors / 2, Permill::zero(), 0).treasury,
		};
		[
			indicator(decision == Some(Decision::Overturned)),
			indicator(decision.is_none()),
			cost as f64 / bond as f64,
		]
	});
	Objections {
		overturned,
		undecided,
		cost,
	}
}
