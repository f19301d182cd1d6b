//! Validators: a bond and session keys make one, an equivocation ends it.

mod common;

use assay_primitives::crypto::InferenceSignature;
use assay_runtime::{
	configs::tokens::TreasuryAccount, constants::currency::ASY, genesis_config_presets::BOND, AccountId, Babe, Grandpa,
	Header, Historical, Runtime, RuntimeCall, Session, SessionKeys, UncheckedExtrinsic,
};
use codec::{Decode, Encode};
use common::{signed, Chain};
use frame_support::traits::{KeyOwnerProofSystem, TypedGet};
use sp_consensus_babe::{
	digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
	AuthorityId as BabeId,
};
use sp_consensus_grandpa::{AuthorityId as GrandpaId, AuthoritySignature};
use sp_keyring::{
	Ed25519Keyring,
	Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Ferdie},
};
use sp_runtime::{generic::DigestItem, traits::Header as _, Perbill};

fn validators(chain: &mut Chain) -> Vec<AccountId> {
	let mut validators = chain.read(Session::validators);
	validators.sort_unstable();
	validators
}

fn accounts(keys: &[Sr25519Keyring]) -> Vec<AccountId> {
	let mut accounts: Vec<_> = keys.iter().map(|key| key.to_account_id()).collect();
	accounts.sort_unstable();
	accounts
}

fn set_keys(chain: &mut Chain, who: Sr25519Keyring, owner: Sr25519Keyring) -> UncheckedExtrinsic {
	chain.read(|| {
		let seed = who.to_seed().into_bytes();
		let generated = SessionKeys::generate(&owner.to_account_id().encode(), Some(seed));
		let (keys, proof) = (generated.keys, generated.proof.encode());
		signed(who, pallet_session::Call::set_keys { keys, proof })
	})
}

#[test]
fn a_bond_and_session_keys_make_a_validator_two_sessions_later() {
	let mut chain = Chain::new("development", 1).with_keystore();
	assert_eq!(validators(&mut chain), accounts(&[Alice]));
	// Ferdie is rich, but has neither.
	let keys = set_keys(&mut chain, Ferdie, Ferdie);
	chain.good_block(vec![keys]);
	let bond = chain.read(|| signed(Ferdie, pallet_providers::Call::bond { amount: 2 * BOND }));
	chain.good_block(vec![bond]);
	chain.next_session();
	assert_eq!(
		validators(&mut chain),
		accounts(&[Alice]),
		"keys are queued for a session"
	);
	chain.next_session();
	assert_eq!(validators(&mut chain), accounts(&[Alice, Ferdie]));
	assert_eq!(chain.read(|| Babe::authorities().len()), 2);
	chain.next_session();
}

#[test]
fn nobody_can_use_another_owners_session_keys() {
	let mut chain = Chain::new("development", 1).with_keystore();
	let stolen = set_keys(&mut chain, Ferdie, Bob);
	assert!(chain.block(vec![stolen]).remove(0).expect("valid").is_err());
}

#[test]
fn nobody_can_use_another_providers_inference_key() {
	let mut chain = Chain::new("development", 1);
	let bond = chain.read(|| signed(Ferdie, pallet_providers::Call::bond { amount: 10_000 * ASY }));
	chain.good_block(vec![bond]);
	let genesis = chain.read(|| assay_runtime::System::block_hash(0).0);
	let set = |chain: &mut Chain, key: Sr25519Keyring, owner: Sr25519Keyring| {
		let message = assay_primitives::possession::possession_message(&genesis, &owner.to_account_id());
		let proof: InferenceSignature = key.sign(&message).into();
		let call = pallet_providers::Call::set_inference_key {
			key: key.public().into(),
			proof,
		};
		let transaction = chain.read(|| signed(Ferdie, call));
		chain.block(vec![transaction]).remove(0).expect("valid")
	};
	assert!(set(&mut chain, Bob, Ferdie).is_err(), "Bob's key is taken");
	assert!(
		set(&mut chain, Sr25519Keyring::One, Bob).is_err(),
		"the proof names another owner"
	);
	assert!(set(&mut chain, Sr25519Keyring::One, Ferdie).is_ok());
}

