//! What the chain reads of a manifest: the SCALE encoding that a [`ModelId`] hashes (`docs/spec/c2.md`, §8.3).
//!
//! [`read`] walks the bytes once, under limits that are checked before anything is read, and keeps only the
//! [`ModelFacts`]. A manifest has one encoding: what is not in it is refused. Whether the tensors are those that the
//! hyperparameters need is not checked here but by every engine, which loads no other model.

use crate::{
	digest::derive,
	hash::{Hash32, ModelId},
	limits::{MAX_ARCHITECTURE_BYTES, MAX_MANIFEST_BYTES, MAX_MANIFEST_TENSORS, MAX_MODEL_NAME_BYTES},
	model::{ModelFacts, Profile},
};
use codec::{Compact, Decode};

const MODEL: &str = "assay/v1/model";
/// The version of the list of fields.
const SCHEMA: u32 = 1;
/// Longest name of a tensor, in bytes.
const MAX_TENSOR_NAME_BYTES: usize = 512;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 8;

/// Ends the name of the scales of a quantized matrix.
pub const SCALE_SUFFIX: &str = "_scale";
/// Ends the name of the zero points of a matrix whose format has them.
pub const ZERO_SUFFIX: &str = "_zero";
/// Ends the name of the table of a matrix whose weights are indices into one.
pub const TABLE_SUFFIX: &str = "_table";

/// Why bytes are not a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
	/// More bytes than [`MAX_MANIFEST_BYTES`].
	TooLong,
	/// The bytes end in the middle of a field, or a field has no such value or is not in its shortest form.
	Malformed,
	/// Bytes follow the last field.
	TrailingBytes,
	/// Another version of the list of fields.
	UnknownSchema,
	/// A numeric profile that this chain does not know.
	UnknownProfile,
	/// The name is not 1 to 64 bytes without control characters.
	BadName,
	/// The architecture is not 1 to 32 lower-case letters, digits, `-`, `_` or `.`.
	BadArchitecture,
	/// More tensors than [`MAX_MANIFEST_TENSORS`].
	TooManyTensors,
	/// A tensor has no name, one that is too long or has control characters, too many dimensions, or an element type
	/// that weights do not have.
	BadTensor,
	/// Tensors are not sorted by name, or the tokens that end an answer are not ascending, each once.
	Unsorted,
	/// Weights or bytes are more than 64 bits count.
	Overflow,
}

/// Returns the name of the model with this manifest, SCALE-encoded.
pub fn model_id(manifest: &[u8]) -> ModelId {
	ModelId(derive(MODEL, manifest))
}

/// Reads a manifest from its SCALE encoding. Returns the model's name and what the manifest proves of it.
pub fn read(manifest: &[u8]) -> Result<(ModelId, ModelFacts), ManifestError> {
	if manifest.len() > MAX_MANIFEST_BYTES as usize {
		return Err(ManifestError::TooLong);
	}
	let mut reader = Reader { rest: manifest };
	let facts = reader.manifest()?;
	if !reader.rest.is_empty() {
		return Err(ManifestError::TrailingBytes);
	}
	Ok((model_id(manifest), facts))
}

/// Returns how many weights a tensor of so many elements has, or none if 64 bits do not count them: what belongs to a
/// matrix beside its weights has none, and a byte of a matrix of `packed` weights has two.
pub fn weights_of(name: &str, packed: bool, elements: u64) -> Option<u64> {
	if [SCALE_SUFFIX, ZERO_SUFFIX, TABLE_SUFFIX]
		.iter()
		.any(|end| name.ends_with(end))
	{
		Some(0)
	} else if packed {
		elements.checked_mul(2)
	} else {
		Some(elements)
	}
}

/// Returns whether this is the name of an architecture.
fn is_architecture(text: &str) -> bool {
	let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
	!text.is_empty() && text.bytes().all(allowed)
}

/// What is left of the bytes.
struct Reader<'a> {
	rest: &'a [u8],
}

/// The sums over all tensors.
#[derive(Default)]
struct Sizes {
	parameters: u64,
	weight_bytes: u64,
}

impl<'a> Reader<'a> {
	fn get<T: Decode>(&mut self) -> Result<T, ManifestError> {
		T::decode(&mut self.rest).map_err(|_| ManifestError::Malformed)
	}

