//! Many work items at once have the outcomes of each alone, whatever the scheduler does with them.

use crate::{
	common::{model, Tiny},
	repetitions,
};
use assay_engine::{
	generate::{execute, verify_once},
	scheduler::{Scheduler, SchedulerLimits},
	sequence::Outcome,
	Engine, Error, Model,
};
use assay_numerics::Isa;
use assay_primitives::{job::Output, limits::MAX_OUTPUT_TOKENS, Finding, Input, SamplingParams, Work, WorkId};
use assay_protocol::WorkResult;
use std::collections::BTreeSet;

const WORKS: usize = 64;
const SHARED: &str =
	"The first hundred bytes of these prompts are the same, so that their pages are computed once and shared: ";

fn params(i: usize) -> SamplingParams {
	SamplingParams {
		temperature: [0, 1 << 16, 1 << 15, 3 << 15][i % 4],
		top_k: [0, 40, 0][i % 3],
		min_p: [0, 0, 0, 0, 1 << 10][i % 5],
		stop: match i % 7 {
			0 => vec![b"e".to_vec().try_into().unwrap()].try_into().unwrap(),
			_ => Default::default(),
		},
		..SamplingParams::greedy(3 + (i * 5 % 38) as u32)
	}
}

fn changed(claim: &Output, i: usize) -> Output {
	let mut lie = claim.clone();
	let mut tokens = claim.tokens.to_vec();
	match i % 4 {
		0 => {
			let at = i % tokens.len();
			tokens[at] ^= 1;
		}
		1 => tokens.truncate(tokens.len() / 2),
		2 => tokens.push(9),
		_ => lie.text = b"Anything".to_vec().try_into().unwrap(),
	}
	lie.tokens = tokens.try_into().unwrap();
	lie
}

fn work(model: &Model, prompt: &str, params: SamplingParams, claim: Option<Output>) -> Work {
	Work {
		model: model.id(),
		input: Input::Text(prompt.as_bytes().to_vec().try_into().unwrap()),
		params,
		seed: [0; 32],
		claim,
	}
}

/// Executions at any temperature, verifications of true and of false claims; half of them begin alike.
fn mixed(model: &Model) -> Vec<Work> {
	(0..WORKS)
		.map(|i| {
			let prompt = match i % 8 {
				0..4 => format!("{SHARED}{}", i % 3),
				_ => format!("hello {}", "world ".repeat(i % 13)),
			};
			let (params, seed) = (params(i), [i as u8; 32]);
			let claim = (i % 2 == 1).then(|| {
				let honest = execute(model, &prompt, &params, seed).unwrap().output;
				if i % 4 == 1 {
					honest
				} else {
					changed(&honest, i / 4)
				}
			});
			Work {
				seed,
				..work(model, &prompt, params, claim)
			}
		})
		.collect()
}

fn alone(model: &Model, work: &Work) -> Outcome {
	let input = std::str::from_utf8(work.input.bytes()).unwrap();
	match &work.claim {
		None => Outcome::Executed(execute(model, input, &work.params, work.seed).unwrap()),
		Some(claim) => Outcome::Verified(verify_once(model, input, &work.params, work.seed, claim).unwrap()),
	}
}

fn name(i: usize) -> WorkId {
	WorkId([i as u8; 32])
}

/// Runs all work items together, a few more coming with each step, and cancels some on their way.
fn together(model: &Model, works: &[Work], limits: SchedulerLimits) -> (Vec<Option<Outcome>>, BTreeSet<usize>) {
	let mut scheduler = Scheduler::new(model, limits).unwrap();
	let mut results = vec![None; works.len()];
	let mut cancelled = BTreeSet::new();
	let mut coming = works.iter().enumerate();
	loop {
		let new: Vec<_> = coming.by_ref().take(7).collect();
		for (i, work) in &new {
			scheduler.submit(name(*i), (*work).clone()).unwrap();
		}
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			let slot = &mut results[usize::from(id.0[0])];
			assert!(slot.replace(result.unwrap()).is_none(), "one result a work item");
		}
		// One of those that have just come, and one that has been here for a while.
		for i in new
			.last()
			.into_iter()
			.flat_map(|(i, _)| [*i, i / 2])
			.filter(|i| i % 3 == 0)
		{
			if scheduler.cancel(&name(i)) {
				cancelled.insert(i);
			}
		}
		if new.is_empty() && scheduler.is_idle() {
			return (results, cancelled);
		}
	}
}

fn check(model: &Model, works: &[Work], truth: &[Outcome], limits: SchedulerLimits) {
	let (results, cancelled) = together(model, works, limits);
	assert!(!cancelled.is_empty() && cancelled.len() < WORKS / 4);
	for (i, (result, truth)) in results.iter().zip(truth).enumerate() {
		if cancelled.contains(&i) {
			assert!(result.is_none(), "a cancelled work item has no result");
		} else {
			assert_eq!(result.as_ref(), Some(truth), "work item {i} with {limits:?}");
		}
	}
}

