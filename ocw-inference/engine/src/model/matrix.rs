//! A matrix and its bias, as they were read: what one operation multiplies by.

use crate::{Error, Result};
use assay_numerics::{linear::Linear, packed::PackedMatrix, residual::quantization_residual, Isa};

/// Matrices with the same input, one below another, and their biases likewise.
pub(crate) struct Matrix {
	/// What is packed into one. There are several where the formats differ.
	parts: Vec<PackedMatrix>,
	bias: Option<Vec<f32>>,
}

impl Matrix {
	/// Puts packed matrices one below another. No bias is none.
	pub(crate) fn new(parts: Vec<PackedMatrix>, bias: Vec<f32>) -> Result<Self> {
		let matrix = Self {
			parts,
			bias: (!bias.is_empty()).then_some(bias),
		};
		let width = matrix.width();
		let fits = !matrix.parts.is_empty() && matrix.parts.iter().all(|part| part.width() == width);
		if fits && matrix.bias.as_ref().is_none_or(|bias| bias.len() == matrix.rows()) {
			Ok(matrix)
		} else {
			Err(Error::Compute(
				"matrices and biases of one operation do not fit together".into(),
			))
		}
	}

	/// Returns the length of a result.
	pub(crate) fn rows(&self) -> usize {
		self.parts.iter().map(PackedMatrix::rows).sum()
	}

	/// Returns the length of an operand.
	pub(crate) fn width(&self) -> usize {
		self.parts.first().map_or(0, PackedMatrix::width)
	}

	/// Returns the only part: an embedding has no other.
	pub(crate) fn table(&self) -> Result<&PackedMatrix> {
		match &self.parts[..] {
			[table] => Ok(table),
			parts => Err(Error::Compute(format!("a table in {} parts", parts.len()))),
		}
	}

	/// Returns the bias of all rows, if there is one.
	pub(crate) fn bias(&self) -> Option<&[f32]> {
		self.bias.as_deref()
	}

	/// Computes `x · Wᵀ + bias` (§2.2).
	pub(crate) fn apply(&self, isa: Isa, x: &[f32], out: &mut [f32]) -> Result<()> {
		let (width, mut first) = (self.rows(), 0);
		for (weight, bias) in self.each() {
			Linear { weight, bias, isa }.apply_at(x, out, width, first)?;
			first += weight.rows();
		}
		Ok(())
	}

	/// Computes `out = out + y`, one more addition for each element: the residual stream.
	pub(crate) fn add_to(&self, isa: Isa, x: &[f32], out: &mut [f32]) -> Result<()> {
		if let [weight] = &self.parts[..] {
			let bias = self.bias();
			return Ok(Linear { weight, bias, isa }.add_to(x, out)?);
		}
		let mut y = vec![0f32; out.len()];
		self.apply(isa, x, &mut y)?;
		out.iter_mut().zip(y).for_each(|(out, y)| *out += y);
		Ok(())
	}

	/// Computes the product in two steps, of a row and of what its quantization loses (§2.13).
	pub(crate) fn fine(&self, isa: Isa, x: &[f32]) -> Result<Vec<f32>> {
		let (width, mut first) = (self.rows(), 0);
		let rows = x.len().checked_div(self.width()).unwrap_or(0);
		let mut out = vec![0f32; rows * width];
		for (weight, bias) in self.each() {
			let columns = weight.rows();
			let mut y = vec![0f32; rows * columns];
			let rest = quantization_residual(x, weight.width(), weight.format());
			Linear {
				weight,
				bias: None,
				isa,
			}
			.apply(x, &mut y)?;
			Linear { weight, bias, isa }.add_to(&rest, &mut y)?;
			if columns == width {
				return Ok(y);
			}
			for (out, y) in out.chunks_exact_mut(width).zip(y.chunks_exact(columns)) {
				if let Some(out) = out.get_mut(first..first + columns) {
					out.copy_from_slice(y);
				}
			}
			first += columns;
		}
		Ok(out)
	}

	/// Returns each part with its piece of the bias.
	pub(crate) fn each(&self) -> impl Iterator<Item = (&PackedMatrix, Option<&[f32]>)> {
		let mut rest = self.bias();
		self.parts.iter().map(move |part| {
			let cut = rest.and_then(|bias| bias.split_at_checked(part.rows()));
			rest = cut.map(|(_, behind)| behind);
			(part, cut.map(|(own, _)| own))
		})
	}
}
