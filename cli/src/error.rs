//! Errors that name the next step, and the exit code of each.

use crate::{
	chain::{last_block, Sent},
	keys::name_of,
};
use assay_primitives::JobId;
use serde_json::{json, Value};
use std::path::Path;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
	/// No chain could carry out this command line.
	#[error("{0}")]
	Usage(String),
	/// No node answers at the address.
	#[error(
		"no node at {url} ({reason}): one that was just started takes a moment to answer; start one with `make dev`, or name \
		 another with --url"
	)]
	NoNode {
		/// The address.
		url: String,
		/// The connection's error.
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
		/// What the receipt means.
		meaning: String,
		/// The job.
		job: JobId,
	},
	/// What became of a transaction is not known: it may be executed.
	#[error(
		"the transaction may be in a block, or come into one until block {}: {reason}. Look before you try again, with \
		 `assay transaction {} --since {}`; or repeat the command with --nonce {}: of {}'s transactions with it, one at most is executed",
		last_block(.sent.since), const_hex::encode_prefixed(.sent.hash), .sent.since, .sent.nonce, name_of(&.sent.account)
	)]
	Sent {
		/// Why it is not known.
		reason: String,
		/// The transaction.
		sent: Box<Sent>,
	},
	/// A job was requested, and the program lost sight of it.
	#[error(
		"job {job} is requested and goes on without this program: {reason}. Look before you ask again: `assay job {job}` shows \
		 where it stands, `assay receipt {job}` the answer once it has a verdict"
	)]
	Requested {
		/// Why it ended before the job.
		reason: String,
		/// The job.
		job: JobId,
	},
	/// A transaction can still come into a block, or leave one.
	#[error("{0}")]
	Open(String),
	/// The chain does not store what was named.
	#[error("{0}")]
	NotFound(String),
	/// A receipt does not hold.
	#[error("NOT VERIFIED. {0}")]
	NotVerified(String),
	/// A file cannot be read or written.
	#[error("{0}")]
	File(String),
	/// A model directory, or the source of one, is not valid.
	#[error("{0}")]
	Model(String),
	/// Ctrl-C stopped a command that can be resumed.
	#[error("{0}")]
	Interrupted(String),
	/// The node or the connection failed.
	#[error("the node failed: {0}. Try again, or read its log")]
	Node(String),
}

impl CliError {
	/// Returns an error of a file, with its path.
	pub(crate) fn file(path: &Path, reason: impl std::fmt::Display) -> Self {
		Self::File(format!("{}: {reason}", path.display()))
	}

	/// Returns a refusal with the next step that this program knows for it.
	pub(crate) fn refused(name: impl Into<String>) -> Self {
		let name = name.into();
		let next = next_step(&name).to_owned();
		Self::Refused { name, next }
	}

	/// Returns an error about a model directory.
	pub(crate) fn model_directory(path: &Path, error: impl Into<assay_import::Error>) -> Self {
		let shown = path.display();
		match error.into() {
			// These name the file themselves.
			e @ assay_import::Error::Folder(assay_model_folder::Error::Io { .. }) => {
				Self::Model(format!("{e}; is {shown} a model directory?"))
			}
			e => Self::Model(format!("{shown}: {e}")),
		}
	}

	/// Returns this error as that of a command that had sent a transaction.
	pub(crate) fn of_sent(self, sent: Sent) -> Self {
		match self {
			// The chain or the node's pool has decided.
			Self::Refused { .. } => self,
			error => Self::Sent {
				reason: error.reason(),
				sent: Box::new(sent),
			},
		}
	}

	/// Returns this error as that of a command that had requested a job.
	pub(crate) fn of_job(self, job: JobId) -> Self {
		match self {
			Self::NoAnswer { .. } | Self::NotVerified(_) => self,
			error => Self::Requested {
				reason: error.reason(),
				job,
			},
		}
	}

	/// Returns what went wrong, without a next step.
	fn reason(&self) -> String {
		match self {
			// The innermost of the nested errors names the cause.
			Self::Node(reason) => format!(
				"the node failed: {}",
				reason.rsplit("error: ").next().unwrap_or_default()
			),
			error => error.to_string(),
		}
	}

