//! `assay verify` as a person or a script runs it, on receipts of every outcome, with no node.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::Value;
use std::{
	fs,
	path::{Path, PathBuf},
	process::{Command, Output},
};
use tempfile::TempDir;

fn repository() -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn golden(name: &str) -> PathBuf {
	repository().join(format!("receipt/tests/golden/{name}.json"))
}

/// A receipt of the specification's vectors with its anchor.
struct Vector {
	directory: TempDir,
	text: String,
}

impl Vector {
	fn new(name: &str) -> Self {
		let vectors = fs::read_to_string(repository().join("docs/spec/receipt-vectors.json")).unwrap();
		let vectors: Value = serde_json::from_str(&vectors).unwrap();
		let vector = vectors["vectors"]
			.as_array()
			.unwrap()
			.iter()
			.find(|one| one["name"] == name);
		let vector = vector.unwrap_or_else(|| panic!("no vector {name}"));
		let directory = tempfile::tempdir().unwrap();
		let text = vector["file"].as_str().unwrap().to_owned();
		fs::write(directory.path().join("receipt.json"), &text).unwrap();
		fs::write(directory.path().join("anchor.json"), vector["anchor"].to_string()).unwrap();
		Self { directory, text }
	}

	fn verify(&self, options: &[&str]) -> Output {
		let anchor = self.directory.path().join("anchor.json");
		let options = [&["--anchor", anchor.to_str().unwrap()], options].concat();
		verify(&self.directory.path().join("receipt.json"), &options)
	}
}

