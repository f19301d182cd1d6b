//! Outages: who has lost a model is not drawn for it, and for no other.

use super::*;
use crate::{Event, Outages};
use assay_primitives::{
	economics::Fault,
	limits::MAX_PROVIDERS_PER_MODEL,
	rules::{LAPSES_TO_UNREADY, PERIOD},
	traits::Penalties,
};
use frame_support::assert_ok;

fn report(who: u64, id: u8, over: bool) -> bool {
	let due = Providers::outage_due(&who, &model(id), over);
	if due {
		Providers::note_outage(&who, &model(id), over);
	}
	due
}

/// Returns whether a provider takes jobs of these two models.
fn takes_jobs(who: u64) -> [bool; 2] {
	[1, 2].map(|id| Providers::has_free_place(&who, &model(id)))
}

#[test]
fn who_has_lost_one_of_two_models_is_drawn_for_the_other_only() {
	build_and_execute(|| {
		for who in [1, 2] {
			join(who, 5_000);
			assert_ok!(Providers::serve(signed(who), model(2), Prices::default()));
		}
		run_to(60);
		assert_eq!((electorate(1).len(), electorate(2).len()), (2, 2));
		assert_eq!(takes_jobs(1), [true, true]);

		assert!(report(1, 1, false));
		System::assert_last_event(
			Event::OutageBegan {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert_eq!(takes_jobs(1), [false, true], "it takes no job from now on");
		assert_eq!(
			electorate(1).len(),
			2,
			"and keeps the seats of a seal until the next is in force"
		);
		Providers::mark_alive(&1);
		Providers::mark_alive(&2);
		run_to(60 + 2 * PERIOD as u64);
		assert_eq!(electorate(1), vec![(2, 5_000)]);
		assert_eq!(electorate(2).len(), 2);
		let view = Providers::providers_of(model(1));
		assert_eq!(
			view.iter().map(|one| (one.ready, one.available)).collect::<Vec<_>>()[0],
			(false, false)
		);

		assert!(report(1, 1, true));
		System::assert_last_event(
			Event::OutageEnded {
				provider: 1,
				model: model(1),
			}
			.into(),
		);
		assert_eq!(takes_jobs(1), [true, true]);
		assert!(eligible().contains(&(1, 5_000)));
		assert!(!Outages::<Test>::contains_key(model(1)), "nothing is stored of it");
	});
}

#[test]
fn only_news_of_a_served_model_is_due_and_an_outage_lasts_a_period() {
	build_and_execute(|| {
		join(1, 5_000);
		assert!(!Providers::outage_due(&1, &model(1), true), "there is none");
		assert!(!Providers::outage_due(&1, &model(2), false), "it serves no such model");
		assert!(!Providers::outage_due(&9, &model(1), false), "it is no provider");
		run_to(10);
		assert!(report(1, 1, false));
		assert!(!Providers::outage_due(&1, &model(1), false), "it is known");
		run_to(10 + PERIOD as u64 - 1);
		assert!(!Providers::outage_due(&1, &model(1), true), "feeless reports are few");
		run_to(10 + PERIOD as u64);
		assert!(report(1, 1, true));
		assert!(report(1, 1, false), "the next one may begin at once");
	});
}

#[test]
fn lapses_in_an_outage_are_fined_and_leave_the_other_models_alone() {
	build_and_execute(|| {
		join(1, 100_000);
		assert_ok!(Providers::serve(signed(1), model(2), Prices::default()));
		assert!(report(1, 1, false));
		let lapse = |id| bank(Providers::fine(&1, Fault::Lapse, &model(id), 10));
		for _ in 0..2 * LAPSES_TO_UNREADY {
			assert_eq!(lapse(1), 10);
		}
		assert!(record(1).ready, "it is left out of the lost model already");
		for _ in 0..LAPSES_TO_UNREADY {
			assert!(record(1).ready);
			lapse(2);
		}
		assert!(!record(1).ready, "the other model has no outage");
	});
}

#[test]
fn who_stops_serving_leaves_no_outage_behind() {
	build_and_execute(|| {
		join(1, 5_000);
		assert!(report(1, 1, false));
		assert_ok!(Providers::stop_serving(signed(1), model(1)));
		assert!(!Outages::<Test>::contains_key(model(1)));
		assert_ok!(Providers::serve(signed(1), model(1), Prices::default()));
		assert!(takes_jobs(1)[0], "who serves it again says that it can");
	});
}

#[test]
fn all_providers_of_a_model_can_be_in_outage_at_once() {
	build_and_execute(|| {
		for who in 0..u64::from(MAX_PROVIDERS_PER_MODEL) {
			let who = 1_000 + who;
			crate::Serving::<Test>::mutate(model(1), |serving| serving.try_push(who)).expect("there is room");
			assert!(report(who, 1, false));
		}
		assert_eq!(Outages::<Test>::get(model(1)).len(), MAX_PROVIDERS_PER_MODEL as usize);
		// What the test wrote by hand.
		crate::Serving::<Test>::remove(model(1));
		Outages::<Test>::remove(model(1));
	});
}
