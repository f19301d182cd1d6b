//! The flood: filling the places and the queues of everybody honest.
//!
//! The cartel requests so many jobs that no honest provider has a free place. It then executes what comes next, because an
//! executor needs a free place. Seats do not: they are drawn from the sealed stake whatever its holders have to do, and
//! their deadlines follow what the chain has given them.

use super::{audits::SPEED, claim, indicator};
use crate::{
	electorate::{Account, Electorate},
	random::{hash, Effort, Mean},
};
use assay_primitives::{
	draw::{draw_distinct, executor_seed},
	rules::{check_work, Backlog, EXECUTOR_CANDIDATES},
	JobId,
};

/// Tokens of each prompt and answer of the flood.
const TOKENS: (u32, u32) = (2_000, 1_000);

/// What a flood achieves.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
	/// The share of the next jobs that the cartel executes.
	pub executes: Mean,
	/// The share of its lies that pass their seats.
	pub passes: Mean,
	/// Honest seats that cannot keep their deadline, of all of the flood, at the least speed.
	pub lapsed: Mean,
}

/// Measures the job after a flood of this many checks in one block, with `k` seats.
pub fn measure(effort: Effort, alpha: f64, k: u32, checks: u32) -> Flood {
	let electorate = Electorate::full(alpha);
	let [executes, passes, lapsed] = effort.measure(&format!("flood {alpha} {k} {checks}"), |rng| {
		// Everybody honest is full: the first candidate of the cartel executes.
		let seed = executor_seed(&[0; 32], &JobId(hash(rng)), 0, &hash(rng));
		let candidates = draw_distinct(&seed, electorate.others.clone(), EXECUTOR_CANDIDATES);
		let executes = candidates.iter().any(|who| electorate.is_corrupt(*who));
		let passes = electorate.honest_seats(&claim(rng), 1, &hash(rng), k) == 0;

		let seats = electorate.seats(&claim(rng), 1, &hash(rng), checks);
		let honest: Vec<Account> = seats.into_iter().filter(|who| !electorate.is_corrupt(*who)).collect();
		let late = late(&honest);
		[
			indicator(executes),
			indicator(passes),
			f64::from(late) / honest.len().max(1) as f64,
		]
	});
	Flood {
		executes,
		passes,
		lapsed,
	}
}

/// Returns how many of these seats are late, each provider doing them in order at exactly the least speed.
fn late(seats: &[Account]) -> u32 {
	let work = check_work(TOKENS.0, TOKENS.1);
	let mut providers: Vec<(Account, Backlog, u64)> = Vec::new();
	let mut late = 0;
	for who in seats {
		let index = providers.iter().position(|(account, ..)| account == who);
		let index = index.unwrap_or_else(|| {
			providers.push((*who, Backlog::default(), 0));
			providers.len() - 1
		});
		let (_, backlog, done) = &mut providers[index];
		let deadline = backlog.add(0, work, SPEED);
		*done += work;
		late += u32::from(done.div_ceil(SPEED.into()) > deadline.into());
	}
	late
}
