//! Which keys a `config.json` may have: an unknown one is refused, whatever it is, and a known one at a value that would
//! change the function.

use crate::config::{parse, published, with};
use assay_model_folder::config::{
	keys::{self, Keys},
	Architecture::{self, Bert, Llama, Mistral, Qwen2, Qwen3},
};
use serde_json::{json, Value};
use std::collections::HashSet;

#[test]
fn an_unknown_key_is_refused_by_name_in_every_family() {
	for family in Architecture::ALL {
		for key in ["rope_thetta", "rotary_pct", "qkv_bias", "Rope_theta", "attention", ""] {
			for value in [json!(1), json!(null), json!(false)] {
				let error = parse(&with(published(family), json!({ key: value }))).unwrap_err();
				assert!(
					error.contains(&format!("`{key}` is not a known key"))
						&& error.contains("remove it from config.json"),
					"{error}"
				);
			}
		}
	}
	// One family's key in another's file is as unknown.
	assert!(parse(&with(published(Bert), json!({ "rope_theta": 1e4 }))).is_err());
	assert!(parse(&with(published(Llama), json!({ "layer_norm_eps": 1e-5 }))).is_err());
}

#[test]
fn a_key_without_effect_is_accepted_whatever_its_value() {
	for family in Architecture::ALL {
		let plain = parse(&published(family)).unwrap();
		for key in keys::of_family(family).iter().flat_map(|keys| keys.inert) {
			for value in [json!(null), json!(7), json!("x"), json!({ "a": [1] })] {
				let changed = parse(&with(published(family), json!({ *key: value })));
				assert_eq!(changed.as_ref(), Ok(&plain), "{key}");
			}
		}
	}
}

#[test]
fn a_key_that_is_neutral_at_one_value_is_refused_at_others() {
	for family in Architecture::ALL {
		let plain = parse(&published(family)).unwrap();
		for (key, neutral) in keys::of_family(family).iter().flat_map(|keys| keys.neutral) {
			let value: Value = serde_json::from_str(neutral).unwrap();
			for value in [value, Value::Null] {
				let same = parse(&with(published(family), json!({ *key: value })));
				assert_eq!(same.as_ref(), Ok(&plain), "{key}");
			}
			for value in [json!(true), json!(2), json!("other"), json!([[3]]), json!({ "a": 1 })] {
				let error = parse(&with(published(family), json!({ *key: value }))).unwrap_err();
				assert!(
					error.contains(&format!("`{key}` is {value}")) && error.contains("import again"),
					"{error}"
				);
			}
		}
	}
}

#[test]
fn no_key_is_listed_twice() {
	for family in Architecture::ALL {
		let mut seen = HashSet::new();
		for Keys { read, inert, neutral } in keys::of_family(family) {
			let names = read.iter().chain(inert).chain(neutral.iter().map(|(key, _)| key));
			for key in names {
				assert!(seen.insert(key), "{key}");
			}
		}
	}
}

#[test]
fn what_transformers_wrote_by_default_is_accepted() {
	// All that `PretrainedConfig.to_dict` of 4.30 wrote.
	let defaults: Value = serde_json::from_str(
		r#"{
		"return_dict": true, "output_hidden_states": false, "output_attentions": false, "torchscript": false,
		"use_bfloat16": false, "tf_legacy_loss": false, "pruned_heads": {}, "is_encoder_decoder": false,
		"is_decoder": false, "cross_attention_hidden_size": null, "add_cross_attention": false,
		"tie_encoder_decoder": false, "max_length": 20, "min_length": 0, "do_sample": false, "early_stopping": false,
		"num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
		"typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0,
		"encoder_no_repeat_ngram_size": 0, "bad_words_ids": null, "num_return_sequences": 1,
		"chunk_size_feed_forward": 0, "output_scores": false, "return_dict_in_generate": false,
		"forced_bos_token_id": null, "forced_eos_token_id": null, "remove_invalid_values": false,
		"exponential_decay_length_penalty": null, "suppress_tokens": null, "begin_suppress_tokens": null,
		"finetuning_task": null, "id2label": { "0": "LABEL_0" }, "label2id": { "LABEL_0": 0 }, "tokenizer_class": null,
		"prefix": null, "pad_token_id": null, "sep_token_id": null, "decoder_start_token_id": null,
		"task_specific_params": null, "problem_type": null, "_name_or_path": ""
	}"#,
	)
	.unwrap();
	for family in Architecture::ALL {
		let changed = parse(&with(published(family), defaults.clone()));
		assert_eq!(changed, parse(&published(family)));
	}
}

#[test]
fn a_class_with_another_function_is_refused() {
	for (family, class, taken) in [
		(Llama, "LlamaForCausalLM", true),
		// As in transformers, `model_type` decides.
		(Qwen3, "LlamaForCausalLM", true),
		(Llama, "LLaMAForCausalLM", true),
		(Llama, "LlamaForSequenceClassification", false),
		(Llama, "LlamaForTokenClassification", false),
		(Llama, "LlamaModel", false),
		(Mistral, "MistralModel", false),
		(Qwen2, "Qwen2ForRewardModel", false),
		(Qwen2, "Qwen2ForProcessRewardModel", false),
		(Bert, "BertForSequenceClassification", false),
		(Bert, "LlamaForCausalLM", false),
		(Bert, "BertForMaskedLM", true),
	] {
		let result = parse(&with(published(family), json!({ "architectures": [class] })));
		match result {
			Ok(_) => assert!(taken, "{class}"),
			Err(error) => assert!(
				!taken && error.contains("`architectures`") && error.contains("import such a model"),
				"{class}: {error}"
			),
		}
	}
	let both = json!({ "architectures": ["LlamaForCausalLM", "LlamaForSequenceClassification"] });
	assert!(parse(&with(published(Llama), both)).is_err());
	assert!(parse(&with(published(Llama), json!({ "architectures": null }))).is_ok());
	assert!(parse(&with(published(Llama), json!({ "architectures": "LlamaForCausalLM" }))).is_err());
}
