//! Many jobs at once come to what each comes to alone, whatever the scheduler does with them.

use crate::{
	common::{model, Tiny},
	repetitions,
};
use assay_engine::{
	generate::{execute, verify, Finished, Job},
	scheduler::{Limits, Scheduler},
	Engine, Model,
};
use assay_numerics::Isa;
use assay_primitives::{job::Output, SamplingParams, Vote, WorkId};
use assay_protocol::{Work, WorkResult};
use std::collections::BTreeSet;

const JOBS: usize = 64;
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

/// Executions at any temperature, verifications of true and of false claims; half of them begin alike.
fn jobs(model: &Model) -> Vec<Job> {
	(0..JOBS)
		.map(|i| {
			let input = match i % 8 {
				0..4 => format!("{SHARED}{}", i % 3),
				_ => format!("hello {}", "world ".repeat(i % 13)),
			};
			let (params, seed) = (params(i), [i as u8; 32]);
			let claim = (i % 2 == 1).then(|| {
				let honest = execute(model, &input, &params, seed).unwrap().output;
				if i % 4 == 1 {
					honest
				} else {
					changed(&honest, i / 4)
				}
			});
			Job {
				input,
				params,
				seed,
				claim,
			}
		})
		.collect()
}

fn alone(model: &Model, job: &Job) -> Finished {
	let Job {
		input,
		params,
		seed,
		claim,
	} = job;
	match claim {
		None => Finished::Executed(execute(model, input, params, *seed).unwrap()),
		Some(claim) => Finished::Verified(verify(model, input, params, *seed, claim).unwrap()),
	}
}

fn name(i: usize) -> WorkId {
	WorkId([i as u8; 32])
}

/// Runs all jobs together, a few more coming with each step, and cancels some on their way.
fn together(model: &Model, jobs: &[Job], limits: Limits) -> (Vec<Option<Finished>>, BTreeSet<usize>, u64) {
	let mut scheduler = Scheduler::new(model, limits).unwrap();
	let mut results = vec![None; jobs.len()];
	let mut cancelled = BTreeSet::new();
	let mut coming = jobs.iter().enumerate();
	loop {
		let new: Vec<_> = coming.by_ref().take(7).collect();
		for (i, job) in &new {
			scheduler.submit(name(*i), (*job).clone()).unwrap();
		}
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			let slot = &mut results[usize::from(id.0[0])];
			assert!(slot.replace(result.unwrap()).is_none(), "one result a job");
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
			return (results, cancelled, scheduler.rows());
		}
	}
}

fn check(model: &Model, jobs: &[Job], truth: &[Finished], limits: Limits) -> u64 {
	let (results, cancelled, rows) = together(model, jobs, limits);
	assert!(!cancelled.is_empty() && cancelled.len() < JOBS / 4);
	for (i, (result, truth)) in results.iter().zip(truth).enumerate() {
		match cancelled.contains(&i) {
			true => assert!(result.is_none(), "a cancelled job has no result"),
			false => assert_eq!(result.as_ref(), Some(truth), "job {i} with {limits:?}"),
		}
	}
	rows
}

#[test]
fn sixty_four_mixed_jobs_come_to_what_each_comes_to_alone() {
	let model = model(Tiny::default());
	let jobs = jobs(&model);
	let truth: Vec<_> = jobs.iter().map(|job| alone(&model, job)).collect();
	let votes = |confirm: bool| {
		let is = |f: &&Finished| matches!(f, Finished::Verified(Vote::Confirm { .. })) == confirm;
		truth
			.iter()
			.filter(|f| matches!(f, Finished::Verified(_)))
			.filter(is)
			.count()
	};
	assert_eq!((votes(true), votes(false)), (JOBS / 4, JOBS / 4));
	let page = model.decoder().unwrap().page_bytes();
	// Pages for two or three at a time, and pages for all.
	let every = [(33, 12), (256, 1000), (7, 12), (33, 1000), (1, 1000), (256, 12)];
	for (rows, pages) in every.into_iter().take(repetitions(100) as usize) {
		let limits = Limits {
			rows,
			kv_bytes: pages * page,
			..Limits::default()
		};
		for threads in [1, 2] {
			let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
			pool.install(|| check(&model, &jobs, &truth, limits));
		}
	}
	let mut model = model;
	for isa in Isa::available() {
		model = model.with_isa(isa);
		check(&model, &jobs, &truth, Limits::default());
	}
}

