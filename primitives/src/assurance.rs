//! What a receipt is worth: the chance that a false answer passes, and the value that deters a lie.
//!
//! One pure function of what a receipt states and of what its reader assumes. It decides nothing on chain, so it may use
//! floating-point numbers.

use crate::{
	receipt::{Audit, ElectorateSummary, Receipt, Verdict},
	rules::DRAW_DELAY,
	state::State,
	Balance,
};

/// The probability of an audit: that of [`crate::economics::Rates::DEFAULT`].
const AUDIT_RATE: f64 = 0.05;
/// The part of a slashed bond that a liar really loses: half of it is taken, and a tenth of that may come back as a
/// bounty to a friend.
const EFFECTIVE_SLASH: f64 = 0.45;
/// Honest members that are assumed to be absent from a jury.
const ABSENT: f64 = 0.1;
/// Blocks that an executor has to wait for a slot that suits it, unless told otherwise.
pub const DEFAULT_EXECUTION_BLOCKS: u32 = 40;
/// The share that is assumed corrupt, unless told otherwise.
pub const DEFAULT_ALPHA: f64 = 0.2;

/// Whose stake is assumed to be corrupt or lazy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Corrupt {
	/// This share of the model's electorate.
	OfModel(f64),
	/// This share of all providers' stake, all of it in this model.
	OfChain(f64),
}

/// What the reader assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumptions {
	/// The corrupt stake.
	pub corrupt: Corrupt,
	/// The share of blocks that the same cartel makes; none: as large as its share of stake.
	pub blocks: Option<f64>,
	/// Blocks that an executor could wait for a slot of its own.
	pub execution_blocks: u32,
}

impl Default for Assumptions {
	fn default() -> Self {
		Self {
			corrupt: Corrupt::OfModel(DEFAULT_ALPHA),
			blocks: None,
			execution_blocks: DEFAULT_EXECUTION_BLOCKS,
		}
	}
}

/// What the assurance of a claim depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
	/// The seats that are to approve, or have approved.
	pub verifiers: u8,
	/// The tranches that were used.
	pub tranches: u8,
	/// Whether the seats' quorum has been reached, or is what a quote promises.
	pub checked: bool,
	/// Whether the claim is settled: an audit nobody could foresee had its chance.
	pub settled: bool,
	/// Whether an audit that was certain approved.
	pub audited: bool,
	/// The electorate.
	pub electorate: ElectorateSummary,
	/// What the executor could lose.
	pub slashable: Balance,
	/// Other unsettled claims that the same bond stands for.
	pub open_claims: u32,
}

/// What a claim is worth under some assumptions. Amounts are in base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assurance {
	/// The corrupt share of the model's electorate, α.
	pub alpha: f64,
	/// The chance that a false claim would have passed the seats, ε; 1 if nothing is claimed.
	pub epsilon: f64,
	/// The chance that an audit nobody could foresee hits an honest seat, a; 0 before the settlement.
	pub audit: f64,
	/// What a liar would lose, S.
	pub at_stake: f64,
	/// A lie of an executor that cannot know its verifiers pays only above this value, D.
	pub deterred: f64,
	/// A lie of an executor that waits for blocks of its own pays only above this value, D₀.
	pub deterred_patient: f64,
	/// The share of its jobs in which an executor could wait like that, f.
	pub foreknowledge: f64,
	/// Whether a jury could convict the executor.
	pub jury: bool,
}

