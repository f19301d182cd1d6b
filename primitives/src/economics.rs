//! Fees, their shares, fines and slashes, as pure functions. Every amount that enters leaves again, which tests check.

use crate::Balance;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_arithmetic::Permill;

/// The published rates. One struct, a chain parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rates {
	/// The least fee of an answer.
	pub minimum_fee: Balance,
	/// The least price of checking one token, for each million parameters of the model.
	pub check_price: Balance,
	/// The largest royalty that a model's owner may set.
	pub royalty_max: Permill,
	/// The treasury's part of an execution fee.
	pub treasury: Permill,
	/// What each job pays for audits and juries, of one seat's fee.
	pub levy: Permill,
	/// The probability that a verdict is audited.
	pub audit: Permill,
	/// Of the bond: who executed or approved a claim that was overturned.
	pub slash_claim: Permill,
	/// Of the bond: who rejected a claim that was upheld.
	pub slash_rejection: Permill,
	/// Of the bond: whose approval does not fit the opened root.
	pub slash_approval: Permill,
	/// Of the bond, once a session: a juror against a decision.
	pub slash_juror: Permill,
	/// Of the bond: the most that all fines of one session take.
	pub session_cap: Permill,
	/// Of the slash: what rejecters and the objector of an overturned claim share.
	pub bounty: Permill,
	/// What an objection costs besides its jury.
	pub objection: Balance,
}

impl Rates {
	/// The rates every Assay chain starts with.
	pub const DEFAULT: Self = Self {
		minimum_fee: 1_000_000_000,
		check_price: 10_000,
		royalty_max: Permill::from_percent(5),
		treasury: Permill::from_percent(5),
		levy: Permill::from_percent(8),
		audit: Permill::from_percent(5),
		slash_claim: Permill::from_percent(50),
		slash_rejection: Permill::from_percent(10),
		slash_approval: Permill::from_percent(10),
		slash_juror: Permill::from_percent(1),
		session_cap: Permill::from_percent(1),
		bounty: Permill::from_percent(10),
		objection: 10_000_000_000_000,
	};
}

/// A fault that costs bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Fault {
	/// Executed or approved a claim that the electorate overturned.
	#[codec(index = 0)]
	FalseClaim,
	/// Rejected a claim that the electorate upheld.
	#[codec(index = 1)]
	FalseRejection,
	/// Approved a claim whose opened root does not fit the approval.
	#[codec(index = 2)]
	FalseApproval,
	/// Voted as a juror against the decision.
	#[codec(index = 3)]
	WrongJuror,
	/// Did not vote in time, as a seat, an auditor or a juror, or approved what nobody opened.
	#[codec(index = 4)]
	Lapse,
	/// Published no output in time.
	#[codec(index = 5)]
	NoOutput,
}

impl Rates {
	/// Returns the part of its bond that a fault costs a provider; none for the faults that cost an amount, which
	/// [`Self::session_cap`] bounds.
	pub fn slash(&self, fault: Fault) -> Option<Permill> {
		match fault {
			Fault::FalseClaim => Some(self.slash_claim),
			Fault::FalseRejection => Some(self.slash_rejection),
			Fault::FalseApproval => Some(self.slash_approval),
			Fault::WrongJuror => Some(self.slash_juror),
			Fault::Lapse | Fault::NoOutput => None,
		}
	}

	/// Returns the fee of generating an answer. Saturates; a saturated fee cannot be held.
	pub fn execution_fee(&self, price_in: Balance, price_out: Balance, tokens_in: u32, tokens_out: u32) -> Balance {
		let prompt = price_in.saturating_mul(tokens_in.into());
		let answer = price_out.saturating_mul(tokens_out.into());
		prompt.saturating_add(answer).max(self.minimum_fee)
	}

	/// Returns the fee of checking an answer once: what the tokens cost as a prompt, and never less than the work costs
	/// a provider, which follows from the model's size. Saturates.
	pub fn seat_fee(&self, price_in: Balance, parameters: u64, tokens_in: u32, tokens_out: u32) -> Balance {
		let millions = Balance::from(parameters.div_ceil(1_000_000));
		let price = price_in.max(self.check_price.saturating_mul(millions));
		price.saturating_mul(u128::from(tokens_in).saturating_add(tokens_out.into()))
	}
}

