//! What only the inside of the scheduler can show. Its results are tested from outside, in `tests/engine/scheduling.rs`.

use super::*;
use crate::{generate, kv::KvStorage, Model};
use assay_numerics::kv::{PageShape, Pool};
use assay_primitives::{Input, SamplingParams};
use assay_test_fixtures::{folder, Tiny};

fn model() -> Model {
	Model::load(folder(Tiny::default()).path()).unwrap()
}

fn prompt(i: u8) -> String {
	format!("{i} {}", "a prompt that takes more than one step ".repeat(2))
}

fn work(model: &Model, i: u8) -> Work {
	Work {
		model: model.id(),
		input: Input::Text(prompt(i).into_bytes().try_into().unwrap()),
		params: SamplingParams::greedy(12),
		seed: [i; 32],
		claim: None,
	}
}

fn run_down(scheduler: &mut Scheduler) -> Vec<Completion> {
	let mut all = Vec::new();
	while !scheduler.is_idle() {
		all.extend(scheduler.step(&mut |_, _| ()));
	}
	all
}

#[test]
fn a_panic_in_a_step_ends_the_work_items_in_it_and_no_other() {
	let model = model();
	// Two have pages, one of them a row in the second step; the third waits.
	let limits = SchedulerLimits {
		max_batched_tokens: 32,
		max_running: 2,
		..SchedulerLimits::default()
	};
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	for i in 0..3 {
		scheduler.submit(WorkId([i; 32]), work(&model, i)).unwrap();
	}
	assert!(scheduler.step(&mut |_, _| ()).is_empty());
	scheduler.fault = Some(Fault::Panic);
	let ended = scheduler.step(&mut |_, _| ());
	scheduler.fault = None;
	assert_eq!(ended.len(), 1);
	assert!(ended
		.iter()
		.all(|(_, result)| matches!(result, Err(Error::Compute(why)) if why.contains("panicked"))));
	let rest = run_down(&mut scheduler);
	assert_eq!(rest.len(), 2);
	for (id, result) in rest {
		assert_ne!(id, ended[0].0);
		let alone = generate::execute(&model, &prompt(id.0[0]), &SamplingParams::greedy(12), id.0).unwrap();
		assert_eq!(result.unwrap(), Outcome::Executed(alone));
	}
	assert_eq!(scheduler.pages.available(), scheduler.total_pages);
}

#[test]
fn a_fault_of_a_gpu_ends_the_step_as_a_device_error() {
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	scheduler.submit(WorkId([0; 32]), work(&model, 0)).unwrap();
	scheduler.fault = Some(Fault::Device);
	let ended = scheduler.step(&mut |_, _| ());
	assert!(matches!(&ended[..], [(_, Err(Error::Device(why)))] if why.contains("as the test asked")));
}

#[test]
fn all_pages_come_back_from_work_that_ends_and_from_work_that_is_cancelled() {
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	for i in 0..9 {
		scheduler.submit(WorkId([i; 32]), work(&model, i % 5)).unwrap();
	}
	for i in 0..9 {
		scheduler.step(&mut |_, _| ());
		assert!(i % 2 == 0 || scheduler.cancel(&WorkId([i; 32])));
		assert!(!scheduler.cancel(&WorkId([200; 32])));
	}
	let ended = run_down(&mut scheduler);
	assert_eq!(ended.len(), 5);
	assert_eq!(scheduler.pages.available(), scheduler.total_pages);
}

