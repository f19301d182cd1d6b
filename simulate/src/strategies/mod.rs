//! What a cartel may try, one module each. Every one says what it does and returns what it measured.

pub mod alone;
pub mod audits;
pub mod blind;
pub mod flood;
pub mod foreknowledge;
pub mod griefing;
pub mod grinding;
pub mod liveness;
pub mod many;
pub mod objections;
pub mod price;
pub mod silence;
pub mod sybils;
pub mod timing;
pub mod veto;
pub mod whisper;

use crate::{
	chain::{play, Game, Policy, Slots},
	random::{hash, Mean, Rng},
};
use assay_primitives::{assurance::DEFAULT_EXECUTION_BLOCKS, ClaimId, Hash32};
use timing::best_time;

/// Slots among which an executor may choose the time of its publication: what
/// [`assay_primitives::assurance::DEFAULT_EXECUTION_BLOCKS`] assumes.
pub const PATIENCE: usize = DEFAULT_EXECUTION_BLOCKS as usize;

/// A cartel: its share of the model's stake, and its share of block production.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cartel {
	/// The share of stake, α.
	pub alpha: f64,
	/// The share of blocks, x.
	pub blocks: f64,
	/// What it does with its blocks.
	pub policy: Policy,
	/// Slots among which its executor chooses the time of its publication.
	pub patience: usize,
}

impl Cartel {
	/// Returns a cartel with the same share of stake and of blocks.
	pub fn new(share: f64, policy: Policy, patience: usize) -> Self {
		Self {
			alpha: share,
			blocks: share,
			policy,
			patience,
		}
	}

	/// Returns a cartel that leaves all draws to chance.
	pub fn blind(share: f64) -> Self {
		Self::new(share, Policy::Honest, 1)
	}

	/// Plays for one draw, at a time that the cartel chooses among this many slots, and returns its beacon. `value` is what
	/// a draw is worth to the cartel, and `mean` what it is worth on average.
	pub fn draw(&self, rng: &mut Rng, slots: usize, mean: f64, value: &dyn Fn(&Hash32) -> f64) -> Hash32 {
		let mut epoch = Slots::new(self.blocks);
		let game = Game {
			policy: self.policy,
			from: best_time(rng, &mut epoch, slots),
			beacon: hash(rng),
			value,
			mean,
		};
		play(rng, &mut epoch, &game)
	}
}

/// Returns the larger mean of the two ways to play for a draw.
pub fn best(measure: impl Fn(Policy) -> Mean) -> Mean {
	let (publish, withhold) = (measure(Policy::Publish), measure(Policy::Withhold));
	if withhold.value() > publish.value() {
		withhold
	} else {
		publish
	}
}

/// Returns the name of a claim nobody could choose.
pub fn claim(rng: &mut Rng) -> ClaimId {
	ClaimId(hash(rng))
}

/// Returns 1 for what happened.
pub fn indicator(happened: bool) -> f64 {
	f64::from(u8::from(happened))
}
