//! Validators: a bond, keys and a sign of life make one, silence or an equivocation ends it; and finality returns.

mod common;

use assay_primitives::{crypto::InferenceSignature, traits::ProviderSet};
use assay_runtime::{
	configs::tokens::TreasuryAccount, constants::currency::ASY, genesis_config_presets::BOND, AccountId, Babe, Grandpa,
	Header, Historical, Providers, Runtime, RuntimeCall, Session, SessionKeys, System, UncheckedExtrinsic,
};
use codec::{Decode, Encode};
use common::{claims::sent, signed, Chain};
use frame_support::traits::{KeyOwnerProofSystem, TypedGet};
use pallet_verification::Message;
use sp_consensus_babe::{
	digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
	AuthorityId as BabeId,
};
use sp_consensus_grandpa::{AuthorityId as GrandpaId, AuthoritySignature, ConsensusLog, GRANDPA_ENGINE_ID};
use sp_keyring::{
	Ed25519Keyring,
	Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Ferdie},
};
use sp_runtime::{generic::DigestItem, traits::Header as _, Perbill};

/// Slots of a short session.
const SHORT: u64 = 12;

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
	chain.next_session();
	assert_eq!(validators(&mut chain), accounts(&[Alice]), "its node was never seen");
	let key = set_inference_key(&mut chain, Ferdie, Ferdie, Ferdie);
	chain.good_block(vec![key]);
	show_life(&mut chain, Ferdie);
	chain.next_session();
	assert_eq!(
		validators(&mut chain),
		accounts(&[Alice]),
		"keys are queued for a session"
	);
	show_life(&mut chain, Ferdie);
	chain.next_session();
	assert_eq!(validators(&mut chain), accounts(&[Alice, Ferdie]));
	assert_eq!(chain.read(|| Babe::authorities().len()), 2);
	chain.next_session();
}

/// Makes blocks until a sign of life is due, and sends it.
fn show_life(chain: &mut Chain, who: Sr25519Keyring) {
	let account = who.to_account_id();
	while !chain.read(|| Providers::sign_of_life_due(&account)) {
		chain.idle(1);
	}
	let sign = sent(chain, &account, &[Message::SignOfLife]);
	chain.good_block(vec![sign]);
	assert!(!chain.read(|| Providers::sign_of_life_due(&account)));
}

fn set_inference_key(
	chain: &mut Chain,
	who: Sr25519Keyring,
	key: Sr25519Keyring,
	owner: Sr25519Keyring,
) -> UncheckedExtrinsic {
	chain.read(|| {
		let genesis = assay_runtime::System::block_hash(0).0;
		let message = assay_primitives::possession::possession_message(&genesis, &owner.to_account_id());
		let proof: InferenceSignature = key.sign(&message).into();
		let key = key.public().into();
		signed(who, pallet_providers::Call::set_inference_key { key, proof })
	})
}

/// Makes a session's blocks in turn by these authors, and the first of the next session. Ends with it.
fn session_of(chain: &mut Chain, authors: &[Sr25519Keyring]) {
	for author in authors.iter().cycle().take(SHORT as usize - 1) {
		chain.author = *author;
		chain.idle(1);
	}
	chain.author = authors[0];
	chain.next_session();
}

fn set_id(chain: &mut Chain) -> u64 {
	chain.read(Grandpa::current_set_id)
}

/// Returns the change of GRANDPA's set that the last block signals: whether it is forced.
fn signaled(chain: &mut Chain) -> Option<bool> {
	chain.read(|| {
		System::digest().logs.iter().find_map(|log| {
			match log.consensus_try_to::<ConsensusLog<u32>>(&GRANDPA_ENGINE_ID)? {
				ConsensusLog::ScheduledChange(_) => Some(false),
				ConsensusLog::ForcedChange(..) => Some(true),
				_ => None,
			}
		})
	})
}

