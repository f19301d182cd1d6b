//! `assay models` and `assay model …`: the catalog.

use super::{model_directory, submit, Context};
use crate::{
	args::{ModelCommand, PriceArgs, TermsArgs},
	chain::{runtime, Chain, Until},
	error::CliError,
	keys::KeyArgs,
	output::Outcome,
	render,
};
use assay_model_folder::Manifest;
use assay_primitives::{ListingId, ModelId};
use codec::Encode;
use serde_json::{json, Value};
use std::path::Path;
use subxt::tx::Payload;

/// Lists the models.
pub(crate) async fn list(cx: &Context) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let models = chain.models(&chain.best().await?).await?;
	let all: Vec<Value> = models.iter().map(render::model_json).collect();
	Ok(Outcome::new(render::models(&models), json!({ "models": all })))
}

/// Runs a command on one model.
pub(crate) async fn run(cx: &Context, command: ModelCommand) -> Result<Outcome, CliError> {
	let tx = || runtime::tx().models();
	match command {
		ModelCommand::Show { model } if Path::new(&model).is_dir() => model_directory::show(Path::new(&model)),
		ModelCommand::Show { model } => show(cx, &model).await,
		ModelCommand::Import(args) => model_directory::import(cx, args).await,
		ModelCommand::Check { directory, record } => model_directory::check(cx, &directory, record),
		ModelCommand::Run(args) => model_directory::run(cx, &args),
		ModelCommand::Register { directory, terms, key } => register(cx, &directory, terms, &key).await,
		ModelCommand::List {
			model,
			terms,
			deposit,
			key,
		} => {
			let id = cx.model_id(&model).await?;
			let call = runtime::list(id, terms.prices.prices(), terms.royalty, deposit.0);
			let facts = json!({ "model": id, "price_in": terms.prices.price_in, "price_out": terms.prices.price_out });
			listed(cx, &call, &key, &format!("{model} is listed"), facts).await
		}
		ModelCommand::UpdatePrice { listing, prices, key } => {
			let PriceArgs { price_in, price_out } = prices;
			let call = tx().update_price(listing.into(), price_in.0, price_out.0);
			let text = format!(
				"In a day, jobs at listing {listing} cost {price_in} per prompt token and {price_out} per answer token."
			);
			let facts = json!({ "listing": listing, "price_in": price_in, "price_out": price_out });
			submit(cx, call, &key, &text, facts).await
		}
		ModelCommand::Retire { listing, key } => {
			let text = format!("Listing {listing} takes no new jobs. `assay model remove` releases the deposit later.");
			submit(
				cx,
				tx().retire(listing.into()),
				&key,
				&text,
				json!({ "listing": listing }),
			)
			.await
		}
		ModelCommand::Remove { listing, key } => {
			let text = format!("Listing {listing} is removed and its deposit is released.");
			submit(
				cx,
				tx().remove(listing.into()),
				&key,
				&text,
				json!({ "listing": listing }),
			)
			.await
		}
	}
}

async fn show(cx: &Context, named: &str) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let model = chain.model(&at, named).await?;
	let providers = chain.providers_of(&at, model.id).await?;
	let mut json = render::model_json(&model);
	if let Some(json) = json.as_object_mut() {
		json.insert(
			"provider_list".into(),
			providers.iter().map(render::provider_json).collect(),
		);
	}
	Ok(Outcome::new(render::model(&model, &providers), json))
}

async fn register(cx: &Context, directory: &Path, terms: TermsArgs, key: &KeyArgs) -> Result<Outcome, CliError> {
	let manifest = Manifest::read(directory).map_err(|e| CliError::model_directory(directory, e))?;
	let id = manifest.model_id();
	ensure_unregistered(cx.chain().await?, id).await?;
	let call = runtime::register(&manifest.encode(), terms.prices.prices(), terms.royalty);
	let PriceArgs { price_in, price_out } = terms.prices;
	let text = format!(
		"{} is registered as {id}.\nProviders serve it with `assay provider serve {id}` once its directory is among their node's models.\nIt is listed",
		manifest.name
	);
	let facts = json!({ "model": id, "name": manifest.name, "price_in": price_in, "price_out": price_out });
	listed(cx, &call, key, &text, facts).await
}

/// Submits a call that makes a listing. `text` goes on with the listing's number.
async fn listed<C: Payload>(
	cx: &Context,
	call: &C,
	key: &KeyArgs,
	text: &str,
	mut facts: Value,
) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let signer = key.signer(chain.development, &cx.report)?;
	let included = chain.submit(call, &signer, Until::Finalized, &cx.report).await?;
	let event = included.first::<runtime::models::events::Listed>(chain)?;
	let listing: ListingId = event.listing.0;
	facts["listing"] = json!(listing);
	facts["signer"] = json!(signer.account());
	facts["block"] = json!(included.number);
	Ok(Outcome::new(format!("{text} as number {listing}."), facts))
}

/// Refuses a call that cannot succeed before it costs a fee.
async fn ensure_unregistered(chain: &Chain, id: ModelId) -> Result<(), CliError> {
	match chain.model(&chain.best().await?, &id.to_string()).await {
		Ok(_) => Err(CliError::refused("Models::AlreadyRegistered")),
		Err(CliError::NotFound(_)) => Ok(()),
		Err(e) => Err(e),
	}
}
