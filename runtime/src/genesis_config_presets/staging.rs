//! `staging`: a template of a public chain. No sudo key: root is the council's, after a delay. And keys that nobody holds.
//!
//! Every account and key is a hash of its own description, so nobody knows a secret for it: a chain started from the
//! preset as it is makes no block. To launch one, export the spec (`assay-node export-chain-spec --chain staging`), put
//! in the real founders' accounts, session keys, inference keys and balances, and start that file.

use super::Founder;
use crate::{AccountId, SessionKeys};
use alloc::{format, vec::Vec};
use assay_primitives::Hash32;
use serde_json::Value;
use sp_core::{ed25519, sr25519};
use sp_runtime::traits::{BlakeTwo256, Hash};

/// Name of the preset.
pub const STAGING_RUNTIME_PRESET: &str = "staging";

/// Founders of the template: the least of which one can be convicted by the others.
const FOUNDERS: u32 = 4;

fn placeholder(purpose: &str, number: u32) -> Hash32 {
	let description = format!("assay/staging/replace before launch/{purpose}/{number}");
	BlakeTwo256::hash(description.as_bytes()).0
}

fn founder(number: u32) -> Founder {
	let sr25519 = |purpose| sr25519::Public::from_raw(placeholder(purpose, number));
	Founder {
		account: AccountId::new(placeholder("account", number)),
		inference_key: sr25519("inference").into(),
		session_keys: Some(SessionKeys {
			babe: sr25519("babe").into(),
			grandpa: ed25519::Public::from_raw(placeholder("grandpa", number)).into(),
			authority_discovery: sr25519("authority discovery").into(),
		}),
	}
}

pub(super) fn genesis() -> Option<Value> {
	let founders: Vec<_> = (1..=FOUNDERS).map(founder).collect();
	super::genesis(
		&founders,
		Vec::new(),
		AccountId::new(placeholder("model owner", 0)),
		None,
	)
}
