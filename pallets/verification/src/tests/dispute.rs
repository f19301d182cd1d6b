//! Disputes: who may open one, how the electorate decides, and what the decision brings about.

use crate::{mock::*, *};
use assay_primitives::{
	dispute::Decision,
	economics::Fault,
	receipt::{Audit, RefundReason},
	traits::Penalties,
	State, Verdict,
};
use frame_support::{assert_noop, assert_ok};
use frame_system::RawOrigin;

/// A lie of provider 1 that its only seat rejects.
fn rejected(root: assay_primitives::TraceRoot) -> (assay_primitives::ClaimId, AccountId) {
	let id = drawn(1, root);
	let (seat, tranche) = waiting(id)[0].clone();
	submit(&seat, &[reject(id, tranche)]).expect("a rejection");
	(id, seat)
}

#[test]
fn one_honest_no_overturns_a_lie() {
	TestExt::providers(5).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		play_round(id, |_| Says::False);
		assert_eq!(closed(id), (State::Overturned, Some(Verdict::Overturned), vec![]));
		assert!(MockProviders::is_suspended(&account(1)) && !MockProviders::is_suspended(&rejecter));
		assert_eq!(free(&account(1)), BOND, "the slash waits");
		run_to(System::block_number() + 301);
		assert!(!MockProviders::is_suspended(&account(1)));
		assert_eq!(free(&account(1)), BOND / 2);
		// A check for each juror and the rejecter, and a tenth of the slash for who found it.
		let slashed = BOND / 2;
		assert_eq!(free(&rejecter), BOND + FEE + slashed / 10);
		for juror in (2..=5).map(account).filter(|who| *who != rejecter) {
			assert_eq!(free(&juror), BOND + FEE);
		}
	});
}

#[test]
fn a_false_rejection_costs_its_voter_and_not_the_executor() {
	TestExt::providers(5).build_and_execute(|| {
		let (id, rejecter) = rejected(TRUTH);
		play_round(id, |_| Says::True);
		assert_eq!(
			(claim(id).state, claim(id).verdict),
			(State::Window, Some(Verdict::Confirmed))
		);
		assert_eq!(decision(id), Some(Decision::Upheld));
		assert!(MockProviders::is_suspended(&rejecter) && !MockProviders::is_suspended(&account(1)));
		assert_noop!(object(&requester(), id), Error::<Test>::AlreadyDisputed);
		assert_ok!(open(id, TRUTH));
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
		run_to(System::block_number() + 302);
		assert_eq!(free(&rejecter), BOND - BOND / 10);
		assert_eq!(free(&account(1)), BOND);
	});
}

#[test]
fn undecided_after_a_rejection_is_void_and_slashes_nobody() {
	TestExt::providers(3).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		// One for, two against: no more than twice as much.
		play_round(id, |_| Says::False);
		play_round(id, |_| Says::Nothing);
		assert_eq!(
			closed(id),
			(
				State::Refunded,
				Some(Verdict::Refunded(RefundReason::Undecided)),
				vec![]
			)
		);
		let juror = (2..=3).map(account).find(|who| *who != rejecter).unwrap();
		assert_eq!(free(&juror), BOND + FEE, "the pool pays who voted");
		assert!((1..=3).map(account).all(|who| !MockProviders::is_suspended(&who)));
	});
}

#[test]
fn an_objection_overturns_a_captured_verdict() {
	TestExt::providers(13).build_and_execute(|| {
		let id = confirmed(LIE);
		let captured: Vec<_> = claim(id)
			.record
			.seats
			.iter()
			.map(|seat| seat.provider.clone())
			.collect();
		let objector = (2..=13).map(account).find(|who| !captured.contains(who)).unwrap();
		assert_ok!(object(&objector, id));
		assert_eq!(claim(id).state, State::Disputed);
		play_round(id, |_| Says::False);
		assert_eq!(closed(id).0, State::Overturned);
		assert!(
			captured.iter().all(MockProviders::is_suspended),
			"who approved is convicted with the executor"
		);
		assert_eq!(free(&objector), BOND, "its bond is back at once");
		run_to(System::block_number() + 302);
		assert!(free(&objector) > BOND, "and it shares the bounty");
	});
}

