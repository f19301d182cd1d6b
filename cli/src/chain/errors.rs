//! Sorts subxt's errors: calls that the chain refuses, failures of the node, and runtimes that this program does not know.

use crate::error::CliError;
use subxt::{
	error::{BackendError, DispatchError, ExtrinsicError, RpcError, RuntimeApiError, StorageError},
	rpcs::UserError,
	Error,
};

/// Codes with which a node refuses a transaction that its pool did not take.
const POOL_REFUSALS: std::ops::RangeInclusive<i32> = 1001..=1020;
/// The exceptions: the pool has this very transaction, or has seen it in a block.
const POOL_KNOWS: [i32; 2] = [1012, 1013];
/// Codes of requests that a node did not carry out.
const NOT_CARRIED_OUT: [i32; 4] = [-32_700, -32_600, -32_601, -32_602];

/// Returns the error of this program for one of subxt.
pub(super) fn from_subxt(error: Error, runtime: &str) -> CliError {
	match error {
		Error::ExtrinsicError(
			ExtrinsicError::IncompatibleCodegen
			| ExtrinsicError::PalletNameNotFound(_)
			| ExtrinsicError::CallNameNotFound { .. },
		)
		| Error::RuntimeApiError(RuntimeApiError::IncompatibleCodegen)
		| Error::StorageError(StorageError::IncompatibleCodegen) => CliError::OtherRuntime {
			runtime: runtime.into(),
		},
		other => pool_refusal(&other.to_string()),
	}
}

/// Returns the error of this program for one of a plain JSON-RPC call.
pub(super) fn from_rpc(error: subxt::rpcs::Error) -> CliError {
	CliError::Node(error.to_string())
}

/// Returns the refusal of a transaction that a node surely did not take; none if it may have it.
pub(super) fn refused_by_pool(error: &ExtrinsicError) -> Option<CliError> {
	let ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(subxt::rpcs::Error::User(
		error,
	)))) = error
	else {
		return None;
	};
	let UserError { code, message, data } = error;
	let refused = POOL_REFUSALS.contains(code) && !POOL_KNOWS.contains(code) || NOT_CARRIED_OUT.contains(code);
	let reason = data.as_ref().map_or("", |data| data.get().trim_matches('"'));
	refused.then(|| pool_refusal(&format!("{message} ({code}) {reason}")))
}

/// Returns the refusal of a call that failed in a block.
pub(super) fn refused_by_block(error: &DispatchError) -> CliError {
	match error {
		DispatchError::Module(module) => CliError::refused(module.details_string()),
		DispatchError::Token(token) => CliError::refused(format!("token: {token:?}")),
		other => CliError::refused(other.to_string()),
	}
}

/// Recognizes the pool's refusals by their sentences, because they have no names.
fn pool_refusal(message: &str) -> CliError {
	let known = [
		("Inability to pay some fees", "no funds for the transaction fee"),
		("Payment", "no funds for the transaction fee"),
		("Transaction is outdated", "the nonce is used"),
		("(1014)", "another transaction waits with this nonce"),
		("(1016)", "the pool is full"),
	];
	if let Some((_, name)) = known.iter().find(|(sentence, _)| message.contains(sentence)) {
		CliError::refused(*name)
	} else if message.contains("is not found") && message.contains("AssayApi_") {
		CliError::OtherRuntime {
			runtime: "a runtime without the API of Assay".into(),
		}
	} else if message.contains("(1010)") {
		CliError::refused(message.trim())
	} else {
		CliError::Node(message.trim().into())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn an_empty_account_is_named() {
		let message =
			"RPC error: Invalid Transaction (1010): Inability to pay some fees (e.g. account balance too low)";
		let text = pool_refusal(message).to_string();
		assert!(
			text.contains("transaction fee") && text.contains("send it some ASY"),
			"{text}"
		);
	}

	#[test]
	fn a_chain_without_our_api_is_another_runtime() {
		let message = "Client error: Execution failed: Exported method AssayApi_models is not found";
		assert!(matches!(pool_refusal(message), CliError::OtherRuntime { .. }));
	}

	#[test]
	fn other_failures_are_the_nodes() {
		assert!(matches!(pool_refusal("connection closed"), CliError::Node(_)));
		let refused = refused_by_block(&DispatchError::BadOrigin).to_string();
		assert!(refused.contains("Bad origin"), "{refused}");
	}
}
