//! What can go wrong, in words that say what to do next, and the exit code of each.

use std::path::Path;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
	/// The command line cannot be carried out by any chain.
	#[error("{0}")]
	Usage(String),
	/// Nobody answers at the address.
	#[error("no node at {url} ({reason}): start one with `make dev`, or name another with --url")]
	NoNode {
		/// The address.
		url: String,
		/// What the connection said.
		reason: String,
	},
	/// The node's runtime is not the one this program was built for.
	#[error("the node runs {runtime}, whose interface is not the one this program was built for: install the `assay` of that version")]
	OtherRuntime {
		/// Name and version of the node's runtime.
		runtime: String,
	},
	/// The chain refused a call.
	#[error("the chain refuses: {name}. {next}")]
	Refused {
		/// The error's name, e.g. `Jobs::FeeTooLow`.
		name: String,
		/// What to do.
		next: String,
	},
	/// The job ended with a refund.
	#[error("{meaning} `assay receipt {job}` shows who voted what")]
	NoAnswer {
		/// What the receipt says.
		meaning: String,
		/// The job.
		job: assay_primitives::JobId,
	},
	/// The chain has no such thing.
	#[error("{0}")]
	NotFound(String),
	/// A receipt that does not hold.
	#[error("NOT VERIFIED. {0}")]
	NotVerified(String),
	/// A file that can't be read or written.
	#[error("{0}")]
	File(String),
	/// A model folder, or what was to become one, isn't as it must be.
	#[error("{0}")]
	Model(String),
	/// Ctrl-C in work that can be gone on with.
	#[error("{0}")]
	Interrupted(String),
	/// The node or the connection failed on the way.
	#[error("the node failed us: {0}. Try again, or look into its log")]
	Node(String),
}

impl CliError {
	/// A file's error with its name.
	pub(crate) fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
		Self::File(format!("{}: {reason}", path.display()))
	}

	/// A refusal with the next step that this program knows for it.
	pub(crate) fn refused(name: impl Into<String>) -> Self {
		let name = name.into();
		let next = next_step(&name).to_owned();
		Self::Refused { name, next }
	}

	/// An error about a model directory.
	pub(crate) fn folder(path: &Path, error: impl Into<assay_import::Error>) -> Self {
		let shown = path.display();
		match error.into() {
			// These name the file themselves.
			e @ assay_import::Error::Folder(assay_model_folder::Error::Io { .. }) => {
				Self::Model(format!("{e}; is {shown} a model's folder?"))
			}
			e => Self::Model(format!("{shown}: {e}")),
		}
	}

	/// 2 for a command line that makes no sense, 130 after Ctrl-C as shells have it, 1 for everything else.
	pub(crate) fn exit_code(&self) -> u8 {
		match self {
			Self::Usage(_) => 2,
			Self::Interrupted(_) => 130,
			_ => 1,
		}
	}

	/// The error's name in JSON.
	pub(crate) fn kind(&self) -> &'static str {
		match self {
			Self::Usage(_) => "usage",
			Self::NoNode { .. } => "no_node",
			Self::OtherRuntime { .. } => "other_runtime",
			Self::Refused { .. } => "refused",
			Self::NoAnswer { .. } => "no_answer",
			Self::NotFound(_) => "not_found",
			Self::NotVerified(_) => "not_verified",
			Self::File(_) => "file",
			Self::Model(_) => "model",
			Self::Interrupted(_) => "interrupted",
			Self::Node(_) => "node",
		}
	}
}

/// What to do after an error of the chain.
fn next_step(name: &str) -> &'static str {
	match name {
		"Jobs::FeeTooLow" => "Raise --max-fee, or leave it out to accept the quote",
		"Jobs::TooFewProviders" => "Ask for a smaller --committee, or see who serves the model: `assay model show`",
		"Jobs::UnknownModel" | "Models::UnknownModel" => "`assay models` lists what there is",
		"Jobs::RetiredModel" | "Models::Retired" => "The model takes no new jobs: `assay models` lists others",
		"Jobs::EmptyInput" => "Give a prompt",
		"Jobs::InputTooLong" => "Shorten the prompt, or ask a model with a longer context: `assay models`",
		"Jobs::BadParams" => "See the ranges in `assay ask --help`",
		"Jobs::BadCommitteeSize" => "Use --committee 1, 4, 7, 10 or 13, up to the chain's limit",
		"Jobs::TooManyJobs" => "The chain is busy: try again in a minute",
		"Models::AlreadyRegistered" => "The same folder is in the catalogue already: `assay models`",
		"Models::NotOwner" => "Sign with the account that registered the model (--suri)",
		"Models::NotRetired" => "Retire it first: `assay model retire`",
		"Models::StillRetained" => "Jobs asked before may still need the entry: try again later",
		"Models::RoyaltyTooHigh" => "Lower --royalty",
		"Models::UnknownParent" => "Register the parent model first, or import this one without a parent",
		"token: FundsUnavailable" | "token: NotExpendable" | "no money for the transaction fee" => {
			"The signing account has too little free money: send it some ASY, or sign with another (--suri)"
		}
		_ if name.starts_with("Providers::") => "`assay provider show` tells how the provider stands",
		_ if name.starts_with("Models::") => "`assay model show` tells how the model stands",
		_ if name.starts_with("Jobs::") => "`assay job` tells how the job stands",
		_ => "Nothing was changed",
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_error_of_a_request_names_a_next_step_of_its_own() {
		let names = [
			"FeeTooLow",
			"TooFewProviders",
			"UnknownModel",
			"RetiredModel",
			"EmptyInput",
			"InputTooLong",
		];
		for name in names {
			let text = CliError::refused(format!("Jobs::{name}")).to_string();
			assert!(text.contains(name), "{text}");
			assert!(
				!text.contains("Nothing was changed") && !text.contains("how the job stands"),
				"{text}"
			);
		}
	}

	#[test]
	fn a_missing_node_says_how_to_start_one() {
		let error = CliError::NoNode {
			url: "ws://127.0.0.1:1".into(),
			reason: "refused".into(),
		};
		let text = error.to_string();
		assert!(
			text.contains("ws://127.0.0.1:1") && text.contains("make dev") && text.contains("--url"),
			"{text}"
		);
		assert_eq!(error.exit_code(), 1);
	}

	#[test]
	fn only_a_senseless_command_line_exits_with_two() {
		assert_eq!(CliError::Usage("x".into()).exit_code(), 2);
		assert_eq!(CliError::NotVerified("x".into()).exit_code(), 1);
		assert_eq!(CliError::refused("Jobs::FeeTooLow").exit_code(), 1);
	}
}
