//! The command line.

use crate::{
	amount::{percent, q16, Asy},
	error::CliError,
	keys::{account, KeyArgs},
};
use assay_primitives::{
	hash,
	job::Stop,
	limits::{MAX_STOPS, MAX_STOP_BYTES},
	JobId, ModelId, SamplingParams,
};
use assay_receipt::Account;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Ask a model on an Assay chain, read and verify receipts, run a provider.
#[derive(Parser)]
#[command(name = "assay", version, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
	/// Where everything goes and how it is said.
	#[command(flatten)]
	pub(crate) global: Global,
	/// What to do.
	#[command(subcommand)]
	pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct Global {
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
	/// Ask a model, follow the job to its final verdict, print the answer and its receipt
	Ask(AskArgs),
	/// Print the receipt of a job
	Receipt {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
		/// Write the receipt, with prompt and answer, to a file that `assay verify` reads
		#[arg(long, value_name = "FILE")]
		save: Option<PathBuf>,
	},
	/// Recompute everything in a receipt file and compare it with a chain
	Verify {
		/// File from `--save`
		file: PathBuf,
		/// Ask no node: check only what the file can prove of itself
		#[arg(long)]
		offline: bool,
	},
	/// Show where a job stands
	Job {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
	},
	/// Remove the receipt of a job you asked and get its deposit back
	Prune {
		/// The job
		#[arg(value_parser = job)]
		job: JobId,
		#[command(flatten)]
		key: KeyArgs,
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
	/// Name or id of the model; without it the only one that is served
	#[arg(long, value_name = "MODEL")]
	pub(crate) model: Option<String>,
	/// Providers that compute the answer: 1 (nobody checks), 4, 7, 10 or 13
	#[arg(long, default_value_t = 4, value_name = "N", value_parser = committee)]
	pub(crate) committee: u32,
	#[command(flatten)]
	pub(crate) sampling: SamplingArgs,
	/// Most to pay, in ASY; without it the chain's quote
	#[arg(long, value_name = "ASY")]
	pub(crate) max_fee: Option<Asy>,
	/// Return at the verdict; do not wait until its block is finalized
	#[arg(long)]
	pub(crate) no_wait: bool,
	/// Write the receipt to a file that `assay verify` reads
	#[arg(long, value_name = "FILE")]
	pub(crate) save: Option<PathBuf>,
	#[command(flatten)]
	pub(crate) key: KeyArgs,
}

/// How tokens are chosen and when an answer ends.
#[derive(Args)]
pub(crate) struct SamplingArgs {
	/// Most tokens to generate
	#[arg(long, default_value_t = 128, value_name = "N",
		value_parser = clap::value_parser!(u32).range(1..=i64::from(assay_primitives::limits::MAX_OUTPUT_TOKENS)))]
	pub(crate) max_tokens: u32,
	/// How freely tokens are chosen, 0 to 16; 0 always takes the likeliest
	#[arg(long, default_value = "0", value_name = "X", value_parser = temperature)]
	pub(crate) temperature: u32,
	/// Choose among this many likeliest tokens only; 0 among all
	#[arg(long, default_value_t = 0, value_name = "K")]
	pub(crate) top_k: u32,
	/// Drop tokens less likely than this part of the likeliest, 0 to 1
	#[arg(long, default_value = "0", value_name = "P", value_parser = min_p)]
	pub(crate) min_p: u32,
	/// End the answer before this text; up to four times
	#[arg(long, value_name = "TEXT")]
	pub(crate) stop: Vec<String>,
}

impl SamplingArgs {
	/// As the chain and the engine take them.
	pub(crate) fn params(&self) -> Result<SamplingParams, CliError> {
		let mut params = SamplingParams::greedy(self.max_tokens);
		params.temperature = self.temperature;
		params.top_k = self.top_k;
		params.min_p = self.min_p;
		for text in &self.stop {
			if text.is_empty() {
				return Err(CliError::Usage("--stop must not be empty".into()));
			}
			let stop = Stop::try_from(text.clone().into_bytes())
				.map_err(|_| CliError::Usage(format!("--stop {text}: longer than {MAX_STOP_BYTES} bytes")))?;
			params
				.stop
				.try_push(stop)
				.map_err(|_| CliError::Usage(format!("at most {MAX_STOPS} --stop")))?;
		}
		Ok(params)
	}
}

