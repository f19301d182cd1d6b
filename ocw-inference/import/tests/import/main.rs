//! Imports from outside, on tiny models made on the spot. One program, one file a topic.

// Also in helpers of tests, where a panic is a failed test.
#![allow(clippy::unwrap_used)]

mod certificates;
mod checkpoint_writer;
mod checkpoints;
mod configuration;
mod dequantize;
mod encoders;
mod gguf;
mod gguf_blocks;
mod gguf_metadata;
mod gguf_writer;
mod hugging_face;
mod measured;
mod packed;
mod quantization;
mod refusals;
mod smollm2;
mod tokens;
