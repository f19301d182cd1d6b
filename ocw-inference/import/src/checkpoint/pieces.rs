//! From the tensors of a packed matrix to the canonical ones of `w4z`, which lie the other way round: an output's weights
//! side by side.

use crate::{blocks::Encoding, source::FoundTensor, Error, Result};
use assay_numerics::BLOCK;
use half::f16;

/// Weights, or zero points, of one integer.
const PER_WORD: usize = 8;
/// Bytes of an integer.
const WORD: usize = 4;
/// Most bytes of a tensor that are turned round at once.
const STRIP: u64 = 32 << 20;
/// Which output each four bits of an integer of AWQ belong to, from the lowest ones on; and of GPTQ.
const AWQ_ORDER: [usize; PER_WORD] = [0, 2, 4, 6, 1, 3, 5, 7];
const GPTQ_ORDER: [usize; PER_WORD] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Whose way of packing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
	/// AWQ's `gemm`: weights [K, N / 8], an integer has eight outputs.
	Awq,
	/// GPTQ's: weights [K / 8, N], an integer has eight inputs.
	Gptq {
		/// Whether zero points are written less one.
		less_one: bool,
	},
}

/// What a tensor is to its matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
	Weights,
	Zeros,
	Scales,
	/// The group of each input.
	Order,
	/// A bias that the model does not have.
	Bias,
}

/// A tensor of a packed matrix, and what becomes of it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
	pub(super) role: Role,
	pub(super) packing: Packing,
	/// Inputs of a group.
	pub(super) group: u64,
	/// Outputs of the matrix.
	pub(super) rows: u64,
	/// Its inputs.
	pub(super) width: u64,
	/// The matrix.
	pub(super) matrix: String,
	/// What its canonical tensor is called behind the matrix's name; none if it is only checked.
	pub(super) end: Option<&'static str>,
}

impl Piece {
	/// Returns the name of its matrix.
	pub(crate) fn matrix(&self) -> &str {
		&self.matrix
	}

	/// Returns the canonical tensor that it becomes, if it becomes one.
	pub(crate) fn target(&self) -> Option<String> {
		self.end.map(|end| format!("{}{end}", self.matrix))
	}

	fn groups(&self) -> u64 {
		self.width.div_ceil(self.group.max(1))
	}

	/// Returns the dimensions that the tensor must have.
	fn shape(&self) -> Vec<u64> {
		let packed = PER_WORD as u64;
		match (self.role, self.packing) {
			(Role::Weights, Packing::Awq) => vec![self.width, self.rows / packed],
			(Role::Weights, Packing::Gptq { .. }) => vec![self.width / packed, self.rows],
			(Role::Zeros, _) => vec![self.groups(), self.rows / packed],
			(Role::Scales, _) => vec![self.groups(), self.rows],
			(Role::Order, _) => vec![self.width],
			(Role::Bias, _) => vec![self.rows],
		}
	}

