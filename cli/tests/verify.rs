//! `assay verify --offline` as a person or a script runs it, on receipts of every outcome.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use serde_json::Value;
use std::{
	fs,
	path::{Path, PathBuf},
	process::{Command, Output},
};

fn golden(name: &str) -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../receipt/tests/golden/{name}.json"))
}

fn verify(file: &Path, options: &[&str]) -> Output {
	let mut command = Command::new(env!("CARGO_BIN_EXE_assay"));
	// No node answers at this address: what is offline needs none.
	command.env("ASSAY_URL", "ws://127.0.0.1:1");
	command
		.arg("verify")
		.arg(file)
		.arg("--offline")
		.args(options)
		.output()
		.unwrap()
}

fn text(bytes: &[u8]) -> String {
	String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn what_others_checked_is_consistent_and_exits_with_zero() {
	for name in ["settled", "confirmed", "one_head", "audited", "upheld"] {
		let output = verify(&golden(name), &[]);
		let shown = text(&output.stdout);
		assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
		assert!(shown.starts_with("CONSISTENT. "), "{name}: {shown}");
		assert!(
			shown.contains("✓ recomputed") && shown.contains("– not checked without a node"),
			"{shown}"
		);
		assert!(shown.contains("If 20 % of that stake were corrupt or lazy"), "{shown}");
	}
}

#[test]
fn what_nobody_checked_is_not_verified_and_exits_with_one() {
	for (name, reason) in [
		("unchecked", "Nobody checked this answer"),
		("unverified", "Too few verifiers checked this answer"),
		("contested", "The answer is contested"),
		("disputed", "The answer is disputed"),
		("overturned", "found this answer false"),
		("void", "There is no answer"),
		("refunded", "There is no answer"),
	] {
		let output = verify(&golden(name), &[]);
		let error = text(&output.stderr);
		assert_eq!(
			(output.status.code(), text(&output.stdout)),
			(Some(1), String::new()),
			"{name}"
		);
		assert!(
			error.contains("NOT VERIFIED.") && error.contains(reason),
			"{name}: {error}"
		);
	}
}

#[test]
fn what_is_asked_for_decides() {
	let settled = golden("settled");
	assert_eq!(verify(&settled, &["--min-verifiers", "2"]).status.code(), Some(0));
	assert_eq!(verify(&settled, &["--min-verifiers", "3"]).status.code(), Some(1));
	assert_eq!(verify(&settled, &["--min-stake", "40001"]).status.code(), Some(1));
	assert_eq!(verify(&settled, &["--alpha", "40"]).status.code(), Some(1));
	assert_eq!(
		verify(&settled, &["--alpha", "400"]).status.code(),
		Some(2),
		"no command line of this program"
	);
}

#[test]
fn programs_get_one_object() {
	let read = |name: &str| -> Value {
		let output = verify(&golden(name), &["--json"]);
		serde_json::from_slice(&output.stdout).unwrap()
	};
	let settled = read("settled");
	assert_eq!(
		(&settled["verified"], &settled["consistent"]),
		(&false.into(), &true.into())
	);
	assert_eq!(
		(&settled["verdict"], &settled["verifiers"]),
		(&"confirmed".into(), &2.into())
	);
	assert!(settled["assurance"]["numbers"]["epsilon"].as_f64().unwrap() < 0.5);
	assert_eq!(read("unchecked")["error"]["kind"], "not_verified");
}

#[test]
fn a_changed_receipt_is_refused_with_the_name_of_the_field() {
	let dir = tempfile::tempdir().unwrap();
	let path = dir.path().join("receipt.json");
	let honest = fs::read_to_string(golden("settled")).unwrap();
	for (from, to, name) in [
		(
			"\"text\": \"The stored outcome",
			"\"text\": \"No stored outcome",
			"claim.output_hash",
		),
		("\"text\": \"What", "\"text\": \"Who", "input_hash"),
		("\"count\": 5", "\"count\": 6", "job: "),
		("\"format\": 4", "\"format\": 3", "format 3"),
	] {
		assert!(honest.contains(from), "{from}");
		fs::write(&path, honest.replacen(from, to, 1)).unwrap();
		let output = verify(&path, &[]);
		let error = text(&output.stderr);
		assert_eq!(output.status.code(), Some(1));
		assert!(error.contains(name), "{error}");
	}
}