/// Checks that Bob is slashed for the treasury, jailed, disabled at once, and not a validator two sessions later.
fn assert_bob_is_punished(chain: &mut Chain, treasury_before: u128) {
	let bob = Bob.to_account_id();
	// One of four: (3 ÷ 4)², as both consensus pallets have it.
	let slash = Perbill::from_rational(9u32, 16).mul_floor(BOND);
	assert_eq!(chain.held(&bob), BOND - slash);
	assert_eq!(
		chain.wealth(&<TreasuryAccount as TypedGet>::get()) - treasury_before,
		slash
	);
	let record = chain
		.read(|| pallet_providers::Providers::<Runtime>::get(&bob))
		.expect("still bonded");
	assert!(record.jailed_until.is_some());
	let disabled = chain.read(|| {
		let validators = Session::validators();
		Session::disabled_validators()
			.into_iter()
			.map(|index| validators[index as usize].clone())
			.collect::<Vec<_>>()
	});
	assert_eq!(disabled, [bob]);
	chain.next_session();
	chain.next_session();
	assert_eq!(validators(chain), accounts(&[Alice, Charlie, Dave]));
}

#[test]
fn two_blocks_in_one_slot_cost_the_author_its_bond_and_place() {
	let mut chain = Chain::new("local_testnet", 1);
	let treasury = chain.wealth(&<TreasuryAccount as TypedGet>::get());
	let report = chain.read(|| {
		let id = BabeId::from(Bob.public());
		let slot = Babe::current_slot();
		let authority_index = Babe::authorities()
			.iter()
			.position(|(a, _)| *a == id)
			.expect("a validator") as u32;
		let header = |name: u8| {
			let claim = PreDigest::SecondaryPlain(SecondaryPlainPreDigest { authority_index, slot });
			let mut header = Header::new(2, [name; 32].into(), [0; 32].into(), [0; 32].into(), Default::default());
			header
				.digest_mut()
				.push(<DigestItem as CompatibleDigestItem>::babe_pre_digest(claim));
			let signature = Bob.sign(header.hash().as_bytes()).into();
			header
				.digest_mut()
				.push(<DigestItem as CompatibleDigestItem>::babe_seal(signature));
			header
		};
		let equivocation_proof = sp_consensus_babe::EquivocationProof {
			offender: id.clone(),
			slot,
			first_header: header(1),
			second_header: header(2),
		};
		let key_owner_proof = Historical::prove((sp_consensus_babe::KEY_TYPE, id)).expect("a validator's key");
		let equivocation_proof = Box::new(equivocation_proof);
		RuntimeCall::from(pallet_babe::Call::report_equivocation_unsigned {
			equivocation_proof,
			key_owner_proof,
		})
	});
	chain.good_block(vec![UncheckedExtrinsic::new_bare(report.clone())]);
	let again = chain.block(vec![UncheckedExtrinsic::new_bare(report)]).remove(0);
	assert!(again.is_err(), "one equivocation is punished once");
	assert_bob_is_punished(&mut chain, treasury);
}

#[test]
fn two_votes_in_one_grandpa_round_cost_the_voter_its_bond_and_place() {
	let mut chain = Chain::new("local_testnet", 1);
	let treasury = chain.wealth(&<TreasuryAccount as TypedGet>::get());
	let report = chain.read(|| {
		let id = GrandpaId::from(Ed25519Keyring::Bob.public());
		let (round, set_id) = (1u64, pallet_grandpa::CurrentSetId::<Runtime>::get());
		let vote = |name: u8| {
			let prevote = ([name; 32], 2u32);
			// What a voter signs: the message (a prevote is its first kind), the round, the set.
			let signature: AuthoritySignature =
				Ed25519Keyring::Bob.sign(&(0u8, prevote, round, set_id).encode()).into();
			(prevote, signature)
		};
		let equivocation = (0u8, round, id.clone(), vote(1), vote(2)).encode();
		let equivocation = Decode::decode(&mut &equivocation[..]).expect("an equivocation of prevotes");
		let equivocation_proof = Box::new(sp_consensus_grandpa::EquivocationProof::new(set_id, equivocation));
		let key_owner_proof = Historical::prove((sp_consensus_grandpa::KEY_TYPE, id)).expect("a validator's key");
		RuntimeCall::from(pallet_grandpa::Call::report_equivocation_unsigned {
			equivocation_proof,
			key_owner_proof,
		})
	});
	chain.good_block(vec![UncheckedExtrinsic::new_bare(report)]);
	assert_bob_is_punished(&mut chain, treasury);
	assert_eq!(chain.read(|| Grandpa::grandpa_authorities().len()), 3);
}
