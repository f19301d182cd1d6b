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

fn run_down(scheduler: &mut Scheduler<'_>) -> Vec<Completion> {
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
