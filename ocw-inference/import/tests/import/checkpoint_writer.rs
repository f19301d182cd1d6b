//! Writes checkpoints as AutoAWQ and AutoGPTQ pack them, by their own loops: column after column, an output or an input at
//! a time. Test-only, so it trusts its callers.

use assay_model_folder::{config::ModelConfig, files, header::Dtype, layout::source_layout};
use assay_test_fixtures::{config, noise, write_source_of, Tiny};
use half::{bf16, f16};
use serde_json::{json, Value};
use std::{collections::BTreeMap, fs, path::Path};

/// Whose packing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
	Awq,
	Gptq,
	GptqV2,
}

/// A tensor of a safetensors file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
	pub(crate) dtype: &'static str,
	pub(crate) shape: Vec<u64>,
	pub(crate) bytes: Vec<u8>,
}

/// A checkpoint in the making.
#[derive(Clone)]
pub(crate) struct Checkpoint {
	pub(crate) config: Value,
	pub(crate) tensors: BTreeMap<String, Tensor>,
	/// What each packed matrix's weights stand for, output by output.
	pub(crate) values: BTreeMap<String, Vec<f32>>,
}

impl Tensor {
	pub(crate) fn words(shape: &[usize], words: &[u32]) -> Self {
		Self {
			dtype: "I32",
			shape: shape.iter().map(|dim| *dim as u64).collect(),
			bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
		}
	}

	/// Floats of one of the three types.
	pub(crate) fn floats(dtype: Dtype, shape: &[u64], values: &[f32]) -> Self {
		let (dtype, bytes) = match dtype {
			Dtype::F16 => (
				"F16",
				values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
			),
			Dtype::BF16 => (
				"BF16",
				values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
			),
			_ => ("F32", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
		};
		Self {
			dtype,
			shape: shape.to_vec(),
			bytes,
		}
	}
}

/// A matrix [n, k] of four bits.
struct Matrix {
	n: usize,
	k: usize,
	group: usize,
	weights: Vec<u8>,
	zeros: Vec<u8>,
	scales: Vec<f16>,
}

impl Matrix {
	fn random(name: &str, n: usize, k: usize, group: usize, symmetric: bool) -> Self {
		let groups = k.div_ceil(group);
		let four = |what: &str, count| {
			let numbers = noise(7, &format!("{name}/{what}"), count);
			numbers.into_iter().map(|v| ((v + 1.0) * 8.0) as u8).collect::<Vec<_>>()
		};
		let zeros = if symmetric {
			vec![8; n * groups]
		} else {
			// 1 to 15: those of AutoGPTQ are written less one.
			four("zeros", n * groups).into_iter().map(|z| z.max(1)).collect()
		};
		let scales = noise(7, &format!("{name}/scales"), n * groups);
		Self {
			n,
			k,
			group,
			weights: four("weights", n * k),
			zeros,
			scales: scales.into_iter().map(|v| f16::from_f32(0.02 + 0.01 * v)).collect(),
		}
	}

	fn groups(&self) -> usize {
		self.k.div_ceil(self.group)
	}

	fn values(&self) -> Vec<f32> {
		let mut values = Vec::new();
		for n in 0..self.n {
			for k in 0..self.k {
				let at = n * self.groups() + k / self.group;
				let integer = i32::from(self.weights[n * self.k + k]) - i32::from(self.zeros[at]);
				values.push(self.scales[at].to_f32() * integer as f32);
			}
		}
		values
	}

	/// Packs `[rows, columns]` numbers, eight columns to an integer; the i-th lowest four bits are column `order[i]`.
	fn columns(rows: usize, columns: usize, order: [usize; 8], number: impl Fn(usize, usize) -> u8) -> Tensor {
		let mut words = vec![0u32; rows * columns / 8];
		for row in 0..rows {
			for column in 0..columns / 8 {
				for (i, place) in order.into_iter().enumerate() {
					words[row * columns / 8 + column] |= u32::from(number(row, column * 8 + place)) << (4 * i);
				}
			}
		}
		Tensor::words(&[rows, columns / 8], &words)
	}

