//! The engine's own tests on a graphics card: cheats, honest runs, scheduling. Emulated they take long, so `cargo test` leaves them out;
//! `cargo test --release --workspace --test gpu-suite` runs them.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
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
#[path = "../engine/scheduling.rs"]
mod scheduling;

use device::device;
