//! The engine's own tests on a GPU: bits, cheats, grammars, honest runs, scheduling. Emulated, with a fiftieth of the
//! repetitions, they still take minutes, so `cargo test` leaves them out; `cargo test --release --workspace --test
//! gpu-suite` runs them.

#![allow(clippy::unwrap_used)]

#[path = "../engine/bits.rs"]
mod bits;
#[path = "../engine/cheats.rs"]
mod cheats;
#[allow(dead_code)]
#[path = "../engine/common.rs"]
mod common;
#[allow(dead_code)]
#[path = "../gpu/device.rs"]
mod device;
#[path = "../engine/grammar.rs"]
mod grammar;
#[path = "../engine/honest.rs"]
mod honest;
#[allow(dead_code)]
#[path = "../engine/rows.rs"]
mod rows;
#[path = "../engine/scheduling.rs"]
mod scheduling;

use device::{device, on_real_gpu};

/// How many of so many repetitions there is time for.
fn repetitions(all: u32) -> u32 {
	if on_real_gpu() {
		all
	} else {
		all.div_ceil(50)
	}
}
