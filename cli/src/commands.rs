//! One file a family of commands; here what they share.

pub(crate) mod ask;
pub(crate) mod folder;
pub(crate) mod model;
pub(crate) mod provider;
pub(crate) mod receipt;
pub(crate) mod status;

use crate::{
	args::{Cli, Command, Global},
	chain::{read_at, runtime, At, Chain, Until},
	error::CliError,
	keys::KeyArgs,
	output::{Outcome, Reporter},
};
use assay_primitives::JobId;
use assay_receipt::{Account, ChainReceipt, ReceiptFile, FORMAT};
use serde_json::{json, Value};
use std::path::Path;
use subxt::tx::Payload;
use tokio::sync::OnceCell;

/// What every command gets: the options, a voice, and a connection once it asks for one.
pub(crate) struct Context {
	/// Options that all commands share.
	pub(crate) global: Global,
	/// Tells how the command gets on.
	pub(crate) report: Reporter,
	chain: OnceCell<Chain>,
}

impl Context {
	/// A context that has not connected yet.
	pub(crate) fn new(global: Global) -> Self {
		let report = Reporter::new(global.json);
		Self {
			global,
			report,
			chain: OnceCell::new(),
		}
	}

	/// The node, connected at the first call.
	pub(crate) async fn chain(&self) -> Result<&Chain, CliError> {
		self.chain
			.get_or_try_init(|| Chain::connect(&self.global.url, &self.report))
			.await
	}
}

/// Runs a command and prints its result; the exit code.
pub(crate) async fn run(cli: Cli) -> u8 {
	let cx = Context::new(cli.global);
	let result = dispatch(&cx, cli.command).await;
	cx.report.finish(&result)
}

async fn dispatch(cx: &Context, command: Command) -> Result<Outcome, CliError> {
	match command {
		Command::Ask(args) => ask::run(cx, args).await,
		Command::Receipt { job, save } => receipt::show(cx, job, save.as_deref()).await,
		Command::Verify { file, offline } => receipt::verify(cx, &file, offline).await,
		Command::Job { job } => receipt::job(cx, job).await,
		Command::Prune { job, key } => receipt::prune(cx, job, &key).await,
		Command::Models => model::list(cx).await,
		Command::Model(command) => model::run(cx, command).await,
		Command::Provider(command) => provider::run(cx, command).await,
		Command::Status => status::run(cx).await,
	}
}

/// Signs a call and waits until a finalized block has it; the result's facts tell which, and who signed.
async fn submit<C: Payload>(
	cx: &Context,
	call: C,
	key: &KeyArgs,
	text: &str,
	mut facts: Value,
) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let signer = key.signer(chain.development)?;
	let included = chain.submit(&call, &signer, Until::Finalized, &cx.report).await?;
	if let Some(facts) = facts.as_object_mut() {
		facts.insert("signer".into(), json!(signer.account()));
		facts.insert("block".into(), included.number.into());
	}
	Ok(Outcome::new(text, facts))
}

/// The receipt of a job with everything that its hashes name, as a block has it.
async fn build_file(cx: &Context, at: &At, id: JobId, finalized: bool) -> Result<ReceiptFile, CliError> {
	let chain = cx.chain().await?;
	let gone = || CliError::NotFound(format!("job {id} has no receipt in block {}", at.block_number()));
	let receipt = chain.receipt(at, id).await?.ok_or_else(gone)?;
	let job = chain.job(at, id).await?.ok_or_else(gone)?;
	let input = job
		.input
		.try_into()
		.map_err(|_| CliError::Node("it stores a prompt over the limit".into()))?;
	let output = receipt.answer.and(job.output);
	let job_count = find_count(cx, at, &receipt).await?;
	let genesis = chain.genesis();
	Ok(ReceiptFile {
		format: FORMAT,
		genesis,
		job_count,
		read_at: read_at(at, finalized),
		input,
		output,
		receipt,
	})
}

/// The requester's job counter from which the job has its name: the chain stores only how many there are by now.
async fn find_count(cx: &Context, at: &At, receipt: &ChainReceipt) -> Result<Option<u64>, CliError> {
	const MOST: u64 = 1_000_000;
	let chain = cx.chain().await?;
	let Account(requester) = receipt.requester;
	let address = runtime::storage().jobs().job_count();
	let count = at
		.storage()
		.fetch(address, (requester.into(),))
		.await
		.map_err(|e| chain.failed(e))?;
	let asked: u64 = count.decode().map_err(|e| chain.failed(e))?;
	let genesis = chain.genesis();
	let is_name =
		|n: &u64| JobId::derive(&genesis, &receipt.requester, *n, &receipt.model, &receipt.input_hash) == receipt.job;
	Ok((0..=asked)
		.rev()
		.take(usize::try_from(MOST).unwrap_or(usize::MAX))
		.find(is_name))
}

/// Writes a receipt file if a place is named.
fn save(cx: &Context, file: &ReceiptFile, path: Option<&Path>) -> Result<(), CliError> {
	let Some(path) = path else { return Ok(()) };
	let text = file.to_json().map_err(|e| CliError::file(path, e))?;
	std::fs::write(path, text).map_err(|e| CliError::file(path, e))?;
	let shown = path.display();
	cx.report.step(
		"saved",
		&format!("saved to {shown}: `assay verify {shown}` checks it"),
		serde_json::json!({ "file": path }),
	);
	Ok(())
}
