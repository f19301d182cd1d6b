//! Where a `config.json` states its rotary positions, and what of it is refused.

use crate::config::{decoder, parse, published, with};
use assay_model_folder::config::{
	Architecture::{Llama, Mistral, Qwen2, Qwen3},
	RopeScaling, F32,
};
use serde_json::{json, Value};

/// A file whose rotary positions are these alone.
fn rope(family: assay_model_folder::config::Architecture, more: Value) -> Value {
	with(with(published(family), json!({ "rope_theta": null })), more)
}

#[test]
fn parameters_by_type_of_layer_are_those_of_all_layers() {
	let full = json!({ "full_attention": { "rope_type": "default", "rope_theta": 1e6 } });
	let types = json!(["full_attention", "full_attention"]);
	for (family, more) in [
		(Qwen3, json!({ "rope_parameters": full })),
		(Qwen3, json!({ "rope_parameters": full, "layer_types": null })),
		(Qwen2, json!({ "rope_parameters": full })),
		(Llama, json!({ "rope_parameters": full, "layer_types": types })),
		(
			Mistral,
			json!({ "rope_parameters": full, "layer_types": types, "sliding_window": null }),
		),
	] {
		assert_eq!(decoder(&rope(family, more)).rope_theta, F32(1e6), "{family:?}");
	}
	let sliding = json!({
		"use_sliding_window": true, "sliding_window": 32, "max_window_layers": 0,
		"rope_parameters": {
			"full_attention": { "rope_theta": 5.0 },
			"sliding_attention": { "rope_type": "linear", "factor": 2.0, "rope_theta": 7.0 },
		},
	});
	let config = decoder(&rope(Qwen2, sliding));
	assert_eq!(
		(config.rope_theta, config.rope_scaling),
		(F32(7.0), RopeScaling::Linear { factor: F32(2.0) })
	);
}

#[test]
fn parameters_that_no_layer_would_use_are_refused() {
	let full = json!({ "full_attention": { "rope_theta": 1e6 } });
	for (family, more, reason) in [
		// transformers nests them only where the file lists types of layers.
		(Llama, json!({ "rope_parameters": full }), "`layer_types`"),
		(Mistral, json!({ "rope_parameters": full }), "`layer_types`"),
		(
			Qwen3,
			json!({ "rope_parameters": { "sliding_attention": { "rope_theta": 1e6 } } }),
			"none for full_attention",
		),
		(
			Qwen3,
			json!({ "rope_parameters": { "full_atention": { "rope_theta": 1e6 } } }),
			"`rope_parameters.full_atention`",
		),
		(
			Qwen3,
			json!({ "rope_parameters": { "full_attention": { "rope_theta": 1e6 }, "rope_theta": 5.0 } }),
			"`rope_parameters.rope_theta`",
		),
		(
			Qwen3,
			json!({ "rope_parameters": { "full_attention": { "rope_thetta": 1e6 } } }),
			"`rope_parameters.full_attention.rope_thetta`",
		),
		(
			Qwen3,
			json!({ "rope_parameters": { "full_attention": null, "sliding_attention": {} } }),
			"not an object",
		),
	] {
		let error = parse(&rope(family, more.clone())).expect_err(&more.to_string());
		assert!(error.contains(reason), "{more}: {error}");
	}
}

#[test]
fn a_parameter_that_is_misspelt_or_of_another_kind_is_refused() {
	for (parameters, key) in [
		(json!({ "rope_type": "default", "theta": 1e6 }), "theta"),
		(json!({ "rope_type": "default", "rope_base": 1e6 }), "rope_base"),
		(json!({ "rope_type": "default", "factor": 2.0 }), "factor"),
		(
			json!({ "rope_type": "linear", "factor": 2.0, "low_freq_factor": 1.0 }),
			"low_freq_factor",
		),
		(json!({ "rope_type": "linear", "factor": 2.0, "Factor": 2.0 }), "Factor"),
		(
			json!({ "rope_type": "yarn", "factor": 2.0, "betafast": 32 }),
			"betafast",
		),
		(
			json!({ "rope_type": "yarn", "factor": 2.0, "mrope_section": [1, 2] }),
			"mrope_section",
		),
	] {
		for place in ["rope_parameters", "rope_scaling"] {
			let error = parse(&rope(Llama, json!({ place: parameters }))).unwrap_err();
			assert!(
				error.contains(&format!("`{place}.{key}` is not a parameter")) && error.contains("correct or remove"),
				"{error}"
			);
		}
	}
}

#[test]
fn two_places_with_two_values_are_refused() {
	let llama3 = json!({ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
		"original_max_position_embeddings": 64 });
	for (more, reason) in [
		(
			json!({ "rope_theta": 1e4, "rope_parameters": { "rope_theta": 1e6 } }),
			"`rope_parameters.rope_theta` is 1000000",
		),
		(
			json!({ "rope_parameters": { "rope_type": "linear", "type": "yarn", "factor": 2.0 } }),
			"its old name",
		),
		(
			json!({ "original_max_position_embeddings": 32, "rope_scaling": llama3 }),
			"`rope_scaling.original_max_position_embeddings` is 64",
		),
	] {
		let error = parse(&rope(Llama, more.clone())).expect_err(&more.to_string());
		assert!(error.contains(reason) && error.contains("keep"), "{more}: {error}");
	}
	// The same value twice is no contradiction, and the outer one is read where the inner one is missing.
	let same = json!({ "rope_theta": 1e6, "rope_parameters": { "rope_theta": 1e6 } });
	assert_eq!(decoder(&rope(Llama, same)).rope_theta, F32(1e6));
	let outer = json!({ "original_max_position_embeddings": 64, "rope_scaling": { "type": "yarn" } });
	assert!(matches!(
		decoder(&rope(Llama, outer)).rope_scaling,
		RopeScaling::Yarn {
			factor: F32(4.0),
			original_max_position_embeddings: 64,
			..
		}
	));
}
