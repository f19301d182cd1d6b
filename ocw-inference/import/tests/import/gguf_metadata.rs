//! What the keys of a GGUF file do: they are honored, change nothing, lead to a warning, or refuse the file.

use crate::{
	gguf_writer::{self, Gguf},
	hugging_face::{config, read, same_model, write_with},
};
use assay_engine::Model;
use assay_import::{import, import_with, Progress};
use assay_model_folder::{config::RopeScaling, files, Manifest};
use assay_primitives::ModelId;
use assay_test_fixtures::{options, EOS};
use serde_json::{json, Value};
use std::{
	fs,
	ops::ControlFlow,
	path::{Path, PathBuf},
};
use tempfile::TempDir;

/// An id of the tiny model that has no token.
const FREE: usize = 265;

/// A GGUF file in the making, and where it is imported to.
struct Case {
	dir: TempDir,
	gguf: Gguf,
}

impl Case {
	fn new(more: Value) -> Self {
		let dir = tempfile::tempdir().unwrap();
		let [source, plain] = ["source", "plain"].map(|name| dir.path().join(name));
		write_with(&source, &config(more));
		import(&source, &plain, &options()).unwrap();
		let gguf = gguf_writer::from_folder(&plain);
		Self { dir, gguf }
	}

	fn plain(&self) -> PathBuf {
		self.dir.path().join("plain")
	}

	fn out(&self) -> PathBuf {
		self.dir.path().join("out")
	}

	/// Gives an id that has no token this one.
	fn token(&mut self, text: &str, kind: i32) {
		let mut vocabulary = gguf_writer::vocabulary(&self.plain());
		vocabulary.0[FREE] = text.into();
		vocabulary.1[FREE] = kind;
		self.gguf.vocabulary(&vocabulary);
	}

	/// Imports the file. Returns the warnings.
	fn import(&self) -> assay_import::Result<(ModelId, Vec<String>)> {
		for old in [self.out(), self.dir.path().join("out.partial")] {
			fs::remove_dir_all(old).ok();
		}
		let file = self.dir.path().join("model.gguf");
		self.gguf.write(&file);
		let mut warnings = Vec::new();
		let id = import_with(&file, &self.out(), &options(), &mut |progress| {
			if let Progress::Warning(text) = progress {
				warnings.push(text);
			}
			ControlFlow::Continue(())
		})?;
		Ok((id, warnings))
	}

	fn ends(&self) -> Vec<u32> {
		Manifest::read(&self.out())
			.unwrap()
			.hyperparameters
			.eos_token_ids()
			.to_vec()
	}

	fn scaling(&self) -> RopeScaling {
		let manifest = Manifest::read(&self.out()).unwrap();
		manifest.hyperparameters.decoder().unwrap().rope_scaling.clone()
	}
}

fn template(out: &Path) -> String {
	String::from_utf8(read(out, files::TEMPLATE)).unwrap()
}

#[test]
fn keys_that_change_nothing_change_nothing() {
	let mut case = Case::new(json!({}));
	case.gguf.text("general.name", "Tiny");
	case.gguf.text("general.type", "model");
	case.gguf.number("general.file_type", 7);
	case.gguf.number("general.quantization_version", 2);
	case.gguf.texts("general.languages", ["en"].into_iter());
	case.gguf.text("mradermacher.quantized_by", "somebody");
	case.gguf.text("quantize.imatrix.file", "x.dat");
	case.gguf.number("split.count", 1);
	case.gguf.number("llama.vocab_size", 272);
	case.gguf.number("llama.expert_count", 0);
	case.gguf.float("llama.logit_scale", 1.0);
	case.gguf.flag("llama.attention.causal", true);
	case.gguf.flag("llama.use_parallel_residual", false);
	case.gguf.text("llama.tensor_data_layout", "Meta AI original pth");
	case.gguf.float("llama.rope.scaling.attn_factor", 1.0);
	case.gguf.float("llama.rope.scale_linear", 1.0);
	case.gguf.flag("tokenizer.ggml.add_bos_token", false);
	case.gguf.flag("tokenizer.ggml.add_space_prefix", false);
	case.gguf.number("tokenizer.ggml.fim_pre_token_id", 3);
	case.gguf.number("tokenizer.ggml.padding_token_id", u32::MAX);
	case.gguf.ints("tokenizer.ggml.suppress_tokens", &[]);
	case.gguf.text("tokenizer.chat_template.tool_use", "{{ tools }}");
	let (_, warnings) = case.import().unwrap();
	assert!(warnings.is_empty(), "{warnings:?}");
	same_model(&case.plain(), &case.out());
}

