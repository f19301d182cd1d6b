//! A peer: candle's own quantised Llama, unchanged, reading the GGUF file.
//!
//! It keeps f32 keys and values and copies them with every token. It has no batches: one position counts for all sequences, and
//! a prompt of more than one sequence ends in an error.

use crate::protocol::{number, text, token, write_logits, Worker};
use anyhow::{Context, Result};
use candle_core::{quantized::gguf_file, Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;
use serde_json::{json, Value};
use std::{fs::File, io::BufReader, time::Instant};

/// The loaded model.
#[derive(Default)]
pub struct Candle(Option<ModelWeights>);

impl Worker for Candle {
	fn answer(&mut self, request: &Value) -> Result<Value> {
		let operation = text(request, "op")?;
		let begun = Instant::now();
		if operation == "load" {
			let mut file = BufReader::new(File::open(text(request, "gguf")?)?);
			let content = gguf_file::Content::read(&mut file)?;
			self.0 = Some(ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?);
			return Ok(json!({ "seconds": begun.elapsed().as_secs_f64() }));
		}
		let model = self.0.as_mut().context("no model is loaded")?;
		let seconds = match operation {
			"prefill" => prefill(model, number(request, "tokens")?)?,
			"decode" => decode(model, number(request, "depth")?, number(request, "tokens")?)?,
			"logits" => {
				let ids = request.get("tokens").and_then(Value::as_array).context("no tokens")?;
				let ids: Vec<u32> = ids.iter().filter_map(|id| id.as_u64().map(|id| id as u32)).collect();
				let logits = forward(model, &ids, 0)?.flatten_all()?.to_vec1::<f32>()?;
				write_logits(request, &logits)?;
				begun.elapsed().as_secs_f64()
			}
			other => anyhow::bail!("stock candle does not do `{other}`"),
		};
		Ok(json!({ "seconds": seconds }))
	}
}

fn forward(model: &mut ModelWeights, tokens: &[u32], position: usize) -> Result<Tensor> {
	let input = Tensor::from_slice(tokens, (1, tokens.len()), &Device::Cpu)?;
	Ok(model.forward(&input, position)?)
}

fn prefill(model: &mut ModelWeights, count: usize) -> Result<f64> {
	model.clear_kv_cache();
	let tokens: Vec<u32> = (0..count).map(token).collect();
	let begun = Instant::now();
	forward(model, &tokens, 0)?;
	Ok(begun.elapsed().as_secs_f64())
}

/// Its cache cannot be cut, so each repetition fills it anew.
fn decode(model: &mut ModelWeights, depth: usize, steps: usize) -> Result<f64> {
	model.clear_kv_cache();
	let tokens: Vec<u32> = (0..depth).map(token).collect();
	forward(model, &tokens, 0)?;
	let begun = Instant::now();
	for position in depth..depth + steps {
		forward(model, &[token(position)], position)?;
	}
	Ok(begun.elapsed().as_secs_f64())
}
