//! `assay transaction`: what became of a transaction of which its command had lost sight.

use super::Context;
use crate::{
	chain::{last_block, runtime, Fate},
	error::CliError,
	output::Outcome,
};
use assay_primitives::{Hash32, JobId};
use const_hex::encode_prefixed;
use serde_json::json;

/// Looks for a transaction in the blocks that can have it.
pub(crate) async fn run(cx: &Context, hash: Hash32, since: u32) -> Result<Outcome, CliError> {
	let shown = encode_prefixed(hash);
	let last = last_block(since);
	let chain = cx.chain().await?;
	cx.report.waiting(&format!("looking through blocks {since} to {last}"));
	let (number, finalized, events) = match chain.fate(hash, since).await? {
		Fate::InBlock {
			number,
			finalized,
			events,
		} => (number, finalized, events),
		Fate::Open { best } => {
			return Err(CliError::Open(format!(
				"transaction {shown} is in no block up to {best}, and one up to {last} can still have it: look again"
			)))
		}
		Fate::Never => {
			return Err(CliError::NotFound(format!(
				"transaction {shown} is in no block and cannot come into one any more, nothing was paid: repeat its command"
			)))
		}
	};
	let place = format!("transaction {shown} is in block {number}");
	let mut facts = json!({ "transaction": shown, "block": number, "finalized": finalized, "succeeded": null });
	let text = match events {
		Ok(events) => {
			facts["succeeded"] = json!(true);
			let done = match events.find_first::<runtime::jobs::events::Requested>() {
				Some(requested) => {
					let job: JobId = requested.map_err(|e| chain.failed(e))?.job.0;
					facts["job"] = json!(job);
					format!("requested job {job}: `assay job {job}` shows where that stands")
				}
				None => "succeeded".into(),
			};
			format!("T{} and {done}.", place.trim_start_matches('t'))
		}
		Err(refusal @ CliError::Refused { .. }) if finalized => return Err(refusal),
		Err(refusal @ CliError::Refused { .. }) => {
			return Err(CliError::Open(format!(
				"{place}, where it failed ({refusal}); the block is not finalized, and it may succeed in another: look again"
			)))
		}
		Err(_) => format!(
			"T{}. Whether it succeeded is in the block's events, which this node no longer has: ask an archive node (--url).",
			place.trim_start_matches('t')
		),
	};
	let text = if finalized {
		text
	} else {
		format!("{text} The block is not finalized: look again in some seconds.")
	};
	Ok(Outcome::new(text, facts))
}
