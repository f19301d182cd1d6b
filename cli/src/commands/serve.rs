//! `assay serve`: models over HTTP, to clients of OpenAI and Anthropic.

use super::{ask::sources, Context};
use crate::{
	anchors,
	args::ServeArgs,
	chain::Chain,
	error::CliError,
	gateway::{self, Folders},
	interrupt,
	keys::name_of,
	output::Outcome,
	paths::{directory, read_secret},
};
use assay_gateway::{Config, Gateway, SpendingLimits};
use serde_json::json;
use std::{
	env,
	net::{IpAddr, SocketAddr},
	path::PathBuf,
	sync::Arc,
};
use tokio::net::TcpListener;

/// Serves until the program is interrupted.
pub(crate) async fn run(cx: &Context, args: ServeArgs) -> Result<Outcome, CliError> {
	let data = directory(args.data.as_deref(), "gateway")?;
	let token = args.token_file.as_deref().map(read_secret).transpose()?;
	let folders = args
		.models
		.as_deref()
		.map(Folders::read)
		.transpose()?
		.unwrap_or_default();
	let templates = folders.count();
	// A connection of its own, which is opened again whenever it is lost.
	let url = cx.global.url.clone();
	let chain = Chain::connect(&url, &cx.report).await?;
	let signer = args.key.signer(chain.development, &cx.report)?;
	chain.check_signer(&signer, &cx.report);
	let account = signer.account();
	let sources = (!args.stream.no_stream).then(|| sources(&chain, &url, args.stream.allow_private_endpoints));
	anchors::remember(&chain, &cx.report).await?;
	let page_node = args
		.page_node
		.or_else(|| browsers_reach(&url, args.listen).then(|| url.clone()));
	let network = gateway::start(url, chain, signer, &data, sources, page_node, folders).await?;
	let page = args.page.or_else(page_beside_program);
	let config = Config {
		listen: args.listen,
		token,
		hosts: args.allow_host,
		origins: args.allow_origin,
		verifiers: args.verifiers,
		page: page.clone(),
		spending: SpendingLimits {
			per_request: Some(args.max_per_request.0),
			per_day: Some(args.max_per_day.0),
			file: Some(data.join("spending.json")),
		},
		..Config::default()
	};
	let server = Gateway::new(config, Arc::new(network)).map_err(|e| CliError::Usage(e.to_string()))?;
	let no_port = |e| CliError::Usage(format!("--listen {}: {e}", args.listen));
	let listener = TcpListener::bind(args.listen).await.map_err(no_port)?;
	let listen = listener.local_addr().map_err(no_port)?;
	let text = format!(
		"{} pays for what is asked at http://{listen}: up to {} a request and {} a day",
		name_of(&account),
		args.max_per_request,
		args.max_per_day
	);
	let facts = json!({ "listen": listen, "account": account, "data": data, "page": page, "models": templates,
		"max_per_request": args.max_per_request, "max_per_day": args.max_per_day });
	cx.report.step("serving", &text, facts.clone());
	cx.report.waiting("serving; Ctrl-C stops it");
	let interrupted = async {
		interrupt::wait().await;
	};
	let served = server.serve(listener, interrupted).await;
	served.map_err(|e| CliError::Usage(format!("the server ended: {e}")))?;
	Ok(Outcome::new(
		"Stopped. Jobs that were requested go on, and a request that is repeated with its key finds its own.",
		facts,
	))
}

/// Returns the directory of the page: beside the program as it was called, which may be a link, or beside its file.
fn page_beside_program() -> Option<PathBuf> {
	let called = env::args_os().next().map(PathBuf::from);
	[called, env::current_exe().ok()]
		.into_iter()
		.flatten()
		.filter_map(|program| Some(program.parent()?.join("page")))
		// A program that was found by its name alone says nothing of its directory.
		.find(|page| page.components().count() > 1 && page.is_dir())
}

/// Returns whether browsers that reach this server can reach a node at the URL that this program uses.
fn browsers_reach(url: &str, listen: SocketAddr) -> bool {
	let authority = url
		.split_once("://")
		.map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
	let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
	let bare = host.trim_matches(['[', ']']);
	let is_local = bare == "localhost"
		|| bare
			.parse()
			.is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified());
	listen.ip().is_loopback() || !is_local
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_node_on_loopback_is_reached_from_this_machine_only() {
		let here = SocketAddr::from(([127, 0, 0, 1], 8080));
		let anywhere = SocketAddr::from(([0, 0, 0, 0], 8080));
		for url in [
			"ws://127.0.0.1:9944",
			"ws://localhost",
			"ws://[::1]:9944/x",
			"ws://0.0.0.0:1",
		] {
			assert!(browsers_reach(url, here) && !browsers_reach(url, anywhere), "{url}");
		}
		for url in [
			"wss://node.example.org",
			"ws://10.0.0.1:9944",
			"ws://localhost.example.org:1",
		] {
			assert!(browsers_reach(url, here) && browsers_reach(url, anywhere), "{url}");
		}
	}
}
