//! Spot checks: every chunk of an honest claim is confirmed from what the trace has before it, and whatever was changed is named.

use crate::common::{model, Tiny};
use assay_engine::{
	generate::{execute, verify_once},
	spot_check::{check, check_once, Flaw, Record, SpotCheck, SpotDefect, SpotFinding},
	Executed, Model,
};
use assay_numerics::Isa;
use assay_primitives::{
	job::{Failure, FinishReason, Output, UncheckedInput},
	Finding, Hash32, SamplingParams, TraceRoot, Work,
};
use codec::{Decode, Encode};
use serde_json::json;

const PROMPT: &str = "hello world, who checks this, and how much of it?";
const SEED: Hash32 = [7; 32];

fn warm(max_tokens: u32) -> SamplingParams {
	SamplingParams {
		temperature: 1 << 16,
		..SamplingParams::greedy(max_tokens)
	}
}

fn work(model: &Model, input: impl Into<UncheckedInput>, params: &SamplingParams, claim: &Output) -> Work {
	Work {
		model: model.id(),
		input: input.into().bounded().unwrap(),
		params: params.clone(),
		seed: SEED,
		claim: Some(claim.clone()),
	}
}

/// An honest answer of four chunks, the last of them short, and its work item.
fn honest(model: &Model) -> (Executed, Work) {
	let params = warm(60);
	let done = execute(model, PROMPT, &params, SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Length);
	let work = work(model, PROMPT, &params, &done.output);
	(done, work)
}

fn with_claim(work: &Work, change: impl FnOnce(&mut Output)) -> Work {
	let mut work = work.clone();
	if let Some(claim) = &mut work.claim {
		change(claim);
	}
	work
}

/// Checks every chunk of a claim that this model makes; returns how many there are.
fn confirmed(model: &Model, work: &Work, root: TraceRoot) -> usize {
	let record = Record::compute(model, work).unwrap();
	assert_eq!(record.trace_root(), root);
	for chunk in 0..record.chunks() {
		let spot = record.make(chunk).unwrap();
		assert_eq!(
			check_once(model, work, &root, &spot).unwrap(),
			SpotFinding::Confirm,
			"chunk {chunk}"
		);
		// As bytes it is the same.
		assert_eq!(SpotCheck::decode(&mut &spot.encode()[..]).unwrap(), spot);
		// Without keys and values it is completed from a record of one's own.
		let mut bare = SpotCheck {
			kv: Vec::new(),
			..spot.clone()
		};
		record.fill(&mut bare).unwrap();
		assert_eq!(bare, spot);
	}
	assert!(record.make(record.chunks()).is_err());
	record.chunks()
}

#[test]
fn every_chunk_of_an_honest_claim_is_confirmed() {
	let model = model(Tiny::default());
	let (done, work) = honest(&model);
	let rows = model.prompt(PROMPT).unwrap().len() + done.output.tokens.len() - 1;
	assert!(rows % 32 > 1, "the last chunk is short");
	assert_eq!(confirmed(&model, &work, done.trace_root), rows.div_ceil(32));
}

#[test]
fn every_instruction_set_confirms_the_chunks_of_another() {
	let (done, work) = honest(&model(Tiny::default()));
	let spots: Vec<_> = {
		let model = model(Tiny::default());
		let record = Record::compute(&model, &work).unwrap();
		(0..record.chunks()).map(|chunk| record.make(chunk).unwrap()).collect()
	};
	for isa in Isa::available() {
		let model = model(Tiny::default()).with_isa(isa);
		for spot in &spots {
			assert_eq!(
				check(&model, &work, &done.trace_root, spot).unwrap(),
				SpotFinding::Confirm,
				"{isa}"
			);
		}
	}
}

#[test]
fn answers_that_end_otherwise_are_confirmed_too() {
	let model = model(Tiny::default());
	// Full to the last row of a chunk, one row, and an end token.
	let prompt = model.prompt(PROMPT).unwrap().len();
	for tokens in [1, 33 - prompt as u32 % 32, 65 - prompt as u32 % 32] {
		let params = warm(tokens);
		let done = execute(&model, PROMPT, &params, SEED).unwrap();
		confirmed(&model, &work(&model, PROMPT, &params, &done.output), done.trace_root);
	}
	let format =
		json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": { "type": "array", "maxItems": 9 } } });
	let chat = json!({ "messages": [{ "role": "user", "content": "x" }], "response_format": format }).to_string();
	let input = UncheckedInput::Chat(chat.into_bytes());
	let params = warm(70);
	let done = execute(&model, input.clone(), &params, SEED).unwrap();
	confirmed(&model, &work(&model, input, &params, &done.output), done.trace_root);
}