/// What one job costs by its parts: at most, before it is computed, or in the end.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct Bill {
	/// The fee of generating the answer.
	pub execution: Balance,
	/// The fee of each check.
	pub seat: Balance,
	/// What the pool of audits and juries gets.
	pub levy: Balance,
}

impl Bill {
	/// Returns the bill of a job with these token counts.
	pub fn new(
		rates: &Rates,
		(price_in, price_out): (Balance, Balance),
		parameters: u64,
		(tokens_in, tokens_out): (u32, u32),
	) -> Self {
		let seat = rates.seat_fee(price_in, parameters, tokens_in, tokens_out);
		Self {
			execution: rates.execution_fee(price_in, price_out, tokens_in, tokens_out),
			seat,
			levy: rates.levy.mul_ceil(seat),
		}
	}

	/// Returns the whole bill with this many verifiers. Saturates.
	pub fn total(&self, verifiers: u8) -> Balance {
		self.seat
			.saturating_mul(verifiers.into())
			.saturating_add(self.execution)
			.saturating_add(self.levy)
	}

	/// Returns the fine of an executor that published nothing, if this is the bill at most.
	pub fn no_output_fine(&self) -> Balance {
		self.execution.checked_div(4).unwrap_or(0).min(self.seat)
	}
}

/// An escrow, split. The parts add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
	/// To the executor.
	pub executor: Balance,
	/// To each approving seat that the escrow pays.
	pub seat: Balance,
	/// Seats that the escrow pays.
	pub seats: u32,
	/// To the model's owner.
	pub royalty: Balance,
	/// To the treasury.
	pub treasury: Balance,
	/// To the pool of audits and juries.
	pub pool: Balance,
	/// Back to the requester.
	pub refund: Balance,
}

impl Shares {
	/// Returns the sum of all parts.
	pub fn total(&self) -> Balance {
		[
			self.executor,
			self.seat.saturating_mul(self.seats.into()),
			self.royalty,
			self.treasury,
			self.pool,
			self.refund,
		]
		.into_iter()
		.fold(0, Balance::saturating_add)
	}
}

/// Splits the escrow of a settled job: `bill` is what it cost in the end, `approvals` the seats that approved and were
/// opened. The escrow pays at most the `verifiers` that were asked for; seats beyond replaced others, whose fines pay
/// them.
pub fn settle(rates: &Rates, escrow: Balance, bill: &Bill, verifiers: u8, approvals: u32, royalty: Permill) -> Shares {
	let execution = bill.execution.min(escrow);
	let mut left = escrow.saturating_sub(execution);
	let royalty = royalty.min(rates.royalty_max).mul_floor(execution);
	let treasury = rates
		.treasury
		.mul_floor(execution)
		.min(execution.saturating_sub(royalty));
	let pool = bill.levy.min(left);
	left = left.saturating_sub(pool);
	let wanted = approvals.min(verifiers.into());
	let affordable = left
		.checked_div(bill.seat)
		.map_or(wanted, |n| u32::try_from(n).unwrap_or(u32::MAX));
	let seats = wanted.min(affordable);
	Shares {
		executor: execution.saturating_sub(royalty).saturating_sub(treasury),
		seat: bill.seat,
		seats,
		royalty,
		treasury,
		pool,
		refund: left.saturating_sub(bill.seat.saturating_mul(seats.into())),
	}
}

/// Money taken from a bond, split. The parts add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payout {
	/// To each of those who are paid for their work.
	pub fee: Balance,
	/// To each of those who share the bounty.
	pub bounty: Balance,
	/// To the treasury: the rest, rounding included.
	pub treasury: Balance,
}

