//! Tests of stake, one file per topic.

mod active;
mod conservation;
mod endpoints;
mod examples;
mod faults;
mod genesis;
mod keys;
mod leaving;
mod life;
mod migrations;
mod offences;
mod outages;
mod places;
mod prices;
mod sealing;
mod serving;
mod suspension;
mod validators;

use crate::{mock::*, CreditOf, HoldReason, ProviderRecord};
use assay_primitives::{
	crypto::{possession_message, InferenceId, InferencePair},
	draw::Member,
	model::Prices,
	traits::ProviderSet,
	ModelId,
};
use frame_support::traits::{
	fungible::{Balanced, InspectHold},
	Imbalance, OnInitialize,
};
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

fn bond(who: u64, amount: u128) -> DispatchResult {
	let called = Providers::bond(signed(who), amount);
	called.map(drop).map_err(|refused| refused.error)
}

fn bond_extra(who: u64, amount: u128) -> DispatchResult {
	let called = Providers::bond_extra(signed(who), amount);
	called.map(drop).map_err(|refused| refused.error)
}

/// Makes an account a provider that can be sealed into the electorate of model 1.
fn join(who: u64, bond: u128) {
	Providers::bond(signed(who), bond).expect("it can pay");
	set_key(who, who as u8).expect("its own key");
	Providers::serve(signed(who), model(1), Prices::default()).expect("a model of the catalog");
	Providers::mark_alive(&who);
}

/// Returns the validators of a first session in which every provider is alive.
fn chosen() -> Vec<u64> {
	use pallet_session::SessionManager;
	let sitting = Sitting::get();
	Sitting::set(&vec![]);
	for who in crate::Providers::<Test>::iter_keys().collect::<Vec<_>>() {
		Providers::note_sign_of_life(&who);
	}
	let chosen = <Providers as SessionManager<u64>>::new_session(1).unwrap_or_default();
	Sitting::set(&sitting);
	chosen
}

fn pairs(members: impl IntoIterator<Item = Member<u64>>) -> Vec<(u64, u128)> {
	members.into_iter().map(|member| (member.who, member.stake)).collect()
}

/// Returns whom a seal of model 1 would hold now.
fn eligible() -> Vec<(u64, u128)> {
	pairs(Providers::seal_of(&model(1), &crate::Serving::<Test>::get(model(1))).members)
}

/// Returns the electorate of a model that is in force now.
fn electorate(id: u8) -> Vec<(u64, u128)> {
	pairs(Providers::electorate(&model(id)))
}

/// Begins each block up to `end`, sealing electorates as it does.
fn run_to(end: u64) {
	while System::block_number() < end {
		let n = System::block_number() + 1;
		System::set_block_number(n);
		Providers::on_initialize(n);
	}
}

/// Puts money taken from a bond into the treasury and returns the amount.
fn bank(credit: CreditOf<Test>) -> u128 {
	let amount = credit.peek();
	let left = Balances::resolve(&TREASURY, credit)
		.err()
		.map_or(0, |credit| credit.peek());
	assert_eq!(left, 0, "the treasury can receive");
	amount
}
