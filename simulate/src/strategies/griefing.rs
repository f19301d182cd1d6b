//! False rejections, to hurt an honest executor.
//!
//! The cartel rejects true claims whenever it gets a seat. The jury upholds the claim, and the rejecter pays. If the jury
//! is too small to decide, the claim is void: the executor has worked for nothing, and nobody is slashed.

use super::{claim, indicator};
use crate::{
	electorate::{Case, Electorate},
	random::{hash, Effort, Mean},
};
use assay_primitives::{
	dispute::Decision,
	economics::{Fault, Rates},
};

/// What false rejections achieve.
#[derive(Clone, Copy, Debug)]
pub struct Griefing {
	/// The share of claims with a seat of the cartel.
	pub sits: Mean,
	/// The share of true claims that are overturned.
	pub overturned: Mean,
	/// The share of true claims that become void.
	pub void: Mean,
	/// What the cartel loses on average for each claim, in bonds of the account that rejects.
	pub cost: Mean,
}

/// Measures true claims with `k` seats, at this honest absence from the jury.
pub fn measure(effort: Effort, alpha: f64, k: u32, absent: f64) -> Griefing {
	let electorate = Electorate::full(alpha);
	let slash = Rates::DEFAULT.slash(Fault::FalseRejection).unwrap_or_default();
	let slash = f64::from(slash.deconstruct()) / 1_000_000.0;
	let [sits, overturned, void, cost] = effort.measure(&format!("griefing {alpha} {k} {absent}"), |rng| {
		let seats = electorate.seats(&claim(rng), 1, &hash(rng), k);
		let (own, honest): (Vec<_>, Vec<_>) = seats.into_iter().partition(|who| electorate.is_corrupt(*who));
		if own.is_empty() {
			return [0.0; 4];
		}
		let case = Case {
			truth: true,
			executor: Some(electorate.honest_from),
			approvers: honest,
			rejecters: own,
			absent,
		};
		let decision = electorate.dispute(rng, &case);
		[
			1.0,
			indicator(decision == Some(Decision::Overturned)),
			indicator(decision.is_none()),
			if decision == Some(Decision::Upheld) { slash } else { 0.0 },
		]
	});
	Griefing {
		sits,
		overturned,
		void,
		cost,
	}
}
