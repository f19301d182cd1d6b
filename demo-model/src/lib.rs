//! The recipe of the bundled demo model, from text to a Hugging Face folder.
//!
//! A small chat model of the Llama family, trained from scratch on questions and answers about Assay that were written
//! for this project. [`corpus`] reads them, [`variants`] rephrases them a little, [`vocabulary`] learns the tokens,
//! [`llama`] is the model, [`training`] teaches it, [`judge`] says how good it is and [`folder`] writes it down.
//! Quantising to profile `c1-w8` is the engine's work (`assay model import`), so that this crate needs nothing of it.

#![deny(missing_docs)]

pub mod corpus;
pub mod folder;
pub mod judge;
pub mod llama;
pub mod training;
pub mod variants;
pub mod vocabulary;
