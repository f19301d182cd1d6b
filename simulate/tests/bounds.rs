//! What assurance claims holds against every strategy, in the short form of `make simulate`.

use assay_primitives::{assurance, rules::DRAW_DELAY};
use assay_simulate::{
	chain::Policy,
	random::Effort,
	strategies::{
		alone, audits, best, blind, flood, foreknowledge, griefing, grinding, liveness, many, objections, price,
		silence, sybils, veto, whisper, Cartel, PATIENCE,
	},
};

const SHARES: [f64; 4] = [0.05, 0.1, 0.2, 0.3];
const BLOCKS: u32 = PATIENCE as u32;

fn jobs(jobs: u64) -> Effort {
	Effort { jobs, seed: 2 }
}

#[test]
fn lies_pass_no_more_often_than_assurance_says() {
	for share in SHARES {
		for k in [1u8, 2, 3] {
			let blind = blind::passes(jobs(10_000), Cartel::blind(share), k.into());
			assert!(blind.is_within(share.powi(k.into())), "{share} {k} {blind:?}");
			for (patience, blocks) in [(1, 1), (PATIENCE, BLOCKS)] {
				let lie = best(|policy| blind::passes(jobs(10_000), Cartel::new(share, policy, patience), k.into()));
				let bound = assurance::passes(share, share, k, 1, blocks);
				assert!(lie.is_within(bound), "{share} {k} {patience} {lie:?} {bound}");
			}
		}
	}
}

#[test]
fn the_simulated_cartel_comes_near_the_bound() {
	let lie = best(|policy| blind::passes(jobs(10_000), Cartel::new(0.2, policy, PATIENCE), 2));
	assert!(lie.value() > 0.7 * assurance::passes(0.2, 0.2, 2, 1, BLOCKS), "{lie:?}");
	let known = foreknowledge::captured(jobs(4_000), 0.2, 3, PATIENCE, DRAW_DELAY);
	assert!(
		known.value() > 0.5 * assurance::foreknowledge(0.2, 0.2, 3, BLOCKS),
		"{known:?}"
	);
}

#[test]
fn silenced_seats_are_counted() {
	for share in [0.1, 0.3] {
		for tranches in [2, 4] {
			let blind = silence::passes(jobs(10_000), Cartel::blind(share), 2, tranches);
			assert!(
				blind.is_within(assurance::passes(share, 0.0, 2, tranches, 1)),
				"{share} {tranches} {blind:?}"
			);
			let lie = best(|policy| silence::passes(jobs(5_000), Cartel::new(share, policy, 1), 2, tranches));
			let bound = assurance::passes(share, share, 2, tranches, 1);
			assert!(lie.is_within(bound), "{share} {tranches} {lie:?} {bound}");
		}
	}
}

#[test]
fn foreknowledge_is_bounded_and_a_later_draw_lowers_it() {
	for share in SHARES {
		for k in [1u8, 2, 3] {
			let known = foreknowledge::captured(jobs(2_000), share, k.into(), PATIENCE, DRAW_DELAY);
			let bound = assurance::foreknowledge(share, share, k, BLOCKS);
			assert!(known.is_within(bound), "{share} {k} {known:?} {bound}");
		}
	}
	let after = |delay| foreknowledge::captured(jobs(2_000), 0.2, 2, PATIENCE, delay).value();
	assert!(after(2) > 1.5 * after(3) && after(3) > 2.0 * after(4));
}

#[test]
fn no_strategy_is_free_of_risk() {
	for share in SHARES {
		let caught = audits::caught(jobs(20_000), Cartel::new(share, Policy::Publish, PATIENCE));
		let floor = 0.05 * (1.0 - share) * (1.0 - share).powi(8);
		assert!(
			caught.value() + 3.0 * caught.error() >= floor && caught.sum() > 0.0,
			"{share} {caught:?} {floor}"
		);
		let certain = best(|policy| audits::passes_certain(jobs(10_000), Cartel::new(share, policy, 1)));
		assert!(
			certain.is_within(assurance::passes(share, share, 1, 1, 1)),
			"{share} {certain:?}"
		);
	}
}

#[test]
fn lies_do_not_pay_below_what_is_deterred() {
	// The figures of bonds of 10 000 ASY that `assurance` publishes, k = 2.
	for (share, deterred, patient) in [(0.1, 132_300.0, 88.8), (0.2, 18_900.0, 30.4), (0.3, 1_100.0, 9.0)] {
		for policy in [Policy::Publish, Policy::Withhold] {
			let cartel = Cartel::new(share, policy, PATIENCE);
			let asy = assay_simulate::electorate::ASY as f64;
			assert!(
				price::measure(jobs(10_000), cartel, 2).is_at_least(deterred * asy),
				"{share} {policy:?}"
			);
			assert!(
				price::measure(jobs(20_000), cartel, 0).is_at_least(patient * asy),
				"{share} {policy:?}"
			);
		}
	}
}

