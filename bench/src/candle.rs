//! A peer: candle's own quantized Llama, unchanged, reading the GGUF file.
//!
//! It keeps f32 keys and values and copies them with every token. It has no batches: one position counts for all sequences, and
//! a prompt of more than one sequence ends in an error.

use crate::engine::{seconds_since, token, write_logits, Engine, Request};
use anyhow::{bail, Context, Result};
use candle_core::{quantized::gguf_file, Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use serde_json::Value;
use std::{fs::File, io::BufReader, time::Instant};

/// The loaded model.
#[derive(Default)]
pub struct Candle(Option<ModelWeights>);

impl Engine for Candle {
	fn ask(&mut self, request: &Request) -> Result<Value> {
		let begun = Instant::now();
		if let Request::Load(load) = request {
			let mut file = BufReader::new(File::open(load.gguf.as_ref().context("no GGUF file is named")?)?);
			let content = gguf_file::Content::read(&mut file)?;
			self.0 = Some(ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?);
			return Ok(seconds_since(begun));
		}
		let model = self.0.as_mut().context("no model is loaded")?;
		match request {
			Request::Prefill { tokens, .. } => prefill(model, *tokens),
			Request::Decode { depth, tokens, .. } => decode(model, *depth, *tokens),
			Request::Logits { tokens, out } => {
				let logits = forward(model, tokens, 0)?.flatten_all()?.to_vec1::<f32>()?;
				write_logits(out, &logits)?;
				Ok(seconds_since(begun))
			}
			other => bail!("stock candle does not do {other:?}"),
		}
	}
}

fn forward(model: &mut ModelWeights, tokens: &[u32], position: usize) -> Result<Tensor> {
	let input = Tensor::from_slice(tokens, (1, tokens.len()), &Device::Cpu)?;
	Ok(model.forward(&input, position)?)
}

fn prefill(model: &mut ModelWeights, count: usize) -> Result<Value> {
	model.clear_kv_cache();
	let tokens: Vec<u32> = (0..count).map(token).collect();
	let begun = Instant::now();
	forward(model, &tokens, 0)?;
	Ok(seconds_since(begun))
}

/// Its cache cannot be cut, so each repetition fills it again.
fn decode(model: &mut ModelWeights, depth: usize, steps: usize) -> Result<Value> {
	model.clear_kv_cache();
	let tokens: Vec<u32> = (0..depth).map(token).collect();
	forward(model, &tokens, 0)?;
	let begun = Instant::now();
	for position in depth..depth + steps {
		forward(model, &[token(position)], position)?;
	}
	Ok(seconds_since(begun))
}
