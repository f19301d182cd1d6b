//! The liar that chooses its time.
//!
//! The cartel knows its own slots ahead. The executor holds its answer back until a time when many slots around the draw
//! are the cartel's, publishes then, and plays for the draw. It does not know the draw when it publishes, but it has more
//! tries than at a time that chance chose.

use super::{claim, indicator, Cartel};
use crate::{
	chain::{play, Game, Slots},
	electorate::Electorate,
	random::{hash, Effort, Mean, Rng},
};
use assay_primitives::rules::DRAW_DELAY;

/// Slots from the one of the draw on that count.
const AHEAD: usize = 4;

/// Returns the share of lies that pass `k` seats if the executor may choose among this many slots.
pub fn passes(effort: Effort, cartel: Cartel, k: u32, slots: usize) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let mean = cartel.alpha.powi(k as i32);
	let label = format!("timing {cartel:?} {k} {slots}");
	let [passed] = effort.measure(&label, |rng| {
		let claim = claim(rng);
		let mut epoch = Slots::new(cartel.blocks);
		let from = best_time(rng, &mut epoch, slots);
		let beacon = hash(rng);
		let passes = |beacon: &_| indicator(electorate.honest_seats(&claim, 1, beacon, k) == 0);
		let game = Game {
			policy: cartel.policy,
			from,
			beacon,
			value: &passes,
			mean,
		};
		[passes(&play(rng, &mut epoch, &game))]
	});
	passed
}

/// Returns the slot before that of the publication for which the cartel has the most blocks in the slot of the draw and
/// right after it: a try each, until an honest author comes in between.
pub fn best_time(rng: &mut Rng, epoch: &mut Slots, slots: usize) -> usize {
	let draw = 1 + DRAW_DELAY as usize;
	let score = |rng: &mut Rng, epoch: &mut Slots, from: usize| {
		let (mut score, mut weight) = (0.0, 1.0);
		for slot in from + draw..from + draw + AHEAD {
			let own = &epoch.get(rng, slot).own;
			let primaries = own.iter().filter(|claim| claim.primary).count() as f64;
			score += weight * (own.len() as f64 + primaries);
			if own.is_empty() {
				weight *= 0.3;
			}
		}
		score
	};
	let scores: Vec<f64> = (0..slots.max(1)).map(|from| score(rng, epoch, from)).collect();
	let best = (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
	best.unwrap_or(0)
}
