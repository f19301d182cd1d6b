//! Model directories from outside: what is read, what is refused and why. One program, one file a topic.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

mod config;
mod header;
mod hostile;
mod registration;
mod tokenizers;