	/// Returns 2 for a command line that is not valid, 3 if something may be paid and is not known to be, 130 after Ctrl-C as shells
	/// do, and 1 for everything else.
	pub(crate) fn exit_code(&self) -> u8 {
		match self {
			Self::Usage(_) => 2,
			Self::Sent { .. } | Self::Requested { .. } | Self::Open(_) => 3,
			Self::Interrupted(_) => 130,
			_ => 1,
		}
	}

	/// Returns the error's name in JSON.
	pub(crate) fn kind(&self) -> &'static str {
		match self {
			Self::Usage(_) => "usage",
			Self::NoNode { .. } => "no_node",
			Self::OtherRuntime { .. } => "other_runtime",
			Self::Refused { .. } => "refused",
			Self::NoAnswer { .. } => "no_answer",
			Self::Sent { .. } => "sent",
			Self::Requested { .. } => "requested",
			Self::Open(_) => "open",
			Self::NotFound(_) => "not_found",
			Self::NotVerified(_) => "not_verified",
			Self::File(_) => "file",
			Self::Model(_) => "model",
			Self::Interrupted(_) => "interrupted",
			Self::Node(_) => "node",
		}
	}

	/// Returns the error in JSON: its name, its text, and the transaction or job that it is about.
	pub(crate) fn json(&self) -> Value {
		let mut json = json!({ "kind": self.kind(), "message": self.to_string() });
		match self {
			Self::Sent { sent, .. } => json["transaction"] = json!(sent),
			Self::Requested { job, .. } | Self::NoAnswer { job, .. } => json["job"] = json!(job),
			_ => {}
		}
		json
	}
}

