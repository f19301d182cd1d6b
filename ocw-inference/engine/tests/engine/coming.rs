//! Models that come and go while others work.

use crate::common::{folder, model, Tiny};
use assay_engine::{
	engine::{Executor, ModelNews},
	generate::execute,
	scheduler::SchedulerLimits,
	Engine, Error, Executed, Model,
};
use assay_primitives::{Input, ModelId, SamplingParams, Work, WorkId};
use assay_protocol::WorkResult;
use std::fs;

fn other() -> Model {
	model(Tiny {
		seed: 2,
		..Tiny::default()
	})
}

fn work(model: ModelId, max_tokens: u32) -> Work {
	Work {
		model,
		input: Input::Text(vec![b'y'; 100].try_into().unwrap()),
		params: SamplingParams::greedy(max_tokens),
		seed: [0; 32],
		claim: None,
	}
}

fn alone(model: &Model, max_tokens: u32) -> Executed {
	execute(model, &"y".repeat(100), &SamplingParams::greedy(max_tokens), [0; 32]).unwrap()
}

fn is(result: &WorkResult, truth: &Executed) -> bool {
	matches!(result, WorkResult::Executed { output, trace_root }
		if *output == truth.output && *trace_root == truth.trace_root)
}

/// An executor of one model with memory for so many of its contexts, its id, and its answer of 200 tokens.
fn serving(contexts: usize) -> (Executor, ModelId, Executed) {
	let model = model(Tiny::default());
	let (id, truth) = (model.id(), alone(&model, 200));
	let context = model.decoder().unwrap().page_bytes() * (model.manifest().context_length() as usize).div_ceil(32);
	let limits = SchedulerLimits {
		kv_bytes: contexts * context,
		..SchedulerLimits::default()
	};
	let mut engine = Engine::with(limits, None);
	engine.add(model).unwrap();
	(engine.executor().unwrap(), id, truth)
}

/// Computes steps until there is news, and returns that with the results on the way and the tokens of each step.
fn until_news(executor: &mut Executor) -> (Vec<ModelNews>, Vec<(WorkId, WorkResult)>, Vec<usize>) {
	let (mut results, mut tokens) = (Vec::new(), Vec::new());
	loop {
		let news = executor.take_news();
		if !news.is_empty() {
			return (news, results, tokens);
		}
		let mut grown = 0;
		results.extend(executor.step(&mut |_, _| grown += 1).unwrap());
		tokens.push(grown);
	}
}

fn run_down(executor: &mut Executor) -> Vec<(WorkId, WorkResult)> {
	let mut results = Vec::new();
	while !executor.is_idle() {
		results.extend(executor.step(&mut |_, _| ()).unwrap());
	}
	results
}

#[test]
fn a_model_is_tested_in_between_the_steps_of_others_and_then_serves() {
	let (mut executor, id, truth) = serving(4);
	let (new, new_id) = (other(), other().id());
	let new_truth = alone(&new, 200);
	executor.submit(WorkId([1; 32]), work(id, 200));
	for _ in 0..20 {
		assert!(executor.step(&mut |_, _| ()).unwrap().is_empty());
	}
	assert!(matches!(
		executor.submit(WorkId([2; 32]), work(new_id, 200)),
		Some(WorkResult::Abstained { .. })
	));
	executor.add("new", Ok(new)).unwrap();
	assert!(!executor.is_idle() && executor.served().len() == 1);
	let (news, results, tokens) = until_news(&mut executor);
	assert!(matches!(&news[..], [ModelNews::Serving(directory, model)] if directory == "new" && model.id == new_id));
	assert!(results.is_empty(), "the answer goes on");
	// Its rows are computed again in a smaller memory; apart from that there is a token in every other step.
	let waits = tokens.split(|grown| *grown > 0).map(<[usize]>::len).skip(1).max();
	assert!(tokens.len() > 10 && waits <= Some(1), "{tokens:?}");

	assert!(executor.submit(WorkId([2; 32]), work(new_id, 200)).is_none());
	let results = run_down(&mut executor);
	assert_eq!(results.len(), 2);
	for (work, result) in &results {
		assert!(is(result, if work.0[0] == 1 { &truth } else { &new_truth }));
	}
	let served: Vec<_> = executor.served().into_iter().map(|model| model.id).collect();
	assert!(served.len() == 2 && served.contains(&id) && served.contains(&new_id));
}

