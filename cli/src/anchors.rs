//! Anchors: those that somebody names, and those that this program keeps of each chain that it has met, as SSH keeps the keys
//! of hosts.
//!
//! The first node that is asked is believed. From then on a chain is known by its validators: each kept anchor is led on to
//! newer ones by the chain's own handovers, and a node with another history is refused.

use crate::{chain::Chain, error::CliError, output::Reporter, paths};
use assay_primitives::Hash32;
use assay_receipt::{Anchor, AnchorError, MaxAge, MAX_SPEC_BYTES};
use serde_json::json;
use std::{
	fs,
	path::{Path, PathBuf},
	time::{SystemTime, UNIX_EPOCH},
};

/// Kept anchors that are older are led on.
const LED_ON_AFTER: u64 = 24 * 60 * 60;

/// Returns the time, in Unix seconds.
pub(crate) fn now() -> u64 {
	SystemTime::now()
		.duration_since(UNIX_EPOCH)
		.map_or(0, |since| since.as_secs())
}

/// Reads an anchor from a file that `assay anchor` wrote, or from a raw chain specification.
pub(crate) fn read(path: &Path) -> Result<Anchor, CliError> {
	let text = paths::read(path, u64::try_from(MAX_SPEC_BYTES).unwrap_or(u64::MAX))?;
	let anchor = match Anchor::from_json(&text) {
		Err(AnchorError::TooLong(_) | AnchorError::Malformed(_)) if is_specification(&text) => {
			Anchor::from_chain_spec(&text)
		}
		read => read,
	};
	anchor.map_err(|e| CliError::file(path, e))
}

fn is_specification(text: &str) -> bool {
	#[derive(serde::Deserialize)]
	struct Specification {
		#[serde(rename = "genesis")]
		_genesis: serde_json::Map<String, serde_json::Value>,
	}
	serde_json::from_str::<Specification>(text).is_ok()
}

fn path_of(genesis: &Hash32) -> Result<PathBuf, CliError> {
	let name = format!("{}.json", const_hex::encode(genesis));
	Ok(paths::directory(None, "anchors")?.join(name))
}

/// Returns the anchor that is kept of a chain, and in words where it is from.
pub(crate) fn known(genesis: &Hash32) -> Result<Option<(Anchor, String)>, CliError> {
	let path = path_of(genesis)?;
	if !path.exists() {
		return Ok(None);
	}
	let anchor = read(&path)?;
	Ok(Some((anchor, "kept since this program first met the chain".into())))
}

/// Keeps the validators of a chain that this program meets for the first time. Of a chain that it knows, it checks that the
/// node has the same history, and leads the anchor on if it is a day old.
pub(crate) async fn remember(chain: &Chain, report: &Reporter) -> Result<(), CliError> {
	let path = path_of(&chain.genesis())?;
	let kept = if path.exists() { Some(read(&path)?) } else { None };
	let Some(kept) = kept else {
		return keep(chain.anchor().await?, &path, report);
	};
	let found = chain.hash_at(kept.number).await?;
	if found != Some(kept.hash) {
		// A development chain begins anew at each start, with the same block 0.
		if chain.development {
			return keep(chain.anchor().await?, &path, report);
		}
		let finalized = chain.finalized().await?.block_number();
		return Err(CliError::Node(departure(&kept, found, finalized, &path)));
	}
	if kept.age(now()).is_none_or(|age| age <= LED_ON_AFTER) {
		return Ok(());
	}
	let (evidence, at) = chain.finality(kept.number).await?;
	let time = chain.time(&at).await?;
	let next = kept
		.lead_on(&evidence, time, now(), MaxAge::OfAnchor)
		.map_err(|reason| {
			CliError::Node(format!(
			"what this program knows of the chain does not lead to the node's newest block. {reason} If you trust this \
			 node, remove {} and try again",
			path.display()
		))
		})?;
	keep(next, &path, report)
}

