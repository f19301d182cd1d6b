//! The options of `assay ask` and `assay chat`.

use super::{AssumeArgs, SamplingArgs};
use crate::{amount::Asy, keys::KeyArgs};
use assay_primitives::ListingId;
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct AskArgs {
	/// The question
	#[arg(required_unless_present = "chat")]
	pub(crate) prompt: Option<String>,
	/// Instead: a conversation as JSON, an object with OpenAI's `messages`, `tools`, `tool_choice` and `response_format`; `-` reads
	/// standard input
	#[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "system"])]
	pub(crate) chat: Option<PathBuf>,
	/// Give the model this instruction before the question
	#[arg(long, value_name = "TEXT", requires = "prompt")]
	pub(crate) system: Option<String>,
	#[command(flatten)]
	pub(crate) order: OrderArgs,
	/// Return at the verdict; do not wait until its block is finalized
	#[arg(long)]
	pub(crate) no_wait: bool,
	/// Wait until the job is settled: nobody can object any more, and an audit had its chance
	#[arg(long, conflicts_with = "no_wait")]
	pub(crate) settled: bool,
	/// Write the receipt to a file that `assay verify` reads
	#[arg(long, value_name = "FILE")]
	pub(crate) save: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ChatArgs {
	/// Instruct the model with this text before the first question
	#[arg(long, value_name = "TEXT")]
	pub(crate) system: Option<String>,
	#[command(flatten)]
	pub(crate) order: OrderArgs,
	/// Directory of the history of what you typed; without it a directory of this program in your home
	#[arg(long, value_name = "DIR")]
	pub(crate) data: Option<PathBuf>,
}

/// On whose terms a job is requested, and who pays.
#[derive(Args)]
pub(crate) struct OrderArgs {
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
	/// Most to pay for a question, in ASY; without it the chain's quote
	#[arg(long, value_name = "ASY")]
	pub(crate) max_fee: Option<Asy>,
	#[command(flatten)]
	pub(crate) stream: StreamArgs,
	#[command(flatten)]
	pub(crate) assume: AssumeArgs,
	#[command(flatten)]
	pub(crate) key: KeyArgs,
}

/// Which drafts are read while they are made.
#[derive(Args, Clone, Copy)]
pub(crate) struct StreamArgs {
	/// Show no draft: wait for the published answer
	#[arg(long)]
	pub(crate) no_stream: bool,
	/// Read drafts at endpoints in private networks too. Providers choose their endpoints: one could name a machine that only you
	/// can reach
	#[arg(long, conflicts_with = "no_stream")]
	pub(crate) allow_private_endpoints: bool,
}