#[test]
fn sixty_four_mixed_work_items_have_the_outcomes_of_each_alone() {
	let model = model(Tiny::default());
	let works = mixed(&model);
	let truth: Vec<_> = works.iter().map(|work| alone(&model, work)).collect();
	let findings = |confirm: bool| {
		let is = |o: &&Outcome| matches!(o, Outcome::Verified(Finding::Confirm { .. })) == confirm;
		truth
			.iter()
			.filter(|o| matches!(o, Outcome::Verified(_)))
			.filter(is)
			.count()
	};
	assert_eq!((findings(true), findings(false)), (WORKS / 4, WORKS / 4));
	let page = model.decoder().unwrap().page_bytes();
	// Pages for two or three at a time, and pages for all.
	let every = [(33, 12), (256, 1000), (7, 12), (33, 1000), (1, 1000), (256, 12)];
	for (max_batched_tokens, pages) in every.into_iter().take(repetitions(100) as usize) {
		let limits = SchedulerLimits {
			max_batched_tokens,
			kv_bytes: pages * page,
			..SchedulerLimits::default()
		};
		for threads in [1, 2] {
			let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			pool.install(|| check(&model, &works, &truth, limits));
		}
	}
	let mut model = model;
	for isa in Isa::available() {
		model = model.with_isa(isa);
		check(&model, &works, &truth, SchedulerLimits::default());
	}
}

#[test]
fn a_shared_beginning_is_computed_once() {
	let model = model(Tiny::default());
	let text = |i: usize| format!("{SHARED}{i}");
	let work = |i: usize| work(&model, &text(i), SamplingParams::greedy(2), None);
	let prompt = model.prompt(&text(0)).unwrap().len() as u64;
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	let mut run = |i: usize| {
		let before = scheduler.computed_tokens();
		scheduler.submit(name(i), work(i)).unwrap();
		while !scheduler.is_idle() {
			for (_, result) in scheduler.step(&mut |_, _| ()) {
				assert_eq!(result.unwrap(), alone(&model, &work(i)));
			}
		}
		scheduler.computed_tokens() - before
	};
	assert_eq!(run(1), prompt + 1);
	assert_eq!(run(2), prompt + 1 - 96);
	// The same prompt again: still the row that samples is computed.
	assert_eq!(run(1), prompt + 1 - 96);
}

#[test]
fn neither_prompts_nor_claims_starve() {
	let model = model(Tiny::default());
	let params = SamplingParams::greedy(3);
	let prompt = |i: usize| format!("{i} {}", "not shared, and long enough for a hundred rows ".repeat(2));
	let claim = |i: usize| execute(&model, &prompt(i), &params, [0; 32]).unwrap().output;
	let claims: Vec<_> = (0..30).map(claim).collect();
	for lonely_is_claim in [true, false] {
		let mut scheduler = Scheduler::new(
			&model,
			SchedulerLimits {
				max_batched_tokens: 32,
				..SchedulerLimits::default()
			},
		)
		.unwrap();
		for (i, claim) in claims.iter().enumerate() {
			let claim = Some(claim.clone()).filter(|_| (i == 29) == lonely_is_claim);
			let work = work(&model, &prompt(i), params.clone(), claim);
			scheduler.submit(name(i), work).unwrap();
		}
		let mut steps = 0;
		while !scheduler.step(&mut |_, _| ()).iter().any(|(id, _)| *id == name(29)) {
			steps += 1;
			assert!(steps < 20, "the last to come waits for all others");
		}
		// Thirty of more than a hundred tokens each, 32 tokens a step.
		assert!(scheduler.running() > 15);
	}
}

#[test]
fn a_full_queue_and_a_work_item_larger_than_the_memory_are_refused() {
	let model = model(Tiny::default());
	let work = |tokens| work(&model, "hello", SamplingParams::greedy(tokens), None);
	let page = model.decoder().unwrap().page_bytes();
	let limits = SchedulerLimits {
		kv_bytes: 2 * page,
		max_waiting: 2,
		..SchedulerLimits::default()
	};
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	assert!(scheduler.submit(name(0), work(40)).is_ok());
	assert!(scheduler.step(&mut |_, _| ()).is_empty());
	assert!(scheduler.submit(name(1), work(40)).is_ok());
	assert!(scheduler.submit(name(2), work(40)).is_ok());
	assert!(scheduler.submit(name(3), work(40)).is_err());
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	assert!(scheduler.submit(name(4), work(100)).is_err());
	assert!(scheduler.is_idle());
}

/// Returns the bytes of keys and values of a tiny model's whole context.
fn context_bytes(model: &Model) -> usize {
	model.decoder().unwrap().page_bytes() * (model.manifest().context_length() as usize).div_ceil(32)
}

