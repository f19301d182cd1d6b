//! Inputs of which a model makes nothing: every machine gives the same answer to them, and confirms it.

use crate::{
	common::{load, options, write_source, Tiny},
	encoder,
};
use assay_engine::{generate, Engine, Error, Model};
use assay_import::import;
use assay_numerics::trace::Trace;
use assay_primitives::{
	job::{Failure, FinishReason, Output},
	Finding, Hash32, Input, SamplingParams, TraceRoot, Work,
};
use assay_protocol::WorkResult;
use std::fs;

const SEED: Hash32 = [3; 32];

/// A template that writes what it is told to write, unless it is told something else.
const TEMPLATE: &str = "{% set said = messages[0].content %}\
	{% if said == 'raise' %}{{ raise_exception('not this one') }}\
	{% elif said == 'fail' %}{{ said + 1 }}\
	{% elif said == 'loop' %}{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}\
	{% elif said == 'flood' %}{% for i in range(9999) %}{{ 'thirty-two bytes, again and again' }}{% endfor %}\
	{% elif said == 'silence' %}\
	{% elif said == 'mumble' %}{{ said[1:] }}\
	{% elif said == 'rant' %}{{ raise_exception('é' * 200) }}\
	{% else %}{{ said }}{% endif %}";

fn model() -> Model {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	let tiny = Tiny {
		context: 64,
		..Tiny::default()
	};
	write_source(source.path(), tiny);
	fs::write(source.path().join("chat_template.jinja"), TEMPLATE).unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	load(out.path())
}

/// What an input is refused with.
struct Refused {
	failure: Failure,
	text: String,
	input_tokens: u32,
	layers: usize,
}

impl Refused {
	fn new(failure: Failure, text: &str, input_tokens: u32) -> Self {
		Self {
			failure,
			text: text.into(),
			input_tokens,
			layers: 2,
		}
	}
}

fn text(text: &str) -> Input {
	Input::Text(text.as_bytes().to_vec().try_into().unwrap())
}

fn chat(json: &str) -> Input {
	Input::Chat(json.as_bytes().to_vec().try_into().unwrap())
}

