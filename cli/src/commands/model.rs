//! `assay models` and `assay model …`: the catalog.

use super::{model_directory, submit, Context};
use crate::{
	amount::Asy,
	args::ModelCommand,
	chain::{
		runtime::{self, runtime_types::pallet_models::types::Registration},
		Chain,
	},
	error::CliError,
	keys::KeyArgs,
	output::Outcome,
	render,
};
use assay_model_folder::Manifest;
use assay_primitives::ModelId;
use serde_json::{json, Value};
use std::path::Path;

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
		ModelCommand::Register {
			directory,
			price_in,
			price_out,
			royalty,
			key,
		} => register(cx, &directory, price_in, price_out, royalty, &key).await,
		ModelCommand::UpdatePrice {
			model,
			price_in,
			price_out,
			key,
		} => {
			let id = cx.model_id(&model).await?;
			let call = tx().update_price(id.into(), price_in.0, price_out.0);
			let text =
				format!("New jobs for {model} cost {price_in} per prompt token and {price_out} per answer token.");
			let facts = json!({ "model": id, "price_in": price_in, "price_out": price_out });
			submit(cx, call, &key, &text, facts).await
		}
		ModelCommand::Retire { model, key } => {
			let id = cx.model_id(&model).await?;
			let text = format!("{model} takes no new jobs. `assay model remove` releases the deposit later.");
			submit(cx, tx().retire(id.into()), &key, &text, json!({ "model": id })).await
		}
		ModelCommand::Remove { model, key } => {
			let id = cx.model_id(&model).await?;
			let text = format!("{model} is removed from the catalog and its deposit is released.");
			submit(cx, tx().remove(id.into()), &key, &text, json!({ "model": id })).await
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

async fn register(
	cx: &Context,
	directory: &Path,
	price_in: Asy,
	price_out: Asy,
	royalty: u32,
	key: &KeyArgs,
) -> Result<Outcome, CliError> {
	let manifest = Manifest::read(directory).map_err(|e| CliError::model_directory(directory, e))?;
	let id = manifest.model_id();
	let registration = Registration {
		id: id.into(),
		name: runtime::bounded(manifest.name.clone().into_bytes()),
		architecture: runtime::bounded(manifest.architecture.clone().into_bytes()),
		profile: manifest.profile.into(),
		parameters: manifest.parameters(),
		weight_bytes: manifest.weight_bytes(),
		price_in: price_in.0,
		price_out: price_out.0,
		royalty: runtime::permill(royalty),
		context_length: manifest.context_length(),
		prompt_overhead: manifest.prompt_overhead,
		parent: manifest.provenance.parent.map(Into::into),
	};
	ensure_unregistered(cx.chain().await?, id).await?;
	let text = format!(
		"{} is registered as {id}.\nProviders serve it with `assay provider serve {id}` once its directory is among their node's models.",
		manifest.name
	);
	let facts = json!({ "model": id, "name": manifest.name, "price_in": price_in, "price_out": price_out });
	submit(cx, runtime::tx().models().register(registration), key, &text, facts).await
}

/// Refuses a call that cannot succeed before it costs a fee.
async fn ensure_unregistered(chain: &Chain, id: ModelId) -> Result<(), CliError> {
	match chain.model(&chain.best().await?, &id.to_string()).await {
		Ok(_) => Err(CliError::refused("Models::AlreadyRegistered")),
		Err(CliError::NotFound(_)) => Ok(()),
		Err(e) => Err(e),
	}
}
