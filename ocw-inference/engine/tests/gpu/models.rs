//! Whole models: rows, answers and findings of a GPU are the CPU's, and each confirms or rejects what the other claims.

use crate::{
	common::{folder, model, Tiny},
	devices,
};
use assay_engine::{
	generate::{execute, verify, verify_once},
	model::decoder::{Batch, Rows},
	scheduler::{Scheduler, SchedulerLimits},
	sequence::Outcome,
	Model,
};
use assay_numerics::kv::Segment;
use assay_primitives::{Finding, Input, SamplingParams, Work, WorkId};

/// A model on the CPU; [`model`] gives one on the device.
fn here(tiny: Tiny) -> Model {
	Model::load(folder(tiny).path()).unwrap()
}

fn tokens(seed: u32, count: usize) -> Vec<u32> {
	(0..count as u32).map(|i| (i * 97 + 13 + seed * 31) % 256).collect()
}

/// Residual rows of each layer, final norm, logits, keys and values.
fn bits(model: &Model, rows: &Rows) -> Vec<u32> {
	let logits = model.decoder().unwrap().logits(&rows.norm).unwrap();
	let layers = rows.residual.iter().chain([&rows.norm, &logits]);
	let floats = layers.flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
	let kv = rows.kv.iter().map(|bits| u32::from(*bits));
	floats.map(f32::to_bits).chain(kv).collect()
}

/// All rows of one sequence, in pieces.
fn run(model: &Model, tokens: &[u32], pieces: &[usize]) -> Vec<Vec<u32>> {
	let decoder = model.decoder().unwrap();
	let mut pool = decoder.pool(tokens.len().div_ceil(32)).unwrap();
	pool.poison();
	let pages: Vec<_> = std::iter::from_fn(|| pool.alloc()).collect();
	let (mut start, mut all) = (0, Vec::new());
	for take in pieces {
		let segments = [Segment {
			rows: 0..*take,
			start,
			pages: &pages,
		}];
		let batch = Batch {
			tokens: &tokens[start..start + take],
			segments: &segments,
		};
		let rows = decoder.forward(&batch, &mut pool).unwrap();
		assert!(!rows.non_finite.contains(&true));
		all.push(bits(model, &rows));
		start += take;
	}
	all
}

#[test]
fn rows_are_the_cpu_s_in_any_pieces() {
	for tiny in [
		Tiny::default(),
		Tiny {
			seed: 9,
			tied: false,
			..Tiny::default()
		},
	] {
		let here = here(tiny);
		let tokens = tokens(1, 290);
		for device in devices() {
			let there = self::here(tiny).on_gpu(device).unwrap();
			for pieces in [&[290][..], &[1, 2, 3, 7, 33, 244], &[100, 1, 1, 1, 60, 1, 126]] {
				assert!(
					run(&here, &tokens, pieces) == run(&there, &tokens, pieces),
					"{pieces:?}"
				);
			}
		}
	}
}

fn params(temperature: u32, top_k: u32, min_p: u32) -> SamplingParams {
	SamplingParams {
		temperature,
		top_k,
		min_p,
		..SamplingParams::greedy(24)
	}
}

#[test]
fn each_confirms_what_the_other_made_and_rejects_what_it_did_not() {
	let (here, there) = (here(Tiny::default()), model(Tiny::default()));
	let prompt = "hello world";
	for (i, params) in (1u8..).zip([
		params(0, 0, 0),
		params(1 << 16, 0, 0),
		params(1 << 16, 20, 0),
		params(3 << 15, 0, 2000),
	]) {
		let seed = [i; 32];
		let (made_here, made_there) = (
			execute(&here, prompt, &params, seed).unwrap(),
			execute(&there, prompt, &params, seed).unwrap(),
		);
		assert_eq!(made_here, made_there);
		let confirm = Finding::Confirm {
			trace_root: made_here.trace_root,
		};
		for model in [&here, &there] {
			assert_eq!(
				verify_once(model, prompt, &params, seed, &made_here.output).unwrap(),
				confirm
			);
		}
		// Another seed's answer, and one with a token changed: rejected at the same place with the same rows before it.
		let mut claims = vec![execute(&here, prompt, &params, [i + 100; 32]).unwrap().output];
		let mut changed = made_here.output.clone();
		if let Some(token) = changed.tokens.get_mut(3) {
			*token = (*token + 1) % 200;
			claims.push(changed);
		}
		for claim in claims {
			let findings = [&here, &there].map(|model| verify_once(model, prompt, &params, seed, &claim).unwrap());
			assert_eq!(findings[0], findings[1]);
			assert!(params.temperature == 0 || matches!(findings[0], Finding::Reject { .. }));
		}
	}
}

