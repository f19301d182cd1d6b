//! Quantizes floats to the formats of c2 with as little loss as a search finds.
//!
//! A search compares scales, and zero points where there are some, by the squared error of the weights, each weighted
//! by how large the inputs of its column are: `Σ h·(w − decoded)²`. All is computed in f32 and f64 in a fixed order,
//! with no function beyond the four operations and the square root, so the same floats give the same bytes everywhere.

mod columns;
mod documents;
mod fit;
mod plan;
mod w4;
mod w4z;

use assay_numerics::{format::MatrixFormat, packed::quantize_group, QuantizeError};
use fit::{Group, LARGEST_GROUP};
use half::f16;
pub(crate) use plan::Plan;
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows of a matrix in the form of a file: weights, scales, and zero points where the format has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QuantizedRows {
	/// Bytes of the weights.
	pub(crate) weights: Vec<u8>,
	/// Scales, f16 little-endian.
	pub(crate) scales: Vec<u8>,
	/// Zero points, two a byte.
	pub(crate) zeros: Vec<u8>,
}

impl QuantizedRows {
	fn append(&mut self, mut rows: Self) {
		self.weights.append(&mut rows.weights);
		self.scales.append(&mut rows.scales);
		self.zeros.append(&mut rows.zeros);
	}
}

/// Appends rows of `width` floats in a format, or returns why not. `importance` has a weight h ≥ 0 for each column; int8
/// needs none. All cores work on them; how many there are changes no byte.
pub(crate) fn quantize_rows(
	format: &MatrixFormat,
	rows: &[f32],
	width: usize,
	importance: Option<&[f32]>,
	out: &mut QuantizedRows,
) -> Result<(), &'static str> {
	let quantizer = Quantizer::new(format, width, importance)?;
	let parts: Vec<_> = rows
		.par_chunks(width.saturating_mul(8))
		.map(|rows| quantizer.rows(rows))
		.collect::<Result<_, _>>()?;
	parts.into_iter().for_each(|part| out.append(part));
	Ok(())
}

/// What all rows of a matrix have in common.
struct Quantizer<'a> {
	kind: Kind,
	group: usize,
	width: usize,
	importance: Cow<'a, [f32]>,
}

enum Kind {
	W8,
	W4(Box<w4::Table>),
	W4z,
}

impl<'a> Quantizer<'a> {
	fn new(format: &MatrixFormat, width: usize, importance: Option<&'a [f32]>) -> Result<Self, &'static str> {
		if width == 0 || !width.is_multiple_of(assay_numerics::BLOCK) {
			return Err("has rows that are not whole blocks of 32");
		}
		let importance = importance.unwrap_or_default();
		let peak = importance.iter().fold(0f32, |a, h| a.max(*h));
		let usable = importance.len() == width && importance.iter().all(|h| *h >= 0.0 && h.is_finite()) && peak > 0.0;
		let importance = if usable {
			// So that no product of it and of squares leaves the range of f32.
			importance.iter().map(|h| h / peak).collect()
		} else if importance.is_empty() {
			vec![1.0; width]
		} else {
			return Err("has inputs whose importance is not a number for each column, or nothing but zeros");
		};
		Ok(Self {
			kind: match format {
				MatrixFormat::W8 { .. } => Kind::W8,
				MatrixFormat::W4 { table } => Kind::W4(Box::new(w4::Table::new(table))),
				MatrixFormat::W4z { .. } => Kind::W4z,
			},
			group: format.group(),
			width,
			importance: importance.into(),
		})
	}

	fn rows(&self, rows: &[f32]) -> Result<QuantizedRows, &'static str> {
		let mut out = QuantizedRows::default();
		let mut row_zeros = Vec::new();
		let mut codes = [0u8; LARGEST_GROUP];
		for row in rows.chunks(self.width) {
			if !row.iter().fold(true, |finite, v| finite & v.is_finite()) {
				return Err(QuantizeError::NonFinite.reason());
			}
			row_zeros.clear();
			for (values, importance) in row.chunks(self.group).zip(self.importance.chunks(self.group)) {
				let codes = codes.get_mut(..values.len()).unwrap_or_default();
				let scale = match &self.kind {
					Kind::W8 => int8(values, codes)?,
					Kind::W4(table) => table.quantize(Group::new(values, importance), codes)?,
					Kind::W4z => {
						let (scale, zero) = w4z::quantize(Group::new(values, importance), codes)?;
						row_zeros.push(zero);
						scale
					}
				};
				out.scales.extend(scale.to_le_bytes());
				match self.kind {
					Kind::W8 => out.weights.extend_from_slice(codes),
					Kind::W4(_) | Kind::W4z => out.weights.extend(packed(codes)),
				}
			}
			out.zeros.extend(packed(&row_zeros));
		}
		Ok(out)
	}
}

/// Writes a group's int8, by the rule of the specification, which searches nothing. Returns its scale.
fn int8(values: &[f32], codes: &mut [u8]) -> Result<f16, &'static str> {
	let mut weights = [0i8; LARGEST_GROUP];
	let scale = quantize_group(values, &mut weights).map_err(QuantizeError::reason)?;
	codes.iter_mut().zip(weights).for_each(|(code, w)| *code = w as u8);
	Ok(scale)
}

/// Returns numbers of four bits two a byte, the first in the low nibble; behind an odd one stands 0.
fn packed(codes: &[u8]) -> impl Iterator<Item = u8> + '_ {
	codes.chunks(2).map(|pair| match pair {
		[low, high] => low | high << 4,
		[low] => *low,
		_ => 0,
	})
}

#[cfg(test)]
mod tests;
