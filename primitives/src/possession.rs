//! The proof of possession of an inference key.

use crate::Hash32;
use alloc::vec::Vec;
use codec::Encode;

/// Returns what a proof of possession signs: the key's owner on this chain, so that nobody can register another's key.
pub fn possession_message<AccountId: Encode>(genesis: &Hash32, owner: &AccountId) -> Vec<u8> {
	(b"assay/v1/possession", genesis, owner).encode()
}
