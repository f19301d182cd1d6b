//! The decoder families on the canonical operations: Llama, Mistral, Qwen2, Qwen3.
//!
//! Rows of several sequences go through together, but no operation lets one row see another except attention, which sees a
//! row's own prefix in the pages of its own sequence. So a row has the same bits whether it's decoded alone, is one of a long
//! prefill, or shares a batch with strangers.

use super::{config::DecoderConfig, weights::Weights};
use crate::{
	canonical::{
		activation::SiluMul,
		attention::{Attention, Mask},
		elements,
		linear::{Gather, Linear, Packed},
		mark_bad_rows,
		norm::{HeadNorm, RmsNorm},
		rope::{Rope, Tables},
		with_elements, Tier,
	},
	kv::{Pool, Segment},
	Error, Result,
};
use candle_core::{Device, Storage, Tensor};
use std::cell::RefCell;

/// Matrices with the same input, one below another, and their biases likewise.
struct Matrix {
	weight: Packed,
	bias: Option<Vec<f32>>,
}

struct Layer {
	attention_norm: Vec<f32>,
	/// q ‖ k ‖ v
	qkv: Matrix,
	/// Norms of the heads of q and of k (Qwen3).
	head_norms: Option<(Vec<f32>, Vec<f32>)>,
	o: Matrix,
	mlp_norm: Vec<f32>,
	/// gate ‖ up
	gate_up: Matrix,
	down: Matrix,
}

/// A decoder.
pub struct Decoder {
	numbers: DecoderConfig,
	embedding: Packed,
	layers: Vec<Layer>,
	norm: Vec<f32>,
	/// The output layer, if it isn't the embedding.
	head: Option<Packed>,
	rope: Tables,
	pub(crate) tier: Tier,
}

/// Tokens to compute the rows of.
pub struct Batch<'a> {
	/// The tokens of all segments.
	pub tokens: &'a [u32],
	/// Which of them follow one another in which sequence: they cover the tokens in order.
	pub segments: &'a [Segment<'a>],
}

/// What goes along with the rows through the layers. Each layer overwrites the results of the one before: fresh memory for
/// every operation would cost more time than many of them take.
struct Pass<'a> {
	/// Position of each row in its sequence.
	positions: Vec<u32>,
	segments: &'a [Segment<'a>],
	pool: &'a mut Pool,
	bad: Vec<bool>,
	normed: Vec<f32>,
	qkv: Vec<f32>,
	attended: Vec<f32>,
	gate_up: Vec<f32>,
	inner: Vec<f32>,
}

/// What a pass over a batch leaves behind.
pub struct Rows {
	/// The residual stream after each layer, f32 `[rows, hidden]` each.
	pub residual: Vec<Tensor>,
	/// The rows after the final norm, f32 `[rows, hidden]`.
	pub norm: Tensor,
	/// Rows in which a NaN or an infinity appeared (`docs/spec/c1-w8.md` §3). They, and those behind them in the same
	/// sequence, mean nothing.
	pub bad: Vec<bool>,
}

impl Decoder {
	/// Which matrices lie in one, for [`super::weights::read`].
	pub(crate) fn groups(numbers: &DecoderConfig) -> Vec<Vec<String>> {
		let layers = 0..numbers.num_hidden_layers;
		layers
			.flat_map(|layer| {
				let of = |parts: &[&str]| {
					parts
						.iter()
						.map(|part| format!("model.layers.{layer}.{part}"))
						.collect()
				};
				[of(&QKV), of(&GATE_UP)]
			})
			.collect()
	}

	/// Puts the weights in their places. Which biases and head norms there are is what the manifest's numbers ask for.
	pub(crate) fn new(numbers: DecoderConfig, mut weights: Weights, rope: Tables) -> Result<Self> {
		let mut layers = Vec::new();
		for layer in 0..numbers.num_hidden_layers {
			let name = |part: &str| format!("model.layers.{layer}.{part}");
			let mut matrix = |parts: &[&str]| -> Result<Matrix> {
				let names: Vec<_> = parts.iter().map(|part| name(part)).collect();
				let biases = names.iter().filter_map(|name| weights.take(&format!("{name}.bias")));
				let bias = biases.collect::<Vec<_>>().concat();
				Ok(Matrix {
					weight: weights.matrix(&names)?,
					bias: (!bias.is_empty()).then_some(bias),
				})
			};
			let (qkv, o) = (matrix(&QKV)?, matrix(&["self_attn.o_proj"])?);
			let (gate_up, down) = (matrix(&GATE_UP)?, matrix(&["mlp.down_proj"])?);
			let q_norm = weights.take(&name("self_attn.q_norm.weight"));
			let k_norm = weights.take(&name("self_attn.k_norm.weight"));
			layers.push(Layer {
				attention_norm: weights.vector(&name("input_layernorm.weight"))?,
				mlp_norm: weights.vector(&name("post_attention_layernorm.weight"))?,
				head_norms: q_norm.zip(k_norm),
				qkv,
				o,
				gate_up,
				down,
			});
		}
		Ok(Self {
			embedding: weights.matrix(&["model.embed_tokens".into()])?,
			norm: weights.vector("model.norm.weight")?,
			head: match numbers.tie_word_embeddings {
				true => None,
				false => Some(weights.matrix(&["lm_head".into()])?),
			},
			layers,
			rope,
			tier: Tier::detect(),
			numbers,
		})
	}

