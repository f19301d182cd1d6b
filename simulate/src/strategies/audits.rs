//! The patient liar at the lottery of its audit.
//!
//! A lie whose seats are all the cartel's has one more hurdle: the lottery, 20 blocks after the verdict, may draw an
//! honest auditor. The cartel's seats choose when to vote, within their deadline, so that many slots around the lottery
//! are their own; then it withholds, overrides and forks as it does at the draw of the seats.

use super::{claim, indicator, Cartel};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean, Rng},
};
use assay_primitives::{
	draw::{audit_hits, audit_seed, draw_seats},
	economics::Rates,
	rules::{check_work, work_blocks},
	ClaimId, Hash32,
};
use sp_arithmetic::Permill;

/// The least speed that the deadlines are reckoned with, in units a block.
pub const SPEED: u32 = 300;

/// Returns whether this beacon brings a claim before an honest auditor, if its lottery hits at this rate.
pub fn honest_auditor(electorate: &Electorate, claim: &ClaimId, beacon: &Hash32, rate: Permill) -> bool {
	let seed = audit_seed(claim, beacon);
	let auditor = || draw_seats(&seed, &electorate.others, 1);
	audit_hits(&seed, rate) && auditor().iter().any(|who| !electorate.is_corrupt(*who))
}

/// Plays for the lottery of a claim that the cartel's seats have approved, and returns whether an honest auditor gets it.
pub fn lottery(rng: &mut Rng, electorate: &Electorate, cartel: Cartel, claim: &ClaimId) -> bool {
	let rate = Rates::DEFAULT.audit;
	let spared = |beacon: &_| indicator(!honest_auditor(electorate, claim, beacon, rate));
	let slots = if cartel.patience > 1 {
		work_blocks(0, check_work(128, 256), SPEED) as usize
	} else {
		1
	};
	let mean = 1.0 - f64::from(rate.deconstruct()) / 1e6 * (1.0 - cartel.alpha);
	spared(&cartel.draw(rng, slots, mean, &spared)) == 0.0
}

/// Returns the share of lies that the lottery brings before an honest auditor.
pub fn caught(effort: Effort, cartel: Cartel) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let [caught] = effort.measure(&format!("audits {cartel:?}"), |rng| {
		let claim = claim(rng);
		[indicator(lottery(rng, &electorate, cartel, &claim))]
	});
	caught
}

/// Returns the share of lies that pass an audit that is certain: its auditor is the cartel's.
pub fn passes_certain(effort: Effort, cartel: Cartel) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let [passed] = effort.measure(&format!("certain {cartel:?}"), |rng| {
		let claim = claim(rng);
		let passes = |beacon: &_| indicator(!honest_auditor(&electorate, &claim, beacon, Permill::one()));
		[passes(&cartel.draw(rng, 1, cartel.alpha, &passes))]
	});
	passed
}
