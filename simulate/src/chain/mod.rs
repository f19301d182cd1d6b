//! Block production: BABE's slots, and what a cartel of block authors can do to one draw.
//!
//! Validators are many and small. In each slot, some of them are primary authors, none or several, and one is the
//! secondary author. A validator knows its own VRF outputs for the whole epoch, and nobody else's. Honest authors build
//! on the best block that is known and publish at once. The best chain is the one with the most primary blocks, then the
//! longest. A block is final as soon as [`FINALITY`] blocks stand on it.

mod game;

pub use game::{play, Game, Policy};

use crate::random::{hash, Rng};
use assay_primitives::Hash32;
use rand::Rng as _;

/// The chance that a slot has a primary author.
const PRIMARY: f64 = 0.25;
/// Blocks on a block that make it final. GRANDPA's voters stay two blocks behind the best one, and a round of votes takes
/// about one more.
pub const FINALITY: u32 = 3;

/// A right to make a block in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
	/// Whether it is a primary one.
	pub primary: bool,
	/// The author's VRF output.
	pub vrf: Hash32,
}

/// Who may make a block in a slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot {
	/// The cartel's claims. It knows them ahead.
	pub own: Vec<Claim>,
	/// The honest claim whose block wins among the honest ones. The cartel learns of it when the block is published.
	pub honest: Option<Claim>,
}

impl Slot {
	/// Draws the authors of a slot when the cartel has a share `x` of all validators.
	pub fn draw(rng: &mut Rng, x: f64) -> Self {
		let mut slot = Self::default();
		// The number of a party's primary authors has Poisson's distribution; a third one of the cartel changes nothing.
		let none = |share: f64| (1.0 - PRIMARY).powf(share);
		let mean = -(1.0 - PRIMARY).ln() * x;
		let ticket: f64 = rng.gen();
		let primaries = u32::from(ticket > none(x)) + u32::from(ticket > none(x) * (1.0 + mean));
		let mut claim = |primary| Claim {
			primary,
			vrf: hash(rng),
		};
		slot.own.extend((0..primaries).map(|_| claim(true)));
		if rng.gen::<f64>() > none(1.0 - x) {
			slot.honest = Some(Claim {
				primary: true,
				vrf: hash(rng),
			});
		}
		let secondary = Claim {
			primary: false,
			vrf: hash(rng),
		};
		if rng.gen_bool(x) {
			slot.own.push(secondary);
		} else if slot.honest.is_none() {
			slot.honest = Some(secondary);
		}
		slot
	}
}

/// The slots of an epoch from some time on, drawn when they are needed.
#[derive(Clone, Debug)]
pub struct Slots {
	x: f64,
	drawn: Vec<Slot>,
}

impl Slots {
	/// Returns slots of which none is drawn.
	pub fn new(x: f64) -> Self {
		Self { x, drawn: Vec::new() }
	}

	/// Returns a slot.
	pub fn get(&mut self, rng: &mut Rng, slot: usize) -> &Slot {
		while self.drawn.len() <= slot {
			self.drawn.push(Slot::draw(rng, self.x));
		}
		&self.drawn[slot]
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use rand::SeedableRng;

	#[test]
	fn a_quarter_of_the_slots_have_a_primary_author_and_each_has_some_author() {
		let mut rng = Rng::seed_from_u64(1);
		let (mut primary, mut own) = (0, 0);
		for _ in 0..40_000 {
			let slot = Slot::draw(&mut rng, 0.2);
			let claims = || slot.own.iter().chain(slot.honest.iter());
			assert!(claims().count() > 0);
			primary += u32::from(claims().any(|claim| claim.primary));
			own += u32::from(slot.own.iter().any(|claim| claim.primary));
		}
		assert!((9_700..10_300).contains(&primary), "{primary} of 40000");
		// 1 − 0.75^0.2.
		assert!((2_100..2_360).contains(&own), "{own} of 40000");
	}
}
