//! Random models: canonical model directories in any format, whose weights are the same numbers in all formats of one width.
//!
//! All groups of a row have the same scale, and zero points are the middle. So a row's weights do not depend on the size of groups, and
//! a file of a peer with a scale a block, a scale a group or a scale a row holds the same weights as ours. Values come from the tensor's
//! name alone.

use crate::shapes::{Shape, EOS};
use anyhow::{Context, Result};
use assay_model_folder::{
	config::ModelConfig,
	files,
	formats::{Format, Formats},
	header::{byte_size, Dtype, Header},
	layout::{layout, source_layout, TensorSpec, SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX},
	manifest::{Defaults, Manifest, ManifestFile, Provenance, TensorEntry},
	prompt::prompt_overhead,
	template::Template,
	tokenizer::Tokenizer,
};
use assay_numerics::format::MatrixFormat;
use assay_primitives::{model::Profile, ModelId};
use half::f16;
use serde_json::{json, Map, Value};
use std::{
	collections::HashMap,
	fs::{self, File},
	io::{BufWriter, Write},
	path::Path,
};

/// Changes when the same shape would get other weights or another tokenizer.
pub const VERSION: u32 = 2;
/// A chat template.
pub const TEMPLATE: &str =
	"<|bos|>{%- for message in messages -%}<|user|>{{ message['content'] }}<|end|>{%- endfor -%}<|assistant|>";
/// The table of our 4-bit weights: Q4_0's.
pub const TABLE: [i8; 16] = [-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7];

/// Writes a canonical model directory; `progress` gets how many of how many bytes are made. It has no known answer, so no node serves it.
pub fn write_dir(shape: &Shape, format: Format, dir: &Path, mut progress: impl FnMut(usize, usize)) -> Result<ModelId> {
	fs::create_dir_all(dir)?;
	let ModelConfig {
		architecture,
		hyperparameters,
	} = ModelConfig::parse(shape.config().to_string().as_bytes())?;
	let (mut formats, mut matrices) = (Formats::default(), HashMap::new());
	for spec in source_layout(&hyperparameters) {
		if spec.quantized {
			let format = if is_table(&spec.name) {
				Format::default()
			} else {
				format
			};
			let matrix = Matrix {
				width: spec.width as usize,
				format: format.with_table(TABLE),
			};
			matrices.insert(spec.name.clone(), matrix);
			formats.insert(spec.name, format);
		}
	}
	let specs = layout(&hyperparameters, &formats);
	let tensors = write_tensors(&dir.join(files::WEIGHTS), specs, &matrices, &mut progress)?;
	let tokenizer_json = tokenizer().to_string();
	let rope = hyperparameters.rope_tables();
	let config = ModelConfig {
		architecture,
		hyperparameters: hyperparameters.clone(),
	};
	let config = config.to_json();
	let manifest = Manifest {
		schema: 1,
		name: format!("random-{}-{format}", shape.name),
		profile: Profile::C2,
		architecture: architecture.name().into(),
		rope_root: rope.root(),
		prompt_overhead: prompt_overhead(
			&Template::parse(TEMPLATE.as_bytes())?,
			&Tokenizer::parse(tokenizer_json.as_bytes())?,
			&hyperparameters,
		)?,
		defaults: Defaults::default(),
		config_root: files::root(&config),
		tokenizer_root: files::root(tokenizer_json.as_bytes()),
		template_root: files::root(TEMPLATE.as_bytes()),
		tensors,
		provenance: Provenance {
			source: "random numbers".into(),
			license: "CC0-1.0".into(),
			..Provenance::default()
		},
		hyperparameters,
	};
	manifest.check()?;
	let file = ManifestFile::new(manifest, None);
	fs::write(dir.join(files::CONFIG), config)?;
	fs::write(dir.join(files::TOKENIZER), tokenizer_json)?;
	fs::write(dir.join(files::TEMPLATE), TEMPLATE)?;
	fs::write(dir.join(files::MANIFEST), file.to_json()?)?;
	Ok(file.model_id)
}

