//! BERT directories, as transformers and sentence-transformers write them.

use crate::hugging_face::rename;
use assay_import::import;
use assay_model_folder::{config::EncoderConfig, files, Manifest};
use assay_test_fixtures::{options, sorted, word_piece, write_source_of, Tiny};
use serde_json::{json, Value};
use std::{
	fs,
	path::{Path, PathBuf},
};
use tempfile::TempDir;

const CLASSES: &str = "sentence_transformers.models.";

/// Returns a new directory with a tiny BERT in it.
pub(crate) fn source() -> (TempDir, PathBuf) {
	let dir = tempfile::tempdir().unwrap();
	let source = dir.path().join("source");
	let config = json!({
		"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "vocab_size": 16, "hidden_size": 32,
		"intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64,
		"type_vocab_size": 2, "layer_norm_eps": 1e-12, "position_embedding_type": "absolute", "pad_token_id": 0,
		"gradient_checkpointing": false, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
		"classifier_dropout": null, "use_cache": true, "initializer_range": 0.02, "transformers_version": "4.8.2",
	});
	write_source_of(&source, Tiny::default(), &config);
	fs::remove_file(source.join(files::TEMPLATE)).unwrap();
	fs::write(source.join(files::TOKENIZER), sorted(word_piece()).to_string()).unwrap();
	(dir, source)
}

fn put(source: &Path, name: &str, json: &Value) {
	let path = source.join(name);
	fs::create_dir_all(path.parent().unwrap()).unwrap();
	fs::write(path, json.to_string()).unwrap();
}

fn steps(kinds: &[&str]) -> Value {
	let path = |at: usize, kind: &str| match at {
		0 => String::new(),
		_ => format!("{at}_{}", kind.rsplit('.').next().unwrap()),
	};
	let one =
		|(at, kind): (usize, &&str)| json!({ "idx": at, "name": at.to_string(), "path": path(at, kind), "type": kind });
	Value::Array(kinds.iter().enumerate().map(one).collect())
}

/// Writes the files of sentence-transformers with this pooling.
fn pooled(source: &Path, pooling: &Value) {
	let kinds = ["Transformer", "Pooling", "Normalize"].map(|kind| format!("{CLASSES}{kind}"));
	put(source, "modules.json", &steps(&kinds.each_ref().map(String::as_str)));
	put(source, "1_Pooling/config.json", pooling);
}

fn imported(source: &Path) -> Result<(Manifest, EncoderConfig), String> {
	let out = tempfile::tempdir().unwrap();
	import(source, out.path(), &options()).map_err(|e| e.to_string())?;
	let manifest = Manifest::read(out.path()).unwrap();
	let config = manifest.hyperparameters.encoder().unwrap().clone();
	Ok((manifest, config))
}

#[test]
fn the_names_of_a_bert_saved_with_its_heads_are_read_as_today_s() {
	let (_dir, source) = source();
	let today = imported(&source).unwrap().0.tensors;
	rename(&source, |name| Some(format!("bert.{name}")));
	assert_eq!(imported(&source).unwrap().0.tensors, today);
	rename(&source, |name| {
		let old = name.replace("LayerNorm.weight", "LayerNorm.gamma");
		Some(old.replace("LayerNorm.bias", "LayerNorm.beta"))
	});
	assert_eq!(imported(&source).unwrap().0.tensors, today);
	rename(&source, |name| Some(name.replacen("bert.", "", 1)));
	assert_eq!(imported(&source).unwrap().0.tensors, today);
	// A prefix that transformers does not write.
	rename(&source, |name| Some(format!("0.auto_model.{name}")));
	let error = imported(&source).unwrap_err();
	assert!(
		error.contains("0.auto_model.embeddings.word_embeddings.weight"),
		"{error}"
	);
}

