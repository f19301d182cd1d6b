//! Money is conserved: random sequences of bonding, unbonding, withdrawing, fines, suspensions and slashes, checked after every step.

use super::*;
use assay_primitives::{economics::Fault, traits::Penalties};
use proptest::prelude::*;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

#[derive(Clone, Debug)]
enum Step {
	Bond(u64, u128),
	BondExtra(u64, u128),
	Unbond(u64, u128),
	UnbondAll(u64),
	Withdraw(u64),
	Serve(u64, u8),
	StopServing(u64, u8),
	Key(u64, u8),
	Engage(u64),
	Release(u64),
	Slash(u64, Fault),
	Fine(u64, Fault, u128),
	Suspend(u64),
	Lift(u64),
	Ready(u64),
	Offence(u64, u32),
	Unjail(u64),
	Evict(u64),
	Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
	let who = || 1u64..5;
	let amount = || prop_oneof![0u128..1_200, 0u128..20_000];
	let fault = prop_oneof![
		Just(Fault::FalseClaim),
		Just(Fault::FalseRejection),
		Just(Fault::FalseApproval),
		Just(Fault::WrongJuror)
	];
	let lapse = prop_oneof![Just(Fault::Lapse), Just(Fault::NoOutput)];
	prop_oneof![
		4 => (who(), amount()).prop_map(|(w, a)| Step::Bond(w, a)),
		2 => (who(), amount()).prop_map(|(w, a)| Step::BondExtra(w, a)),
		4 => (who(), amount()).prop_map(|(w, a)| Step::Unbond(w, a)),
		2 => who().prop_map(Step::UnbondAll),
		3 => who().prop_map(Step::Withdraw),
		2 => (who(), 1u8..5).prop_map(|(w, m)| Step::Serve(w, m)),
		1 => (who(), 1u8..5).prop_map(|(w, m)| Step::StopServing(w, m)),
		1 => (who(), 1u8..4).prop_map(|(w, k)| Step::Key(w, k)),
		1 => who().prop_map(Step::Engage),
		2 => who().prop_map(Step::Release),
		3 => (who(), fault).prop_map(|(w, f)| Step::Slash(w, f)),
		3 => (who(), lapse, amount()).prop_map(|(w, f, a)| Step::Fine(w, f, a)),
		1 => who().prop_map(Step::Suspend),
		2 => who().prop_map(Step::Lift),
		1 => who().prop_map(Step::Ready),
		1 => (who(), 0u32..=100).prop_map(|(w, p)| Step::Offence(w, p)),
		1 => who().prop_map(Step::Unjail),
		1 => who().prop_map(Step::Evict),
		3 => (0u64..60).prop_map(Step::Wait),
	]
}

/// Takes money from a bond.
fn take(who: u64, take: impl FnOnce() -> CreditOf<Test>) {
	let (before, held_before) = (Balances::total_issuance(), held(who));
	let credit = take();
	assert_eq!(Balances::total_issuance(), before, "a slash alone burns nothing");
	assert_eq!(held_before - held(who), bank(credit), "what is taken is handed over");
}

/// Executes one step. It may be refused, and then must change nothing, which `check` verifies.
fn execute(step: Step) {
	let _ = match step {
		Step::Bond(who, amount) => bond(who, amount),
		Step::BondExtra(who, amount) => bond_extra(who, amount),
		Step::Unbond(who, amount) => Providers::unbond(signed(who), amount),
		Step::UnbondAll(who) => {
			let bond = crate::Providers::<Test>::get(who).map_or(0, |record| record.bond);
			Providers::unbond(signed(who), bond)
		}
		Step::Withdraw(who) => Providers::withdraw(signed(who)),
		Step::Serve(who, id) => Providers::serve(signed(who), model(id), Prices::default()),
		Step::StopServing(who, id) => Providers::stop_serving(signed(who), model(id)),
		Step::Key(who, seed) => set_key(who, seed),
		Step::Unjail(who) => Providers::unjail(signed(who)),
		Step::Engage(who) => {
			Providers::engage(&who, 100);
			Ok(())
		}
		Step::Release(who) => {
			Providers::release(&who, 0);
			Ok(())
		}
		Step::Slash(who, fault) => {
			take(who, || Providers::slash(&who, fault));
			Ok(())
		}
		Step::Fine(who, fault, amount) => {
			take(who, || Providers::fine(&who, fault, &model(1), amount));
			Ok(())
		}
		Step::Suspend(who) => {
			Providers::suspend(&who);
			Ok(())
		}
		Step::Lift(who) => {
			Providers::lift(&who);
			Ok(())
		}
		Step::Ready(who) => Providers::ready(signed(who)),
		Step::Offence(who, percent) => {
			let details = OffenceDetails::<u64, _> {
				offender: (who, ()),
				reporters: vec![],
			};
			Providers::on_offence(&[details], &[Perbill::from_percent(percent)], 0);
			Ok(())
		}
		Step::Evict(who) => {
			// Whoever is among the active ones: that it is idle is a matter of choice, not of money.
			if crate::ActiveProviders::<Test>::get().contains(&who) {
				Providers::evict(who, &9);
				Providers::leave_active(&who);
			}
			Ok(())
		}
		Step::Wait(blocks) => {
			run_to(System::block_number() + blocks);
			Ok(())
		}
	};
}

fn check(issuance: u128) {
	assert_eq!(Balances::total_issuance(), issuance);
	let accounts: u128 = frame_system::Account::<Test>::iter()
		.map(|(_, account)| account.data.free + account.data.reserved)
		.sum();
	assert_eq!(accounts, issuance, "every unit is in an account");
	for who in 1..5 {
		let slashable = crate::Providers::<Test>::get(who).map_or(0, |record| record.slashable());
		assert_eq!(held(who), slashable, "the hold of {who} is its slashable bond");
	}
	Providers::do_try_state().expect("a consistent state");
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

	#[test]
	fn no_sequence_of_steps_creates_or_destroys_money(steps in prop::collection::vec(step(), 1..60)) {
		new_test_ext().execute_with(|| {
			let issuance = Balances::total_issuance();
			for step in steps {
				// As in a block: a refused call leaves no trace.
				execute(step);
				check(issuance);
			}
			// Everyone can leave with what is left.
			for who in 1..5 {
				while crate::Providers::<Test>::get(who).is_some_and(|record| record.load > 0) {
					Providers::release(&who, 0);
				}
				while Providers::is_suspended(&who) {
					Providers::lift(&who);
				}
				execute(Step::UnbondAll(who));
			}
			System::set_block_number(System::block_number() + PARAMS.unbonding_period + PARAMS.jail_period);
			for who in 1..5 {
				execute(Step::Withdraw(who));
				execute(Step::UnbondAll(who));
			}
			System::set_block_number(System::block_number() + PARAMS.unbonding_period);
			for who in 1..5 {
				execute(Step::Withdraw(who));
				check(issuance);
				assert_eq!(held(who), 0, "nothing of {who} stays held");
				assert!(!crate::Providers::<Test>::contains_key(who), "{who} has left");
			}
		});
	}
}
