//! Holds the lists of keys in `docs/models.md` against those of the code.

use crate::{checkpoint, generation, sentence_transformers as sentences, tokenizer_files as tokens};
use assay_model_folder::{
	config::keys::{Keys, COMMON, DECODER, ENCODER, GENERATION},
	tokenizer::keys::{ADDED_TOKEN, PARTS, ROOT},
};
use std::{fs, path::Path};

/// Returns the lines of a list in the document.
fn lines(keys: &Keys) -> Vec<String> {
	let names = |keys: &[&str]| keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
	let values = keys.neutral.iter().map(|(key, value)| format!("`{key}` `{value}`"));
	let values = values.collect::<Vec<_>>().join(", ");
	[
		("Read", names(keys.read)),
		("Without effect", names(keys.inert)),
		("Refused but for null or this value", values),
	]
	.into_iter()
	.filter(|(_, keys)| !keys.is_empty())
	.map(|(what, keys)| format!("- {what}: {keys}."))
	.collect()
}

fn words(text: &str) -> String {
	text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn document() -> String {
	let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/models.md");
	words(&fs::read_to_string(path).unwrap())
}

#[test]
fn the_document_lists_every_key_as_the_code_knows_it() {
	let document = document();
	for (of, keys) in [
		("`config.json`, every family", COMMON),
		("`config.json`, decoders", DECODER),
		("`config.json`, `bert`", ENCODER),
		("`quantization_config` of AWQ", checkpoint::AWQ_KEYS),
		("`quantization_config` of GPTQ", checkpoint::GPTQ_KEYS),
		("`generation_config.json`", generation::OWN_KEYS),
		("`generation_config.json`, and `config.json` of old", GENERATION),
		("`sentence_bert_config.json`", sentences::SENTENCE_KEYS),
		("`config_sentence_transformers.json`", sentences::OWN_KEYS),
		("`modules.json`, each step", sentences::STEP_KEYS),
		("`1_Pooling/config.json`", sentences::POOLING_KEYS),
		("`2_Normalize/config.json`", sentences::NORMALIZE_KEYS),
		("`tokenizer_config.json`", tokens::KEYS),
		("`special_tokens_map.json`", tokens::SPECIAL_KEYS),
		("`tokenizer.json`", ROOT),
		("`tokenizer.json`, each of `added_tokens`", ADDED_TOKEN),
	] {
		let expected = format!("**{of}**\n\n{}", lines(&keys).join("\n"));
		assert!(
			document.contains(&words(&expected)),
			"docs/models.md lacks:\n\n{expected}"
		);
	}
}

#[test]
fn the_document_lists_the_keys_of_every_part_of_a_tokenizer() {
	let document = document();
	for (place, kind, keys) in PARTS {
		let keys: Vec<_> = keys
			.iter()
			.filter(|key| **key != "type")
			.map(|key| format!("`{key}`"))
			.collect();
		let row = format!("| `{place}` | `{kind}` | {} |", keys.join(", "));
		assert!(document.contains(&words(&row)), "docs/models.md lacks:\n{row}");
	}
}