#[test]
fn heads_of_a_bert_are_left_out_and_a_classifier_is_refused() {
	let (_dir, source) = source();
	let today = imported(&source).unwrap().0.tensors;
	let bytes = fs::read(source.join(files::WEIGHTS)).unwrap();
	for (head, taken) in [
		("pooler.dense.weight", true),
		("bert.pooler.dense.bias", true),
		("cls.predictions.transform.LayerNorm.gamma", true),
		("cls.seq_relationship.weight", true),
		("classifier.weight", false),
		("qa_outputs.weight", false),
		("linear.weight", false),
	] {
		fs::write(source.join(files::WEIGHTS), &bytes).unwrap();
		add_tensor(&source, head);
		match imported(&source) {
			Ok((manifest, _)) => assert!(taken && manifest.tensors == today, "{head}"),
			Err(error) => assert!(!taken && error.contains(head), "{head}: {error}"),
		}
	}
	fs::write(source.join(files::WEIGHTS), &bytes).unwrap();
	let config = fs::read_to_string(source.join(files::CONFIG)).unwrap();
	for (class, taken) in [
		("BertForMaskedLM", true),
		("BertForPreTraining", true),
		("BertForSequenceClassification", false),
		("BertLMHeadModel", false),
	] {
		fs::write(source.join(files::CONFIG), config.replace("BertModel", class)).unwrap();
		match imported(&source) {
			Ok(_) => assert!(taken, "{class}"),
			Err(error) => assert!(
				!taken && error.contains("`architectures`") && error.contains(class),
				"{error}"
			),
		}
	}
}

/// Appends a tensor of one number.
fn add_tensor(source: &Path, name: &str) {
	use assay_model_folder::header::{Dtype, Header};
	let path = source.join(files::WEIGHTS);
	let bytes = fs::read(&path).unwrap();
	let header = Header::read(&mut bytes.as_slice(), bytes.len() as u64).unwrap();
	let all = header
		.in_file_order()
		.into_iter()
		.map(|(name, t)| (name, t.dtype, t.shape.as_slice()));
	let mut file = Header::canonical(all.chain([(name, Dtype::F32, &[1u64][..])]));
	file.extend(&bytes[header.data_start as usize..]);
	file.extend(1f32.to_le_bytes());
	fs::write(&path, file).unwrap();
}

#[test]
fn every_form_of_mean_pooling_is_read() {
	let old = json!({
		"word_embedding_dimension": 32, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true,
		"pooling_mode_max_tokens": false, "pooling_mode_mean_sqrt_len_tokens": false,
	});
	let mut middle = old.clone();
	middle["pooling_mode_weightedmean_tokens"] = json!(false);
	middle["pooling_mode_lasttoken"] = json!(false);
	middle["include_prompt"] = json!(true);
	for pooling in [
		old,
		middle,
		json!({ "embedding_dimension": 32, "pooling_mode": "mean", "include_prompt": true }),
		json!({ "embedding_dimension": 32, "pooling_mode": ["mean"] }),
		json!({ "word_embedding_dimension": 32 }),
	] {
		let (_dir, source) = source();
		pooled(&source, &pooling);
		let (manifest, config) = imported(&source).unwrap_or_else(|e| panic!("{pooling}: {e}"));
		assert!(config.normalize);
		let names: Vec<_> = manifest.provenance.upstream.iter().map(|f| f.name.as_str()).collect();
		assert!(names.contains(&"1_Pooling/config.json") && names.contains(&"modules.json"));
	}
}

#[test]
fn another_pooling_is_refused_by_name() {
	for (pooling, reason) in [
		(
			json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false }),
			"pooling_mode_cls_token",
		),
		(
			json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true }),
			"pooling_mode_cls_token and",
		),
		(json!({ "pooling_mode_mean_tokens": false }), "no mode"),
		(json!({ "pooling_mode": "cls" }), "\"cls\""),
		(json!({ "pooling_mode": ["mean", "max"] }), "\"mean\" and \"max\""),
		(
			json!({ "pooling_mode": "lasttoken", "pooling_mode_mean_tokens": true }),
			"\"lasttoken\"",
		),
		(
			json!({ "pooling_mode": "mean", "include_prompt": false }),
			"`include_prompt` is false",
		),
		(
			json!({ "pooling_mode": "mean", "embedding_dimension": 64 }),
			"`embedding_dimension` is 64",
		),
		(
			json!({ "pooling_mode_meen_tokens": true }),
			"`pooling_mode_meen_tokens` is not a known key",
		),
	] {
		let (_dir, source) = source();
		pooled(&source, &pooling);
		let error = imported(&source).unwrap_err();
		assert!(
			error.contains("1_Pooling/config.json") && error.contains(reason),
			"{pooling}: {error}"
		);
	}
}