	/// The decoder's numbers.
	pub fn numbers(&self) -> &DecoderConfig {
		&self.numbers
	}

	/// Layers.
	pub fn layers(&self) -> usize {
		self.layers.len()
	}

	/// Length of a row of logits.
	pub fn vocabulary(&self) -> usize {
		self.numbers.vocab_size as usize
	}

	/// Bytes of keys and values of 32 positions.
	pub fn page_bytes(&self) -> usize {
		let (layers, kv_heads, head_dim) = self.page_shape();
		Pool::page_bytes(layers, kv_heads, head_dim).unwrap_or(usize::MAX)
	}

	/// A pool of so many pages.
	pub fn pool(&self, pages: usize) -> Result<Pool> {
		let (layers, kv_heads, head_dim) = self.page_shape();
		Pool::new(layers, kv_heads, head_dim, pages)
	}

	fn page_shape(&self) -> (usize, usize, usize) {
		let n = &self.numbers;
		(self.layers.len(), n.num_key_value_heads as usize, n.head_dim as usize)
	}

	/// Computes the rows of a batch and leaves their keys and values in the segments' pages.
	pub fn forward(&self, batch: &Batch<'_>, pool: &mut Pool) -> Result<Rows> {
		let mut positions = vec![0; batch.tokens.len()];
		for segment in batch.segments {
			let slots = positions.get_mut(segment.rows.clone());
			let slots = slots.ok_or_else(|| Error::Compute("a segment reaches beyond its batch".into()))?;
			for (i, slot) in slots.iter_mut().enumerate() {
				*slot =
					u32::try_from(segment.start + i).map_err(|_| Error::Compute("a position is too large".into()))?;
			}
		}
		let rows = positions.len();
		let n = &self.numbers;
		let (heads, inner) = (n.num_attention_heads * n.head_dim, n.intermediate_size);
		let width = |elements: u32| vec![0f32; rows * elements as usize];
		let mut pass = Pass {
			bad: vec![false; rows],
			positions,
			segments: batch.segments,
			pool,
			normed: width(n.hidden_size),
			qkv: width(heads + 2 * n.num_key_value_heads * n.head_dim),
			attended: width(heads),
			gate_up: width(2 * inner),
			inner: width(inner),
		};
		let embedding = Gather {
			ids: batch.tokens,
			weight: &self.embedding,
		};
		let mut x = embedding.rows()?;
		let tensor = |x: &[f32]| Tensor::from_slice(x, (rows, n.hidden_size as usize), &Device::Cpu);
		let mut residual = Vec::with_capacity(self.layers.len());
		for (index, layer) in self.layers.iter().enumerate() {
			self.attend(layer, index, &mut x, &mut pass)?;
			self.feed(layer, &mut x, &mut pass)?;
			mark_bad_rows(&x, 0..0, &mut pass.bad)?;
			residual.push(tensor(&x)?);
		}
		self.norm(&x, &self.norm, &mut pass)?;
		Ok(Rows {
			residual,
			norm: tensor(&pass.normed)?,
			bad: pass.bad,
		})
	}

