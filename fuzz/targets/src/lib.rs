//! What is fuzzed: functions of untrusted bytes that must neither panic nor break a promise, and nothing else.
//!
//! They run three ways: on the committed seeds and some thousands of mutations in `make test` (`tests/short.rs`), under libFuzzer
//! in `make fuzz`, and on a single file that a fuzzer found (`cargo run -p assay-fuzz-targets -- TARGET FILE`).

#![deny(missing_docs)]
// A promise that is broken is a panic here: that is how a fuzzer hears of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod frames;
mod receipts;
mod requests;
mod text;
mod weights;

pub use frames::frames;
pub use receipts::receipt;
pub use requests::{chat, endpoint};
pub use text::{template, tokenizer};
pub use weights::{config, gguf, header, manifest, registration};

/// A target: a function of any bytes.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 11] = [
	("chat", chat),
	("config", config),
	("endpoint", endpoint),
	("frames", frames),
	("gguf", gguf),
	("header", header),
	("manifest", manifest),
	("receipt", receipt),
	("registration", registration),
	("template", template),
	("tokenizer", tokenizer),
];

/// Two parts of an input: what is before its first zero byte, and what is behind it.
fn parts(data: &[u8]) -> (&[u8], &[u8]) {
	match data.iter().position(|byte| *byte == 0) {
		Some(place) => (&data[..place], &data[place + 1..]),
		None => (data, &[]),
	}
}
