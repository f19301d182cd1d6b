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
	Finding, Hash32, SamplingParams, TraceRoot, Work,
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

/// Checks that an input is refused for this reason, by itself and in an engine, and that any other claim is rejected at once.
fn refused(model: Model, input: &str, failure: Failure, input_tokens: u32, layers: usize) -> Model {
	let params = SamplingParams::greedy(5);
	let expected = Output {
		input_tokens,
		tokens: Default::default(),
		text: Default::default(),
		finish: FinishReason::Failed(failure),
	};
	let empty = TraceRoot(Trace::new(layers).root());
	let done = generate::execute(&model, input, &params, SEED).unwrap();
	assert_eq!((&done.output, done.trace_root), (&expected, empty), "{input}");

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
		input: input.as_bytes().to_vec().try_into().unwrap(),
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
			generate::verify(&model, input, &params, SEED, claim).unwrap(),
			*found,
			"{input}: {claim:?}"
		);
	}

	let mut engine = Engine::new();
	engine.add_as(model.id(), model);
	let executed = WorkResult::Executed {
		output: expected,
		trace_root: empty,
	};
	assert_eq!(engine.run(&execution), executed, "{input}");
	for (work, finding) in claims {
		assert_eq!(engine.run(&work), WorkResult::Verified { finding }, "{input}");
	}
	// What the chain lets through never comes to this; it says nothing about a claim.
	let bad = Work {
		params: SamplingParams::greedy(0),
		..execution
	};
	assert!(matches!(engine.run(&bad), WorkResult::Abstained { .. }));
	let bad = Work {
		params,
		input: vec![0xFF].try_into().unwrap(),
		..bad
	};
	assert!(matches!(engine.run(&bad), WorkResult::Abstained { .. }));
	self::model()
}

#[test]
fn a_refusal_that_follows_from_the_input_is_an_answer_all_confirm() {
	let mut model = model();
	for (input, failure, input_tokens) in [
		("raise", Failure::Template, 0),
		("fail", Failure::Template, 0),
		("loop", Failure::Template, 0),
		("flood", Failure::Template, 0),
		("silence", Failure::NoTokens, 0),
		(&*"x".repeat(64), Failure::PromptTooLong, 64),
		(&*"x".repeat(70), Failure::PromptTooLong, 64),
	] {
		model = refused(model, input, failure, input_tokens, 2);
	}
	let answered = generate::execute(&model, "anything else", &SamplingParams::greedy(5), SEED).unwrap();
	assert!(!answered.output.tokens.is_empty());
}

#[test]
fn an_encoder_answers_that_it_generates_nothing() {
	let (_source, out) = encoder::tiny();
	refused(Model::load(out.path()).unwrap(), "hello", Failure::NotGenerative, 0, 0);
}

#[test]
fn parameters_out_of_range_are_an_error_of_an_encoder_too() {
	let (_source, out) = encoder::tiny();
	let model = Model::load(out.path()).unwrap();
	let error = generate::execute(&model, "hello", &SamplingParams::greedy(0), SEED).unwrap_err();
	assert!(matches!(error, Error::Work(_)), "{error}");
}
