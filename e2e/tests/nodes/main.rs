//! What happens between real nodes, engines and programs. One program, so that tests which wait for blocks wait side by side.
//! What measures time itself, or makes a storm, is a program of its own: `chaos`, `finality`, `load`, `process`.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod dev_chain;
mod gateway;
mod lost_connection;
mod network;
mod proxy;
mod streams;
