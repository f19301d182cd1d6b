//! A decoder that means nothing, for measuring: weights of a shape, made where they are used, matrix by matrix.

use super::{At, Card, Decoder, Layer, Matrix, Network, Place, Processor};
use crate::{
	canonical::{linear::Packed, rope::Tables},
	gpu::Gpu,
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use std::sync::Arc;

impl Decoder {
	/// Random matrices and norms of ones; the same numbers everywhere. The tokens that end an answer have logits of zero, so that a
	/// greedy answer doesn't end early.
	pub(crate) fn random(numbers: DecoderConfig, rope: Tables, gpu: Option<Arc<dyn Gpu>>) -> Result<Self> {
		if numbers.attention_bias || numbers.output_bias || numbers.mlp_bias || numbers.qk_norm {
			return Err(Error::Work(
				"random weights have no biases and no norms of heads".into(),
			));
		}
		let at = match gpu {
			None => {
				let place = Processor::new(&numbers, rope);
				At::Processor(network(
					&numbers,
					place,
					|_, matrix| Ok(matrix),
					|_, vector| Ok(vector),
				)?)
			}
			Some(gpu) => {
				let card = Card::new(gpu, &numbers, &rope)?;
				At::Card(network(&numbers, card, Card::matrix, |card, vector| {
					card.vector(&vector)
				})?)
			}
		};
		Ok(Self { numbers, at })
	}
}

fn network<P: Place>(
	n: &DecoderConfig,
	place: P,
	matrix: impl Fn(&P, Matrix) -> Result<P::Matrix>,
	vector: impl Fn(&P, Vec<f32>) -> Result<P::Vector>,
) -> Result<Network<P>> {
	let mut seed = 0;
	let mut random = |rows: u32, width: u32, silent: &[u32]| {
		seed += 1;
		let weight = Packed::random(rows as usize, width as usize, seed, silent)?;
		matrix(&place, Matrix { weight, bias: None })
	};
	let ones = || vector(&place, vec![1.0; n.hidden_size as usize]);
	let (hidden, inner) = (n.hidden_size, n.intermediate_size);
	let (q, kv) = (n.num_attention_heads * n.head_dim, n.num_key_value_heads * n.head_dim);
	let ends = &n.eos_token_ids;
	let (embedding, head) = match n.tie_word_embeddings {
		true => (random(n.vocab_size, hidden, ends)?, None),
		false => {
			let embedding = random(n.vocab_size, hidden, &[])?;
			(embedding, Some(random(n.vocab_size, hidden, ends)?))
		}
	};
	let mut layers = Vec::new();
	for _ in 0..n.num_hidden_layers {
		layers.push(Layer {
			attention_norm: ones()?,
			qkv: random(q + 2 * kv, hidden, &[])?,
			head_norms: None,
			o: random(hidden, q, &[])?,
			mlp_norm: ones()?,
			gate_up: random(2 * inner, hidden, &[])?,
			down: random(hidden, inner, &[])?,
		});
	}
	let norm = ones()?;
	Ok(Network {
		place,
		embedding,
		layers,
		norm,
		head,
	})
}
