//! Serving a model alone: all its seats are the cartel's.
//!
//! Anybody may register a model and be its only providers. All lies pass. What protects a reader is that the receipt
//! states the electorate's stake: a small part of the chain's may be corrupt as a whole.

use super::{claim, indicator};
use crate::{
	electorate::Electorate,
	random::{hash, Effort, Mean},
};
use assay_primitives::{
	assurance::{assure, Assumptions, Assurance, Corrupt, Evidence},
	receipt::ElectorateSummary,
	Balance,
};

/// Returns the share of lies that pass `k` seats, all of which are the cartel's.
pub fn passes(effort: Effort, k: u32) -> Mean {
	let electorate = Electorate::new(1.0, 63, 0);
	let [passed] = effort.measure(&format!("alone {k}"), |rng| {
		[indicator(electorate.honest_seats(&claim(rng), 1, &hash(rng), k) == 0)]
	});
	passed
}

/// Returns what a receipt of a model with this share of the chain's stake is worth to a reader who takes a tenth of the
/// chain's stake for corrupt.
pub fn claimed(k: u8, share: f64) -> Assurance {
	let stake: Balance = 1_000_000_000;
	let electorate = ElectorateSummary {
		members: 63,
		stake,
		largest: stake / 63,
		executor: stake / 63,
		chain: (stake as f64 / share) as Balance,
	};
	let evidence = Evidence {
		verifiers: k,
		tranches: 1,
		checked: true,
		settled: true,
		audited: false,
		electorate,
		slashable: stake / 63,
		open_claims: 0,
	};
	let assumptions = Assumptions {
		corrupt: Corrupt::OfChain(0.1),
		..Assumptions::default()
	};
	assure(&evidence, &assumptions)
}