#[test]
fn many_lies_for_one_bond_cost_all_but_few() {
	let cartel = Cartel::new(0.1, Policy::Withhold, PATIENCE);
	let many = many::measure(jobs(500), cartel, 2, 32);
	assert!(many.settled.value() < 32.0 * 0.033 * 0.25, "{many:?}");
	assert!(many.loss.value() > 4_490.0, "{many:?}");
}

#[test]
fn convictions_follow_the_relative_rule() {
	let convicted = |alpha, absent| price::convictions(jobs(2_000), alpha, absent).value();
	assert!(convicted(0.2, 0.2) > 0.99 && convicted(0.28, 0.05) > 0.99);
	assert!(convicted(0.32, 0.2) < 0.1);
	assert_eq!(convicted(0.34, 0.05), 0.0);
}

#[test]
fn four_tranches_suffice_when_a_twentieth_is_absent() {
	let live = liveness::measure(jobs(20_000), 2, 0.05);
	// 1 − 0.95².
	assert!((live.tranches[0].value() - 0.0975).abs() < 0.008, "{live:?}");
	assert!(live.unverified.value() < 0.002 && live.seats.value() < 2.4, "{live:?}");
}

#[test]
fn grinding_changes_nothing_but_for_a_known_beacon() {
	let grinding = grinding::measure(jobs(2_000), 0.1, 2, 100);
	assert!(
		grinding.names.is_within(0.01) && grinding.bonds.is_within(0.01),
		"{grinding:?}"
	);
	assert!(grinding.control.value() > 0.5, "{grinding:?}");
}

#[test]
fn a_flood_changes_no_seat_and_lets_no_honest_one_lapse() {
	let flood = flood::measure(jobs(1_000), 0.1, 2, 500);
	assert!(flood.passes.is_within(0.01), "{flood:?}");
	assert_eq!(flood.lapsed.sum(), 0.0);
	assert!(flood.executes.value() < 0.7, "{flood:?}");
}

#[test]
fn a_veto_saves_less_than_its_fines_and_the_executor_is_paid() {
	for share in SHARES {
		let veto = veto::measure(jobs(10_000), share, 2);
		assert_eq!(veto.executor.value(), 1.0);
		assert!(veto.saved.value() <= veto.fined.value(), "{veto:?}");
	}
	assert!(
		silence::fines(1_000) <= 0.01,
		"an honest victim loses a hundredth of its bond at most"
	);
}

#[test]
fn the_lazy_count_as_corrupt() {
	let (share, passed) = whisper::passes(jobs(20_000), 0.1, 0.2, 2);
	assert!(share > 0.2 && passed.is_within(share * share) && passed.value() > 0.8 * share * share);
}

#[test]
fn sybils_gain_nothing() {
	for accounts in [1, 31] {
		let (passed, convicted) = sybils::measure(jobs(10_000), 0.2, 2, accounts);
		assert!(passed.is_within(0.04) && passed.value() > 0.03, "{accounts} {passed:?}");
		assert!(convicted.value() > 0.999, "{accounts} {convicted:?}");
	}
}

#[test]
fn a_model_of_its_own_people_claims_nothing() {
	assert_eq!(alone::passes(jobs(1_000), 2).value(), 1.0);
	assert_eq!(alone::claimed(2, 0.05).epsilon, 1.0);
	assert!(
		alone::claimed(2, 1.0).epsilon < 0.05,
		"all of the chain's stake is another matter"
	);
}

#[test]
fn objections_and_false_rejections_overturn_nothing() {
	for (alpha, absent) in [(0.0, 0.6), (0.2, 0.2), (0.3, 0.2)] {
		let objections = objections::measure(jobs(2_000), alpha, absent);
		assert_eq!(objections.overturned.sum(), 0.0);
		assert!(objections.cost.value() > 0.04, "{objections:?}");
		assert_eq!(griefing::measure(jobs(2_000), alpha, 2, absent).overturned.sum(), 0.0);
	}
	let griefing = griefing::measure(jobs(4_000), 0.2, 2, 0.1);
	assert_eq!(griefing.void.sum(), 0.0);
	assert!((griefing.cost.value() - 0.036).abs() < 0.004, "{griefing:?}");
}