/// Returns the assurance of a claim.
pub fn assure(evidence: &Evidence, assumptions: &Assumptions) -> Assurance {
	let alpha = alpha(&evidence.electorate, assumptions.corrupt);
	let x = assumptions.blocks.unwrap_or(alpha).clamp(0.0, 1.0);
	let jury = can_convict(alpha) && !crate::dispute::no_jury(evidence.electorate.executor, evidence.electorate.stake);
	let nothing = alpha >= 1.0 / 3.0;
	let checked = evidence.checked && evidence.verifiers > 0 && !nothing;
	let mut epsilon = if checked {
		passes(
			alpha,
			x,
			evidence.verifiers,
			evidence.tranches,
			assumptions.execution_blocks,
		)
	} else {
		1.0
	};
	if evidence.audited && !nothing {
		epsilon *= passes(alpha, x, 1, 1, 1);
	}
	let audit = if evidence.settled && !nothing {
		audited(alpha, x)
	} else {
		0.0
	};
	// One bond stands for all claims that are open at once. A conviction brings the others before an auditor for certain,
	// so of many lies only those settle whose auditor is corrupt too.
	let open = f64::from(evidence.open_claims) + 1.0;
	let claims = if evidence.settled {
		(open * passes(alpha, x, 1, 1, 1)).max(1.0)
	} else {
		open
	};
	let at_stake = if jury {
		EFFECTIVE_SLASH * evidence.slashable as f64 / claims
	} else {
		0.0
	};
	Assurance {
		alpha,
		epsilon,
		audit,
		at_stake,
		deterred: at_stake * (1.0 / epsilon - 1.0),
		deterred_patient: at_stake * audit / (1.0 - audit),
		foreknowledge: if checked {
			foreknowledge(alpha, x, evidence.verifiers, assumptions.execution_blocks)
		} else {
			1.0
		},
		jury,
	}
}

/// Returns the corrupt share of a model's electorate.
fn alpha(electorate: &ElectorateSummary, corrupt: Corrupt) -> f64 {
	let alpha = match corrupt {
		Corrupt::OfModel(alpha) => alpha,
		Corrupt::OfChain(beta) => beta * electorate.chain as f64 / electorate.stake as f64,
	};
	// A share of nothing is no number.
	if alpha.is_nan() {
		1.0
	} else {
		alpha.clamp(0.0, 1.0)
	}
}

/// Returns whether honest members, of whom some are absent, are more than twice as heavy as the corrupt ones.
fn can_convict(alpha: f64) -> bool {
	alpha < (1.0 - ABSENT) / (3.0 - ABSENT)
}

/// Returns the chance that all seats of a claim are corrupt: α^k with one tranche and without block authors in the cartel;
/// more if honest seats can be silenced and replaced; more by what block authors do at the draw, above all if the executor
/// may choose its time among several blocks. An upper bound of what `make simulate` measures.
pub fn passes(alpha: f64, x: f64, verifiers: u8, tranches: u8, execution_blocks: u32) -> f64 {
	let mut each = alpha;
	for _ in 1..tranches.max(1) {
		each = alpha + (1.0 - alpha) * each * each;
	}
	(power(each, verifiers.into()) * tries(x, execution_blocks)).min(1.0)
}

/// Returns how many draws a cartel that makes a share `x` of all blocks has to choose from. Withheld blocks and private
/// forks give it 1/(1 − 2.4x); two and a half times as many if the executor can wait until many slots around the draw are
/// the cartel's.
fn tries(x: f64, execution_blocks: u32) -> f64 {
	let forks = 1.0 - 2.4 * x;
	if forks <= 0.0 {
		return f64::INFINITY;
	}
	// With very few blocks there is little to wait for.
	let patience = if execution_blocks > 1 {
		1.5 * (40.0 * x).min(1.0)
	} else {
		0.0
	};
	(1.0 + patience) / forks
}

/// Returns the chance that the lottery of an audit hits an honest seat although the cartel chooses the time of its votes,
/// withholds blocks and builds forks. A lower bound of what `make simulate` measures.
fn audited(alpha: f64, x: f64) -> f64 {
	AUDIT_RATE * (1.0 - alpha) * power(1.0 - x, 8)
}

/// Returns the share of jobs in which an executor that waits for blocks of its own finds a draw that it knows and likes.
/// Blocks of its own need not follow each other: private forks bring 18 times as many chances as consecutive slots would,
/// which is an upper bound of what `make simulate` measures for [`DRAW_DELAY`].
pub fn foreknowledge(alpha: f64, x: f64, verifiers: u8, execution_blocks: u32) -> f64 {
	let one = 18.0 * power(x, DRAW_DELAY + 1) * power(alpha, verifiers.into());
	1.0 - power(1.0 - one.min(1.0), execution_blocks)
}

fn power(base: f64, exponent: u32) -> f64 {
	(0..exponent).fold(1.0, |product, _| product * base)
}