	/// Refuses a tensor that is not what it must be.
	pub(super) fn check(&self, name: &str, tensor: &FoundTensor) -> Result<()> {
		let refused = |reason: String| {
			Err(Error::Tensor {
				name: name.into(),
				reason,
			})
		};
		let (rows, width) = (self.rows, self.width);
		if !rows.is_multiple_of(PER_WORD as u64) || !width.is_multiple_of(BLOCK as u64) {
			return refused(format!(
				"belongs to a matrix [{rows}, {width}], which is not packed in eights"
			));
		}
		let is_float = matches!(tensor.encoding, Encoding::F16 | Encoding::Bf16 | Encoding::F32);
		let wants_float = matches!(self.role, Role::Scales | Role::Bias);
		if is_float != wants_float || !(is_float || tensor.encoding == Encoding::I32) {
			let wanted = if is_float { "I32" } else { "a float" };
			return refused(format!(
				"does not have the type of a packed matrix here, {wanted}; fetch it again"
			));
		}
		let shape = self.shape();
		if tensor.shape != shape {
			return refused(format!(
				"has shape {:?}; a matrix [{rows}, {width}] with `group_size` {} in config.json asks for {shape:?}",
				tensor.shape, self.group
			));
		}
		let elements = shape.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim));
		let bytes = elements.and_then(|n| tensor.encoding.bytes(n));
		if bytes.is_none() || tensor.range.1.checked_sub(tensor.range.0) != bytes {
			return refused("its bytes are not those of its shape".into());
		}
		Ok(())
	}

	/// Converts the tensor. `read` reads bytes of it from a place; `write` takes the canonical bytes in their order, some
	/// outputs at a time.
	pub(crate) fn convert(
		&self,
		encoding: Encoding,
		read: impl FnMut(u64, &mut [u8]) -> Result<()>,
		write: impl FnMut(&[u8]) -> Result<()>,
	) -> std::result::Result<(), Failed> {
		match self.role {
			Role::Order => self.check_order(read),
			Role::Bias => self.check_bias(encoding, read),
			Role::Weights | Role::Zeros | Role::Scales => self.turn(STRIP, encoding, read, write),
		}
	}

	/// Turns the tensor round, at most so many bytes of it at once.
	fn turn(
		&self,
		most: u64,
		encoding: Encoding,
		mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
		mut write: impl FnMut(&[u8]) -> Result<()>,
	) -> std::result::Result<(), Failed> {
		// Whole integers of outputs.
		let row_bytes = self.row_bytes(encoding).max(1);
		let outputs = (most / row_bytes).max(1).next_multiple_of(PER_WORD as u64);
		let mut first = 0;
		while first < self.rows {
			let count = outputs.min(self.rows - first);
			let strip = self.strip(encoding, first as usize, count as usize, &mut read)?;
			write(&strip)?;
			first += count;
		}
		Ok(())
	}

	/// Bytes of an output's part of the tensor.
	fn row_bytes(&self, encoding: Encoding) -> u64 {
		match self.role {
			Role::Weights => self.width / 2,
			Role::Scales => self.groups().saturating_mul(encoding.bytes(1).unwrap_or(4)),
			Role::Zeros | Role::Order | Role::Bias => self.groups(),
		}
	}

	/// Returns the canonical bytes of some outputs.
	fn strip(
		&self,
		encoding: Encoding,
		first: usize,
		count: usize,
		read: &mut impl FnMut(u64, &mut [u8]) -> Result<()>,
	) -> std::result::Result<Vec<u8>, Failed> {
		let groups = self.groups() as usize;
		let rows = self.shape().first().copied().unwrap_or(0);
		// Bytes of an output in a row of the tensor, or of eight of them.
		let (unit, per_unit) = match (self.role, self.packing) {
			(Role::Weights, Packing::Gptq { .. }) => (WORD, 1),
			(Role::Scales, _) => (encoding.bytes(1).unwrap_or(4) as usize, 1),
			_ => (WORD, PER_WORD),
		};
		let (stride, from) = (self.rows as usize / per_unit * unit, first / per_unit * unit);
		let out_row = match self.role {
			Role::Weights => self.width as usize / 2,
			Role::Scales => groups * 2,
			Role::Zeros | Role::Order | Role::Bias => groups.div_ceil(2),
		};
		let mut out = vec![0u8; out_row * count];
		let mut row = vec![0u8; count / per_unit * unit];
		let mut eight = Eight::default();
		for k in 0..rows as usize {
			read(k as u64 * stride as u64 + from as u64, &mut row)?;
			match (self.role, self.packing) {
				(Role::Weights, Packing::Gptq { .. }) => {
					for (out, word) in out.chunks_exact_mut(out_row).zip(row.as_chunks::<WORD>().0) {
						put(out, k * WORD, word);
					}
				}
				(Role::Weights, Packing::Awq) => {
					if let Some(kept) = eight.rows.get_mut(k % PER_WORD) {
						kept.clone_from(&row);
					}
					if k % PER_WORD == PER_WORD - 1 {
						eight.turn(&mut out, out_row, k / PER_WORD * WORD);
					}
				}
				(Role::Scales, _) => scales(encoding, &row, &mut out, out_row, k * 2)?,
				(Role::Zeros | Role::Order | Role::Bias, _) => self.zeros(&row, &mut out, out_row, k)?,
			}
		}
		Ok(out)
	}

	/// Puts the zero points of one group.
	fn zeros(&self, row: &[u8], out: &mut [u8], out_row: usize, group: usize) -> std::result::Result<(), Failed> {
		let (order, more) = match self.packing {
			Packing::Awq => (AWQ_ORDER, 0),
			Packing::Gptq { less_one } => (GPTQ_ORDER, u8::from(less_one)),
		};
		let words = row.as_chunks::<WORD>().0.iter();
		for (word, outs) in words.zip(out.chunks_exact_mut(out_row * PER_WORD)) {
			for (stored, output) in nibbles(word).into_iter().zip(order) {
				let zero = stored + more;
				if zero > 15 {
					return Err(Failed::Reason(
						"has the zero point 16, which four bits do not hold (`checkpoint_format` gptq writes it as 15): take \
						 the floats that it was made from",
					));
				}
				if let Some(byte) = outs.get_mut(output * out_row + group / 2) {
					*byte |= zero << (group % 2 * 4);
				}
			}
		}
		Ok(())
	}

	/// Refuses an order of inputs that is not their own.
	fn check_order(&self, mut read: impl FnMut(u64, &mut [u8]) -> Result<()>) -> std::result::Result<(), Failed> {
		let mut word = [0u8; WORD * BLOCK];
		for begin in (0..self.width).step_by(BLOCK) {
			read(begin * WORD as u64, &mut word)?;
			// All groups are of whole blocks.
			let group = u32::try_from(begin / self.group.max(1)).unwrap_or(u32::MAX);
			if word
				.as_chunks::<WORD>()
				.0
				.iter()
				.any(|w| u32::from_le_bytes(*w) != group)
			{
				return Err(Failed::Reason(
					"puts the inputs in another order (`desc_act`), which c2 does not compute: take a checkpoint that was \
					 made without an order of activations, or the floats that it was made from",
				));
			}
		}
		Ok(())
	}

	/// Refuses a bias that adds something.
	fn check_bias(
		&self,
		encoding: Encoding,
		mut read: impl FnMut(u64, &mut [u8]) -> Result<()>,
	) -> std::result::Result<(), Failed> {
		let mut bytes = vec![0u8; encoding.bytes(self.rows).unwrap_or(0) as usize];
		read(0, &mut bytes)?;
		let mut nothing = true;
		encoding.floats(&bytes, |v| nothing &= v == 0.0);
		if nothing {
			return Ok(());
		}
		Err(Failed::Reason(
			"is a bias that is not all zeros, and the model that config.json describes has none there, so its results would \
			 be another model's: take a checkpoint whose config.json is its own",
		))
	}
}

