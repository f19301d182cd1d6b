//! The gateway before a network that follows scripts.

#![allow(
	clippy::unwrap_used,
	clippy::indexing_slicing,
	reason = "a test may fail by panicking"
)]

mod access;
mod anthropic;
mod clients;
mod failover;
mod hostile;
mod limits;
mod openai;
mod page;
mod reasoning;
mod refusals;
mod responses;
mod support;
