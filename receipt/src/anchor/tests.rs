//! Anchors that are read, and those that are not.

use super::*;
use crate::{
	finality::{root, Header},
	storage::unbonding_key,
};
use codec::Encode;
use serde_json::{json, Value};
use std::{collections::BTreeMap, format};

const GENESIS: Hash32 = [7; 32];

fn anchor() -> Anchor {
	Anchor {
		format: ANCHOR_FORMAT,
		chain: "A chain".into(),
		genesis: GENESIS,
		number: 0,
		hash: GENESIS,
		time: None,
		set_id: 0,
		authorities: vec![Authority {
			key: [1; 32],
			weight: 1,
		}],
		max_age: Some(100),
	}
}

#[test]
fn an_anchor_is_read_as_it_is_written() {
	let text = anchor().to_json().unwrap();
	assert_eq!(Anchor::from_json(&text), Ok(anchor()));
	for (from, to) in [
		("\"format\": 1", "\"format\": 2"),
		("\"format\": 1", "\"format\": 1, \"note\": 1"),
		("\"number\": 0", "\"number\": 0.0"),
		("\"time\": null,", ""),
		("\"weight\": 1", "\"weight\": 0"),
		("\"weight\": 1", "\"weight\": 1, \"weight\": 1"),
		("\"hash\": \"0x07", "\"hash\": \"0x08"),
		("A chain", &"x".repeat(257)),
	] {
		assert!(text.contains(from), "{from}");
		let changed = text.replacen(from, to, 1);
		assert!(
			matches!(Anchor::from_json(&changed), Err(AnchorError::Malformed(_))),
			"{to}"
		);
	}
	let long = format!("{text}{}", " ".repeat(1024 * 1024));
	assert!(matches!(Anchor::from_json(&long), Err(AnchorError::TooLong(_))));
}

#[test]
fn an_anchor_without_time_is_as_old_as_can_be() {
	let mut anchor = anchor();
	assert!(anchor.is_old(0, MaxAge::OfAnchor) && !anchor.is_old(0, MaxAge::Unlimited));
	anchor.time = Some(1_000);
	for (now, max_age, old) in [
		(1_100, MaxAge::OfAnchor, false),
		(1_101, MaxAge::OfAnchor, true),
		(0, MaxAge::OfAnchor, false),
		(1_101, MaxAge::Seconds(101), false),
		(1_051, MaxAge::Seconds(50), true),
		(u64::MAX, MaxAge::Unlimited, false),
	] {
		assert_eq!(anchor.is_old(now, max_age), old, "{now} {max_age:?}");
	}
	anchor.max_age = None;
	assert!(!anchor.is_old(u64::MAX, MaxAge::OfAnchor));
	assert!(anchor.is_old(u64::MAX, MaxAge::Seconds(1)));
}

/// Returns a raw specification with one authority, and the hash of its block 0.
fn spec() -> (Value, Hash32) {
	let key = crate::storage::authorities();
	let value = vec![([1u8; 32], 1u64)].encode();
	let top = BTreeMap::from([(key.clone(), value.clone()), (vec![1; 40], vec![2; 99])]);
	let hash = Header::genesis(root(&top)).block().hash;
	let hex = |bytes: &[u8]| const_hex::encode_prefixed(bytes);
	let top: BTreeMap<String, String> = top.iter().map(|(key, value)| (hex(key), hex(value))).collect();
	let spec = json!({
		"name": "A chain", "id": "chain", "chainType": "Live",
		"genesis": { "raw": { "top": top, "childrenDefault": {} } },
	});
	(spec, hash)
}

#[test]
fn a_specification_has_the_anchor_of_its_block_0() {
	let (spec, hash) = spec();
	let expected = Anchor {
		genesis: hash,
		hash,
		max_age: Some(UNBONDING_SECONDS),
		..anchor()
	};
	assert_eq!(Anchor::from_chain_spec(&spec.to_string()), Ok(expected));
}

