//! Errors of the chain and of the node, as the gateway names them.

use crate::error::CliError;
use assay_gateway::network::NetworkError;

/// Returns the gateway's error for one of this program.
pub(super) fn network_error(error: &CliError) -> NetworkError {
	let text = error.to_string();
	let refused = |param| NetworkError::Refused {
		param,
		reason: text.clone(),
	};
	match error {
		CliError::Refused { name, .. } => match name.as_str() {
			"Jobs::NoProvider"
			| "Jobs::NoVerifier"
			| "Jobs::NobodyWilling"
			| "Jobs::TooFewWilling"
			| "Jobs::TooManyJobs" => NetworkError::NoProvider(text),
			"Jobs::EmptyInput" | "Jobs::InputTooLong" | "Jobs::InputNotUtf8" | "Jobs::BadChat" => {
				refused(Some("messages"))
			}
			"Jobs::BadParams" => refused(Some("max_tokens")),
			"Jobs::TooManyVerifiers" | "Verification::TooManyVerifiers" => refused(Some("verifiers")),
			"Jobs::UnknownModel" | "Jobs::RetiredModel" | "Models::UnknownModel" => refused(Some("model")),
			"token: FundsUnavailable" | "token: NotExpendable" | "no funds for the transaction fee" => {
				NetworkError::Unfunded(text)
			}
			// Of the account's other transactions, or of a crowded pool: the same request is taken later.
			"the nonce is used" | "another transaction waits with this nonce" | "the pool is full" => {
				NetworkError::Unreachable(text)
			}
			_ => refused(None),
		},
		CliError::NoNode { .. } | CliError::Node(_) => NetworkError::Unreachable(text),
		_ => NetworkError::Internal(text),
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_refusal_of_a_request_is_named_by_what_has_to_change() {
		let of = |name: &str| network_error(&CliError::refused(name));
		for name in ["NoProvider", "NoVerifier", "NobodyWilling", "TooFewWilling"] {
			assert!(matches!(of(&format!("Jobs::{name}")), NetworkError::NoProvider(_)));
		}
		for (name, field) in [
			("Jobs::BadChat", "messages"),
			("Jobs::InputTooLong", "messages"),
			("Jobs::BadParams", "max_tokens"),
			("Jobs::TooManyVerifiers", "verifiers"),
			("Jobs::RetiredModel", "model"),
		] {
			assert!(
				matches!(of(name), NetworkError::Refused { param: Some(p), .. } if p == field),
				"{name}"
			);
		}
		assert!(matches!(of("token: FundsUnavailable"), NetworkError::Unfunded(_)));
		assert!(matches!(of("the nonce is used"), NetworkError::Unreachable(_)));
		assert!(matches!(
			network_error(&CliError::Node("gone".into())),
			NetworkError::Unreachable(_)
		));
	}
}
