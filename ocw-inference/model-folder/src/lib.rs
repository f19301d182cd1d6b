//! What a model directory is, and how untrusted bytes become one: bounded, checked against the manifest's hashes, and
//! refused with a reason.
//!
//! * [`manifest`]: what a `ModelId` hashes; [`layout`]: the tensors that follow from it; [`formats`]: those of a matrix;
//! * [`config`]: the hyperparameters, from Hugging Face's `config.json`;
//! * [`header`]: the safetensors header; [`files`]: names, sizes, and limits of JSON;
//! * [`tokenizer`], [`template`], [`prompt`]: from a message to tokens, and from tokens to text;
//! * [`ModelFolder`]: all of it, read and checked but for the weights, which the engine loads.

#![deny(missing_docs)]

pub mod config;
mod error;
pub mod files;
mod folder;
pub mod formats;
pub mod header;
pub mod layout;
pub mod manifest;
pub mod prompt;
pub mod template;
pub mod tokenizer;

pub use error::{Error, Result};
pub use folder::ModelFolder;
pub use manifest::Manifest;
