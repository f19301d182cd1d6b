//! `assay serve`: models over HTTP, to clients of OpenAI and Anthropic.

use super::{ask::sources, Context};
use crate::{
	args::ServeArgs,
	chain::Chain,
	error::CliError,
	gateway, interrupt,
	keys::name_of,
	output::Outcome,
	paths::{directory, read_secret},
};
use assay_gateway::{Config, Gateway, SpendingLimits};
use serde_json::json;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until the program is interrupted.
pub(crate) async fn run(cx: &Context, args: ServeArgs) -> Result<Outcome, CliError> {
	let data = directory(args.data.as_deref(), "gateway")?;
	let token = args.token_file.as_deref().map(read_secret).transpose()?;
	// A connection of its own, which is opened again whenever it is lost.
	let url = cx.global.url.clone();
	let chain = Chain::connect(&url, &cx.report).await?;
	let signer = args.key.signer(chain.development, &cx.report)?;
	chain.check_signer(&signer, &cx.report);
	let account = signer.account();
	let sources = (!args.stream.no_stream).then(|| sources(&chain, &url, args.stream.allow_private_endpoints));
	let network = gateway::start(url, chain, signer, &data, sources).await?;
	let config = Config {
		listen: args.listen,
		token,
		verifiers: args.verifiers,
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
	let facts = json!({ "listen": listen, "account": account, "data": data, "max_per_request": args.max_per_request,
		"max_per_day": args.max_per_day });
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