#[derive(Subcommand)]
pub(crate) enum ModelCommand {
	/// Show a model of the chain and who serves it, or what is in a canonical folder
	Show {
		/// Name or id, or a folder with manifest.json
		model: String,
	},
	/// Make a canonical folder from a Hugging Face folder or a GGUF file
	///
	/// The work is done in OUT.partial, which becomes OUT when all is in it. Ctrl-C, a full disk or a power cut cost nothing: the same
	/// command goes on where it was.
	Import(ImportArgs),
	/// Check a canonical folder: every byte, and the known answer
	Check {
		/// Folder with manifest.json
		folder: PathBuf,
		/// Record the known answer that an import --without-answer left out
		#[arg(long)]
		record: bool,
	},
	/// Run a canonical folder on a prompt, without a chain
	Run(RunArgs),
	/// Register the model of a canonical folder (see `assay model import`)
	Register {
		/// Folder with manifest.json
		folder: PathBuf,
		/// Price of a prompt token, in ASY
		#[arg(long, value_name = "ASY")]
		price_in: Asy,
		/// Price of a generated token, in ASY
		#[arg(long, value_name = "ASY")]
		price_out: Asy,
		/// Your part of each fee, in per cent
		#[arg(long, default_value = "0", value_name = "PERCENT", value_parser = percent)]
		royalty: u32,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Set new prices for jobs asked from now on
	UpdatePrice {
		/// Name or id
		model: String,
		/// Price of a prompt token, in ASY
		#[arg(long, value_name = "ASY")]
		price_in: Asy,
		/// Price of a generated token, in ASY
		#[arg(long, value_name = "ASY")]
		price_out: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Take no new jobs for a model, for ever
	Retire {
		/// Name or id
		model: String,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Remove a retired model's entry and get its deposit back
	Remove {
		/// Name or id
		model: String,
		#[command(flatten)]
		key: KeyArgs,
	},
}

#[derive(Args)]
pub(crate) struct ImportArgs {
	/// A Hugging Face folder (config.json, safetensors in one file or in shards, tokenizer.json, a chat template), or a GGUF file
	/// with Q8_0 matrices
	pub(crate) source: PathBuf,
	/// The folder to make
	pub(crate) out: PathBuf,
	/// What people will call the model
	#[arg(long)]
	pub(crate) name: String,
	/// Who made the weights, and where they are published
	#[arg(long, default_value = "", value_name = "URL")]
	pub(crate) source_url: String,
	/// Which version of it
	#[arg(long, default_value = "")]
	pub(crate) revision: String,
	/// Licence of the weights (SPDX)
	#[arg(long, default_value = "", value_name = "SPDX")]
	pub(crate) licence: String,
	/// Id of the Assay model it was made from
	#[arg(long, value_parser = model_id, value_name = "ID")]
	pub(crate) parent: Option<ModelId>,
	/// Longest context to offer, if shorter than the model's own; a shorter one needs less memory
	#[arg(long, value_name = "N")]
	pub(crate) context_length: Option<u32>,
	/// Chat template to take instead of the source's own
	#[arg(long, value_name = "FILE")]
	pub(crate) chat_template: Option<PathBuf>,
	/// Temperature to suggest, 0 to 16
	#[arg(long, default_value = "0", value_name = "X", value_parser = temperature)]
	pub(crate) temperature: u32,
	/// Number of tokens to suggest
	#[arg(long, default_value_t = 128, value_name = "N")]
	pub(crate) max_tokens: u32,
	/// Don't run the model for its known answer, which needs memory for all of it; `assay model check --record` adds it elsewhere
	#[arg(long)]
	pub(crate) without_answer: bool,
}

#[derive(Args)]
pub(crate) struct RunArgs {
	/// Folder with manifest.json
	pub(crate) folder: PathBuf,
	/// The question, or the text to embed
	pub(crate) prompt: String,
	#[command(flatten)]
	pub(crate) sampling: SamplingArgs,
	/// 64 hex digits that decide the noise of a temperature above 0
	#[arg(long, value_parser = seed, value_name = "HEX")]
	pub(crate) seed: Option<Seed>,
	/// Don't verify the answer by prefill afterwards
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
	/// Take from the bond; the money stays slashable until the unbonding period is over
	Unbond {
		/// Amount in ASY
		amount: Asy,
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Get back what has been unbonded long enough
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
	/// Serve a model; your node must hold its folder
	Serve {
		/// Name or id
		model: String,
		/// Jobs that you take at once, all models together
		#[arg(long, value_name = "N")]
		capacity: Option<u32>,
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
	/// Leave jail, once its time is over
	Unjail {
		#[command(flatten)]
		key: KeyArgs,
	},
	/// Show a provider's bond, key, models and faults
	Show {
		/// SS58, hex or a development name
		#[arg(value_parser = account)]
		account: Account,
	},
}

fn job(text: &str) -> Result<JobId, String> {
	text.parse()
		.map_err(|_| "a job's name is 64 hex digits, with or without 0x".into())
}

fn model_id(text: &str) -> Result<ModelId, String> {
	text.parse()
		.map_err(|_| "a model's id is 64 hex digits, with or without 0x".into())
}

fn seed(text: &str) -> Result<Seed, String> {
	hash::parse(text)
		.map(Seed)
		.map_err(|_| "a seed is 64 hex digits, with or without 0x".into())
}

fn committee(text: &str) -> Result<u32, String> {
	let n = text
		.parse()
		.ok()
		.filter(|n| assay_primitives::quorum::is_committee_size(*n));
	n.ok_or_else(|| "a committee has 1, 4, 7, 10 or 13 seats".into())
}

fn temperature(text: &str) -> Result<u32, String> {
	q16(text).and_then(|t| {
		if t <= 16 << 16 {
			Ok(t)
		} else {
			Err("the temperature is at most 16".into())
		}
	})
}

fn min_p(text: &str) -> Result<u32, String> {
	q16(text).and_then(|p| {
		if p <= 1 << 16 {
			Ok(p)
		} else {
			Err("min-p is at most 1".into())
		}
	})
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
	fn the_command_line_is_sound() {
		Cli::command().debug_assert();
	}

	#[test]
	fn a_plain_question_asks_a_committee_of_four() {
		let args = ask(&["What is a receipt?"]).unwrap();
		assert_eq!((args.committee, args.sampling.temperature, args.max_fee), (4, 0, None));
	}

	#[test]
	fn numbers_out_of_range_are_refused_before_any_node_is_asked() {
		for wrong in [
			["--committee", "3"],
			["--committee", "16"],
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
	fn json_and_url_may_stand_anywhere() {
		let cli = Cli::try_parse_from(["assay", "models", "--json", "--url", "ws://x"]).unwrap();
		assert!(cli.global.json);
		assert_eq!(cli.global.url, "ws://x");
	}

	#[test]
	fn a_job_is_named_by_64_hex_digits() {
		assert!(job(&"ab".repeat(32)).is_ok() && job(&format!("0x{}", "ab".repeat(32))).is_ok());
		assert!(job("0xab").is_err() && job(&"zz".repeat(32)).is_err());
	}
}
