//! The shapes of the models that are measured: real ones, small ones for quick runs, and the bundled demo model's.

use crate::entries::Bits;
use serde_json::{json, Value};

/// Token that random models never sample greedily: it ends an answer.
pub const EOS: u32 = 3;

/// The hyperparameters of a Llama.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
	/// What tables and model directories call it.
	pub name: &'static str,
	/// Layers.
	pub layers: usize,
	/// Width of the residual stream.
	pub hidden: usize,
	/// Width of the gated layer.
	pub intermediate: usize,
	/// Query heads.
	pub heads: usize,
	/// Key and value heads.
	pub kv_heads: usize,
	/// Length of one head.
	pub head_dim: usize,
	/// Rows of the embedding.
	pub vocabulary: usize,
	/// Most positions.
	pub context: usize,
	/// Whether the output layer is the embedding.
	pub tied: bool,
}

/// Shapes of which random models are made.
const SHAPES: [Shape; 5] = [
	// Qwen2.5 0.5B, without its biases so that all engines run it as a Llama.
	Shape {
		name: "0.5b",
		layers: 24,
		hidden: 896,
		intermediate: 4864,
		heads: 14,
		kv_heads: 2,
		head_dim: 64,
		vocabulary: 151_936,
		context: 2048,
		tied: true,
	},
	// TinyLlama 1.1B.
	Shape {
		name: "1.1b",
		layers: 22,
		hidden: 2048,
		intermediate: 5632,
		heads: 32,
		kv_heads: 4,
		head_dim: 64,
		vocabulary: 32_000,
		context: 2048,
		tied: false,
	},
	// Llama 3 8B.
	Shape {
		name: "8b",
		layers: 32,
		hidden: 4096,
		intermediate: 14_336,
		heads: 32,
		kv_heads: 8,
		head_dim: 128,
		vocabulary: 128_256,
		context: 8192,
		tied: false,
	},
	// For quick runs on the CPU.
	Shape {
		name: "small",
		layers: 4,
		hidden: 256,
		intermediate: 768,
		heads: 4,
		kv_heads: 2,
		head_dim: 64,
		vocabulary: 2048,
		context: 2048,
		tied: true,
	},
	// For quick runs on a GPU, or on its emulation.
	Shape {
		name: "tiny",
		layers: 2,
		hidden: 64,
		intermediate: 96,
		heads: 4,
		kv_heads: 2,
		head_dim: 16,
		vocabulary: 288,
		context: 256,
		tied: false,
	},
];

impl Shape {
	/// The shape of this name.
	pub fn named(name: &str) -> Option<Self> {
		SHAPES.into_iter().find(|shape| shape.name == name)
	}

	/// Whether the CPU makes and checks a few tokens in seconds, not in minutes.
	pub fn suits_cpu(&self) -> bool {
		self.weights() < 2_000_000_000
	}

	/// Reads the `config.json` of a canonical model directory.
	pub fn of_config(name: &'static str, config: &Value) -> Option<Self> {
		let number = |key: &str| config.get(key)?.as_u64().and_then(|v| usize::try_from(v).ok());
		let hidden = number("hidden_size")?;
		let heads = number("num_attention_heads")?;
		Some(Self {
			name,
			layers: number("num_hidden_layers")?,
			hidden,
			intermediate: number("intermediate_size")?,
			heads,
			kv_heads: number("num_key_value_heads")?,
			head_dim: number("head_dim").or(hidden.checked_div(heads))?,
			vocabulary: number("vocab_size")?,
			context: number("max_position_embeddings")?,
			tied: config.get("tie_word_embeddings")?.as_bool()?,
		})
	}

	/// `config.json` as Hugging Face writes it.
	pub fn config(&self) -> Value {
		json!({
			"architectures": ["LlamaForCausalLM"],
			"model_type": "llama",
			"hidden_act": "silu",
			"vocab_size": self.vocabulary,
			"hidden_size": self.hidden,
			"intermediate_size": self.intermediate,
			"num_hidden_layers": self.layers,
			"num_attention_heads": self.heads,
			"num_key_value_heads": self.kv_heads,
			"head_dim": self.head_dim,
			"max_position_embeddings": self.context,
			"rms_norm_eps": 1e-5,
			"rope_theta": 10000.0,
			"tie_word_embeddings": self.tied,
			"eos_token_id": EOS,
		})
	}

	/// Weights of the matrices of one layer.
	fn layer_weights(&self) -> usize {
		let q = self.heads * self.head_dim;
		let kv = self.kv_heads * self.head_dim;
		self.hidden * (2 * q + 2 * kv + 3 * self.intermediate)
	}

	/// Weights of all layers' matrices.
	pub fn layers_weights(&self) -> usize {
		self.layers * self.layer_weights()
	}

	/// Weights of the embedding, and of the output layer if that is another matrix.
	pub fn tables_weights(&self) -> usize {
		let tables = if self.tied { 1 } else { 2 };
		tables * self.vocabulary * self.hidden
	}

	/// Weights, all of them.
	pub fn weights(&self) -> usize {
		self.layers_weights() + self.tables_weights()
	}

	/// Multiplications of weights that one token of a prompt takes, the output layer left out: only a prompt's last token needs it.
	pub fn prompt_macs(&self) -> usize {
		self.layers_weights()
	}

	/// Multiplications of weights that one token of an answer takes.
	pub fn token_macs(&self) -> usize {
		self.prompt_macs() + self.vocabulary * self.hidden
	}

	/// Bytes that a step of one token for each of `batch` sequences at this depth has to read: every weight with its scale once for all of
	/// them, f16 keys and values of each.
	pub fn step_bytes(&self, depth: usize, batch: usize, bits: Bits) -> f64 {
		let weights = self.layers_weights() as f64 * bits.layers + (self.vocabulary * self.hidden) as f64 * bits.tables;
		weights / 8.0 + (batch * self.kv_bytes(depth)) as f64
	}

	/// Bytes of so many positions' keys and values.
	pub fn kv_bytes(&self, positions: usize) -> usize {
		self.layers * 2 * self.kv_heads * self.head_dim * positions * 2
	}

	/// Bytes that the trace hashes of so many tokens: the residual of all layers and the final norm, f32.
	pub fn trace_bytes(&self, tokens: usize) -> usize {
		(self.layers + 1) * self.hidden * tokens * 4
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn real_shapes_have_as_many_weights_as_their_names_say() {
		let weights = |name| Shape::named(name).map(|shape| shape.weights()).unwrap_or(0);
		// Without norms, which are no matrices.
		assert_eq!(weights("1.1b"), 1_099_956_224);
		assert_eq!(weights("8b"), 8_029_995_008);
		assert!(!Shape::named("8b").expect("a shape").suits_cpu());
	}

	#[test]
	fn a_step_reads_weights_once_and_each_sequence_s_keys_and_values() {
		let shape = Shape::named("8b").expect("a shape");
		let bits = Bits {
			layers: 4.5,
			tables: 8.5,
		};
		let bytes = |batch| shape.step_bytes(128, batch, bits) as usize;
		let (one, many) = (bytes(1), bytes(32));
		assert_eq!(many - one, 31 * shape.kv_bytes(128));
		// 128 KiB a position, as everywhere for this model.
		assert_eq!(shape.kv_bytes(1), 128 << 10);
		// All weights but the embedding.
		let weights = shape.layers_weights() / 16 * 9 + 128_256 * 4096 / 16 * 17;
		assert_eq!(one - shape.kv_bytes(128), weights);
		assert_eq!(shape.trace_bytes(2), 33 * 4096 * 2 * 4);
	}
}
