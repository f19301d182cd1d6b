//! Choosing the time of a draw.
//!
//! The cartel knows its own slots ahead. The executor holds its answer back, or a seat its vote, until a time when many slots around the draw
//! are the cartel's, and plays for the draw then. It does not know the draw when it publishes, but it has more
//! tries than at a time that chance chose.

use crate::{chain::Slots, random::Rng};
use assay_primitives::rules::DRAW_DELAY;

/// Slots from the one of the draw on that count.
const AHEAD: usize = 4;

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
