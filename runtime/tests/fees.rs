//! Transaction fees: who pays, who receives, and that votes cost nothing.

mod common;

use assay_runtime::{configs::tokens::TreasuryAccount, AccountId};
use common::{
	claims::{executor, publish, request_job, truth, TRUTH},
	signed, Chain,
};
use frame_support::traits::TypedGet;
use sp_keyring::Sr25519Keyring::{Alice, Ferdie};

fn treasury() -> AccountId {
	<TreasuryAccount as TypedGet>::get()
}

#[test]
fn a_fifth_of_a_fee_goes_to_the_author_and_the_rest_to_the_treasury() {
	let mut chain = Chain::new("development", 1);
	let issuance = chain.issuance();
	let people = [Alice.to_account_id(), treasury(), Ferdie.to_account_id()];
	let before = people.clone().map(|who| chain.wealth(&who));
	let remark = chain.read(|| signed(Ferdie, frame_system::Call::remark { remark: vec![0; 1_000] }));
	chain.good_block(vec![remark]);
	let after = people.map(|who| chain.wealth(&who));
	let fee = before[2] - after[2];
	assert!(fee > 0);
	assert_eq!(after[0] - before[0], fee - fee * 80 / 100);
	assert_eq!(after[1] - before[1], fee * 80 / 100);
	assert_eq!(chain.issuance(), issuance);
}

#[test]
fn a_providers_message_costs_nothing() {
	let mut chain = Chain::new("development", 1);
	let id = request_job(&mut chain, Ferdie, 2);
	chain.idle(1);
	let (executor, _) = executor(&mut chain, id);
	let before = [chain.wealth(&executor), chain.wealth(&treasury())];
	publish(&mut chain, id, truth(), TRUTH);
	assert_eq!([chain.wealth(&executor), chain.wealth(&treasury())], before);
}
