//! No false alarm: ten thousand honest answers, generated and checked in batches, and not one rejection.

use crate::{
	common::{model, Tiny},
	repetitions,
};
use assay_engine::{
	scheduler::{Scheduler, SchedulerLimits},
	sequence::{Executed, Outcome},
	Model,
};
use assay_primitives::{Finding, Input, SamplingParams, Work, WorkId};

const RUNS: u32 = 10_000;

fn work(model: &Model, i: u32) -> Work {
	let words = ["why", "a receipt", "hello world", "0x00ff", "größer", "…"];
	let params = SamplingParams {
		temperature: (i % 5) << 15,
		top_k: if i.is_multiple_of(3) { 20 } else { 0 },
		min_p: if i.is_multiple_of(4) { 1 << 12 } else { 0 },
		..SamplingParams::greedy(1 + i % 7)
	};
	let prompt = format!("{} {i}", words[i as usize % words.len()]);
	Work {
		model: model.id(),
		input: Input::Text(prompt.into_bytes().try_into().unwrap()),
		params,
		seed: *blake3::hash(&i.to_le_bytes()).as_bytes(),
		claim: None,
	}
}

/// Returns the outcomes of work items, run as many at a time as the scheduler takes.
fn outcomes(model: &Model, works: impl Iterator<Item = Work>) -> Vec<Outcome> {
	let mut scheduler = Scheduler::new(model, SchedulerLimits::default()).unwrap();
	let mut works = works.enumerate().peekable();
	let mut outcomes = Vec::new();
	while works.peek().is_some() || !scheduler.is_idle() {
		while scheduler.waiting() < 32 {
			let Some((i, work)) = works.next() else { break };
			let mut id = WorkId::default();
			id.0[..8].copy_from_slice(&i.to_le_bytes());
			scheduler.submit(id, work).unwrap();
		}
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			let i = usize::from_le_bytes(id.0[..8].try_into().unwrap());
			outcomes.push((i, result.unwrap()));
		}
	}
	outcomes.sort_by_key(|(i, _)| *i);
	outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn honest_answers_are_all_confirmed() {
	let model = model(Tiny::default());
	let runs = repetitions(RUNS);
	let executed: Vec<Executed> = outcomes(&model, (0..runs).map(|i| work(&model, i)))
		.into_iter()
		.map(|outcome| match outcome {
			Outcome::Executed(executed) => executed,
			Outcome::Verified(_) => panic!("nothing was to be verified"),
		})
		.collect();
	let claims = executed.iter().zip(0..).map(|(executed, i)| Work {
		claim: Some(executed.output.clone()),
		..work(&model, i)
	});
	let findings = outcomes(&model, claims);
	assert_eq!(findings.len(), runs as usize);
	let rejected = findings.iter().zip(&executed).filter(|(found, executed)| {
		let trace_root = executed.trace_root;
		**found != Outcome::Verified(Finding::Confirm { trace_root })
	});
	assert_eq!(rejected.count(), 0);
	// They are all different.
	let mut roots: Vec<_> = executed.iter().map(|executed| executed.trace_root).collect();
	roots.sort_unstable();
	roots.dedup();
	assert_eq!(roots.len(), runs as usize);
}
