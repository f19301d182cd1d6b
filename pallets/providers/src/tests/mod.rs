//! Tests of stake, one file per topic.

mod conservation;
mod examples;
mod faults;
mod genesis;
mod keys;
mod leaving;
mod offences;
mod serving;
mod validators;

use crate::{mock::*, HoldReason, ProviderRecord};
use assay_primitives::{
	crypto::{possession_message, InferenceId, InferencePair},
	ModelId,
};
use frame_support::traits::fungible::InspectHold;
use sp_core::Pair;
use sp_runtime::DispatchResult;

fn signed(who: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

fn model(id: u8) -> ModelId {
	ModelId([id; 32])
}

fn record(who: u64) -> ProviderRecord<u64> {
	crate::Providers::<Test>::get(who).expect("a provider")
}

fn held(who: u64) -> u128 {
	Balances::balance_on_hold(&HoldReason::Bond.into(), &who)
}

fn pair(seed: u8) -> InferencePair {
	InferencePair::from_seed(&[seed; 32])
}

fn key(seed: u8) -> InferenceId {
	pair(seed).public()
}

fn set_key(who: u64, seed: u8) -> DispatchResult {
	let proof = pair(seed).sign(&possession_message(&GENESIS, &who));
	Providers::set_inference_key(signed(who), key(seed), proof)
}

/// Makes an account a provider that can be drawn for model 1.
fn ready(who: u64, bond: u128) {
	use assay_primitives::traits::ProviderSet;
	Providers::bond(signed(who), bond).expect("it can pay");
	set_key(who, who as u8).expect("its own key");
	Providers::serve(signed(who), model(1)).expect("a model of the catalog");
	Providers::mark_alive(&who);
}

fn candidates() -> Vec<(u64, u128)> {
	use assay_primitives::traits::ProviderSet;
	Providers::candidates(&model(1))
		.into_iter()
		.map(|c| (c.who, c.weight))
		.collect()
}
