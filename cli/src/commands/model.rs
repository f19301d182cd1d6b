//! `assay models` and `assay model …`: the catalogue.

use super::{folder, submit, Context};
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
	match command {
		ModelCommand::Show { model } if Path::new(&model).is_dir() => folder::show(Path::new(&model)),
		ModelCommand::Show { model } => show(cx, &model).await,
		ModelCommand::Import(args) => folder::import(cx, args).await,
		ModelCommand::Check { folder, record } => folder::check(cx, &folder, record),
		ModelCommand::Run(args) => folder::run(cx, &args),
		ModelCommand::Register {
			folder,
			price_in,
			price_out,
			royalty,
			key,
		} => register(cx, &folder, price_in, price_out, royalty, &key).await,
		ModelCommand::UpdatePrice {
			model,
			price_in,
			price_out,
			key,
		} => {
			let id = find(cx, &model).await?;
			let call = runtime::tx().models().update_price(id.into(), price_in.0, price_out.0);
			let text =
				format!("New jobs for {model} cost {price_in} per prompt token and {price_out} per answer token.");
			submit(
				cx,
				call,
				&key,
				&text,
				json!({ "model": id, "price_in": price_in, "price_out": price_out }),
			)
			.await
		}
		ModelCommand::Retire { model, key } => {
			let id = find(cx, &model).await?;
			let text = format!("{model} takes no new jobs. `assay model remove` gives the deposit back later.");
			submit(
				cx,
				runtime::tx().models().retire(id.into()),
				&key,
				&text,
				json!({ "model": id }),
			)
			.await
		}
		ModelCommand::Remove { model, key } => {
			let id = find(cx, &model).await?;
			let text = format!("{model} is out of the catalogue and its deposit is back.");
			submit(
				cx,
				runtime::tx().models().remove(id.into()),
				&key,
				&text,
				json!({ "model": id }),
			)
			.await
		}
	}
}

async fn find(cx: &Context, named: &str) -> Result<ModelId, CliError> {
	let chain = cx.chain().await?;
	Ok(chain.model(&chain.best().await?, named).await?.id)
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
	folder: &Path,
	price_in: Asy,
	price_out: Asy,
	royalty: u32,
	key: &KeyArgs,
) -> Result<Outcome, CliError> {
	let manifest = Manifest::read(folder).map_err(|e| CliError::folder(folder, e))?;
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
	known_already(cx.chain().await?, id).await?;
	let text = format!(
		"{} is registered as {id}.\nProviders serve it with `assay provider serve {id}` once its folder lies in their node's models.",
		manifest.name
	);
	let facts = json!({ "model": id, "name": manifest.name, "price_in": price_in, "price_out": price_out });
	submit(cx, runtime::tx().models().register(registration), key, &text, facts).await
}

/// Saves the fee of a call that can't succeed.
async fn known_already(chain: &Chain, id: ModelId) -> Result<(), CliError> {
	match chain.model(&chain.best().await?, &id.to_string()).await {
		Ok(_) => Err(CliError::refused("Models::AlreadyRegistered")),
		Err(CliError::NotFound(_)) => Ok(()),
		Err(e) => Err(e),
	}
}
