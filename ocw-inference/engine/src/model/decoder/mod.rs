//! The decoder families on the operations of [`assay_numerics`]: Llama, Mistral, Qwen2, Qwen3.
//!
//! Rows of several sequences go through together, but no operation lets one row see another except attention, which
//! sees a row's own prefix in the pages of its own sequence. So a row has the same bits whether it is decoded alone, is
//! one of a long prefill, or shares a batch with other sequences; and whether a CPU computes it ([`CpuDevice`]) or a
//! GPU ([`GpuDevice`]).

mod cpu;
pub mod moments;
#[cfg(feature = "test-utils")]
mod random;

pub(crate) use cpu::CpuDevice;

use super::{
	logits::Logits,
	matrix::Matrix,
	tensor::{elements, with_elements},
	weights::Weights,
};
use crate::{
	gpu::{Gpu, GpuDevice},
	kv::KvPool,
	Error, Result,
};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{
	kv::{PageId, PageShape, Segment},
	recompute::LayerShape,
	rope::Tables,
	trace::TraceRows,
	with_threads_awake, Isa,
};
use candle_core::{Storage, Tensor};
use moments::Half;
use std::sync::Arc;

/// A device that computes rows: what a layer does to the rows of a batch (§3.1), and the form that weights have there.
pub(crate) trait Device: Sized {
	/// Matrices with the same input, one below another, and their biases likewise.
	type Matrix;
	/// A vector of f32.
	type Vector;
	/// The hidden states: the residual stream, `[rows, hidden]`.
	type Hidden;
	/// What the layers share while the rows of one batch pass through them.
	type ForwardState<'a>;

	/// Prepares for the rows of a batch.
	fn begin<'a>(&self, batch: &Batch<'a>, pool: &'a mut KvPool) -> Result<Self::ForwardState<'a>>;
	/// Returns the embedding rows of tokens.
	fn embed(&self, ids: &[u32], table: &Self::Matrix) -> Result<Self::Hidden>;
	/// Computes `x + o(attention(q, k, v))`. Flags rows.
	fn attention(
		&self,
		layer: &Layer<Self>,
		index: usize,
		x: &mut Self::Hidden,
		state: &mut Self::ForwardState<'_>,
	) -> Result<()>;
	/// Computes `x + down(gate · up)`. Flags rows.
	fn mlp(&self, layer: &Layer<Self>, x: &mut Self::Hidden, state: &mut Self::ForwardState<'_>) -> Result<()>;
	/// Returns the rows as they are now, for the residual trace.
	fn snapshot(&self, x: &Self::Hidden, state: &Self::ForwardState<'_>) -> Result<Tensor>;
	/// Computes the final norm; returns it, the residual trace, and the keys and values in this machine's memory.
	fn finish(
		&self,
		norm: &Self::Vector,
		x: Self::Hidden,
		residual: Vec<Tensor>,
		state: Self::ForwardState<'_>,
	) -> Result<Rows>;
	/// Computes logits as the sampler takes them, of rows after the final norm in this machine's memory.
	fn sampling_logits(&self, norm: &Tensor, head: &Self::Matrix) -> Result<Logits>;
	/// Makes a pool of `pages` pages.
	fn pool(&self, shape: PageShape, pages: usize) -> Result<KvPool>;
	/// Copies a layer's keys and values out of a page, in the page's layout.
	fn read_page(&self, pool: &KvPool, page: PageId, layer: usize, to: &mut [u16]) -> Result<()>;
	/// Copies a layer's keys and values into a page, in the page's layout.
	fn write_page(&self, pool: &mut KvPool, page: PageId, layer: usize, from: &[u16]) -> Result<()>;
}

/// The weights of a layer.
pub(crate) struct Layer<D: Device> {
	pub(crate) attention_norm: D::Vector,
	/// q ‖ k ‖ v
	pub(crate) qkv: D::Matrix,
	/// Norms of the heads of q and of k (Qwen3).
	pub(crate) head_norms: Option<(D::Vector, D::Vector)>,
	pub(crate) o: D::Matrix,
	pub(crate) mlp_norm: D::Vector,
	/// gate ‖ up
	pub(crate) gate_up: D::Matrix,
	pub(crate) down: D::Matrix,
}

/// A device, and all weights in the form that they have there.
#[derive(Clone)]
pub(crate) struct Network<D: Device> {
	device: D,
	weights: Arc<NetworkWeights<D>>,
}

/// All weights, on one device.
pub(crate) struct NetworkWeights<D: Device> {
	embedding: D::Matrix,
	layers: Vec<Layer<D>>,
	norm: D::Vector,
	/// The output layer, if it is not the embedding.
	head: Option<D::Matrix>,
}

#[derive(Clone)]
enum Placed {
	Cpu(Network<CpuDevice>),
	Gpu(Arc<Network<GpuDevice>>),
}

/// Calls a method of the network on whichever device it is.
macro_rules! network {
	($decoder:expr, $network:ident => $call:expr) => {
		match &$decoder.network {
			Placed::Cpu($network) => $call,
			Placed::Gpu($network) => $call,
		}
	};
}

/// A decoder. Its clones share the weights.
#[derive(Clone)]
pub struct Decoder {
	config: DecoderConfig,
	network: Placed,
	/// Whether it computes wrongly, as a test asked for.
	#[cfg(feature = "test-utils")]
	faulty: bool,
}

/// Tokens to compute the rows of.
pub struct Batch<'a> {
	/// The tokens of all segments.
	pub tokens: &'a [u32],
	/// Which of them follow one another in which sequence: they cover the tokens in order.
	pub segments: &'a [Segment<'a>],
}

