//! `assay provider …`: stake, the inference key, the models served.

use super::{submit, Context};
use crate::{
	amount::Asy,
	args::{LeastArgs, ProviderCommand},
	chain::{runtime, Until},
	error::CliError,
	keys::{self, name_of, KeyArgs},
	output::Outcome,
};
use assay_primitives::{endpoint, possession::possession_message, ModelId};
use assay_receipt::Account;
use const_hex::encode_prefixed;
use serde_json::{json, Value};
use subxt::rpcs::client::RpcParams;

/// Runs a command on the signing provider.
pub(crate) async fn run(cx: &Context, command: ProviderCommand) -> Result<Outcome, CliError> {
	let tx = || runtime::tx().providers();
	match command {
		ProviderCommand::Bond { amount, key } => {
			let text = format!("Bonded {amount}. Next: `assay provider set-key`, then `assay provider serve MODEL`.");
			submit(cx, tx().bond(amount.0), &key, &text, json!({ "bonded": amount })).await
		}
		ProviderCommand::BondExtra { amount, key } => {
			let text = format!("Added {amount} to the bond.");
			submit(cx, tx().bond_extra(amount.0), &key, &text, json!({ "added": amount })).await
		}
		ProviderCommand::Unbond { amount, key } => {
			let text =
				format!("{amount} leave the bond; `assay provider withdraw` pays them out after the unbonding period.");
			submit(cx, tx().unbond(amount.0), &key, &text, json!({ "unbonding": amount })).await
		}
		ProviderCommand::Withdraw { key } => {
			let text = "What was unbonded long enough is free again.";
			submit(cx, tx().withdraw(), &key, text, json!({})).await
		}
		ProviderCommand::SetKey {
			inference_suri,
			insert,
			key,
		} => set_key(cx, &inference_suri, insert, &key).await,
		ProviderCommand::Serve {
			model,
			capacity,
			least,
			key,
		} => serve(cx, &model, capacity, least, &key).await,
		ProviderCommand::LeastPrice { model, least, key } => {
			let id = cx.model_id(&model).await?;
			let text = format!(
				"Executes jobs of {model} from {} a prompt token and {} an answer token on, in the electorates sealed next.",
				least.least_in, least.least_out
			);
			let call = tx().set_least_price(id.into(), least.prices().into());
			let facts = json!({ "model": id, "least_in": least.least_in, "least_out": least.least_out });
			submit(cx, call, &key, &text, facts).await
		}
		ProviderCommand::Stop { model, key } => {
			let id = cx.model_id(&model).await?;
			let text = format!("{model} is no longer served; jobs that were drawn before are still due.");
			submit(cx, tx().stop_serving(id.into()), &key, &text, json!({ "model": id })).await
		}
		ProviderCommand::Ready { key } => {
			let text =
				"Ready: the next electorates that are sealed include your stake; draws read them one period later.";
			submit(cx, runtime::ready(), &key, text, json!({})).await
		}
		ProviderCommand::SetEndpoint { endpoint, key } => set_endpoint(cx, endpoint.as_deref(), &key).await,
		ProviderCommand::Validate { key } => validate(cx, &key).await,
		ProviderCommand::Unjail { key } => submit(cx, tx().unjail(), &key, "Out of jail.", json!({})).await,
		ProviderCommand::Show { account } => show(cx, account).await,
	}
}

