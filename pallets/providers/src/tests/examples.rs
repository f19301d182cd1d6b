//! The examples of the pallet's documentation.

use super::*;
use assay_primitives::{economics::Fault, rules::PERIOD, traits::Penalties};
use frame_support::{assert_ok, traits::OnUnbalanced};

#[docify::export]
#[test]
fn an_account_becomes_a_provider() {
	build_and_execute(|| {
		let (provider, key) = (1, pair(7));
		assert_ok!(Providers::bond(signed(provider), 5_000));

		// The key signs this chain's genesis hash and its owner: proof that the provider holds it.
		let proof = key.sign(&possession_message(&GENESIS, &provider));
		assert_ok!(Providers::set_inference_key(signed(provider), key.public(), proof));
		assert_ok!(Providers::serve(signed(provider), model(1), Prices::default()));
		assert_ok!(Providers::set_capacity(signed(provider), 4));

		// It is sealed into the model's electorate once it was seen alive. Any vote counts as a heartbeat.
		Providers::mark_alive(&provider);
		run_to(2);
		assert!(Providers::electorate(&model(1)).is_empty());

		// A period later the seal is in force, and draws read it.
		run_to(2 + u64::from(PERIOD));
		let members = Providers::electorate(&model(1));
		assert_eq!(
			members,
			vec![Member {
				who: provider,
				stake: 5_000
			}]
		);
	});
}

#[docify::export]
#[test]
fn a_provider_leaves_after_the_unbonding_period() {
	build_and_execute(|| {
		assert_ok!(Providers::bond(signed(1), 10_000));
		assert_ok!(Providers::unbond(signed(1), 10_000));

		// A fault is slashed from the unbonding money too. The money is the caller's to distribute.
		let slashed = Providers::slash(&1, Fault::FalseRejection);
		<Test as crate::Config>::OnSlash::on_unbalanced(slashed);

		System::set_block_number(System::block_number() + PARAMS.unbonding_period);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(Balances::free_balance(1), MONEY - 1_000);
	});
}
