//! Offences against the consensus.

use super::*;
use crate::Event;
use frame_support::{assert_noop, assert_ok, weights::Weight};
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

fn report(offenders: &[u64], percent: u32) -> Weight {
	let details: Vec<_> = offenders
		.iter()
		.map(|who| OffenceDetails::<u64, (u64, ())> {
			offender: (*who, ()),
			reporters: vec![],
		})
		.collect();
	let fractions = vec![Perbill::from_percent(percent); offenders.len()];
	Providers::on_offence(&details, &fractions, 7)
}

#[test]
fn an_equivocation_costs_its_fraction_and_leads_to_jail() {
	build_and_execute(|| {
		join(1, 10_000);
		join(2, 10_000);
		assert_ok!(Providers::unbond(signed(1), 4_000));
		let weight = report(&[1], 50);
		assert!(weight.ref_time() > 0);
		System::assert_has_event(
			Event::OffenceSlashed {
				provider: 1,
				fraction: Perbill::from_percent(50),
				amount: 5_000,
			}
			.into(),
		);
		System::assert_has_event(Event::Jailed { provider: 1, until: 31 }.into());
		assert_eq!((record(1).bond, held(1)), (1_000, 5_000));
		assert_eq!(Balances::free_balance(TREASURY), 5_000);
		assert_eq!(chosen(), vec![2]);
		assert_eq!(eligible(), vec![(2, 10_000)]);
	});
}

#[test]
fn a_provider_that_lost_everything_can_only_leave() {
	build_and_execute(|| {
		join(1, 10_000);
		report(&[1], 100);
		assert_eq!((record(1).slashable(), held(1)), (0, 0));
		assert_noop!(Providers::withdraw(signed(1)), crate::Error::<Test>::StillJailed);
		System::set_block_number(31);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(crate::Providers::<Test>::count(), 0);
	});
}

#[test]
fn every_offender_pays_and_accounts_without_a_bond_do_not() {
	build_and_execute(|| {
		join(1, 10_000);
		join(2, 20_000);
		let one = report(&[], 50);
		let three = report(&[1, 2, 8], 50);
		assert_eq!(one, Weight::zero());
		assert!(three.ref_time() > 0);
		assert_eq!((held(1), held(2), held(8)), (5_000, 10_000, 0));
	});
}
