//! The commands, one module for each family, and what they share.

pub(crate) mod account;
pub(crate) mod anchor;
pub(crate) mod ask;
pub(crate) mod chain_spec;
pub(crate) mod chat;
pub(crate) mod model;
pub(crate) mod model_directory;
pub(crate) mod object;
pub(crate) mod provider;
pub(crate) mod receipt;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod transaction;
pub(crate) mod verify;

use crate::{
	anchors,
	args::{Cli, Command, GlobalArgs},
	chain::{read_at, At, Chain, Until},
	error::CliError,
	keys::KeyArgs,
	output::{Outcome, Reporter},
	stream::Contradiction,
};
use assay_primitives::{JobId, ModelId};
use assay_receipt::{check, Checked, Leaf, ReceiptFile, StreamEvidence, FORMAT};
use serde_json::{json, Value};
use std::{
	fs::{self, OpenOptions},
	path::Path,
};
use subxt::tx::Payload;
use tokio::sync::OnceCell;

/// What every command gets: the shared options, a reporter, and a connection that is opened when first needed.
pub(crate) struct Context {
	/// Options that all commands share.
	pub(crate) global: GlobalArgs,
	/// Reports the command's progress.
	pub(crate) report: Reporter,
	chain: OnceCell<Chain>,
}

impl Context {
	/// Returns a context that has not connected yet.
	pub(crate) fn new(global: GlobalArgs) -> Self {
		let report = Reporter::new(global.json);
		Self {
			global,
			report,
			chain: OnceCell::new(),
		}
	}

	/// Returns the node, and connects at the first call.
	pub(crate) async fn chain(&self) -> Result<&Chain, CliError> {
		self.chain
			.get_or_try_init(|| Chain::connect(&self.global.url, &self.report))
			.await
	}

	/// Finds the id of a registered model by name or id.
	async fn model_id(&self, named: &str) -> Result<ModelId, CliError> {
		let chain = self.chain().await?;
		Ok(chain.model(&chain.best().await?, named).await?.id)
	}
}

/// Runs a command, prints its result and returns the exit code.
pub(crate) async fn run(cli: Cli) -> u8 {
	let cx = Context::new(cli.global);
	let result = dispatch(&cx, cli.command).await;
	cx.report.finish(&result)
}

async fn dispatch(cx: &Context, command: Command) -> Result<Outcome, CliError> {
	match command {
		Command::Ask(args) => ask::run(cx, args).await,
		Command::Chat(args) => chat::run(cx, args).await,
		Command::Serve(args) => serve::run(cx, args).await,
		Command::Account(command) => account::run(cx, command).await,
		Command::Receipt { job, save, assume } => receipt::show(cx, job, save.as_deref(), &assume).await,
		Command::Verify(args) => verify::run(cx, &args).await,
		Command::Job { job } => receipt::job(cx, job).await,
		Command::Object { target, key } => object::run(cx, target, &key).await,
		Command::Prune { job, key } => receipt::prune(cx, job, &key).await,
		Command::Anchor { save } => anchor::run(cx, save.as_deref()).await,
		Command::ChainSpec => chain_spec::run(cx).await,
		Command::Models => model::list(cx).await,
		Command::Model(command) => model::run(cx, command).await,
		Command::Provider(command) => provider::run(cx, command).await,
		Command::Transaction { hash, since } => transaction::run(cx, hash.0, since).await,
		Command::Status => status::run(cx).await,
	}
}

/// Signs a call and waits until a finalized block has it; signer and block are added to the facts.
async fn submit<C: Payload>(
	cx: &Context,
	call: C,
	key: &KeyArgs,
	text: &str,
	mut facts: Value,
) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let signer = key.signer(chain.development, &cx.report)?;
	let included = chain.submit(&call, &signer, Until::Finalized, &cx.report).await?;
	if let Some(facts) = facts.as_object_mut() {
		facts.insert("signer".into(), json!(signer.account()));
		facts.insert("block".into(), included.number.into());
	}
	Ok(Outcome::new(text, facts))
}

