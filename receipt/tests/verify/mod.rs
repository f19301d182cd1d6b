//! The verification against the vectors that every implementation is held against, and against its own attacks.

mod accepted;
mod attacks;
mod refused;
mod text;

use crate::chain::Chain;
use assay_receipt::{verify, Anchor, Block, MaxAge, Outcome, Policy, Reason, ReceiptFile, Report};
use serde::Serialize;
use serde_json::Value;
use std::sync::LazyLock;

/// When all vectors are verified, in Unix seconds.
const NOW: u64 = 1_800_000_000;

/// A file that is verified, and what it is verified against.
pub(super) struct Case {
	name: &'static str,
	file: String,
	/// How often the text stands one after another.
	repeat: usize,
	anchor: Option<Anchor>,
	policy: Policy,
	/// The reason for which it is not final; none if it is.
	reason: Option<&'static str>,
}

impl Case {
	fn text(name: &'static str, file: String, anchor: Anchor, reason: &'static str) -> Self {
		Self {
			name,
			file,
			repeat: 1,
			anchor: Some(anchor),
			policy: Policy::at(NOW),
			reason: Some(reason),
		}
	}

	fn refused(name: &'static str, reason: &'static str, file: &ReceiptFile, anchor: Anchor) -> Self {
		Self::text(name, serde_json::to_string(file).unwrap(), anchor, reason)
	}

	fn of(name: &'static str, reason: &'static str, chain: &Chain) -> Self {
		Self::refused(name, reason, &chain.bundle(), chain.anchor())
	}

	fn accepted(name: &'static str, file: &ReceiptFile, anchor: Anchor) -> Self {
		Self {
			reason: None,
			..Self::refused(name, "", file, anchor)
		}
	}

	fn with(mut self, change: impl FnOnce(&mut Policy)) -> Self {
		change(&mut self.policy);
		self
	}

	fn report(&self) -> Report {
		verify(&self.file.repeat(self.repeat), self.anchor.as_ref(), &self.policy)
	}

	fn vector(&self) -> Vector<'_> {
		let report = self.report();
		let max_age = match self.policy.max_age {
			MaxAge::OfAnchor => Value::Null,
			MaxAge::Seconds(seconds) => seconds.into(),
			MaxAge::Unlimited => "unlimited".into(),
		};
		Vector {
			name: self.name,
			anchor: self.anchor.as_ref(),
			policy: Demands {
				now: self.policy.now,
				max_age,
				settled: self.policy.settled,
			},
			expect: Expected {
				outcome: report.outcome,
				reason: report.reason,
				block: report.block,
				settled: report.settled,
				objections_until: report.objections_until,
				not_proved: report.not_proved,
				assurance: report.assurance.map(|worth| worth.text()),
			},
			repeat: self.repeat,
			file: &self.file,
		}
	}
}

/// A case as other implementations read it.
#[derive(Serialize)]
struct Vector<'a> {
	name: &'static str,
	anchor: Option<&'a Anchor>,
	policy: Demands,
	expect: Expected,
	repeat: usize,
	file: &'a str,
}

#[derive(Serialize)]
struct Demands {
	now: u64,
	max_age: Value,
	settled: bool,
}

#[derive(Serialize)]
struct Expected {
	outcome: Outcome,
	reason: Option<Reason>,
	block: Option<Block>,
	settled: bool,
	objections_until: Option<u32>,
	not_proved: Vec<&'static str>,
	assurance: Option<String>,
}

fn cases() -> &'static [Case] {
	static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
		let all = [accepted::cases(), refused::cases(), text::cases()];
		all.into_iter().flatten().collect()
	});
	&CASES
}

#[test]
fn every_vector_ends_as_it_has_to() {
	let cases = cases();
	for case in cases {
		let report = case.report();
		let reason = report.reason.map(|reason| reason.name());
		assert_eq!(reason, case.reason, "{}: {:#?}", case.name, report.steps);
		let outcome = report.reason.map_or(Outcome::Final, |reason| reason.outcome());
		assert_eq!(report.outcome, outcome, "{}", case.name);
		assert_eq!(
			report.steps.iter().all(|step| step.holds),
			outcome == Outcome::Final,
			"{}",
			case.name
		);
		assert!(report.steps.is_sorted_by_key(|step| step.id), "{}", case.name);
	}
	let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
	names.sort_unstable();
	names.dedup();
	assert_eq!(names.len(), cases.len(), "two vectors have one name");
}

#[test]
fn every_reason_has_a_vector() {
	let cases = cases();
	for name in Reason::NAMES {
		assert!(cases.iter().any(|case| case.reason == Some(name)), "{name} has none");
	}
	assert!(cases.iter().any(|case| case.reason.is_none()));
}

#[test]
fn the_vectors_are_current() {
	let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/receipt-vectors.json");
	let vectors: Vec<String> = cases()
		.iter()
		.map(|case| serde_json::to_string(&case.vector()).unwrap())
		.collect();
	let written = format!("{{\"format\":1,\"vectors\":[\n{}\n]}}\n", vectors.join(",\n"));
	if std::env::var_os("ASSAY_BLESS").is_some() {
		std::fs::write(path, &written).unwrap();
	}
	let stored = std::fs::read_to_string(path).unwrap();
	assert!(
		stored == written,
		"the vectors are those of another tree; ASSAY_BLESS=1 writes them again"
	);
}
