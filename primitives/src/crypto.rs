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

pub use crate::possession::possession_message;