async fn set_key(cx: &Context, inference_suri: &str, insert: bool, key: &KeyArgs) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let owner = key.signer(chain.development, &cx.report)?.account();
	let inference = keys::signer(inference_suri)?;
	chain.check_signer(&inference, &cx.report);
	let public = inference.pair.public_key().0;
	let shown = encode_prefixed(public);
	if insert {
		let mut params = RpcParams::new();
		for text in ["infr", inference_suri, &shown] {
			params.push(text).map_err(|e| CliError::Node(e.to_string()))?;
		}
		chain
			.request::<Value>("author_insertKey", params)
			.await
			.map_err(|e| unsafe_method("it did not take the key", &e))?;
		cx.report
			.step("inserted", "the node holds the inference key", json!({ "key": shown }));
	}
	let proof = inference.pair.sign(&possession_message(&chain.genesis(), &owner)).0;
	let call = runtime::tx()
		.providers()
		.set_inference_key(runtime::inference_key(public), runtime::inference_signature(proof));
	let text = format!("Inference key {shown} is set. The node that signs with it must hold it.");
	submit(cx, call, key, &text, json!({ "key": shown, "inserted": insert })).await
}

/// Returns the error of a method that a node refuses to strangers.
fn unsafe_method(what: &str, error: &CliError) -> CliError {
	CliError::Node(format!(
		"{what} ({error}); start it with --rpc-methods unsafe, on a local address only"
	))
}

/// Publishes where the provider's node streams drafts, or that it does nowhere.
async fn set_endpoint(cx: &Context, endpoint: Option<&str>, key: &KeyArgs) -> Result<Outcome, CliError> {
	let bytes = endpoint.unwrap_or_default().as_bytes();
	if endpoint.is_some() {
		endpoint::check(bytes).map_err(|e| CliError::Usage(e.to_string()))?;
	}
	let text = match endpoint {
		Some(url) => format!("Drafts are read at {url}: your node must be reached there, from everywhere."),
		None => "No endpoint is published any more: answers come when they are published.".into(),
	};
	let call = runtime::tx().providers().set_endpoint(bytes.to_vec());
	submit(cx, call, key, &text, json!({ "endpoint": endpoint })).await
}

/// Session keys as the node makes them: both parts in hex.
#[derive(serde::Deserialize)]
struct NewSessionKeys {
	keys: String,
	proof: Option<String>,
}

async fn validate(cx: &Context, key: &KeyArgs) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let owner = key.signer(chain.development, &cx.report)?.account();
	let mut params = RpcParams::new();
	params
		.push(encode_prefixed(owner.0))
		.map_err(|e| CliError::Node(e.to_string()))?;
	let made: NewSessionKeys = chain
		.request("author_rotateKeysWithOwner", params)
		.await
		.map_err(|e| unsafe_method("it made no session keys", &e))?;
	let unreadable = || CliError::Node("its session keys are not of this chain's form".into());
	let public = const_hex::decode(&made.keys).map_err(|_| unreadable())?;
	let keys = runtime::session_keys(&public).ok_or_else(unreadable)?;
	let proof = made
		.proof
		.and_then(|proof| const_hex::decode(proof).ok())
		.ok_or_else(unreadable)?;
	let text =
		"Session keys are set. The node makes blocks once the account has a seat: at the earliest in the session \
		after the next one.";
	let call = runtime::tx().session().set_keys(keys, proof);
	submit(cx, call, key, text, json!({ "keys": made.keys })).await
}

async fn serve(
	cx: &Context,
	model: &str,
	capacity: Option<u32>,
	least: LeastArgs,
	key: &KeyArgs,
) -> Result<Outcome, CliError> {
	let id = cx.model_id(model).await?;
	let mut key = key.clone();
	if let Some(capacity) = capacity {
		let chain = cx.chain().await?;
		let signer = key.signer(chain.development, &cx.report)?;
		let call = runtime::tx().providers().set_capacity(capacity);
		chain.submit(&call, &signer, Until::InBlock, &cx.report).await?;
		let text = format!("takes {capacity} jobs at once");
		cx.report.step("capacity", &text, json!({ "capacity": capacity }));
		key = key.next();
	}
	let text = format!("Serves {model}. Jobs come once the node's engine has loaded it: `assay status`.");
	let call = runtime::tx().providers().serve(id.into(), least.prices().into());
	submit(cx, call, &key, &text, json!({ "model": id })).await
}