/// Returns why a node's chain does not go on from a kept anchor, and what to do: the node has `found` at the height of the
/// anchor's block.
fn departure(kept: &Anchor, found: Option<Hash32>, finalized: u64, path: &Path) -> String {
	let number = kept.number;
	if finalized < u64::from(number) {
		format!(
			"it is behind: its last finalized block is {finalized}, and this program knows the chain up to block {number}. Wait \
			 until it has caught up, or ask another node"
		)
	} else if found.is_none() {
		format!(
			"it lacks block {number}, up to which this program knows the chain, and has finalized block {finalized}: it is \
			 still fetching old blocks. Wait until it has them, or ask another node"
		)
	} else {
		format!(
			"its block {number} is another than the one that this program knows of the chain: it follows another history. Ask \
			 another node; if you know why, remove {}",
			path.display()
		)
	}
}

fn keep(anchor: Anchor, path: &Path, report: &Reporter) -> Result<(), CliError> {
	let text = anchor.to_json().map_err(|e| CliError::file(path, e))?;
	let known = path.exists();
	paths::replace(path, text.as_bytes())?;
	if !known {
		let text = format!(
			"first contact with {}: its set of validators, number {}, is kept as the anchor for receipts",
			anchor.chain, anchor.set_id
		);
		report.step(
			"anchor",
			&text,
			json!({ "set_id": anchor.set_id, "number": anchor.number }),
		);
	}
	Ok(())
}

/// Writes an anchor to a file of its own.
pub(crate) fn write(anchor: &Anchor, path: &Path) -> Result<(), CliError> {
	let text = anchor.to_json().map_err(|e| CliError::file(path, e))?;
	fs::write(path, text).map_err(|e| CliError::file(path, e))
}

/// Returns a duration in its largest unit.
pub(crate) fn duration(seconds: u64) -> String {
	let (number, unit) = match seconds {
		0..120 => (seconds, "second"),
		120..7_200 => (seconds / 60, "minute"),
		7_200..172_800 => (seconds / 3_600, "hour"),
		_ => (seconds / 86_400, "day"),
	};
	format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Reads the greatest age of an anchor: so many days, or `any`.
pub(crate) fn max_age(text: &str) -> Result<MaxAge, String> {
	if text == "any" {
		return Ok(MaxAge::Unlimited);
	}
	let days: u64 = text.parse().map_err(|_| "a number of days, or `any`".to_owned())?;
	Ok(MaxAge::Seconds(days.saturating_mul(86_400)))
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn a_node_that_is_behind_has_no_other_history() {
		let kept = Anchor {
			format: assay_receipt::ANCHOR_FORMAT,
			chain: "A chain".into(),
			genesis: [1; 32],
			number: 500,
			hash: [5; 32],
			time: Some(1),
			set_id: 2,
			authorities: vec![],
			max_age: None,
		};
		let path = Path::new("/anchors/01.json");
		for (found, finalized, words) in [
			(None, 499, "its last finalized block is 499"),
			// On a fork that is not finalized.
			(Some([6; 32]), 499, "it is behind"),
			(None, 500, "still fetching old blocks"),
			(Some([6; 32]), 500, "another history"),
		] {
			let text = departure(&kept, found, finalized, path);
			assert!(text.contains(words), "{text}");
			// To remove what is known is no advice for a node that has to catch up.
			assert_eq!(text.contains("/anchors/01.json"), words == "another history", "{text}");
		}
	}

	#[test]
	fn durations_have_one_unit() {
		let told: Vec<String> = [1, 119, 120, 7_199, 7_200, 172_800].map(duration).into();
		assert_eq!(
			told,
			[
				"1 second",
				"119 seconds",
				"2 minutes",
				"119 minutes",
				"2 hours",
				"2 days"
			]
		);
	}

	#[test]
	fn an_age_is_a_number_of_days_or_any() {
		assert_eq!(max_age("2"), Ok(MaxAge::Seconds(172_800)));
		assert_eq!(max_age("any"), Ok(MaxAge::Unlimited));
		assert!(max_age("-1").is_err() && max_age("").is_err());
	}

	#[test]
	fn a_file_that_is_neither_is_refused_by_name() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("anchor.json");
		for (text, word) in [
			("{}", "not an anchor"),
			("x", "not an anchor"),
			(r#"{"name":"x","genesis":{"runtimeGenesis":{}}}"#, "it is not raw"),
		] {
			fs::write(&path, text).unwrap();
			let error = read(&path).unwrap_err().to_string();
			assert!(error.contains(word) && error.contains("anchor.json"), "{text}: {error}");
		}
	}
}
