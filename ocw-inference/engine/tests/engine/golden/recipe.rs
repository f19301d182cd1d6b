//! How a golden model is made: all that somebody needs to make it again (appendix C.1).

use super::{bits, models::options, operations::zero_points, text};
use crate::common::{config, noise, write_source_of, Tiny};
use assay_import::{import, record_known_answer, ImportOptions};
use assay_model_folder::{
	formats::Format,
	header::{Dtype, Header},
	manifest::{ManifestFile, TensorEntry},
};
use assay_numerics::format::Group;
use half::f16;
use serde_json::{json, Value};
use std::{collections::BTreeMap, fs, path::Path};
use tempfile::TempDir;

/// A model that anyone can make.
pub(crate) struct Recipe {
	/// Seed of the weights.
	pub(crate) seed: u64,
	/// `config.json` as it would be published.
	pub(crate) config: Value,
	/// The name of its tokenizer in `tokenizers.json`.
	pub(crate) tokenizer: &'static str,
	/// The chat template.
	pub(crate) template: &'static str,
	/// What is changed of the weights before they are quantized.
	pub(crate) changes: Vec<Change>,
	/// Matrices that are not `w8-32`.
	pub(crate) formats: Vec<(String, Format)>,
}

/// One value for some elements of a tensor: at these indices, or at all where there is none.
pub(crate) struct Change {
	tensor: String,
	at: Vec<Option<usize>>,
	value: f32,
}

pub(super) fn change(tensor: &str, at: &[Option<usize>], value: f32) -> Change {
	Change {
		tensor: tensor.into(),
		at: at.to_vec(),
		value,
	}
}

impl Recipe {
	/// The fixture's model: a tiny Llama with a byte-level tokenizer.
	pub(crate) fn tiny(seed: u64) -> Self {
		Self::of(seed, config(Tiny::default()))
	}

	/// A model with the fixture's tokenizer and template.
	pub(crate) fn of(seed: u64, config: Value) -> Self {
		Self {
			seed,
			config,
			tokenizer: "tiny",
			template: crate::common::TEMPLATE,
			changes: Vec::new(),
			formats: Vec::new(),
		}
	}

	/// Makes the model's directory.
	pub(crate) fn make(&self) -> TempDir {
		let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
		let tiny = Tiny {
			seed: self.seed,
			..Tiny::default()
		};
		write_source_of(source.path(), tiny, &self.config);
		fs::write(
			source.path().join("tokenizer.json"),
			text::tokenizer_file(self.tokenizer),
		)
		.unwrap();
		fs::write(source.path().join("chat_template.jinja"), self.template).unwrap();
		self.change(&source.path().join("model.safetensors"));
		let options = ImportOptions {
			// A model that fails has no known answer, and one that is not complete yet has it later.
			without_answer: !self.changes.is_empty() || !self.formats.is_empty(),
			..options()
		};
		import(source.path(), out.path(), &options).unwrap();
		if !self.formats.is_empty() {
			self.reformat(out.path());
			record_known_answer(out.path()).unwrap();
		}
		out
	}

	/// What an implementation needs to make it again.
	pub(crate) fn described(&self) -> Value {
		let change =
			|change: &Change| json!({ "tensor": change.tensor, "at": change.at, "value": bits(&[change.value]) });
		let formats: BTreeMap<_, _> = self
			.formats
			.iter()
			.map(|(name, format)| (name, format.to_string()))
			.collect();
		json!({
			"seed": self.seed, "tokenizer": self.tokenizer, "template": self.template, "formats": formats,
			"changes": self.changes.iter().map(change).collect::<Vec<_>>(),
		})
	}

	/// Changes a file of f32.
	fn change(&self, path: &Path) {
		let mut file = fs::read(path).unwrap();
		let header = Header::read(&mut &*file, file.len() as u64).unwrap();
		for Change { tensor, at, value } in &self.changes {
			let info = &header.tensors[tensor];
			let width = info.shape.last().copied().unwrap() as usize;
			let begin = (header.data_start + info.data_offsets.0) as usize;
			let end = (header.data_start + info.data_offsets.1) as usize;
			let elements = file[begin..end].chunks_exact_mut(4).enumerate().filter(|(i, _)| {
				let place = if at.len() == 2 {
					vec![i / width, i % width]
				} else {
					vec![*i]
				};
				at.iter().zip(place).all(|(at, i)| at.is_none_or(|at| at == i))
			});
			elements.for_each(|(_, element)| element.copy_from_slice(&value.to_le_bytes()));
		}
		fs::write(path, file).unwrap();
	}

