//! `assay verify`: whether a saved receipt holds, and whether its answer was checked by others.

use super::Context;
use crate::{
	amount::Asy,
	args::VerifyArgs,
	assurance::{self, words, Worth},
	chain::{At, Chain},
	error::CliError,
	output::Outcome,
	render,
};
use assay_primitives::{accumulator::verify, State, Verdict};
use assay_receipt::{check, differences, ChainReceipt, Checked, Leaf, ReceiptFile, MAX_FILE_BYTES, ONLY_A_CHAIN_KNOWS};
use serde_json::json;
use std::{io::Read, path::Path};

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

/// Recomputes a receipt file, compares it with what a finalized block stores unless `--offline`, and holds what was
/// checked against what is asked for.
pub(crate) async fn run(cx: &Context, args: &VerifyArgs) -> Result<Outcome, CliError> {
	let mut file = read(&args.file)?;
	let shown = args.file.display();
	let mut checked = check(&file).map_err(|e| CliError::NotVerified(format!("{shown}: {e}.")))?;
	let mut facts = vec![recomputed(&checked)];
	let mut pruned = false;
	let left = if args.offline {
		let mut left = vec![format!("not checked without a node: {ONLY_A_CHAIN_KNOWS}")];
		left.extend(file.root().map(|root| {
			format!("its proof leads to the root {root} of the chain's accumulator: compare it with one that you trust")
		}));
		left
	} else {
		let found = compare(cx, &file).await?;
		facts.extend(found.facts);
		pruned = found.pruned;
		// What the chain knows of the job by now counts, not what it knew when the file was written.
		file.receipt = found.receipt;
		file.read_at.number = file.read_at.number.max(found.number);
		checked = check(&file)
			.map_err(|e| CliError::NotVerified(format!("The chain's own receipt is inconsistent: {e}.")))?;
		vec![format!(
			"trusted: the node at {}; a proof that needs no node is not in this version",
			cx.global.url
		)]
	};
	let worth = assurance::of_receipt(&file.receipt, &checked, &args.assume.assumptions());
	if let Some(reason) = unmet(&file.receipt, &checked, &worth, args) {
		return Err(CliError::NotVerified(reason));
	}
	let mut text = String::new();
	facts.iter().for_each(|fact| text.push_str(&format!("  ✓ {fact}\n")));
	left.iter().for_each(|fact| text.push_str(&format!("  – {fact}\n")));
	let state = if args.offline { "CONSISTENT" } else { "VERIFIED" };
	let json = json!({
		"verified": !args.offline,
		"consistent": true,
		"job": file.receipt.job,
		"claim": checked.claim,
		"verdict": render::verdict(file.receipt.verdict),
		"state": render::state(file.receipt.state),
		"settled": file.receipt.is_settled(),
		"pruned": pruned,
		"meaning": checked.to_string(),
		"verifiers": checked.checkers,
		"assurance": worth.json(),
		"input": json!(file)["input"],
		"answer": file.answer(),
		"checked": facts,
		"not_checked": left,
	});
	Ok(Outcome::new(
		format!("{state}. {checked}\n{text}\n{}", worth.text()),
		json,
	))
}

fn recomputed(checked: &Checked) -> String {
	let opened = if checked.opened {
		"the seal, and every approval against the opened root"
	} else {
		"no approval yet, because nobody has opened the claim"
	};
	format!(
		"recomputed: hashes of prompt and answer, the ids of job and claim, the sampling seed, token counts, seats, \
		 faults, verdict; {opened}"
	)
}

/// Returns why the answer does not count as verified; none if it does.
fn unmet(receipt: &ChainReceipt, checked: &Checked, worth: &Worth, args: &VerifyArgs) -> Option<String> {
	let standing = standing(receipt, checked);
	if standing.is_some() {
		return standing;
	}
	let electorate = receipt.claim.as_ref().map(|claim| claim.electorate).unwrap_or_default();
	if checked.checkers < args.min_verifiers {
		return Some(format!(
			"{} recomputed the answer and {}, and --min-verifiers asks for {}.",
			words::number(checked.checkers, "provider"),
			if checked.checkers == 1 { "agrees" } else { "agree" },
			args.min_verifiers
		));
	}
	if Asy(electorate.stake) < args.min_stake {
		return Some(format!(
			"The electorate of this model had {} at stake, and --min-stake asks for {}.",
			Asy(electorate.stake),
			args.min_stake
		));
	}
	// An answer that the electorate upheld stands by its decision, whatever the seats were.
	let by_decision = checked.upheld && checked.evidence.is_some_and(|evidence| evidence.verifiers == 0);
	if worth.numbers.is_none() && !by_decision {
		return Some(format!(
			"Under these assumptions the votes prove nothing. {}",
			worth.text()
		));
	}
	None
}

