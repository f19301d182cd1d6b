//! Sums of squares of the columns of matrices, of a finished directory whose matrices are int8 in groups of 32.

use crate::{Error, Result};
use assay_model_folder::{files, header::Header, layout::SCALE_SUFFIX};
use assay_numerics::BLOCK;
use half::f16;
use std::{fs::File, os::unix::fs::FileExt, path::PathBuf};

/// Rows that are read at once.
const ROWS: u64 = 256;

/// The weights of a directory.
pub(super) struct Columns {
	file: File,
	path: PathBuf,
	header: Header,
}

impl Columns {
	pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
		let path = folder.join(files::WEIGHTS);
		let mut file = File::open(&path).map_err(Error::read(&path))?;
		let bytes = file.metadata().map_err(Error::read(&path))?.len();
		let header = Header::read(&mut file, bytes)?;
		Ok(Self { file, path, header })
	}

	/// Returns the mean square of each column over the rows of some matrices of the same width, rows in their order.
	pub(super) fn mean_squares(&self, matrices: &[String]) -> Result<Vec<f64>> {
		let (mut sums, mut count) = (Vec::new(), 0u64);
		for name in matrices {
			let (rows, width, weights) = self.matrix(name)?;
			let (_, groups, scales) = self.matrix(&format!("{name}{SCALE_SUFFIX}"))?;
			sums.resize(width as usize, 0f64);
			count += rows;
			let (mut w, mut s) = (Vec::new(), Vec::new());
			for first in (0..rows).step_by(ROWS as usize) {
				let now = ROWS.min(rows - first);
				self.read(weights + first * width, now * width, &mut w)?;
				self.read(scales + first * groups * 2, now * groups * 2, &mut s)?;
				let each = w.chunks_exact(width as usize).zip(s.chunks_exact(groups as usize * 2));
				each.for_each(|(w, s)| add_row(&mut sums, w, s));
			}
		}
		sums.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
		Ok(sums)
	}

	/// Returns rows, width and place of a tensor.
	fn matrix(&self, name: &str) -> Result<(u64, u64, u64)> {
		let found = self.header.tensors.get(name).and_then(|info| match info.shape[..] {
			[rows, width] => Some((rows, width, self.header.data_start + info.data_offsets.0)),
			_ => None,
		});
		found.ok_or_else(|| Error::Tensor {
			name: name.into(),
			reason: "is not in the weights that were to be measured: a defect of the importer".into(),
		})
	}

	fn read(&self, at: u64, bytes: u64, into: &mut Vec<u8>) -> Result<()> {
		into.resize(bytes as usize, 0);
		self.file.read_exact_at(into, at).map_err(Error::read(&self.path))
	}
}

/// Adds the squares of a row of int8 and its scales.
fn add_row(sums: &mut [f64], weights: &[u8], scales: &[u8]) {
	let groups = sums
		.chunks_mut(BLOCK)
		.zip(weights.chunks(BLOCK))
		.zip(scales.as_chunks().0);
	for ((sums, weights), scale) in groups {
		let scale = f64::from(f16::from_le_bytes(*scale).to_f32());
		for (sum, w) in sums.iter_mut().zip(weights) {
			let w = scale * f64::from(*w as i8);
			*sum += w * w;
		}
	}
}