async fn show(cx: &Context, account: Account) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let address = runtime::storage().providers().providers();
	let stored = at
		.storage()
		.try_fetch(address, (account.0.into(),))
		.await
		.map_err(|e| chain.failed(e))?;
	let Some(value) = stored else {
		return Err(CliError::NotFound(format!(
			"{} is not a provider: `assay provider bond AMOUNT` makes it one",
			name_of(&account)
		)));
	};
	let record = value.decode().map_err(|e| chain.failed(e))?;
	let now = u32::try_from(at.block_number()).unwrap_or(u32::MAX);
	let mut models = Vec::new();
	let mut will_be_sealed = false;
	let mut endpoint = None;
	for model in record.models.0.iter().map(|m| m.0) {
		let views = chain.providers_of(&at, model).await?;
		let view = views.into_iter().find(|view| view.provider == account);
		will_be_sealed |= view.as_ref().is_some_and(|view| view.ready);
		let sealed = Asy(view.as_ref().map_or(0, |view| view.sealed));
		endpoint = view.and_then(|view| view.endpoint).or(endpoint);
		models.push(Served { model, sealed });
	}
	let provider = ProviderRecord {
		account,
		bond: Asy(record.bond),
		unlocking: record.unlocking.0.iter().map(|c| (Asy(c.amount), c.at)).collect(),
		capacity: record.capacity,
		load: record.load,
		models,
		will_be_sealed,
		key: record.key.map(|key| encode_prefixed(key.0)),
		endpoint: endpoint.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
		last_seen: record.last_seen,
		ready: record.ready,
		suspensions: record.suspensions,
		suspended_at: record.suspended_at,
		fines: Fines {
			amount: Asy(record.fines.amount),
			lapses: record.fines.lapses,
		},
		lost_bond: Asy(record.lost_bond),
		jailed_until: record.jailed_until,
	};
	Ok(Outcome::new(provider.text(now), json!(provider)))
}

/// A model that a provider serves, and its stake in the electorate that is in force.
#[derive(serde::Serialize)]
struct Served {
	model: ModelId,
	sealed: Asy,
}

/// What a provider was fined in the last session in which it was.
#[derive(serde::Serialize)]
struct Fines {
	amount: Asy,
	lapses: u8,
}

/// A provider as the chain stores it.
#[derive(serde::Serialize)]
struct ProviderRecord {
	account: Account,
	bond: Asy,
	unlocking: Vec<(Asy, u32)>,
	capacity: u32,
	load: u32,
	models: Vec<Served>,
	/// Whether the next electorates will include it.
	will_be_sealed: bool,
	key: Option<String>,
	/// Where its node streams drafts, if it serves a model.
	endpoint: Option<String>,
	last_seen: Option<u32>,
	/// Whether it was ready last, by its own call.
	ready: bool,
	suspensions: u32,
	suspended_at: Option<u32>,
	fines: Fines,
	lost_bond: Asy,
	jailed_until: Option<u32>,
}

impl ProviderRecord {
	fn text(&self, now: u32) -> String {
		let mut out = format!(
			"provider   {} ({})\nbond       {}\n",
			name_of(&self.account),
			self.account,
			self.bond
		);
		for (amount, at) in &self.unlocking {
			let state = if *at <= now {
				"can be withdrawn".into()
			} else {
				format!("withdrawable from block {at}")
			};
			out.push_str(&format!("unbonding  {amount}, {state}\n"));
		}
		let key = self.key.as_deref().unwrap_or("none: `assay provider set-key`");
		out.push_str(&format!(
			"key        {key}\njobs       {} of {}\n",
			self.load, self.capacity
		));
		if let Some(endpoint) = &self.endpoint {
			out.push_str(&format!("endpoint   {endpoint}\n"));
		}
		if self.models.is_empty() {
			out.push_str("serves     nothing: `assay provider serve MODEL`\n");
		}
		for Served { model, sealed } in &self.models {
			let stake = match sealed.0 {
				0 => "in no electorate yet".into(),
				_ => format!("{sealed} sealed in the electorate that is in force"),
			};
			out.push_str(&format!("serves     {model}, {stake}\n"));
		}
		match self.last_seen {
			Some(block) => out.push_str(&format!("last seen  in block {block}; the best block is {now}\n")),
			None => {
				out.push_str("last seen  never: its node sends a heartbeat once the engine has loaded a served model\n")
			}
		}
		self.standing(now, &mut out);
		out
	}