#[test]
fn a_specification_with_a_checkpoint_has_its_anchor() {
	let (mut spec, genesis) = spec();
	let slot = (1u8, 0u32, 500_000_000u64, [9u8; 8]).encode();
	let digest = vec![(6u8, *b"BABE", slot), (5, *b"BABE", vec![1; 64])];
	let header = ([1u8; 32], codec::Compact(77u32), [2u8; 32], [3u8; 32], digest).encode();
	let set = (vec![([4u8; 32], 2u64), ([5; 32], 3)], 6u64, [0u8; 9]).encode();
	spec["lightSyncState"] = json!({
		"finalizedBlockHeader": const_hex::encode_prefixed(&header),
		"grandpaAuthoritySet": const_hex::encode_prefixed(&set),
		"babeEpochChanges": "0x00", "babeFinalizedBlockWeight": 1,
	});
	let anchor = Anchor::from_chain_spec(&spec.to_string()).unwrap();
	assert_eq!((anchor.genesis, anchor.number), (genesis, 77));
	assert_eq!(anchor.hash, sp_crypto_hashing::blake2_256(&header));
	assert_eq!((anchor.set_id, anchor.time), (6, Some(1_500_000_000)));
	assert_eq!(
		anchor.authorities.iter().map(|one| one.weight).collect::<Vec<_>>(),
		[2, 3]
	);
	// A small specification names the root of its state only.
	let top: BTreeMap<Vec<u8>, Vec<u8>> = spec["genesis"]["raw"]["top"]
		.as_object()
		.unwrap()
		.iter()
		.map(|(key, value)| {
			(
				const_hex::decode(key).unwrap(),
				const_hex::decode(value.as_str().unwrap()).unwrap(),
			)
		})
		.collect();
	spec["genesis"] = json!({ "stateRootHash": const_hex::encode_prefixed(root(&top)) });
	// For how long bonds stay is in the state: at least for as long as every genesis has it.
	let anchor = Anchor {
		max_age: Some(MIN_UNBONDING_SECONDS),
		..anchor
	};
	assert_eq!(Anchor::from_chain_spec(&spec.to_string()), Ok(anchor));
}

#[test]
fn an_anchor_is_good_for_as_long_as_the_genesis_keeps_bonds() {
	let (mut spec, _) = spec();
	let key = const_hex::encode_prefixed(unbonding_key());
	spec["genesis"]["raw"]["top"][key] = json!(const_hex::encode_prefixed(100_000u32.encode()));
	let anchor = Anchor::from_chain_spec(&spec.to_string()).unwrap();
	assert_eq!(anchor.max_age, Some(300_000));
	spec["chainType"] = json!("Local");
	assert_eq!(Anchor::from_chain_spec(&spec.to_string()).unwrap().max_age, None);
}

/// Changes a specification.
type Change = fn(&mut Value);

#[test]
fn specifications_without_an_anchor_are_refused_with_the_reason() {
	let cases: [(Change, &str); 9] = [
		(
			|spec| spec["genesis"] = json!({ "runtimeGenesis": {} }),
			"it is not raw",
		),
		(|spec| spec["genesis"] = json!({ "stateRootHash": "0x12" }), "no hash"),
		(
			|spec| spec["genesis"] = json!({ "stateRootHash": const_hex::encode_prefixed([1; 32]) }),
			"neither a checkpoint",
		),
		(
			|spec| spec["genesis"]["raw"]["childrenDefault"]["0x00"] = json!({}),
			"child tries",
		),
		(
			|spec| spec["genesis"]["raw"]["top"] = json!({ "0x00": "0x00" }),
			"neither a checkpoint",
		),
		(|spec| spec["genesis"]["raw"]["top"]["zz"] = json!("0x00"), "hex digits"),
		(
			|spec| {
				let key = const_hex::encode_prefixed(crate::storage::authorities());
				spec["genesis"]["raw"]["top"][key] = json!("0xff");
			},
			"unreadable",
		),
		(
			|spec| {
				let key = const_hex::encode_prefixed(unbonding_key());
				spec["genesis"]["raw"]["top"][key] = json!("0x0102");
			},
			"period is unreadable",
		),
		(
			|spec| {
				spec["lightSyncState"] = json!({ "finalizedBlockHeader": "0x00", "grandpaAuthoritySet": "0x00" });
			},
			"checkpoint is unreadable",
		),
	];
	for (change, why) in cases {
		let (mut spec, _) = spec();
		change(&mut spec);
		let error = Anchor::from_chain_spec(&spec.to_string()).unwrap_err();
		assert!(
			matches!(error, AnchorError::Spec(_)) && error.to_string().contains(why),
			"{why}: {error}"
		);
	}
	assert!(matches!(Anchor::from_chain_spec("{}"), Err(AnchorError::Malformed(_))));
	let long = " ".repeat(MAX_SPEC_BYTES + 1);
	assert!(matches!(Anchor::from_chain_spec(&long), Err(AnchorError::TooLong(_))));
}