	/// Reads this many values of 32 bits.
	fn skip_words(&mut self, n: usize) -> Result<(), ManifestError> {
		for _ in 0..n {
			self.get::<u32>()?;
		}
		Ok(())
	}

	fn text(&mut self) -> Result<&'a str, ManifestError> {
		let Compact(length) = self.get::<Compact<u32>>()?;
		let (text, rest) = self
			.rest
			.split_at_checked(length as usize)
			.ok_or(ManifestError::Malformed)?;
		self.rest = rest;
		core::str::from_utf8(text).map_err(|_| ManifestError::Malformed)
	}

	fn manifest(&mut self) -> Result<ModelFacts, ManifestError> {
		if self.get::<u32>()? != SCHEMA {
			return Err(ManifestError::UnknownSchema);
		}
		let name = self.text()?;
		if name.is_empty() || name.len() > MAX_MODEL_NAME_BYTES as usize || name.chars().any(char::is_control) {
			return Err(ManifestError::BadName);
		}
		let profile = Profile::decode(&mut self.rest).map_err(|_| ManifestError::UnknownProfile)?;
		if profile != Profile::C2 {
			return Err(ManifestError::UnknownProfile);
		}
		let architecture = self.text()?;
		if !is_architecture(architecture) || architecture.len() > MAX_ARCHITECTURE_BYTES as usize {
			return Err(ManifestError::BadArchitecture);
		}
		let context_length = self.hyperparameters()?;
		self.get::<Hash32>()?; // rope_root
		let prompt_overhead = self.get()?;
		self.skip_words(4)?; // defaults
		self.get::<[Hash32; 3]>()?; // roots of configuration, tokenizer and template
		let sizes = self.tensors()?;
		let parent = self.provenance()?;
		Ok(ModelFacts {
			name: name
				.as_bytes()
				.to_vec()
				.try_into()
				.map_err(|_| ManifestError::BadName)?,
			architecture: architecture
				.as_bytes()
				.to_vec()
				.try_into()
				.map_err(|_| ManifestError::BadArchitecture)?,
			profile,
			parameters: sizes.parameters,
			weight_bytes: sizes.weight_bytes,
			context_length,
			prompt_overhead,
			parent,
		})
	}

	/// Reads the hyperparameters and returns the context length.
	fn hyperparameters(&mut self) -> Result<u32, ManifestError> {
		match self.get::<u8>()? {
			0 => self.decoder(),
			1 => self.encoder(),
			_ => Err(ManifestError::Malformed),
		}
	}

	fn decoder(&mut self) -> Result<u32, ManifestError> {
		self.skip_words(7)?; // vocabulary, widths, layers, heads
		let context_length = self.get()?;
		self.skip_words(2)?; // rms_norm_eps, rope_theta
		match self.get::<u8>()? {
			0 => (),
			1 => self.skip_words(1)?,
			2 => self.skip_words(4)?,
			3 => {
				self.skip_words(5)?;
				self.get::<bool>()?;
			}
			_ => return Err(ManifestError::Malformed),
		}
		self.get::<Option<u32>>()?; // sliding_window
		self.get::<[bool; 5]>()?; // biases, qk_norm, tie_word_embeddings
		let Compact(ends) = self.get::<Compact<u32>>()?;
		let mut last = None;
		for _ in 0..ends {
			let token = Some(self.get::<u32>()?);
			if last >= token {
				return Err(ManifestError::Unsorted);
			}
			last = token;
		}
		Ok(context_length)
	}

	fn encoder(&mut self) -> Result<u32, ManifestError> {
		self.skip_words(8)?; // vocabulary, widths, layers, heads, tables, layer_norm_eps
		let context_length = self.get()?;
		self.get::<bool>()?; // normalize
		Ok(context_length)
	}

	fn tensors(&mut self) -> Result<Sizes, ManifestError> {
		let Compact(count) = self.get::<Compact<u32>>()?;
		if count > MAX_MANIFEST_TENSORS {
			return Err(ManifestError::TooManyTensors);
		}
		let mut sizes = Sizes::default();
		// Every name is above this one: none is empty.
		let mut last = "";
		for _ in 0..count {
			let name = self.text()?;
			if name.is_empty() || name.len() > MAX_TENSOR_NAME_BYTES || name.chars().any(char::is_control) {
				return Err(ManifestError::BadTensor);
			}
			if name <= last {
				return Err(ManifestError::Unsorted);
			}
			last = name;
			self.tensor(name, &mut sizes)?;
		}
		Ok(sizes)
	}

	/// Reads what follows a tensor's name and adds its size.
	fn tensor(&mut self, name: &str, sizes: &mut Sizes) -> Result<(), ManifestError> {
		// I8, F16, F32 and U8, whose bytes are two weights each.
		let (element_bytes, packed): (u64, bool) = match self.get::<u8>()? {
			0 => (1, false),
			1 => (2, false),
			2 => (4, false),
			5 => (1, true),
			_ => return Err(ManifestError::BadTensor),
		};
		let Compact(dimensions) = self.get::<Compact<u32>>()?;
		if dimensions > MAX_DIMENSIONS {
			return Err(ManifestError::BadTensor);
		}
		let mut elements = 1u64;
		for _ in 0..dimensions {
			elements = elements.checked_mul(self.get()?).ok_or(ManifestError::Overflow)?;
		}
		self.get::<Hash32>()?; // root
		sizes.parameters = weights_of(name, packed, elements)
			.and_then(|weights| sizes.parameters.checked_add(weights))
			.ok_or(ManifestError::Overflow)?;
		let bytes = elements.checked_mul(element_bytes);
		sizes.weight_bytes = bytes
			.and_then(|bytes| sizes.weight_bytes.checked_add(bytes))
			.ok_or(ManifestError::Overflow)?;
		Ok(())
	}

	/// Reads where the model comes from, and returns its parent.
	fn provenance(&mut self) -> Result<Option<ModelId>, ManifestError> {
		self.text()?; // source
		self.text()?; // revision
		let Compact(files) = self.get::<Compact<u32>>()?;
		for _ in 0..files {
			self.text()?;
			self.get::<Hash32>()?;
		}
		self.text()?; // quantizer
		let parent = self.get()?;
		self.text()?; // license
		Ok(parent)
	}
}

