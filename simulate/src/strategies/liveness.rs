//! Nobody cheats, and some are absent: how many tranches a claim needs, and how many claims stay unverified.

use super::{claim, indicator};
use crate::{
	electorate::{Account, Electorate},
	random::{hash, Effort, Mean, Rng},
};
use assay_primitives::rules::replacements;
use rand::Rng as _;

/// How the seats of one claim voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
	/// Tranches drawn.
	pub tranches: u8,
	/// Seats of all tranches.
	pub seats: u32,
	/// Seats that lapsed.
	pub lapsed: u32,
	/// Whether every live seat approved in the end.
	pub confirmed: bool,
}

impl Course {
	/// Returns the seats that approved.
	pub fn approvals(&self) -> u32 {
		self.seats - self.lapsed
	}
}

/// Draws tranches until every live seat has approved, or none is left. `silent` members never vote, all others approve.
pub fn vote(rng: &mut Rng, electorate: &Electorate, k: u32, silent: &dyn Fn(Account) -> bool) -> Course {
	let claim = claim(rng);
	let mut course = Course {
		tranches: 1,
		seats: k,
		lapsed: 0,
		confirmed: false,
	};
	let mut new = k;
	loop {
		let drawn = electorate.seats(&claim, course.tranches, &hash(rng), new);
		let lapsed = drawn.iter().filter(|who| silent(**who)).count() as u32;
		course.lapsed += lapsed;
		course.confirmed = lapsed == 0;
		match replacements(course.tranches, course.seats, lapsed) {
			Some(next) if lapsed > 0 => {
				new = next;
				course.seats += next;
				course.tranches += 1;
			}
			_ => return course,
		}
	}
}

/// What honest absence does to claims.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
	/// The share that needs at least 2, 3 and 4 tranches.
	pub tranches: [Mean; 3],
	/// The share that stays unverified.
	pub unverified: Mean,
	/// Seats of a claim.
	pub seats: Mean,
}

/// Measures claims of which each member is absent with a probability.
pub fn measure(effort: Effort, k: u32, absent: f64) -> Liveness {
	let electorate = Electorate::new(0.0, 0, 63);
	let [second, third, fourth, unverified, seats] = effort.measure(&format!("liveness {k} {absent}"), |rng| {
		let offline: Vec<Account> = electorate
			.others
			.iter()
			.filter(|_| rng.gen_bool(absent))
			.map(|member| member.who)
			.collect();
		let course = vote(rng, &electorate, k, &|who| offline.contains(&who));
		let at_least = |n| indicator(course.tranches >= n);
		[
			at_least(2),
			at_least(3),
			at_least(4),
			indicator(!course.confirmed),
			f64::from(course.seats),
		]
	});
	Liveness {
		tranches: [second, third, fourth],
		unverified,
		seats,
	}
}