/// Checks that an input is refused like this, by itself and in an engine, and that any other claim is rejected at once.
fn refused(model: Model, input: &Input, refused: &Refused) {
	let params = SamplingParams::greedy(5);
	let Refused {
		failure,
		input_tokens,
		layers,
		..
	} = *refused;
	let expected = Output {
		input_tokens,
		tokens: Default::default(),
		text: refused.text.clone().into_bytes().try_into().unwrap(),
		finish: FinishReason::Failed(failure),
	};
	let empty = TraceRoot(Trace::new(layers).root());
	let done = generate::execute(&model, input.clone(), &params, SEED).unwrap();
	assert_eq!((&done.output, done.trace_root), (&expected, empty), "{input:?}");

	let other = match failure {
		Failure::Template => Failure::NoTokens,
		_ => Failure::Template,
	};
	let lies = [
		Output {
			finish: FinishReason::Failed(other),
			..expected.clone()
		},
		Output {
			finish: FinishReason::Length,
			..expected.clone()
		},
		Output {
			input_tokens: input_tokens + 1,
			..expected.clone()
		},
		Output {
			tokens: vec![1, 2].try_into().unwrap(),
			..expected.clone()
		},
		Output {
			text: b"An answer.".to_vec().try_into().unwrap(),
			..expected.clone()
		},
	];
	let confirm = Finding::Confirm { trace_root: empty };
	let reject = Finding::Reject {
		position: 0,
		prefix_root: empty,
	};
	let claims = [(expected.clone(), confirm)]
		.into_iter()
		.chain(lies.map(|lie| (lie, reject)));
	let work = |model: &Model, claim| Work {
		model: model.id(),
		input: input.clone(),
		params: params.clone(),
		seed: SEED,
		claim,
	};
	let claims: Vec<_> = claims
		.map(|(claim, found)| (work(&model, Some(claim)), found))
		.collect();
	let execution = work(&model, None);
	for (work, found) in &claims {
		let claim = work.claim.as_ref().unwrap();
		assert_eq!(
			generate::verify(&model, input.clone(), &params, SEED, claim).unwrap(),
			*found,
			"{input:?}: {claim:?}"
		);
	}

	let mut engine = Engine::new();
	engine.add_as(model.id(), model);
	let executed = WorkResult::Executed {
		output: expected,
		trace_root: empty,
	};
	assert_eq!(engine.run(&execution), executed, "{input:?}");
	for (work, finding) in claims {
		assert_eq!(engine.run(&work), WorkResult::Verified { finding }, "{input:?}");
	}
	// What the chain lets through never comes to this; it says nothing about a claim.
	let bad = Work {
		params: SamplingParams::greedy(0),
		..execution
	};
	assert!(matches!(engine.run(&bad), WorkResult::Abstained { .. }));
	for input in [
		Input::Text(vec![0xFF].try_into().unwrap()),
		chat("{}"),
		chat(r#"{"messages": [{"role": "user", "content": "hi", "color": 1}]}"#),
	] {
		let bad = Work {
			params: params.clone(),
			input,
			..bad.clone()
		};
		assert!(matches!(engine.run(&bad), WorkResult::Abstained { .. }));
	}
}

#[test]
fn a_refusal_that_follows_from_the_input_is_an_answer_all_confirm() {
	for (input, failure, said, input_tokens) in [
		("raise", Failure::Template, "not this one", 0),
		// At a boundary of a character, of two bytes each.
		("rant", Failure::Template, &*"é".repeat(128), 0),
		("fail", Failure::Template, "", 0),
		("loop", Failure::Template, "", 0),
		("flood", Failure::Template, "", 0),
		("silence", Failure::PartLeftOut, "messages[0]", 0),
		("mumble", Failure::PartLeftOut, "messages[0]", 0),
		("", Failure::NoTokens, "", 0),
		(&*"x".repeat(64), Failure::PromptTooLong, "", 64),
		(&*"x".repeat(70), Failure::PromptTooLong, "", 64),
	] {
		refused(model(), &text(input), &Refused::new(failure, said, input_tokens));
	}
	let answered = generate::execute(&model(), "anything else", &SamplingParams::greedy(5), SEED).unwrap();
	assert!(!answered.output.tokens.is_empty());
}

#[test]
fn a_conversation_is_answered_or_refused_by_the_part_left_out() {
	let user = r#"{"role": "user", "content": "hi"}"#;
	let answered = chat(&format!(r#"{{"messages": [{user}]}}"#));
	let done = generate::execute(&model(), answered, &SamplingParams::greedy(5), SEED).unwrap();
	let alone = generate::execute(&model(), "hi", &SamplingParams::greedy(5), SEED).unwrap();
	assert_eq!(
		(&done.output.tokens, done.trace_root),
		(&alone.output.tokens, alone.trace_root)
	);

	let long = "v".repeat(300);
	for (rest, part) in [
		(
			format!(r#""messages": [{user}, {{"role": "user", "content": "more"}}]"#),
			"messages[1]",
		),
		(
			format!(r#""messages": [{user}], "tools": [{{"type": "function", "function": {{"name": "hi"}}}}]"#),
			"tools[0]",
		),
		(
			format!(r#""messages": [{user}], "chat_template_kwargs": {{"enable_thinking": false}}"#),
			"enable_thinking",
		),
		(
			format!(r#""messages": [{user}], "chat_template_kwargs": {{"{long}": 1}}"#),
			&long[..256],
		),
	] {
		let input = chat(&format!("{{{rest}}}"));
		refused(model(), &input, &Refused::new(Failure::PartLeftOut, part, 0));
	}
}

#[test]
fn an_encoder_answers_that_it_generates_nothing() {
	let (_source, out) = encoder::tiny();
	let expected = Refused {
		layers: 0,
		..Refused::new(Failure::NotGenerative, "", 0)
	};
	refused(Model::load(out.path()).unwrap(), &text("hello"), &expected);
}

#[test]
fn parameters_out_of_range_are_an_error_of_an_encoder_too() {
	let (_source, out) = encoder::tiny();
	let model = Model::load(out.path()).unwrap();
	let error = generate::execute(&model, "hello", &SamplingParams::greedy(0), SEED).unwrap_err();
	assert!(matches!(error, Error::Work(_)), "{error}");
}
