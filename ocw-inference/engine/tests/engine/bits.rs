//! The promise: a row's bits depend on the row and its prefix, never on what was computed with it.

use crate::{
	common::{model, Tiny},
	rows::{alone, bits, forward, Sequence},
};
use assay_engine::generate::{execute, verify_with};
use assay_numerics::Isa;
use assay_primitives::{Finding, SamplingParams};

fn tokens(seed: u32, count: usize) -> Vec<u32> {
	(0..count as u32).map(|i| (i * 97 + 13 + seed * 31) % 256).collect()
}

#[test]
fn decoded_rows_are_the_rows_of_any_prefill() {
	let model = model(Tiny::default());
	// Longer than two attention tiles.
	let tokens = tokens(0, 530);
	let decoded = alone(&model, &tokens, 1);
	for chunk in [2, 3, 7, 33, 64, 256, 530] {
		assert!(alone(&model, &tokens, chunk) == decoded, "prefill by {chunk}");
	}
}

#[test]
fn every_instruction_set_computes_the_same_rows_on_any_number_of_threads() {
	let detected = alone(&model(Tiny::default()), &tokens(0, 70), 33);
	for isa in Isa::available() {
		let model = model(Tiny::default()).with_isa(isa);
		for threads in [1, 2, 3] {
			let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			let rows = pool.install(|| alone(&model, &tokens(0, 70), 33));
			assert!(rows == detected, "{isa} on {threads} threads");
		}
	}
}

#[test]
fn a_row_does_not_know_what_comes_after_it() {
	let model = model(Tiny {
		tied: false,
		..Tiny::default()
	});
	let long = alone(&model, &tokens(0, 300), 300);
	let short = alone(&model, &tokens(0, 40), 40);
	assert!(long[..40] == short[..]);
}

#[test]
fn sequences_that_share_batches_and_reuse_pages_have_the_rows_of_each_alone() {
	let model = model(Tiny::default());
	let mut pool = model.decoder().unwrap().pool(40).unwrap();
	// Pages in an order of no meaning, with the leftovers of others in them.
	let mut used: Vec<_> = (0..40).map(|_| pool.alloc().unwrap()).collect();
	used.sort_by_key(|page| page.index() * 7 % 40);
	used.into_iter().for_each(|page| pool.free(page));
	let lengths = [300, 41, 1, 97, 64];
	let mut all: Vec<_> = (0..)
		.zip(lengths)
		.map(|(i, n)| Sequence::new(tokens(i, n), &mut pool))
		.collect();
	let mut rows = vec![Vec::new(); lengths.len()];
	for step in 0usize.. {
		let left = |s: &Sequence| s.tokens.len() - s.done;
		let takes: Vec<_> = all
			.iter()
			.enumerate()
			.map(|(i, s)| left(s).min([7, 1, 33, 0, 5][(i + step) % 5]))
			.collect();
		if all.iter().all(|s| left(s) == 0) {
			break;
		}
		if takes.iter().all(|take| *take == 0) {
			continue;
		}
		let mut sequences: Vec<_> = all.iter_mut().collect();
		let computed = forward(&model, &mut pool, &mut sequences, &takes);
		let mut found = bits(&model, &computed).into_iter();
		for (rows, take) in rows.iter_mut().zip(&takes) {
			rows.extend(found.by_ref().take(*take));
		}
	}
	for (i, (rows, sequence)) in rows.iter().zip(&all).enumerate() {
		assert!(*rows == alone(&model, &sequence.tokens, 1), "sequence {i}");
	}
}

#[test]
fn a_row_that_is_not_finite_leaves_the_other_sequences_of_its_batch_alone() {
	let model = model(Tiny {
		poison: Some(77),
		..Tiny::default()
	});
	let mut pool = model.decoder().unwrap().pool(3).unwrap();
	let [mut first, mut bad, mut last] =
		[vec![1, 2, 3, 4], vec![5, 77, 6], vec![7, 8, 9]].map(|tokens| Sequence::new(tokens, &mut pool));
	let rows = forward(&model, &mut pool, &mut [&mut first, &mut bad, &mut last], &[4, 3, 3]);
	assert_eq!(rows.non_finite[..6], [false, false, false, false, false, true]);
	assert_eq!(rows.non_finite[7..], [false; 3]);
	let found = bits(&model, &rows);
	assert!(found[..4] == alone(&model, &first.tokens, 4)[..]);
	assert!(found[7..] == alone(&model, &last.tokens, 3)[..]);
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
			let found = verify_with(&model, "hello world", &params, [seed; 32], &done.output, chunk).unwrap();
			assert_eq!(
				found,
				Finding::Confirm {
					trace_root: done.trace_root
				}
			);
		}
	}
}