#[test]
fn a_wrong_objection_costs_its_bond_and_nothing_else() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let bond = Verification::objection_bond(id).unwrap();
		assert_eq!(bond, 9 * FEE + 1_000);
		let objector = account(99);
		let _ = <Balances as frame_support::traits::fungible::Mutate<_>>::transfer(
			&requester(),
			&objector,
			10_000,
			frame_support::traits::tokens::Preservation::Preserve,
		);
		assert_ok!(object(&objector, id));
		assert_eq!(free(&objector), 10_000 - bond);
		play_round(id, |_| Says::True);
		assert_eq!(
			(claim(id).state, claim(id).verdict),
			(State::Window, Some(Verdict::Confirmed))
		);
		assert_eq!(free(&objector), 10_000 - bond);
		assert!(Faults::get().is_empty());
		let jurors = jurors_paid();
		assert_eq!(free(&treasury()), 1_000 + bond - jurors * FEE);
	});
}

/// Returns how many providers have more than their bond.
fn jurors_paid() -> u128 {
	(1..=9).map(account).filter(|who| free(who) > BOND).count() as u128
}

#[test]
fn undecided_after_an_objection_the_verdict_stands_contested() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		assert_ok!(object(&requester(), id));
		play_round(id, |_| Says::Nothing);
		play_round(id, |_| Says::Nothing);
		assert_eq!(
			(claim(id).state, claim(id).verdict),
			(State::Window, Some(Verdict::Confirmed))
		);
		assert_eq!(free(&requester()), FUNDS, "the bond comes back");
		assert!(!Faults::get().is_empty(), "absent jurors are fined");
		assert_ok!(open(id, TRUTH));
		run_out(id);
		assert_eq!(closed(id).0, State::Settled);
	});
}

#[test]
fn a_requester_that_objects_rightly_gets_its_bond_and_no_bounty() {
	TestExt::providers(13).build_and_execute(|| {
		let id = confirmed(LIE);
		assert_ok!(object(&requester(), id));
		play_round(id, |_| Says::False);
		assert_eq!(closed(id).0, State::Overturned);
		run_to(System::block_number() + 302);
		assert_eq!(free(&requester()), FUNDS);
	});
}

#[test]
fn objections_that_do_not_apply_are_refused_by_name() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		let approver = claim(id).record.seats[0].provider.clone();
		let other = || (2..=9).map(account).find(|who| !claim(id).is_party(who)).unwrap();
		assert_noop!(object(&account(1), id), Error::<Test>::IsParty);
		assert_noop!(object(&approver, id), Error::<Test>::IsParty);
		assert_noop!(object(&account(98), id), Error::<Test>::MayNotObject);
		assert_noop!(
			object(&other(), assay_primitives::ClaimId([1; 32])),
			Error::<Test>::UnknownClaim
		);
		let wrong = Verification::object(
			RawOrigin::Signed(other()).into(),
			id,
			assay_primitives::OutputHash([1; 32]),
		);
		assert_noop!(wrong, Error::<Test>::OtherOutput);
		let poor = account(99);
		assert!(object(&poor, id).is_err(), "no money for the bond");
		assert_ok!(object(&other(), id));
		assert_noop!(object(&other(), id), Error::<Test>::AlreadyDisputed);
	});
}

#[test]
fn the_window_closes_for_objections_200_blocks_after_the_verdict() {
	TestExt::providers(9).build_and_execute(|| {
		let id = confirmed(TRUTH);
		assert_ok!(open(id, TRUTH));
		let verdict_at = claim(id).verdict_at.unwrap();
		run_to(verdict_at + 200);
		assert!(OpenClaims::contains_key(id), "it settles at the end of this block");
		assert_noop!(object(&requester(), id), Error::<Test>::WindowClosed);
		next_block();
		assert_eq!(closed(id).0, State::Settled);
	});
}

