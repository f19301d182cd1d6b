//! The examples of the crate's documentation.

use crate::{mock::*, Event};
use frame_support::assert_ok;

#[docify::export]
#[test]
fn a_decision_is_dispatched_with_root_after_the_delay() {
	new_test_ext().execute_with(|| {
		// Four of six have voted for it.
		assert_ok!(Governance::enact(votes(4), Box::new(set_balance(1_000_000))));
		run_to(DELAY);
		assert_eq!(balance(), MONEY);
		run_to(DELAY + 1);
		assert_eq!(balance(), 1_000_000);
		assert_eq!(dispatched(), [Ok(())]);
	});
}

#[docify::export]
#[test]
fn a_third_of_the_council_cancels_it() {
	new_test_ext().execute_with(|| {
		assert_ok!(Governance::enact(votes(6), Box::new(set_balance(1_000_000))));
		assert_ok!(Governance::cancel(votes(2), 0));
		System::assert_last_event(Event::Canceled { id: 0 }.into());
		run_to(2 * DELAY);
		assert_eq!(balance(), MONEY);
	});
}