fn verify(file: &Path, options: &[&str]) -> Output {
	let home = tempfile::tempdir().unwrap();
	let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
	// No node answers at this address: none is asked. Anchors that somebody keeps are not for tests.
	command.env("ASSAY_URL", "ws://127.0.0.1:1").env("HOME", home.path());
	command.env_remove("XDG_DATA_HOME");
	command.arg("verify").arg(file).args(options).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
	String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns the exit code and what is printed for people.
fn shown(output: &Output) -> (i32, String) {
	(
		output.status.code().unwrap(),
		text(&output.stdout) + &text(&output.stderr),
	)
}

#[test]
fn a_final_receipt_shows_each_step_and_what_it_is_worth() {
	let (code, shown) = shown(&Vector::new("closed_three_handovers").verify(&[]));
	assert_eq!(code, 0, "{shown}");
	assert!(shown.starts_with("FINAL. "), "{shown}");
	for part in [
		"handovers lead to set",
		"finalized block",
		"stores the receipt",
		"It is settled",
		"– trusted: the anchor,",
		"If 20 % of that stake were corrupt or lazy",
	] {
		assert!(shown.contains(part), "{part}: {shown}");
	}
	assert!(!shown.contains('✗'), "{shown}");
}

#[test]
fn an_open_receipt_is_final_and_says_until_when_it_can_be_objected_to() {
	let open = Vector::new("open_objections_possible");
	let (code, text) = shown(&open.verify(&[]));
	assert!(
		code == 0 && text.contains("an objection is possible until block"),
		"{text}"
	);
	assert!(text.contains("– not proved: "), "{text}");
	let (code, text) = shown(&open.verify(&["--settled"]));
	assert!(
		code == 4 && text.starts_with("NOT FINAL. ") && text.contains("not settled"),
		"{text}"
	);
}

#[test]
fn what_is_not_final_exits_with_four_and_what_is_false_with_five() {
	for (name, code, word) in [
		("verdict_unchecked", 4, "Nobody was asked to check"),
		("verdict_overturned", 4, "found this answer false"),
		("verdict_disputed", 4, "disputed"),
		("format_4", 4, "no evidence"),
		("one_vote_short", 5, "Too few validators"),
		("wrong_set_id", 5, "not signed by its validator"),
		("other_chain", 5, "another chain"),
		("gap_before_the_anchor", 5, "begins after"),
	] {
		let (found, shown) = shown(&Vector::new(name).verify(&[]));
		let outcome = if code == 4 { "NOT FINAL. " } else { "UNVERIFIABLE. " };
		assert_eq!(found, code, "{name}: {shown}");
		assert!(shown.starts_with(outcome) && shown.contains(word), "{name}: {shown}");
	}
	// The time of the vectors' anchor is in the future of whoever runs this.
	let old = Vector::new("old_anchor");
	let path = old.directory.path().join("anchor.json");
	let mut anchor: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
	anchor["time"] = 1.into();
	fs::write(&path, anchor.to_string()).unwrap();
	let (code, text) = shown(&old.verify(&[]));
	assert!(
		code == 5 && text.contains("too old") && text.contains("days old"),
		"{text}"
	);
	assert_eq!(shown(&old.verify(&["--max-anchor-age", "any"])).0, 0);
	assert_eq!(shown(&old.verify(&["--max-anchor-age", "some"])).0, 2);
}

#[test]
fn without_evidence_or_an_anchor_nothing_is_final() {
	for name in ["settled", "confirmed", "one_head", "audited", "upheld"] {
		let (code, shown) = shown(&verify(&golden(name), &[]));
		assert!(code == 4 && shown.contains("no evidence"), "{name}: {shown}");
	}
	let vector = Vector::new("closed_one_validator");
	let (code, shown) = shown(&verify(&vector.directory.path().join("receipt.json"), &[]));
	assert!(code == 5 && shown.contains("no anchor"), "{shown}");
}

#[test]
fn what_is_asked_for_decides() {
	let settled = Vector::new("closed_three_handovers");
	assert_eq!(shown(&settled.verify(&["--min-verifiers", "2"])).0, 0);
	for unmet in [["--min-verifiers", "3"], ["--min-stake", "40001"], ["--alpha", "40"]] {
		let (code, shown) = shown(&settled.verify(&unmet));
		assert!(code == 1 && shown.contains("NOT VERIFIED."), "{shown}");
	}
	assert_eq!(
		shown(&settled.verify(&["--alpha", "400"])).0,
		2,
		"no command line of this program"
	);
}

#[test]
fn programs_get_one_object() {
	let read = |name: &str| -> Value { serde_json::from_slice(&Vector::new(name).verify(&["--json"]).stdout).unwrap() };
	let settled = read("closed_three_handovers");
	assert_eq!(
		(&settled["outcome"], &settled["verified"]),
		(&"FINAL".into(), &true.into())
	);
	assert_eq!(
		(&settled["verdict"], &settled["settled"]),
		(&"confirmed".into(), &true.into())
	);
	assert!(settled["assurance"]["numbers"]["epsilon"].as_f64().unwrap() < 0.5);
	assert_eq!(settled["steps"].as_array().unwrap().len(), 8);
	let unchecked = read("verdict_unchecked");
	assert_eq!(
		(&unchecked["outcome"], &unchecked["reason"]),
		(&"NOT FINAL".into(), &"unchecked".into())
	);
	assert_eq!(read("one_vote_short")["reason"], "too_few_votes");
}

#[test]
fn a_changed_receipt_is_refused_with_the_name_of_the_field() {
	let vector = Vector::new("closed_one_validator");
	let path = vector.directory.path().join("receipt.json");
	for (from, to, name) in [
		("The stored outcome", "No stored outcome", "claim.output_hash"),
		("What is", "Who is", "input_hash"),
		("\"count\":5", "\"count\":6", "job: "),
		("\"format\":5", "\"format\":3", "format 3"),
	] {
		let changed = vector.text.replacen(from, to, 1);
		assert_ne!(changed, vector.text, "{from}");
		fs::write(&path, changed).unwrap();
		let (code, shown) = shown(&vector.verify(&[]));
		assert!(code == 5 && shown.contains(name), "{shown}");
	}
}

#[test]
fn what_is_no_receipt_is_unverifiable_whatever_its_bytes() {
	let vector = Vector::new("closed_one_validator");
	let path = vector.directory.path().join("receipt.json");
	let fake = vector
		.text
		.replacen('{', "{\"\\u001b[2K\\r\\nFINAL. All is well\":1,", 1);
	let long = " ".repeat(8 * 1024 * 1024 + 1);
	for (bytes, reason) in [
		(fake.as_bytes(), "malformed"),
		(b"\xff\xfe{\0}\0", "not_json"),
		(long.as_bytes(), "too_long"),
	] {
		fs::write(&path, bytes).unwrap();
		let (code, shown) = shown(&vector.verify(&[]));
		assert!(code == 5 && shown.starts_with("UNVERIFIABLE. "), "{reason}: {shown}");
		assert_eq!(shown.trim_end().lines().count(), 1, "{reason}: {shown}");
		assert!(!shown.trim_end().contains(char::is_control), "{reason}: {shown:?}");
		let json: Value = serde_json::from_slice(&vector.verify(&["--json"]).stdout).unwrap();
		assert_eq!(json["reason"], reason);
	}
}

#[test]
fn an_anchor_that_is_none_is_an_error_of_its_file() {
	let vector = Vector::new("closed_one_validator");
	fs::write(vector.directory.path().join("anchor.json"), "{}").unwrap();
	let (code, shown) = shown(&vector.verify(&[]));
	assert!(
		code == 1 && shown.contains("anchor.json") && shown.contains("not an anchor"),
		"{shown}"
	);
}
