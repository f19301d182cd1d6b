//! What `config.json`, `generation_config.json` and the names of the weights state of a decoder.

use crate::hugging_face::{config, rename, source, write_with};
use assay_import::{import, import_with, Progress};
use assay_model_folder::{files, Manifest};
use assay_test_fixtures::{options, write_source, Tiny, EOS};
use serde_json::{json, Value};
use std::{fs, ops::ControlFlow, path::Path};

fn generation(source: &Path, json: &Value) {
	fs::write(source.join("generation_config.json"), json.to_string()).unwrap();
}

/// Imports a source. Returns its manifest and the warnings, or why it is refused.
fn imported(source: &Path) -> Result<(Manifest, Vec<String>), String> {
	let out = tempfile::tempdir().unwrap();
	let mut warnings = Vec::new();
	import_with(source, out.path(), &options(), &mut |progress| {
		if let Progress::Warning(text) = progress {
			warnings.push(text);
		}
		ControlFlow::Continue(())
	})
	.map_err(|e| e.to_string())?;
	Ok((Manifest::read(out.path()).unwrap(), warnings))
}

#[test]
fn tokens_that_end_an_answer_come_from_where_transformers_takes_them() {
	for (own, beside, ends, warned) in [
		(json!(EOS), None, vec![EOS], false),
		(json!(null), Some(json!({ "eos_token_id": 263 })), vec![263], false),
		(json!([264, 263]), Some(json!({})), vec![263, 264], false),
		(json!(263), Some(json!({ "eos_token_id": null })), vec![263], false),
		(
			json!(263),
			Some(json!({ "eos_token_id": [264, 263] })),
			vec![263, 264],
			false,
		),
		(json!([263, 262]), Some(json!({ "eos_token_id": 264 })), vec![264], true),
	] {
		let (_dir, source) = source();
		let mut json = config(json!({ "eos_token_id": own }));
		if own.is_null() {
			json.as_object_mut().unwrap().remove("eos_token_id");
		}
		fs::write(source.join(files::CONFIG), json.to_string()).unwrap();
		let (own, beside) = (&own, &beside);
		if let Some(json) = beside {
			generation(&source, json);
		}
		let (manifest, warnings) = imported(&source).unwrap_or_else(|e| panic!("{own} {beside:?}: {e}"));
		assert_eq!(manifest.hyperparameters.eos_token_ids(), ends, "{own} {beside:?}");
		assert_eq!(!warnings.is_empty(), warned, "{own} {beside:?}: {warnings:?}");
		let named = |file: &assay_model_folder::manifest::SourceFile| file.name == "generation_config.json";
		// What made no difference is no part of where the model comes from.
		let differs = beside.as_ref().is_some_and(|b| !b["eos_token_id"].is_null());
		assert_eq!(
			manifest.provenance.upstream.iter().any(named),
			differs,
			"{own} {beside:?}"
		);
	}
}

#[test]
fn a_missing_or_malformed_end_is_refused_with_its_file() {
	for (beside, reason) in [
		(None, "config.json refused: `eos_token_id` is missing"),
		(Some(json!({})), "here or in generation_config.json"),
		(Some(json!({ "eos_token_id": [] })), "`eos_token_id` must name 1 to 64"),
		(
			Some(json!({ "eos_token_id": "</s>" })),
			"generation_config.json: `eos_token_id` is \"</s>\"",
		),
		(
			Some(json!({ "eos_token_id": [263, -1] })),
			"generation_config.json: `eos_token_id`",
		),
		(
			Some(json!({ "eos_token_id": 263.5 })),
			"generation_config.json: `eos_token_id` is 263.5",
		),
		(Some(json!({ "eos_token_id": 9999 })), "outside the vocabulary"),
		(Some(json!([])), "generation_config.json: it is not a JSON object"),
	] {
		let (_dir, source) = source();
		fs::write(
			source.join(files::CONFIG),
			config(json!({ "eos_token_id": null })).to_string(),
		)
		.unwrap();
		if let Some(json) = &beside {
			generation(&source, json);
		}
		let error = imported(&source).unwrap_err();
		assert!(error.contains(reason), "{beside:?}: {error}");
	}
}

#[test]
fn suggested_sampling_is_reported_and_what_forbids_tokens_is_refused() {
	let (_dir, source) = source();
	let published = json!({
		"bos_token_id": 1, "pad_token_id": 2, "do_sample": true, "eos_token_id": [EOS], "repetition_penalty": 1.05,
		"temperature": 0.7, "top_p": 0.8, "top_k": 20, "typical_p": 1.0, "transformers_version": "4.37.0",
	});
	generation(&source, &published);
	let (_, warnings) = imported(&source).unwrap();
	assert_eq!(warnings.len(), 1, "{warnings:?}");
	assert!(
		warnings[0].contains("`top_p` 0.8, `repetition_penalty` 1.05") && !warnings[0].contains("typical_p"),
		"{warnings:?}"
	);
	for (key, value) in [
		("suppress_tokens", json!([5])),
		("bad_words_ids", json!([[5]])),
		("forced_bos_token_id", json!(3)),
		("forced_eos_token_id", json!(0)),
		("num_beams", json!(4)),
		("min_new_tokens", json!(1)),
		("no_repeat_ngram_size", json!(3)),
		("guidance_scale", json!(1.5)),
		("stop_strings", json!(["x"])),
		("sequence_bias", json!([[[5], -10.0]])),
		("repetition_penality", json!(1.0)),
	] {
		generation(&source, &json!({ key: value }));
		let error = imported(&source).unwrap_err();
		assert!(
			error.contains(&format!("generation_config.json: `{key}`")) && error.contains("import again"),
			"{key}: {error}"
		);
	}
}

