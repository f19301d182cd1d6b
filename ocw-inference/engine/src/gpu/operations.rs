//! Single operations on a device, on plain numbers: for tests that compare them with the processor's, and for measuring.

use super::{
	card::{Card, Pass},
	Gpu,
};
use crate::{
	canonical::{linear::Packed, rope::Tables},
	kv::{Pool, Segment},
	model::decoder::{Batch, Matrix, Place},
	Result,
};
use assay_model_folder::config::DecoderConfig;
use candle_core::{Device, Tensor};
use std::sync::Arc;

/// A device, and the numbers of a decoder whose operations run on it.
pub struct Operations {
	card: Card,
	numbers: DecoderConfig,
}

/// What an operation made: rows one behind another, and which of them are bad.
pub type Made = (Vec<f32>, Vec<bool>);

impl Operations {
	/// With the head shapes, window and ε of `numbers`, and rotary tables for its positions.
	pub fn new(gpu: Arc<dyn Gpu>, numbers: DecoderConfig, rope: &Tables) -> Result<Self> {
		let card = Card::new(gpu, &numbers, rope)?;
		Ok(Self { card, numbers })
	}

	/// A pool in the device's memory, of so many pages and layers.
	pub fn pool(&self, layers: usize, pages: usize) -> Result<Pool> {
		let n = &self.numbers;
		self.card
			.pool(layers, n.num_key_value_heads as usize, n.head_dim as usize, pages)
	}

	/// A matrix in the device's memory.
	pub fn matrix(&self, weight: Packed, bias: Option<Vec<f32>>) -> Result<OnCard> {
		Ok(OnCard(self.card.matrix(Matrix { weight, bias })?))
	}

	/// Rows of an embedding.
	pub fn embed(&self, ids: &[u32], table: &OnCard) -> Result<Vec<f32>> {
		flat(&self.card.embed(ids, &table.0)?)
	}

	/// x `[rows, width]` times a matrix.
	pub fn linear(&self, x: &[f32], matrix: &OnCard, width: usize) -> Result<Vec<f32>> {
		flat(&self.card.linear(&self.tensor(x, width)?, &matrix.0)?)
	}

	/// RMS norm of rows as wide as its weight.
	pub fn norm(&self, x: &[f32], weight: &[f32]) -> Result<Made> {
		let weight_there = self.card.vector(weight)?;
		self.with_pass(x, weight.len(), |x, pass| self.card.norm(x, &weight_there, pass))
	}

	/// The gate of rows g ‖ u.
	pub fn gate(&self, x: &[f32], width: usize) -> Result<Made> {
		self.with_pass(x, width, |x, pass| self.card.gate(x, pass))
	}

	/// x + y, marking rows.
	pub fn add(&self, x: &[f32], y: &[f32], width: usize) -> Result<Made> {
		let y = self.tensor(y, width)?;
		self.with_pass(x, width, |x, pass| self.card.add(x, &y, true, pass))
	}

	/// Head norms, rotation and attention of fused rows, which lie in segments of a pool of [`Self::pool`].
	pub fn attend(
		&self,
		x: &[f32],
		layer: usize,
		head_norms: Option<(&[f32], &[f32])>,
		segments: &[Segment<'_>],
		pool: &mut Pool,
	) -> Result<Made> {
		let n = &self.numbers;
		let width = (n.num_attention_heads + 2 * n.num_key_value_heads) as usize * n.head_dim as usize;
		let head_norms = match head_norms {
			Some((q, k)) => Some((self.card.vector(q)?, self.card.vector(k)?)),
			None => None,
		};
		let tokens = vec![0; x.len().checked_div(width).unwrap_or(0)];
		let batch = Batch {
			tokens: &tokens,
			segments,
		};
		let mut pass = self.card.begin(&batch, pool)?;
		let out = self
			.card
			.attended(self.tensor(x, width)?, layer, head_norms.as_ref(), &mut pass)?;
		Ok((flat(&out)?, self.card.bad(&pass)?))
	}

	/// Waits until everything is done.
	pub fn finish(&self) -> Result<()> {
		Ok(self.card.device().synchronize()?)
	}

	fn tensor(&self, x: &[f32], width: usize) -> Result<Tensor> {
		let rows = x.len().checked_div(width).unwrap_or(0);
		Ok(Tensor::from_slice(x, (rows, width), self.card.device())?)
	}

	/// Runs an operation that marks rows.
	fn with_pass(
		&self,
		x: &[f32],
		width: usize,
		run: impl FnOnce(&Tensor, &mut Pass<'_>) -> Result<Tensor>,
	) -> Result<Made> {
		let x = self.tensor(x, width)?;
		let mut pool = self.pool(1, x.dim(0)?.div_ceil(crate::kv::PAGE))?;
		let pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
		let tokens = vec![0; x.dim(0)?];
		let segments = [Segment {
			rows: 0..tokens.len(),
			start: 0,
			pages: &pages,
		}];
		let batch = Batch {
			tokens: &tokens,
			segments: &segments,
		};
		let mut pass = self.card.begin(&batch, &mut pool)?;
		let out = run(&x, &mut pass)?;
		Ok((flat(&out)?, self.card.bad(&pass)?))
	}
}

/// A matrix in the device's memory.
pub struct OnCard(super::card::CardMatrix);

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
	Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}
