//! Every way to claim another answer than the model's is rejected, at the position where it first differs.

use crate::{
	common::{folder, load, model, options, placed, write_source, Tiny, TEMPLATE, VOCABULARY},
	rows::{forward, Sequence},
};
use assay_engine::{
	generate::{execute, verify_once, verify_with},
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome},
	Model,
};
use assay_import::import;
use assay_numerics::trace::Trace;
use assay_primitives::{
	job::{Failure, FinishReason, Output},
	Finding, Hash32, Input, SamplingParams, TraceRoot, Work, WorkId,
};
use std::fs;

const PROMPT: &str = "hello world, who checks this?";
const SEED: Hash32 = [9; 32];

fn warm(max_tokens: u32) -> SamplingParams {
	SamplingParams {
		temperature: 1 << 16,
		..SamplingParams::greedy(max_tokens)
	}
}

/// Returns the root over the rows of the prompt and the first tokens, computed row by row.
fn prefix_root(model: &Model, claim: &Output, position: usize) -> TraceRoot {
	let mut tokens = model.prompt(PROMPT).unwrap();
	tokens.extend(claim.tokens.iter().take(position));
	let decoder = model.decoder().unwrap();
	let mut pool = decoder.pool(tokens.len().div_ceil(32)).unwrap();
	let mut trace = Trace::new(decoder.layers());
	let mut sequence = Sequence::new(tokens, &mut pool);
	while sequence.done < sequence.tokens.len() {
		let rows = forward(model, &mut pool, &mut [&mut sequence], &[1]);
		rows.with_trace_rows(|rows| trace.push(rows, 0..1)).unwrap();
	}
	TraceRoot(trace.root())
}

/// Checks that the claim is rejected at this position, with the same finding for any size of chunk.
fn rejected(model: &Model, params: &SamplingParams, claim: &Output, position: usize) {
	let found = Finding::Reject {
		position: position as u32,
		prefix_root: prefix_root(model, claim, position),
	};
	for chunk in [1, 5, 64] {
		assert_eq!(
			verify_with(model, PROMPT, params, SEED, claim, chunk).unwrap(),
			found,
			"by {chunk}"
		);
	}
}

fn honest(model: &Model, params: &SamplingParams) -> Executed {
	let done = execute(model, PROMPT, params, SEED).unwrap();
	assert_eq!(
		done.output.finish,
		FinishReason::Length,
		"these tests need a run to the end"
	);
	let found = verify_once(model, PROMPT, params, SEED, &done.output).unwrap();
	assert_eq!(
		found,
		Finding::Confirm {
			trace_root: done.trace_root
		}
	);
	done
}

fn with_tokens(claim: &Output, change: impl FnOnce(&mut Vec<u32>)) -> Output {
	let mut tokens = claim.tokens.to_vec();
	change(&mut tokens);
	Output {
		tokens: tokens.try_into().unwrap(),
		..claim.clone()
	}
}

/// Why a claim is rejected at its position.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reason {
	/// The model samples another token there.
	OtherToken,
	/// The model goes on there, the claim doesn't.
	EarlyStop,
	/// The model has ended there, the claim goes on.
	RunOn,
	/// The tokens are the model's; the rest of the claim isn't.
	OtherText,
}

/// Returns the first position at which a claim leaves the truth, and how.
fn fault(lie: &Output, truth: &Output) -> (usize, Reason) {
	let (lies, truths) = (&lie.tokens, &truth.tokens);
	let differs = lies.iter().zip(truths.iter()).position(|(a, b)| a != b);
	match differs {
		Some(position) => (position, Reason::OtherToken),
		None if lies.len() < truths.len() => (lies.len(), Reason::EarlyStop),
		None if lies.len() > truths.len() => (truths.len(), Reason::RunOn),
		None => (truths.len(), Reason::OtherText),
	}
}

/// Returns the answer to the prompt by a model that was changed.
fn answer_of(liar: &Model, params: &SamplingParams) -> Output {
	execute(liar, PROMPT, params, SEED).unwrap().output
}

