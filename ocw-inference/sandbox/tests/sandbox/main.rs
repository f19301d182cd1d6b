//! The sandbox from inside: each test runs itself again in a process of its own, which confines itself and then tries what
//! it must not be able to do, and what it must.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod child;
mod denied;
mod granted;
mod missing;