/// Returns what to do after an error of the chain.
fn next_step(name: &str) -> &'static str {
	match name {
		"Jobs::FeeTooLow" => "Raise --max-fee, or leave it out to accept the quote",
		"Jobs::NoProvider" => {
			"Nobody serves the model in the electorate that is in force; a new provider is in it within ten minutes: \
			 `assay model show`"
		}
		"Jobs::NoVerifier" => {
			"Nobody but the executor serves the model, so nobody could check it: wait for others, or take --verifiers 0 \
			 and an answer that nobody checks"
		}
		"Jobs::UnknownModel" | "Models::UnknownModel" => "`assay models` lists what there is",
		"Jobs::RetiredModel" => "No listing of the model takes new jobs: `assay models` lists others",
		"Jobs::UnknownListing" | "Models::UnknownListing" => "`assay models` lists what there is",
		"Jobs::RetiredListing" | "Models::Retired" => {
			"The listing takes no new jobs: `assay models` lists others, --model takes the cheapest"
		}
		"Jobs::NobodyWilling" => "Nobody executes at that price: `assay model show` shows the listings and who is willing",
		"Jobs::TooFewWilling" => {
			"Those who execute at that price hold less than two thirds of the stake: choose another listing \
			 (`assay model show`), or take --verifiers 0 and an answer that nobody checks"
		}
		"Jobs::EmptyInput" => "Give a prompt",
		"Jobs::InputTooLong" => "Shorten the prompt, or ask a model with a longer context: `assay models`",
		"Jobs::BadParams" => "See the ranges in `assay ask --help`",
		"Jobs::BadChat" => "Give a conversation as OpenAI's clients write it: an object with `messages`",
		"Jobs::InputNotUtf8" => "Give the prompt as UTF-8 text",
		"Jobs::TooManyVerifiers" | "Verification::TooManyVerifiers" => "Ask for at most 8: --verifiers",
		"Jobs::TooManyJobs" => "The chain is busy: try again in a minute",
		"Jobs::UnknownReceipt" => "It was never requested here, or its receipt is pruned",
		"Jobs::NotFinal" => "Its answer may still be disputed: prune it when it is settled, `assay job` shows when",
		"Jobs::NotFinalized" => {
			"The chain does not know yet that the block in which the job ended is finalized: try again in the next session, \
			 within half an hour unless finality stands still"
		}
		"Jobs::StillRetained" => "Only who asked may prune it now: sign with that account (--suri)",
		"Jobs::WrongClaim" => "The job was drawn again, or on another fork: `assay job` shows its claim",
		"Verification::UnknownClaim" => "It was never published here, or it has ended and nobody can object any more",
		"Verification::AlreadyDisputed" => "A claim is disputed once: `assay receipt` shows how it ended",
		"Verification::WrongState" => "One can object once there is a verdict, until the job is settled: `assay job`",
		"Verification::WindowClosed" => "The time for objections is over",
		"Verification::IsParty" => "Who executed a claim, or voted on it, has said what it thinks of it",
		"Verification::MayNotObject" => "Bonded providers and whoever asked may object: sign with such an account (--suri)",
		"Verification::OtherOutput" => "The claim has another output than the one that this program saw: try again",
		"Payments::AlreadyObjected" => "Somebody has objected already: `assay receipt` shows how it ends",
		"Providers::Suspended" => "The bond is frozen until a conviction is carried out or canceled: `assay provider show`",
		"Models::AlreadyRegistered" => "The same model is in the catalog already: `assay model list` lists it on your terms",
		"Models::NotOwner" => "Sign with the account that listed the model (--suri)",
		"Models::PriceTooHigh" => "Lower --price-in and --price-out: a token costs at most 1 ASY",
		"Models::PriceStepTooLarge" => "A price doubles or halves at most: change it again when this change is in force",
		"Models::DepositTooSmall" => "The list is full: hold twice its smallest deposit (--deposit, `assay model show`)",
		"Models::NotRetired" => "Retire it first: `assay model retire`",
		"Models::StillRetained" => "Earlier jobs may still need the entry: try again later",
		"Models::RoyaltyTooHigh" => "Lower --royalty",
		"Models::UnknownParent" => "Register the parent model first, or import this one without a parent",
		"token: FundsUnavailable" | "token: NotExpendable" | "no funds for the transaction fee" => {
			"The signing account has too little free balance: send it some ASY, or sign with another (--suri)"
		}
		"the nonce is used" => {
			"An earlier transaction of the account with it is in a block: `assay transaction` shows what became of it; without \
			 --nonce the command is executed besides it"
		}
		"another transaction waits with this nonce" => {
			"The node has an earlier one of the account: `assay transaction` shows what becomes of it; without --nonce the \
			 command is executed besides it"
		}
		"the pool is full" => "Nothing was sent: try again in a minute",
		_ if name.starts_with("Providers::") => "`assay provider show` shows the state of the provider",
		_ if name.starts_with("Verification::") => "`assay receipt` shows the state of the claim",
		_ if name.starts_with("Models::") => "`assay model show` shows the state of the model",
		_ if name.starts_with("Jobs::") => "`assay job` shows the state of the job",
		_ => "Nothing was changed",
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn every_error_of_a_request_names_its_own_next_step() {
		let names = [
			"FeeTooLow",
			"NoProvider",
			"NoVerifier",
			"TooManyVerifiers",
			"BadParams",
			"TooManyJobs",
			"UnknownModel",
			"RetiredModel",
			"UnknownListing",
			"RetiredListing",
			"NobodyWilling",
			"TooFewWilling",
			"EmptyInput",
			"InputTooLong",
			"BadChat",
		];
		for name in names {
			let text = CliError::refused(format!("Jobs::{name}")).to_string();
			assert!(text.contains(name), "{text}");
			assert!(
				!text.contains("Nothing was changed") && !text.contains("state of the job"),
				"{text}"
			);
		}
	}

	#[test]
	fn every_error_of_an_objection_names_its_own_next_step() {
		let names = [
			"UnknownClaim",
			"AlreadyDisputed",
			"WrongState",
			"WindowClosed",
			"IsParty",
			"MayNotObject",
			"OtherOutput",
		];
		for name in names {
			let text = CliError::refused(format!("Verification::{name}")).to_string();
			assert!(
				!text.contains("Nothing was changed") && !text.contains("state of the claim"),
				"{text}"
			);
		}
	}

	#[test]
	fn a_missing_node_names_the_command_that_starts_one() {
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
	fn only_an_invalid_command_line_exits_with_two() {
		assert_eq!(CliError::Usage("x".into()).exit_code(), 2);
		assert_eq!(CliError::NotVerified("x".into()).exit_code(), 1);
		assert_eq!(CliError::refused("Jobs::FeeTooLow").exit_code(), 1);
	}
}
