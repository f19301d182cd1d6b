//! The Llama family on the canonical operations.
//!
//! Rows go through together, but no operation lets one row see another except attention, which sees a row's own prefix. So
//! rows that are decoded one by one and rows of one prefill are the same rows, bit for bit.

use super::{
	cache::{append, Cache},
	config::LlamaConfig,
	weights::Weights,
};
use crate::{
	canonical::{
		activation::SiluMul,
		attention::Attention,
		first_non_finite,
		linear::{Gather, Linear},
		norm::RmsNorm,
		rope::{Rope, Tables},
		Tier,
	},
	manifest::SCALE_SUFFIX,
	Error, Result,
};
use candle_core::{Device, Tensor, D};

/// A quantised matrix.
#[derive(Clone)]
struct Matrix {
	weight: Tensor,
	scale: Tensor,
}

struct Layer {
	attention_norm: Tensor,
	q: Matrix,
	k: Matrix,
	v: Matrix,
	o: Matrix,
	mlp_norm: Tensor,
	gate: Matrix,
	up: Matrix,
	down: Matrix,
}

/// A Llama decoder.
pub struct Llama {
	numbers: LlamaConfig,
	embedding: Matrix,
	layers: Vec<Layer>,
	norm: Tensor,
	head: Matrix,
	cos: Tensor,
	sin: Tensor,
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
	pub(crate) fn new(numbers: LlamaConfig, mut weights: Weights, rope: Tables) -> Result<Self> {
		let mut take = |name: String| {
			weights
				.remove(&name)
				.ok_or_else(|| Error::Disagree(format!("model.safetensors lacks tensor `{name}`")))
		};
		let mut matrix = |name: &str| -> Result<Matrix> {
			Ok(Matrix {
				weight: take(format!("{name}.weight"))?,
				scale: take(format!("{name}.weight{SCALE_SUFFIX}"))?,
			})
		};
		let embedding = matrix("model.embed_tokens")?;
		let head = if numbers.tie_word_embeddings {
			embedding.clone()
		} else {
			matrix("lm_head")?
		};
		let mut layers = Vec::new();
		for layer in 0..numbers.num_hidden_layers {
			let mut part = |part: &str| matrix(&format!("model.layers.{layer}.{part}"));
			let [q, k, v, o] = ["q", "k", "v", "o"].map(|p| part(&format!("self_attn.{p}_proj")));
			let [gate, up, down] = ["gate", "up", "down"].map(|p| part(&format!("mlp.{p}_proj")));
			layers.push((q?, k?, v?, o?, gate?, up?, down?));
		}
		let mut norm = |name: String| take(format!("{name}.weight"));
		let mut finished = Vec::new();
		for (layer, (q, k, v, o, gate, up, down)) in layers.into_iter().enumerate() {
			let attention_norm = norm(format!("model.layers.{layer}.input_layernorm"))?;
			let mlp_norm = norm(format!("model.layers.{layer}.post_attention_layernorm"))?;
			finished.push(Layer {
				attention_norm,
				q,
				k,
				v,
				o,
				mlp_norm,
				gate,
				up,
				down,
			});
		}
		let half = numbers.head_dim as usize / 2;
		Ok(Self {
			norm: norm("model.norm".into())?,
			embedding,
			head,
			layers: finished,
			cos: Tensor::from_vec(rope.cos, (numbers.max_position_embeddings as usize, half), &Device::Cpu)?,
			sin: Tensor::from_vec(rope.sin, (numbers.max_position_embeddings as usize, half), &Device::Cpu)?,
			scale: (1.0 / f64::from(numbers.head_dim).sqrt()) as f32,
			tier: Tier::detect(),
			numbers,
		})
	}

	/// The model's numbers.
	pub fn numbers(&self) -> &LlamaConfig {
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
		let offset = cache.len;
		let mut bad = FirstBad(None);
		let embedding = &self.embedding;
		let mut x = embedding
			.weight
			.apply_op2_no_bwd(&embedding.scale, &Gather { ids: tokens })?;
		let mut residual = Vec::with_capacity(self.layers.len());
		for (layer, (keys, values)) in self.layers.iter().zip(&cache.layers) {
			let h = bad.check(self.norm(&x, &layer.attention_norm)?)?;
			let q = bad.check(self.rope(&self.linear(&h, &layer.q)?, offset)?)?;
			let k = bad.check(self.rope(&self.linear(&h, &layer.k)?, offset)?)?;
			let v = bad.check(self.linear(&h, &layer.v)?)?;
			bad.check(f16_range(&k)?)?;
			bad.check(f16_range(&v)?)?;
			append(keys, &k, offset)?;
			append(values, &v, offset)?;
			let attention = Attention {
				offset,
				heads: self.numbers.num_attention_heads as usize,
				head_dim: self.numbers.head_dim as usize,
				scale: self.scale,
				tier: self.tier,
			};
			let a = bad.check(q.apply_op3_no_bwd(keys, values, &attention)?)?;
			x = (x + self.linear(&a, &layer.o)?)?;
			let h = bad.check(self.norm(&x, &layer.mlp_norm)?)?;
			let (gate, up) = (self.linear(&h, &layer.gate)?, self.linear(&h, &layer.up)?);
			let inner = bad.check(gate.apply_op2_no_bwd(&up, &SiluMul { tier: self.tier })?)?;
			x = bad.check((x + self.linear(&inner, &layer.down)?)?)?;
			residual.push(x.clone());
		}
		let norm = bad.check(self.norm(&x, &self.norm)?)?;
		cache.len = offset + tokens.len();
		Ok(Rows {
			residual,
			norm,
			first_bad: bad.0,
		})
	}

	/// Logits `[rows, vocabulary]` of rows after the final norm.
	pub fn logits(&self, norm: &Tensor) -> Result<Tensor> {
		self.linear(norm, &self.head)
	}

	fn linear(&self, x: &Tensor, matrix: &Matrix) -> Result<Tensor> {
		Ok(x.apply_op3_no_bwd(&matrix.weight, &matrix.scale, &Linear { tier: self.tier })?)
	}

	fn norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
		let epsilon = self.numbers.rms_norm_eps.0;
		Ok(x.apply_op2_no_bwd(
			weight,
			&RmsNorm {
				epsilon,
				tier: self.tier,
			},
		)?)
	}

	fn rope(&self, x: &Tensor, offset: usize) -> Result<Tensor> {
		let rope = Rope {
			offset,
			head_dim: self.numbers.head_dim as usize,
			tier: self.tier,
		};
		Ok(x.apply_op3_no_bwd(&self.cos, &self.sin, &rope)?)
	}
}

/// Keys and values as the cache holds them, so that an overflow of f16 is seen.
fn f16_range(rows: &Tensor) -> Result<Tensor> {
	Ok(rows
		.to_dtype(candle_core::DType::F16)?
		.to_dtype(candle_core::DType::F32)?)
}

/// The smallest row index in which any checked tensor isn't finite.
struct FirstBad(Option<usize>);

impl FirstBad {
	fn check(&mut self, rows: Tensor) -> Result<Tensor> {
		debug_assert!(rows.dim(D::Minus1).is_ok());
		if let Some(row) = first_non_finite(&rows)? {
			self.0 = Some(self.0.map_or(row, |first| first.min(row)));
		}
		Ok(rows)
	}
}
