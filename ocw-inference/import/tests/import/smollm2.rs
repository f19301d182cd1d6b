//! A real chat model from a package: SmolLM2-135M-Instruct, against transformers' float model.

use assay_engine::{generate, Model};
use assay_import::import;
use assay_model_folder::Manifest;
use assay_primitives::{FinishReason, SamplingParams};
use assay_test_fixtures::{fetched, options};
use serde::Deserialize;
use std::fs;

/// Written by `tests/fixtures/make_smollm2.py`.
const ANSWERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/smollm2.json");

/// What the float model answers to a prompt.
#[derive(Deserialize)]
struct Answer {
	prompt: String,
	prompt_tokens: Vec<u32>,
	tokens: Vec<u32>,
	/// At each token, the difference of the two largest logits.
	gaps: Vec<f32>,
}

#[test]
fn a_chat_model_of_a_package_answers_as_its_floats_do() {
	let Some(file) = fetched("smollm2") else { return };
	let out = tempfile::tempdir().unwrap();
	import(&file, out.path(), &options()).unwrap();
	assert_eq!(
		Manifest::read(out.path()).unwrap().provenance.quantizer,
		"gguf q8_0 blocks, bits kept; gguf q4_1 blocks, dequantized: assay w8 blocks of 32, version 1"
	);
	let model = Model::load(out.path()).unwrap();
	// Its vocabulary lacks 21 bytes; what needs one of them is refused.
	let error = model.prompt("a \u{4} b").unwrap_err().to_string();
	assert!(error.contains("U+0004"), "{error}");
	let answers: Vec<Answer> = serde_json::from_slice(&fs::read(ANSWERS).unwrap()).unwrap();
	let (mut same, mut all) = (0, 0);
	for answer in &answers {
		assert_eq!(
			model.prompt(&answer.prompt).unwrap(),
			answer.prompt_tokens,
			"{}",
			answer.prompt
		);
		let params = SamplingParams::greedy(answer.tokens.len() as u32);
		let ours = generate::execute(&model, &answer.prompt, &params, [0; 32])
			.unwrap()
			.output;
		let equal = ours
			.tokens
			.iter()
			.zip(&answer.tokens)
			.take_while(|(a, b)| a == b)
			.count();
		(same, all) = (same + equal, all + answer.tokens.len());
		let gap = answer.gaps.get(equal);
		println!(
			"{}: {equal} of {} tokens, gap {gap:?}",
			answer.prompt,
			answer.tokens.len()
		);
		println!("    {}", String::from_utf8_lossy(&ours.text));
		if let Some(gap) = gap {
			// Where they part, the floats were undecided.
			assert!(*gap < 0.5, "{}: token {equal}, gap {gap}", answer.prompt);
		} else {
			let ends = model.manifest().hyperparameters.eos_token_ids();
			let ended = ends.contains(answer.tokens.last().unwrap());
			assert_eq!(ours.finish == FinishReason::Eos, ended, "{}", answer.prompt);
		}
	}
	println!("{same} of {all} tokens before the first difference");
	assert!(same * 2 > all, "{same} of {all}");
}
