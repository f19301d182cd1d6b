//! Which tensors a model has, by its hyperparameters: as they are published, and in the canonical weights.

use crate::{
	config::{DecoderConfig, EncoderConfig, Hyperparameters},
	formats::Formats,
	header::Dtype,
};
pub use assay_primitives::manifest::{SCALE_SUFFIX, TABLE_SUFFIX, ZERO_SUFFIX};

/// A tensor that the canonical weights must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
	/// Its name.
	pub name: String,
	/// Element type.
	pub dtype: Dtype,
	/// Dimensions, outermost first.
	pub shape: Vec<u64>,
}

/// A tensor of the architecture, as models are published.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSpec {
	/// Its name.
	pub name: String,
	/// Outputs or entries, for a matrix or table; none for a norm or bias.
	pub rows: Option<u64>,
	/// Inputs, or a norm's or bias's length.
	pub width: u64,
	/// Whether it becomes a matrix of one of the formats; otherwise it becomes f32.
	pub quantized: bool,
}

impl SourceSpec {
	fn matrix(name: String, rows: u64, width: u64) -> Self {
		Self {
			name,
			rows: Some(rows),
			width,
			quantized: true,
		}
	}

	fn table(name: &str, rows: u64, width: u64) -> Self {
		Self {
			quantized: false,
			..Self::matrix(name.into(), rows, width)
		}
	}

	fn vector(name: String, width: u64) -> Self {
		Self {
			name,
			rows: None,
			width,
			quantized: false,
		}
	}

	/// Returns the dimensions, outermost first.
	pub fn shape(&self) -> Vec<u64> {
		self.rows.into_iter().chain([self.width]).collect()
	}
}

/// Returns the tensors of a model with these hyperparameters, as published, sorted by name.
pub fn source_layout(hyperparameters: &Hyperparameters) -> Vec<SourceSpec> {
	let mut all = match hyperparameters {
		Hyperparameters::Decoder(config) => decoder_layout(config),
		Hyperparameters::Encoder(config) => encoder_layout(config),
	};
	all.sort_by(|a, b| a.name.cmp(&b.name));
	all
}

/// Returns whether a published file of such a model may have a tensor that is not needed: it follows from the others, or is
/// not used.
pub fn is_inert(hyperparameters: &Hyperparameters, name: &str) -> bool {
	match hyperparameters {
		Hyperparameters::Decoder(n) => {
			(n.tie_word_embeddings && name == "lm_head.weight") || name.ends_with(".rotary_emb.inv_freq")
		}
		// Heads that make no rows, and positions, which are 0, 1, 2 and so on.
		Hyperparameters::Encoder(_) => {
			name.starts_with("pooler.") || name.starts_with("cls.") || name == "embeddings.position_ids"
		}
	}
}

fn decoder_layout(config: &DecoderConfig) -> Vec<SourceSpec> {
	let [hidden, intermediate, q, kv, head, vocab] = [
		config.hidden_size,
		config.intermediate_size,
		config.q_width(),
		config.kv_width(),
		config.head_dim,
		config.vocab_size,
	]
	.map(u64::from);
	let DecoderConfig {
		attention_bias: qkv,
		output_bias,
		mlp_bias: mlp,
		..
	} = *config;
	let mut all = vec![
		SourceSpec::matrix("model.embed_tokens.weight".into(), vocab, hidden),
		SourceSpec::vector("model.norm.weight".into(), hidden),
	];
	if !config.tie_word_embeddings {
		all.push(SourceSpec::matrix("lm_head.weight".into(), vocab, hidden));
	}
	for layer in 0..config.num_hidden_layers {
		let name = |part: &str| format!("model.layers.{layer}.{part}");
		for norm in ["input_layernorm.weight", "post_attention_layernorm.weight"] {
			all.push(SourceSpec::vector(name(norm), hidden));
		}
		if config.qk_norm {
			for norm in ["self_attn.q_norm.weight", "self_attn.k_norm.weight"] {
				all.push(SourceSpec::vector(name(norm), head));
			}
		}
		for (part, rows, width, bias) in [
			("self_attn.q_proj", q, hidden, qkv),
			("self_attn.k_proj", kv, hidden, qkv),
			("self_attn.v_proj", kv, hidden, qkv),
			("self_attn.o_proj", hidden, q, output_bias),
			("mlp.gate_proj", intermediate, hidden, mlp),
			("mlp.up_proj", intermediate, hidden, mlp),
			("mlp.down_proj", hidden, intermediate, mlp),
		] {
			all.push(SourceSpec::matrix(name(&format!("{part}.weight")), rows, width));
			if bias {
				all.push(SourceSpec::vector(name(&format!("{part}.bias")), rows));
			}
		}
	}
	all
}

fn encoder_layout(config: &EncoderConfig) -> Vec<SourceSpec> {
	let [hidden, intermediate, vocab, positions, types] = [
		config.hidden_size,
		config.intermediate_size,
		config.vocab_size,
		config.max_position_embeddings,
		config.type_vocab_size,
	]
	.map(u64::from);
	let mut all = vec![
		SourceSpec::matrix("embeddings.word_embeddings.weight".into(), vocab, hidden),
		SourceSpec::table("embeddings.position_embeddings.weight", positions, hidden),
		SourceSpec::table("embeddings.token_type_embeddings.weight", types, hidden),
		SourceSpec::vector("embeddings.LayerNorm.weight".into(), hidden),
		SourceSpec::vector("embeddings.LayerNorm.bias".into(), hidden),
	];
	for layer in 0..config.num_hidden_layers {
		let name = |part: &str| format!("encoder.layer.{layer}.{part}");
		for (part, rows, width) in [
			("attention.self.query", hidden, hidden),
			("attention.self.key", hidden, hidden),
			("attention.self.value", hidden, hidden),
			("attention.output.dense", hidden, hidden),
			("intermediate.dense", intermediate, hidden),
			("output.dense", hidden, intermediate),
		] {
			all.push(SourceSpec::matrix(name(&format!("{part}.weight")), rows, width));
			all.push(SourceSpec::vector(name(&format!("{part}.bias")), rows));
		}
		for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
			all.push(SourceSpec::vector(name(&format!("{norm}.weight")), hidden));
			all.push(SourceSpec::vector(name(&format!("{norm}.bias")), hidden));
		}
	}
	all
}

/// Returns the canonical tensors of a model with these hyperparameters, whose matrices have these formats, sorted by name.
pub fn layout(hyperparameters: &Hyperparameters, formats: &Formats) -> Vec<TensorSpec> {
	let tensors_of = |spec: SourceSpec| match spec.rows {
		Some(rows) if spec.quantized => formats.of(&spec.name).tensors(&spec.name, rows, spec.width),
		_ => vec![TensorSpec {
			shape: spec.shape(),
			name: spec.name,
			dtype: Dtype::F32,
		}],
	};
	let mut all: Vec<_> = source_layout(hyperparameters)
		.into_iter()
		.flat_map(tensors_of)
		.collect();
	all.sort_by(|a, b| a.name.cmp(&b.name));
	all
}
