//! The models that are measured: two random ones of real shapes, a small one for quick runs, and the bundled demo model.

use serde_json::{json, Value};

/// Token that random models never choose greedily: it ends an answer.
pub const EOS: u32 = 3;

/// The numbers of a Llama.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
	/// What tables and folders call it.
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
pub const RANDOM: [Shape; 3] = [
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
];

impl Shape {
	/// The random shape of this name.
	pub fn named(name: &str) -> Option<Self> {
		RANDOM.into_iter().find(|shape| shape.name == name)
	}

	/// Reads the numbers of a canonical folder's `config.json`.
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

	/// Weights, all of them.
	pub fn weights(&self) -> usize {
		let tables = if self.tied { 1 } else { 2 };
		self.layers * self.layer_weights() + tables * self.vocabulary * self.hidden
	}

	/// Multiplications of weights that one token of a prompt takes, the output layer left out: only a prompt's last token needs it.
	pub fn prompt_macs(&self) -> usize {
		self.layers * self.layer_weights()
	}

	/// Bytes that a token at this depth has to read: every weight with its scale once (8.5 bits), f16 keys and values.
	pub fn decode_bytes(&self, depth: usize) -> usize {
		let weights = self.layers * self.layer_weights() + self.vocabulary * self.hidden;
		weights + weights / 16 + self.layers * 2 * self.kv_heads * self.head_dim * depth * 2
	}
}