	fn write(&self, method: Method, matrix: &str, into: &mut BTreeMap<String, Tensor>) {
		let (n, k, groups) = (self.n, self.k, self.groups());
		let weight = |k: usize, n: usize| self.weights[n * self.k + k];
		let zero = |g: usize, n: usize| self.zeros[n * groups + g];
		let plain = [0, 1, 2, 3, 4, 5, 6, 7];
		let (qweight, qzeros) = match method {
			Method::Awq => {
				let order = [0, 2, 4, 6, 1, 3, 5, 7];
				(
					Self::columns(k, n, order, weight),
					Self::columns(groups, n, order, zero),
				)
			}
			Method::Gptq | Method::GptqV2 => {
				let mut words = vec![0u32; k / 8 * n];
				for (i, word) in words.iter_mut().enumerate() {
					for j in 0..8 {
						*word |= u32::from(weight(i / n * 8 + j, i % n)) << (4 * j);
					}
				}
				let less = u8::from(method == Method::Gptq);
				let zeros = Self::columns(groups, n, plain, |g, n| zero(g, n) - less);
				(Tensor::words(&[k / 8, n], &words), zeros)
			}
		};
		let mut scales = Vec::new();
		for g in 0..groups {
			scales.extend((0..n).map(|n| self.scales[n * groups + g].to_f32()));
		}
		let scales = Tensor::floats(Dtype::F16, &[groups as u64, n as u64], &scales);
		let mut put = |end: &str, tensor| into.insert(matrix.replace("weight", end), tensor);
		put("qweight", qweight);
		put("qzeros", qzeros);
		put("scales", scales);
		if method != Method::Awq {
			let order: Vec<u32> = (0..k).map(|k| (k / self.group) as u32).collect();
			put("g_idx", Tensor::words(&[k], &order));
		}
	}
}

impl Checkpoint {
	/// The tiny model with the matrices of its layers packed. `more` changes its configuration.
	pub(crate) fn new(method: Method, group: usize, more: Value) -> Self {
		let mut config = config(Tiny::default());
		config["quantization_config"] = match method {
			Method::Awq => {
				json!({ "quant_method": "awq", "bits": 4, "group_size": group, "zero_point": true, "version": "gemm",
					"modules_to_not_convert": null })
			}
			_ => {
				let format = if method == Method::Gptq { "gptq" } else { "gptq_v2" };
				json!({ "quant_method": "gptq", "bits": 4, "group_size": group, "desc_act": false, "sym": false,
					"checkpoint_format": format, "damp_percent": 0.01, "static_groups": false, "true_sequential": true,
					"model_name_or_path": null, "model_file_base_name": null })
			}
		};
		for (key, value) in more.as_object().unwrap() {
			config[key] = value.clone();
		}
		let mut floats = config.clone();
		floats.as_object_mut().unwrap().remove("quantization_config");
		let numbers = ModelConfig::parse(floats.to_string().as_bytes())
			.unwrap()
			.hyperparameters;
		let (mut tensors, mut values) = (BTreeMap::new(), BTreeMap::new());
		for spec in source_layout(&numbers) {
			if spec.name.contains("_proj.weight") {
				let (n, k) = (spec.rows.unwrap() as usize, spec.width as usize);
				let symmetric = spec.name.contains("down");
				let matrix = Matrix::random(&spec.name, n, k, group, symmetric);
				matrix.write(method, &spec.name, &mut tensors);
				values.insert(spec.name, matrix.values());
			} else {
				let floats = assay_test_fixtures::values(Tiny::default(), &spec);
				let tensor = Tensor::floats(Dtype::F16, &spec.shape(), &floats);
				tensors.insert(spec.name, tensor);
			}
		}
		Self {
			config,
			tensors,
			values,
		}
	}

	/// Changes the quantization_config.
	pub(crate) fn with(mut self, more: Value) -> Self {
		for (key, value) in more.as_object().unwrap() {
			self.config["quantization_config"][key] = value.clone();
		}
		self
	}

	/// Writes the directory, with all weights in one file.
	pub(crate) fn write(&self, dir: &Path) {
		self.write_shards(dir, 1);
	}

	/// Writes the directory, with the tensors dealt out to so many files.
	pub(crate) fn write_shards(&self, dir: &Path, count: usize) {
		fs::remove_dir_all(dir).ok();
		write_source_of(dir, Tiny::default(), &config(Tiny::default()));
		fs::write(dir.join(files::CONFIG), self.config.to_string()).unwrap();
		fs::remove_file(dir.join(files::WEIGHTS)).unwrap();
		let mut map = serde_json::Map::new();
		for part in 0..count {
			let name = match count {
				1 => files::WEIGHTS.to_owned(),
				_ => format!("model-{part}.safetensors"),
			};
			let mine: Vec<_> = self.tensors.iter().skip(part).step_by(count).collect();
			for (tensor, _) in &mine {
				map.insert((*tensor).clone(), json!(name));
			}
			fs::write(dir.join(name), safetensors(&mine)).unwrap();
		}
		if count > 1 {
			let index = json!({ "metadata": {}, "weight_map": map });
			fs::write(dir.join("model.safetensors.index.json"), index.to_string()).unwrap();
		}
	}
}

/// Returns a safetensors file.
fn safetensors(tensors: &[(&String, &Tensor)]) -> Vec<u8> {
	let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
	for (name, tensor) in tensors {
		let begin = data.len();
		data.extend(&tensor.bytes);
		let entry = json!({ "dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, data.len()] });
		header.insert((*name).clone(), entry);
	}
	let header = Value::Object(header).to_string().into_bytes();
	[(header.len() as u64).to_le_bytes().to_vec(), header, data].concat()
}
