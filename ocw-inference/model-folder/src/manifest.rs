//! What a `ModelId` hashes: a model's files, tensors and hyperparameters.

use crate::{
	config::{Architecture, Hyperparameters, ModelConfig},
	files,
	formats::Formats,
	header::{Dtype, MAX_TENSORS},
	layout::layout,
	Error, Result,
};
use assay_primitives::{hash::hex32, manifest::weights_of, model::Profile, Hash32, ModelId};
use codec::Encode;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One tensor of the canonical weights.
#[derive(Clone, Debug, PartialEq, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
	/// Its name in the safetensors file.
	pub name: String,
	/// Element type.
	pub dtype: Dtype,
	/// Dimensions, outermost first.
	pub shape: Vec<u64>,
	/// BLAKE3 of its bytes.
	#[serde(with = "hex32")]
	pub root: Hash32,
}

/// A file of the model this one was made from.
#[derive(Clone, Debug, PartialEq, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
	/// Its name.
	pub name: String,
	/// BLAKE3 of its bytes.
	#[serde(with = "hex32")]
	pub root: Hash32,
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
	/// Who made the weights, and where they are published.
	pub source: String,
	/// Which version of it.
	pub revision: String,
	/// The files that were read.
	pub upstream: Vec<SourceFile>,
	/// The program and rule that quantized them.
	#[serde(rename = "quantiser")]
	pub quantizer: String,
	/// The Assay model it was made from, if any.
	pub parent: Option<ModelId>,
	/// The license of the weights (SPDX).
	#[serde(rename = "licence")]
	pub license: String,
}

/// Sampling that suits the model; a client's suggestion, no rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
	/// Temperature as Q16.16.
	pub temperature: u32,
	/// Largest logits kept; 0 keeps all.
	pub top_k: u32,
	/// Smallest relative probability as Q16.16; 0 keeps all.
	pub min_p: u32,
	/// Tokens to generate.
	pub max_tokens: u32,
}

/// The canonical manifest. Its SCALE encoding, in this order of fields, is what the [`ModelId`] hashes.
#[derive(Clone, Debug, PartialEq, Encode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
	/// Version of this list: 1.
	pub schema: u32,
	/// The name that people use.
	pub name: String,
	/// Numeric profile.
	pub profile: Profile,
	/// Family: `llama`, `mistral`, `qwen2`, `qwen3` or `bert`.
	pub architecture: String,
	/// Its hyperparameters.
	#[serde(rename = "numbers")]
	pub hyperparameters: Hyperparameters,
	/// Hash of the rotary tables; of no bytes for an encoder.
	#[serde(with = "hex32")]
	pub rope_root: Hash32,
	/// Most tokens that the chat template adds to a prompt of one message.
	pub prompt_overhead: u32,
	/// Suggested sampling.
	pub defaults: Defaults,
	/// BLAKE3 of `config.json`.
	#[serde(with = "hex32")]
	pub config_root: Hash32,
	/// BLAKE3 of `tokenizer.json`.
	#[serde(with = "hex32")]
	pub tokenizer_root: Hash32,
	/// BLAKE3 of `chat_template.jinja`; of no bytes for an encoder, which has none.
	#[serde(with = "hex32")]
	pub template_root: Hash32,
	/// Every tensor, sorted by name.
	pub tensors: Vec<TensorEntry>,
	/// Where the model comes from.
	pub provenance: Provenance,
}

/// An answer recorded when the model was imported. A machine that does not reproduce it must not vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownAnswer {
	/// The prompt.
	pub prompt: String,
	/// Tokens to generate.
	pub max_tokens: u32,
	/// Temperature as Q16.16.
	pub temperature: u32,
	/// The sampling seed.
	#[serde(with = "hex32")]
	pub seed: Hash32,
	/// Hash over the output's hash and the trace root.
	#[serde(with = "hex32")]
	pub answer: Hash32,
}

/// `manifest.json`: the manifest, its id, and the known answer, which is not part of the id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
	/// The id of `manifest`.
	pub model_id: ModelId,
	/// What it hashes.
	pub manifest: Manifest,
	/// The known answer; absent only while a model is being imported.
	pub known_answer: Option<KnownAnswer>,
}

impl Manifest {
	/// Reads a directory's manifest and checks its form, its hyperparameters and its id.
	pub fn read(dir: &Path) -> Result<Self> {
		Ok(ManifestFile::read(dir)?.manifest)
	}

	/// Returns the BLAKE3 hash of the SCALE encoding.
	pub fn model_id(&self) -> ModelId {
		assay_primitives::manifest::model_id(&self.encode())
	}