/// Returns why an answer is not one that others have checked.
fn standing(receipt: &ChainReceipt, checked: &Checked) -> Option<String> {
	if checked.is_checked() {
		return None;
	}
	let reason = match receipt.verdict {
		_ if receipt.state == State::Disputed => {
			"The answer is disputed: the electorate is recomputing it. Try again when it has decided."
		}
		_ if checked.contested => {
			"The answer is contested: somebody objected, and the electorate did not decide. Ask again, with more \
			 verifiers."
		}
		Verdict::Unchecked => {
			"Nobody checked this answer: no verifier was asked for. The receipt is consistent, and says nothing of the \
			 answer. Ask with --verifiers."
		}
		Verdict::Unverified => {
			"Too few verifiers checked this answer in time, and no auditor has approved it. Ask again."
		}
		Verdict::Overturned => "The electorate found this answer false. The requester was refunded.",
		Verdict::Refunded(_) => return Some(checked.to_string()),
		Verdict::Confirmed => "No approval of this answer was left when its claim was opened.",
	};
	Some(reason.into())
}

/// What a finalized block knows of a receipt.
struct Found {
	/// The receipt as the chain has it now.
	receipt: ChainReceipt,
	/// The block's number.
	number: u32,
	/// What was found, in words.
	facts: Vec<String>,
	/// Whether the chain has pruned the receipt and only its accumulator has it.
	pruned: bool,
}

/// Compares a receipt with what a finalized block stores, or with its accumulator if it is pruned.
async fn compare(cx: &Context, file: &ReceiptFile) -> Result<Found, CliError> {
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
	let block = u32::try_from(number).unwrap_or(u32::MAX);
	let Some(stored) = chain.receipt(&at, file.receipt.job).await? else {
		if u64::from(file.receipt.verdict_at) > number {
			return not(format!(
				"Its verdict is of block {}, and only block {number} is finalized: try again in some seconds",
				file.receipt.verdict_at
			));
		}
		return Ok(Found {
			receipt: file.receipt.clone(),
			number: block,
			facts: vec![accumulated(chain, &at, file).await?],
			pruned: true,
		});
	};
	let wrong = differences(&file.receipt, &stored);
	if !wrong.is_empty() {
		return not(format!(
			"The chain stores another receipt of this job; it differs in: {}",
			wrong.join(", ")
		));
	}
	let same = file.receipt == stored;
	let mut facts = vec![if same {
		format!(
			"the chain {} stores exactly this receipt, in finalized block {number}",
			chain.name
		)
	} else {
		format!(
			"the chain {} stores this receipt, which has gone on since: it is {} in finalized block {number}",
			chain.name,
			render::state(stored.state)
		)
	}];
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
	Ok(Found {
		receipt: stored,
		number: block,
		facts,
		pruned: false,
	})
}

/// Holds a receipt that the chain does not store against the chain's accumulator. Returns what was found.
async fn accumulated(chain: &Chain, at: &At, file: &ReceiptFile) -> Result<String, CliError> {
	let number = at.block_number();
	let leaf = provable(file).map_err(|why| {
		CliError::NotVerified(format!(
			"Finalized block {number} stores no receipt of this job: it never did, or the receipt was pruned. {why} \
			 (--offline checks the rest)"
		))
	})?;
	let accumulator = chain.accumulator(at).await?;
	let proof = match (chain.receipt_proof(at, leaf.index).await, &leaf.proof) {
		(Ok(proof), _) => proof,
		// The file's own proof holds until the next receipt is appended.
		(Err(_), Some(proof)) if proof.leaves == accumulator.leaves => proof.clone(),
		(Err(error), _) => return Err(error),
	};
	if !verify(&accumulator.root(), &file.receipt.leaf(), leaf.index, &proof) {
		return Err(CliError::NotVerified(format!(
			"Finalized block {number} stores no receipt of this job, and the chain's accumulator has another receipt than \
			 this one at index {}",
			leaf.index
		)));
	}
	Ok(format!(
		"the chain {} has pruned this receipt, and its accumulator still has exactly this one: at index {} of {} in \
		 finalized block {number}",
		chain.name, leaf.index, accumulator.leaves
	))
}