#[test]
fn a_key_that_could_change_what_is_computed_is_refused_by_name() {
	type Change<'a> = &'a dyn Fn(&mut Gguf);
	let cases: [(Change<'_>, &str); 23] = [
		(
			&|g| g.number("llama.new_idea", 0),
			"`llama.new_idea` is not a known key",
		),
		(&|g| g.number("qwen2.block_count", 2), "`qwen2.block_count`"),
		(&|g| g.number("tokenizer.ggml.new_idea", 0), "`tokenizer.ggml.new_idea`"),
		(&|g| g.number("somebody.idea", 0), "--remove-metadata somebody.idea"),
		(&|g| g.text("adapter.type", "lora"), "`adapter.type`"),
		(&|g| g.text("general.type", "adapter"), "`general.type` is adapter"),
		(
			&|g| g.number("general.quantization_version", 1),
			"general.quantization_version",
		),
		(
			&|g| g.number("llama.attention.sliding_window", 512),
			"attention.sliding_window",
		),
		(&|g| g.number("llama.attention.key_length_mla", 16), "key_length_mla"),
		(
			&|g| g.flag("llama.attention.causal", false),
			"`llama.attention.causal` is false",
		),
		(&|g| g.float("llama.attention.scale", 0.5), "attention.scale"),
		(&|g| g.float("llama.embedding_scale", 12.0), "embedding_scale"),
		(&|g| g.number("llama.pooling_type", 3), "pooling_type"),
		(
			&|g| g.flag("llama.use_parallel_residual", true),
			"use_parallel_residual",
		),
		(
			&|g| g.ints("llama.rope.dimension_sections", &[8, 8, 0, 0]),
			"dimension_sections",
		),
		(&|g| g.float("llama.rope.scaling.attn_factor", 1.2), "attn_factor"),
		(
			&|g| g.float("llama.rope.scaling.yarn_log_multiplier", 0.1),
			"yarn_log_multiplier",
		),
		(
			&|g| g.text("llama.tensor_data_layout", "reference"),
			"tensor_data_layout",
		),
		(
			&|g| g.number("llama.vocab_size", 271),
			"`llama.vocab_size` is not the number of rows",
		),
		(&|g| g.ints("tokenizer.ggml.suppress_tokens", &[5]), "suppress_tokens"),
		(&|g| g.flag("tokenizer.ggml.add_space_prefix", true), "add_space_prefix"),
		(
			&|g| g.flag("tokenizer.ggml.remove_extra_whitespaces", true),
			"remove_extra_whitespaces",
		),
		(
			&|g| g.text("tokenizer.ggml.pre", "default"),
			"`tokenizer.ggml.pre` is default",
		),
	];
	let mut case = Case::new(json!({}));
	let good = case.gguf.clone();
	for (change, reason) in cases {
		case.gguf = good.clone();
		change(&mut case.gguf);
		let error = case.import().unwrap_err().to_string();
		assert!(error.contains(reason), "{reason}: {error}");
		assert!(!case.dir.path().join("out.partial").exists(), "{reason}");
	}
}

#[test]
fn rotary_factors_mean_what_they_mean_to_llama_cpp() {
	let mut case = Case::new(json!({}));
	let good = case.gguf.clone();
	type Change<'a> = &'a dyn Fn(&mut Gguf);
	let (linear, factor, old) = (
		"llama.rope.scaling.type",
		"llama.rope.scaling.factor",
		"llama.rope.scale_linear",
	);
	let scaled: [Change<'_>; 4] = [
		&|g| g.float(old, 4.0),
		&|g| g.float(factor, 4.0),
		&|g| {
			g.text(linear, "linear");
			g.float(old, 4.0);
		},
		&|g| {
			g.float(factor, 4.0);
			g.float(old, 4.0);
		},
	];
	for change in scaled {
		case.gguf = good.clone();
		change(&mut case.gguf);
		case.import().unwrap();
		assert!(matches!(case.scaling(), RopeScaling::Linear { factor } if factor.0 == 4.0));
	}
	case.gguf = good.clone();
	case.gguf.text(linear, "none");
	case.import().unwrap();
	assert!(matches!(case.scaling(), RopeScaling::None));
	let twice = Case::new(
		json!({ "rope_theta": 500000.0, "rope_scaling": { "rope_type": "llama3", "factor": 8.0,
		"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 } }),
	);
	let refused: [(&Gguf, Change<'_>, &str); 4] = [
		(
			&good,
			&|g| {
				g.text(linear, "none");
				g.float(factor, 4.0);
			},
			"is none, and the factor is 4",
		),
		(
			&good,
			&|g| {
				g.float(factor, 4.0);
				g.float(old, 2.0);
			},
			"contradict each other",
		),
		(
			&good,
			&|g| g.text(linear, "yarn"),
			"`llama.rope.scaling.factor` is missing",
		),
		(&twice.gguf, &|g| g.float(factor, 4.0), "scaled twice"),
	];
	for (base, change, reason) in refused {
		case.gguf = base.clone();
		change(&mut case.gguf);
		let error = case.import().unwrap_err().to_string();
		assert!(error.contains(reason), "{reason}: {error}");
	}
}

#[test]
fn a_token_whose_text_ends_a_turn_is_an_end_with_a_warning() {
	// Of whatever type the file says that it is.
	for kind in [3, 1, 4] {
		let mut case = Case::new(json!({}));
		case.token("<|eot_id|>", kind);
		let (_, warnings) = case.import().unwrap();
		assert_eq!(case.ends(), [EOS, FREE as u32]);
		assert_eq!(warnings.len(), 1, "{warnings:?}");
		assert!(warnings[0].contains("`<|eot_id|>` (token 265)") && warnings[0].contains("eot_token_id"));
		let model = Model::load(&case.out()).unwrap();
		assert!(model.prompt("a <|eot_id|>").unwrap().contains(&(FREE as u32)));
		// Named, it needs no warning.
		case.gguf.number("tokenizer.ggml.eot_token_id", FREE as u32);
		assert!(case.import().unwrap().1.is_empty());
		assert_eq!(case.ends(), [EOS, FREE as u32]);
	}
	// What could be meant as text is an end only if it controls the model.
	for (kind, ends) in [(1, vec![EOS]), (3, vec![EOS, FREE as u32])] {
		let mut case = Case::new(json!({}));
		case.token("</s>", kind);
		case.import().unwrap();
		assert_eq!(case.ends(), ends);
	}
	// Found by its text alone.
	let mut case = Case::new(json!({}));
	case.gguf.remove("tokenizer.ggml.eos_token_id");
	let (_, warnings) = case.import().unwrap();
	assert_eq!(case.ends(), [EOS]);
	assert!(warnings[0].contains("`<|end|>`"), "{warnings:?}");
	// And none at all.
	let (mut texts, kinds) = gguf_writer::vocabulary(&case.plain());
	texts[EOS as usize] = "<|stop|>".into();
	case.gguf.vocabulary(&(texts, kinds));
	let error = case.import().unwrap_err().to_string();
	assert!(error.contains("no token would end an answer"), "{error}");
}

#[test]
fn ends_may_be_a_list() {
	for key in ["tokenizer.ggml.eos_token_ids", "tokenizer.ggml.eos_token_id"] {
		let mut case = Case::new(json!({}));
		case.gguf.remove("tokenizer.ggml.eos_token_id");
		case.gguf.ints(key, &[264, EOS as i32]);
		assert!(case.import().unwrap().1.is_empty());
		assert_eq!(case.ends(), [EOS, 264]);
		case.gguf.ints(key, &[-1]);
		let error = case.import().unwrap_err().to_string();
		assert!(error.contains(&format!("`{key}`")), "{error}");
	}
}

#[test]
fn a_llama_3_1_without_its_frequencies_is_imported_with_a_warning() {
	let theta = json!({ "rope_theta": 500000.0 });
	let warned = |case: &Case| {
		let (_, warnings) = case.import().unwrap();
		warnings.iter().any(|text| text.contains("rope_freqs.weight"))
	};
	let mut case = Case::new(theta.clone());
	assert!(!warned(&case), "a Llama 3");
	case.gguf.text("general.basename", "Llama-3.1");
	assert!(warned(&case));
	let mut case = Case::new(theta);
	case.gguf.text("general.name", "Meta Llama 3.2 1B Instruct");
	assert!(warned(&case));
	let mut case = Case::new(json!({ "rope_theta": 500000.0, "max_position_embeddings": 16384 }));
	assert!(warned(&case), "a long one");
	case.gguf.float("llama.rope.scaling.factor", 2.0);
	assert!(!warned(&case), "scaled otherwise");
	let mut case = Case::new(
		json!({ "rope_theta": 500000.0, "rope_scaling": { "rope_type": "llama3", "factor": 8.0,
		"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192 } }),
	);
	case.gguf.text("general.basename", "Llama-3.1");
	assert!(!warned(&case), "with its frequencies");
}

#[test]
fn the_template_gets_the_tokens_that_the_file_names() {
	const WITH_BOS: &str = "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}";
	let mut case = Case::new(json!({}));
	case.gguf.text("tokenizer.chat_template", WITH_BOS);
	case.gguf.number("tokenizer.ggml.bos_token_id", 262);
	assert!(case.import().unwrap().1.is_empty());
	let first = |case: &Case| Model::load(&case.out()).unwrap().prompt("x").unwrap();
	assert_eq!(first(&case), [262, 120, EOS]);

	// Not named, it is found by its text.
	case.gguf.remove("tokenizer.ggml.bos_token_id");
	case.token("<s>", 3);
	let (_, warnings) = case.import().unwrap();
	assert!(
		warnings[0].contains("bos_token_id") && warnings[0].contains("`<s>`"),
		"{warnings:?}"
	);
	assert_eq!(first(&case), [FREE as u32, 120, EOS]);

	// And without any it is nothing.
	case.token(&format!("[PAD{FREE}]"), 5);
	let (_, warnings) = case.import().unwrap();
	assert!(warnings[0].contains("nothing is written"), "{warnings:?}");
	assert!(template(&case.out()).contains("undefined"));
	assert_eq!(first(&case), [120, EOS]);

	// A beginning that the file asks for and the template does not write.
	let mut case = Case::new(json!({}));
	case.gguf.number("tokenizer.ggml.bos_token_id", 264);
	case.gguf.text(
		"tokenizer.chat_template",
		"{% for m in messages %}<|user|>{{ m.content }}{% endfor %}",
	);
	case.gguf.flag("tokenizer.ggml.add_bos_token", true);
	let (_, warnings) = case.import().unwrap();
	assert!(
		warnings[0].contains("`tokenizer.ggml.add_bos_token` is true"),
		"{warnings:?}"
	);
}

#[test]
fn a_qwen2_without_biases_is_imported_as_the_llama_that_it_is() {
	let mut case = Case::new(json!({ "model_type": "qwen2" }));
	case.gguf.tensors.retain(|(name, ..)| !name.ends_with(".bias"));
	let (_, warnings) = case.import().unwrap();
	assert!(warnings[0].contains("`blk.0.attn_q.bias` is missing"), "{warnings:?}");
	assert_eq!(Manifest::read(&case.out()).unwrap().architecture, "llama");
}
