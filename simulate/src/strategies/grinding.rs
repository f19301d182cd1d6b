//! Grinding: trying names of jobs, or amounts of bonds, until the draw they lead to is good.
//!
//! The cartel reckons the draws of many variants with the newest beacon, and takes the best. But the name of a claim
//! follows from a later beacon, and its seats from one later still; bonds count one period after they were sealed. So what
//! it has chosen is as good as any other. The control draws with the beacon that the cartel knew.

use super::indicator;
use crate::{
	electorate::{Electorate, EXECUTOR},
	random::{hash, Effort, Mean, Rng},
};
use assay_primitives::{claim::Execution, ClaimId, Hash32, JobId, ModelId};

/// What grinding achieves.
#[derive(Clone, Copy, Debug)]
pub struct Grinding {
	/// The share of lies that pass after the best of many names was chosen.
	pub names: Mean,
	/// The share of lies that pass after the best of many bonds was chosen.
	pub bonds: Mean,
	/// The share of lies that would pass if the known beacon decided.
	pub control: Mean,
}

/// Measures lies with `k` seats after this many tries.
pub fn measure(effort: Effort, alpha: f64, k: u32, tries: u32) -> Grinding {
	let electorate = Electorate::full(alpha);
	let [names, bonds, control] = effort.measure(&format!("grinding {alpha} {k} {tries}"), |rng| {
		let known = hash(rng);
		let good = |electorate: &Electorate, claim: &ClaimId, beacon: &Hash32| {
			electorate.honest_seats(claim, 1, beacon, k) == 0
		};
		let jobs: Vec<Hash32> = (0..tries).map(|_| hash(rng)).collect();
		let job = jobs.iter().find(|job| good(&electorate, &name(job, &known), &known));
		let job = *job.unwrap_or(&jobs[0]);
		let claim = name(&job, &hash(rng));
		let by_name = good(&electorate, &claim, &hash(rng));

		let bonds = (0..tries).map(|more| with_bond(&electorate, more));
		let bond = bonds.into_iter().find(|electorate| good(electorate, &claim, &known));
		let by_bond = bond.is_some_and(|electorate| good(&electorate, &later(rng), &hash(rng)));
		[
			indicator(by_name),
			indicator(by_bond),
			indicator(good(&electorate, &name(&job, &known), &known)),
		]
	});
	Grinding { names, bonds, control }
}

/// Returns the claim of a job whose executor this beacon draws.
fn name(job: &Hash32, beacon: &Hash32) -> ClaimId {
	let execution = Execution {
		genesis: [0; 32],
		job: JobId(*job),
		attempt: 0,
		block: 0u32,
		beacon: *beacon,
		executor: &EXECUTOR,
		model: ModelId([0; 32]),
	};
	execution.id().claim()
}

/// Returns a claim that is requested after the bonds were sealed.
fn later(rng: &mut Rng) -> ClaimId {
	ClaimId(hash(rng))
}

/// Returns the electorate after the cartel added this many base units to a bond.
fn with_bond(electorate: &Electorate, more: u32) -> Electorate {
	let mut electorate = electorate.clone();
	if let Some(member) = electorate.others.first_mut() {
		member.stake += u128::from(more);
	}
	electorate
}
