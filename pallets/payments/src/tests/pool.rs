//! The pool, and money taken from bonds: nothing is burned, and the pool never dies.

use super::*;
use crate::{Event, Source};
use frame_support::traits::{fungible::Inspect, Imbalance};

fn rewarded(to: u64, amount: Balance, source: Source) -> RuntimeEvent {
	Event::Rewarded { to, amount, source }.into()
}

#[test]
fn the_pool_collects_fines_and_pays_as_far_as_it_reaches() {
	build_and_execute(|| {
		Payments::collect(slashed(70));
		System::assert_last_event(Event::Collected { to: POOL, amount: 70 }.into());
		assert_eq!(Payments::pay(&2, 60), 60);
		System::assert_last_event(rewarded(2, 60, Source::Pool));
		assert_eq!(Payments::pay(&2, 5_000), ENDOWMENT + 70 - 60 - 10);
		assert_eq!(free(POOL), 10, "the existential deposit stays");
		assert_eq!(Payments::pay(&2, 1), 0);
	});
}

#[test]
fn an_account_that_cannot_receive_costs_the_pool_nothing() {
	build_and_execute(|| {
		let events = System::event_count();
		assert_eq!(Payments::pay(&77, 9), 0);
		assert_eq!((free(77), free(POOL)), (0, ENDOWMENT));
		assert_eq!(System::event_count(), events);
	});
}

#[test]
fn an_empty_fine_moves_nothing() {
	build_and_execute(|| {
		let events = System::event_count();
		Payments::collect(CreditOf::<Test>::default());
		Payments::distribute(CreditOf::<Test>::default(), &[(2, 5)]);
		assert_eq!(System::event_count(), events);
	});
}

#[test]
fn a_slash_pays_in_order_and_the_treasury_gets_the_rest() {
	build_and_execute(|| {
		Payments::distribute(slashed(100), &[(2, 30), (3, 20)]);
		assert_eq!((free(2), free(3), free(TREASURY)), (MONEY + 30, MONEY + 20, 50));
		System::assert_has_event(rewarded(2, 30, Source::Bond));
		System::assert_has_event(rewarded(3, 20, Source::Bond));
		let forfeited = Event::Forfeited {
			to: TREASURY,
			amount: 50,
			source: Source::Bond,
		};
		System::assert_last_event(forfeited.into());
	});
}

#[test]
fn a_slash_pays_no_more_than_there_is() {
	build_and_execute(|| {
		let credit = slashed(40);
		assert_eq!(Payments::amount(&credit), credit.peek());
		Payments::distribute(credit, &[(2, 30), (3, 20), (4, 20)]);
		assert_eq!([2, 3, 4].map(|who| free(who) - MONEY), [30, 10, 0]);
	});
}

#[test]
fn the_part_of_an_account_that_cannot_receive_is_forfeited() {
	build_and_execute(|| {
		endow_treasury();
		Payments::distribute(slashed(14), &[(77, 9), (2, 5)]);
		assert_eq!((free(77), free(2), free(TREASURY)), (0, MONEY + 5, 10 + 9));
	});
}

#[test]
fn the_pool_gets_what_the_treasury_cannot_receive() {
	build_and_execute(|| {
		let below = <Balances as Inspect<u64>>::minimum_balance() - 1;
		Payments::distribute(slashed(below), &[]);
		assert_eq!((free(TREASURY), free(POOL)), (0, ENDOWMENT + below));
	});
}
