//! The command line, as clap parses it.

mod account;
mod ask;
mod model;
mod prices;
mod provider;
mod sampling;
mod serve;

pub(crate) use account::AccountCommand;
pub(crate) use ask::{AskArgs, ChatArgs, OrderArgs};
pub(crate) use model::{ImportArgs, ModelCommand, RunArgs};
pub(crate) use prices::{LeastArgs, PriceArgs, TermsArgs};
pub(crate) use provider::ProviderCommand;
pub(crate) use sampling::SamplingArgs;
pub(crate) use serve::ServeArgs;

use crate::{
	amount::{percent, Asy},
	anchors,
	keys::KeyArgs,
};
use assay_primitives::{
	assurance::{Assumptions, Corrupt},
	hash, JobId, ModelId,
};
use assay_receipt::MaxAge;
use clap::{parser::ValueSource, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::PathBuf;

/// Ask a model on an Assay chain, read and verify receipts, run a provider.
#[derive(Parser)]
#[command(name = "assay", version, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
	/// Options of all commands.
	#[command(flatten)]
	pub(crate) global: GlobalArgs,
	/// The command.
	#[command(subcommand)]
	pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct GlobalArgs {
	/// The node to talk to
	#[arg(
		long,
		global = true,
		env = "ASSAY_URL",
		default_value = "ws://127.0.0.1:9944",
		value_name = "URL"
	)]
	pub(crate) url: String,
	/// Print one JSON object on stdout, progress as JSON lines on stderr
	#[arg(long, global = true)]
	pub(crate) json: bool,
	/// Whether `--url` is on the command line, so that `assay verify` compares with that node.
	#[arg(skip)]
	pub(crate) compares: bool,
}

impl Cli {
	/// Reads the command line.
	pub(crate) fn read() -> Result<Self, clap::Error> {
		Self::read_from(std::env::args_os())
	}

	fn read_from(args: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>) -> Result<Self, clap::Error> {
		let matches = Self::command().try_get_matches_from(args)?;
		let mut cli = Self::from_arg_matches(&matches)?;
		cli.global.compares = matches.value_source("url") == Some(ValueSource::CommandLine);
		Ok(cli)
	}
}

