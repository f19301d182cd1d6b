//! `assay receipt`, `job` and `prune`: what the chain stores of a job.

use super::{checked_file, submit, Context};
use crate::{args::AssumeArgs, chain::runtime, error::CliError, keys::KeyArgs, output::Outcome, render};
use assay_primitives::JobId;
use assay_receipt::assurance;
use serde_json::json;
use std::path::Path;

/// Prints a receipt, from the last finalized block if it is there and else from the best block.
pub(crate) async fn show(
	cx: &Context,
	job: JobId,
	to: Option<&Path>,
	assume: &AssumeArgs,
) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let finalized = chain.finalized().await?;
	let (at, is_final) = match chain.receipt(&finalized, job).await? {
		Some(_) => (finalized, true),
		None => {
			let best = chain.best().await?;
			match (chain.receipt(&best, job).await?, chain.job(&best, job).await?) {
				(Some(_), _) => (best, false),
				(None, Some(view)) => {
					let state = render::state(view.state);
					return Err(CliError::NotFound(format!(
						"job {job} has no verdict yet, it is {state}: `assay job {job}` shows where it stands"
					)));
				}
				(None, None) => return Err(unknown(job)),
			}
		}
	};
	let (file, checked) = checked_file(cx, &at, job, is_final, None, to).await?;
	let name = chain
		.model(&at, &file.receipt.model.to_string())
		.await
		.ok()
		.map(|m| m.name);
	let worth = assurance::of_receipt(&file.receipt, &checked, &assume.assumptions());
	let text = format!(
		"{}\n\n{}",
		render::answer(&file),
		render::receipt(&file, &checked, &worth, name.as_deref())
	);
	Ok(Outcome::new(
		text.trim_start(),
		render::receipt_json(&file, &checked, &worth),
	))
}

/// Shows where a job stands.
pub(crate) async fn job(cx: &Context, job: JobId) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let view = chain.job(&at, job).await?.ok_or_else(|| unknown(job))?;
	Ok(Outcome::new(render::job(&view), json!(view)))
}

pub(super) fn unknown(job: JobId) -> CliError {
	CliError::NotFound(format!(
		"the chain has no job {job}: it was never requested here, or its receipt was pruned"
	))
}

/// Removes a receipt from the chain.
pub(crate) async fn prune(cx: &Context, job: JobId, key: &KeyArgs) -> Result<Outcome, CliError> {
	let call = runtime::tx().jobs().prune(job.into());
	let text = format!(
		"The receipt of job {job} is removed and its deposit is released. A file that was saved with its proof still \
		 verifies."
	);
	submit(cx, call, key, &text, json!({ "job": job })).await
}
