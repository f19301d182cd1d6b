//! When a change is forced, when it is not, and who cannot decide that.

use crate::{mock::*, Error, Event, Finalized, Report, Reports, SessionSince, Sets, MAX_SETS};
use frame_support::{assert_noop, assert_ok, inherent::ProvideInherent};
use proptest::prelude::*;
use sp_inherents::InherentData;

/// Blocks of a session.
const SESSION: u64 = 20;

/// Makes a block whose author states what it sees finalized, if anything.
fn block(author: u64, finalized: Option<u64>) {
	System::set_block_number(System::block_number() + 1);
	Author::set(Some(author));
	if let Some(finalized) = finalized {
		assert_ok!(Finality::report(RuntimeOrigin::none(), finalized));
	}
}

/// Ends a session and begins one of these validators, as the session pallet and GRANDPA do. Returns whether the change is
/// forced.
fn begin_session(validators: &[u64]) -> bool {
	System::set_block_number(System::block_number() + 1);
	Forced::set(None);
	Finality::end_session();
	let changed = Sitting::get() != validators;
	Sitting::set(validators.to_vec());
	let forced = Forced::get().is_some();
	if changed || forced {
		SetId::set(SetId::get() + 1);
	}
	Finality::do_try_state().expect("a consistent state");
	forced
}

/// Makes a session's blocks in turn by these authors, who all see the same finalized.
fn session_of(authors: &[u64], finalized: impl Fn(u64, u64) -> Option<u64>) {
	for author in authors.iter().cycle().take(SESSION as usize - 1) {
		block(*author, finalized(*author, System::block_number()));
	}
}

/// Starts a chain with validators that finalize well for three sessions. Returns the number of the last finalized block.
fn healthy(validators: &[u64]) -> u64 {
	Sitting::set(validators.to_vec());
	for _ in 0..3 {
		session_of(validators, |_, now| Some(now.saturating_sub(3)));
		assert!(!begin_session(validators));
	}
	System::block_number() - 3
}

#[docify::export]
#[test]
fn when_a_third_is_silent_a_change_is_forced() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5, 6]);
		// Validators 5 and 6 are silent: nothing is finalized any more. They lose their seats one by one.
		session_of(&[1, 2, 3, 4], |_, _| Some(finalized));
		assert!(!begin_session(&[1, 2, 3, 4, 5, 6]), "it may be a short interruption");
		session_of(&[1, 2, 3, 4], |_, _| Some(finalized));
		assert!(!begin_session(&[1, 2, 3, 4, 5]));
		session_of(&[1, 2, 3, 4], |_, _| Some(finalized));
		assert!(begin_session(&[1, 2, 3, 4]));
		assert_eq!(Forced::get(), Some((PARAMS.delay, finalized, 0)));
		let at = System::block_number() + PARAMS.delay;
		System::assert_last_event(Event::Stalled { finalized, at }.into());
		// The new set finalizes, so nothing is forced again.
		for _ in 0..5 {
			session_of(&[1, 2, 3, 4], |_, now| Some(now - 3));
			assert!(!begin_session(&[1, 2, 3, 4]));
		}
	});
}

#[test]
fn the_new_set_follows_the_one_in_force_whatever_was_signaled_since() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5, 6]);
		for validators in [&[1, 2, 3, 4, 5][..], &[1, 2, 3, 4], &[1, 2, 3, 4, 7]] {
			assert_eq!(Forced::get(), None);
			session_of(&[1, 2, 3, 4], |_, _| Some(finalized));
			begin_session(validators);
		}
		// The chain had signaled two changes that no client applied: their set is 0, and the new one 1.
		assert_eq!((Forced::get(), SetId::get()), (Some((PARAMS.delay, finalized, 0)), 1));
		assert_eq!((Sets::<Test>::get().len(), SessionSince::<Test>::get()), (0, 0));
		// It is in force at once: if it does not finalize either, the next one follows it.
		for _ in 0..3 {
			session_of(&[1, 2, 3, 4, 7], |_, _| Some(finalized));
			if begin_session(&[1, 2, 3, 4, 7]) {
				break;
			}
		}
		assert_eq!((Forced::get(), SetId::get()), (Some((PARAMS.delay, finalized, 1)), 2));
	});
}

