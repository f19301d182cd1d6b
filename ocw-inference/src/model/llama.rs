//! The Llama family on the canonical operations.
//!
//! Rows go through together, but no operation lets one row see another except attention, which sees a row's own prefix. So
//! rows that are decoded one by one and rows of one prefill are the same rows, bit for bit.

use super::{cache::Cache, config::DecoderConfig, weights::Weights};
use crate::{
	canonical::{
		activation::SiluMul,
		attention::{Attention, Mask},
		linear::Linear,
		mark_bad_rows,
		norm::RmsNorm,
		packed::{Gather, Packed},
		rope::{Rope, Tables},
		Tier,
	},
	kv::Segment,
	layout::SCALE_SUFFIX,
	Error, Result,
};
use candle_core::Tensor;
use half::f16;
use std::cell::RefCell;

struct Layer {
	attention_norm: Vec<f32>,
	qkv: Packed,
	o: Packed,
	mlp_norm: Vec<f32>,
	gate_up: Packed,
	down: Packed,
}

/// A Llama decoder.
pub struct Llama {
	numbers: DecoderConfig,
	embedding: Packed,
	layers: Vec<Layer>,
	norm: Vec<f32>,
	/// None: the embedding.
	head: Option<Packed>,
	rope: Tables,
	scale: f32,
	pub(crate) tier: Tier,
}

/// What a pass over some tokens leaves behind, row by row.
pub struct Rows {
	/// The residual stream after each layer, `[rows, hidden]` each.
	pub residual: Vec<Tensor>,
	/// The rows after the final norm.
	pub norm: Tensor,
	/// The first row in which a NaN or an infinity appeared. It and those behind it mean nothing.
	pub first_bad: Option<usize>,
}

impl Llama {
	/// Puts the weights in their places.
	pub(crate) fn new(numbers: DecoderConfig, mut weights: Weights, rope: Tables) -> Result<Self> {
		let DecoderConfig {
			attention_bias,
			output_bias,
			mlp_bias,
			qk_norm,
			..
		} = numbers;
		if attention_bias || output_bias || mlp_bias || qk_norm || numbers.sliding_window.is_some() {
			return Err(Error::Config(
				"biases, head norms and sliding windows are not run by this engine".into(),
			));
		}
		let mut take = |name: String| {
			weights
				.remove(&name)
				.ok_or_else(|| Error::Disagree(format!("model.safetensors lacks tensor `{name}`")))
		};
		let mut matrix = |names: &[String]| -> Result<Packed> {
			let mut parts = Vec::new();
			let mut width = 0;
			for name in names {
				let weight = take(format!("{name}.weight"))?;
				width = weight.dim(1)?;
				let scale = take(format!("{name}.weight{SCALE_SUFFIX}"))?
					.flatten_all()?
					.to_vec1::<f32>()?;
				let scale: Vec<f16> = scale.into_iter().map(f16::from_f32).collect();
				parts.push((weight.flatten_all()?.to_vec1::<u8>()?, scale));
			}
			let parts: Vec<_> = parts.iter().map(|(w, s)| (w.as_slice(), s.as_slice())).collect();
			Ok(Packed::pack(&parts, width)?)
		};
		let embedding = matrix(&["model.embed_tokens".into()])?;
		let head = match numbers.tie_word_embeddings {
			true => None,
			false => Some(matrix(&["lm_head".into()])?),
		};
		let mut packed = Vec::new();
		for layer in 0..numbers.num_hidden_layers {
			let mut fused = |parts: &[&str]| {
				let names: Vec<_> = parts
					.iter()
					.map(|part| format!("model.layers.{layer}.{part}_proj"))
					.collect();
				matrix(&names)
			};
			packed.push((
				fused(&["self_attn.q", "self_attn.k", "self_attn.v"])?,
				fused(&["self_attn.o"])?,
				fused(&["mlp.gate", "mlp.up"])?,
				fused(&["mlp.down"])?,
			));
		}
		let mut norm = |name: String| -> Result<Vec<f32>> { Ok(take(format!("{name}.weight"))?.to_vec1()?) };
		let mut layers = Vec::new();
		for (layer, (qkv, o, gate_up, down)) in packed.into_iter().enumerate() {
			layers.push(Layer {
				attention_norm: norm(format!("model.layers.{layer}.input_layernorm"))?,
				qkv,
				o,
				mlp_norm: norm(format!("model.layers.{layer}.post_attention_layernorm"))?,
				gate_up,
				down,
			});
		}
		Ok(Self {
			norm: norm("model.norm".into())?,
			embedding,
			head,
			layers,
			rope,
			scale: (1.0 / f64::from(numbers.head_dim).sqrt()) as f32,
			tier: Tier::detect(),
			numbers,
		})
	}