#[test]
fn an_answer_that_a_row_ends_is_checked_to_the_row_that_fails() {
	let tokens = honest(&model(Tiny::default())).0.output.tokens;
	let mut ends = std::collections::BTreeSet::new();
	for token in tokens
		.iter()
		.filter(|t| **t < 256 && !PROMPT.bytes().any(|b| u32::from(b) == **t))
	{
		let model = model(Tiny {
			poison: Some(*token),
			..Tiny::default()
		});
		let done = execute(&model, PROMPT, &warm(60), SEED).unwrap();
		if done.output.finish != FinishReason::Failed(Failure::NonFinite) {
			continue;
		}
		let work = work(&model, PROMPT, &warm(60), &done.output);
		let chunks = confirmed(&model, &work, done.trace_root);
		ends.insert((chunks, done.output.tokens.len() % 32));
		// Who says that the answer ends earlier is found out in the last chunk.
		let record = Record::compute(&model, &work).unwrap();
		let spot = record.make(chunks - 1).unwrap();
		let lie = with_claim(&work, |claim| claim.finish = FinishReason::Length);
		let found = check_once(&model, &lie, &done.trace_root, &spot).unwrap();
		assert!(
			matches!(found, SpotFinding::Reject(SpotDefect::Output | SpotDefect::Rows)),
			"{found:?}"
		);
	}
	assert!(!ends.is_empty());
}

#[test]
fn a_prompt_whose_first_row_fails_has_a_chunk_without_leaves() {
	// The first token of every prompt is the template's.
	let first = model(Tiny::default()).prompt(PROMPT).unwrap()[0];
	let model = model(Tiny {
		poison: Some(first),
		..Tiny::default()
	});
	let done = execute(&model, PROMPT, &warm(4), SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Failed(Failure::NonFinite));
	let work = work(&model, PROMPT, &warm(4), &done.output);
	assert_eq!(confirmed(&model, &work, done.trace_root), 1);
	let spot = Record::compute(&model, &work).unwrap().make(0).unwrap();
	assert_eq!((spot.rows, spot.leaves.len(), spot.proof.len()), (0, 0, 0));
	let sound = crate::common::model(Tiny::default());
	let found = check_once(&sound, &work, &done.trace_root, &spot).unwrap();
	assert!(matches!(found, SpotFinding::Reject(SpotDefect::End(_))), "{found:?}");
}

#[test]
fn any_changed_bit_of_what_was_given_makes_it_unusable() {
	let model = model(Tiny::default());
	let (done, work) = honest(&model);
	let record = Record::compute(&model, &work).unwrap();
	for chunk in 0..record.chunks() {
		let spot = record.make(chunk).unwrap();
		let unusable = |why: Flaw, change: &dyn Fn(&mut SpotCheck)| {
			let mut changed = spot.clone();
			change(&mut changed);
			let found = check_once(&model, &work, &done.trace_root, &changed).unwrap();
			assert_eq!(found, SpotFinding::Unusable(why), "chunk {chunk}");
		};
		for i in (0..spot.kv.len()).step_by(997) {
			unusable(Flaw::NotInTrace, &|s| s.kv[i] ^= 1 << (i % 16));
		}
		for i in 0..spot.leaves.len() {
			unusable(Flaw::NotInTrace, &|s| s.leaves[i][i] ^= 0x10);
		}
		for i in 0..spot.proof.len() {
			unusable(Flaw::NotInTrace, &|s| s.proof[i][31 - i % 32] ^= 0x01);
		}
		unusable(Flaw::NotInTrace, &|s| s.proof.push([0; 32]));
		unusable(Flaw::NotInTrace, &|s| _ = s.proof.pop());
		unusable(Flaw::NotInTrace, &|s| s.rows += 1);
		unusable(Flaw::Size, &|s| s.kv.push(0));
		unusable(Flaw::Size, &|s| _ = s.leaves.pop());
		unusable(Flaw::Size, &|s| s.leaves.clear());
		unusable(Flaw::NoChunk, &|s| s.chunk = 1000);
		unusable(Flaw::NoChunk, &|s| s.chunk = u32::MAX);
		unusable(Flaw::NoChunk, &|s| s.rows = u32::MAX);
		// Sizes that nobody can allocate are refused before anything is.
		unusable(Flaw::Size, &|s| (s.rows, s.chunk) = (u32::MAX - 1, u32::MAX / 32));
		if chunk > 0 {
			unusable(Flaw::Size, &|s| s.kv.clear());
			unusable(Flaw::Size, &|s| s.chunk -= 1);
		}
		let other = TraceRoot([9; 32]);
		let found = check_once(&model, &work, &other, &spot).unwrap();
		assert_eq!(found, SpotFinding::Unusable(Flaw::NotInTrace));
	}
}