	/// `x + o(attention(q, k, v))`
	fn attend(&self, layer: &Layer, index: usize, x: &mut [f32], pass: &mut Pass<'_>) -> Result<()> {
		let n = &self.numbers;
		let (heads, kv_heads, head_dim) = (
			n.num_attention_heads as usize,
			n.num_key_value_heads as usize,
			n.head_dim as usize,
		);
		let (tier, width) = (self.tier, (heads + 2 * kv_heads) * head_dim);
		self.norm(x, &layer.attention_norm, pass)?;
		self.linear(&layer.qkv).apply(&pass.normed, &mut pass.qkv)?;
		if let Some((q, k)) = &layer.head_norms {
			let norm = HeadNorm {
				q,
				k,
				heads,
				kv_heads,
				epsilon: n.rms_norm_eps.0,
				tier,
			};
			norm.apply(&mut pass.qkv, width)?;
		}
		let rope = Rope {
			cos: &self.rope.cos,
			sin: &self.rope.sin,
			positions: &pass.positions,
			heads: heads + kv_heads,
			head_dim,
			tier,
		};
		rope.apply(&mut pass.qkv, width)?;
		// Keys and values are kept in f16, which has less room.
		mark_bad_rows(&pass.qkv, heads * head_dim..width, &mut pass.bad)?;
		let attention = Attention {
			pool: RefCell::new(&mut *pass.pool),
			layer: index,
			segments: pass.segments,
			heads,
			scale: (1.0 / f64::from(n.head_dim).sqrt()) as f32,
			mask: Mask::Causal {
				window: n.sliding_window.map(|window| window as usize),
			},
			tier,
		};
		attention.apply(&pass.qkv, width, &mut pass.attended)?;
		mark_bad_rows(&pass.attended, 0..0, &mut pass.bad)?;
		Ok(self.linear(&layer.o).add_to(&pass.attended, x)?)
	}

	/// `x + down(gate · up)`
	fn feed(&self, layer: &Layer, x: &mut [f32], pass: &mut Pass<'_>) -> Result<()> {
		self.norm(x, &layer.mlp_norm, pass)?;
		self.linear(&layer.gate_up).apply(&pass.normed, &mut pass.gate_up)?;
		let gate = SiluMul { tier: self.tier };
		gate.apply(&pass.gate_up, layer.gate_up.weight.rows(), &mut pass.inner)?;
		mark_bad_rows(&pass.inner, 0..0, &mut pass.bad)?;
		Ok(self.linear(&layer.down).add_to(&pass.inner, x)?)
	}

	/// Logits `[rows, vocabulary]` of rows after the final norm.
	pub fn logits(&self, norm: &Tensor) -> Result<Tensor> {
		Ok(norm.apply_op1_no_bwd(&Linear {
			weight: self.head.as_ref().unwrap_or(&self.embedding),
			bias: None,
			tier: self.tier,
		})?)
	}

	fn linear<'m>(&self, matrix: &'m Matrix) -> Linear<'m> {
		Linear {
			weight: &matrix.weight,
			bias: matrix.bias.as_deref(),
			tier: self.tier,
		}
	}

	/// Leaves the normed rows in `pass.normed`.
	fn norm(&self, x: &[f32], weight: &[f32], pass: &mut Pass<'_>) -> Result<()> {
		let norm = RmsNorm {
			weight,
			epsilon: self.numbers.rms_norm_eps.0,
			tier: self.tier,
		};
		norm.apply(x, &mut pass.normed)?;
		Ok(mark_bad_rows(&pass.normed, 0..0, &mut pass.bad)?)
	}
}

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];

impl Rows {
	/// Length of a row.
	pub fn width(&self) -> usize {
		self.norm.dim(candle_core::D::Minus1).unwrap_or_default()
	}

	/// Some of the rows after the final norm.
	pub fn norm_of(&self, rows: &[usize]) -> Result<Tensor> {
		let consecutive = rows.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
		match rows.first() {
			Some(first) if consecutive => Ok(self.norm.narrow(0, *first, rows.len())?),
			_ => {
				let width = self.width();
				let picked = with_elements::<f32, _>(&self.norm, |norm| {
					let row = |row: &usize| norm.get(row * width..(row + 1) * width).unwrap_or_default();
					rows.iter().flat_map(row).copied().collect::<Vec<_>>()
				})?;
				Ok(Tensor::from_vec(picked, (rows.len(), width), &Device::Cpu)?)
			}
		}
	}

	/// Calls `f` with the elements of all layers' rows and then the final norm's, as they lie in memory.
	pub(crate) fn with_streams<R>(&self, f: impl FnOnce(&[&[f32]]) -> R) -> Result<R> {
		let held: Vec<_> = self
			.residual
			.iter()
			.chain([&self.norm])
			.map(Tensor::storage_and_layout)
			.collect();
		let mut streams = Vec::with_capacity(held.len());
		for (storage, layout) in &held {
			match &**storage {
				Storage::Cpu(cpu) => streams.push(elements::<f32>(cpu, layout)?),
				_ => return Err(Error::Compute("canonical tensors live on the CPU".into())),
			}
		}
		Ok(f(&streams))
	}
}
