//! What is known of a model's inputs before its weights are quantized: how much an error in each column matters, and by
//! which factors channels are evened out.

use super::{columns::Columns, documents::documents};
use crate::Result;
use assay_engine::{
	calibration::measure,
	model::decoder::moments::{InputMoments, LayerMoments},
	Model,
};
use std::{
	collections::{BTreeSet, HashMap},
	path::Path,
	sync::Arc,
};

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];
/// An input that was as good as never there in the text counts as if it had this share of the mean square of all.
const LEAST_SHARE: f64 = 1e-5;
/// The largest factor of a channel, and one through the smallest. A power of two.
const MOST: f64 = 64.0;

/// For each tensor that has some: the importance of its columns, and the factors of its columns and rows.
#[derive(Default)]
pub(crate) struct Plan {
	tensors: HashMap<String, TensorPlan>,
}

#[derive(Default)]
struct TensorPlan {
	importance: Option<Arc<[f32]>>,
	/// What columns are multiplied by.
	columns: Option<Arc<[f32]>>,
	/// What rows are divided by. Of a norm or a bias each element is a row.
	rows: Option<Arc<[f32]>>,
}

impl Plan {
	/// Runs a finished directory over the calibration text. The channels between a norm and its matrices, and between up and
	/// down, get factors where all matrices are among `equalized`; these are int8 in groups of 32 in the directory.
	pub(crate) fn measured(folder: &Path, equalized: &BTreeSet<String>) -> Result<Self> {
		let moments = measure(&Model::load(folder)?, &documents())?;
		let columns = (!equalized.is_empty()).then(|| Columns::open(folder)).transpose()?;
		Self::new(&moments, |matrices, makers| match &columns {
			Some(columns) if matrices.iter().chain(makers).all(|name| equalized.contains(name)) => {
				columns.mean_squares(matrices).map(Some)
			}
			_ => Ok(None),
		})
	}

	/// Makes a plan of measured inputs. `columns` returns the mean squares of the columns of matrices, of which other
	/// matrices may make the input, or none if channels are left as they are.
	fn new(moments: &InputMoments, columns: impl Fn(&[String], &[String]) -> Result<Option<Vec<f64>>>) -> Result<Self> {
		let mut plan = Self::default();
		for (layer, inputs) in moments.layers.iter().enumerate() {
			let LayerMoments { qkv, o, gate_up, down } = inputs;
			let names = |parts: &[&str]| -> Vec<String> {
				parts
					.iter()
					.map(|part| format!("model.layers.{layer}.{part}.weight"))
					.collect()
			};
			let bias = [format!("model.layers.{layer}.mlp.up_proj.bias")];
			// Matrices with one input, the matrices whose outputs it is made of, and what else makes it and can be divided.
			for (inputs, matrices, makers, further) in [
				(qkv, names(&QKV), Vec::new(), names(&["input_layernorm"])),
				(o, names(&["self_attn.o_proj"]), Vec::new(), Vec::new()),
				(
					gate_up,
					names(&GATE_UP),
					Vec::new(),
					names(&["post_attention_layernorm"]),
				),
				(down, names(&["mlp.down_proj"]), names(&["mlp.up_proj"]), bias.to_vec()),
			] {
				let squares: Vec<f64> = inputs.iter().map(|sum| sum / moments.rows.max(1) as f64).collect();
				let can_divide = !further.is_empty();
				let weights = if can_divide { columns(&matrices, &makers)? } else { None };
				plan.add(&squares, &matrices, &[makers, further].concat(), weights.as_deref());
			}
		}
		Ok(plan)
	}

	/// Adds the matrices of one input, and the tensors that make it.
	fn add(&mut self, squares: &[f64], matrices: &[String], before: &[String], weights: Option<&[f64]>) {
		let factors: Option<Arc<[f32]>> = weights.map(|weights| factors(squares, weights).into());
		let importance: Arc<[f32]> = importance(squares, factors.as_deref()).into();
		for name in matrices {
			let tensor = self.tensors.entry(name.clone()).or_default();
			tensor.importance = Some(importance.clone());
			tensor.columns.clone_from(&factors);
		}
		for name in before {
			self.tensors.entry(name.clone()).or_default().rows.clone_from(&factors);
		}
	}

