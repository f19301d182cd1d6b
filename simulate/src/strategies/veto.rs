//! The veto: the cartel's seats stay silent, so that its requester keeps its money and the answer.
//!
//! Each silent seat brings two new ones, which may be silent too. If no tranche is left the claim is unverified; its
//! executor is paid all the same, and the silent seats are fined. All the requester saves are the fees of checks that
//! nobody made.

use super::{indicator, liveness::vote};
use crate::{
	electorate::Electorate,
	random::{Effort, Mean},
};
use assay_primitives::economics::{settle, Bill, Rates};
use sp_arithmetic::Permill;

/// What a veto achieves.
#[derive(Clone, Copy, Debug)]
pub struct Veto {
	/// The share of claims that stay unverified.
	pub unverified: Mean,
	/// What the executor is paid, of what it would be paid.
	pub executor: Mean,
	/// What the requester saves, in seat fees.
	pub saved: Mean,
	/// What the silent seats are fined, in seat fees.
	pub fined: Mean,
}

/// Measures claims whose seats of the cartel are silent. The fines are those before the cap of a session.
pub fn measure(effort: Effort, alpha: f64, k: u8) -> Veto {
	let electorate = Electorate::full(alpha);
	let bill = Bill::new(&Rates::DEFAULT, (1_000, 4_000), 1_100_000_000, (128, 256));
	let escrow = bill.total(k);
	let full = settle(&Rates::DEFAULT, escrow, &bill, k, k.into(), Permill::zero());
	let [unverified, executor, saved, fined] = effort.measure(&format!("veto {alpha} {k}"), |rng| {
		let course = vote(rng, &electorate, k.into(), &|who| electorate.is_corrupt(who));
		let shares = settle(&Rates::DEFAULT, escrow, &bill, k, course.approvals(), Permill::zero());
		assert_eq!(shares.total(), escrow, "every unit of the escrow goes somewhere");
		[
			indicator(!course.confirmed),
			shares.executor as f64 / full.executor as f64,
			shares.refund as f64 / bill.seat as f64,
			f64::from(course.lapsed),
		]
	});
	Veto {
		unverified,
		executor,
		saved,
		fined,
	}
}
