//! How long a verification takes, and how large a file is: `cargo bench -p assay-receipt`.
//!
//! Files and anchors are vectors of `docs/spec/receipt-vectors.json`. No library for benchmarks: those need an operating
//! system, and cargo would count their features for the verifier too.

use assay_receipt::{verify, Anchor, Outcome, Policy};
use serde_json::Value;
use std::{
	hint::black_box,
	time::{Duration, Instant},
};

/// What is measured: the vector, and what is special about it.
const VECTORS: [(&str, &str); 4] = [
	("closed_one_validator", "1 validator"),
	("closed_by_index", "4 validators"),
	("closed_three_handovers", "4 validators, 3 handovers"),
	("open_objections_possible", "4 validators, not settled"),
];
const RUNS: u32 = 200;

fn main() {
	let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/spec/receipt-vectors.json");
	let text = std::fs::read_to_string(path).expect("the vectors are there");
	let all: Value = serde_json::from_str(&text).expect("the vectors are JSON");
	let all = all["vectors"].as_array().expect("a list");
	for (name, what) in VECTORS {
		let vector = all.iter().find(|vector| vector["name"] == name).expect("a vector");
		let file = vector["file"].as_str().expect("a text");
		let anchor: Anchor = serde_json::from_value(vector["anchor"].clone()).expect("an anchor");
		let policy = Policy::at(vector["policy"]["now"].as_u64().expect("a time"));
		let mut times: Vec<Duration> = (0..RUNS)
			.map(|_| {
				let begun = Instant::now();
				let report = verify(black_box(file), Some(&anchor), &policy);
				assert_eq!(report.outcome, Outcome::Final);
				begun.elapsed()
			})
			.collect();
		times.sort_unstable();
		let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
		println!(
			"{what}: {} bytes, median {median:.2?}, slowest {slowest:.2?} of {RUNS}",
			file.len()
		);
	}
}