/// Why a conversion ended.
pub(crate) enum Failed {
	/// Something about the tensor, as the end of a sentence.
	Reason(&'static str),
	/// Something else.
	Error(Error),
}

impl From<Error> for Failed {
	fn from(error: Error) -> Self {
		Self::Error(error)
	}
}

/// Eight rows of AWQ's weights: eight inputs of all outputs.
#[derive(Default)]
struct Eight {
	rows: [Vec<u8>; PER_WORD],
}

impl Eight {
	/// Puts four bytes, the eight inputs, into each output's row at `at`.
	fn turn(&self, out: &mut [u8], out_row: usize, at: usize) {
		for (column, outs) in out.chunks_exact_mut(out_row * PER_WORD).enumerate() {
			let words = self.rows.each_ref().map(|row| {
				let word = row.as_chunks::<WORD>().0.get(column);
				nibbles(word.unwrap_or(&[0; WORD]))
			});
			for (i, output) in AWQ_ORDER.into_iter().enumerate() {
				let mut inputs = words.iter().map(|word| word.get(i).copied().unwrap_or_default());
				let four: [u8; WORD] = std::array::from_fn(|_| {
					let (even, odd) = (inputs.next().unwrap_or_default(), inputs.next().unwrap_or_default());
					even | odd << 4
				});
				put(outs.get_mut(output * out_row..).unwrap_or_default(), at, &four);
			}
		}
	}
}

/// Returns the numbers of four bits of an integer, from the lowest on.
fn nibbles(word: &[u8; WORD]) -> [u8; PER_WORD] {
	let word = u32::from_le_bytes(*word);
	std::array::from_fn(|i| (word >> (4 * i) & 15) as u8)
}

/// Puts the scales of one group.
fn scales(
	encoding: Encoding,
	row: &[u8],
	out: &mut [u8],
	out_row: usize,
	at: usize,
) -> std::result::Result<(), Failed> {
	let (mut outs, mut failed) = (out.chunks_exact_mut(out_row), None);
	encoding.floats(row, |scale| {
		let half = f16::from_f32(scale);
		if !scale.is_finite() {
			failed = Some("has a scale that is a NaN or an infinity: the weights are damaged; fetch them again");
		} else if half.to_f32() != scale {
			failed = Some(
				"has a scale that f16 does not hold exactly: take a checkpoint whose scales are f16, or the floats that it was \
				 made from",
			);
		}
		if let Some(out) = outs.next() {
			put(out, at, &half.to_le_bytes());
		}
	});
	failed.map_or(Ok(()), |reason| Err(Failed::Reason(reason)))
}

/// Writes bytes at a place, if it is there.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
	if let Some(place) = out.get_mut(at..at + bytes.len()) {
		place.copy_from_slice(bytes);
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn strips_of_any_size_give_the_same_bytes() {
		for packing in [Packing::Awq, Packing::Gptq { less_one: false }] {
			for (role, encoding) in [
				(Role::Weights, Encoding::I32),
				(Role::Zeros, Encoding::I32),
				(Role::Scales, Encoding::F16),
			] {
				let piece = Piece {
					role,
					packing,
					group: 64,
					rows: 88,
					width: 288,
					matrix: "x.weight".into(),
					end: Some(""),
				};
				let bytes = encoding.bytes(piece.shape().iter().product()).unwrap();
				// Halves of small exponents, so that all are finite.
				let tensor: Vec<u8> = (0..bytes).map(|i| (i * i * 37 + i * 11) as u8 & 0x3F).collect();
				let turned = |most: u64| {
					let (mut out, mut strips) = (Vec::new(), 0);
					let read = |at: u64, bytes: &mut [u8]| {
						bytes.copy_from_slice(&tensor[at as usize..][..bytes.len()]);
						Ok(())
					};
					let write = |strip: &[u8]| {
						strips += 1;
						out.extend_from_slice(strip);
						Ok(())
					};
					assert!(piece.turn(most, encoding, read, write).is_ok());
					(out, strips)
				};
				let (whole, one) = turned(u64::MAX / 2);
				let (cut, eleven) = turned(1);
				assert_eq!((one, eleven), (1, 11), "{packing:?} {role:?}");
				assert!(whole == cut && whole == turned(3000).0, "{packing:?} {role:?}");
				assert!(whole.iter().any(|b| *b != 0));
			}
		}
	}
}
