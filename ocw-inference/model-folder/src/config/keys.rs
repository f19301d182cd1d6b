//! Which keys a published JSON file may have: what is read, and what is known to change nothing. Every other key is
//! refused by name, because it may be there for something that the reader does not do.
//!
//! The lists are those of transformers' own configuration classes: `PretrainedConfig` of its versions 4.30 to 5.24,
//! `GenerationConfig`, and the classes of the families. What a family's modeling code does not read has no effect.

use super::{fields::shown, Architecture};
use serde_json::{Map, Value};

/// What a reader knows of a file's keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keys {
	/// Keys that are read.
	pub read: &'static [&'static str],
	/// Keys that change nothing, whatever their value.
	pub inert: &'static [&'static str],
	/// Keys that change nothing if they are null or have this value, written as JSON; any other value is refused.
	pub neutral: &'static [(&'static str, &'static str)],
}

impl Keys {
	/// Refuses a key that is in none of these lists, and a neutral one with another value. The error is a reason for
	/// people, with the next step; `file` is its name, and `at` what stands before a key in it.
	pub fn check(lists: &[Self], map: &Map<String, Value>, file: &str, at: &str) -> Result<(), String> {
		for (key, value) in map {
			let named = |keys: &[&str]| keys.contains(&key.as_str());
			if lists.iter().any(|keys| named(keys.read) || named(keys.inert)) {
				continue;
			}
			let mut neutral = lists.iter().flat_map(|keys| keys.neutral);
			match neutral.find(|(name, _)| name == key) {
				Some((_, only)) if value.is_null() || is_json(value, only) => {}
				Some((_, only)) => return Err(not_neutral(at, key, value, only)),
				None => {
					return Err(format!(
						"`{at}{key}` is not a known key: it may change what the model computes. If it is misspelt, correct \
						 it; if you know that it changes nothing, remove it from {file}; then import again (docs/models.md \
						 lists the known keys)"
					))
				}
			}
		}
		Ok(())
	}
}

fn not_neutral(at: &str, key: &str, value: &Value, only: &str) -> String {
	let next = match key {
		"auto_map" => {
			"the model brings its own code. If transformers computes it without `trust_remote_code`, remove the key and \
			 import again"
		}
		_ => "if that changes nothing in this model, remove the key and import again; otherwise take another model",
	};
	format!("`{at}{key}` is {}; c2 knows only {only}: {next}", shown(value))
}

/// Returns whether a value is this JSON; numbers are compared as numbers.
fn is_json(value: &Value, json: &str) -> bool {
	serde_json::from_str::<Value>(json)
		.is_ok_and(|only| *value == only || (only.is_number() && value.as_f64() == only.as_f64()))
}

/// Returns what is known of a family's `config.json`.
pub fn of_family(family: Architecture) -> [Keys; 3] {
	let own = match family {
		Architecture::Bert => ENCODER,
		_ => DECODER,
	};
	[COMMON, own, GENERATION]
}

/// Keys of every family's `config.json`.
pub const COMMON: Keys = Keys {
	read: &[
		"model_type",
		"architectures",
		"hidden_act",
		"vocab_size",
		"hidden_size",
		"intermediate_size",
		"num_hidden_layers",
		"num_attention_heads",
		"max_position_embeddings",
	],
	inert: &[
		"_name_or_path",
		"name_or_path",
		"_commit_hash",
		"transformers_version",
		"transformers.js_config",
		"unsloth_fixed",
		"unsloth_version",
		"torch_dtype",
		"dtype",
		"use_bfloat16",
		"torchscript",
		"tf_legacy_loss",
		"xla_device",
		"gradient_checkpointing",
		"chunk_size_feed_forward",
		"attn_implementation",
		"_attn_implementation",
		"_attn_implementation_autoset",
		"_attn_implementation_internal",
		"_experts_implementation_internal",
		"_flash_attn_2_enabled",
		"_output_attentions",
		"output_past",
		"return_dict",
		"initializer_range",
		"attention_dropout",
		"classifier_dropout",
		"finetuning_task",
		"task_specific_params",
		"problem_type",
		"num_labels",
		"id2label",
		"label2id",
		"tokenizer_class",
		"model_max_length",
		"sep_token_id",
		"cls_token_id",
		"mask_token_id",
		"unk_token_id",
	],
	neutral: &[
		("is_decoder", "false"),
		("is_encoder_decoder", "false"),
		("add_cross_attention", "false"),
		("cross_attention_hidden_size", "false"),
		("tie_encoder_decoder", "false"),
		("pruned_heads", "{}"),
		("prefix", "\"\""),
		("auto_map", "false"),
		("quantization_config", "false"),
		("text_config", "false"),
		("vision_config", "false"),
		("audio_config", "false"),
		("per_layer_config", "{}"),
		("alibi", "false"),
		("clip_qkv", "false"),
		("use_qk_norm", "false"),
		("logit_scale", "false"),
	],
};