/// Tables that reserve, allocate, reuse, publish and release pages in no order: a reserved page is always there, and no page is lost
/// or used by two sequences that differ.
#[test]
fn reserved_pages_are_there_in_whatever_order_pages_come_and_go() {
	const PAGES: usize = 12;
	const SHAPE: PageShape = PageShape {
		layers: 1,
		kv_heads: 1,
		head_dim: 2,
	};
	let pool = Pool::new(SHAPE, PAGES).unwrap().map(KvStorage::Host);
	let mut pages = PageCache::new(pool, PAGES);
	let mut tables: Vec<(PageTable, usize, u32)> = Vec::new();
	let mut state = 7u64;
	let mut random = |below: usize| {
		state = state
			.wrapping_mul(6_364_136_223_846_793_005)
			.wrapping_add(1_442_695_040_888_963_407);
		(state >> 33) as usize % below
	};
	let (mut reused, mut refused) = (0, 0);
	for _ in 0..20_000 {
		match random(4) {
			0 => match pages.reserve(1 + random(4 * CHUNK)) {
				Some(table) => tables.push((table, 0, random(3) as u32)),
				None => refused += 1,
			},
			1 | 2 if !tables.is_empty() => {
				let at = random(tables.len());
				let (table, chunks, kind) = &mut tables[at];
				let tokens = [*kind * 10 + *chunks as u32; CHUNK];
				if pages.reuse(table, &tokens).is_some() {
					(*chunks, reused) = (*chunks + 1, reused + 1);
				} else if pages.allocate(table, (*chunks + 1) * CHUNK).is_ok() {
					pages.publish(table, &tokens, Vec::new());
					*chunks += 1;
				} else {
					assert_eq!(table.reserved(), 0, "a page was reserved and is missing");
				}
			}
			3 if !tables.is_empty() => pages.release(tables.swap_remove(random(tables.len())).0),
			_ => {}
		}
		for (a, _, kind) in &tables {
			for (b, ..) in tables.iter().filter(|(.., other)| other != kind) {
				assert!(a.pages().iter().all(|page| !b.pages().contains(page)));
			}
		}
	}
	assert!(reused > 1000 && refused > 100);
	tables.into_iter().for_each(|(table, ..)| pages.release(table));
	assert_eq!(pages.available(), PAGES);
}

fn long_work(model: &Model, i: u8, text: &str, max_tokens: u32) -> Work {
	let text = format!("{i} {text}");
	Work {
		input: Input::Text(text.into_bytes().try_into().unwrap()),
		params: SamplingParams::greedy(max_tokens),
		..work(model, i)
	}
}

/// The check of an honest answer to `work`.
fn check(model: &Model, work: Work) -> Work {
	let text = std::str::from_utf8(work.input.bytes()).unwrap();
	let made = generate::execute(model, text, &work.params, work.seed).unwrap();
	Work {
		claim: Some(made.output),
		..work
	}
}

/// Computes a step and returns how many tokens it had.
fn rows_of_step(scheduler: &mut Scheduler) -> usize {
	let before = scheduler.computed_tokens();
	scheduler.step(&mut |_, _| ());
	(scheduler.computed_tokens() - before) as usize
}

#[test]
fn a_check_of_many_claims_computes_full_steps_to_the_end() {
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	let budget = scheduler.limits.max_batched_tokens;
	for i in 0..32u8 {
		let claim = long_work(
			&model,
			i,
			&"of some length ".repeat(usize::from(i) % 7),
			3 + u32::from(i),
		);
		scheduler.submit(WorkId([i; 32]), check(&model, claim)).unwrap();
	}
	let mut all = 0;
	while !scheduler.is_idle() {
		let rows = rows_of_step(&mut scheduler);
		let left: usize = scheduler.running.iter().map(|running| running.sequence.pending()).sum();
		assert!(
			rows == budget || left == 0,
			"a step of {rows} tokens, and {left} were left"
		);
		all += rows;
	}
	assert_eq!(scheduler.steps() as usize, all.div_ceil(budget));
}

#[test]
fn what_short_claims_leave_of_a_step_goes_to_a_long_one() {
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	for (i, length) in [400, 1, 1, 1].into_iter().enumerate() {
		let claim = long_work(&model, i as u8, &"x".repeat(length), 2);
		scheduler.submit(WorkId([i as u8; 32]), check(&model, claim)).unwrap();
	}
	assert_eq!(rows_of_step(&mut scheduler), scheduler.limits.max_batched_tokens);
}

#[test]
fn an_answer_does_not_wait_for_long_prompts_on_a_slow_device() {
	const STEP: Duration = Duration::from_millis(50);
	let slow = |rows: usize| STEP + Duration::from_millis(5) * rows as u32;
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	scheduler.clock = Some(slow);
	let reader = WorkId([0; 32]);
	scheduler
		.submit(reader, long_work(&model, 0, &"y".repeat(100), 200))
		.unwrap();
	while !scheduler.is_decoding() {
		scheduler.step(&mut |_, _| ());
	}
	for i in 1..4 {
		let prompt = long_work(&model, i, &"a long prompt, ".repeat(30), 1);
		scheduler.submit(WorkId([i; 32]), prompt).unwrap();
	}
	let mut mixed = 0;
	while scheduler.waiting() > 0 || scheduler.running() > 1 {
		let before = scheduler.computed_tokens();
		let mut tokens = 0;
		scheduler.step(&mut |id, _| tokens += u32::from(*id == reader));
		let rows = (scheduler.computed_tokens() - before) as usize;
		mixed += 1;
		let bound = if mixed < 8 {
			MAX_PAUSE + STEP
		} else {
			MAX_PAUSE * 101 / 100
		};
		assert!(slow(rows) <= bound && tokens == 1, "{rows} rows, {tokens} tokens");
	}
	// Forty tokens take the time that there is.
	assert!((25..45).contains(&mixed), "{mixed} steps");
	// Where nobody reads along, the step is full.
	assert!(scheduler.cancel(&reader));
	scheduler
		.submit(WorkId([9; 32]), long_work(&model, 9, &"z".repeat(400), 1))
		.unwrap();
	assert_eq!(rows_of_step(&mut scheduler), scheduler.limits.max_batched_tokens);
}