	/// The model's numbers.
	pub fn numbers(&self) -> &DecoderConfig {
		&self.numbers
	}

	/// A cache for a sequence of at most `capacity` tokens; never more than the context.
	pub fn cache(&self, capacity: usize) -> Result<Cache> {
		let n = &self.numbers;
		let capacity = capacity.clamp(1, n.max_position_embeddings as usize);
		Cache::new(
			self.layers.len(),
			n.num_key_value_heads as usize,
			n.head_dim as usize,
			capacity,
		)
	}

	/// Computes the rows of `tokens`, which follow those in the cache.
	pub fn forward(&self, tokens: &[u32], cache: &mut Cache) -> Result<Rows> {
		if tokens.is_empty() || tokens.len() > cache.free() {
			return Err(Error::Compute(format!(
				"{} tokens for a cache with room for {}",
				tokens.len(),
				cache.free()
			)));
		}
		let (offset, tier, numbers) = (cache.len, self.tier, &self.numbers);
		let (heads, kv_heads) = (
			numbers.num_attention_heads as usize,
			numbers.num_key_value_heads as usize,
		);
		let head_dim = numbers.head_dim as usize;
		let positions: Vec<u32> = (offset..offset + tokens.len()).map(|p| p as u32).collect();
		let segments = [Segment {
			rows: 0..tokens.len(),
			start: offset,
			pages: &cache.pages,
		}];
		let mut bad = vec![false; tokens.len()];
		let mut x = Gather {
			ids: tokens,
			weight: &self.embedding,
		}
		.rows()?;
		let mut residual = Vec::with_capacity(self.layers.len());
		for (index, layer) in self.layers.iter().enumerate() {
			let h = self.norm(&x, &layer.attention_norm)?;
			mark_bad_rows(&h, 0..0, &mut bad)?;
			let qkv = self.linear(&h, &layer.qkv)?.apply_op1_no_bwd(&Rope {
				cos: &self.rope.cos,
				sin: &self.rope.sin,
				positions: &positions,
				heads: heads + kv_heads,
				head_dim,
				tier,
			})?;
			mark_bad_rows(&qkv, heads * head_dim..(heads + 2 * kv_heads) * head_dim, &mut bad)?;
			let a = qkv.apply_op1_no_bwd(&Attention {
				pool: RefCell::new(&mut cache.pool),
				layer: index,
				segments: &segments,
				heads,
				scale: self.scale,
				mask: Mask::Causal { window: None },
				tier,
			})?;
			mark_bad_rows(&a, 0..0, &mut bad)?;
			x = (x + self.linear(&a, &layer.o)?)?;
			let h = self.norm(&x, &layer.mlp_norm)?;
			mark_bad_rows(&h, 0..0, &mut bad)?;
			let inner = self.linear(&h, &layer.gate_up)?.apply_op1_no_bwd(&SiluMul { tier })?;
			mark_bad_rows(&inner, 0..0, &mut bad)?;
			x = (x + self.linear(&inner, &layer.down)?)?;
			mark_bad_rows(&x, 0..0, &mut bad)?;
			residual.push(x.clone());
		}
		let norm = self.norm(&x, &self.norm)?;
		mark_bad_rows(&norm, 0..0, &mut bad)?;
		cache.len = offset + tokens.len();
		Ok(Rows {
			residual,
			norm,
			first_bad: bad.iter().position(|bad| *bad),
		})
	}

	/// Logits `[rows, vocabulary]` of rows after the final norm.
	pub fn logits(&self, norm: &Tensor) -> Result<Tensor> {
		self.linear(norm, self.head.as_ref().unwrap_or(&self.embedding))
	}

	fn linear(&self, x: &Tensor, weight: &Packed) -> Result<Tensor> {
		Ok(x.apply_op1_no_bwd(&Linear {
			weight,
			bias: None,
			tier: self.tier,
		})?)
	}

	fn norm(&self, x: &Tensor, weight: &[f32]) -> Result<Tensor> {
		Ok(x.apply_op1_no_bwd(&RmsNorm {
			weight,
			epsilon: self.numbers.rms_norm_eps.0,
			tier: self.tier,
		})?)
	}
}