#[test]
fn grandpas_set_changes_only_with_the_validators_or_their_keys() {
	let mut chain = Chain::with_sessions_of(SHORT, "local_testnet", 1).with_keystore();
	for _ in 0..4 {
		session_of(&mut chain, &[Alice, Bob, Charlie, Dave]);
		assert_eq!((set_id(&mut chain), signaled(&mut chain)), (0, None));
	}
	// With new keys the same validators are another set, and equivocations with those keys can be proved.
	let seed = Sr25519Keyring::One.to_seed().into_bytes();
	let keys = chain.read(|| {
		let generated = SessionKeys::generate(&Dave.to_account_id().encode(), Some(seed));
		let (keys, proof) = (generated.keys, generated.proof.encode());
		signed(Dave, pallet_session::Call::set_keys { keys, proof })
	});
	// Dave's last block with its old key; the loop goes on into the next session, and ends with the one after.
	chain.author = Dave;
	chain.good_block(vec![keys]);
	session_of(&mut chain, &[Alice, Bob, Charlie]);
	assert_eq!((set_id(&mut chain), signaled(&mut chain)), (1, Some(false)));
	let proof = chain.read(|| {
		let id = BabeId::from(Sr25519Keyring::One.public());
		let proof = Historical::prove((sp_consensus_babe::KEY_TYPE, id.clone())).expect("a validator's key");
		Historical::check_proof((sp_consensus_babe::KEY_TYPE, id), proof)
	});
	assert!(proof.is_some());
}

#[test]
fn a_silent_validator_loses_its_seat_and_returns_with_a_sign_of_life() {
	let mut chain = Chain::with_sessions_of(SHORT, "local_testnet", 1);
	let alive = [Alice, Bob, Charlie];
	for _ in 0..3 {
		session_of(&mut chain, &alive);
	}
	assert_eq!(validators(&mut chain), accounts(&alive));
	assert_eq!(chain.held(&Dave.to_account_id()), BOND, "silence costs no bond");
	// Its engine is down, or it serves nothing: its node runs.
	show_life(&mut chain, Dave);
	// Into the next session, and to the first block of the one after.
	session_of(&mut chain, &alive);
	assert_eq!(validators(&mut chain), accounts(&[Alice, Bob, Charlie, Dave]));
}

#[test]
fn if_finality_stalls_the_next_change_is_forced_and_only_then() {
	let mut chain = Chain::with_sessions_of(SHORT, "local_testnet", 1);
	let alive = [Alice, Bob, Charlie];
	chain.finalized = Some(1);
	let mut forced = Vec::new();
	for _ in 0..6 {
		session_of(&mut chain, &alive);
		forced.push(signaled(&mut chain) == Some(true));
		if forced.last() == Some(&true) {
			break;
		}
	}
	assert_eq!(forced.last(), Some(&true), "{forced:?}");
	assert!(forced.len() >= 3, "two sessions may be an interruption");
	// It follows the set of the finalized block, whatever was signaled since.
	assert_eq!(set_id(&mut chain), 1);
	let pending = chain.read(Grandpa::pending_change).expect("it is pending");
	assert_eq!((pending.forced, pending.next_authorities.len()), (Some(1), 3));
	// Finality returns, and nothing is forced again.
	for _ in 0..4 {
		chain.finalized = Some(chain.number() - 1);
		session_of(&mut chain, &alive);
		assert_eq!(signaled(&mut chain), None);
	}
	assert_eq!(chain.read(|| Grandpa::grandpa_authorities().len()), 3);
	assert!(chain.read(|| Grandpa::pending_change().is_none()));
}

#[test]
fn one_author_cannot_force_a_change() {
	let mut chain = Chain::with_sessions_of(SHORT, "local_testnet", 1);
	for _ in 0..8 {
		for author in [Alice, Bob, Charlie, Dave].into_iter().cycle().take(SHORT as usize - 1) {
			chain.author = author;
			let lies = author == Bob;
			chain.finalized = Some(if lies { 0 } else { chain.number().saturating_sub(2) });
			chain.idle(1);
		}
		chain.next_session();
		assert_eq!(signaled(&mut chain), None);
	}
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
	let set = |chain: &mut Chain, key: Sr25519Keyring, owner: Sr25519Keyring| {
		let transaction = set_inference_key(chain, Ferdie, key, owner);
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
