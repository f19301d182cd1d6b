//! Model directories from outside: what is read, what is refused and why. One program, one file a topic.

// Also in helpers of tests, where a panic is a failed test.
#![allow(clippy::unwrap_used)]

mod config;
mod formats;
mod header;
mod hostile;
mod keys;
mod registration;
mod rope;
mod tokenizers;
