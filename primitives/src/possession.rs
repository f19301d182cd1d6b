//! What an inference key signs to show that its owner holds it.

use crate::Hash32;
use alloc::vec::Vec;
use codec::Encode;

/// What a proof of possession signs: the key's owner on this chain, so that nobody can register another's key.
pub fn possession_message<AccountId: Encode>(genesis: &Hash32, owner: &AccountId) -> Vec<u8> {
	(b"assay/v1/possession", genesis, owner).encode()
}
