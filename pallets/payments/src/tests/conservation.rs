//! Money is conserved: random sequences of steps, checked after each against a ledger beside the chain.

use super::*;
use frame_support::traits::Get;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Step {
	Hold {
		job: u8,
		payer: u64,
		fee_ceiling: Balance,
		deposit: Balance,
	},
	Settle {
		job: u8,
		parts: [Balance; 4],
		people: [u64; 4],
	},
	Refund {
		job: u8,
	},
	Restitute {
		job: u8,
		slashed: Balance,
		due: Balance,
	},
	Close {
		job: u8,
	},
}

fn step() -> impl Strategy<Value = Step> {
	let job = || 0u8..4;
	// 1 to 5 are rich, 20 to 22 do not exist, 99 is the treasury.
	let who = || prop_oneof![4 => 1u64..=5, 2 => 20u64..=22, 1 => Just(TREASURY)];
	let amount = || prop_oneof![Just(0u128), 1u128..30, 0u128..60_000];
	prop_oneof![
		3 => (job(), 1u64..=5, amount(), amount())
			.prop_map(|(job, payer, fee_ceiling, deposit)| Step::Hold { job, payer, fee_ceiling, deposit }),
		4 => (job(), prop::array::uniform4(amount()), prop::array::uniform4(who()))
			.prop_map(|(job, parts, people)| Step::Settle { job, parts, people }),
		1 => job().prop_map(|job| Step::Refund { job }),
		2 => (job(), 0u128..40, amount()).prop_map(|(job, slashed, due)| Step::Restitute { job, slashed, due }),
		2 => job().prop_map(|job| Step::Close { job }),
	]
}

/// What is held for each job: payer, fee ceiling, deposit.
type Ledger = BTreeMap<u8, (u64, Balance, Balance)>;

fn execute(ledger: &mut Ledger, step: Step) {
	let id = |job| JobId([job; 32]);
	match step {
		Step::Hold {
			job,
			payer,
			fee_ceiling,
			deposit,
		} => {
			if Payments::hold(id(job), &payer, fee_ceiling, deposit).is_ok() {
				assert!(
					ledger.insert(job, (payer, fee_ceiling, deposit)).is_none(),
					"held twice"
				);
			}
		}
		Step::Settle {
			job,
			parts: [executor, verifier, royalty, treasury],
			people: [e, v, w, o],
		} => {
			let shares = Shares {
				executor,
				verifier,
				royalty,
				treasury,
				refund: 0,
			};
			let total = executor + 2 * verifier + royalty + treasury;
			let fits = ledger.get(&job).is_some_and(|(_, fee, _)| total <= *fee);
			assert_eq!(
				Payments::settle(&id(job), &shares, &e, &[v, w], &o).is_ok(),
				fits,
				"settles exactly if it fits"
			);
			if fits {
				ledger.entry(job).and_modify(|(_, fee, _)| *fee = 0);
			}
		}
		Step::Refund { job } => {
			assert_eq!(Payments::refund(&id(job)).is_ok(), ledger.contains_key(&job));
			ledger.entry(job).and_modify(|(_, fee, _)| *fee = 0);
		}
		Step::Restitute {
			job,
			slashed: amount,
			due,
		} => {
			// Without a payer the treasury is alone, and must be able to receive.
			if ledger.contains_key(&job) || amount >= <Test as pallet_balances::Config>::ExistentialDeposit::get() {
				let got = Payments::restitute(&id(job), slashed(amount), due);
				assert!(got <= amount);
				assert!(
					got >= amount.min(due) || !ledger.contains_key(&job),
					"the payer comes first"
				);
			}
		}
		Step::Close { job } => {
			assert_eq!(Payments::close(&id(job)).is_ok(), ledger.remove(&job).is_some());
		}
	}
}

fn check(ledger: &Ledger) {
	Payments::do_try_state().expect("a consistent state");
	for who in 1..=5 {
		let of = |pick: fn(&(u64, Balance, Balance)) -> Balance| -> Balance {
			ledger.values().filter(|(payer, ..)| *payer == who).map(pick).sum()
		};
		assert_eq!(held(who), (of(|r| r.1), of(|r| r.2)), "holds of {who}");
	}
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

	#[test]
	fn no_sequence_of_steps_creates_or_destroys_money(steps in prop::collection::vec(step(), 1..40)) {
		new_test_ext().execute_with(|| {
			let mut ledger = Ledger::new();
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
			for job in ledger.keys().copied().collect::<Vec<_>>() {
				execute(&mut ledger, Step::Close { job });
			}
			for who in 1..=5 {
				assert_eq!(held(who), (0, 0), "nothing stays held");
			}
		});
	}
}