#[test]
fn a_change_is_forced_though_the_validators_stay() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5, 6]);
		let forced: Vec<_> = (0..3)
			.map(|_| {
				session_of(&[1, 2, 3, 4], |_, _| Some(finalized));
				begin_session(&[1, 2, 3, 4])
			})
			.collect();
		assert_eq!(forced, [false, false, true]);
	});
}

#[test]
fn no_change_is_forced_while_one_is_pending() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3]);
		Pending::set(true);
		for _ in 0..4 {
			session_of(&[1, 2], |_, _| Some(finalized));
			assert!(!begin_session(&[1, 2, 3]));
		}
		Pending::set(false);
		assert!(begin_session(&[1, 2, 3]));
	});
}

#[test]
fn half_of_the_set_is_not_enough() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5, 6]);
		// This side of a partition drops the others from its sessions, but not from the set in force.
		for validators in [&[1, 2, 3, 4, 5][..], &[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3]] {
			session_of(&[1, 2, 3], |_, _| Some(finalized));
			assert!(!begin_session(validators));
		}
		// Newcomers of this side are not of that set.
		for _ in 0..4 {
			session_of(&[1, 2, 3, 7, 8, 9], |_, _| Some(finalized));
			assert!(!begin_session(&[1, 2, 3, 7, 8, 9]));
		}
	});
}

#[test]
fn one_author_or_a_minority_cannot_trigger_it() {
	new_test_ext().execute_with(|| {
		let all = [1, 2, 3, 4, 5];
		healthy(&all);
		for _ in 0..6 {
			// Two of five state that nothing is finalized.
			session_of(&all, |author, now| Some(if author <= 2 { 0 } else { now - 3 }));
			assert!(!begin_session(&all));
		}
		// Nor does it help to be alone for a while.
		for _ in 0..6 {
			session_of(&[1, 2], |_, _| Some(0));
			assert!(!begin_session(&all));
		}
	});
}

#[test]
fn a_minority_cannot_prevent_it() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
		// Three are silent, two state that all is well, one states nothing.
		let forced = (0..3).any(|_| {
			session_of(&[1, 2, 3, 4, 5, 6, 7], |author, now| match author {
				5 | 6 => Some(now - 1),
				7 => None,
				_ => Some(finalized),
			});
			begin_session(&[1, 2, 3, 4, 5, 6, 7, 8, 9])
		});
		assert!(forced);
		assert_eq!(Forced::get().map(|(_, median, _)| median), Some(finalized));
	});
}

#[test]
fn what_is_finalized_never_goes_back() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3]);
		let known = Finalized::<Test>::get();
		assert!(known > 0 && known <= finalized);
		session_of(&[1, 2, 3], |_, _| Some(0));
		begin_session(&[1, 2, 3]);
		assert_eq!(Finalized::<Test>::get(), known);
	});
}

#[test]
fn old_reports_do_not_count_and_are_removed() {
	new_test_ext().execute_with(|| {
		healthy(&[1, 2, 3]);
		System::set_block_number(System::block_number() + PARAMS.window + SESSION);
		assert!(!begin_session(&[1, 2, 3]), "nobody has made a block since");
		assert_eq!(Reports::<Test>::iter().count(), 0);
	});
}

