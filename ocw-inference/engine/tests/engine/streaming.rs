//! The text of an answer while it is generated: it grows, and no part of a stop string is ever in it.

use crate::common::{model, Tiny};
use assay_engine::{
	generate::{execute, execute_with},
	Model,
};
use assay_primitives::{job::Output, FinishReason, SamplingParams};

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