/// Builds the receipt file of a job as a block has it, with what is proved against an executor, checks it, and writes it to
/// `path` if one is given.
async fn checked_file(
	cx: &Context,
	at: &At,
	job: JobId,
	finalized: bool,
	evidence: Option<&Contradiction>,
	path: Option<&Path>,
) -> Result<(ReceiptFile, Checked), CliError> {
	let evidence = evidence.map(|contradiction| &contradiction.evidence);
	let chain = cx.chain().await?;
	let file = match path {
		Some(_) if finalized => {
			anchors::remember(chain, &cx.report).await?;
			proved_file(chain, at, job, evidence).await?
		}
		_ => build_file(chain, at, job, finalized, evidence).await?,
	};
	if file.stream.is_none() && evidence.is_some() {
		cx.report
			.warn("what is proved is about an earlier attempt, of which this receipt says nothing: it is not kept");
	}
	let checked =
		check(&file).map_err(|e| CliError::NotVerified(format!("The chain's own receipt is inconsistent: {e}")))?;
	if let Some(path) = path {
		save(cx, &file, path)?;
	}
	Ok((file, checked))
}

/// Reads the receipt of a job, with everything that its hashes name, as a block has it. Evidence is added if it is about the
/// claim of the receipt.
pub(crate) async fn build_file(
	chain: &Chain,
	at: &At,
	id: JobId,
	finalized: bool,
	evidence: Option<&StreamEvidence>,
) -> Result<ReceiptFile, CliError> {
	let gone = || CliError::NotFound(format!("job {id} has no receipt in block {}", at.block_number()));
	let receipt = chain.receipt(at, id).await?.ok_or_else(gone)?;
	let job = chain.job(at, id).await?.ok_or_else(gone)?;
	let over = || CliError::Node("it stores a prompt over the limit".into());
	let input = job.input.bounded().ok_or_else(over)?;
	let output = receipt.answer.and(job.output);
	let about_it = |evidence: &&StreamEvidence| output.is_some() && Some(evidence.claim) == job.claim;
	let stream = evidence.filter(about_it).cloned();
	// On another fork the leaf may be another one.
	let accumulator = if finalized && receipt.is_settled() {
		leaf(chain, at, id).await?
	} else {
		None
	};
	Ok(ReceiptFile {
		format: FORMAT,
		genesis: chain.genesis(),
		read_at: read_at(at, finalized),
		input,
		output,
		receipt,
		accumulator,
		stream,
		finality: None,
	})
}

/// Reads the receipt of a job, with evidence that its block is final: the block `at`, which is finalized, or a later one.
pub(crate) async fn proved_file(
	chain: &Chain,
	at: &At,
	id: JobId,
	evidence: Option<&StreamEvidence>,
) -> Result<ReceiptFile, CliError> {
	let least = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
	if let Some(mut file) = chain.receipt_proof(id, least).await? {
		let about_it = |evidence: &&StreamEvidence| {
			let claim = file.receipt.claim.as_ref();
			file.output.is_some() && claim.is_some_and(|record| file.claim_id(record) == evidence.claim)
		};
		file.stream = evidence.filter(about_it).cloned();
		return Ok(file);
	}
	// A node of another make: what it finalizes is proved with the SDK's own methods.
	let (mut finality, at) = chain.finality(least).await?;
	let mut file = build_file(chain, &at, id, true, evidence).await?;
	finality.state = chain.state_proof(&file.storage_keys(), &at).await?;
	file.finality = Some(finality);
	Ok(file)
}

/// Returns where a final receipt is in the chain's accumulator, with a proof if the node keeps proofs.
async fn leaf(chain: &Chain, at: &At, id: JobId) -> Result<Option<Leaf>, CliError> {
	let Some(index) = chain.receipt_leaf(at, id).await? else {
		return Ok(None);
	};
	let proof = chain.accumulator_proof(at, index).await.ok();
	Ok(Some(Leaf { index, proof }))
}

/// Refuses a path to which [`save`] could not write, before anything is paid.
fn ensure_writable(path: &Path) -> Result<(), CliError> {
	let made = !path.exists();
	let opened = OpenOptions::new().append(true).create(true).open(path);
	opened.map_err(|e| CliError::file(path, e))?;
	if made {
		fs::remove_file(path).map_err(|e| CliError::file(path, e))?;
	}
	Ok(())
}

fn save(cx: &Context, file: &ReceiptFile, path: &Path) -> Result<(), CliError> {
	let text = file.to_json().map_err(|e| CliError::file(path, e))?;
	fs::write(path, text).map_err(|e| CliError::file(path, e))?;
	let shown = path.display();
	let job = file.receipt.job;
	let later = if file.receipt.is_settled() {
		String::new()
	} else {
		format!(
			". Once the job is settled, `assay receipt {job} --save {shown}` saves it as nobody can object to it any \
			 more"
		)
	};
	let text = format!("saved to {shown}: `assay verify {shown}` checks it{later}");
	cx.report.step("saved", &text, json!({ "file": path }));
	Ok(())
}
