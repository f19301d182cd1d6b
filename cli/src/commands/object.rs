//! `assay object`: an objection to a claim, with a bond.

use super::{submit, Context};
use crate::{
	args::Named,
	chain::{runtime, At},
	error::CliError,
	keys::KeyArgs,
	output::Outcome,
};
use assay_primitives::{digest::output_hash, ClaimId, JobId, OutputHash};
use serde_json::json;

/// Objects to a claim, which is named itself or by its job.
pub(crate) async fn run(cx: &Context, target: Named, key: &KeyArgs) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let (claim, output) = find(cx, &at, target).await?;
	let text = format!(
		"Objected to claim {claim}. The model's electorate recomputes it; the bond comes back unless it upholds the answer."
	);
	let facts = json!({ "claim": claim, "output_hash": output });
	submit(cx, runtime::object(claim, output), key, &text, facts).await
}

/// Returns the claim, and the output that the objection is to.
async fn find(cx: &Context, at: &At, Named(name): Named) -> Result<(ClaimId, OutputHash), CliError> {
	let chain = cx.chain().await?;
	if let Some(job) = chain.job(at, JobId(name)).await? {
		return match (job.claim, &job.output) {
			(Some(claim), Some(output)) => Ok((claim, output_hash(output))),
			_ => Err(CliError::NotFound(format!(
				"job {} has no answer yet: there is nothing to object to",
				job.id
			))),
		};
	}
	let claim = ClaimId(name);
	match chain.output_of(at, claim).await? {
		Some(output) => Ok((claim, output)),
		None => Err(CliError::NotFound(format!(
			"the chain has no job and no open claim {claim}: an objection is possible until the job is settled"
		))),
	}
}