#[test]
fn a_model_whose_context_does_not_fit_its_share_is_not_served() {
	let models = || {
		[640, 320, 64].map(|context| {
			model(Tiny {
				context,
				..Tiny::default()
			})
		})
	};
	let needed = models().each_ref().map(context_bytes);
	// Of all three: the largest has its context. A byte less: it has not, and without it the others have.
	for (kv_bytes, served) in [
		(3 * needed[0], 3),
		(3 * needed[0] - 1, 2),
		(2 * needed[1] - 1, 1),
		(needed[2] - 1, 0),
	] {
		let limits = SchedulerLimits {
			kv_bytes,
			..SchedulerLimits::default()
		};
		let mut engine = Engine::with(limits, None);
		let ids = models().map(|model| engine.add(model).unwrap());
		assert_eq!(engine.executor().is_ok(), served == 3);
		let dropped = engine.drop_models_beyond_memory();
		assert_eq!(dropped.len(), 3 - served, "{kv_bytes}");
		for (i, error) in dropped.iter().enumerate() {
			let Error::KvMemory { id, share, enough, .. } = error else {
				panic!("{error}")
			};
			assert_eq!(
				(*id, *share, *enough),
				(ids[i], kv_bytes / (3 - i), needed[i] * (3 - i))
			);
			let told = error.to_string();
			assert!(
				told.contains("--engine-kv-memory") && told.contains(&enough.to_string()),
				"{told}"
			);
		}
		let mut left: Vec<_> = engine.served().iter().map(|model| model.id).collect();
		left.sort_unstable();
		let mut expected = ids[3 - served..].to_vec();
		expected.sort_unstable();
		assert_eq!(left, expected);
		assert!(engine.executor().is_ok());
	}
}

#[test]
fn work_that_fills_the_context_runs_in_the_least_memory() {
	let model = model(Tiny {
		context: 320,
		..Tiny::default()
	});
	let kv_bytes = context_bytes(&model);
	let limits = SchedulerLimits {
		kv_bytes,
		..SchedulerLimits::default()
	};
	let work = work(&model, &"y".repeat(100), SamplingParams::greedy(1000), None);
	let mut engine = Engine::with(limits, None);
	engine.add(model).unwrap();
	assert!(engine.drop_models_beyond_memory().is_empty());
	let WorkResult::Executed { output, .. } = engine.run(&work) else {
		panic!("it fits")
	};
	assert_eq!(output.input_tokens as usize + output.tokens.len(), 320);
	let checked = engine.run(&Work {
		claim: Some(output),
		..work
	});
	assert!(matches!(
		checked,
		WorkResult::Verified {
			finding: Finding::Confirm { .. }
		}
	));
}

#[test]
fn the_longest_answer_is_made_and_checked() {
	let tokens = repetitions(MAX_OUTPUT_TOKENS);
	let model = model(Tiny {
		context: 4_608,
		..Tiny::default()
	});
	let work = work(&model, &"y".repeat(100), SamplingParams::greedy(tokens), None);
	let mut engine = Engine::new();
	engine.add(model).unwrap();
	assert!(engine.drop_models_beyond_memory().is_empty());
	let WorkResult::Executed { output, trace_root } = engine.run(&work) else {
		panic!("it fits")
	};
	assert_eq!(output.tokens.len(), tokens as usize);
	let claim = Some(output);
	let finding = Finding::Confirm { trace_root };
	assert_eq!(engine.run(&Work { claim, ..work }), WorkResult::Verified { finding });
}

#[test]
fn models_take_turns_and_share_the_memory() {
	let models = [1, 2].map(|seed| {
		model(Tiny {
			seed,
			..Tiny::default()
		})
	});
	let ids = models.each_ref().map(Model::id);
	let mut engine = Engine::with(
		SchedulerLimits {
			kv_bytes: 1 << 20,
			..SchedulerLimits::default()
		},
		None,
	);
	let mut truth = Vec::new();
	for model in models {
		truth.push(execute(&model, "hello", &SamplingParams::greedy(30), [0; 32]).unwrap());
		engine.add(model).unwrap();
	}
	let mut executor = engine.executor().unwrap();
	for (i, id) in ids.iter().enumerate() {
		let work = Work {
			model: *id,
			input: Input::Text(b"hello".to_vec().try_into().unwrap()),
			params: SamplingParams::greedy(30),
			seed: [0; 32],
			claim: None,
		};
		assert!(executor.submit(name(i), work).is_none());
	}
	let mut ends = Vec::new();
	for step in 0.. {
		if executor.is_idle() {
			break;
		}
		for (id, result) in executor.step(&mut |_, _| ()).unwrap() {
			let truth = &truth[usize::from(id.0[0])];
			let WorkResult::Executed { output, trace_root } = result else {
				panic!("an answer was made")
			};
			assert_eq!((&output, trace_root), (&truth.output, truth.trace_root));
			ends.push((step, output.tokens.len()));
		}
	}
	let [(first, n), (second, m)] = ends[..] else {
		panic!("two answers were made")
	};
	// Had one run after the other, the first would have ended after as many steps as it has tokens.
	assert!(first + 1 >= 2 * n.min(m) - 1 && second > first, "{ends:?}");
}