	/// Returns the number of weights, without scales, zero points and tables.
	pub fn parameters(&self) -> u64 {
		let weights = |t: &TensorEntry| weights_of(&t.name, t.dtype == Dtype::U8, elements(t)).unwrap_or(u64::MAX);
		self.tensors.iter().map(weights).fold(0, u64::saturating_add)
	}

	/// Returns the size of all tensors in bytes.
	pub fn weight_bytes(&self) -> u64 {
		self.tensors
			.iter()
			.map(|t| elements(t).saturating_mul(t.dtype.size()))
			.fold(0, u64::saturating_add)
	}

	/// Returns how many tokens prompt and answer may have together.
	pub fn context_length(&self) -> u32 {
		self.hyperparameters.context_length()
	}

	/// Returns the formats of its matrices.
	pub fn formats(&self) -> Result<Formats> {
		Formats::read(&self.hyperparameters, &self.tensors)
	}

	/// Returns the family and the hyperparameters, as `config.json` has them.
	pub fn config(&self) -> Result<ModelConfig> {
		let architecture = Architecture::of(&self.architecture).ok_or_else(|| {
			Error::Manifest(format!(
				"architecture `{}` is unknown; this engine runs {}",
				self.architecture,
				Architecture::names()
			))
		})?;
		Ok(ModelConfig {
			architecture,
			hyperparameters: self.hyperparameters.clone(),
		})
	}

	/// Refuses a manifest whose parts do not fit together.
	pub fn check(&self) -> Result<()> {
		let refused = |reason: String| Err(Error::Manifest(reason));
		if self.schema != 1 {
			return refused(format!("schema {} is unknown; this engine reads 1", self.schema));
		}
		if self.profile != Profile::C2 {
			return refused(
				"its profile is not c2, which is all that this engine computes: import the model again".into(),
			);
		}
		if self.name.is_empty() || self.name.len() > 64 || self.name.chars().any(char::is_control) {
			return refused("`name` must have 1 to 64 bytes and no control characters".into());
		}
		if self.tensors.len() > MAX_TENSORS {
			return refused(format!("more than {MAX_TENSORS} tensors"));
		}
		self.config()?.check()?;
		let expected = layout(&self.hyperparameters, &self.formats()?);
		if self.tensors.len() != expected.len() {
			return Err(Error::Inconsistent(format!(
				"the manifest lists {} tensors, its hyperparameters need {}",
				self.tensors.len(),
				expected.len()
			)));
		}
		for (entry, spec) in self.tensors.iter().zip(&expected) {
			if (&entry.name, entry.dtype, &entry.shape) != (&spec.name, spec.dtype, &spec.shape) {
				return Err(Error::Inconsistent(format!(
					"the manifest has tensor `{}` {:?} {:?} where its hyperparameters need `{}` {:?} {:?}",
					entry.name, entry.dtype, entry.shape, spec.name, spec.dtype, spec.shape
				)));
			}
		}
		Ok(())
	}
}

impl ManifestFile {
	/// Adds its id to a manifest.
	pub fn new(manifest: Manifest, known_answer: Option<KnownAnswer>) -> Self {
		Self {
			model_id: manifest.model_id(),
			manifest,
			known_answer,
		}
	}

	/// Reads a directory's `manifest.json` and checks its form, its hyperparameters and its id.
	pub fn read(dir: &Path) -> Result<Self> {
		Self::parse(&files::read(&dir.join(files::MANIFEST), files::MAX_JSON_BYTES)?)
	}

	/// Reads a `manifest.json` and checks its form, its hyperparameters and its id.
	pub fn parse(bytes: &[u8]) -> Result<Self> {
		let file: Self = files::MANIFEST_LIMITS.parse(bytes).map_err(Error::Manifest)?;
		let id = file.manifest.model_id();
		if id != file.model_id {
			return Err(Error::Manifest(format!(
				"its model_id is {}, but its content hashes to {id}",
				file.model_id
			)));
		}
		if file.to_json()? != bytes {
			return Err(Error::Manifest(
				"it is not in the form that `assay model import` writes".into(),
			));
		}
		file.manifest.check()?;
		Ok(file)
	}

	/// Returns the only form of `manifest.json` that [`Self::parse`] accepts.
	pub fn to_json(&self) -> Result<Vec<u8>> {
		let mut json = serde_json::to_vec_pretty(self).map_err(|e| Error::Manifest(e.to_string()))?;
		json.push(b'\n');
		Ok(json)
	}
}

fn elements(tensor: &TensorEntry) -> u64 {
	tensor.shape.iter().fold(1, |n, dim| n.saturating_mul(*dim))
}
