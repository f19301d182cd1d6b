//! Sorts subxt's errors: calls that the chain refuses, failures of the node, and runtimes that this program does not know.

use crate::error::CliError;
use subxt::{
	error::{DispatchError, ExtrinsicError, RuntimeApiError, StorageError, TransactionEventsError},
	Error,
};

/// Returns the error of this program for one of subxt.
pub(super) fn from_subxt(error: Error, runtime: &str) -> CliError {
	match error {
		Error::TransactionEventsError(TransactionEventsError::ExtrinsicFailed(error)) => from_dispatch(&error),
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

fn from_dispatch(error: &DispatchError) -> CliError {
	match error {
		DispatchError::Module(module) => CliError::refused(module.details_string()),
		DispatchError::Token(token) => CliError::refused(format!("token: {token:?}")),
		other => CliError::refused(other.to_string()),
	}
}

/// Recognizes the pool's refusals by their sentences, because they have no names.
pub(super) fn pool_refusal(message: &str) -> CliError {
	if message.contains("Inability to pay some fees") || message.contains("Payment") {
		CliError::refused("no funds for the transaction fee")
	} else if message.contains("is not found") && message.contains("AssayApi_") {
		CliError::OtherRuntime {
			runtime: "a runtime without the API of Assay".into(),
		}
	} else {
		CliError::Node(message.into())
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
		let refused = from_dispatch(&DispatchError::BadOrigin).to_string();
		assert!(refused.contains("Bad origin"), "{refused}");
	}
}
