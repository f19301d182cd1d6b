//! What a lie costs on average, and so from which value on it pays.

use super::{audits::lottery, claim, indicator, Cartel};
use crate::{
	electorate::{Case, Electorate, ASY, EXECUTOR_BOND},
	random::{Effort, Mean, Rng},
};
use assay_primitives::{
	dispute::Decision,
	economics::{payout, Fault, Rates},
};

/// Honest jurors that are absent, as [`assay_primitives::assurance`] has it.
const ABSENT: f64 = 0.1;

/// What lies bring and cost.
#[derive(Clone, Copy, Debug)]
pub struct Price {
	/// The share of lies that settle.
	pub settled: Mean,
	/// What a lie costs on average, in ASY, if the executor has bonded 10 000.
	pub loss: Mean,
}

impl Price {
	/// Returns the value from which on a lie pays, in ASY; infinite if none settled.
	pub fn threshold(&self) -> f64 {
		self.loss.value() / self.settled.value()
	}

	/// Returns whether lies do not pay below this value, in base units: no more of them settle than that, by more than three
	/// standard errors.
	pub fn is_at_least(&self, deterred: f64) -> bool {
		let value = deterred / ASY as f64;
		value == 0.0 || self.settled.is_within(self.loss.value() / value)
	}
}

/// Returns what a convicted executor loses, in base units, if the one that found it is a friend.
pub fn conviction() -> f64 {
	let rates = Rates::DEFAULT;
	let slash = rates
		.slash(Fault::FalseClaim)
		.unwrap_or_default()
		.mul_floor(EXECUTOR_BOND);
	let paid = payout(slash, 0, 0, rates.bounty, 1);
	(slash - paid.bounty) as f64
}

/// Brings a lie before the jury, and returns what it costs in ASY.
pub fn convict(rng: &mut Rng, electorate: &Electorate, absent: f64) -> f64 {
	let case = Case {
		rejecters: vec![electorate.honest_from],
		absent,
		..Case::default()
	};
	if electorate.dispute(rng, &case) == Some(Decision::Overturned) {
		conviction() / ASY as f64
	} else {
		0.0
	}
}

/// Measures a liar that does not know its `k` seats. Zero seats: one that does, and has but the audit to fear.
pub fn measure(effort: Effort, cartel: Cartel, k: u32) -> Price {
	let electorate = Electorate::full(cartel.alpha);
	let [settled, loss] = effort.measure(&format!("price {cartel:?} {k}"), |rng| {
		let claim = claim(rng);
		let passes = |beacon: &_| indicator(electorate.honest_seats(&claim, 1, beacon, k) == 0);
		let mean = cartel.alpha.powi(k as i32);
		let passed = k == 0 || passes(&cartel.draw(rng, cartel.patience, mean, &passes)) == 1.0;
		let caught = !passed || lottery(rng, &electorate, cartel, &claim);
		if caught {
			[0.0, convict(rng, &electorate, ABSENT)]
		} else {
			[1.0, 0.0]
		}
	});
	Price { settled, loss }
}

/// Returns the share of rejected lies that the jury overturns.
pub fn convictions(effort: Effort, alpha: f64, absent: f64) -> Mean {
	let electorate = Electorate::full(alpha);
	let [convicted] = effort.measure(&format!("convictions {alpha} {absent}"), |rng| {
		[indicator(convict(rng, &electorate, absent) > 0.0)]
	});
	convicted
}
