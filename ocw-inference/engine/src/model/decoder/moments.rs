//! How large the inputs of a decoder's matrices are: what an importer weights errors of weights by.

use super::{layer_shape, Batch, CpuDevice, Decoder, LayerShape, Placed};
use crate::{kv::KvPool, Error, Result};

/// Half of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
	/// Queries, keys, values, attention and output.
	Attention,
	/// Gate, up and down.
	Mlp,
}

/// Sums of squares of the inputs of a layer's matrices, an f64 for each input channel.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerMoments {
	/// Inputs of q, k and v.
	pub qkv: Vec<f64>,
	/// Inputs of the output projection.
	pub o: Vec<f64>,
	/// Inputs of gate and up.
	pub gate_up: Vec<f64>,
	/// Inputs of down.
	pub down: Vec<f64>,
}

/// Sums of squares of the inputs of all matrices, over rows. A square is exact in f64, and rows are added in their order,
/// so the same rows have the same sums on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct InputMoments {
	/// Rows that were added.
	pub rows: u64,
	/// Layer by layer.
	pub layers: Vec<LayerMoments>,
}

impl InputMoments {
	fn new(shape: &LayerShape, layers: usize) -> Self {
		let layer = LayerMoments {
			qkv: vec![0.0; shape.hidden],
			o: vec![0.0; shape.queries()],
			gate_up: vec![0.0; shape.hidden],
			down: vec![0.0; shape.intermediate],
		};
		Self {
			rows: 0,
			layers: vec![layer; layers],
		}
	}

	/// Adds the inputs of the two operations of half a layer.
	fn add(&mut self, layer: usize, half: Half, inputs: [&[f32]; 2]) {
		let Some(sums) = self.layers.get_mut(layer) else {
			return;
		};
		let sums = match half {
			Half::Attention => [&mut sums.qkv, &mut sums.o],
			Half::Mlp => [&mut sums.gate_up, &mut sums.down],
		};
		for (sums, inputs) in sums.into_iter().zip(inputs) {
			for row in inputs.chunks_exact(sums.len().max(1)) {
				for (sum, x) in sums.iter_mut().zip(row) {
					*sum += f64::from(*x) * f64::from(*x);
				}
			}
		}
	}
}

impl Decoder {
	/// Returns moments of no rows yet.
	pub(crate) fn moments(&self) -> InputMoments {
		InputMoments::new(&layer_shape(&self.config), self.layers())
	}

	/// Computes the rows of a batch as [`Self::forward`] does, and adds the inputs of all matrices to the moments. A row
	/// that is not finite is an error: it has none.
	pub(crate) fn add_moments(&self, batch: &Batch<'_>, pool: &mut KvPool, moments: &mut InputMoments) -> Result<()> {
		let Placed::Cpu(network) = &self.network else {
			return Err(Error::Compute("inputs are measured on the CPU alone".into()));
		};
		let rows = network.forward_with(batch, pool, |layer, half, state| {
			moments.add(layer, half, CpuDevice::inputs(half, state));
		})?;
		if rows.non_finite.contains(&true) {
			return Err(Error::Compute(
				"a NaN or an infinity appears in a layer: the weights are broken, or made for numbers that this profile \
				 does not have; import another version of the model"
					.into(),
			));
		}
		moments.rows += batch.tokens.len() as u64;
		Ok(())
	}
}