#[test]
fn steps_that_are_not_computed_are_refused() {
	let new = "sentence_transformers.sentence_transformer.modules.";
	let base = "sentence_transformers.base.modules.";
	let [transformer, pooling, normalize] =
		["Transformer", "Pooling", "Normalize"].map(|kind| format!("{CLASSES}{kind}"));
	let dense = format!("{CLASSES}Dense");
	let [t, p, n] = [&transformer, &pooling, &normalize].map(String::as_str);
	for (kinds, expected) in [
		(vec![t, p, n], Ok(true)),
		(vec![t, p], Ok(false)),
		(
			vec![
				&format!("{base}transformer.Transformer"),
				&format!("{new}pooling.Pooling"),
			],
			Ok(false),
		),
		(vec![t, p, &dense], Err("\"Dense\"")),
		(vec![t, n, p], Err("the steps are")),
		(vec![t], Err("the steps are")),
		(vec![t, "my_package.Pooling"], Err("my_package.Pooling")),
	] {
		let (_dir, source) = source();
		pooled(&source, &json!({ "pooling_mode": "mean" }));
		put(&source, "modules.json", &steps(&kinds));
		match (imported(&source), expected) {
			(Ok((_, config)), Ok(normalize)) => assert_eq!(config.normalize, normalize, "{kinds:?}"),
			(Err(error), Err(reason)) => assert!(error.contains("modules.json") && error.contains(reason), "{error}"),
			(other, _) => panic!("{kinds:?}: {:?}", other.map(|_| ())),
		}
	}
	let (_dir, source) = source();
	let mut with = steps(&[t, p]);
	with[0]["path"] = json!("0_Transformer");
	put(&source, "modules.json", &with);
	assert!(imported(&source).unwrap_err().contains("0_Transformer"));
	with[0]["path"] = json!("");
	with[1]["path"] = json!("../elsewhere");
	put(&source, "modules.json", &with);
	assert!(imported(&source).unwrap_err().contains("inside this one"));
	with[1]["kwargs"] = json!(["task"]);
	put(&source, "modules.json", &with);
	assert!(imported(&source).unwrap_err().contains("`1.kwargs`"));
}

#[test]
fn the_other_files_of_sentence_transformers_are_read_or_refused() {
	let own = "config_sentence_transformers.json";
	let published = json!({
		"__version__": { "sentence_transformers": "3.0.0" }, "prompts": { "query": "q: " }, "default_prompt_name": null,
		"similarity_fn_name": "cosine", "model_type": "SentenceTransformer",
	});
	let six = json!({
		"transformer_task": "feature-extraction", "module_output_name": "token_embeddings",
		"modality_config": { "text": { "method": "forward", "method_output_name": "last_hidden_state" } },
	});
	for (name, json, expected) in [
		(
			"sentence_bert_config.json",
			json!({ "max_seq_length": 48, "do_lower_case": false }),
			Ok(48),
		),
		("sentence_roberta_config.json", json!({ "max_seq_length": 40 }), Ok(40)),
		("sentence_bert_config.json", six, Ok(64)),
		(own, published, Ok(64)),
		(
			"sentence_bert_config.json",
			json!({ "do_lower_case": true }),
			Err("`do_lower_case`"),
		),
		(
			"sentence_bert_config.json",
			json!({ "max_seq_length": 65 }),
			Err("`max_seq_length` is 65"),
		),
		(
			"sentence_bert_config.json",
			json!({ "max_seq_length": "64" }),
			Err("`max_seq_length`"),
		),
		(
			"sentence_bert_config.json",
			json!({ "max_sequence": 9 }),
			Err("`max_sequence` is not a known key"),
		),
		(
			own,
			json!({ "default_prompt_name": "query" }),
			Err("`default_prompt_name`"),
		),
		(own, json!({ "truncate_dim": 16 }), Err("`truncate_dim` is 16")),
		(
			"2_Normalize/config.json",
			json!({ "module_input_name": "token_embeddings" }),
			Err("`module_input_name`"),
		),
	] {
		let (_dir, source) = source();
		pooled(&source, &json!({ "pooling_mode": "mean" }));
		put(&source, name, &json);
		match (imported(&source), expected) {
			(Ok((_, config)), Ok(length)) => assert_eq!(config.max_seq_length, length, "{json}"),
			(Err(error), Err(reason)) => assert!(error.contains(reason), "{json}: {error}"),
			(other, _) => panic!("{json}: {:?}", other.map(|_| ())),
		}
	}
}
