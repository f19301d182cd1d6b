//! The choice of validators.

use super::*;
use assay_primitives::{economics::Fault, traits::Penalties};
use frame_support::assert_ok;
use pallet_session::{historical, SessionManager};
use proptest::prelude::*;
use sp_runtime::Perbill;
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

#[test]
fn the_largest_bonds_validate_and_equal_bonds_by_account() {
	build_and_execute(|| {
		for (who, bond) in [(5, 2_000), (3, 2_000), (4, 3_000), (2, 1_999)] {
			assert_ok!(Providers::bond(signed(who), bond));
		}
		assert_eq!(chosen(), vec![4, 3, 5]);
		assert_ok!(Providers::bond_extra(signed(2), 2));
		assert_eq!(chosen(), vec![4, 2, 3]);
	});
}

#[test]
fn a_validator_has_session_keys_and_enough_bond_and_is_not_jailed() {
	build_and_execute(|| {
		for who in [1, 2, 3, 9] {
			assert_ok!(Providers::bond(signed(who), 5_000));
		}
		assert_ok!(Providers::unbond(signed(1), 5_000));
		crate::Providers::<Test>::mutate(2, |record| record.as_mut().unwrap().jailed_until = Some(9));
		assert_eq!(chosen(), vec![3]);
	});
}

#[test]
fn a_chain_without_able_providers_keeps_its_validators() {
	build_and_execute(|| {
		assert_eq!(<Providers as SessionManager<u64>>::new_session(1), None);
		assert_eq!(<Providers as historical::SessionManager<u64, ()>>::new_session(1), None);
		assert_ok!(Providers::bond(signed(1), 5_000));
		assert_eq!(
			<Providers as SessionManager<u64>>::new_session(2),
			None,
			"it was never seen"
		);
		Providers::note_sign_of_life(&1);
		assert_eq!(<Providers as SessionManager<u64>>::new_session(2), Some(vec![1]));
		assert_eq!(
			<Providers as historical::SessionManager<u64, ()>>::new_session(2),
			Some(vec![(1, ())])
		);
	});
}

#[test]
fn choosing_validators_is_counted_in_the_block_weight() {
	build_and_execute(|| {
		let before = System::block_weight().total();
		let _ = <Providers as SessionManager<u64>>::new_session(1);
		assert!(System::block_weight().total().ref_time() > before.ref_time());
	});
}

#[test]
fn what_faults_took_counts_until_the_provider_unbonds() {
	build_and_execute(|| {
		for (who, bond) in [(1, 10_000), (2, 9_000), (3, 8_000), (4, 7_000)] {
			assert_ok!(Providers::bond(signed(who), bond));
		}
		bank(Providers::slash(&1, Fault::FalseClaim));
		assert_eq!((record(1).bond, chosen()), (5_000, vec![1, 2, 3]));
		assert_ok!(Providers::unbond(signed(1), 1));
		assert_eq!(chosen(), vec![2, 3, 4]);
	});
}

#[test]
fn an_added_bond_replaces_what_faults_took() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 10_000));
		assert_ok!(Providers::bond(signed(2), 11_000));
		bank(Providers::slash(&1, Fault::FalseClaim));
		assert_ok!(Providers::bond_extra(signed(1), 5_000));
		assert_eq!(chosen(), vec![2, 1], "it weighs no more than it bonded");
		assert_ok!(Providers::bond_extra(signed(1), 1_001));
		assert_eq!(chosen(), vec![1, 2]);
	});
}

#[test]
fn after_an_offence_only_what_is_left_counts() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 1_500));
		bank(Providers::slash(&1, Fault::FalseClaim));
		assert_eq!(chosen(), vec![1]);
		let details = OffenceDetails::<u64, _> {
			offender: (1, ()),
			reporters: vec![],
		};
		Providers::on_offence(&[details], &[Perbill::zero()], 0);
		System::set_block_number(31);
		assert_ok!(Providers::unjail(signed(1)));
		assert!(chosen().is_empty());
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

	#[test]
	fn no_fault_in_inference_changes_the_validators(
		bonds in prop::collection::vec(1_000u128..100_000, 5),
		faults in prop::collection::vec((1u64..=5, 0u8..8, 0u64..100), 1..80),
	) {
		new_test_ext().execute_with(|| {
			for (who, bond) in (1..).zip(bonds) {
				Providers::bond(signed(who), bond).unwrap();
			}
			let before = chosen();
			for (who, fault, blocks) in faults {
				let _taken = match fault {
					0 => bank(Providers::slash(&who, Fault::FalseClaim)),
					1 => bank(Providers::slash(&who, Fault::FalseRejection)),
					2 => bank(Providers::slash(&who, Fault::FalseApproval)),
					3 => bank(Providers::slash(&who, Fault::WrongJuror)),
					4 => bank(Providers::fine(&who, Fault::Lapse, &model(1), 10_000)),
					5 => bank(Providers::fine(&who, Fault::NoOutput, &model(1), 10_000)),
					6 => { Providers::suspend(&who); 0 }
					_ => { Providers::lift(&who); 0 }
				};
				run_to(System::block_number() + blocks);
				assert_eq!(chosen(), before);
				Providers::do_try_state().expect("a consistent state");
			}
		});
	}
}