/// What a forward pass over a batch returns.
pub struct Rows {
	/// The residual stream after each layer, f32 `[rows, hidden]` each.
	pub residual: Vec<Tensor>,
	/// The keys and values that each layer added, as attention reads them: f16 bits `[layers, rows, kv_width]`, of each row
	/// its keys, then its values.
	pub kv: Vec<u16>,
	/// The rows after the final norm, f32 `[rows, hidden]`.
	pub norm: Tensor,
	/// Rows in which a NaN or an infinity appeared (`docs/spec/c2.md` §3). They, and those behind them in the same
	/// sequence, mean nothing.
	pub non_finite: Vec<bool>,
}

impl Decoder {
	/// Returns the names of the matrices that are packed into one, for `WeightsFile::read`.
	pub(crate) fn groups(config: &DecoderConfig) -> Vec<Vec<String>> {
		let layers = 0..config.num_hidden_layers;
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

	/// Makes a decoder on the CPU of its weights. Biases and head norms are those that the configuration asks for.
	pub(crate) fn new(config: DecoderConfig, mut weights: Weights, rope: Tables) -> Result<Self> {
		let mut layers = Vec::new();
		for layer in 0..config.num_hidden_layers {
			let name = |part: &str| format!("model.layers.{layer}.{part}");
			let mut matrix = |parts: &[&str]| -> Result<Matrix> {
				let names: Vec<_> = parts.iter().map(|part| name(part)).collect();
				weights.matrix(&names)
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
		let weights = NetworkWeights {
			embedding: weights.matrix(&["model.embed_tokens".into()])?,
			norm: weights.vector("model.norm.weight")?,
			head: if config.tie_word_embeddings {
				None
			} else {
				Some(weights.matrix(&["lm_head".into()])?)
			},
			layers,
		};
		let device = CpuDevice::new(&config, rope);
		Ok(Self::placed(config, Placed::Cpu(Network::new(device, weights))))
	}

	fn placed(config: DecoderConfig, network: Placed) -> Self {
		Self {
			config,
			network,
			#[cfg(feature = "test-utils")]
			faulty: false,
		}
	}

	/// Moves the weights to a GPU, matrix by matrix; a decoder that is there already stays where it is.
	pub(crate) fn on_gpu(self, gpu: Arc<dyn Gpu>) -> Result<Self> {
		let network = match self.network {
			Placed::Cpu(network) => {
				let device = GpuDevice::new(gpu, &self.config, network.device.rope())?;
				let moved = network.moved(device, GpuDevice::matrix, |device, vector| device.vector(&vector))?;
				Placed::Gpu(Arc::new(moved))
			}
			network => network,
		};
		Ok(Self { network, ..self })
	}

	/// Computes with another instruction set, if a CPU computes.
	pub(crate) fn set_isa(&mut self, isa: Isa) {
		if let Placed::Cpu(network) = &mut self.network {
			network.device.isa = isa;
		}
	}

	/// Returns the instruction set that computes; none if a GPU does.
	pub(crate) fn isa(&self) -> Option<Isa> {
		match &self.network {
			Placed::Cpu(network) => Some(network.device.isa),
			Placed::Gpu(_) => None,
		}
	}

	/// Returns a decoder on the same weights that computes with another instruction set; none if a GPU has the weights. All CPUs
	/// read one layout, so nothing is copied.
	pub(crate) fn sharing(&self, isa: Isa) -> Option<Self> {
		self.isa()?;
		let mut sharing = self.clone();
		sharing.set_isa(isa);
		Some(sharing)
	}

	/// Makes it compute wrongly with everything but the portable instructions.
	#[cfg(feature = "test-utils")]
	pub(crate) fn set_faulty(&mut self) {
		self.faulty = true;
	}

	/// Returns the decoder's configuration.
	pub fn config(&self) -> &DecoderConfig {
		&self.config
	}

	/// Returns how many layers it has.
	pub fn layers(&self) -> usize {
		self.config.num_hidden_layers as usize
	}

	/// Returns the length of a row of logits.
	pub fn vocabulary(&self) -> usize {
		self.config.vocab_size as usize
	}

	/// Returns the bytes of keys and values of 32 positions.
	pub fn page_bytes(&self) -> usize {
		self.page_shape().bytes().unwrap_or(usize::MAX)
	}

	/// Makes a pool of `pages` pages.
	pub fn pool(&self, pages: usize) -> Result<KvPool> {
		network!(self, network => network.device.pool(self.page_shape(), pages))
	}

	/// Returns what a page of its pools holds of each position.
	pub(crate) fn page_shape(&self) -> PageShape {
		PageShape {
			layers: self.layers(),
			kv_heads: self.config.num_key_value_heads as usize,
			head_dim: self.config.head_dim as usize,
		}
	}

	/// Reads a layer's keys and values of the first positions of a page, f16 bits `[positions, kv_width]`.
	pub(crate) fn read_kv(&self, pool: &KvPool, page: PageId, layer: usize, rows: &mut [u16]) -> Result<()> {
		let shape = self.page_shape();
		let mut contents = vec![0; 2 * shape.part()];
		network!(self, network => network.device.read_page(pool, page, layer, &mut contents))?;
		Ok(shape.take_rows(&contents, rows)?)
	}

	/// Writes a layer's keys and values of all 32 positions of a page, as [`Self::read_kv`] reads them.
	pub(crate) fn write_kv(&self, pool: &mut KvPool, page: PageId, layer: usize, rows: &[u16]) -> Result<()> {
		let shape = self.page_shape();
		let mut contents = vec![0; 2 * shape.part()];
		shape.put_rows(rows, &mut contents)?;
		network!(self, network => network.device.write_page(pool, page, layer, &contents))
	}

	/// Computes the rows of a batch and writes their keys and values to the segments' pages.
	pub fn forward(&self, batch: &Batch<'_>, pool: &mut KvPool) -> Result<Rows> {
		#[allow(unused_mut)]
		let mut rows = match &self.network {
			Placed::Cpu(network) => with_threads_awake(|| network.forward(batch, pool)),
			Placed::Gpu(network) => network.forward(batch, pool),
		}?;
		#[cfg(feature = "test-utils")]
		if self.faulty && self.isa() != Some(Isa::Portable) {
			rows.norm = rows.norm.neg()?;
		}
		Ok(rows)
	}

	/// Computes logits of rows after the final norm, as the sampler takes them.
	pub(crate) fn sampling_logits(&self, norm: &Tensor) -> Result<Logits> {
		network!(self, network => network.device.sampling_logits(norm, network.head()))
	}

	/// Computes logits `[rows, vocabulary]` of rows after the final norm, in this machine's memory.
	pub fn logits(&self, norm: &Tensor) -> Result<Tensor> {
		let logits = network!(self, network => network.device.logits(norm, network.head())?);
		Ok(logits.to_device(&candle_core::Device::Cpu)?)
	}
}

/// Returns the shape of every layer of a configuration.
pub(crate) fn layer_shape(config: &DecoderConfig) -> LayerShape {
	LayerShape {
		hidden: config.hidden_size as usize,
		intermediate: config.intermediate_size as usize,
		heads: config.num_attention_heads as usize,
		kv_heads: config.num_key_value_heads as usize,
		head_dim: config.head_dim as usize,
		window: config.sliding_window.map(|window| window as usize),
		epsilon: config.rms_norm_eps.0,
		scale: LayerShape::scale_of(config.head_dim),
	}
}

impl<D: Device> Network<D> {
	fn new(device: D, weights: NetworkWeights<D>) -> Self {
		Self {
			device,
			weights: Arc::new(weights),
		}
	}

	fn head(&self) -> &D::Matrix {
		self.weights.head.as_ref().unwrap_or(&self.weights.embedding)
	}

	/// Returns the same network on another device.
	fn moved<E: Device>(
		self,
		device: E,
		matrix: impl Fn(&E, D::Matrix) -> Result<E::Matrix>,
		vector: impl Fn(&E, D::Vector) -> Result<E::Vector>,
	) -> Result<Network<E>> {
		let (m, v) = (|from| matrix(&device, from), |from| vector(&device, from));
		let weights = Arc::into_inner(self.weights)
			.ok_or_else(|| Error::Compute("the weights are in use and cannot be moved".into()))?;
		let mut layers = Vec::with_capacity(weights.layers.len());
		for layer in weights.layers {
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
		let (embedding, norm) = (m(weights.embedding)?, v(weights.norm)?);
		let head = weights.head.map(m).transpose()?;
		let weights = NetworkWeights {
			embedding,
			layers,
			norm,
			head,
		};
		Ok(Network::new(device, weights))
	}

	fn forward(&self, batch: &Batch<'_>, pool: &mut KvPool) -> Result<Rows> {
		self.forward_with(batch, pool, |_, _, _| ())
	}

	/// [`Self::forward`], with `observe` called after each half of each layer.
	fn forward_with(
		&self,
		batch: &Batch<'_>,
		pool: &mut KvPool,
		mut observe: impl FnMut(usize, Half, &D::ForwardState<'_>),
	) -> Result<Rows> {
		let (device, weights) = (&self.device, &*self.weights);
		let mut state = device.begin(batch, pool)?;
		let mut x = device.embed(batch.tokens, &weights.embedding)?;
		let mut residual = Vec::with_capacity(weights.layers.len() + 1);
		for (index, layer) in weights.layers.iter().enumerate() {
			device.attention(layer, index, &mut x, &mut state)?;
			observe(index, Half::Attention, &state);
			device.mlp(layer, &mut x, &mut state)?;
			observe(index, Half::Mlp, &state);
			residual.push(device.snapshot(&x, &state)?);
		}
		device.finish(&weights.norm, x, residual, state)
	}
}

/// Returns the error of a page that the pool does not have there.
pub(crate) fn no_page() -> Error {
	Error::Compute("a page of keys and values is not where it should be".into())
}

/// Returns the position of each row of a batch.
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
	/// Returns the length of a row.
	pub fn width(&self) -> usize {
		self.norm.dim(candle_core::D::Minus1).unwrap_or_default()
	}

	/// Returns some of the rows after the final norm.
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
				Ok(Tensor::from_vec(
					picked,
					(rows.len(), width),
					&candle_core::Device::Cpu,
				)?)
			}
		}
	}

	/// Calls `f` with the rows as a trace takes them, without a copy.
	pub fn with_trace_rows<R>(&self, f: impl FnOnce(&TraceRows<'_>) -> R) -> Result<R> {
		let held: Vec<_> = self
			.residual
			.iter()
			.chain([&self.norm])
			.map(Tensor::storage_and_layout)
			.collect();
		let mut layers = Vec::with_capacity(held.len());
		for (storage, layout) in &held {
			match &**storage {
				Storage::Cpu(cpu) => layers.push(elements::<f32>(cpu, layout)?),
				_ => return Err(Error::Compute("the rows are not in this machine's memory".into())),
			}
		}
		let norm = layers.pop().unwrap_or_default();
		let of_layer = self.kv.len().checked_div(layers.len()).unwrap_or(0);
		let kv: Vec<_> = match of_layer {
			0 => vec![&[][..]; layers.len()],
			len => self.kv.chunks_exact(len).collect(),
		};
		Ok(f(&TraceRows {
			residual: layers,
			kv,
			norm,
			width: self.width(),
			kv_width: of_layer.checked_div(self.non_finite.len()).unwrap_or(0),
		}))
	}
}
