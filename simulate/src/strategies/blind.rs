//! The blind liar, and the liar that plays for its draw.
//!
//! The executor publishes a false answer as soon as it has one, and hopes that all seats are its friends'. A blind one
//! leaves the draw to chance. A cartel that makes blocks also withholds its own block if the draw in it is bad, overrides
//! an honest secondary block by a primary one after having seen its draw, and builds private chains until the draw is
//! final. A patient one also chooses its time ([`super::timing`]). The lie passes if every seat of the first tranche is the cartel's.

use super::{claim, indicator, Cartel};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean},
};

/// Returns the share of lies that pass `k` seats.
pub fn passes(effort: Effort, cartel: Cartel, k: u32) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let mean = cartel.alpha.powi(k as i32);
	let label = format!("blind {cartel:?} {k}");
	let [passed] = effort.measure(&label, |rng| {
		let claim = claim(rng);
		let passes = |beacon: &_| indicator(electorate.honest_seats(&claim, 1, beacon, k) == 0);
		[passes(&cartel.draw(rng, cartel.patience, mean, &passes))]
	});
	passed
}
