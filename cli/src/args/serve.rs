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
	/// Name by which clients may call this server, besides those of loopback; may be repeated. Only needed on loopback, as
	/// behind a proxy or from a container
	#[arg(long, value_name = "NAME", value_parser = host)]
	pub(crate) allow_host: Vec<String>,
	/// Origin, as https://example.org, whose pages may use this server in a browser; may be repeated
	#[arg(long, value_name = "ORIGIN")]
	pub(crate) allow_origin: Vec<String>,
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
	/// Directory of the page that is served at `/`; without it the directory `page` beside this program
	#[arg(long, value_name = "DIR")]
	pub(crate) page: Option<PathBuf>,
	/// URL at which browsers reach the node, if not that of --url
	#[arg(long, value_name = "URL")]
	pub(crate) page_node: Option<String>,
	/// Directory of model directories, as a node's; their chat templates tell how models write reasoning and calls of tools,
	/// and their tokenizers count tokens. Weights are not read
	#[arg(long, value_name = "DIR")]
	pub(crate) models: Option<PathBuf>,
	#[command(flatten)]
	pub(crate) stream: StreamArgs,
	#[command(flatten)]
	pub(crate) key: KeyArgs,
}

/// Reads a name as it stands in `Host`, without its port.
fn host(text: &str) -> Result<String, String> {
	let known = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
	let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
	let named = match address {
		Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
		None => !text.is_empty() && text.bytes().all(known),
	};
	if named {
		Ok(text.into())
	} else {
		Err("give a name without scheme and port, as host.docker.internal".into())
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_host_is_a_name_without_scheme_and_port() {
		for name in ["host.docker.internal", "gateway", "192.168.1.5", "[::1]"] {
			assert_eq!(host(name).unwrap(), name);
		}
		for wrong in ["", "http://gateway", "gateway:8080", "a b", "*", "[x]", "::1"] {
			assert!(host(wrong).is_err(), "{wrong}");
		}
	}
}
