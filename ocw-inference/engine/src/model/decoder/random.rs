//! A decoder of random weights, for measuring: they are made where they are used, matrix by matrix.

use super::{CpuDevice, Decoder, Device, GpuDevice, Layer, Network, NetworkWeights, Placed};
use crate::{gpu::Gpu, model::matrix::Matrix, Error, Result};
use assay_model_folder::config::DecoderConfig;
use assay_numerics::{format::MatrixFormat, packed::PackedMatrix, rope::Tables};
use std::sync::Arc;

impl Decoder {
	/// Makes a decoder of random matrices and norms of ones, the same on every machine. The layers' matrices have this format, the
	/// embedding and the output layer `w8-32`. The tokens that end an answer have logits of zero, so that a greedy answer does not
	/// end early.
	pub(crate) fn random(
		config: DecoderConfig,
		rope: Tables,
		format: MatrixFormat,
		gpu: Option<Arc<dyn Gpu>>,
	) -> Result<Self> {
		if config.attention_bias || config.output_bias || config.mlp_bias || config.qk_norm {
			return Err(Error::Work(
				"random weights have no biases and no norms of heads".into(),
			));
		}
		let network = match gpu {
			None => {
				let device = CpuDevice::new(&config, rope);
				Placed::Cpu(network(
					&config,
					format,
					device,
					|_, matrix| Ok(matrix),
					|_, vector| Ok(vector),
				)?)
			}
			Some(gpu) => {
				let device = GpuDevice::new(gpu, &config, &rope)?;
				let network = network(&config, format, device, GpuDevice::matrix, |device, vector| {
					device.vector(&vector)
				})?;
				Placed::Gpu(Arc::new(network))
			}
		};
		Ok(Self::placed(config, network))
	}
}

fn network<D: Device>(
	n: &DecoderConfig,
	format: MatrixFormat,
	device: D,
	matrix: impl Fn(&D, Matrix) -> Result<D::Matrix>,
	vector: impl Fn(&D, Vec<f32>) -> Result<D::Vector>,
) -> Result<Network<D>> {
	let mut seed = 0;
	let mut random = |rows: u32, width: u32, format: MatrixFormat, zero_rows: &[u32]| {
		seed += 1;
		let weight = PackedMatrix::random(rows as usize, width as usize, format, seed, zero_rows)?;
		matrix(&device, Matrix::new(vec![weight], Vec::new())?)
	};
	let ones = || vector(&device, vec![1.0; n.hidden_size as usize]);
	let (hidden, intermediate) = (n.hidden_size, n.intermediate_size);
	let (q, kv) = (n.num_attention_heads * n.head_dim, n.num_key_value_heads * n.head_dim);
	let ends = &n.eos_token_ids;
	let (embedding, head) = if n.tie_word_embeddings {
		(random(n.vocab_size, hidden, MatrixFormat::W8_32, ends)?, None)
	} else {
		let embedding = random(n.vocab_size, hidden, MatrixFormat::W8_32, &[])?;
		(
			embedding,
			Some(random(n.vocab_size, hidden, MatrixFormat::W8_32, ends)?),
		)
	};
	let mut layers = Vec::new();
	for _ in 0..n.num_hidden_layers {
		layers.push(Layer {
			attention_norm: ones()?,
			qkv: random(q + 2 * kv, hidden, format, &[])?,
			head_norms: None,
			o: random(hidden, q, format, &[])?,
			mlp_norm: ones()?,
			gate_up: random(2 * intermediate, hidden, format, &[])?,
			down: random(hidden, intermediate, format, &[])?,
		});
	}
	let norm = ones()?;
	let weights = NetworkWeights {
		embedding,
		layers,
		norm,
		head,
	};
	Ok(Network::new(device, weights))
}
