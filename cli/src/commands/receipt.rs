//! `assay receipt`, `verify`, `job` and `prune`: what the chain stores of a job, and whether a saved receipt holds.

use super::{checked_file, submit, Context};
use crate::{chain::runtime, error::CliError, keys::KeyArgs, output::Outcome, render};
use assay_primitives::JobId;
use assay_receipt::{check, differences, Checked, ReceiptFile, MAX_FILE_BYTES, ONLY_A_CHAIN_KNOWS};
use serde_json::json;
use std::{io::Read, path::Path};

/// Prints a receipt, from the last finalized block if it is there and else from the best block.
pub(crate) async fn show(cx: &Context, job: JobId, to: Option<&Path>) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let finalized = chain.finalized().await?;
	let (at, is_final) = match chain.receipt(&finalized, job).await? {
		Some(_) => (finalized, true),
		None => {
			let best = chain.best().await?;
			match (chain.receipt(&best, job).await?, chain.job(&best, job).await?) {
				(Some(_), _) => (best, false),
				(None, Some(view)) => {
					let phase = render::phase(view.phase);
					return Err(CliError::NotFound(format!(
						"job {job} has no receipt yet, it is {phase}: `assay job {job}` shows where it stands"
					)));
				}
				(None, None) => return Err(unknown(job)),
			}
		}
	};
	let (file, checked) = checked_file(cx, &at, job, is_final, to).await?;
	let name = chain
		.model(&at, &file.receipt.model.to_string())
		.await
		.ok()
		.map(|m| m.name);
	let text = format!(
		"{}\n\n{}",
		render::answer(&file),
		render::receipt(&file, &checked, name.as_deref())
	);
	Ok(Outcome::new(text.trim_start(), render::receipt_json(&file, &checked)))
}

fn read(path: &Path) -> Result<ReceiptFile, CliError> {
	let file = std::fs::File::open(path).map_err(|e| CliError::file(path, e))?;
	// One byte more than allowed is enough to know that it is too long.
	let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
	let mut bytes = Vec::new();
	file.take(limit)
		.read_to_end(&mut bytes)
		.map_err(|e| CliError::file(path, e))?;
	let text = String::from_utf8(bytes).map_err(|_| CliError::file(path, "not a text file"))?;
	ReceiptFile::from_json(&text).map_err(|e| CliError::file(path, e))
}

/// Recomputes a receipt file and, unless `offline`, compares it with what a finalized block stores.
pub(crate) async fn verify(cx: &Context, path: &Path, offline: bool) -> Result<Outcome, CliError> {
	let file = read(path)?;
	let checked = check(&file).map_err(|e| CliError::NotVerified(format!("{}: {e}", path.display())))?;
	let mut facts = vec![recomputed(&checked)];
	let left = if offline {
		vec![format!("not checked without a node: {ONLY_A_CHAIN_KNOWS}")]
	} else {
		facts.extend(compare(cx, &file).await?);
		vec![format!(
			"trusted: the node at {}; a proof that needs no node is not in this version",
			cx.global.url
		)]
	};
	let mut text = String::new();
	facts.iter().for_each(|fact| text.push_str(&format!("  ✓ {fact}\n")));
	left.iter().for_each(|fact| text.push_str(&format!("  – {fact}\n")));
	let state = if offline { "CONSISTENT" } else { "VERIFIED" };
	let json = json!({
		"verified": !offline,
		"consistent": true,
		"job": file.receipt.job,
		"verdict": render::verdict(file.receipt.verdict),
		"meaning": checked.to_string(),
		"answer": file.answer(),
		"checked": facts,
		"not_checked": left,
	});
	Ok(Outcome::new(format!("{state}. {checked}\n{text}"), json))
}

fn recomputed(checked: &Checked) -> String {
	let id = if checked.job_derived {
		", the job's id"
	} else {
		" (not the job's id: its counter is unknown)"
	};
	format!(
		"recomputed: hashes of prompt and answer, digest{id}, token counts; counted: {} of {} votes, {} needed",
		checked.agreeing, checked.committee, checked.needed
	)
}

async fn compare(cx: &Context, file: &ReceiptFile) -> Result<Vec<String>, CliError> {
	let chain = cx.chain().await?;
	let not = |why: String| Err(CliError::NotVerified(why));
	if chain.genesis() != file.genesis {
		return not(format!(
			"The receipt is of another chain than {}'s ({}): name a node of its chain with --url, or use --offline",
			cx.global.url, chain.name
		));
	}
	let at = chain.finalized().await?;
	let number = at.block_number();
	let Some(stored) = chain.receipt(&at, file.receipt.job).await? else {
		if u64::from(file.receipt.concluded_at) > number {
			return not(format!(
				"Its verdict is of block {}, and only block {number} is finalized: try again in some seconds",
				file.receipt.concluded_at
			));
		}
		return not(format!(
			"Finalized block {number} stores no receipt of this job: it never did, or the receipt was pruned (--offline checks the rest)"
		));
	};
	let wrong = differences(&file.receipt, &stored);
	if !wrong.is_empty() {
		return not(format!(
			"The chain stores another receipt of this job; it differs in: {}",
			wrong.join(", ")
		));
	}
	let mut facts = vec![format!(
		"the chain {} stores exactly this receipt, in finalized block {number}",
		chain.name
	)];
	let read = &file.read_at;
	if u64::from(read.number) <= number {
		match chain.hash_at(read.number).await? {
			Some(hash) if hash == read.hash => facts.push(format!(
				"block {}, where it was read, is on the finalized chain",
				read.number
			)),
			_ if read.finalized => {
				return not(format!(
					"read_at: block {} of the finalized chain has another hash",
					read.number
				))
			}
			_ => {}
		}
	}
	Ok(facts)
}

/// Shows where a job stands.
pub(crate) async fn job(cx: &Context, job: JobId) -> Result<Outcome, CliError> {
	let chain = cx.chain().await?;
	let at = chain.best().await?;
	let view = chain.job(&at, job).await?.ok_or_else(|| unknown(job))?;
	Ok(Outcome::new(render::job(&view), json!(view)))
}

fn unknown(job: JobId) -> CliError {
	CliError::NotFound(format!(
		"the chain has no job {job}: it was never requested here, or its receipt was pruned"
	))
}

/// Removes a receipt from the chain.
pub(crate) async fn prune(cx: &Context, job: JobId, key: &KeyArgs) -> Result<Outcome, CliError> {
	let call = runtime::tx().jobs().prune(job.into());
	let text = format!("The receipt of job {job} is removed and its deposit is released. A saved receipt stays valid.");
	submit(cx, call, key, &text, json!({ "job": job })).await
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_file_that_is_not_a_receipt_is_refused_by_name() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("receipt.json");
		assert!(read(&path).err().unwrap().to_string().contains("receipt.json"));
		for (bytes, word) in [
			(b"{}".to_vec(), "not an Assay receipt"),
			(vec![0xff; 4], "not a text file"),
			(vec![b' '; MAX_FILE_BYTES + 9], "more than a receipt"),
		] {
			std::fs::write(&path, bytes).unwrap();
			let error = read(&path).err().unwrap();
			assert!(error.to_string().contains(word), "{error}");
			assert_eq!(error.exit_code(), 1);
		}
	}
}