#[test]
fn a_changed_claim_is_rejected_where_it_was_changed() {
	let model = model(Tiny::default());
	let (done, work) = honest(&model);
	let record = Record::compute(&model, &work).unwrap();
	let prompt = model.prompt(PROMPT).unwrap().len();
	let finding =
		|work: &Work, chunk: usize| check(&model, work, &done.trace_root, &record.make(chunk).unwrap()).unwrap();
	for position in [0, 11, 30, 58] {
		// The text is that of the tokens, so only the rows that choose the token, or have it, are no longer the model's.
		let lie = consistent(&model, &work, position);
		let chosen_by = (prompt - 1 + position) / 32;
		let found = finding(&lie, chosen_by);
		assert!(
			matches!(found, SpotFinding::Reject(SpotDefect::Token(p)) if p as usize == position),
			"{found:?}"
		);
		for chunk in 0..chosen_by {
			assert_eq!(finding(&lie, chunk), SpotFinding::Confirm);
		}
		let fed_to = (prompt + position) / 32;
		if fed_to > chosen_by {
			assert_eq!(finding(&lie, fed_to), SpotFinding::Reject(SpotDefect::Residual(0)));
		}
	}
	let text = with_claim(&work, |claim| claim.text = b"Trust me.".to_vec().try_into().unwrap());
	let count = with_claim(&work, |claim| claim.input_tokens += 1);
	let shorter = with_claim(&work, |claim| {
		let mut tokens = claim.tokens.to_vec();
		tokens.pop();
		claim.tokens = tokens.try_into().unwrap();
	});
	for lie in [text, count, shorter] {
		assert_eq!(finding(&lie, 1), SpotFinding::Reject(SpotDefect::Output));
	}
}

/// The claim with one token changed, and the text that belongs to its tokens.
fn consistent(model: &Model, work: &Work, position: usize) -> Work {
	(1..256u32)
		.find_map(|change| {
			let lie = with_claim(work, |claim| {
				claim.tokens[position] = (claim.tokens[position] + change) % 256;
				let bytes: Vec<u8> = claim.tokens.iter().filter(|t| **t < 256).map(|t| *t as u8).collect();
				claim.text = String::from_utf8_lossy(&bytes)
					.into_owned()
					.into_bytes()
					.try_into()
					.unwrap();
			});
			let claim = lie.claim.clone().unwrap();
			// A full verification finds the token and not the text.
			let found = verify_once(model, PROMPT, &work.params, SEED, &claim).unwrap();
			matches!(found, Finding::Reject { position: at, .. } if at as usize == position).then_some(lie)
		})
		.unwrap()
}

#[test]
fn the_answer_of_another_model_is_caught_in_every_chunk() {
	let params = warm(60);
	let honest = model(Tiny::default());
	for liar in [
		Tiny {
			seed: 2,
			..Tiny::default()
		},
		Tiny {
			levels: 7,
			..Tiny::default()
		},
	] {
		let liar = model(liar);
		let done = execute(&liar, PROMPT, &params, SEED).unwrap();
		let work = work(&liar, PROMPT, &params, &done.output);
		let record = Record::compute(&liar, &work).unwrap();
		for chunk in 0..record.chunks() {
			let spot = record.make(chunk).unwrap();
			let found = check(&honest, &work, &done.trace_root, &spot).unwrap();
			assert!(matches!(found, SpotFinding::Reject(_)), "chunk {chunk}: {found:?}");
		}
	}
}

#[test]
fn what_has_no_chunks_cannot_be_spot_checked() {
	let model = model(Tiny {
		context: 64,
		..Tiny::default()
	});
	let long = "What is a receipt? ".repeat(4);
	let done = execute(&model, &long, &warm(4), SEED).unwrap();
	assert_eq!(done.output.finish, FinishReason::Failed(Failure::PromptTooLong));
	let refused = work(&model, &long, &warm(4), &done.output);
	assert!(Record::compute(&model, &refused).is_err());
	let spot = SpotCheck {
		rows: 0,
		chunk: 0,
		kv: Vec::new(),
		leaves: Vec::new(),
		proof: Vec::new(),
	};
	let found = check_once(&model, &refused, &done.trace_root, &spot).unwrap();
	assert_eq!(found, SpotFinding::Unusable(Flaw::NothingComputed));
	let nothing = Work {
		claim: None,
		..refused.clone()
	};
	assert!(check_once(&model, &nothing, &done.trace_root, &spot).is_err());
}

#[test]
fn a_machine_that_computes_wrongly_rejects_nothing() {
	if Isa::detect() == Isa::Portable && crate::device().is_none() {
		return;
	}
	let (done, work) = honest(&model(Tiny::default()));
	let sound = model(Tiny::default());
	let spot = Record::compute(&sound, &work).unwrap().make(2).unwrap();
	let faulty = model(Tiny::default()).with_a_fault();
	let wrong = check_once(&faulty, &work, &done.trace_root, &spot).unwrap();
	assert!(matches!(wrong, SpotFinding::Reject(_)), "the fault shows: {wrong:?}");
	assert_eq!(
		check(&faulty, &work, &done.trace_root, &spot).unwrap(),
		SpotFinding::Confirm
	);
}
