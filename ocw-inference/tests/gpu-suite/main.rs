//! The engine's own tests on a graphics card: bits, cheats, honest runs, scheduling. Emulated they take long, so `cargo test` leaves them out;
//! `cargo test --release --workspace --test gpu-suite` runs them.

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
#[path = "../engine/honest.rs"]
mod honest;
#[allow(dead_code)]
#[path = "../engine/rows.rs"]
mod rows;
#[path = "../engine/scheduling.rs"]
mod scheduling;

use device::device;
