//! Sybils: the same stake in one account or in many.
//!
//! Seats are drawn by stake and with replacement, and a jury weighs stake, so the number of accounts changes neither.

use super::{claim, indicator, price::convict};
use crate::{
	electorate::Electorate,
	random::{hash, Effort, Mean},
};

/// Returns the share of lies that pass `k` seats, and the share of rejected ones that are convicted at 10 % honest
/// absence, when the cartel splits its stake into this many accounts.
pub fn measure(effort: Effort, alpha: f64, k: u32, accounts: u32) -> (Mean, Mean) {
	let electorate = Electorate::new(alpha, accounts, 32);
	let [passed, convicted] = effort.measure(&format!("sybils {alpha} {k} {accounts}"), |rng| {
		let honest = electorate.honest_seats(&claim(rng), 1, &hash(rng), k);
		[indicator(honest == 0), indicator(convict(rng, &electorate, 0.1) > 0.0)]
	});
	(passed, convicted)
}
