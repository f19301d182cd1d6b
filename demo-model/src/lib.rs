//! How the bundled demo model is made, from text to a Hugging Face model directory.
//!
//! A small chat model of the Llama family, trained from scratch on questions and answers about Assay that were written
//! for this project. [`corpus`] reads them, [`variants`] rephrases them, [`vocabulary`] learns the tokens, [`llama`] is
//! the model, [`training`] trains it, [`judge`] scores it and [`export`] writes it to files. `assay model import`
//! quantizes it to profile `c2`, so that this crate needs nothing of the engine.

#![deny(missing_docs)]

pub mod corpus;
pub mod export;
pub mod judge;
pub mod llama;
pub mod training;
pub mod variants;
pub mod vocabulary;