#[test]
fn other_weights_are_rejected_by_the_gpu() {
	let there = model(Tiny::default());
	for cheat in [
		Tiny {
			seed: 2,
			..Tiny::default()
		},
		Tiny {
			levels: 7,
			..Tiny::default()
		},
	] {
		let params = params(1 << 16, 0, 0);
		let claim = execute(&here(cheat), "hello", &params, [5; 32]).unwrap().output;
		let found = verify_once(&there, "hello", &params, [5; 32], &claim).unwrap();
		assert!(matches!(found, Finding::Reject { .. }), "{found:?}");
	}
}

/// The GPU has the only copy of the weights, and the model's directory is gone: they are read again from the open file.
#[test]
fn a_wrong_rejection_by_a_gpu_is_corrected_on_the_cpu() {
	let (here, there) = (here(Tiny::default()), model(Tiny::default()).with_a_fault());
	let params = params(1 << 16, 0, 0);
	let made = execute(&here, "hello", &params, [5; 32]).unwrap();
	let wrong = verify_once(&there, "hello", &params, [5; 32], &made.output).unwrap();
	assert!(matches!(wrong, Finding::Reject { .. }), "{wrong:?}");
	let confirm = Finding::Confirm {
		trace_root: made.trace_root,
	};
	let found = verify(&there, "hello", &params, [5; 32], &made.output).unwrap();
	assert_eq!(found, confirm);
}

#[test]
fn a_row_that_is_not_finite_fails_on_both() {
	let tiny = Tiny {
		poison: Some(77),
		..Tiny::default()
	};
	let (here, there) = (here(tiny), model(tiny));
	for tokens in [[5, 77, 6], [77, 1, 2], [1, 2, 77]] {
		let bad = [&here, &there].map(|model| {
			let decoder = model.decoder().unwrap();
			let mut pool = decoder.pool(1).unwrap();
			let pages = [pool.alloc().unwrap()];
			let segments = [Segment {
				rows: 0..3,
				start: 0,
				pages: &pages,
			}];
			let batch = Batch {
				tokens: &tokens,
				segments: &segments,
			};
			decoder.forward(&batch, &mut pool).unwrap().non_finite
		});
		assert_eq!(bad[0], bad[1]);
	}
}

/// The scheduler drives a GPU as it drives the CPU: mixed jobs in shared batches, on shared pages.
#[test]
fn mixed_jobs_on_a_gpu_have_the_results_of_each_alone_on_the_cpu() {
	let (here, there) = (here(Tiny::default()), model(Tiny::default()));
	let limits = SchedulerLimits {
		max_batched_tokens: 48,
		..SchedulerLimits::default()
	};
	let mut scheduler = Scheduler::new(&there, limits).unwrap();
	let mut expected = std::collections::HashMap::new();
	for i in 0..16u8 {
		let params = params(u32::from(i % 3) << 15, 0, 0);
		let input = format!("hello world {}", "or ".repeat(usize::from(i % 5) * 4));
		let executed = execute(&here, &input, &params, [i; 32]).unwrap();
		let claim = (i % 2 == 1).then(|| executed.output.clone());
		expected.insert(
			WorkId([i; 32]),
			match claim {
				None => Outcome::Executed(executed),
				Some(_) => Outcome::Verified(Finding::Confirm {
					trace_root: executed.trace_root,
				}),
			},
		);
		let work = Work {
			model: there.id(),
			input: Input::Text(input.into_bytes().try_into().unwrap()),
			params,
			seed: [i; 32],
			claim,
		};
		scheduler.submit(WorkId([i; 32]), work).unwrap();
	}
	while !scheduler.is_idle() {
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			assert_eq!(Some(result.unwrap()), expected.remove(&id));
		}
	}
	assert!(expected.is_empty());
}
