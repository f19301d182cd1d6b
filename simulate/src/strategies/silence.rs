//! The liar that silences honest seats.
//!
//! Seats are public once they are drawn. The cartel takes every honest one off the network until it lapses, and hopes
//! that those that replace it are its own; it also plays for the draw of every tranche.

use super::{claim, indicator, Cartel};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean, Rng},
};
use assay_primitives::{
	economics::{Rates, SessionFines},
	rules::replacements,
	Balance,
};

/// Returns the share of lies that pass within this many tranches, if every honest seat is silenced.
pub fn passes(effort: Effort, cartel: Cartel, k: u32, most: u8) -> Mean {
	let electorate = Electorate::full(cartel.alpha);
	let label = format!("silence {cartel:?} {k} {most}");
	let [passed] = effort.measure(&label, |rng| [indicator(lie(rng, &electorate, cartel, k, most))]);
	passed
}

/// Returns the chance that a seat and all that come of it are the cartel's, within this many tranches.
fn dies_out(alpha: f64, tranches: u8) -> f64 {
	(1..tranches).fold(alpha, |each, _| alpha + (1.0 - alpha) * each * each)
}

fn lie(rng: &mut Rng, electorate: &Electorate, cartel: Cartel, k: u32, most: u8) -> bool {
	let claim = claim(rng);
	let (mut seats, mut new) = (k, k);
	for tranche in 1..=most {
		let left = most - tranche;
		// What a draw is worth: the chance that all that replace its honest seats die out.
		let replaced = |honest| replacements(tranche, seats, honest).filter(|_| left > 0);
		let worth = |honest: u32| match replaced(honest) {
			_ if honest == 0 => 1.0,
			Some(next) => dies_out(cartel.alpha, left).powi(next as i32),
			None => 0.0,
		};
		let mean = dies_out(cartel.alpha, left + 1).powi(new as i32);
		// It chooses the time of its publication; that of a lapse follows from the draw.
		let slots = if tranche == 1 { cartel.patience } else { 1 };
		let honest = |beacon: &_| electorate.honest_seats(&claim, tranche, beacon, new);
		let drawn = honest(&cartel.draw(rng, slots, mean, &|beacon| worth(honest(beacon))));
		match replaced(drawn) {
			_ if drawn == 0 => return true,
			Some(next) => {
				seats += next;
				new = next;
			}
			None => return false,
		}
	}
	false
}

/// Returns what an honest provider loses that is kept off the network for a whole session and lapses this many times, as a
/// part of its bond, if each seat's fee is a thousandth of it.
pub fn fines(lapses: u32) -> f64 {
	let bond: Balance = 10_000_000;
	let mut record = SessionFines::default();
	for _ in 0..lapses {
		record.amount += record.allowed(0, bond / 1_000, bond, Rates::DEFAULT.session_cap);
	}
	record.amount as f64 / bond as f64
}
