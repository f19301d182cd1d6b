//! Money is conserved: random sequences of steps, checked after each against a ledger beside the chain.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step. Jobs and claims are numbered from 0.
#[derive(Clone, Debug)]
enum Step {
	Hold(u8, u64, Balance, Balance),
	Settle(u8, [Balance; 5], [u64; 4]),
	Refund(u8),
	Close(u8),
	Collect(Balance),
	Pay(u64, Balance),
	Distribute(Balance, [(u64, Balance); 2]),
	Object(u8, u64, Balance),
	Spend(u8, [(u64, Balance); 2], bool),
	Return(u8),
}

fn step() -> impl Strategy<Value = Step> {
	let name = || 0u8..4;
	// 1 to 5 are rich, 20 to 22 do not exist, then the treasury and the pool.
	let who = || prop_oneof![4 => 1u64..=5, 2 => 20u64..=22, 1 => Just(TREASURY), 1 => Just(POOL)];
	let amount = || prop_oneof![Just(0u128), 1u128..30, 0u128..60_000];
	let payments = move || prop::array::uniform2((who(), amount()));
	prop_oneof![
		3 => (name(), 1u64..=5, amount(), amount()).prop_map(|(job, who, fee, deposit)| Step::Hold(job, who, fee, deposit)),
		4 => (name(), prop::array::uniform5(amount()), prop::array::uniform4(who()))
			.prop_map(|(job, parts, people)| Step::Settle(job, parts, people)),
		1 => name().prop_map(Step::Refund),
		2 => name().prop_map(Step::Close),
		1 => (0u128..40).prop_map(Step::Collect),
		2 => (who(), amount()).prop_map(|(who, amount)| Step::Pay(who, amount)),
		2 => (0u128..40, payments()).prop_map(|(amount, payments)| Step::Distribute(amount, payments)),
		3 => (name(), 1u64..=5, amount()).prop_map(|(claim, who, bond)| Step::Object(claim, who, bond)),
		2 => (name(), payments(), any::<bool>()).prop_map(|(claim, payments, lost)| Step::Spend(claim, payments, lost)),
		1 => name().prop_map(Step::Return),
	]
}

/// What is held for each job, as payer, fee ceiling and deposit, and for each claim, as objector and bond.
#[derive(Default)]
struct Ledger {
	jobs: BTreeMap<u8, (u64, Balance, Balance)>,
	claims: BTreeMap<u8, (u64, Balance)>,
}

fn execute(ledger: &mut Ledger, step: Step) {
	let id = |job| JobId([job; 32]);
	let claim_id = |claim| ClaimId([claim; 32]);
	match step {
		Step::Hold(job, payer, fee_ceiling, deposit) => {
			if Payments::hold(id(job), &payer, fee_ceiling, deposit).is_ok() {
				let earlier = ledger.jobs.insert(job, (payer, fee_ceiling, deposit));
				assert!(earlier.is_none(), "held twice");
			}
		}
		Step::Settle(job, [executor, seat, royalty, treasury, pool], [e, v, w, o]) => {
			let shares = Shares {
				executor,
				seat,
				seats: 2,
				royalty,
				treasury,
				pool,
				refund: 0,
			};
			let fits = ledger.jobs.get(&job).is_some_and(|(_, fee, _)| shares.total() <= *fee);
			let settled = Payments::settle(&id(job), &shares, &e, &[v, w], &o).is_ok();
			assert_eq!(settled, fits, "settles exactly if it fits");
			if fits {
				ledger.jobs.entry(job).and_modify(|(_, fee, _)| *fee = 0);
			}
		}
		Step::Refund(job) => {
			assert_eq!(Payments::refund(&id(job)).is_ok(), ledger.jobs.contains_key(&job));
			ledger.jobs.entry(job).and_modify(|(_, fee, _)| *fee = 0);
		}
		Step::Close(job) => {
			assert_eq!(Payments::close(&id(job)).is_ok(), ledger.jobs.remove(&job).is_some());
		}
		Step::Collect(amount) => Payments::collect(slashed(amount)),
		Step::Pay(who, amount) => assert!(Payments::pay(&who, amount) <= amount),
		Step::Distribute(amount, payments) => Payments::distribute(slashed(amount), &payments),
		Step::Object(claim, who, bond) => {
			if Payments::hold_objection(&claim_id(claim), &who, bond).is_ok() {
				assert!(ledger.claims.insert(claim, (who, bond)).is_none(), "objected twice");
			}
		}
		Step::Spend(claim, payments, lost) => {
			Payments::spend_objection(&claim_id(claim), &payments, lost);
			ledger.claims.remove(&claim);
		}
		Step::Return(claim) => {
			Payments::return_objection(&claim_id(claim));
			ledger.claims.remove(&claim);
		}
	}
}

fn check(ledger: &Ledger) {
	Payments::do_try_state().expect("a consistent state");
	for who in 1..=5 {
		let of = |pick: fn(&(u64, Balance, Balance)) -> Balance| -> Balance {
			ledger.jobs.values().filter(|(payer, ..)| *payer == who).map(pick).sum()
		};
		assert_eq!(held(who), (of(|r| r.1), of(|r| r.2)), "holds of {who}");
		let bonds = ledger.claims.values().filter(|(objector, _)| *objector == who);
		assert_eq!(bonded(who), bonds.map(|(_, bond)| bond).sum(), "bonds of {who}");
	}
	assert!(free(POOL) >= 10, "the pool lives");
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

	#[test]
	fn no_sequence_of_steps_creates_or_destroys_money(steps in prop::collection::vec(step(), 1..40)) {
		new_test_ext().execute_with(|| {
			let mut ledger = Ledger::default();
			let issuance = Balances::total_issuance();
			for step in steps {
				execute(&mut ledger, step);
				assert_eq!(Balances::total_issuance(), issuance, "issuance");
				let accounts: Balance = frame_system::Account::<Test>::iter()
					.map(|(_, account)| account.data.free + account.data.reserved)
					.sum();
				assert_eq!(accounts, issuance, "every unit is in an account");
				check(&ledger);
			}
			for job in ledger.jobs.keys().copied().collect::<Vec<_>>() {
				execute(&mut ledger, Step::Close(job));
			}
			for claim in ledger.claims.keys().copied().collect::<Vec<_>>() {
				execute(&mut ledger, Step::Return(claim));
			}
			for who in 1..=5 {
				assert_eq!((held(who), bonded(who)), ((0, 0), 0), "nothing stays held");
			}
		});
	}
}