#[test]
fn an_unknown_key_of_the_configuration_is_refused_with_a_way_out() {
	let (_dir, source) = source();
	let json = config(json!({ "rope_thetta": 1e6 }));
	fs::write(source.join(files::CONFIG), json.to_string()).unwrap();
	let error = imported(&source).unwrap_err();
	assert!(
		error.contains("config.json refused: `rope_thetta` is not a known key") && error.contains("remove it"),
		"{error}"
	);
}

#[test]
fn a_missing_output_layer_is_explained_by_its_key() {
	let (_dir, source) = source();
	fs::write(
		source.join(files::CONFIG),
		config(json!({ "tie_word_embeddings": null })).to_string(),
	)
	.unwrap();
	let error = imported(&source).unwrap_err();
	assert!(
		error.contains("lm_head.weight") && error.contains("`tie_word_embeddings`"),
		"{error}"
	);
}

#[test]
fn a_tied_output_layer_that_differs_is_refused() {
	let (_dir, source) = source();
	let untied = Tiny {
		tied: false,
		..Tiny::default()
	};
	write_source(&source, untied);
	imported(&source).unwrap();
	write_with(&source, &config(json!({})));
	let alone = imported(&source).unwrap().0;
	// The same tensor under both names, as `save_pretrained` once wrote it.
	write_source(&source, untied);
	fs::write(source.join(files::CONFIG), config(json!({})).to_string()).unwrap();
	let error = imported(&source).unwrap_err();
	assert!(
		error.contains("lm_head.weight") && error.contains("differs from model.embed_tokens.weight"),
		"{error}"
	);
	double_head(&source);
	assert_eq!(imported(&source).unwrap().0.tensors, alone.tensors);
}

/// Writes the embedding over the output layer.
fn double_head(source: &Path) {
	let path = source.join(files::WEIGHTS);
	let mut bytes = fs::read(&path).unwrap();
	let header = assay_model_folder::header::Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let range = |name: &str| {
		let (begin, end) = header.tensors[name].data_offsets;
		(header.data_start + begin) as usize..(header.data_start + end) as usize
	};
	let to = range("lm_head.weight").start;
	bytes.copy_within(range("model.embed_tokens.weight"), to);
	fs::write(&path, bytes).unwrap();
}

#[test]
fn weights_under_other_names_are_refused_for_what_they_are() {
	for (prefix, reason) in [
		("", "embedding models such as Qwen3-Embedding"),
		("language_model.model.", "part of a larger model"),
		("model.language_model.", "part of a larger model"),
		("transformer.", "save_pretrained"),
		("_orig_mod.model.", "by a program that trained it"),
	] {
		let (_dir, source) = source();
		rename(&source, |name| {
			Some(format!("{prefix}{}", name.strip_prefix("model.").unwrap()))
		});
		let error = imported(&source).unwrap_err();
		assert!(
			error.contains(reason) && error.contains(&format!("{prefix}embed_tokens.weight")),
			"{prefix}: {error}"
		);
	}
}

#[test]
fn a_tensor_that_the_configuration_does_not_have_is_refused_by_name() {
	for extra in [
		"model.layers.0.self_attn.q_proj.bias",
		"model.layers.0.self_attn.q_norm.weight",
		"model.layers.0.self_attn.q_proj.lora_A.weight",
		"score.weight",
		"vision_tower.patch.weight",
	] {
		let (_dir, source) = source();
		write_with(&source, &config(json!({ "attention_bias": true })));
		rename(&source, |name| match name {
			"model.layers.0.self_attn.q_proj.bias" => Some(extra.into()),
			_ => (!name.ends_with(".bias")).then(|| name.into()),
		});
		fs::write(source.join(files::CONFIG), config(json!({})).to_string()).unwrap();
		let error = imported(&source).unwrap_err();
		assert!(
			error.contains(&format!("tensor {extra}: is not part")) && error.contains("remove"),
			"{extra}: {error}"
		);
	}
}

#[test]
fn files_that_make_another_model_of_a_decoder_are_refused() {
	for (name, content, reason) in [
		(
			"adapter_config.json",
			json!({ "peft_type": "LORA" }),
			"merge_and_unload",
		),
		("modules.json", json!([]), "embedding model"),
	] {
		let (dir, source) = source();
		fs::write(source.join(name), content.to_string()).unwrap();
		let error = import(&source, &dir.path().join("out"), &options())
			.unwrap_err()
			.to_string();
		assert!(error.contains(name) && error.contains(reason), "{error}");
	}
}