/// Returns models of the same name with one byte of their weights changed, one after the other all over the file.
fn flipped() -> impl Iterator<Item = Model> {
	let folder = folder(Tiny::default());
	let path = folder.path().join("model.safetensors");
	let weights = fs::read(&path).unwrap();
	let header = 8 + u64::from_le_bytes(weights[..8].try_into().unwrap()) as usize;
	(0..60).map(move |i| {
		let mut bytes = weights.clone();
		let place = header + (bytes.len() - header) / 61 * (i + 1);
		bytes[place] ^= 0x40;
		fs::write(&path, bytes).unwrap();
		assert!(Model::load(folder.path()).is_err(), "byte {place} is checked");
		placed(Model::load_unchecked(folder.path()).unwrap())
	})
}

/// Returns the tiny model with a system prompt that the honest template doesn't have.
fn with_system_prompt() -> Model {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	write_source(source.path(), Tiny::default());
	fs::write(
		source.path().join("chat_template.jinja"),
		format!("Be brief. {TEMPLATE}"),
	)
	.unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	load(out.path())
}

#[test]
fn every_cheat_of_the_table_is_rejected_at_its_position_for_its_reason() {
	let model = model(Tiny::default());
	let params = warm(60);
	let truth = honest(&model, &params).output;
	let changed =
		|change: SamplingParams, prompt: &str, seed: Hash32| execute(&model, prompt, &change, seed).unwrap().output;
	let other_model = crate::common::model(Tiny {
		seed: 2,
		..Tiny::default()
	});
	let four_bits = crate::common::model(Tiny {
		levels: 7,
		..Tiny::default()
	});
	let one_byte = flipped()
		.map(|liar| answer_of(&liar, &params))
		.find(|lie| *lie != truth);
	let cooler = SamplingParams {
		temperature: 3 << 14,
		..params.clone()
	};
	let table = [
		("another model", answer_of(&other_model, &params), Reason::OtherToken),
		(
			"weights of four bits",
			answer_of(&four_bits, &params),
			Reason::OtherToken,
		),
		(
			"one flipped byte of the weights",
			one_byte.expect("one of sixty bytes changes the answer"),
			Reason::OtherToken,
		),
		(
			"another prompt",
			changed(params.clone(), "hello world, who checks that?", SEED),
			Reason::OtherToken,
		),
		(
			"another system prompt",
			Output {
				input_tokens: truth.input_tokens,
				..answer_of(&with_system_prompt(), &params)
			},
			Reason::OtherToken,
		),
		("another temperature", changed(cooler, PROMPT, SEED), Reason::OtherToken),
		(
			"another seed",
			changed(params.clone(), PROMPT, [8; 32]),
			Reason::OtherToken,
		),
		("an early stop", changed(warm(44), PROMPT, SEED), Reason::EarlyStop),
		("a run-on", changed(warm(70), PROMPT, SEED), Reason::RunOn),
		(
			"another text for the same tokens",
			Output {
				text: b"Trust me.".to_vec().try_into().unwrap(),
				..truth.clone()
			},
			Reason::OtherText,
		),
	];
	let findings = table.map(|(cheat, lie, reason)| {
		let (position, found) = fault(&lie, &truth);
		assert_eq!(found, reason, "{cheat}");
		rejected(&model, &params, &lie, position);
		(lie, position)
	});
	// All of them checked in one batch: the same findings.
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	for (i, (lie, _)) in findings.iter().enumerate() {
		let work = Work {
			model: model.id(),
			input: Input::Text(PROMPT.as_bytes().to_vec().try_into().unwrap()),
			params: params.clone(),
			seed: SEED,
			claim: Some(lie.clone()),
		};
		scheduler.submit(WorkId([i as u8; 32]), work).unwrap();
	}
	let mut seen = 0;
	while !scheduler.is_idle() {
		for (id, found) in scheduler.step(&mut |_, _| ()) {
			let (lie, position) = &findings[usize::from(id.0[0])];
			let prefix_root = prefix_root(&model, lie, *position);
			let position = *position as u32;
			assert_eq!(
				found.unwrap(),
				Outcome::Verified(Finding::Reject { position, prefix_root })
			);
			seen += 1;
		}
	}
	assert_eq!(seen, findings.len());
}

