//! The bundled model's catalogue entry, read from its manifest.

use crate::constants::currency::MICRO_ASY;
use alloc::{string::String, vec::Vec};
use assay_primitives::{model::Profile, ModelId};
use pallet_models::Registration;
use serde::Deserialize;
use sp_runtime::Permill;

const MANIFEST: &str = include_str!("../../../demo-model/assay-demo/manifest.json");

/// Ends the name of a tensor that only scales another.
const SCALE_SUFFIX: &str = "_scale";

/// What the chain needs to know of the bundled model's `manifest.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct DemoModel {
	/// The root of the manifest.
	#[serde(rename = "model_id")]
	pub id: ModelId,
	manifest: Manifest,
}

#[derive(Clone, Debug, Deserialize)]
struct Manifest {
	name: String,
	profile: Profile,
	architecture: String,
	prompt_overhead: u32,
	numbers: Numbers,
	tensors: Vec<Tensor>,
}

#[derive(Clone, Debug, Deserialize)]
struct Numbers {
	decoder: Decoder,
}

#[derive(Clone, Debug, Deserialize)]
struct Decoder {
	max_position_embeddings: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct Tensor {
	name: String,
	dtype: Dtype,
	shape: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum Dtype {
	I8,
	F16,
	F32,
}

impl Tensor {
	fn elements(&self) -> u64 {
		self.shape.iter().fold(1, |n, dimension| n.saturating_mul(*dimension))
	}

	fn bytes(&self) -> u64 {
		let size = match self.dtype {
			Dtype::I8 => 1,
			Dtype::F16 => 2,
			Dtype::F32 => 4,
		};
		self.elements().saturating_mul(size)
	}
}

impl DemoModel {
	/// The model that comes with this runtime. None if its manifest is not one: tests see to that.
	pub fn bundled() -> Option<Self> {
		serde_json::from_str(MANIFEST).ok()
	}

	/// The catalogue entry: a prompt token for 0.0001 ASY, a generated one for 0.001, and the highest royalty.
	pub fn registration(&self) -> Option<Registration> {
		let Self { id, manifest } = self;
		let weights = manifest
			.tensors
			.iter()
			.filter(|tensor| !tensor.name.ends_with(SCALE_SUFFIX));
		Some(Registration {
			id: *id,
			name: manifest.name.clone().into_bytes().try_into().ok()?,
			architecture: manifest.architecture.clone().into_bytes().try_into().ok()?,
			profile: manifest.profile,
			parameters: weights.map(Tensor::elements).fold(0, u64::saturating_add),
			weight_bytes: manifest.tensors.iter().map(Tensor::bytes).fold(0, u64::saturating_add),
			price_in: 100 * MICRO_ASY,
			price_out: 1_000 * MICRO_ASY,
			royalty: Permill::from_percent(5),
			context_length: manifest.numbers.decoder.max_position_embeddings,
			prompt_overhead: manifest.prompt_overhead,
			parent: None,
		})
	}
}
