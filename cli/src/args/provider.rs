//! The options of `assay provider`.

use super::prices::LeastArgs;
use crate::{
	amount::Asy,
	keys::{account, KeyArgs},
};
use assay_receipt::Account;
use clap::Subcommand;

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
	/// Publish where your node streams drafts, so that askers read answers while they are made; without an address none is published
	SetEndpoint {
		/// Its address for everybody, ws:// or wss://
		#[arg(value_name = "URL")]
		endpoint: Option<String>,
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