/// Returns where a receipt is in the chain's accumulator, or why that is not known.
fn provable(file: &ReceiptFile) -> Result<&Leaf, &'static str> {
	if !file.receipt.is_settled() {
		return Err("The accumulator has final receipts only, and this file was saved before its job was final");
	}
	file.accumulator.as_ref().ok_or(
		"The file does not name its place in the chain's accumulator: `assay receipt --save` writes it while the chain \
		 stores the receipt, once it is final in a finalized block",
	)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use clap::Parser;

	macro_rules! golden {
		($name:literal) => {
			include_str!(concat!("../../../receipt/tests/golden/", $name, ".json"))
		};
	}

	fn args(list: &[&str]) -> VerifyArgs {
		match Cli::parse_from(["assay", "verify", "receipt.json"].iter().chain(list)).command {
			Command::Verify(args) => args,
			_ => unreachable!(),
		}
	}

	fn reason(golden: &str, list: &[&str]) -> Option<String> {
		let (file, args) = (ReceiptFile::from_json(golden).unwrap(), args(list));
		let checked = check(&file).unwrap();
		let worth = assurance::of_receipt(&file.receipt, &checked, &args.assume.assumptions());
		unmet(&file.receipt, &checked, &worth, &args)
	}

	#[test]
	fn only_what_others_checked_is_verified() {
		for checked in [
			golden!("settled"),
			golden!("confirmed"),
			golden!("one_head"),
			golden!("audited"),
			golden!("upheld"),
		] {
			assert_eq!(reason(checked, &[]), None);
		}
		for (golden, words) in [
			(golden!("unchecked"), "Nobody checked this answer"),
			(golden!("unverified"), "Too few verifiers checked this answer"),
			(golden!("contested"), "The answer is contested"),
			(golden!("disputed"), "The answer is disputed"),
			(golden!("overturned"), "found this answer false"),
			(
				golden!("void"),
				"the electorate did not decide. The requester was refunded.",
			),
			(golden!("refunded"), "no executor published one in time"),
		] {
			let reason = reason(golden, &[]).unwrap();
			assert!(reason.contains(words), "{reason}");
		}
	}

	#[test]
	fn a_reader_may_ask_for_more() {
		let settled = golden!("settled");
		assert_eq!(
			reason(
				settled,
				&["--min-verifiers", "2", "--min-stake", "40000", "--alpha", "20"]
			),
			None
		);
		for (list, words) in [
			(
				["--min-verifiers", "3"],
				"2 providers recomputed the answer and agree, and --min-verifiers asks for 3.",
			),
			(
				["--min-stake", "40001"],
				"40000 ASY at stake, and --min-stake asks for 40001 ASY.",
			),
			(["--alpha", "34"], "Under these assumptions the votes prove nothing."),
			(["--beta", "40"], "Under these assumptions the votes prove nothing."),
		] {
			let reason = reason(settled, &list).unwrap();
			assert!(reason.contains(words), "{reason}");
		}
		let one = reason(golden!("one_head"), &["--min-verifiers", "2"]).unwrap();
		assert!(one.starts_with("1 provider recomputed the answer and agrees"), "{one}");
	}

	#[test]
	fn only_a_final_receipt_with_its_place_is_provable_when_it_is_pruned() {
		let file = |golden| ReceiptFile::from_json(golden).unwrap();
		assert_eq!(provable(&file(golden!("settled"))).map(|leaf| leaf.index), Ok(5));
		let reason = |golden| provable(&file(golden)).unwrap_err();
		assert!(reason(golden!("confirmed")).contains("saved before its job was final"));
		assert!(reason(golden!("overturned")).contains("does not name its place"));
	}

	#[test]
	fn a_file_of_the_former_format_is_refused_by_its_number() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("receipt.json");
		std::fs::write(&path, golden!("settled").replacen("\"format\": 4", "\"format\": 3", 1)).unwrap();
		let error = read(&path).err().unwrap().to_string();
		assert!(error.contains("this receipt has format 3"), "{error}");
	}

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
