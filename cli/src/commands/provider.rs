//! `assay provider …`: stake, the inference key, the models served.

use super::Context;
use crate::{
	amount::Asy,
	args::ProviderCommand,
	chain::{hex, runtime, Until},
	error::CliError,
	keys::{self, name_of, KeyArgs},
	output::Outcome,
};
use assay_primitives::possession::possession_message;
use assay_receipt::Account;
use serde_json::{json, Value};
use subxt::{rpcs::client::RpcParams, tx::Payload};

/// Runs a command on the signing provider.
pub(crate) async fn run(cx: &Context, command: ProviderCommand) -> Result<Outcome, CliError> {
	let tx = || runtime::tx().providers();
	match command {
		ProviderCommand::Bond { amount, key } => {
			let text = format!("Bonded {amount}. Next: `assay provider set-key`, then `assay provider serve MODEL`.");
			submit(cx, tx().bond(amount.0), &key, &text, json!({ "bonded": amount })).await
		},
		ProviderCommand::BondExtra { amount, key } => {
			let text = format!("Added {amount} to the bond.");
			submit(cx, tx().bond_extra(amount.0), &key, &text, json!({ "added": amount })).await
		},
		ProviderCommand::Unbond { amount, key } => {
			let text = format!("{amount} leave the bond; `assay provider withdraw` pays them out after the unbonding period.");
			submit(cx, tx().unbond(amount.0), &key, &text, json!({ "unbonding": amount })).await
		},
		ProviderCommand::Withdraw { key } => {
			submit(cx, tx().withdraw(), &key, "What was unbonded long enough is free again.", json!({})).await
		},
		ProviderCommand::SetKey { inference_suri, insert, key } => set_key(cx, &inference_suri, insert, &key).await,
		ProviderCommand::Serve { model, capacity, key } => serve(cx, &model, capacity, &key).await,
		ProviderCommand::Stop { model, key } => {
			let chain = cx.chain().await?;
			let id = chain.model(&chain.best().await?, &model).await?.id;
			let text = format!("{model} is served no longer; jobs already drawn are still owed.");
			submit(cx, tx().stop_serving(id.into()), &key, &text, json!({ "model": id })).await
		},
		ProviderCommand::Unjail { key } => submit(cx, tx().unjail(), &key, "Out of jail.", json!({})).await,
		ProviderCommand::Show { account } => show(cx, account).await,
	}
}

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
		facts.insert("provider".into(), json!(signer.account()));
		facts.insert("block".into(), included.number.into());
	}
	Ok(Outcome::new(text, facts))
}

async fn set_key(cx: &Context, inference_suri: &str, insert: bool, key: &KeyArgs) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let owner = key.signer(chain.development)?.account();
	let inference = keys::signer(inference_suri)?;
	chain.check_signer(&inference, &cx.report);
	let public = inference.pair.public_key().0;
	if insert {
		let mut params = RpcParams::new();
		for text in ["infr", inference_suri, &hex(&public)] {
			params.push(text).map_err(|e| CliError::Node(e.to_string()))?;
		}
		chain.request::<Value>("author_insertKey", params).await.map_err(|e| {
			CliError::Node(format!("it did not take the key ({e}); start it with --rpc-methods unsafe, on a local address only"))
		})?;
		cx.report.step("inserted", "the node holds the inference key", json!({ "key": hex(&public) }));
	}
	let proof = inference.pair.sign(&possession_message(&chain.genesis(), &owner)).0;
	let call = runtime::tx().providers().set_inference_key(public, proof);
	let text = format!("Inference key {} is set. The node that signs with it must hold it.", hex(&public));
	submit(cx, call, key, &text, json!({ "key": hex(&public), "inserted": insert })).await
}

async fn serve(cx: &Context, model: &str, capacity: Option<u32>, key: &KeyArgs) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let id = chain.model(&chain.best().await?, model).await?.id;
	if let Some(capacity) = capacity {
		let text = format!("Takes {capacity} jobs at once.");
		submit(cx, runtime::tx().providers().set_capacity(capacity), key, &text, json!({ "capacity": capacity })).await?;
		cx.report.step("capacity", &text, json!({ "capacity": capacity }));
	}
	let text = format!("Serves {model}. Jobs come once the node's engine has loaded it: `assay status`.");
	submit(cx, runtime::tx().providers().serve(id.into()), key, &text, json!({ "model": id })).await
}

async fn show(cx: &Context, account: Account) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let address = runtime::storage().providers().providers();
	let stored = at.storage().try_fetch(address, (account.0.into(),)).await.map_err(|e| chain.failed(e))?;
	let Some(value) = stored else {
		return Err(CliError::NotFound(format!(
			"{} is no provider: `assay provider bond AMOUNT` makes it one",
			name_of(&account)
		)));
	};
	let provider = value.decode().map_err(|e| chain.failed(e))?;
	Ok(Outcome::new(format!("{provider:#?}"), json!({ "provider": account })))
}
