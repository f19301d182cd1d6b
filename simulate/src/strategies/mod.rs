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
	random::{hash, Rng},
};
use assay_primitives::{ClaimId, Hash32};

/// A cartel: its share of the model's stake, and its share of block production.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cartel {
	/// The share of stake, α.
	pub alpha: f64,
	/// The share of blocks, x.
	pub blocks: f64,
	/// What it does with its blocks.
	pub policy: Policy,
}

impl Cartel {
	/// Returns a cartel with the same share of stake and of blocks.
	pub fn new(share: f64, policy: Policy) -> Self {
		Self {
			alpha: share,
			blocks: share,
			policy,
		}
	}

	/// Plays for one draw, at no particular time, and returns its beacon. `value` is what a draw is worth to the cartel,
	/// and `mean` what it is worth on average.
	pub fn draw(&self, rng: &mut Rng, mean: f64, value: &dyn Fn(&Hash32) -> f64) -> Hash32 {
		let game = Game {
			policy: self.policy,
			from: 0,
			beacon: hash(rng),
			value,
			mean,
		};
		play(rng, &mut Slots::new(self.blocks), &game)
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