#[test]
fn a_shared_beginning_is_computed_once() {
	let model = model(Tiny::default());
	let job = |i: usize| Job {
		input: format!("{SHARED}{i}"),
		params: SamplingParams::greedy(2),
		seed: [0; 32],
		claim: None,
	};
	let prompt = model.prompt(&job(0).input).unwrap().len() as u64;
	let mut scheduler = Scheduler::new(&model, Limits::default()).unwrap();
	let mut run = |i: usize| {
		let before = scheduler.rows();
		scheduler.submit(name(i), job(i)).unwrap();
		while !scheduler.is_idle() {
			for (_, result) in scheduler.step(&mut |_, _| ()) {
				assert_eq!(result.unwrap(), alone(&model, &job(i)));
			}
		}
		scheduler.rows() - before
	};
	assert_eq!(run(1), prompt + 1);
	assert_eq!(run(2), prompt + 1 - 96);
	// The same prompt again: still the row that chooses is computed.
	assert_eq!(run(1), prompt + 1 - 96);
}

#[test]
fn neither_prompts_nor_claims_starve() {
	let model = model(Tiny::default());
	let prompt = |i: usize, claim: Option<Output>| Job {
		input: format!("{i} {}", "not shared, and long enough for a hundred rows ".repeat(2)),
		params: SamplingParams::greedy(3),
		seed: [0; 32],
		claim,
	};
	let claim = |i: usize| {
		Some(
			execute(&model, &prompt(i, None).input, &SamplingParams::greedy(3), [0; 32])
				.unwrap()
				.output,
		)
	};
	let claims: Vec<_> = (0..30).map(claim).collect();
	for lonely_is_claim in [true, false] {
		let mut scheduler = Scheduler::new(
			&model,
			Limits {
				rows: 32,
				..Limits::default()
			},
		)
		.unwrap();
		for (i, claim) in claims.iter().enumerate() {
			let claim = claim.clone().filter(|_| (i == 29) == lonely_is_claim);
			scheduler.submit(name(i), prompt(i, claim)).unwrap();
		}
		let mut steps = 0;
		while !scheduler.step(&mut |_, _| ()).iter().any(|(id, _)| *id == name(29)) {
			steps += 1;
			assert!(steps < 20, "the last to come waits for all others");
		}
		// Thirty of more than a hundred rows each, 32 rows a step.
		assert!(scheduler.load().0 > 15);
	}
}

#[test]
fn a_full_queue_and_a_job_larger_than_the_memory_are_refused() {
	let model = model(Tiny::default());
	let job = Job {
		input: "hello".into(),
		params: SamplingParams::greedy(40),
		seed: [0; 32],
		claim: None,
	};
	let page = model.decoder().unwrap().page_bytes();
	let limits = Limits {
		kv_bytes: 2 * page,
		waiting: 2,
		..Limits::default()
	};
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	assert!(scheduler.submit(name(0), job.clone()).is_ok());
	assert!(scheduler.step(&mut |_, _| ()).is_empty());
	assert!(scheduler.submit(name(1), job.clone()).is_ok());
	assert!(scheduler.submit(name(2), job.clone()).is_ok());
	assert!(scheduler.submit(name(3), job.clone()).is_err());
	let large = Job {
		params: SamplingParams::greedy(100),
		..job
	};
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	assert!(scheduler.submit(name(4), large).is_err());
	assert!(scheduler.is_idle());
}

#[test]
fn the_text_is_told_as_it_grows() {
	let model = model(Tiny::default());
	let job = jobs(&model).swap_remove(2);
	let mut scheduler = Scheduler::new(&model, Limits::default()).unwrap();
	scheduler.submit(name(2), job.clone()).unwrap();
	let (mut texts, mut done) = (Vec::new(), Vec::new());
	while !scheduler.is_idle() {
		done.extend(scheduler.step(&mut |id, text| {
			assert_eq!(*id, name(2));
			texts.push(text.to_owned());
		}));
	}
	let Some((_, Ok(Finished::Executed(executed)))) = done.pop() else {
		panic!("an answer was made")
	};
	assert_eq!(texts.len(), executed.output.tokens.len());
	assert_eq!(texts.last().unwrap().as_bytes(), &executed.output.text[..]);
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
		Limits {
			kv_bytes: 1 << 20,
			..Limits::default()
		},
		None,
	);
	let mut truth = Vec::new();
	for model in models {
		truth.push(execute(&model, "hello", &SamplingParams::greedy(30), [0; 32]).unwrap());
		engine.add(model).unwrap();
	}
	let mut workshop = engine.workshop().unwrap();
	for (i, id) in ids.iter().enumerate() {
		let work = Work {
			model: *id,
			input: b"hello".to_vec().try_into().unwrap(),
			params: SamplingParams::greedy(30),
			seed: [0; 32],
			claim: None,
		};
		assert!(workshop.submit(name(i), work).is_none());
	}
	let mut ends = Vec::new();
	for step in 0.. {
		if workshop.is_idle() {
			break;
		}
		for (id, result) in workshop.step().unwrap() {
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
