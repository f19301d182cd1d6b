//! Prices on the command line.

use crate::amount::{percent, Asy};
use assay_primitives::model::Prices;
use clap::Args;

/// The prices of a listing.
#[derive(Args, Clone, Copy)]
pub(crate) struct PriceArgs {
	/// Price of a prompt token, in ASY
	#[arg(long, value_name = "ASY")]
	pub(crate) price_in: Asy,
	/// Price of a generated token, in ASY
	#[arg(long, value_name = "ASY")]
	pub(crate) price_out: Asy,
}

impl PriceArgs {
	/// Returns the prices as the chain takes them.
	pub(crate) fn prices(&self) -> Prices {
		Prices {
			price_in: self.price_in.0,
			price_out: self.price_out.0,
		}
	}
}

/// The terms of a listing.
#[derive(Args, Clone, Copy)]
pub(crate) struct TermsArgs {
	#[command(flatten)]
	pub(crate) prices: PriceArgs,
	/// Your part of each fee, in per cent
	#[arg(long, default_value = "0", value_name = "PERCENT", value_parser = percent)]
	pub(crate) royalty: u32,
}

/// The least prices at which a provider executes.
#[derive(Args, Clone, Copy)]
pub(crate) struct LeastArgs {
	/// Execute only at this price of a prompt token or more, in ASY
	#[arg(long, default_value = "0", value_name = "ASY")]
	pub(crate) least_in: Asy,
	/// Execute only at this price of a generated token or more, in ASY
	#[arg(long, default_value = "0", value_name = "ASY")]
	pub(crate) least_out: Asy,
}

impl LeastArgs {
	/// Returns the prices as the chain takes them.
	pub(crate) fn prices(&self) -> Prices {
		Prices {
			price_in: self.least_in.0,
			price_out: self.least_out.0,
		}
	}
}