	/// Returns how much the square of an error in each column of a matrix matters; none if all matter alike.
	pub(crate) fn importance(&self, name: &str) -> Option<&[f32]> {
		self.tensors.get(name)?.importance.as_deref()
	}

	/// Returns whether a tensor's values are changed before they are quantized or written.
	pub(crate) fn changes(&self, name: &str) -> bool {
		let changed = |tensor: &TensorPlan| tensor.columns.is_some() || tensor.rows.is_some();
		self.tensors.get(name).is_some_and(changed)
	}

	/// Evens out the channels of a tensor's rows from `first` on: an element is divided by the factor of its row, if it has
	/// one, and the result multiplied by that of its column. Each is rounded once.
	pub(crate) fn equalize(&self, name: &str, first: usize, width: usize, rows: &mut [f32]) {
		let Some(tensor) = self.tensors.get(name) else {
			return;
		};
		if let Some(factors) = tensor.rows.as_deref().and_then(|factors| factors.get(first..)) {
			for (row, factor) in rows.chunks_mut(width.max(1)).zip(factors) {
				row.iter_mut().for_each(|v| *v /= factor);
			}
		}
		if let Some(factors) = tensor.columns.as_deref() {
			for row in rows.chunks_mut(width.max(1)) {
				row.iter_mut().zip(factors).for_each(|(v, factor)| *v *= factor);
			}
		}
	}
}

/// Returns what each column of a matrix is multiplied by, and its input divided by: √(rms of the input / rms of the
/// column), divided by the mean of all.
fn factors(inputs: &[f64], weights: &[f64]) -> Vec<f32> {
	let raw = inputs.iter().zip(weights).map(|(x, w)| {
		let ratio = (x / w).sqrt().sqrt();
		// Where either is nothing there is nothing to even out.
		(*x > 0.0 && *w > 0.0 && ratio.is_finite()).then_some(ratio)
	});
	let raw: Vec<Option<f64>> = raw.collect();
	let known = raw.iter().flatten().count().max(1);
	let mean = raw.iter().flatten().sum::<f64>() / known as f64;
	let bounded = |ratio: Option<f64>| ratio.map_or(1.0, |ratio| (ratio / mean).clamp(1.0 / MOST, MOST)) as f32;
	raw.into_iter().map(bounded).collect()
}

/// Returns the importance of columns: the mean square of their inputs after division by the factors, the largest 1.
fn importance(squares: &[f64], factors: Option<&[f32]>) -> Vec<f32> {
	let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
	let least = if mean > 0.0 { mean * LEAST_SHARE } else { 1.0 };
	let after = squares.iter().enumerate().map(|(k, square)| {
		let factor = factors
			.and_then(|factors| factors.get(k))
			.map_or(1.0, |f| f64::from(*f));
		square.max(least) / (factor * factor)
	});
	let after: Vec<f64> = after.collect();
	let peak = after.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
	after.into_iter().map(|square| (square / peak) as f32).collect()
}

#[cfg(test)]
mod tests {
	use super::*;
	use proptest::prelude::*;

	fn moments() -> InputMoments {
		let sums = |count: usize, seed: usize| (0..count).map(|k| ((k * 7 + seed) % 13) as f64 * 8.0).collect();
		let layer = |seed| LayerMoments {
			qkv: sums(64, seed),
			o: sums(96, seed),
			gate_up: sums(64, seed + 1),
			down: sums(128, seed + 2),
		};
		InputMoments {
			rows: 8,
			layers: vec![layer(1), layer(5)],
		}
	}

	fn columns(matrices: &[String], _: &[String]) -> Result<Option<Vec<f64>>> {
		let width = if matrices[0].contains("down") { 128 } else { 64 };
		Ok(Some((0..width).map(|k| 0.001 + (k % 5) as f64).collect()))
	}

