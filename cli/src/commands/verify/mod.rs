//! `assay verify`: whether a saved receipt is final, and whether others checked its answer.

mod compare;

use super::Context;
use crate::{amount::Asy, anchors, args::VerifyArgs, error::CliError, output::Outcome, paths, render};
use assay_receipt::{
	assurance::{words, Worth},
	check, verify_file, Anchor, ChainReceipt, Checked, ReadError, ReceiptFile, Report, MAX_FILE_BYTES,
};
use assay_receipt::{Outcome as Final, Policy};
use compare::compare;
use serde_json::{json, Value};
use std::path::Path;

/// Exit code for a file that nothing contradicts and that shows no final, checked answer.
const NOT_FINAL: u8 = 4;
/// Exit code for a file that is contradicted, or does not lead on from the anchor.
const UNVERIFIABLE: u8 = 5;

/// Verifies a receipt file from an anchor, without any node; compares it with a node as well if one is named with `--url`;
/// and holds what was checked against what is asked for.
pub(crate) async fn run(cx: &Context, args: &VerifyArgs) -> Result<Outcome, CliError> {
	let read = read(&args.file)?;
	let anchor = match (&args.anchor, &read) {
		(Some(path), _) => Some((anchors::read(path)?, path.display().to_string())),
		(None, Ok(file)) => anchors::known(&file.genesis)?,
		(None, Err(_)) => None,
	};
	let policy = Policy {
		now: anchors::now(),
		max_age: args.max_anchor_age.unwrap_or_default(),
		settled: args.settled,
		assumptions: args.assume.assumptions(),
	};
	let file = match read {
		Ok(file) => file,
		Err(error) => return Ok(refused(&Report::unreadable(&error))),
	};
	let report = verify_file(&file, anchor.as_ref().map(|(anchor, _)| anchor), &policy);
	let mut findings = Findings::new(&file, report, anchor);
	if cx.global.compares {
		findings.compare(cx).await?;
	}
	if let Some(reason) = findings.unmet(args) {
		return Err(CliError::NotVerified(reason));
	}
	Ok(findings.outcome())
}

fn read(path: &Path) -> Result<Result<ReceiptFile, ReadError>, CliError> {
	let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
	// One byte more shows that a file is too long, which is an outcome and no error.
	Ok(ReceiptFile::from_bytes(&paths::read_start(
		path,
		most.saturating_add(1),
	)?))
}

fn exit_code(outcome: Final) -> u8 {
	match outcome {
		Final::Final => 0,
		Final::NotFinal => NOT_FINAL,
		Final::Unverifiable => UNVERIFIABLE,
	}
}

/// Returns the result for a file that is not a receipt.
fn refused(report: &Report) -> Outcome {
	let steps: Vec<&str> = report.steps.iter().map(|step| step.text.as_str()).collect();
	let text = format!("{}. {}", report.outcome, steps.join(" "));
	Outcome::new(
		text,
		json!({ "outcome": report.outcome.to_string(), "verified": false, "reason": report.reason, "steps": report.steps }),
	)
	.with_code(exit_code(report.outcome))
}

/// What is known of a file.
struct Findings {
	file: ReceiptFile,
	report: Report,
	/// The anchor and where it is from.
	anchor: Option<(Anchor, String)>,
	/// What a node says of it.
	compared: Vec<String>,
	pruned: bool,
	/// Why the answer does not stand any more, by what a node says.
	fallen: Option<String>,
}

impl Findings {
	fn new(file: &ReceiptFile, report: Report, anchor: Option<(Anchor, String)>) -> Self {
		Self {
			file: file.clone(),
			report,
			anchor,
			compared: Vec::new(),
			pruned: false,
			fallen: None,
		}
	}

	/// Adds what a node says. It may know more than the file, and cannot make it final.
	async fn compare(&mut self, cx: &Context) -> Result<(), CliError> {
		let found = compare(cx, &self.file).await?;
		self.compared = found.facts;
		self.pruned = found.pruned;
		let later = ReceiptFile {
			read_at: assay_receipt::ReadAt {
				number: self.file.read_at.number.max(found.number),
				..self.file.read_at
			},
			receipt: found.receipt,
			finality: None,
			..self.file.clone()
		};
		let checked = check(&later)
			.map_err(|e| CliError::NotVerified(format!("The chain's own receipt is inconsistent: {e}.")))?;
		if !checked.is_checked() {
			self.fallen = Some(format!("Meanwhile, says the node: {checked}"));
		}
		Ok(())
	}