#[test]
fn sets_that_wait_are_bounded_and_none_is_mistaken_for_another() {
	new_test_ext().execute_with(|| {
		let finalized = healthy(&[1, 2, 3, 4, 5]);
		// Too few for a quorum, for longer than all sets fit.
		for i in 0..u64::from(MAX_SETS) + 8 {
			session_of(&[1, 2], |_, _| Some(finalized));
			assert!(!begin_session(&[1, 2, 100 + i]));
		}
		let sets = Sets::<Test>::get();
		assert_eq!(sets.len(), MAX_SETS as usize);
		assert_eq!((sets[0].id, sets[1].id), (0, 9));
		// The others are back, but which set is in force is not known any more.
		for _ in 0..3 {
			session_of(&[1, 2, 3, 4, 5], |_, _| Some(finalized));
			assert!(!begin_session(&[1, 2, 3, 4, 5]));
		}
		// Once finality has caught up, it is.
		for _ in 0..2 {
			session_of(&[1, 2, 3, 4, 5], |_, now| Some(now - 3));
			assert!(!begin_session(&[1, 2, 3, 4, 5]));
		}
		assert_eq!(Sets::<Test>::get().len(), 1);
	});
}

#[test]
fn a_block_states_once_what_was_finalized_before_it() {
	new_test_ext().execute_with(|| {
		System::set_block_number(10);
		let report = |finalized| Finality::report(RuntimeOrigin::none(), finalized);
		assert_noop!(report(9), Error::<Test>::UnknownAuthor);
		Author::set(Some(1));
		assert_noop!(report(10), Error::<Test>::NotYetMade);
		assert_noop!(
			Finality::report(RuntimeOrigin::signed(1), 9),
			sp_runtime::DispatchError::BadOrigin
		);
		assert_ok!(report(9));
		assert_noop!(report(8), Error::<Test>::AlreadyReported);
		assert_eq!(Reports::<Test>::get(1), Some(Report { at: 10, finalized: 9 }));
	});
}

#[test]
fn the_inherent_is_optional() {
	let mut data = InherentData::new();
	assert_eq!(Finality::create_inherent(&data), None);
	assert!(matches!(Finality::is_inherent_required(&data), Ok(None)));
	data.put_data(assay_primitives::finality::INHERENT_IDENTIFIER, &7u64)
		.expect("it is the first");
	let call = Finality::create_inherent(&data).expect("there is data");
	assert_eq!(call, crate::Call::report { finalized: 7 });
	assert!(Finality::is_inherent(&call));
}

/// Plays a partition that lasts: members of the set make blocks on one side, on the other, on both or on none. Returns
/// whether a change is forced on a side.
fn is_forced(validators: &[u64], authors: &[u64]) -> bool {
	new_test_ext().execute_with(|| {
		let finalized = healthy(validators);
		let mut sitting = validators.to_vec();
		(0..8).any(|_| {
			// The side replaces a quarter of those that it does not see by others, in each session.
			let quota = (sitting.len() / 4).max(1);
			let gone: Vec<_> = sitting
				.iter()
				.copied()
				.filter(|who| !authors.contains(who))
				.take(quota)
				.collect();
			sitting.retain(|who| !gone.contains(who));
			if authors.is_empty() {
				System::set_block_number(System::block_number() + SESSION);
			} else {
				session_of(authors, |_, _| Some(finalized));
			}
			begin_session(&sitting)
		})
	})
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

	#[test]
	fn two_sides_of_a_partition_never_both_force_a_change(
		sides in prop::collection::vec(0u8..3, 3..16),
		on_both in 0usize..4,
	) {
		let validators: Vec<u64> = (1..=sides.len() as u64).collect();
		// Fewer than a fifth make blocks on both sides.
		let on_both = on_both.min((sides.len() - 1) / 5);
		let authors = |side: u8| -> Vec<u64> {
			let own = validators.iter().zip(&sides).enumerate();
			own.filter(|(i, (_, at))| *i < on_both || **at == side).map(|(_, (who, _))| *who).collect()
		};
		prop_assert!(!(is_forced(&validators, &authors(0)) && is_forced(&validators, &authors(1))));
	}
}