#[derive(Subcommand)]
pub(crate) enum Command {
	/// Ask a model, follow the job to its verdict, print the answer, its receipt and what it is worth
	Ask(AskArgs),
	/// Talk with a model: each answer is a job of its own, with a receipt
	Chat(ChatArgs),
	/// Serve models over HTTP, to programs that speak OpenAI's or Anthropic's protocol; one account pays for all
	Serve(ServeArgs),
	/// Make and list accounts, whose secrets are kept in encrypted files
	#[command(subcommand)]
	Account(AccountCommand),
	/// Print the receipt of a job, and what its answer is worth
	Receipt {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
		/// Write the receipt, with prompt and answer, to a file that `assay verify` reads
		#[arg(long, value_name = "FILE")]
		save: Option<PathBuf>,
		#[command(flatten)]
		assume: AssumeArgs,
	},
	/// Verify a receipt file with no node: that its chain finalized it, and that others checked the answer
	///
	/// FINAL (exit code 0): from the anchor on, two thirds of the validators finalized a block that stores the receipt, and
	/// others have recomputed the answer and agree. NOT FINAL (4): nothing contradicts the file, and it shows less.
	/// UNVERIFIABLE (5): it contradicts itself or its evidence, or does not lead on from the anchor. With --url it is compared
	/// with a node as well.
	Verify(VerifyArgs),
	/// Print the validators of a node's newest finalized block: what `assay verify --anchor` begins at, if you trust the node
	Anchor {
		/// Write it to a file
		#[arg(long, value_name = "FILE")]
		save: Option<PathBuf>,
	},
	/// Show where a job stands
	Job {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
	},
	/// Object to an answer that you know to be false: the model's whole electorate recomputes it
	///
	/// The objection holds a bond, which is lost if the electorate upholds the answer.
	Object {
		/// The job, or its claim
		#[arg(value_name = "CLAIM-or-JOB", value_parser = claim_or_job)]
		target: Named,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Remove the receipt of a job you requested and get its deposit back
	Prune {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Show what became of a transaction whose sending was interrupted
	///
	/// Exit code 0: a block has it and it succeeded; 1: it failed, or never comes into a block; 3: it still can.
	Transaction {
		/// Its hash
		#[arg(value_parser = transaction)]
		hash: Named,
		/// The block after which it was signed
		#[arg(long, value_name = "BLOCK")]
		since: u32,
	},
	/// Print the node's chain specification as light clients take it: with a finalized block to start from
	ChainSpec,
	/// List the models that can be asked
	Models,
	/// Register and manage models
	#[command(subcommand)]
	Model(ModelCommand),
	/// Run a provider: stake, keys, models served
	#[command(subcommand)]
	Provider(ProviderCommand),
	/// Show the chain's head, its last finalized block and the node's engine
	Status,
}

/// What is assumed when an answer's worth is reckoned.
#[derive(Args, Clone, Copy)]
pub(crate) struct AssumeArgs {
	/// Part of the model's stake to assume corrupt or lazy, in per cent
	#[arg(long, default_value = "20", value_name = "PERCENT", value_parser = percent)]
	alpha: u32,
	/// Instead: part of all providers' stake to assume corrupt or lazy, all of it serving this model, in per cent
	#[arg(long, value_name = "PERCENT", value_parser = percent, conflicts_with = "alpha")]
	beta: Option<u32>,
}

impl AssumeArgs {
	/// Returns the assumptions, with the rest as it is by default.
	pub(crate) fn assumptions(&self) -> Assumptions {
		let share = |parts: u32| f64::from(parts) / 1e6;
		Assumptions {
			corrupt: match self.beta {
				Some(beta) => Corrupt::OfChain(share(beta)),
				None => Corrupt::OfModel(share(self.alpha)),
			},
			..Assumptions::default()
		}
	}
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
	/// File from `--save`
	pub(crate) file: PathBuf,
	/// What to begin at: a raw chain specification, or a file of `assay anchor`. Default: what this program keeps of the chain
	/// since it first met it
	#[arg(long, value_name = "FILE")]
	pub(crate) anchor: Option<PathBuf>,
	/// Days that the anchor may be old, or `any`. Default: the time for which validators that stop remain bonded, 7 days;
	/// `any` on development chains
	#[arg(long, value_name = "DAYS", value_parser = anchors::max_age)]
	pub(crate) max_anchor_age: Option<MaxAge>,
	/// Accept only what nobody can object to any more
	#[arg(long)]
	pub(crate) settled: bool,
	/// Least number of different providers that recomputed the answer and agree
	#[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
	pub(crate) min_verifiers: u32,
	/// Least stake of the electorate that they were drawn from
	#[arg(long, default_value = "0", value_name = "ASY")]
	pub(crate) min_stake: Asy,
	#[command(flatten)]
	pub(crate) assume: AssumeArgs,
}

/// 32 bytes that name a claim or a job, or a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) [u8; 32]);

fn job(text: &str) -> Result<JobId, String> {
	text.parse()
		.map_err(|_| "a job id is 64 hex digits, with or without 0x".into())
}

fn model_id(text: &str) -> Result<ModelId, String> {
	text.parse()
		.map_err(|_| "a model id is 64 hex digits, with or without 0x".into())
}

fn claim_or_job(text: &str) -> Result<Named, String> {
	hash::parse(text)
		.map(Named)
		.map_err(|_| "a claim or a job is named by 64 hex digits, with or without 0x".into())
}

fn transaction(text: &str) -> Result<Named, String> {
	hash::parse(text)
		.map(Named)
		.map_err(|_| "a transaction's hash is 64 hex digits, with or without 0x".into())
}

#[cfg(test)]
mod tests {
	use super::*;
	use assay_primitives::ListingId;

	fn ask(args: &[&str]) -> Result<AskArgs, String> {
		let cli = Cli::try_parse_from(["assay", "ask"].iter().chain(args)).map_err(|e| e.to_string())?;
		match cli.command {
			Command::Ask(ask) => Ok(ask),
			_ => unreachable!(),
		}
	}

	#[test]
	fn the_command_line_is_well_formed() {
		Cli::command().debug_assert();
	}

	#[test]
	fn a_plain_question_is_checked_by_two_verifiers() {
		let args = ask(&["What is a receipt?"]).unwrap();
		assert_eq!(
			(
				args.order.verifiers,
				args.order.sampling.temperature,
				args.order.max_fee
			),
			(2, 0, None)
		);
		assert_eq!(args.order.assume.assumptions(), Assumptions::default());
		assert_eq!(ask(&["hi", "--verifiers", "0"]).unwrap().order.verifiers, 0);
	}

	#[test]
	fn corruption_is_assumed_of_the_model_or_of_the_chain() {
		let corrupt = |args: &[&str]| ask(args).map(|ask| ask.order.assume.assumptions().corrupt);
		assert_eq!(corrupt(&["hi", "--alpha", "12.5%"]), Ok(Corrupt::OfModel(0.125)));
		assert_eq!(corrupt(&["hi", "--beta", "10"]), Ok(Corrupt::OfChain(0.1)));
		assert!(corrupt(&["hi", "--alpha", "10", "--beta", "10"]).is_err());
		assert!(corrupt(&["hi", "--alpha", "101"]).is_err());
	}

	#[test]
	fn a_question_names_a_model_or_a_listing() {
		assert_eq!(
			ask(&["hi", "--listing", "3"]).unwrap().order.listing,
			Some(ListingId(3))
		);
		assert!(ask(&["hi", "--listing", "x"]).is_err());
		assert!(ask(&["hi", "--listing", "3", "--model", "assay-demo"]).is_err());
	}

	#[test]
	fn a_question_is_a_text_or_a_conversation_and_never_both() {
		assert!(ask(&["--chat", "chat.json"]).is_ok() && ask(&["hi", "--system", "Be brief."]).is_ok());
		assert!(ask(&["hi", "--chat", "chat.json"]).is_err() && ask(&[]).is_err());
		assert!(ask(&["--chat", "chat.json", "--system", "Be brief."]).is_err());
		assert!(ask(&["--system", "Be brief."]).is_err());
	}

	#[test]
	fn a_question_waits_for_one_end_only() {
		assert!(ask(&["hi", "--settled"]).unwrap().settled);
		assert!(ask(&["hi", "--settled", "--no-wait"]).is_err());
	}

	#[test]
	fn verification_needs_at_least_one_verifier() {
		let verify = |args: &[&str]| Cli::try_parse_from(["assay", "verify", "f.json"].iter().chain(args));
		match verify(&["--min-verifiers", "3", "--min-stake", "1000"]).map(|cli| cli.command) {
			Ok(Command::Verify(args)) => {
				assert_eq!((args.min_verifiers, args.min_stake), (3, Asy(1000 * 10u128.pow(12))))
			}
			_ => unreachable!(),
		}
		assert!(verify(&["--min-verifiers", "0"]).is_err());
	}

	#[test]
	fn numbers_out_of_range_are_refused_without_a_node() {
		for wrong in [
			["--verifiers", "9"],
			["--verifiers", "-1"],
			["--max-tokens", "0"],
			["--max-tokens", "4097"],
			["--temperature", "17"],
			["--temperature", "-1"],
			["--min-p", "1.5"],
			["--max-fee", "1e3"],
		] {
			assert!(ask(&["hello", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
		}
	}

	#[test]
	fn json_and_url_are_accepted_anywhere() {
		let cli = Cli::read_from(["assay", "models", "--json", "--url", "ws://x"]).unwrap();
		assert!(cli.global.json && cli.global.compares);
		assert_eq!(cli.global.url, "ws://x");
		assert!(
			Cli::read_from(["assay", "--url", "ws://x", "models"])
				.unwrap()
				.global
				.compares
		);
		assert!(!Cli::read_from(["assay", "models"]).unwrap().global.compares);
	}

	#[test]
	fn a_job_id_has_64_hex_digits() {
		assert!(job(&"ab".repeat(32)).is_ok() && job(&format!("0x{}", "ab".repeat(32))).is_ok());
		assert!(job("0xab").is_err() && job(&"zz".repeat(32)).is_err());
		assert_eq!(claim_or_job(&"ab".repeat(32)), Ok(Named([0xab; 32])));
	}
}