/// Splits `amount`: `workers` get `fee` each, or equal parts if that is too much; `finders` share the bounty; the
/// treasury gets the rest.
pub fn payout(amount: Balance, fee: Balance, workers: u32, bounty: Permill, finders: u32) -> Payout {
	let each = amount.checked_div(workers.into()).unwrap_or(0).min(fee);
	let left = amount.saturating_sub(each.saturating_mul(workers.into()));
	let share = bounty
		.mul_floor(amount)
		.min(left)
		.checked_div(finders.into())
		.unwrap_or(0);
	Payout {
		fee: each,
		bounty: share,
		treasury: left.saturating_sub(share.saturating_mul(finders.into())),
	}
}

/// Returns what an objection holds: a check by each juror, and more.
pub fn objection_bond(rates: &Rates, jurors: u32, seat_fee: Balance) -> Balance {
	seat_fee.saturating_mul(jurors.into()).saturating_add(rates.objection)
}

/// The fines of a provider in one session.
#[derive(
	Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SessionFines {
	/// The session, counted in sessions' lengths from block 0.
	pub session: u32,
	/// What it was fined.
	pub amount: Balance,
	/// How often it lapsed.
	pub lapses: u8,
	/// Whether it was slashed as a juror.
	pub juror: bool,
}

impl SessionFines {
	/// Returns the part of a fine that may still be taken in this session from a bond.
	pub fn allowed(&self, session: u32, fine: Balance, bond: Balance, cap: Permill) -> Balance {
		let taken = if self.session == session { self.amount } else { 0 };
		fine.min(cap.mul_floor(bond).saturating_sub(taken))
	}

