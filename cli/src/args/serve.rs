//! The options of `assay serve`.

use super::ask::StreamArgs;
use crate::{amount::Asy, keys::KeyArgs};
use clap::Args;
use std::{net::SocketAddr, path::PathBuf};

#[derive(Args)]
pub(crate) struct ServeArgs {
	/// Address to listen on. Anything but loopback needs --token-file
	#[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
	pub(crate) listen: SocketAddr,
	/// File whose first line is the token that clients must send as their API key
	#[arg(long, value_name = "FILE")]
	pub(crate) token_file: Option<PathBuf>,
	/// Most that one request may cost, in ASY
	#[arg(long, default_value = "1", value_name = "ASY")]
	pub(crate) max_per_request: Asy,
	/// Most that all requests of a day (UTC) may cost together, in ASY
	#[arg(long, default_value = "20", value_name = "ASY")]
	pub(crate) max_per_day: Asy,
	/// Verifiers of an answer where the request names no number: 0 (nobody checks it) to 8
	#[arg(long, default_value_t = 2, value_name = "N",
		value_parser = clap::value_parser!(u8).range(0..=i64::from(assay_primitives::limits::MAX_VERIFIERS)))]
	pub(crate) verifiers: u8,
	/// Directory of the journal of what was paid; without it a directory of this program in your home. One gateway at a time uses it
	#[arg(long, value_name = "DIR")]
	pub(crate) data: Option<PathBuf>,
	#[command(flatten)]
	pub(crate) stream: StreamArgs,
	#[command(flatten)]
	pub(crate) key: KeyArgs,
}
