//! Suspensions: what a suspended provider cannot do, and how they end.

use super::*;
use crate::{Error, Event};
use assay_primitives::{economics::Fault, traits::Penalties};
use frame_support::{assert_noop, assert_ok};

#[test]
fn the_bond_of_a_suspended_provider_is_frozen() {
	build_and_execute(|| {
		join(1, 10_000);
		assert_ok!(Providers::unbond(signed(1), 4_000));
		Providers::suspend(&1);
		System::assert_last_event(Event::Suspended { provider: 1 }.into());
		assert_noop!(Providers::unbond(signed(1), 1), Error::<Test>::Suspended);
		System::set_block_number(51);
		assert_noop!(Providers::withdraw(signed(1)), Error::<Test>::Suspended);
		assert_ok!(Providers::bond_extra(signed(1), 1));
		assert_eq!(bank(Providers::slash(&1, Fault::FalseClaim)), 5_000);
		Providers::lift(&1);
		assert_ok!(Providers::withdraw(signed(1)));
	});
}

#[test]
fn a_suspended_provider_is_neither_sealed_nor_drawn_as_executor() {
	build_and_execute(|| {
		join(1, 10_000);
		join(2, 10_000);
		run_to(52);
		assert!(Providers::has_free_place(&1, &model(1)));
		Providers::suspend(&1);
		assert!(!Providers::has_free_place(&1, &model(1)) && !Providers::heartbeat_due(&1));
		assert_eq!(eligible(), vec![(2, 10_000)]);
		Providers::mark_alive(&1);
		Providers::mark_alive(&2);
		run_to(101);
		assert_eq!(
			electorate(1).len(),
			2,
			"nothing but the next seal changes an electorate"
		);
		run_to(152);
		assert_eq!(electorate(1), vec![(2, 10_000)]);
	});
}

#[test]
fn after_the_last_suspension_a_provider_declares_itself_ready() {
	build_and_execute(|| {
		join(1, 10_000);
		Providers::suspend(&1);
		Providers::suspend(&1);
		assert_noop!(Providers::ready(signed(1)), Error::<Test>::Suspended);
		Providers::lift(&1);
		System::assert_last_event(
			Event::SuspensionLifted {
				provider: 1,
				remaining: 1,
			}
			.into(),
		);
		assert!(Providers::is_suspended(&1));
		assert_noop!(Providers::ready(signed(1)), Error::<Test>::Suspended);
		Providers::lift(&1);
		assert!(!Providers::is_suspended(&1));
		assert!(eligible().is_empty(), "a lift alone does not make it ready");
		assert_ok!(Providers::ready(signed(1)));
		assert_eq!(eligible(), vec![(1, 10_000)]);
		let before = System::events().len();
		Providers::lift(&1);
		assert_eq!((record(1).suspensions, System::events().len()), (0, before));
	});
}

#[test]
fn a_suspension_is_remembered_from_its_beginning_to_its_end() {
	build_and_execute(|| {
		join(1, 10_000);
		System::set_block_number(10);
		assert!(!Providers::was_suspended_since(&1, 0));
		Providers::suspend(&1);
		System::set_block_number(20);
		assert!(Providers::was_suspended_since(&1, 10) && Providers::was_suspended_since(&1, 20));
		Providers::lift(&1);
		System::set_block_number(30);
		assert!(Providers::was_suspended_since(&1, 5) && Providers::was_suspended_since(&1, 20));
		assert!(!Providers::was_suspended_since(&1, 21));
	});
}