#[test]
fn readers_of_another_model_bound_the_steps_of_this_one() {
	let model = model();
	let mut scheduler = Scheduler::new(&model, SchedulerLimits::default()).unwrap();
	scheduler.clock = Some(|rows| Duration::from_millis(5) * rows as u32);
	scheduler
		.submit(WorkId([0; 32]), long_work(&model, 0, &"y".repeat(500), 1))
		.unwrap();
	assert!(!scheduler.is_decoding());
	let mut rows = Vec::new();
	while !scheduler.is_idle() {
		let before = scheduler.computed_tokens();
		scheduler.step_within(Some(MAX_PAUSE / 2), &mut |_, _| ());
		rows.push(scheduler.computed_tokens() - before);
	}
	// A chunk before anything is known, then as many as the time is for.
	assert_eq!(rows[..3], [CHUNK as u64, 25, 25]);
}

#[test]
fn prompts_that_begin_alike_are_computed_once_though_they_come_together() {
	let model = model();
	let text = |i: u8| format!("{}{i}", "The first hundred bytes and more are the same. ".repeat(3));
	let rows = model.prompt(&text(0)).unwrap().len();
	let shared = (rows - 4) / CHUNK * CHUNK;
	assert!(shared >= 4 * CHUNK);
	for max_batched_tokens in [128, 512, 20] {
		let limits = SchedulerLimits {
			max_batched_tokens,
			..SchedulerLimits::default()
		};
		let mut scheduler = Scheduler::new(&model, limits).unwrap();
		for i in 0..8 {
			let mut work = long_work(&model, i, "", 1);
			work.input = Input::Text(text(i).into_bytes().try_into().unwrap());
			scheduler.submit(WorkId([i; 32]), work).unwrap();
		}
		for (id, result) in run_down(&mut scheduler) {
			let params = SamplingParams::greedy(1);
			let alone = generate::execute(&model, text(id.0[0]).as_str(), &params, id.0).unwrap();
			assert_eq!(result.unwrap(), Outcome::Executed(alone));
		}
		assert_eq!(scheduler.computed_tokens() as usize, rows + 7 * (rows - shared));
	}
}

#[test]
fn memory_that_is_divided_anew_costs_no_work_and_no_token() {
	let model = model();
	let page = model.decoder().unwrap().page_bytes();
	let limits = SchedulerLimits {
		kv_bytes: 64 * page,
		..SchedulerLimits::default()
	};
	let mut scheduler = Scheduler::new(&model, limits).unwrap();
	let mut streams: [Vec<u32>; 4] = Default::default();
	let mut done = Vec::new();
	for i in 0..4 {
		scheduler.submit(WorkId([i; 32]), work(&model, i)).unwrap();
	}
	for pages in [20, 20, 7, 40, 20] {
		for _ in 0..4 {
			done.extend(scheduler.step(&mut |id, token| streams[usize::from(id.0[0])].push(token.id)));
		}
		scheduler.set_kv_bytes(pages * page).unwrap();
	}
	assert!(scheduler.kv_bytes() <= 20 * page);
	while !scheduler.is_idle() {
		done.extend(scheduler.step(&mut |id, token| streams[usize::from(id.0[0])].push(token.id)));
	}
	assert_eq!(done.len(), 4);
	for (id, result) in done {
		let alone = generate::execute(&model, &prompt(id.0[0]), &SamplingParams::greedy(12), id.0).unwrap();
		assert!(alone.output.tokens.starts_with(&streams[usize::from(id.0[0])]));
		assert!(streams[usize::from(id.0[0])].len() + 1 >= alone.output.tokens.len());
		assert_eq!(result.unwrap(), Outcome::Executed(alone));
	}
	// A larger pool is made once nothing runs.
	scheduler.set_kv_bytes(64 * page).unwrap();
	scheduler.submit(WorkId([0; 32]), work(&model, 0)).unwrap();
	run_down(&mut scheduler);
	assert_eq!((scheduler.total_pages, scheduler.pages.available()), (64, 64));
}
