//! The canonical `config.json`.

use super::{Architecture, DecoderConfig, EncoderConfig, Hyperparameters, ModelConfig, RopeScaling};
use serde_json::{json, Value};
use std::collections::BTreeMap;

/// Fields in bytewise order, whatever order serde_json's own maps keep in this build.
type Sorted = BTreeMap<&'static str, Value>;

pub(super) fn json(config: &ModelConfig) -> Vec<u8> {
	let mut fields = match &config.hyperparameters {
		Hyperparameters::Decoder(n) => decoder(n, config.architecture),
		Hyperparameters::Encoder(n) => encoder(n),
	};
	let class = match config.architecture {
		Architecture::Llama => "LlamaForCausalLM",
		Architecture::Mistral => "MistralForCausalLM",
		Architecture::Qwen2 => "Qwen2ForCausalLM",
		Architecture::Qwen3 => "Qwen3ForCausalLM",
		Architecture::Bert => "BertModel",
	};
	fields.insert("architectures", json!([class]));
	fields.insert("model_type", json!(config.architecture.name()));
	// Nothing in it can fail to be written: strings for keys, and no float that isn't finite.
	let mut bytes = serde_json::to_vec_pretty(&fields).unwrap_or_default();
	bytes.push(b'\n');
	bytes
}

fn decoder(n: &DecoderConfig, family: Architecture) -> Sorted {
	let mut fields = Sorted::from([
		("hidden_act", json!("silu")),
		("vocab_size", json!(n.vocab_size)),
		("hidden_size", json!(n.hidden_size)),
		("intermediate_size", json!(n.intermediate_size)),
		("num_hidden_layers", json!(n.num_hidden_layers)),
		("num_attention_heads", json!(n.num_attention_heads)),
		("num_key_value_heads", json!(n.num_key_value_heads)),
		("head_dim", json!(n.head_dim)),
		("max_position_embeddings", json!(n.max_position_embeddings)),
		("rms_norm_eps", json!(n.rms_norm_eps)),
		("rope_theta", json!(n.rope_theta)),
		("rope_scaling", rope_scaling(&n.rope_scaling)),
		("tie_word_embeddings", json!(n.tie_word_embeddings)),
		("eos_token_id", json!(n.eos_token_ids)),
	]);
	match family {
		Architecture::Llama => {
			fields.insert("attention_bias", json!(n.attention_bias));
			fields.insert("mlp_bias", json!(n.mlp_bias));
		}
		Architecture::Mistral => {
			fields.insert("sliding_window", json!(n.sliding_window));
		}
		Architecture::Qwen2 | Architecture::Qwen3 => {
			fields.insert("use_sliding_window", json!(n.sliding_window.is_some()));
			fields.insert("sliding_window", json!(n.sliding_window));
			fields.insert("max_window_layers", json!(0));
			if family == Architecture::Qwen3 {
				fields.insert("attention_bias", json!(n.attention_bias));
			}
		}
		Architecture::Bert => {}
	}
	fields
}

fn rope_scaling(scaling: &RopeScaling) -> Value {
	let fields = match *scaling {
		RopeScaling::None => return Value::Null,
		RopeScaling::Linear { factor } => Sorted::from([("rope_type", json!("linear")), ("factor", json!(factor))]),
		RopeScaling::Llama3 {
			factor,
			low_freq_factor,
			high_freq_factor,
			original_max_position_embeddings,
		} => Sorted::from([
			("rope_type", json!("llama3")),
			("factor", json!(factor)),
			("low_freq_factor", json!(low_freq_factor)),
			("high_freq_factor", json!(high_freq_factor)),
			(
				"original_max_position_embeddings",
				json!(original_max_position_embeddings),
			),
		]),
		RopeScaling::Yarn {
			factor,
			original_max_position_embeddings,
			beta_fast,
			beta_slow,
			attention_factor,
			truncate,
		} => Sorted::from([
			("rope_type", json!("yarn")),
			("factor", json!(factor)),
			(
				"original_max_position_embeddings",
				json!(original_max_position_embeddings),
			),
			("beta_fast", json!(beta_fast)),
			("beta_slow", json!(beta_slow)),
			("attention_factor", json!(attention_factor)),
			("truncate", json!(truncate)),
		]),
	};
	json!(fields)
}

fn encoder(n: &EncoderConfig) -> Sorted {
	Sorted::from([
		("hidden_act", json!("gelu")),
		("position_embedding_type", json!("absolute")),
		("pooling_mode", json!("mean")),
		("vocab_size", json!(n.vocab_size)),
		("hidden_size", json!(n.hidden_size)),
		("intermediate_size", json!(n.intermediate_size)),
		("num_hidden_layers", json!(n.num_hidden_layers)),
		("num_attention_heads", json!(n.num_attention_heads)),
		("max_position_embeddings", json!(n.max_position_embeddings)),
		("type_vocab_size", json!(n.type_vocab_size)),
		("layer_norm_eps", json!(n.layer_norm_eps)),
		("max_seq_length", json!(n.max_seq_length)),
		("normalize", json!(n.normalize)),
	])
}
