//! Many lies at once, for one bond.
//!
//! The executor lies in all its open claims at the same time: it can lose its bond only once. But one conviction brings
//! all its other claims, confirmed or not, before an auditor for certain.

use super::{
	audits::{honest_auditor, lottery},
	claim, indicator,
	price::convict,
	Cartel,
};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean},
};
use sp_arithmetic::Permill;

/// What many lies at once bring and cost.
#[derive(Clone, Copy, Debug)]
pub struct Many {
	/// Lies that settle.
	pub settled: Mean,
	/// What they cost together, in ASY, if the executor has bonded 10 000.
	pub loss: Mean,
	/// The share of attacks of which some lie settles although another was convicted.
	pub survived: Mean,
}

/// Measures `n` lies at once with `k` seats each, at 10 % honest absence from the jury.
pub fn measure(effort: Effort, cartel: Cartel, k: u32, n: u32) -> Many {
	let electorate = Electorate::full(cartel.alpha);
	let [settled, loss, survived] = effort.measure(&format!("many {cartel:?} {k} {n}"), |rng| {
		let mean = cartel.alpha.powi(k as i32);
		let mut open = Vec::new();
		let mut caught = false;
		for _ in 0..n {
			let claim = claim(rng);
			let passes = |beacon: &_| indicator(electorate.honest_seats(&claim, 1, beacon, k) == 0);
			let passed = passes(&cartel.draw(rng, cartel.patience, mean, &passes)) == 1.0;
			if passed && !lottery(rng, &electorate, cartel, &claim) {
				open.push(claim);
			} else {
				caught = true;
			}
		}
		let loss = if caught { convict(rng, &electorate, 0.1) } else { 0.0 };
		if loss > 0.0 {
			open.retain(|claim| {
				let passes = |beacon: &_| indicator(!honest_auditor(&electorate, claim, beacon, Permill::one()));
				passes(&cartel.draw(rng, 1, cartel.alpha, &passes)) == 1.0
			});
		}
		[open.len() as f64, loss, indicator(loss > 0.0 && !open.is_empty())]
	});
	Many {
		settled,
		loss,
		survived,
	}
}
