//! The promise: a row's bits depend on the row and its prefix, never on what was computed with it.

use crate::common::{model, Tiny};
use assay_primitives::SamplingParams;
use candle_core::Tensor;
use ocw_inference::{
	canonical::Tier,
	generate::{execute, verify_with},
	model::llama::Rows,
	Model,
};

fn tokens(count: usize) -> Vec<u32> {
	(0..count as u32).map(|i| (i * 97 + 13) % 256).collect()
}

fn bits(t: &Tensor) -> Vec<u32> {
	t.flatten_all()
		.unwrap()
		.to_vec1::<f32>()
		.unwrap()
		.iter()
		.map(|v| v.to_bits())
		.collect()
}

/// Residual rows of each layer, final norm and logits, one list a row.
fn rows(model: &Model, tokens: &[u32], chunk: usize) -> Vec<Vec<u32>> {
	let mut cache = model.llama().cache(tokens.len()).unwrap();
	let mut all = Vec::new();
	for chunk in tokens.chunks(chunk) {
		let Rows {
			residual,
			norm,
			first_bad,
		} = model.llama().forward(chunk, &mut cache).unwrap();
		assert_eq!(first_bad, None);
		let logits = model.llama().logits(&norm).unwrap();
		let parts: Vec<_> = residual.iter().chain([&norm, &logits]).cloned().collect();
		for row in 0..chunk.len() {
			all.push(parts.iter().flat_map(|t| bits(&t.narrow(0, row, 1).unwrap())).collect());
		}
	}
	all
}

#[test]
fn decoded_rows_are_the_rows_of_any_prefill() {
	let model = model(Tiny::default());
	// Longer than two attention tiles.
	let tokens = tokens(530);
	let decoded = rows(&model, &tokens, 1);
	for chunk in [2, 3, 7, 33, 64, 256, 530] {
		assert!(rows(&model, &tokens, chunk) == decoded, "prefill by {chunk}");
	}
}

#[test]
fn every_tier_computes_the_same_rows() {
	let detected = rows(&model(Tiny::default()), &tokens(70), 33);
	let portable = rows(&model(Tiny::default()).with_tier(Tier::Portable), &tokens(70), 33);
	assert!(detected == portable);
}

#[test]
fn a_row_does_not_know_what_comes_after_it_or_how_much_room_there_is() {
	let model = model(Tiny {
		tied: false,
		..Tiny::default()
	});
	let long = rows(&model, &tokens(300), 300);
	let short = rows(&model, &tokens(40), 40);
	assert!(long[..40] == short[..]);
}

#[test]
fn verification_confirms_execution_whatever_the_chunk() {
	let model = model(Tiny::default());
	for (seed, temperature) in [(1u8, 0), (2, 1 << 16), (3, 3 << 15)] {
		let params = SamplingParams {
			temperature,
			..SamplingParams::greedy(50)
		};
		let done = execute(&model, "hello world", &params, [seed; 32]).unwrap();
		assert!(!done.output.tokens.is_empty());
		for chunk in [1, 2, 7, 33, 1000] {
			let vote = verify_with(&model, "hello world", &params, [seed; 32], &done.output, chunk).unwrap();
			assert_eq!(
				vote,
				assay_primitives::Vote::Confirm {
					trace_root: done.trace_root
				}
			);
		}
	}
}