/// Writes the tensors one after another. Returns their entries of the manifest.
fn write_tensors(
	path: &Path,
	specs: Vec<TensorSpec>,
	matrices: &HashMap<String, Matrix>,
	progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<TensorEntry>> {
	let size = |spec: &TensorSpec| byte_size(spec.dtype, &spec.shape).unwrap_or(0) as usize;
	let (mut done, all) = (0, specs.iter().map(size).sum());
	let mut file = BufWriter::with_capacity(1 << 20, File::create(path).with_context(|| path.display().to_string())?);
	let listed = specs.iter();
	file.write_all(&Header::canonical(
		listed.map(|spec| (spec.name.as_str(), spec.dtype, spec.shape.as_slice())),
	))?;
	let mut entries = Vec::new();
	for spec in specs {
		let ends = [SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX];
		let matrix = ends
			.iter()
			.find_map(|end| spec.name.strip_suffix(end))
			.unwrap_or(&spec.name);
		let bytes = match matrices.get(matrix) {
			None => 1f32.to_le_bytes().repeat(size(&spec) / 4),
			Some(format) => tensor(&spec, size(&spec), matrix, format),
		};
		file.write_all(&bytes)?;
		done += bytes.len();
		progress(done, all);
		entries.push(TensorEntry {
			root: files::root(&bytes),
			name: spec.name,
			dtype: spec.dtype,
			shape: spec.shape,
		});
	}
	file.flush()?;
	Ok(entries)
}

/// A matrix of the model.
struct Matrix {
	width: usize,
	format: MatrixFormat,
}

/// Whether a matrix has a row for each token.
fn is_table(matrix: &str) -> bool {
	matches!(matrix, "lm_head.weight" | "model.embed_tokens.weight")
}

/// The bytes of one tensor of a matrix. The row of the token that ends an answer is zero in embedding and output layer, so that greedy
/// answers do not end early.
fn tensor(spec: &TensorSpec, size: usize, name: &str, matrix: &Matrix) -> Vec<u8> {
	let Matrix { width, format } = *matrix;
	let groups = format.groups(width);
	if spec.name.ends_with(SCALE_SUFFIX) {
		return scales(name, size / 2, groups, unit(matrix));
	}
	if spec.name.ends_with(TABLE_SUFFIX) {
		return TABLE.map(|v| v as u8).into();
	}
	if spec.name.ends_with(ZERO_SUFFIX) {
		let mut row = vec![0x88; groups.div_ceil(2)];
		if let (1, Some(last)) = (groups % 2, row.last_mut()) {
			*last = 0x08;
		}
		return row.repeat(size / row.len().max(1));
	}
	let mut random = Random::named(name);
	if spec.dtype == Dtype::U8 {
		// Two a byte, without -8, so that the mean is 0.
		return random.bytes(size, |byte| {
			let low = if byte & 0x0f == 0 { 0x08 } else { byte & 0x0f };
			let high = if byte & 0xf0 == 0 { 0x80 } else { byte & 0xf0 };
			low | high
		});
	}
	let mut bytes = random.bytes(size, |byte| if byte == 0x80 { 0 } else { byte });
	if let (true, Some(end)) = (is_table(name), bytes.chunks_exact_mut(width).nth(EOS as usize)) {
		end.fill(0);
	}
	bytes
}

/// The scale with which a matrix's results deviate by as much as its operand: a power of two.
fn unit(matrix: &Matrix) -> f32 {
	let deviation = match matrix.format {
		MatrixFormat::W8 { .. } => 73.0,
		MatrixFormat::W4 { .. } | MatrixFormat::W4z { .. } => 4.2,
	};
	2f32.powi((1.0 / (deviation * (matrix.width as f32).sqrt())).log2().round() as i32)
}

/// The scales of a matrix: one a row, repeated for each of its groups.
fn scales(matrix: &str, count: usize, groups: usize, unit: f32) -> Vec<u8> {
	let mut random = Random::named(&format!("{matrix} scales"));
	let mut bytes = Vec::with_capacity(2 * count);
	for _ in 0..count / groups.max(1) {
		let mantissa = (8 + random.next() % 8) as f32 / 16.0;
		bytes.extend(f16::from_f32(unit * mantissa).to_le_bytes().repeat(groups));
	}
	bytes
}

/// SplitMix64: statistics don't matter here, reproducibility does.
struct Random(u64);

impl Random {
	fn named(name: &str) -> Self {
		let hash = blake3::hash(format!("assay bench {VERSION} {name}").as_bytes());
		let seed = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
		Self(u64::from_le_bytes(seed))
	}

	fn next(&mut self) -> u64 {
		self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
		let mut z = self.0;
		z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
		z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
		z ^ (z >> 31)
	}

	/// So many bytes, of which each is passed through a function.
	fn bytes(&mut self, count: usize, map: impl Fn(u8) -> u8) -> Vec<u8> {
		let mut bytes = Vec::with_capacity(count.next_multiple_of(8));
		while bytes.len() < count {
			bytes.extend(self.next().to_le_bytes().map(&map));
		}
		bytes.truncate(count);
		bytes
	}
}

/// A tokenizer of the 256 bytes and four special tokens: a prompt has as many tokens as bytes, and four.
pub fn tokenizer() -> Value {
	let special = ["<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"];
	let added: Vec<Value> = special
		.iter()
		.enumerate()
		.map(|(id, content)| {
			json!({
				"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
				"normalized": false, "special": true,
			})
		})
		.collect();
	let mut vocabulary: Map<String, Value> = Map::new();
	for (id, token) in special.iter().enumerate() {
		vocabulary.insert((*token).into(), id.into());
	}
	for byte in 0..=255u8 {
		vocabulary.insert(
			byte_letter(byte).to_string(),
			(special.len() + usize::from(byte)).into(),
		);
	}
	let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
	json!({
		"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
		"pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
		"model": {
			"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
			"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
			"vocab": vocabulary, "merges": [],
		},
	})
}

/// The printable letter that byte-level BPE writes a byte as.
fn byte_letter(byte: u8) -> char {
	let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
	if printable(byte) {
		return char::from(byte);
	}
	let before = (0..byte).filter(|b| !printable(*b)).count() as u32;
	char::from_u32(256 + before).unwrap_or_default()
}
