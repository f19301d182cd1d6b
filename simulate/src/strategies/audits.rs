//! The patient liar at the lottery of its audit.
//!
//! A lie whose seats are all the cartel's has one more hurdle: the lottery, 20 blocks after the verdict, may draw an
//! honest auditor. The cartel withholds, overrides and forks at the block of the lottery as it does at that of the seats.

use super::{claim, indicator, Cartel};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean},
};
use assay_primitives::{
	draw::{audit_hits, audit_seed, draw_seats},
	economics::Rates,
	ClaimId, Hash32,
};
use sp_arithmetic::Permill;

/// Returns whether this beacon brings a claim before an honest auditor, if its lottery hits at this rate.
pub fn honest_auditor(electorate: &Electorate, claim: &ClaimId, beacon: &Hash32, rate: Permill) -> bool {
	let seed = audit_seed(claim, beacon);
	let auditor = || draw_seats(&seed, &electorate.others, 1);
	audit_hits(&seed, rate) && auditor().iter().any(|who| !electorate.is_corrupt(*who))
}

/// Returns the share of lies that the lottery brings before an honest auditor.
pub fn caught(effort: Effort, cartel: Cartel) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let rate = Rates::DEFAULT.audit;
	let mean = 1.0 - 0.05 * (1.0 - cartel.alpha);
	let [caught] = effort.measure(&format!("audits {cartel:?}"), |rng| {
		let claim = claim(rng);
		let spared = |beacon: &_| indicator(!honest_auditor(&electorate, &claim, beacon, rate));
		[1.0 - spared(&cartel.draw(rng, mean, &spared))]
	});
	caught
}

/// Returns the share of lies that pass an audit that is certain: its auditor is the cartel's.
pub fn passes_certain(effort: Effort, cartel: Cartel) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let [passed] = effort.measure(&format!("certain {cartel:?}"), |rng| {
		let claim = claim(rng);
		let passes = |beacon: &_| indicator(!honest_auditor(&electorate, &claim, beacon, Permill::one()));
		[passes(&cartel.draw(rng, cartel.alpha, &passes))]
	});
	passed
}