	fn final_outcome(&self) -> Final {
		match self.report.outcome {
			Final::Final if self.fallen.is_some() => Final::NotFinal,
			outcome => outcome,
		}
	}

	/// Returns why the answer is not worth what is asked for; none if it is, or if the outcome says enough.
	fn unmet(&self, args: &VerifyArgs) -> Option<String> {
		if self.final_outcome() != Final::Final {
			return None;
		}
		let (checked, worth) = (self.report.checked.as_ref()?, self.report.assurance.as_ref()?);
		unmet(&self.file.receipt, checked, worth, args)
	}

	fn outcome(&self) -> Outcome {
		let outcome = self.final_outcome();
		Outcome::new(self.text(outcome), self.json(outcome)).with_code(exit_code(outcome))
	}

	fn text(&self, outcome: Final) -> String {
		let report = &self.report;
		let first = match (&self.fallen, &report.reason, &report.checked) {
			(Some(fallen), ..) => fallen.clone(),
			(None, Some(reason), _) => reason.to_string(),
			(None, None, Some(checked)) => checked.to_string(),
			(None, None, None) => String::new(),
		};
		let mut text = format!("{outcome}. {first}\n");
		let mut line = |mark: char, fact: &str| text.push_str(&format!("  {mark} {fact}\n"));
		for step in &report.steps {
			line(if step.holds { '✓' } else { '✗' }, &step.text);
		}
		self.compared.iter().for_each(|fact| line('✓', fact));
		if let Some((_, origin)) = &self.anchor {
			line('–', &format!("trusted: the anchor, {origin}{}", self.anchor_age()));
		}
		if !report.not_proved.is_empty() {
			line('–', &format!("not proved: {}", report.not_proved.join(", ")));
		}
		if let Some(worth) = &report.assurance {
			text.push_str(&format!("\n{}", worth.text()));
		}
		text
	}

	fn anchor_age(&self) -> String {
		let age = self.report.anchor_age;
		age.map_or_else(String::new, |age| format!(", {} old", anchors::duration(age)))
	}

	fn json(&self, outcome: Final) -> Value {
		let (report, receipt) = (&self.report, &self.file.receipt);
		let anchor = self.anchor.as_ref().map(|(anchor, origin)| {
			json!({ "number": anchor.number, "set_id": anchor.set_id, "age": report.anchor_age, "from": origin })
		});
		json!({
			"outcome": outcome.to_string(),
			"verified": outcome == Final::Final,
			"reason": report.reason,
			"steps": report.steps,
			"block": report.block,
			"anchor": anchor,
			"settled": report.settled,
			"objections_until": report.objections_until,
			"not_proved": report.not_proved,
			"job": receipt.job,
			"claim": report.checked.and_then(|checked| checked.claim),
			"verdict": render::verdict(receipt.verdict),
			"state": render::state(receipt.state),
			"meaning": report.checked.map(|checked| checked.to_string()),
			"verifiers": report.checked.map(|checked| checked.checkers),
			"assurance": report.assurance.as_ref().map(Worth::json),
			"compared": self.compared,
			"pruned": self.pruned,
			"input": json!(self.file)["input"],
			"answer": self.file.answer(),
		})
	}
}

/// Returns why an answer that was checked is not worth what is asked for; none if it is.
fn unmet(receipt: &ChainReceipt, checked: &Checked, worth: &Worth, args: &VerifyArgs) -> Option<String> {
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

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use assay_receipt::assurance;
	use clap::Parser;

	macro_rules! golden {
		($name:literal) => {
			include_str!(concat!("../../../../receipt/tests/golden/", $name, ".json"))
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
	fn a_file_that_cannot_be_read_is_an_error_and_one_that_is_no_receipt_an_outcome() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("receipt.json");
		assert!(read(&path).err().unwrap().to_string().contains("receipt.json"));
		let long = vec![b' '; MAX_FILE_BYTES + 1];
		for (text, name) in [
			(&b"{}"[..], "malformed"),
			(b"{", "not_json"),
			(b"\xff\xfe{\0}\0", "not_json"),
			(&long, "too_long"),
			(br#"{"format":3,"receipt":0}"#, "format"),
		] {
			std::fs::write(&path, text).unwrap();
			let report = Report::unreadable(&read(&path).unwrap().unwrap_err());
			assert_eq!(report.reason.unwrap().name(), name);
			assert_eq!(refused(&report).code, UNVERIFIABLE);
		}
	}
}
