//! An electorate with a cartel in it, and what becomes of a claim that goes before its jury.

use crate::random::Rng;
use assay_primitives::{
	dispute::{tally, Decision, Say},
	draw::{draw_seats, seats_seed, total_stake, Member},
	vote::{Defect, JuryVote},
	Balance, BoundRoot, ClaimId, Hash32,
};
use rand::Rng as _;

/// An account, by number.
pub type Account = u32;

/// Base units of one ASY.
pub const ASY: Balance = 1_000_000_000_000;
/// The bond of the cartel's executor, the least there is.
pub const EXECUTOR_BOND: Balance = 10_000 * ASY;
/// The account of the cartel's executor.
pub const EXECUTOR: Account = 0;
/// What all members together have bonded, without that executor.
const STAKE: Balance = 100_000_000 * ASY;

/// A sealed electorate: the first accounts belong to the cartel.
#[derive(Clone, Debug)]
pub struct Electorate {
	/// All members but the cartel's executor: seats are drawn from them.
	pub others: Vec<Member<Account>>,
	/// The first account that is honest.
	pub honest_from: Account,
}

impl Electorate {
	/// Returns an electorate of which a cartel holds this share, in `own` accounts, beside `honest` ones with bonds from
	/// one to four parts.
	pub fn new(alpha: f64, own: u32, honest: u32) -> Self {
		let parts = |stake: Balance, weights: Vec<Balance>, first: Account| -> Vec<Member<Account>> {
			let sum: Balance = weights.iter().sum();
			let members = weights.into_iter().zip(first..);
			members
				.map(|(weight, who)| Member {
					who,
					stake: stake / sum * weight,
				})
				.collect()
		};
		let corrupt = (STAKE as f64 * alpha) as Balance;
		let mut others = if alpha > 0.0 {
			parts(corrupt, vec![1; own as usize], 1)
		} else {
			Vec::new()
		};
		let honest = (0..honest).map(|index| Balance::from(index % 4) + 1).collect();
		others.extend(parts(STAKE - corrupt, honest, own + 1));
		Self {
			others,
			honest_from: own + 1,
		}
	}

	/// Returns an electorate as large as one can be, with as many accounts of the cartel as suits its share.
	pub fn full(alpha: f64) -> Self {
		let own = ((alpha * 60.0).round() as u32).max(2);
		Self::new(alpha, own, 63 - own)
	}

	/// Returns whether an account belongs to the cartel.
	pub fn is_corrupt(&self, who: Account) -> bool {
		who < self.honest_from
	}

	/// Returns the seats of a tranche.
	pub fn seats(&self, claim: &ClaimId, tranche: u8, beacon: &Hash32, n: u32) -> Vec<Account> {
		draw_seats(&seats_seed(claim, tranche, beacon), &self.others, n)
	}

	/// Returns how many seats of a tranche honest members get.
	pub fn honest_seats(&self, claim: &ClaimId, tranche: u8, beacon: &Hash32, n: u32) -> u32 {
		let seats = self.seats(claim, tranche, beacon, n);
		seats.iter().filter(|who| !self.is_corrupt(**who)).count() as u32
	}

	/// Returns the stake of everybody.
	pub fn stake(&self) -> Balance {
		total_stake(&self.others) + EXECUTOR_BOND
	}

	/// Decides a dispute. The members of the cartel say what suits it; honest ones recompute, and each of them is absent
	/// with this probability, for both rounds. Accounts in `rejecters` rejected before; all of the cartel that has not, and
	/// the executor if it is the cartel's, speaks for or against the claim as `cartel_approves` has it.
	pub fn dispute(&self, rng: &mut Rng, case: &Case) -> Option<Decision> {
		let root = BoundRoot([1; 32]);
		let approve = Say::Juror(JuryVote::Approve { root });
		let reject = Say::Juror(JuryVote::Reject {
			defect: Defect::Output(0),
			root,
		});
		let executor = match case.executor {
			Some(who) => who,
			None => EXECUTOR,
		};
		let mut says = vec![(EXECUTOR_BOND, EXECUTOR)];
		says.extend(self.others.iter().map(|member| (member.stake, member.who)));
		let says: Vec<_> = says
			.into_iter()
			.filter_map(|(stake, who)| {
				let say = if who == executor || case.approvers.contains(&who) {
					Say::ForClaim
				} else if case.rejecters.contains(&who) {
					Say::AgainstClaim
				} else if self.is_corrupt(who) {
					if case.truth {
						reject
					} else {
						approve
					}
				} else if rng.gen_bool(case.absent) {
					return None;
				} else if case.truth {
					approve
				} else {
					reject
				};
				Some((stake, say))
			})
			.collect();
		tally(&says).decision(self.stake())
	}
}

/// A dispute as it is opened. The members of the cartel that have not voted say the untruth.
#[derive(Clone, Debug, Default)]
pub struct Case {
	/// Whether the claim is true.
	pub truth: bool,
	/// Who executed it; none for the cartel's executor.
	pub executor: Option<Account>,
	/// Who approved it.
	pub approvers: Vec<Account>,
	/// Who rejected it, or objected to it.
	pub rejecters: Vec<Account>,
	/// The chance that an honest juror is absent.
	pub absent: f64,
}

#[cfg(test)]
mod tests {
	use super::*;
	use rand::SeedableRng;

	#[test]
	fn the_cartel_has_its_share_of_stake_and_of_seats() {
		for alpha in [0.05, 0.1, 0.2, 0.3] {
			let electorate = Electorate::full(alpha);
			let own = electorate
				.others
				.iter()
				.filter(|member| electorate.is_corrupt(member.who));
			let stake: Balance = own.map(|member| member.stake).sum();
			let share = stake as f64 / total_stake(&electorate.others) as f64;
			assert!((share - alpha).abs() < 1e-9, "{share}");
			assert_eq!(electorate.others.len(), 63);
		}
	}

	#[test]
	fn a_small_cartel_is_convicted_and_one_that_is_half_is_not() {
		let mut rng = Rng::seed_from_u64(1);
		let mut case = |alpha| {
			let electorate = Electorate::full(alpha);
			let rejecters = vec![electorate.honest_from];
			electorate.dispute(
				&mut rng,
				&Case {
					rejecters,
					..Case::default()
				},
			)
		};
		assert_eq!(case(0.2), Some(Decision::Overturned));
		assert_eq!(case(0.5), None);
		assert_eq!(case(0.8), Some(Decision::Upheld));
	}
}