/// Manifests for tests of the chain, made of nothing but their fields.
#[cfg(any(test, feature = "test-utils"))]
pub mod test_utils {
	use super::*;
	use alloc::{string::String, vec, vec::Vec};
	use codec::Encode;

	/// A tensor as a manifest lists it: name, element type, dimensions.
	pub type Tensor = (String, u8, Vec<u64>);

	/// The fields of a decoder's manifest that the chain reads.
	#[derive(Clone, Debug)]
	pub struct TestManifest {
		/// Schema.
		pub schema: u32,
		/// Name.
		pub name: String,
		/// Index of the profile.
		pub profile: u8,
		/// Architecture.
		pub architecture: String,
		/// Context length.
		pub context_length: u32,
		/// Prompt overhead.
		pub prompt_overhead: u32,
		/// Tokens that end an answer.
		pub ends: Vec<u32>,
		/// Tensors.
		pub tensors: Vec<Tensor>,
		/// Parent.
		pub parent: Option<ModelId>,
	}

	impl TestManifest {
		/// Returns a model of one matrix with a million weights.
		pub fn new(name: &str) -> Self {
			Self {
				schema: SCHEMA,
				name: name.into(),
				profile: 2,
				architecture: "llama".into(),
				context_length: 256,
				prompt_overhead: 16,
				ends: vec![2],
				tensors: vec![
					("model.weight".into(), 0, vec![1_000, 1_000]),
					("model.weight_scale".into(), 1, vec![1_000, 32]),
				],
				parent: None,
			}
		}

		/// Returns the SCALE encoding.
		pub fn encode(&self) -> Vec<u8> {
			let head = (self.schema, &self.name, self.profile, &self.architecture);
			let decoder = (
				0u8,
				[1u32; 7],
				self.context_length,
				[0u32; 2],
				0u8,
				None::<u32>,
				[false; 5],
				&self.ends,
			);
			let roots = ([0u8; 32], self.prompt_overhead, [0u32; 4], [[0u8; 32]; 3]);
			let tensors: Vec<_> = self
				.tensors
				.iter()
				.map(|(name, dtype, shape)| (name, dtype, shape, [7u8; 32]))
				.collect();
			let upstream = vec![("model.safetensors", [8u8; 32])];
			let provenance = ("source", "revision", upstream, "quantizer", self.parent, "Apache-2.0");
			(head, decoder, roots, tensors, provenance).encode()
		}
	}
}

#[cfg(test)]
mod tests;