#[test]
fn a_juror_against_the_decision_pays_a_hundredth_and_is_not_paid() {
	TestExt::providers(9).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		let odd = (2..=9).map(account).find(|who| *who != rejecter).unwrap();
		play_round(id, |who| if *who == odd { Says::True } else { Says::False });
		assert_eq!(closed(id).0, State::Overturned);
		assert_eq!(Faults::get(), [(odd.clone(), Fault::WrongJuror)]);
		run_to(System::block_number() + 302);
		assert_eq!(free(&odd), BOND - BOND / 100);
	});
}

#[test]
fn a_fifth_absent_still_convicts_a_lone_liar() {
	TestExt::providers(10).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		let absent: Vec<_> = (2..=10).map(account).filter(|who| *who != rejecter).take(2).collect();
		play_round(id, |who| {
			if absent.contains(who) {
				Says::Nothing
			} else {
				Says::False
			}
		});
		assert_eq!(closed(id).0, State::Overturned);
		assert_eq!(Faults::get().len(), 2);
		assert!(absent.iter().all(|who| free(who) == BOND - FEE));
	});
}

#[test]
fn a_whale_is_not_convicted_by_sybils() {
	let mut stakes = vec![BOND * 100];
	stakes.extend([BOND; 4]);
	TestExt::stakes(&stakes).build_and_execute(|| {
		let (id, _) = rejected(TRUTH);
		play_round(id, |_| Says::False);
		assert_eq!(claim(id).verdict, Some(Verdict::Confirmed), "its own stake counts");
		assert!(!MockProviders::is_suspended(&account(1)));
	});
}

#[test]
fn who_was_absent_may_vote_in_the_second_round() {
	TestExt::providers(10).build_and_execute(|| {
		let (id, _) = rejected(LIE);
		let first: Vec<_> = {
			run_until(id, |_| Juries::<Test>::contains_key(id));
			jurors(id).into_iter().take(2).collect()
		};
		play_round(id, |who| {
			if first.contains(who) {
				Says::False
			} else {
				Says::Nothing
			}
		});
		assert_eq!(
			claim(id).record.dispute.as_ref().unwrap().round,
			2,
			"less than half has voted"
		);
		play_round(id, |_| Says::False);
		assert_eq!(closed(id).0, State::Overturned);
	});
}

#[test]
fn a_suspended_member_counts_as_absent() {
	TestExt::providers(9).build_and_execute(|| {
		let (id, _) = rejected(LIE);
		run_until(id, |_| Juries::<Test>::contains_key(id));
		let juror = jurors(id).remove(0);
		MockProviders::suspend(&juror);
		let vote = jury_vote(id, 1, Says::True);
		let commit = Message::JuryCommit {
			claim: id,
			round: 1,
			commitment: id.dispute().commitment(1, &juror, &vote, &[3; 32]),
		};
		assert_noop!(submit(&juror, &[commit]), Error::<Test>::Suspended);
		play_round(id, |who| if *who == juror { Says::Nothing } else { Says::False });
		assert_eq!(closed(id).0, State::Overturned);
		assert!(Faults::get().is_empty(), "it could not vote, and is not fined");
	});
}

#[test]
fn a_model_has_eight_disputes_at_a_time_and_others_wait() {
	TestExt::providers(9).build_and_execute(|| {
		let ids: Vec<_> = (1..=10)
			.map(|n| {
				let id = publish_as(n, 1, LIE);
				run_until(id, |claim| claim.state == State::Voting);
				let (seat, tranche) = waiting(id)[0].clone();
				submit(&seat, &[reject(id, tranche)]).expect("a rejection");
				id
			})
			.collect();
		next_block();
		next_block();
		let called = ids.iter().filter(|id| Juries::<Test>::contains_key(**id)).count();
		assert_eq!(called, 8);
		for id in &ids {
			play_round(*id, |_| Says::False);
			assert_eq!(closed(*id).0, State::Overturned);
		}
	});
}