#[test]
fn changed_weights_that_sample_the_same_tokens_still_give_another_trace() {
	let model = model(Tiny::default());
	let params = warm(20);
	let truth = honest(&model, &params);
	let mut lucky = 0;
	// The first quarter of the file is the embedding, with rows that this answer never uses.
	for liar in flipped().skip(16).step_by(5) {
		let lie = execute(&liar, PROMPT, &params, SEED).unwrap();
		lucky += usize::from(lie.output == truth.output);
		let findings = [&liar, &model].map(|m| verify_once(m, PROMPT, &params, SEED, &truth.output).unwrap());
		assert_ne!(findings[0], findings[1]);
	}
	assert!(lucky > 0, "some bytes change no token of a short answer");
}

#[test]
fn a_flipped_or_impossible_token_is_rejected_at_its_place() {
	let model = model(Tiny::default());
	let params = warm(40);
	let truth = honest(&model, &params).output;
	for position in [0, 1, 17, 39] {
		rejected(
			&model,
			&params,
			&with_tokens(&truth, |t| t[position] = (t[position] + 1) % 256),
			position,
		);
		rejected(
			&model,
			&params,
			&with_tokens(&truth, |t| t[position] = VOCABULARY),
			position,
		);
		rejected(
			&model,
			&params,
			&with_tokens(&truth, |t| t[position] = u32::MAX),
			position,
		);
	}
}

#[test]
fn an_early_stop_and_a_run_on_are_rejected_at_the_end() {
	let model = model(Tiny::default());
	let params = warm(40);
	let truth = honest(&model, &params).output;
	rejected(&model, &params, &with_tokens(&truth, |t| t.truncate(33)), 33);
	rejected(&model, &params, &with_tokens(&truth, |t| t.clear()), 0);
	rejected(&model, &params, &with_tokens(&truth, |t| t.extend([1, 2, 3])), 40);
}

#[test]
fn a_changed_text_length_or_ending_is_rejected_behind_the_last_token() {
	let model = model(Tiny::default());
	let params = warm(40);
	let truth = honest(&model, &params).output;
	rejected(
		&model,
		&params,
		&Output {
			text: b"Anything else.".to_vec().try_into().unwrap(),
			..truth.clone()
		},
		40,
	);
	rejected(
		&model,
		&params,
		&Output {
			input_tokens: truth.input_tokens + 1,
			..truth.clone()
		},
		40,
	);
	for finish in [
		FinishReason::Eos,
		FinishReason::Stop,
		FinishReason::Failed(Failure::NonFinite),
	] {
		rejected(
			&model,
			&params,
			&Output {
				finish,
				..truth.clone()
			},
			40,
		);
	}
}

#[test]
fn an_answer_ends_with_the_end_token_and_may_not_go_on() {
	let model = model(Tiny::default());
	let params = warm(400);
	let (seed, done) = (0u8..100)
		.map(|s| ([s; 32], execute(&model, PROMPT, &params, [s; 32]).unwrap()))
		.find(|(_, done)| done.output.finish == FinishReason::Eos)
		.expect("one of a hundred answers ends by itself");
	let found = |claim: &Output| verify_once(&model, PROMPT, &params, seed, claim).unwrap();
	assert_eq!(
		found(&done.output),
		Finding::Confirm {
			trace_root: done.trace_root
		}
	);
	let n = done.output.tokens.len();
	let on = with_tokens(&done.output, |t| t.push(5));
	assert!(matches!(found(&on), Finding::Reject { position, .. } if position as usize == n));
	let short = with_tokens(&done.output, |t| t.truncate(n - 1));
	assert!(matches!(found(&short), Finding::Reject { position, .. } if position as usize == n - 1));
}

#[test]
fn a_stop_string_ends_the_answer_before_itself() {
	let model = model(Tiny::default());
	let free = honest(&model, &warm(40)).output;
	let text = String::from_utf8(free.text.to_vec()).unwrap();
	let stop: String = text.chars().skip(12).take(2).collect();
	let at = text.find(&stop).unwrap();
	let params = SamplingParams {
		stop: vec![stop.into_bytes().try_into().unwrap()].try_into().unwrap(),
		..warm(40)
	};
	let done = execute(&model, PROMPT, &params, SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Stop);
	assert_eq!(&done.output.text[..], &text.as_bytes()[..at]);
	assert!(done.output.tokens.len() < free.tokens.len());
	let found = |claim: &Output| verify_once(&model, PROMPT, &params, SEED, claim).unwrap();
	assert_eq!(
		found(&done.output),
		Finding::Confirm {
			trace_root: done.trace_root
		}
	);
	// Going on behind the stop string is a run-on.
	let position = done.output.tokens.len() as u32;
	assert!(matches!(found(&free), Finding::Reject { position: p, .. } if p == position));
}

