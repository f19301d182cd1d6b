//! `assay chain-spec`: what light clients start from.

use super::Context;
use crate::{error::CliError, output::Outcome};

/// Prints the node's chain specification for light clients.
pub(crate) async fn run(cx: &Context) -> Result<Outcome, CliError> {
	let spec = cx.chain().await?.light_client_spec().await?;
	let text = serde_json::to_string_pretty(&spec).map_err(|e| CliError::Node(e.to_string()))?;
	Ok(Outcome::new(text, spec))
}
