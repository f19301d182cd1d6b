//! The decoder families on the canonical operations: Llama, Mistral, Qwen2, Qwen3.
//!
//! Rows of several sequences go through together, but no operation lets one row see another except attention, which sees a
//! row's own prefix in the pages of its own sequence. So a row has the same bits whether it's decoded alone, is one of a long
//! prefill, or shares a batch with strangers; and whether a [`Processor`] computes it or a graphics card ([`crate::gpu::Card`]).

mod processor;
#[cfg(feature = "test-utils")]
mod random;

pub(crate) use processor::Processor;

use super::weights::Weights;
use crate::{
	canonical::{elements, linear::Packed, rope::Tables, with_elements, Tier},
	gpu::{Card, Gpu},
	kv::{Pool, Segment},
	sampler::Scores,
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use candle_core::{Device, Storage, Tensor};
use std::sync::Arc;

/// Where rows are computed: what a layer does to the rows of a batch (§3.1), and the form that weights have there.
pub(crate) trait Place: Sized {
	/// Matrices with the same input, one below another, and their biases likewise.
	type Matrix;
	/// f32 numbers.
	type Vector;
	/// The residual stream, `[rows, hidden]`.
	type Stream;
	/// What goes along with the rows of one batch through the layers.
	type Pass<'a>;

	/// Prepares for the rows of a batch.
	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut Pool) -> Result<Self::Pass<'a>>;
	/// The rows of tokens.
	fn embed(&self, ids: &[u32], table: &Self::Matrix) -> Result<Self::Stream>;
	/// `x + o(attention(q, k, v))`. Marks rows.
	fn attend(&self, layer: &Layer<Self>, index: usize, x: &mut Self::Stream, pass: &mut Self::Pass<'_>) -> Result<()>;
	/// `x + down(gate · up)`. Marks rows.
	fn feed(&self, layer: &Layer<Self>, x: &mut Self::Stream, pass: &mut Self::Pass<'_>) -> Result<()>;
	/// The rows as they are now, for the trace.
	fn keep(&self, x: &Self::Stream, pass: &Self::Pass<'_>) -> Result<Tensor>;
	/// The final norm, and all rows that were kept, in the computer's memory.
	fn finish(&self, norm: &Self::Vector, x: Self::Stream, kept: Vec<Tensor>, pass: Self::Pass<'_>) -> Result<Rows>;
	/// Logits as the sampler takes them, of rows after the final norm in the computer's memory.
	fn scores(&self, norm: &Tensor, head: &Self::Matrix) -> Result<Scores>;
	/// A pool of so many pages.
	fn pool(&self, layers: usize, kv_heads: usize, head_dim: usize, pages: usize) -> Result<Pool>;
}

/// A matrix, and the bias if it has one, as they were read.
pub(crate) struct Matrix {
	pub(crate) weight: Packed,
	pub(crate) bias: Option<Vec<f32>>,
}

/// The weights of a layer.
pub(crate) struct Layer<P: Place> {
	pub(crate) attention_norm: P::Vector,
	/// q ‖ k ‖ v
	pub(crate) qkv: P::Matrix,
	/// Norms of the heads of q and of k (Qwen3).
	pub(crate) head_norms: Option<(P::Vector, P::Vector)>,
	pub(crate) o: P::Matrix,
	pub(crate) mlp_norm: P::Vector,
	/// gate ‖ up
	pub(crate) gate_up: P::Matrix,
	pub(crate) down: P::Matrix,
}

/// A layer's numbers, as its operations take them.
pub(crate) struct Shape {
	pub(crate) hidden: usize,
	/// Width of gate and of up.
	pub(crate) inner: usize,
	pub(crate) heads: usize,
	pub(crate) kv_heads: usize,
	pub(crate) head_dim: usize,
	pub(crate) window: Option<usize>,
	pub(crate) epsilon: f32,
	/// `1 / √head_dim`, taken in f64 and rounded.
	pub(crate) scale: f32,
}

/// All weights, at one place.
pub(crate) struct Network<P: Place> {
	place: P,
	embedding: P::Matrix,
	layers: Vec<Layer<P>>,
	norm: P::Vector,
	/// The output layer, if it isn't the embedding.
	head: Option<P::Matrix>,
}

enum At {
	Processor(Network<Processor>),
	Card(Network<Card>),
}

/// Calls a method of the network, wherever it is.
macro_rules! network {
	($decoder:expr, $network:ident => $call:expr) => {
		match &$decoder.at {
			At::Processor($network) => $call,
			At::Card($network) => $call,
		}
	};
}

/// A decoder.
pub struct Decoder {
	numbers: DecoderConfig,
	at: At,
}

/// Tokens to compute the rows of.
pub struct Batch<'a> {
	/// The tokens of all segments.
	pub tokens: &'a [u32],
	/// Which of them follow one another in which sequence: they cover the tokens in order.
	pub segments: &'a [Segment<'a>],
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
		let unbiased = |weight| Matrix { weight, bias: None };
		let network = Network {
			embedding: unbiased(weights.matrix(&["model.embed_tokens".into()])?),
			norm: weights.vector("model.norm.weight")?,
			head: match numbers.tie_word_embeddings {
				true => None,
				false => Some(unbiased(weights.matrix(&["lm_head".into()])?)),
			},
			layers,
			place: Processor::new(&numbers, rope),
		};
		Ok(Self {
			at: At::Processor(network),
			numbers,
		})
	}

	/// Moves the weights to a graphics card, matrix by matrix; one that is there already stays where it is.
	pub(crate) fn on_gpu(self, gpu: Arc<dyn Gpu>) -> Result<Self> {
		let at = match self.at {
			At::Processor(network) => {
				let card = Card::new(gpu, &self.numbers, network.place.rope())?;
				At::Card(network.moved(card, Card::matrix, |card, vector| card.vector(&vector))?)
			}
			at => at,
		};
		Ok(Self { at, ..self })
	}

	/// Computes with other instructions, if a processor computes.
	pub(crate) fn set_tier(&mut self, tier: Tier) {
		if let At::Processor(network) = &mut self.at {
			network.place.tier = tier;
		}
	}

	/// The decoder's numbers.
	pub fn numbers(&self) -> &DecoderConfig {
		&self.numbers
	}

	/// Layers.
	pub fn layers(&self) -> usize {
		self.numbers.num_hidden_layers as usize
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
		network!(self, network => network.place.pool(layers, kv_heads, head_dim, pages))
	}

	fn page_shape(&self) -> (usize, usize, usize) {
		let n = &self.numbers;
		(self.layers(), n.num_key_value_heads as usize, n.head_dim as usize)
	}

	/// Computes the rows of a batch and leaves their keys and values in the segments' pages.
	pub fn forward(&self, batch: &Batch<'_>, pool: &mut Pool) -> Result<Rows> {
		network!(self, network => network.forward(batch, pool))
	}

	/// Logits of rows after the final norm, as the sampler takes them.
	pub(crate) fn scores(&self, norm: &Tensor) -> Result<Scores> {
		network!(self, network => network.place.scores(norm, network.head()))
	}

	/// Logits `[rows, vocabulary]` of rows after the final norm, in the computer's memory.
	pub fn logits(&self, norm: &Tensor) -> Result<Tensor> {
		let logits = match &self.at {
			At::Processor(network) => network.place.logits(norm, network.head())?,
			At::Card(network) => network.place.logits(norm, network.head())?,
		};
		Ok(logits.to_device(&Device::Cpu)?)
	}
}

impl Shape {
	/// The numbers of a configuration.
	pub(crate) fn of(numbers: &DecoderConfig) -> Self {
		Self {
			hidden: numbers.hidden_size as usize,
			inner: numbers.intermediate_size as usize,
			heads: numbers.num_attention_heads as usize,
			kv_heads: numbers.num_key_value_heads as usize,
			head_dim: numbers.head_dim as usize,
			window: numbers.sliding_window.map(|window| window as usize),
			epsilon: numbers.rms_norm_eps.0,
			scale: (1.0 / f64::from(numbers.head_dim).sqrt()) as f32,
		}
	}

	/// Width of the queries of all heads.
	pub(crate) fn queries(&self) -> usize {
		self.heads * self.head_dim
	}

	/// Width of q ‖ k ‖ v.
	pub(crate) fn qkv(&self) -> usize {
		(self.heads + 2 * self.kv_heads) * self.head_dim
	}
}

impl<P: Place> Network<P> {
	fn head(&self) -> &P::Matrix {
		self.head.as_ref().unwrap_or(&self.embedding)
	}

	/// The same at another place.
	fn moved<Q: Place>(
		self,
		place: Q,
		matrix: impl Fn(&Q, P::Matrix) -> Result<Q::Matrix>,
		vector: impl Fn(&Q, P::Vector) -> Result<Q::Vector>,
	) -> Result<Network<Q>> {
		let (m, v) = (
			|matrix_here| matrix(&place, matrix_here),
			|vector_here| vector(&place, vector_here),
		);
		let mut layers = Vec::with_capacity(self.layers.len());
		for layer in self.layers {
			layers.push(Layer {
				attention_norm: v(layer.attention_norm)?,
				qkv: m(layer.qkv)?,
				head_norms: match layer.head_norms {
					Some((q, k)) => Some((v(q)?, v(k)?)),
					None => None,
				},
				o: m(layer.o)?,
				mlp_norm: v(layer.mlp_norm)?,
				gate_up: m(layer.gate_up)?,
				down: m(layer.down)?,
			});
		}
		let (embedding, norm) = (m(self.embedding)?, v(self.norm)?);
		let head = self.head.map(m).transpose()?;
		Ok(Network {
			place,
			embedding,
			layers,
			norm,
			head,
		})
	}

	fn forward(&self, batch: &Batch<'_>, pool: &mut Pool) -> Result<Rows> {
		let at = &self.place;
		let mut pass = at.begin(batch, pool)?;
		let mut x = at.embed(batch.tokens, &self.embedding)?;
		let mut kept = Vec::with_capacity(self.layers.len() + 1);
		for (index, layer) in self.layers.iter().enumerate() {
			at.attend(layer, index, &mut x, &mut pass)?;
			at.feed(layer, &mut x, &mut pass)?;
			kept.push(at.keep(&x, &pass)?);
		}
		at.finish(&self.norm, x, kept, pass)
	}
}

/// The position of each row of a batch.
pub(crate) fn positions(batch: &Batch<'_>) -> Result<Vec<u32>> {
	let mut positions = vec![0; batch.tokens.len()];
	for segment in batch.segments {
		let slots = positions.get_mut(segment.rows.clone());
		let slots = slots.ok_or_else(|| Error::Compute("a segment reaches beyond its batch".into()))?;
		for (i, slot) in slots.iter_mut().enumerate() {
			*slot = u32::try_from(segment.start + i).map_err(|_| Error::Compute("a position is too large".into()))?;
		}
	}
	Ok(positions)
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
