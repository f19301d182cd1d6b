//! The command line, as clap parses it.

mod prices;
mod sampling;

pub(crate) use prices::{LeastArgs, PriceArgs, TermsArgs};
pub(crate) use sampling::SamplingArgs;

use crate::{
	amount::{percent, Asy},
	keys::{account, KeyArgs},
};
use assay_primitives::{
	assurance::{Assumptions, Corrupt},
	hash, JobId, ListingId, ModelId,
};
use assay_receipt::Account;
use clap::{Args, Parser, Subcommand};
use sampling::temperature;
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
}

#[derive(Subcommand)]
pub(crate) enum Command {
	/// Ask a model, follow the job to its verdict, print the answer, its receipt and what it is worth
	Ask(AskArgs),
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
	/// Recompute everything in a receipt file, compare it with a chain, and say whether the answer was checked
	///
	/// VERIFIED, with exit code 0, is said only of an answer that others have recomputed and agree with.
	Verify(VerifyArgs),
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

#[derive(Args)]
pub(crate) struct AskArgs {
	/// The question
	pub(crate) prompt: String,
	/// Name or id of the model, at the listing that is cheapest for this question; without it the only one that is served
	#[arg(long, value_name = "MODEL")]
	pub(crate) model: Option<String>,
	/// Instead: one listing of a model, by its number in `assay models`
	#[arg(long, value_name = "N", conflicts_with = "model")]
	pub(crate) listing: Option<ListingId>,
	/// Verifiers that recompute the answer, drawn after it is published: 0 (nobody checks it) to 8
	#[arg(long, default_value_t = 2, value_name = "N",
		value_parser = clap::value_parser!(u8).range(0..=i64::from(assay_primitives::limits::MAX_VERIFIERS)))]
	pub(crate) verifiers: u8,
	#[command(flatten)]
	pub(crate) sampling: SamplingArgs,
	/// Most to pay, in ASY; without it the chain's quote
	#[arg(long, value_name = "ASY")]
	pub(crate) max_fee: Option<Asy>,
	/// Return at the verdict; do not wait until its block is finalized
	#[arg(long)]
	pub(crate) no_wait: bool,
	/// Wait until the job is settled: nobody can object any more, and an audit had its chance
	#[arg(long, conflicts_with = "no_wait")]
	pub(crate) settled: bool,
	/// Write the receipt to a file that `assay verify` reads
	#[arg(long, value_name = "FILE")]
	pub(crate) save: Option<PathBuf>,
	#[command(flatten)]
	pub(crate) assume: AssumeArgs,
	#[command(flatten)]
	pub(crate) key: KeyArgs,
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
	/// Use no node: check only what the file proves by itself
	#[arg(long)]
	pub(crate) offline: bool,
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

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
	/// Show a model of the chain and who serves it, or the contents of a model directory
	Show {
		/// Name or id, or a directory with manifest.json
		model: String,
	},
	/// Make a model directory from a Hugging Face directory or a GGUF file
	///
	/// The import writes to OUT.partial, which becomes OUT when it is complete. After Ctrl-C, a full disk or a power cut the same
	/// command goes on where it was.
	Import(ImportArgs),
	/// Check a model directory: every byte, and the known answer
	Check {
		/// Directory with manifest.json
		#[arg(value_name = "DIR")]
		directory: PathBuf,
		/// Record the known answer that an import --without-answer left out
		#[arg(long)]
		record: bool,
	},
	/// Run a model directory on a prompt, without a chain
	Run(RunArgs),
	/// Register the model of a model directory (see `assay model import`), and list it
	Register {
		/// Directory with manifest.json
		#[arg(value_name = "DIR")]
		directory: PathBuf,
		#[command(flatten)]
		terms: TermsArgs,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// List a registered model on your own terms
	List {
		/// Name or id
		model: String,
		#[command(flatten)]
		terms: TermsArgs,
		/// Hold at least this much. A full list has room for twice its smallest deposit
		#[arg(long, default_value = "0", value_name = "ASY")]
		deposit: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Set new prices of a listing, in force after a day; each at most doubles or halves
	UpdatePrice {
		/// Number of the listing, as `assay models` shows it
		listing: ListingId,
		#[command(flatten)]
		prices: PriceArgs,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Take no new jobs at a listing, forever
	Retire {
		/// Number of the listing
		listing: ListingId,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Remove a retired listing and get its deposit back
	Remove {
		/// Number of the listing
		listing: ListingId,
		#[command(flatten)]
		key: KeyArgs,
	},
}

#[derive(Args)]
pub(crate) struct ImportArgs {
	/// A Hugging Face directory (config.json, safetensors in one file or in shards, tokenizer.json, a chat template), or a GGUF
	/// file with Q8_0 matrices
	pub(crate) source: PathBuf,
	/// The directory to make
	pub(crate) out: PathBuf,
	/// Name of the model
	#[arg(long)]
	pub(crate) name: String,
	/// Where the weights are published
	#[arg(long, default_value = "", value_name = "URL")]
	pub(crate) source_url: String,
	/// Revision of the source
	#[arg(long, default_value = "")]
	pub(crate) revision: String,
	/// License of the weights (SPDX)
	#[arg(long, default_value = "", value_name = "SPDX")]
	pub(crate) license: String,
	/// Id of the Assay model that it was made from
	#[arg(long, value_parser = model_id, value_name = "ID")]
	pub(crate) parent: Option<ModelId>,
	/// Longest context to offer, if shorter than the model's own; a shorter one needs less memory
	#[arg(long, value_name = "N")]
	pub(crate) context_length: Option<u32>,
	/// Chat template to use instead of the source's own
	#[arg(long, value_name = "FILE")]
	pub(crate) chat_template: Option<PathBuf>,
	/// Temperature to suggest, 0 to 16
	#[arg(long, default_value = "0", value_name = "X", value_parser = temperature)]
	pub(crate) temperature: u32,
	/// Number of tokens to suggest
	#[arg(long, default_value_t = 128, value_name = "N")]
	pub(crate) max_tokens: u32,
	/// Do not run the model for its known answer, which needs memory for all of it; `assay model check --record` adds it later
	#[arg(long)]
	pub(crate) without_answer: bool,
}

#[derive(Args)]
pub(crate) struct RunArgs {
	/// Directory with manifest.json
	#[arg(value_name = "DIR")]
	pub(crate) directory: PathBuf,
	/// The question, or the text to embed
	pub(crate) prompt: String,
	#[command(flatten)]
	pub(crate) sampling: SamplingArgs,
	/// Sampling seed of 64 hex digits, for a temperature above 0
	#[arg(long, value_parser = seed, value_name = "HEX")]
	pub(crate) seed: Option<Seed>,
	/// Do not verify the answer by prefill afterwards
	#[arg(long)]
	pub(crate) no_verify: bool,
}

/// A sampling seed.
#[derive(Clone, Copy)]
pub(crate) struct Seed(pub(crate) [u8; 32]);

#[derive(Subcommand)]
pub(crate) enum ProviderCommand {
	/// Become a provider with a bond
	Bond {
		/// Amount in ASY
		amount: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Add to the bond
	BondExtra {
		/// Amount in ASY
		amount: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Take from the bond; the amount can be slashed until the unbonding period is over
	Unbond {
		/// Amount in ASY
		amount: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Withdraw what has been unbonded long enough
	Withdraw {
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Set the inference key, with which your node signs votes
	SetKey {
		/// Secret of the inference key, in the forms of --suri
		#[arg(long, env = "ASSAY_INFERENCE_SURI", hide_env_values = true, value_name = "SECRET")]
		inference_suri: String,
		/// Give the key to the node too (the node must allow unsafe RPC)
		#[arg(long)]
		insert: bool,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Serve a model; your node must have its directory
	Serve {
		/// Name or id
		model: String,
		/// Jobs that you take at once, for all models together
		#[arg(long, value_name = "N")]
		capacity: Option<u32>,
		#[command(flatten)]
		least: LeastArgs,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Set the least prices at which you execute jobs of a model; you check at any price
	LeastPrice {
		/// Name or id
		model: String,
		#[command(flatten)]
		least: LeastArgs,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Serve a model no longer
	Stop {
		/// Name or id
		model: String,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Declare that you vote again, after lapses or a suspension: your stake is sealed from the next electorates on
	Ready {
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Make blocks too: have the node make session keys, and register them
	///
	/// The node must allow unsafe RPC methods from here. Earlier session keys of the account are replaced.
	Validate {
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Validate again after an offence against consensus, once the time in jail is over
	Unjail {
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Show a provider's bond, sealed stake, key, models, suspension and fines
	Show {
		/// SS58, hex or a development name
		#[arg(value_parser = account)]
		account: Account,
	},
}

fn job(text: &str) -> Result<JobId, String> {
	text.parse()
		.map_err(|_| "a job id is 64 hex digits, with or without 0x".into())
}

fn model_id(text: &str) -> Result<ModelId, String> {
	text.parse()
		.map_err(|_| "a model id is 64 hex digits, with or without 0x".into())
}

fn seed(text: &str) -> Result<Seed, String> {
	hash::parse(text)
		.map(Seed)
		.map_err(|_| "a seed is 64 hex digits, with or without 0x".into())
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
	use clap::CommandFactory;

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
		assert_eq!((args.verifiers, args.sampling.temperature, args.max_fee), (2, 0, None));
		assert_eq!(args.assume.assumptions(), Assumptions::default());
		assert_eq!(ask(&["hi", "--verifiers", "0"]).unwrap().verifiers, 0);
	}

	#[test]
	fn corruption_is_assumed_of_the_model_or_of_the_chain() {
		let corrupt = |args: &[&str]| ask(args).map(|ask| ask.assume.assumptions().corrupt);
		assert_eq!(corrupt(&["hi", "--alpha", "12.5%"]), Ok(Corrupt::OfModel(0.125)));
		assert_eq!(corrupt(&["hi", "--beta", "10"]), Ok(Corrupt::OfChain(0.1)));
		assert!(corrupt(&["hi", "--alpha", "10", "--beta", "10"]).is_err());
		assert!(corrupt(&["hi", "--alpha", "101"]).is_err());
	}

	#[test]
	fn a_question_names_a_model_or_a_listing() {
		assert_eq!(ask(&["hi", "--listing", "3"]).unwrap().listing, Some(ListingId(3)));
		assert!(ask(&["hi", "--listing", "x"]).is_err());
		assert!(ask(&["hi", "--listing", "3", "--model", "assay-demo"]).is_err());
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
			["--max-tokens", "1025"],
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
		let cli = Cli::try_parse_from(["assay", "models", "--json", "--url", "ws://x"]).unwrap();
		assert!(cli.global.json);
		assert_eq!(cli.global.url, "ws://x");
	}

	#[test]
	fn a_job_id_has_64_hex_digits() {
		assert!(job(&"ab".repeat(32)).is_ok() && job(&format!("0x{}", "ab".repeat(32))).is_ok());
		assert!(job("0xab").is_err() && job(&"zz".repeat(32)).is_err());
		assert_eq!(claim_or_job(&"ab".repeat(32)), Ok(Named([0xab; 32])));
	}
}
