//! The inference key: the application key with which a provider's node signs votes.

use sp_core::crypto::KeyTypeId;

/// Key type of inference keys in a node's keystore.
pub const INFERENCE_KEY_TYPE: KeyTypeId = KeyTypeId(*b"infr");

mod app {
	use sp_application_crypto::{app_crypto, sr25519};
	app_crypto!(sr25519, super::INFERENCE_KEY_TYPE);
}

/// Public inference key (sr25519).
pub type InferenceId = app::Public;
/// Signature by an inference key.
pub type InferenceSignature = app::Signature;

#[cfg(feature = "std")]
sp_application_crypto::with_pair! {
	/// Inference key pair.
	pub type InferencePair = app::Pair;
}

/// What a proof of possession signs: the key's owner on this chain, so that nobody can register another's key.
pub fn possession_message<AccountId: codec::Encode>(genesis: &crate::Hash32, owner: &AccountId) -> alloc::vec::Vec<u8> {
	codec::Encode::encode(&(b"assay/v1/possession", genesis, owner))
}
