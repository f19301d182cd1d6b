//! Whispering: the executor sends its root to whoever asks.
//!
//! A lazy seat approves with the root it was given and computes nothing. For a false claim it is one of the cartel's, so
//! α has to count it.

use super::{claim, indicator};
use crate::{
	electorate::{Account, Electorate},
	random::{hash, Effort, Mean},
};
use assay_primitives::{draw::total_stake, Balance};

/// Returns the share of all stake that is the cartel's or lazy, and the share of lies that pass `k` seats, when this share
/// of the honest members is lazy.
pub fn passes(effort: Effort, alpha: f64, lazy: f64, k: u32) -> (f64, Mean) {
	let electorate = Electorate::full(alpha);
	let honest: Vec<_> = electorate
		.others
		.iter()
		.filter(|member| !electorate.is_corrupt(member.who))
		.collect();
	let count = (lazy * honest.len() as f64).round() as usize;
	let lazy: Vec<Account> = honest.iter().take(count).map(|member| member.who).collect();
	let approves = |who: Account| electorate.is_corrupt(who) || lazy.contains(&who);
	let stake: Balance = electorate
		.others
		.iter()
		.filter(|member| approves(member.who))
		.map(|member| member.stake)
		.sum();
	let share = stake as f64 / total_stake(&electorate.others) as f64;
	let [passed] = effort.measure(&format!("whisper {alpha} {count} {k}"), |rng| {
		let seats = electorate.seats(&claim(rng), 1, &hash(rng), k);
		[indicator(seats.iter().all(|who| approves(*who)))]
	});
	(share, passed)
}