impl Evidence {
	/// Returns what a receipt states; none if it has no claim.
	pub fn of<AccountId, BlockNumber>(receipt: &Receipt<AccountId, BlockNumber>) -> Option<Self> {
		let claim = receipt.claim.as_ref()?;
		let certain = matches!(receipt.verdict, Verdict::Unverified);
		let approvals = claim.approvals().count();
		let holds = !matches!(receipt.state, State::Overturned | State::Refunded | State::Disputed);
		Some(Self {
			verifiers: if receipt.verdict == Verdict::Confirmed {
				// Replaced seats brought more approvals than were asked for; silenced ones are in the tranches.
				claim.verifiers.min(u8::try_from(approvals).unwrap_or(u8::MAX))
			} else {
				0
			},
			tranches: u8::try_from(claim.tranches.len()).unwrap_or(u8::MAX),
			checked: receipt.verdict == Verdict::Confirmed && holds,
			settled: receipt.state == State::Settled,
			audited: claim.audit == Audit::Approved && certain && holds,
			electorate: claim.electorate,
			slashable: claim.slashable,
			open_claims: claim.open_claims,
		})
	}
}

impl Evidence {
	/// Returns what a quote promises for this many verifiers, all of whom vote in time.
	pub fn of_quote(quote: &crate::api::Quote, verifiers: u8) -> Self {
		Self {
			verifiers,
			tranches: 1,
			checked: verifiers > 0,
			settled: true,
			audited: false,
			electorate: ElectorateSummary {
				executor: quote.median_stake,
				..quote.electorate
			},
			slashable: quote.median_stake,
			open_claims: 0,
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const ASY: f64 = 1e12;

	fn evidence() -> Evidence {
		let asy = 1_000_000_000_000;
		Evidence {
			verifiers: 2,
			tranches: 1,
			checked: true,
			settled: true,
			audited: false,
			electorate: ElectorateSummary {
				members: 20,
				stake: 200_000 * asy,
				largest: 10_000 * asy,
				executor: 10_000 * asy,
				chain: 200_000 * asy,
			},
			slashable: 10_000 * asy,
			open_claims: 3,
		}
	}

	fn at(alpha: f64) -> Assumptions {
		Assumptions {
			corrupt: Corrupt::OfModel(alpha),
			..Assumptions::default()
		}
	}

	#[test]
	fn the_published_figures() {
		for (alpha, epsilon, deterred, patient, foreknown) in [
			(0.1, 0.033, 132_000.0, 88.8, 0.007_2),
			(0.2, 0.192, 18_900.0, 30.4, 0.206),
			(0.3, 0.804, 1_100.0, 9.1, 0.833),
		] {
			let alone = Evidence {
				open_claims: 0,
				..evidence()
			};
			let got = assure(&alone, &at(alpha));
			let near = |value: f64, published: f64| (value / published - 1.0).abs() < 0.05;
			assert!(near(got.epsilon, epsilon), "ε {got:?}");
			assert!(near(got.deterred_patient / ASY, patient), "D₀ {got:?}");
			assert!(near(got.foreknowledge, foreknown), "f {got:?}");
			assert!(near(got.deterred / ASY, deterred), "D {got:?}");
		}
	}

	#[test]
	fn nothing_is_claimed_at_a_third_or_without_verifiers() {
		for nothing in [
			assure(&evidence(), &at(1.0 / 3.0)),
			assure(
				&Evidence {
					verifiers: 0,
					..evidence()
				},
				&at(0.1),
			),
			assure(
				&Evidence {
					checked: false,
					..evidence()
				},
				&at(0.1),
			),
		] {
			assert_eq!((nothing.epsilon, nothing.deterred), (1.0, 0.0), "{nothing:?}");
		}
	}

	#[test]
	fn a_models_own_people_claim_nothing_of_the_chain() {
		let mut small = evidence();
		small.electorate.chain = 100 * small.electorate.stake;
		let assumptions = Assumptions {
			corrupt: Corrupt::OfChain(0.1),
			..Assumptions::default()
		};
		assert_eq!(assure(&small, &assumptions).alpha, 1.0);
		assert_eq!(assure(&small, &assumptions).epsilon, 1.0);
	}

	#[test]
	fn without_a_jury_nothing_is_at_stake() {
		let mut whale = evidence();
		whale.electorate.executor = whale.electorate.stake / 3 + 1;
		let got = assure(&whale, &at(0.1));
		assert!(!got.jury && got.at_stake == 0.0 && got.deterred == 0.0);
		assert!(got.epsilon < 0.04, "the seats checked it all the same");
	}

	#[test]
	fn before_the_settlement_one_bond_stands_for_all_open_claims() {
		let open = Evidence {
			settled: false,
			..evidence()
		};
		let (open, settled) = (assure(&open, &at(0.1)), assure(&evidence(), &at(0.1)));
		assert!((settled.at_stake / open.at_stake - 4.0).abs() < 1e-9);
		assert_eq!((open.audit, open.deterred_patient), (0.0, 0.0));
	}

	#[test]
	fn many_settled_claims_of_one_bond_share_it() {
		let with = |open_claims| {
			let evidence = Evidence {
				open_claims,
				..evidence()
			};
			assure(&evidence, &at(0.1)).at_stake
		};
		assert_eq!(with(0), with(6), "few lies do not survive a conviction");
		assert!(with(31) < with(0) / 4.0);
	}

	#[test]
	fn an_executor_without_a_choice_of_time_has_fewer_tries() {
		let (now, later) = (passes(0.1, 0.1, 2, 1, 1), passes(0.1, 0.1, 2, 1, 40));
		assert!((now - 0.01 / 0.76).abs() < 1e-9 && (later / now - 2.5).abs() < 1e-9);
		assert!(
			(passes(0.1, 0.0, 2, 1, 40) - 0.01).abs() < 1e-12,
			"nobody plays without blocks"
		);
	}

	proptest! {
		#[test]
		fn more_verifiers_never_make_it_worse(alpha in 0.0f64..0.33, k in 1u8..8, tranches in 1u8..=4) {
			let with = |verifiers| assure(&Evidence { verifiers, tranches, ..evidence() }, &at(alpha));
			prop_assert!(with(k + 1).epsilon <= with(k).epsilon);
			prop_assert!(with(k + 1).deterred >= with(k).deterred);
		}

		#[test]
		fn more_corruption_or_silence_never_makes_it_better(alpha in 0.01f64..0.6, more in 0.0f64..0.3, k in 0u8..8, tranches in 1u8..4) {
			let with = |alpha, tranches| assure(&Evidence { verifiers: k, tranches, ..evidence() }, &at(alpha));
			prop_assert!(with(alpha + more, tranches).epsilon >= with(alpha, tranches).epsilon);
			prop_assert!(with(alpha, tranches + 1).epsilon >= with(alpha, tranches).epsilon);
		}

		#[test]
		fn more_blocks_or_more_time_never_make_it_better(
			alpha in 0.0f64..0.33, x in 0.0f64..0.5, more in 0.0f64..0.3, k in 1u8..8, blocks in 1u32..80, later in 0u32..80,
		) {
			let with = |x, execution_blocks| {
				let assumptions = Assumptions { corrupt: Corrupt::OfModel(alpha), blocks: Some(x), execution_blocks };
				assure(&Evidence { verifiers: k, ..evidence() }, &assumptions)
			};
			for worse in [with(x + more, blocks), with(x, blocks + later)] {
				let base = with(x, blocks);
				prop_assert!(worse.epsilon >= base.epsilon && worse.foreknowledge >= base.foreknowledge);
				prop_assert!(worse.audit <= base.audit && worse.deterred <= base.deterred);
				prop_assert!(worse.deterred_patient <= base.deterred_patient);
			}
		}

		#[test]
		fn more_open_claims_never_make_it_better(alpha in 0.0f64..0.33, open in 0u32..64, more in 0u32..64, settled in any::<bool>()) {
			let with = |open_claims| assure(&Evidence { open_claims, settled, ..evidence() }, &at(alpha));
			prop_assert!(with(open + more).at_stake <= with(open).at_stake);
		}

		#[test]
		fn every_figure_is_a_number(alpha in any::<f64>(), blocks in any::<f64>(), k in any::<u8>(), tranches in any::<u8>()) {
			let assumptions = Assumptions { corrupt: Corrupt::OfChain(alpha), blocks: Some(blocks), execution_blocks: 40 };
			let got = assure(&Evidence { verifiers: k, tranches, ..evidence() }, &assumptions);
			prop_assert!((0.0..=1.0).contains(&got.alpha) && (0.0..=1.0).contains(&got.epsilon));
		}
	}
}
