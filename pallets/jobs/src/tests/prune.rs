//! Pruning receipts.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{JobId, State, Verdict};
use frame_support::{assert_noop, assert_ok, traits::OnIdle, weights::Weight};
use frame_system::RawOrigin;

fn concluded() -> JobId {
	let id = published(0);
	end_claim(id, State::Settled, Verdict::Unchecked);
	id
}

fn closed_at(id: JobId) -> u64 {
	receipt(id).closed_at.expect("a final receipt")
}

fn prune(who: AccountId, id: JobId) -> sp_runtime::DispatchResult {
	Jobs::prune(RawOrigin::Signed(who).into(), id)
}

#[test]
fn the_requester_prunes_a_final_receipt_and_gets_its_deposit_back() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let fee = receipt(id).fee;
		assert_ok!(prune(requester(), id));
		assert_eq!(balance(&requester()), FUNDS - fee);
		assert!(Jobs::view(id).is_none() && Jobs::receipt(id).is_none());
		assert_noop!(prune(requester(), id), Error::<Test>::UnknownReceipt);
	});
}

#[test]
fn anyone_prunes_when_the_retention_is_over() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let at = closed_at(id);
		System::set_block_number(at + 50);
		assert_noop!(prune(account(1), id), Error::<Test>::StillRetained);
		System::set_block_number(at + 51);
		assert_ok!(prune(account(1), id));
	});
}

#[test]
fn a_job_that_is_not_final_cannot_be_pruned() {
	TestExt::providers(1).build_and_execute(|| {
		let id = request(0);
		assert_noop!(prune(requester(), id), Error::<Test>::NotFinal);
		next_block();
		next_block();
		publish(publication(id)).expect("a publication");
		assert!(Jobs::receipt(id).is_some(), "a verdict is not enough");
		for who in [requester(), account(1)] {
			assert_noop!(prune(who, id), Error::<Test>::NotFinal);
		}
		// However long the window stays open.
		System::set_block_number(System::block_number() + 1_000);
		assert_noop!(prune(requester(), id), Error::<Test>::NotFinal);
		Jobs::on_idle(System::block_number(), Weight::MAX);
		assert!(Jobs::receipt(id).is_some());
		assert_noop!(prune(requester(), JobId([7; 32])), Error::<Test>::UnknownReceipt);
	});
}

#[test]
fn a_receipt_outlives_the_finality_of_its_block() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let at = closed_at(id);
		let late = at + 1_000;
		System::set_block_number(late);
		// Finality stands still before that block: nobody may prune, neither the requester nor the chain itself.
		Finalized::set(at as u32 - 1);
		for who in [requester(), account(1)] {
			assert_noop!(prune(who, id), Error::<Test>::NotFinalized);
		}
		Jobs::on_idle(late, Weight::MAX);
		assert!(Receipts::<Test>::contains_key(id));
		assert_consistent();
		Finalized::set(at as u32);
		assert_ok!(prune(requester(), id));
	});
}

#[test]
fn expired_receipts_are_pruned_up_to_the_last_finalized_block() {
	TestExt::providers(1).build_and_execute(|| {
		let (first, second) = (concluded(), concluded());
		assert!(closed_at(first) < closed_at(second));
		let late = closed_at(second) + 60;
		System::set_block_number(late);
		Finalized::set(closed_at(second) as u32 - 1);
		Jobs::on_idle(late, Weight::MAX);
		assert!(!Receipts::<Test>::contains_key(first) && Receipts::<Test>::contains_key(second));
		Finalized::set(late as u32);
		Jobs::on_idle(late, Weight::MAX);
		assert!(!Receipts::<Test>::contains_key(second));
	});
}

#[test]
fn idle_blocks_prune_expired_receipts() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let fee = receipt(id).fee;
		run_to(closed_at(id) + 51);
		assert!(Receipts::<Test>::contains_key(id));
		next_block();
		assert!(Jobs::view(id).is_none());
		assert_eq!(balance(&requester()), FUNDS - fee);
	});
}

#[test]
fn a_full_block_prunes_nothing_and_the_next_catches_up() {
	TestExt::providers(1).build_and_execute(|| {
		let ids: Vec<_> = (0..3).map(|_| concluded()).collect();
		let late = System::block_number() + 60;
		System::set_block_number(late);
		assert_eq!(Jobs::on_idle(late, Weight::zero()), Weight::zero());
		let left = || ids.iter().filter(|id| Receipts::<Test>::contains_key(id)).count();
		assert_eq!(left(), 3);
		let search = <() as WeightInfo>::idle_block() + <() as WeightInfo>::scan().saturating_mul(8);
		let limit = search + <() as WeightInfo>::prune().saturating_mul(2);
		assert!(Jobs::on_idle(late, limit).all_lte(limit));
		assert!((1..3).contains(&left()), "as many as the weight allows");
		Jobs::on_idle(late, Weight::MAX);
		assert_eq!(left(), 0);
		assert_consistent();
	});
}