#[test]
fn a_model_that_goes_ends_its_work_first() {
	let (mut executor, id, _) = serving(4);
	let (new, new_id) = (other(), other().id());
	let truth = alone(&new, 50);
	executor.add("new", Ok(new)).unwrap();
	until_news(&mut executor);
	assert!(executor.submit(WorkId([1; 32]), work(new_id, 50)).is_none());
	executor.step(&mut |_, _| ()).unwrap();
	executor.retire("new").unwrap();
	let refused = executor.submit(WorkId([2; 32]), work(new_id, 50));
	assert!(matches!(refused, Some(WorkResult::Abstained { reason }) if reason.contains("not served")));
	let (news, results, _) = until_news(&mut executor);
	assert!(matches!(&news[..], [ModelNews::Stopped(directory)] if directory == "new"));
	assert!(matches!(&results[..], [(WorkId([1, ..]), result)] if is(result, &truth)));
	assert!(executor.is_idle() && executor.served().len() == 1);
	executor.retire("unknown").unwrap();
	assert!(matches!(&executor.take_news()[..], [ModelNews::Stopped(_)]));
	assert!(executor.submit(WorkId([3; 32]), work(id, 5)).is_none());
	assert_eq!(run_down(&mut executor).len(), 1);
}

#[test]
fn a_model_that_goes_during_its_test_is_gone_at_once() {
	let (mut executor, _, _) = serving(4);
	executor.add("new", Ok(other())).unwrap();
	executor.step(&mut |_, _| ()).unwrap();
	executor.retire("new").unwrap();
	assert!(matches!(&executor.take_news()[..], [ModelNews::Stopped(_)]));
	assert!(executor.is_idle() && executor.served().len() == 1);
}

#[test]
fn what_cannot_be_served_is_refused_by_name_and_disturbs_nobody() {
	let (mut executor, id, truth) = serving(2);
	executor.submit(WorkId([1; 32]), work(id, 200));
	executor.step(&mut |_, _| ()).unwrap();

	let bad = folder(Tiny {
		seed: 3,
		..Tiny::default()
	});
	let path = bad.path().join("manifest.json");
	let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	let text = fs::read_to_string(&path).unwrap();
	let answer = file["known_answer"]["answer"].take();
	let changed = text.replace(answer.as_str().unwrap(), &format!("0x{}", "11".repeat(32)));
	fs::write(&path, changed).unwrap();
	executor.add("bad", Model::load(bad.path())).unwrap();
	let (news, ..) = until_news(&mut executor);
	assert!(
		matches!(&news[..], [ModelNews::Refused(name, Error::KnownAnswer { .. })] if name == "bad"),
		"{news:?}"
	);

	executor.add("absent", Model::load(&bad.path().join("absent"))).unwrap();
	executor.add("twice", Ok(model(Tiny::default()))).unwrap();
	// Half of the memory is a byte short of its context.
	let large = model(Tiny {
		seed: 4,
		context: 672,
		..Tiny::default()
	});
	executor.add("large", Ok(large)).unwrap();
	let small = |seed| {
		model(Tiny {
			seed,
			context: 96,
			..Tiny::default()
		})
	};
	executor.add("small", Ok(small(5))).unwrap();
	let (mut news, mut results, _) = until_news(&mut executor);
	while !matches!(news.last(), Some(ModelNews::Serving(..))) {
		let (more, ended, _) = until_news(&mut executor);
		news.extend(more);
		results.extend(ended);
	}
	// A third of it is too little for the first.
	executor.add("third", Ok(small(6))).unwrap();
	news.extend(executor.take_news());
	let reasons: Vec<_> = news
		.iter()
		.map(|news| match news {
			ModelNews::Refused(name, error) => (name.as_str(), error.to_string()),
			ModelNews::Serving(name, _) | ModelNews::Stopped(name) => (name.as_str(), String::new()),
		})
		.collect();
	let expected = [
		("absent", "absent"),
		("twice", "the same"),
		("large", "--engine-kv-memory"),
		("small", ""),
		("third", "one context of tiny takes"),
	];
	assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
	for ((name, reason), (expected, part)) in reasons.iter().zip(expected) {
		assert!(*name == expected && reason.contains(part), "{name}: {reason}");
	}
	results.extend(run_down(&mut executor));
	assert!(matches!(&results[..], [(_, result)] if is(result, &truth)));
	assert_eq!(executor.served().len(), 2);
}

#[test]
fn a_directory_that_is_renamed_goes_on_under_its_new_name() {
	let (mut executor, _, _) = serving(4);
	let (new, new_id) = (other(), other().id());
	let truth = alone(&new, 50);
	executor.add("before", Ok(new)).unwrap();
	until_news(&mut executor);
	executor.submit(WorkId([1; 32]), work(new_id, 50));
	executor.retire("before").unwrap();
	executor.add("after", Ok(other())).unwrap();
	let news = executor.take_news();
	assert!(
		matches!(&news[..], [ModelNews::Stopped(before), ModelNews::Serving(after, model)]
		if before == "before" && after == "after" && model.id == new_id)
	);
	assert!(executor.submit(WorkId([2; 32]), work(new_id, 50)).is_none());
	let results = run_down(&mut executor);
	assert!(results.len() == 2 && results.iter().all(|(_, result)| is(result, &truth)));
	executor.retire("after").unwrap();
	assert!(matches!(&until_news(&mut executor).0[..], [ModelNews::Stopped(name)] if name == "after"));
}
