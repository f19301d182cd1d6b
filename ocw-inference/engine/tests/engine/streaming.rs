//! The text of an answer while it is generated: it grows, and no part of a stop string is ever in it.

use crate::common::{model, Tiny};
use assay_engine::{
	generate::{execute, execute_with},
	scheduler::{Scheduler, SchedulerLimits},
	sequence::Outcome,
	Model,
};
use assay_primitives::{job::Output, stream::StreamToken, FinishReason, Input, SamplingParams, Work, WorkId};

const SEED: [u8; 32] = [7; 32];

/// Ordinary text, of tokens of one byte and more.
fn params(stop: &[&str]) -> SamplingParams {
	let stop = stop.iter().map(|stop| stop.as_bytes().to_vec().try_into().unwrap());
	SamplingParams {
		temperature: 1 << 16,
		stop: stop.collect::<Vec<_>>().try_into().unwrap(),
		..SamplingParams::greedy(40)
	}
}

/// Returns an answer and the texts that were reported while it was generated.
fn streamed(model: &Model, params: &SamplingParams) -> (Output, Vec<String>) {
	let mut texts = Vec::new();
	let mut on_token = |text: &str| texts.push(text.to_owned());
	let executed = execute_with(model, "hello", params, SEED, &mut on_token).unwrap();
	(executed.output, texts)
}

#[test]
fn the_text_is_reported_with_each_token_and_grows_to_the_answers() {
	let model = model(Tiny::default());
	let (output, texts) = streamed(&model, &params(&[]));
	assert_eq!(texts.len(), output.tokens.len());
	assert!(texts.windows(2).all(|two| two[1].starts_with(&two[0])), "{texts:?}");
	assert_eq!(texts.last().unwrap().as_bytes(), &output.text[..]);
}

#[test]
fn no_part_of_a_stop_string_is_reported_wherever_it_lies() {
	let model = model(Tiny::default());
	let whole = execute(&model, "hello", &params(&[]), SEED).unwrap().output.text;
	let whole = String::from_utf8(whole.to_vec()).unwrap();
	let characters: Vec<char> = whole.chars().collect();
	let (mut stopped, mut almost) = (0, 0);
	for begin in (0..characters.len()).step_by(5) {
		let stop: String = characters[begin..].iter().take(3).collect();
		for stop in [stop.clone(), format!("{stop}\u{1}")] {
			let comes = whole.contains(&stop);
			let (output, texts) = streamed(&model, &params(&["never said", &stop]));
			let end = String::from_utf8(output.text.to_vec()).unwrap();
			assert_eq!(output.finish == FinishReason::Stop, comes, "{stop:?}");
			assert_eq!(end, whole.split(&stop).next().unwrap());
			assert!(texts.iter().all(|text| end.starts_with(text)), "{stop:?}: {texts:?}");
			assert_eq!(texts.last(), Some(&end), "the rest comes at the end");
			if comes {
				stopped += 1;
			} else {
				almost += 1;
			}
		}
	}
	assert!(stopped > 3 && almost > 3, "{whole:?}");
}

#[test]
fn an_answer_that_fails_is_reported_to_its_last_character() {
	let tokens = streamed(&model(Tiny::default()), &params(&[])).0.tokens;
	let poisons = tokens.iter().skip(3).filter(|token| (0x21..0x7F).contains(*token));
	let failed = poisons.filter_map(|poison| {
		let model = model(Tiny {
			poison: Some(*poison),
			..Tiny::default()
		});
		let last = char::from_u32(*poison)?;
		let (output, texts) = streamed(&model, &params(&[&format!("{last} never comes")]));
		matches!(output.finish, FinishReason::Failed(_)).then_some((output, texts))
	});
	let (output, texts) = failed
		.into_iter()
		.next()
		.expect("one of the tokens is generated and fails");
	assert!(!output.text.is_empty());
	assert_eq!(texts.last().unwrap().as_bytes(), &output.text[..]);
}

/// Returns the tokens that a scheduler reports of each work item, and its outcomes.
fn reported(model: &Model, works: &[Work], limits: SchedulerLimits) -> (Vec<Vec<StreamToken>>, Vec<Output>) {
	let mut scheduler = Scheduler::new(model, limits).unwrap();
	let mut streams = vec![Vec::new(); works.len()];
	let mut outputs: Vec<_> = works.iter().map(|_| None).collect();
	let mut coming = works.iter().enumerate();
	loop {
		for (i, work) in coming.by_ref().take(9) {
			scheduler.submit(WorkId([i as u8; 32]), work.clone()).unwrap();
		}
		let mut on_token = |id: &WorkId, token| streams[usize::from(id.0[0])].push(token);
		for (id, result) in scheduler.step(&mut on_token) {
			let Outcome::Executed(executed) = result.unwrap() else {
				panic!("all are executions")
			};
			outputs[usize::from(id.0[0])] = Some(executed.output);
		}
		if scheduler.is_idle() {
			return (streams, outputs.into_iter().map(Option::unwrap).collect());
		}
	}
}

/// Of random bytes as tokens, characters are begun and broken, special tokens come, and stop strings almost.
#[test]
fn tokens_are_reported_once_with_what_each_adds_in_any_batches() {
	let model = model(Tiny::default());
	let work = |i: u8| {
		let stops: [&[&str]; 4] = [
			&[],
			&["e"],
			&["ab", "\u{FFFD}\u{FFFD}"],
			&["<|user|>", "th", "\u{FFFD}a"],
		];
		Work {
			model: model.id(),
			input: Input::Text(format!("request {}", i / 4).into_bytes().try_into().unwrap()),
			params: SamplingParams {
				max_tokens: 3 + u32::from(i) % 60,
				temperature: u32::from(i % 3) << 16,
				..params(stops[usize::from(i) % 4])
			},
			seed: [i; 32],
			claim: None,
		}
	};
	let works: Vec<Work> = (0..64).map(work).collect();
	let (streams, outputs) = reported(&model, &works, SchedulerLimits::default());
	let small = SchedulerLimits {
		max_batched_tokens: 7,
		max_running: 5,
		..SchedulerLimits::default()
	};
	assert_eq!(reported(&model, &works, small), (streams.clone(), outputs.clone()));
	let (mut held, mut silent) = (0, 0);
	for (stream, output) in streams.iter().zip(&outputs) {
		let ids: Vec<u32> = stream.iter().map(|token| token.id).collect();
		assert_eq!(ids[..], output.tokens[..]);
		let text: String = stream.iter().map(|token| token.text.as_str()).collect();
		assert!(output.text.starts_with(text.as_bytes()), "{text:?} {output:?}");
		held += usize::from(text.len() < output.text.len());
		silent += stream.iter().filter(|token| token.text.is_empty()).count();
		if matches!(output.finish, FinishReason::Stop) {
			assert_eq!(text.as_bytes(), &output.text[..], "before a stop string all is certain");
		}
	}
	assert!(held > 0 && silent > 10, "{held} {silent}");
}
