//! The options of `assay model`.

use super::{
	model_id,
	prices::{PriceArgs, TermsArgs},
	sampling::{temperature, SamplingArgs},
};
use crate::{amount::Asy, keys::KeyArgs};
use assay_model_folder::formats::Format;
use assay_primitives::{hash, ListingId, ModelId};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
	/// A Hugging Face directory (config.json, safetensors in one file or in shards, tokenizer.json, a chat template), of floats or
	/// packed by AWQ or GPTQ, or a GGUF file
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
	/// Format of the layers' matrices that have none yet: w8, w8-128, w4, w4z-32, w4z-64 or w4z-128
	///
	/// What has one of these formats already keeps it: Q8_0, Q4_0, IQ4_NL and MXFP4 of GGUF, AWQ and GPTQ. The embedding and the
	/// output layer become w8.
	#[arg(long, default_value = "w8", value_name = "FORMAT")]
	pub(crate) weights: Format,
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

fn seed(text: &str) -> Result<Seed, String> {
	hash::parse(text)
		.map(Seed)
		.map_err(|_| "a seed is 64 hex digits, with or without 0x".into())
}
