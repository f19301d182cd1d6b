//! Imports from outside, on tiny models made on the spot. One program, one file a topic.

// Helpers of tests too may say what they mean: a panic here is a failure with a name.
#![allow(clippy::unwrap_used)]

mod gguf;
mod gguf_writer;
mod hugging_face;
mod refusals;