#[test]
fn a_prompt_that_fills_the_context_fails_the_same_way_for_everyone() {
	let model = model(Tiny {
		context: 64,
		..Tiny::default()
	});
	let params = warm(4);
	let prompt = &"What is a receipt? ".repeat(4);
	let done = execute(&model, prompt, &params, SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Failed(Failure::PromptTooLong));
	assert_eq!((done.output.tokens.len(), done.output.input_tokens), (0, 64));
	let found = verify_once(&model, prompt, &params, SEED, &done.output).unwrap();
	assert_eq!(
		found,
		Finding::Confirm {
			trace_root: done.trace_root
		}
	);
	let lie = with_tokens(&done.output, |t| t.push(1));
	let found = verify_once(&model, prompt, &params, SEED, &lie).unwrap();
	assert_eq!(
		found,
		Finding::Reject {
			position: 0,
			prefix_root: done.trace_root
		}
	);
}

#[test]
fn the_context_ends_an_answer() {
	let model = model(Tiny {
		context: 64,
		..Tiny::default()
	});
	let params = warm(1000);
	let done = execute(&model, "hi", &params, SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Length);
	assert_eq!(done.output.input_tokens as usize + done.output.tokens.len(), 64);
	let found = verify_once(&model, "hi", &params, SEED, &done.output).unwrap();
	assert_eq!(
		found,
		Finding::Confirm {
			trace_root: done.trace_root
		}
	);
	let lie = Output {
		finish: FinishReason::Eos,
		..done.output.clone()
	};
	assert!(
		matches!(verify_once(&model, "hi", &params, SEED, &lie).unwrap(), Finding::Reject { position: p, .. } if p as usize == lie.tokens.len())
	);
}

#[test]
fn a_row_that_is_not_finite_ends_the_answer_with_a_finding_that_all_share() {
	let params = warm(60);
	let candidates = honest(&model(Tiny::default()), &params).output.tokens;
	let (model, done) = candidates
		.iter()
		.skip(3)
		.filter(|t| **t < 256 && !PROMPT.bytes().any(|b| u32::from(b) == **t))
		.map(|token| {
			let model = crate::common::model(Tiny {
				poison: Some(*token),
				..Tiny::default()
			});
			let done = execute(&model, PROMPT, &params, SEED).unwrap();
			(model, done)
		})
		.find(|(_, done)| {
			done.output.tokens.len() > 2 && done.output.finish == FinishReason::Failed(Failure::NonFinite)
		})
		.expect("one of the tokens is generated and fails");
	let n = done.output.tokens.len();
	for chunk in [1, 3, 64] {
		let found = verify_with(&model, PROMPT, &params, SEED, &done.output, chunk).unwrap();
		assert_eq!(
			found,
			Finding::Confirm {
				trace_root: done.trace_root
			}
		);
		for lie in [
			with_tokens(&done.output, |t| t.push(7)),
			Output {
				finish: FinishReason::Length,
				..done.output.clone()
			},
			Output {
				text: Default::default(),
				..done.output.clone()
			},
		] {
			let found = verify_with(&model, PROMPT, &params, SEED, &lie, chunk).unwrap();
			assert_eq!(
				found,
				Finding::Reject {
					position: n as u32,
					prefix_root: done.trace_root
				}
			);
		}
	}
}

#[test]
fn invalid_parameters_are_an_error_and_no_finding() {
	let model = model(Tiny::default());
	assert!(execute(&model, PROMPT, &SamplingParams::greedy(0), SEED).is_err());
	let bad = SamplingParams {
		min_p: 1 << 17,
		..SamplingParams::greedy(4)
	};
	assert!(execute(&model, PROMPT, &bad, SEED).is_err());
}