/// Further keys of the decoders.
pub const DECODER: Keys = Keys {
	read: &[
		"num_key_value_heads",
		"head_dim",
		"rms_norm_eps",
		"rope_theta",
		"rope_scaling",
		"rope_parameters",
		"partial_rotary_factor",
		"original_max_position_embeddings",
		"layer_types",
		"sliding_window",
		"use_sliding_window",
		"max_window_layers",
		"attention_bias",
		"mlp_bias",
		"tie_word_embeddings",
		"eos_token_id",
	],
	inert: &[
		"attn_pdrop",
		"embd_pdrop",
		"resid_pdrop",
		"hidden_dropout",
		"is_llama_config",
		"max_sequence_length",
		"neftune_noise_alpha",
	],
	neutral: &[
		("pretraining_tp", "1"),
		("attention_chunk_size", "false"),
		("attention_multiplier", "false"),
		("attn_logit_softcapping", "false"),
		("embedding_multiplier", "false"),
		("final_logit_softcapping", "false"),
		("logits_scaling", "false"),
		("moe_intermediate_size", "false"),
		("no_rope_layers", "false"),
		("num_experts", "false"),
		("num_experts_per_tok", "false"),
		("num_local_experts", "false"),
		("query_pre_attn_scalar", "false"),
		("residual_multiplier", "false"),
		("rope_interleaved", "false"),
		("use_mrope", "false"),
		("use_parallel_residual", "false"),
	],
};

/// Further keys of the encoders. `pooling_mode`, `max_seq_length` and `normalize` are Assay's own.
pub const ENCODER: Keys = Keys {
	read: &[
		"type_vocab_size",
		"layer_norm_eps",
		"position_embedding_type",
		"pooling_mode",
		"max_seq_length",
		"normalize",
	],
	inert: &[
		"attention_probs_dropout_prob",
		"hidden_dropout_prob",
		"directionality",
		"pooler_fc_size",
		"pooler_num_attention_heads",
		"pooler_num_fc_layers",
		"pooler_size_per_head",
		"pooler_type",
		"tie_word_embeddings",
		"eos_token_id",
	],
	neutral: &[],
};

/// Keys of `generation_config.json`, which old versions of transformers wrote into `config.json`. The sampling that
/// they suggest is the caller's to choose; what would choose among fewer tokens, or search, is refused.
pub const GENERATION: Keys = Keys {
	read: &[],
	inert: &[
		"do_sample",
		"temperature",
		"top_k",
		"top_p",
		"min_p",
		"top_h",
		"typical_p",
		"epsilon_cutoff",
		"eta_cutoff",
		"repetition_penalty",
		"length_penalty",
		"diversity_penalty",
		"early_stopping",
		"max_length",
		"max_new_tokens",
		"max_time",
		"num_return_sequences",
		"renormalize_logits",
		"remove_invalid_values",
		"use_cache",
		"cache_implementation",
		"cache_config",
		"max_cache_len",
		"prefill_chunk_size",
		"compile_config",
		"disable_compile",
		"continuous_batching_config",
		"low_memory",
		"output_attentions",
		"output_hidden_states",
		"output_scores",
		"output_logits",
		"return_dict_in_generate",
		"is_assistant",
		"num_assistant_tokens",
		"num_assistant_tokens_schedule",
		"assistant_confidence_threshold",
		"assistant_early_exit",
		"assistant_lookbehind",
		"target_lookbehind",
		"prompt_lookup_num_tokens",
		"max_matching_ngram_size",
		"bos_token_id",
		"pad_token_id",
		"decoder_start_token_id",
	],
	neutral: &[
		("num_beams", "1"),
		("num_beam_groups", "1"),
		("penalty_alpha", "0"),
		("no_repeat_ngram_size", "0"),
		("encoder_no_repeat_ngram_size", "0"),
		("encoder_repetition_penalty", "1"),
		("min_length", "0"),
		("min_new_tokens", "0"),
		("bad_words_ids", "[]"),
		("force_words_ids", "[]"),
		("constraints", "[]"),
		("suppress_tokens", "[]"),
		("begin_suppress_tokens", "[]"),
		("forced_bos_token_id", "false"),
		("forced_eos_token_id", "false"),
		("forced_decoder_ids", "[]"),
		("exponential_decay_length_penalty", "false"),
		("sequence_bias", "{}"),
		("stop_strings", "[]"),
		("token_healing", "false"),
		("guidance_scale", "1"),
		("watermarking_config", "false"),
		("dola_layers", "false"),
		("use_mtp", "false"),
	],
};