	/// Gives matrices of an imported model their formats.
	fn reformat(&self, dir: &Path) {
		let path = dir.join("model.safetensors");
		let file = fs::read(&path).unwrap();
		let header = Header::read(&mut &*file, file.len() as u64).unwrap();
		let mut tensors: BTreeMap<String, (Dtype, Vec<u64>, Vec<u8>)> = BTreeMap::new();
		for (name, info) in &header.tensors {
			let (begin, end) = info.data_offsets;
			let bytes = &file[(header.data_start + begin) as usize..(header.data_start + end) as usize];
			tensors.insert(name.clone(), (info.dtype, info.shape.clone(), bytes.to_vec()));
		}
		for (name, format) in &self.formats {
			let shape = tensors.remove(name).unwrap().1;
			tensors.remove(&format!("{name}_scale")).unwrap();
			for spec in format.tensors(name, shape[0], shape[1]) {
				let bytes = self.bytes(name, *format, &spec.name, [shape[0] as usize, shape[1] as usize]);
				tensors.insert(spec.name, (spec.dtype, spec.shape, bytes));
			}
		}
		let entries = tensors
			.iter()
			.map(|(name, (dtype, shape, _))| (name.as_str(), *dtype, shape.as_slice()));
		let mut weights = Header::canonical(entries);
		tensors.values().for_each(|(.., bytes)| weights.extend(bytes));
		fs::write(&path, weights).unwrap();
		let mut manifest = serde_json::from_slice::<ManifestFile>(&fs::read(dir.join("manifest.json")).unwrap())
			.unwrap()
			.manifest;
		manifest.tensors = tensors
			.into_iter()
			.map(|(name, (dtype, shape, bytes))| TensorEntry {
				name,
				dtype,
				shape,
				root: *blake3::hash(&bytes).as_bytes(),
			})
			.collect();
		let file = ManifestFile::new(manifest, None);
		fs::write(dir.join("manifest.json"), file.to_json().unwrap()).unwrap();
	}

	/// The bytes of one tensor of a matrix: of 8 bits by §8.2, of 4 bits as they come.
	fn bytes(&self, matrix: &str, format: Format, tensor: &str, [rows, width]: [usize; 2]) -> Vec<u8> {
		let held = format.with_table([0; 16]);
		let floats = |name: &str, count, by: f32| -> Vec<f32> {
			noise(self.seed, name, count).into_iter().map(|v| by * v).collect()
		};
		let part = tensor.strip_prefix(matrix).unwrap();
		if let Format::W8(group) = format {
			let weights = floats(matrix, rows * width, 0.25);
			let groups = weights.chunks(width).flat_map(|row| row.chunks(Group::size(group)));
			let quantized = groups.map(quantized);
			return match part {
				"_scale" => quantized.flat_map(|(_, scale)| scale.to_le_bytes()).collect(),
				_ => quantized.flat_map(|(w, _)| w).map(|w| w as u8).collect(),
			};
		}
		match part {
			"_scale" => {
				let largest = if format == Format::W4 { 127.0 } else { 8.0 };
				let scales = floats(tensor, rows * held.groups(width), 0.5);
				scales
					.iter()
					.flat_map(|v| f16::from_f32(v / largest).to_le_bytes())
					.collect()
			}
			"_table" => seeded(self.seed, tensor, 16),
			"_zero" => zero_points(seeded(self.seed, tensor, rows * held.zero_bytes(width)), held, width),
			_ => seeded(self.seed, tensor, rows * held.weight_bytes(width)),
		}
	}
}

/// The rule of §8.2, for groups of any size.
fn quantized(group: &[f32]) -> (Vec<i8>, f16) {
	let scale = f16::from_f32(group.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0);
	let weight = |v: &f32| (v / scale.to_f32()).round_ties_even().clamp(-127.0, 127.0) as i8;
	(group.iter().map(weight).collect(), scale)
}

/// BLAKE3's stream over the seed and the name.
fn seeded(seed: u64, name: &str, bytes: usize) -> Vec<u8> {
	let mut out = vec![0u8; bytes];
	blake3::Hasher::new()
		.update(&seed.to_le_bytes())
		.update(name.as_bytes())
		.finalize_xof()
		.fill(&mut out);
	out
}
