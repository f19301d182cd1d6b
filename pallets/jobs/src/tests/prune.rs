//! Pruning receipts.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::JobId;
use frame_support::{assert_noop, assert_ok, traits::OnIdle, weights::Weight};
use frame_system::RawOrigin;

fn concluded() -> JobId {
	let id = drawn(1);
	run_attempt(id, &[CONFIRM]);
	id
}

fn prune(who: AccountId, id: JobId) -> sp_runtime::DispatchResult {
	Jobs::prune(RawOrigin::Signed(who).into(), id)
}

#[test]
fn the_requester_prunes_at_any_time_and_gets_its_deposit_back() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let fee = receipt(id).fee;
		assert_ok!(prune(requester(), id));
		assert_eq!(balance(&requester()), FUNDS - fee);
		assert!(Jobs::view(id).is_none() && Held::get(id).is_none());
		assert_noop!(prune(requester(), id), Error::<Test>::UnknownReceipt);
	});
}

#[test]
fn anyone_prunes_when_the_retention_is_over() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let at = receipt(id).concluded_at;
		System::set_block_number(at + 50);
		assert_noop!(prune(account(1), id), Error::<Test>::StillRetained);
		System::set_block_number(at + 51);
		assert_ok!(prune(account(1), id));
	});
}

#[test]
fn an_open_job_cannot_be_pruned() {
	TestExt::providers(1).build_and_execute(|| {
		let id = request(1);
		assert_noop!(prune(requester(), id), Error::<Test>::UnknownReceipt);
	});
}

#[test]
fn idle_blocks_prune_expired_receipts() {
	TestExt::providers(1).build_and_execute(|| {
		let id = concluded();
		let fee = receipt(id).fee;
		run_to(receipt(id).concluded_at + 51);
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
		let search = <() as WeightInfo>::idle_block() + <() as WeightInfo>::scan().saturating_mul(100);
		let limit = search + <() as WeightInfo>::prune().saturating_mul(2);
		assert!(Jobs::on_idle(late, limit).all_lte(limit));
		assert!((1..3).contains(&left()), "as many as the weight allows");
		Jobs::on_idle(late, Weight::MAX);
		assert_eq!(left(), 0);
		assert_consistent();
	});
}
