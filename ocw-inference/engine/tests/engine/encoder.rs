//! The encoder: its vectors against candle's float BERT, and their bits against everything that must not change them.

use crate::{
	common::{fetched, noise, sorted, word_piece},
	golden,
};
use assay_engine::{Engine, Error, Model};
use assay_import::{import, ImportOptions};
use assay_model_folder::{
	config::{Hyperparameters, ModelConfig},
	header::{Dtype, Header},
	layout::source_layout,
	tokenizer::Tokenizer,
};
use assay_numerics::Isa;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config as BertConfig};
use demo_model::corpus;
use serde_json::{json, Value};
use std::{collections::BTreeSet, fs, path::Path};
use tempfile::TempDir;

fn options() -> ImportOptions {
	ImportOptions {
		name: "encoder".into(),
		license: "Apache-2.0".into(),
		..ImportOptions::default()
	}
}

/// Writes the Hugging Face directory of a tiny BERT with random weights.
fn write_source(dir: &Path) {
	let config = json!({
		"model_type": "bert", "hidden_act": "gelu", "vocab_size": 40, "hidden_size": 64, "intermediate_size": 96,
		"num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 96, "type_vocab_size": 2,
		"layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "pad_token_id": 0,
	});
	let hyperparameters = ModelConfig::parse(config.to_string().as_bytes())
		.unwrap()
		.hyperparameters;
	let mut tensors: Vec<_> = source_layout(&hyperparameters)
		.iter()
		.map(|t| (t.name.clone(), Dtype::F32, t.shape()))
		.collect();
	// What published files have besides, and nobody needs.
	tensors.push(("embeddings.position_ids".into(), Dtype::I64, vec![1, 96]));
	tensors.push(("pooler.dense.weight".into(), Dtype::F32, vec![64, 64]));
	tensors.push(("pooler.dense.bias".into(), Dtype::F32, vec![64]));
	tensors.sort_by(|a, b| a.0.cmp(&b.0));
	let header = tensors
		.iter()
		.map(|(name, dtype, shape)| (name.as_str(), *dtype, shape.as_slice()));
	let mut file = Header::canonical(header);
	for (name, dtype, shape) in &tensors {
		let count = shape.iter().product::<u64>() as usize;
		match dtype {
			Dtype::I64 => (0..count as u64).for_each(|i| file.extend(i.to_le_bytes())),
			_ => noise(3, name, count).iter().for_each(|v| {
				let v = if name.ends_with("LayerNorm.weight") {
					1.0 + 0.1 * v
				} else {
					0.25 * v
				};
				file.extend(v.to_le_bytes());
			}),
		}
	}
	fs::write(dir.join("model.safetensors"), file).unwrap();
	fs::write(dir.join("config.json"), sorted(config).to_string()).unwrap();
	fs::write(dir.join("tokenizer.json"), sorted(word_piece()).to_string()).unwrap();
	fs::write(dir.join("sentence_bert_config.json"), r#"{ "max_seq_length": 80 }"#).unwrap();
	fs::create_dir(dir.join("1_Pooling")).unwrap();
	fs::write(
		dir.join("1_Pooling/config.json"),
		r#"{ "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true }"#,
	)
	.unwrap();
	let module = |kind: &str| json!({ "type": format!("sentence_transformers.models.{kind}"), "path": if kind == "Pooling" { "1_Pooling" } else { "" } });
	let modules = ["Transformer", "Pooling", "Normalize"].map(module);
	fs::write(dir.join("modules.json"), sorted(json!(modules)).to_string()).unwrap();
}

pub(crate) fn tiny() -> (TempDir, TempDir) {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	write_source(source.path());
	import(source.path(), out.path(), &options()).unwrap();
	(source, out)
}

/// Loads candle's float BERT of a directory.
fn float(dir: &Path) -> BertModel {
	let config: BertConfig = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
	let weights = candle_core::safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
	let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
	BertModel::load(weights, &config).unwrap()
}

/// Returns its mean row, normalized.
fn float_vector(model: &BertModel, tokens: &[u32]) -> Vec<f64> {
	let ids = Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
	let rows = model.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap();
	let rows = rows.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
	let width = rows[0].len();
	let mean: Vec<f64> = (0..width)
		.map(|i| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / rows.len() as f64)
		.collect();
	let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
	mean.iter().map(|v| v / length).collect()
}

fn cosine(a: &[f32], b: &[f64]) -> f64 {
	let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum();
	let length = |sum: f64| sum.sqrt();
	dot / (length(a.iter().map(|v| f64::from(*v).powi(2)).sum()) * length(b.iter().map(|v| v * v).sum()))
}

#[test]
fn an_encoders_vectors_have_the_same_bits_in_any_company_and_on_any_instructions() {
	let (source, folder) = tiny();
	let model = Model::load(folder.path()).unwrap();
	let encoder = model.encoder().unwrap();
	assert_eq!(encoder.config().max_seq_length, 80);
	let texts: Vec<Vec<u32>> = [1usize, 2, 3, 31, 32, 33, 64, 80]
		.iter()
		.map(|length| (0..*length as u32).map(|i| (i * 7 + *length as u32) % 40).collect())
		.collect();
	let together = encoder.embed(&texts).unwrap();
	let many: Vec<_> = std::iter::repeat_n(texts.clone(), 12).flatten().collect();
	assert_eq!(encoder.embed(&many).unwrap()[8 * 11..], together);
	let bert = float(source.path());
	for isa in Isa::available() {
		let model = Model::load(folder.path()).unwrap().with_isa(isa);
		for (text, vector) in texts.iter().zip(&together) {
			let alone = model.encoder().unwrap().embed(std::slice::from_ref(text)).unwrap();
			assert_eq!(alone[0], *vector, "{isa:?}, {} tokens", text.len());
		}
	}
	for (text, vector) in texts.iter().zip(&together) {
		let length: f64 = vector.iter().map(|v| f64::from(*v).powi(2)).sum();
		assert!((length - 1.0).abs() < 1e-6);
		let cosine = cosine(vector, &float_vector(&bert, text));
		assert!(cosine > 0.999, "{} tokens: {cosine}", text.len());
	}
	assert_ne!(together[0], together[1]);
}

#[test]
fn an_encoder_is_imported_tested_and_refuses_what_it_cannot_do() {
	let (source, folder) = tiny();
	let model = Model::load(folder.path()).unwrap();
	let Hyperparameters::Encoder(config) = &model.manifest().hyperparameters else {
		panic!("no encoder")
	};
	assert!(config.normalize);
	assert_eq!(model.manifest().prompt_overhead, 2);
	let one = model.embed("Hello, worlds").unwrap();
	assert_eq!(model.embed_all(&["naive", "Hello, worlds"]).unwrap()[1], one);
	assert_eq!(model.embed("hello , WORLDS").unwrap(), one);
	let long = "hello ".repeat(79);
	assert!(matches!(model.embed(&long), Err(Error::Work(_))));
	assert!(model.prompt("hello").is_err());
	assert!(model.decoder().is_err());
	Engine::new().add(model).unwrap();

	// A changed weight gives another vector, which the known answer sees if the root doesn't.
	let path = folder.path().join("manifest.json");
	let text = fs::read_to_string(&path).unwrap();
	let file: Value = serde_json::from_str(&text).unwrap();
	let answer = file["known_answer"]["answer"].as_str().unwrap();
	fs::write(&path, text.replace(answer, &format!("0x{}", "11".repeat(32)))).unwrap();
	let error = Engine::new().add(Model::load(folder.path()).unwrap()).unwrap_err();
	assert!(matches!(error, Error::KnownAnswer { .. }), "{error}");

	for (name, content, reason) in [
		(
			"1_Pooling/config.json",
			r#"{ "pooling_mode_cls_token": true }"#,
			"1_Pooling",
		),
		(
			"modules.json",
			r#"[{ "type": "sentence_transformers.models.Transformer" }, { "type": "sentence_transformers.models.Dense" }]"#,
			"Dense",
		),
		(
			"sentence_bert_config.json",
			r#"{ "max_seq_length": 0 }"#,
			"max_seq_length",
		),
	] {
		let honest = fs::read(source.path().join(name)).unwrap();
		fs::write(source.path().join(name), content).unwrap();
		let out = tempfile::tempdir().unwrap();
		let error = import(source.path(), out.path(), &options()).unwrap_err().to_string();
		assert!(error.contains(reason), "{error}");
		fs::write(source.path().join(name), honest).unwrap();
	}
	let byte_level = crate::common::tokenizer().to_string();
	fs::write(source.path().join("tokenizer.json"), byte_level).unwrap();
	let out = tempfile::tempdir().unwrap();
	assert!(import(source.path(), out.path(), &options()).is_err());
}

/// Returns 200 sentences of the demo model's corpus.
fn sentences() -> Vec<String> {
	let topics = corpus::load().unwrap();
	let texts = topics
		.iter()
		.flat_map(|t| t.questions.iter().take(2).chain([&t.answer]));
	let distinct: BTreeSet<String> = texts
		.flat_map(|text| text.split_inclusive(". ").map(|s| s.trim().to_owned()))
		.filter(|sentence| !sentence.is_empty())
		.collect();
	let step = distinct.len() / 200;
	distinct.into_iter().step_by(step).take(200).collect()
}

#[test]
fn minilm_runs_and_its_vectors_are_those_of_the_floats() {
	let Some(source) = fetched("minilm") else { return };
	let out = tempfile::tempdir().unwrap();
	import(&source, out.path(), &options()).unwrap();
	let model = Model::load(out.path()).unwrap();
	let tokenizer = Tokenizer::parse(&fs::read(source.join("tokenizer.json")).unwrap()).unwrap();
	let bert = float(&source);
	let sentences = sentences();
	assert_eq!(sentences.len(), 200);
	let texts: Vec<&str> = sentences.iter().map(String::as_str).collect();
	let vectors = model.embed_all(&texts).unwrap();
	let cosines: Vec<f64> = vectors
		.iter()
		.zip(&texts)
		.map(|(vector, text)| cosine(vector, &float_vector(&bert, &tokenizer.encode_marked(text).unwrap())))
		.collect();
	let least = cosines.iter().copied().fold(1.0, f64::min);
	let mean = cosines.iter().sum::<f64>() / 200.0;
	println!("cosine over 200 sentences: least {least:.6}, mean {mean:.6}");
	assert!(least >= 0.999, "least {least}");
	// And they mean something: a question is nearer to its paraphrase than to another question.
	let [a, b, c] =
		["How much does it cost?", "What is the price?", "Who wrote this book?"].map(|t| model.embed(t).unwrap());
	let wide = |v: &[f32]| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
	assert!(cosine(&a, &wide(&b)) > cosine(&a, &wide(&c)) + 0.2);
}

#[test]
fn a_tiny_encoder_gives_the_golden_vectors() {
	let (_source, dir) = tiny();
	// What its weights and its tokenizer are made of.
	let made = json!({ "seed": 3, "tokenizer": "words", "template": "" });
	for isa in Isa::available() {
		let model = Model::load(dir.path()).unwrap().with_isa(isa);
		let mut vectors = golden::Cases::new();
		for length in [1, 2, 31, 33, 80] {
			let tokens: Vec<u32> = (0..length).map(|i| (i * 7 + length) % 40).collect();
			let vector = model.encoder().unwrap().embed(std::slice::from_ref(&tokens)).unwrap();
			vectors.insert(
				format!("{length} tokens"),
				json!({ "tokens": tokens, "vector": golden::bits(&vector[0]) }),
			);
		}
		let (runs, rejected) = golden::refusals::refusals(&model, &[("a question", "hello")]);
		let found = json!({
			"model": golden::models::identity(dir.path(), &model, made.clone()), "vectors": vectors, "runs": runs,
			"rejected": rejected,
		});
		golden::compare("tiny-bert", &found);
	}
}