	/// Returns the record of this session, which is empty if the last one was of another.
	pub fn of(self, session: u32) -> Self {
		if self.session == session {
			self
		} else {
			Self {
				session,
				..Self::default()
			}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	const RATES: Rates = Rates::DEFAULT;
	const BILL: Bill = Bill {
		execution: 1_000,
		seat: 100,
		levy: 8,
	};

	#[test]
	fn a_confirmed_job_pays_the_published_parts() {
		let shares = settle(&RATES, 1_500, &BILL, 2, 2, Permill::from_percent(5));
		let expected = Shares {
			executor: 900,
			seat: 100,
			seats: 2,
			royalty: 50,
			treasury: 50,
			pool: 8,
			refund: 292,
		};
		assert_eq!(shares, expected);
	}

	#[test]
	fn unfilled_seats_go_back_to_the_requester() {
		let shares = settle(&RATES, BILL.total(2), &BILL, 2, 1, Permill::zero());
		assert_eq!((shares.seats, shares.refund, shares.executor), (1, 100, 950));
	}

	#[test]
	fn seats_beyond_those_asked_for_are_not_paid_from_the_escrow() {
		let shares = settle(&RATES, BILL.total(2), &BILL, 2, 5, Permill::zero());
		assert_eq!((shares.seats, shares.refund), (2, 0));
	}

	#[test]
	fn an_unchecked_job_pays_its_levy() {
		let shares = settle(&RATES, BILL.total(0), &BILL, 0, 0, Permill::zero());
		assert_eq!((shares.seats, shares.pool, shares.refund), (0, 8, 0));
	}

	#[test]
	fn a_price_of_zero_still_pays_for_checks() {
		let bill = Bill::new(&RATES, (0, 0), 1_100_000_000, (100, 100));
		assert_eq!(bill.seat, 200 * 1_100 * RATES.check_price);
		assert_eq!(bill.execution, RATES.minimum_fee);
		assert!(bill.no_output_fine() > 0);
	}

	proptest! {
		#[test]
		fn a_settlement_conserves_the_escrow(
			escrow in any::<u64>(), execution in any::<u64>(), seat in any::<u64>(), levy in any::<u64>(),
			k in 0u8..=8, approvals in 0u32..=32, royalty in 0u32..=1_000_000,
		) {
			let bill = Bill { execution: execution.into(), seat: seat.into(), levy: levy.into() };
			let shares = settle(&RATES, escrow.into(), &bill, k, approvals, Permill::from_parts(royalty));
			prop_assert_eq!(shares.total(), u128::from(escrow));
			prop_assert!(shares.seats <= k.into() && shares.seats <= approvals);
		}

		#[test]
		fn a_job_never_costs_more_than_its_ceiling(
			p in 0u128..1 << 60, q in 0u128..1 << 60, parameters in 0u64..1 << 40,
			i in 0u32..9000, o in 0u32..2000, used_i in 0u32..9000, used_o in 0u32..2000, k in 0u8..=8,
		) {
			let ceiling = Bill::new(&RATES, (p, q), parameters, (i, o));
			let bill = Bill::new(&RATES, (p, q), parameters, (used_i.min(i), used_o.min(o)));
			prop_assert!(bill.total(k) <= ceiling.total(k));
			let shares = settle(&RATES, ceiling.total(k), &bill, k, k.into(), Permill::from_percent(5));
			prop_assert_eq!(shares.seats, u32::from(k));
			prop_assert_eq!(shares.executor + shares.royalty + shares.treasury, bill.execution);
			prop_assert_eq!(shares.refund, ceiling.total(k) - bill.total(k));
		}

		#[test]
		fn a_payout_conserves_the_amount(amount in any::<u64>(), fee in any::<u64>(), workers in 0u32..100, finders in 0u32..40) {
			let paid = payout(amount.into(), fee.into(), workers, RATES.bounty, finders);
			let sum = paid.fee * u128::from(workers) + paid.bounty * u128::from(finders) + paid.treasury;
			prop_assert_eq!(sum, u128::from(amount));
			prop_assert!(paid.fee <= fee.into());
			prop_assert!(paid.bounty * u128::from(finders) <= RATES.bounty.mul_ceil(u128::from(amount)));
		}

		#[test]
		fn fines_of_a_session_stay_below_the_cap(bond in any::<u64>(), fines in prop::collection::vec(any::<u64>(), 0..20)) {
			let mut record = SessionFines::default();
			for fine in fines {
				record.amount += record.allowed(0, fine.into(), bond.into(), RATES.session_cap);
			}
			prop_assert!(record.amount <= RATES.session_cap.mul_floor(u128::from(bond)));
		}

		#[test]
		fn a_check_is_paid_what_it_costs_at_any_price(price in any::<u32>(), parameters in any::<u32>(), i in any::<u16>(), o in any::<u16>()) {
			let fee = RATES.seat_fee(price.into(), parameters.into(), i.into(), o.into());
			let tokens = u128::from(i) + u128::from(o);
			let millions = u128::from(parameters.div_ceil(1_000_000));
			prop_assert!(fee >= tokens * u128::from(price) && fee >= tokens * millions * RATES.check_price);
			prop_assert!(RATES.seat_fee(0, parameters.into(), i.into(), o.into()) <= fee);
		}

		#[test]
		fn fines_and_objections_have_their_bounds(execution in any::<u64>(), seat in any::<u64>(), jurors in 0u32..=64) {
			let bill = Bill { execution: execution.into(), seat: seat.into(), levy: 0 };
			prop_assert!(bill.no_output_fine() <= bill.seat && bill.no_output_fine() <= bill.execution / 4);
			let bond = objection_bond(&RATES, jurors, seat.into());
			// Whoever loses the dispute can pay all its jurors in full.
			prop_assert_eq!(payout(bond, seat.into(), jurors, Permill::zero(), 0).treasury, RATES.objection);
		}

		#[test]
		fn a_new_session_forgets_the_fines_of_the_last(amount in any::<u32>(), fine in any::<u64>(), bond in any::<u64>(), session in 0u32..9) {
			let record = SessionFines { session: 3, amount: amount.into(), lapses: 4, juror: true };
			let (fine, bond) = (u128::from(fine), u128::from(bond));
			let now = record.of(session);
			prop_assert_eq!(now.session, session);
			prop_assert_eq!(now == record, session == 3);
			prop_assert_eq!(
				record.allowed(session, fine, bond, RATES.session_cap),
				now.allowed(session, fine, bond, RATES.session_cap)
			);
		}
	}
}