	/// Adds whether it will be drawn, and what it was punished for.
	fn standing(&self, now: u32, out: &mut String) {
		let ready = match (self.suspensions, self.ready, self.will_be_sealed) {
			(0, true, true) => "yes: the next electorates include it",
			(0, true, false) => "yes, but the next electorates leave it out: it lacks bond, key, heartbeat or models",
			(0, false, _) => "no, after lapses or a suspension: `assay provider ready`",
			_ => "no: it is suspended",
		};
		out.push_str(&format!("ready      {ready}\n"));
		if self.suspensions > 0 {
			let since = self
				.suspended_at
				.map_or_else(String::new, |block| format!(" since block {block}"));
			out.push_str(&format!(
				"suspended  {} times{since}: its bond is frozen until each conviction is carried out or canceled\n",
				self.suspensions
			));
		}
		if self.fines.amount.0 > 0 || self.fines.lapses > 0 {
			out.push_str(&format!(
				"fined      {} in its last session with a fine, {} lapses\n",
				self.fines.amount, self.fines.lapses
			));
		}
		if self.lost_bond.0 > 0 {
			out.push_str(&format!("slashed    {} of the bond\n", self.lost_bond));
		}
		match self.jailed_until {
			Some(until) if until <= now => out.push_str("jailed     can leave now: `assay provider unjail`\n"),
			Some(until) => out.push_str(&format!(
				"jailed     until block {until}, then `assay provider unjail`\n"
			)),
			None => {}
		}
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_provider_sees_what_to_do_next() {
		let mut provider = ProviderRecord {
			account: Account([1; 32]),
			bond: Asy(10_000_000_000_000_000),
			unlocking: vec![(Asy(5), 90), (Asy(7), 110)],
			capacity: 2,
			load: 1,
			models: Vec::new(),
			will_be_sealed: false,
			key: None,
			endpoint: None,
			last_seen: None,
			ready: false,
			suspensions: 0,
			suspended_at: None,
			fines: Fines {
				amount: Asy(3_000_000_000_000),
				lapses: 4,
			},
			lost_bond: Asy(0),
			jailed_until: Some(100),
		};
		let text = provider.text(100);
		for part in [
			"10000 ASY",
			"can be withdrawn",
			"withdrawable from block 110",
			"assay provider set-key",
			"assay provider serve MODEL",
			"a heartbeat",
			"assay provider ready",
			"3 ASY in its last session with a fine, 4 lapses",
			"can leave now",
		] {
			assert!(text.contains(part), "{part} is missing in\n{text}");
		}
		assert!(provider.text(99).contains("until block 100"));
		provider.key = Some("0x01".into());
		provider.last_seen = Some(98);
		provider.ready = true;
		let text = provider.text(100);
		assert!(
			text.contains("last seen  in block 98") && text.contains("leave it out"),
			"{text}"
		);
		provider.will_be_sealed = true;
		provider.models.push(Served {
			model: ModelId([2; 32]),
			sealed: Asy(5_000_000_000_000),
		});
		let text = provider.text(100);
		assert!(
			text.contains("the next electorates include it") && text.contains("5 ASY sealed"),
			"{text}"
		);
		(provider.suspensions, provider.suspended_at) = (1, Some(90));
		assert!(provider.text(100).contains("suspended  1 times since block 90"));
	}
}
