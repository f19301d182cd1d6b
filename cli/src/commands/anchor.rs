//! `assay anchor`: the validators of a node's newest finalized block, for those who trust it.

use super::Context;
use crate::{anchors, error::CliError, output::Outcome};
use serde_json::json;
use std::path::Path;

/// Prints the anchor, or writes it to a file.
pub(crate) async fn run(cx: &Context, to: Option<&Path>) -> Result<Outcome, CliError> {
	let anchor = cx.chain().await?.anchor().await?;
	let text = match to {
		Some(path) => {
			anchors::write(&anchor, path)?;
			format!(
				"{}: block {} of {}, set {} of {} validators. Whoever verifies from it trusts {}",
				path.display(),
				anchor.number,
				anchor.chain,
				anchor.set_id,
				anchor.authorities.len(),
				cx.global.url
			)
		}
		None => anchor.to_json().map_err(|e| CliError::Node(e.to_string()))?,
	};
	Ok(Outcome::new(text, json!(anchor)))
}