	#[test]
	fn without_factors_only_matrices_have_a_plan() {
		let plan = Plan::new(&moments(), |_, _| Ok(None)).unwrap();
		let h = plan.importance("model.layers.1.self_attn.o_proj.weight").unwrap();
		assert_eq!(h.len(), 96);
		// (7 · 1 + 5) % 13 = 12 is the most, and 0 counts as little but not as nothing.
		assert_eq!(h[1], 1.0);
		assert!(h.iter().all(|h| *h > 0.0 && *h <= 1.0) && h.iter().any(|h| *h < 1e-5));
		assert_eq!(plan.importance("model.layers.1.input_layernorm.weight"), None);
		assert_eq!(plan.importance("model.embed_tokens.weight"), None);
		assert!(plan.tensors.keys().all(|name| !plan.changes(name)));
		let mut row = [1.5f32; 64];
		plan.equalize("model.layers.0.self_attn.q_proj.weight", 0, 64, &mut row);
		assert_eq!(row, [1.5; 64]);
	}

	#[test]
	fn norms_and_rows_are_divided_by_what_columns_are_multiplied_by() {
		let plan = Plan::new(&moments(), columns).unwrap();
		let applied = |name: &str, width: usize, rows: usize| {
			let mut values = vec![1f32; rows * width];
			plan.equalize(name, 0, width, &mut values);
			values
		};
		for (norm, matrix) in [
			(
				"model.layers.0.input_layernorm.weight",
				"model.layers.0.self_attn.k_proj.weight",
			),
			(
				"model.layers.1.post_attention_layernorm.weight",
				"model.layers.1.mlp.gate_proj.weight",
			),
		] {
			let (norm, matrix) = (applied(norm, 1, 64), applied(matrix, 64, 1));
			assert!(norm.iter().zip(&matrix).all(|(n, m)| *n == 1.0 / m) && matrix.iter().any(|m| *m != 1.0));
		}
		// Up has factors of its rows and of its columns; its bias those of the rows alone.
		let up = applied("model.layers.0.mlp.up_proj.weight", 64, 128);
		let gate = applied("model.layers.0.mlp.gate_proj.weight", 64, 128);
		let down = applied("model.layers.0.mlp.down_proj.weight", 128, 1);
		let bias = applied("model.layers.0.mlp.up_proj.bias", 1, 128);
		for row in 0..128 {
			assert_eq!(bias[row], 1.0 / down[row]);
			for k in 0..64 {
				assert_eq!(up[row * 64 + k], bias[row] * gate[k]);
			}
		}
		assert!(!plan.changes("model.layers.0.self_attn.o_proj.weight"));
		assert!(
			plan.changes("model.layers.0.mlp.up_proj.weight") && plan.changes("model.layers.0.input_layernorm.weight")
		);
		// Rows that come in pieces are divided like all at once.
		let mut pieces = vec![1f32; 128 * 64];
		for (i, piece) in pieces.chunks_mut(24 * 64).enumerate() {
			plan.equalize("model.layers.0.mlp.up_proj.weight", i * 24, 64, piece);
		}
		assert_eq!(pieces, up);
	}

	proptest! {
		#[test]
		fn factors_and_importance_are_usable_whatever_was_measured(
			measured in prop::collection::vec((prop_oneof![0f64..1e3, Just(0.0), Just(1e-300), Just(1e30)],
				prop_oneof![0f64..10.0, Just(0.0), Just(1e-12)]), 1..200),
		) {
			let (x, w): (Vec<f64>, Vec<f64>) = measured.into_iter().unzip();
			let factors = factors(&x, &w);
			prop_assert!(factors.iter().all(|f| (1.0 / 64.0..=64.0).contains(f)));
			for h in [importance(&x, None), importance(&x, Some(&factors))] {
				prop_assert!(h.iter().all(|h| (0.0..=1.0).contains(h)) && h.contains(&1.0));
			}
		}

		#[test]
		fn evened_out_products_are_what_they_were(
			channels in prop::collection::vec((-2f32..2.0, -2f32..2.0, 0.001f64..100.0, 0.001f64..1.0), 64),
		) {
			let (x2, w2): (Vec<f64>, Vec<f64>) = channels.iter().map(|c| (c.2, c.3)).unzip();
			let factors = factors(&x2, &w2);
			for ((x, w, ..), f) in channels.iter().zip(factors) {
				let (before, after) = (x * w, (x / f) * (w * f));
				prop_assert!((before - after).abs() <= before.abs() * 4e-7);
			}
		}
	}
}