#[test]
fn jury_messages_that_do_not_apply_are_refused_by_name() {
	TestExt::providers(9).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		let commit = |who: &AccountId, round| {
			let vote = jury_vote(id, round, Says::False);
			Message::JuryCommit {
				claim: id,
				round,
				commitment: id.dispute().commitment(round, who, &vote, &[3; 32]),
			}
		};
		let reveal = |salt| Message::JuryReveal {
			claim: id,
			round: 1,
			vote: jury_vote(id, 1, Says::False),
			salt: [salt; 32],
		};
		let early = account(9);
		assert_noop!(submit(&early, &[commit(&early, 1)]), Error::<Test>::NoDispute);
		run_until(id, |_| Juries::<Test>::contains_key(id));
		let jurors = jurors(id);
		let juror = &jurors[0];
		assert_noop!(submit(juror, &[commit(juror, 2)]), Error::<Test>::WrongRound);
		assert_noop!(submit(&rejecter, &[commit(&rejecter, 1)]), Error::<Test>::IsParty);
		assert_noop!(submit(&account(98), &[commit(&account(98), 1)]), Error::<Test>::NoSeat);
		assert_noop!(submit(juror, &[reveal(3)]), Error::<Test>::WrongState);
		assert_ok!(submit(juror, &[commit(juror, 1)]));
		assert_noop!(submit(juror, &[commit(juror, 1)]), Error::<Test>::AlreadyVoted);
		run_until(id, |_| Juries::<Test>::get(id).is_some_and(|jury| jury.revealing));
		assert_noop!(submit(&jurors[1], &[commit(&jurors[1], 1)]), Error::<Test>::WrongState);
		assert_noop!(submit(&jurors[1], &[reveal(3)]), Error::<Test>::NotCommitted);
		assert_noop!(submit(juror, &[reveal(4)]), Error::<Test>::BadOpening);
		assert_ok!(submit(juror, &[reveal(3)]));
		assert_noop!(submit(juror, &[reveal(3)]), Error::<Test>::AlreadyVoted);
	});
}

#[test]
fn a_canceled_slash_takes_nothing_and_the_pool_pays_the_work() {
	TestExt::providers(5).build_and_execute(|| {
		let (id, rejecter) = rejected(LIE);
		play_round(id, |_| Says::False);
		assert_noop!(
			Verification::cancel_slash(RawOrigin::Signed(account(1)).into(), 0),
			sp_runtime::DispatchError::BadOrigin
		);
		assert_ok!(Verification::cancel_slash(RawOrigin::Root.into(), 0));
		assert_noop!(
			Verification::cancel_slash(RawOrigin::Root.into(), 0),
			Error::<Test>::UnknownConviction
		);
		run_to(System::block_number() + 302);
		assert_eq!(free(&account(1)), BOND);
		assert!(!MockProviders::is_suspended(&account(1)));
		assert_eq!(free(&rejecter), BOND + FEE, "a check, and no bounty");
	});
}

#[test]
fn an_objection_during_an_audit_ends_the_audit() {
	TestExt::providers(13).build_and_execute(|| {
		let mut params = Params::get();
		params.rates.audit = sp_runtime::Permill::one();
		Params::set(params);
		let id = drawn(2, LIE);
		for (who, tranche) in waiting(id) {
			submit(&who, &[approve(id, &who, tranche, LIE)]).expect("a vote");
		}
		run_until(id, |claim| claim.state == State::Auditing);
		assert_ok!(object(&requester(), id));
		assert_eq!(claim(id).record.audit, Audit::NotDone);
		play_round(id, |_| Says::False);
		assert_eq!(closed(id).0, State::Overturned);
	});
}
