//! No false alarm: ten thousand honest answers, made and checked in batches, and not one rejection.

use crate::{
	common::{model, Tiny},
	repetitions,
};
use assay_engine::{
	generate::{Executed, Finished, Job},
	scheduler::{Limits, Scheduler},
	Model,
};
use assay_primitives::{SamplingParams, Vote, WorkId};

const RUNS: u32 = 10_000;

fn job(i: u32) -> Job {
	let words = ["why", "a receipt", "hello world", "0x00ff", "größer", "…"];
	let params = SamplingParams {
		temperature: (i % 5) << 15,
		top_k: if i.is_multiple_of(3) { 20 } else { 0 },
		min_p: if i.is_multiple_of(4) { 1 << 12 } else { 0 },
		..SamplingParams::greedy(1 + i % 7)
	};
	Job {
		input: format!("{} {i}", words[i as usize % words.len()]),
		params,
		seed: *blake3::hash(&i.to_le_bytes()).as_bytes(),
		claim: None,
	}
}

/// What the jobs come to, run as many at a time as the scheduler takes.
fn results(model: &Model, jobs: impl Iterator<Item = Job>) -> Vec<Finished> {
	let mut scheduler = Scheduler::new(model, Limits::default()).unwrap();
	let mut jobs = jobs.enumerate().peekable();
	let mut results = Vec::new();
	while jobs.peek().is_some() || !scheduler.is_idle() {
		while scheduler.load().1 < 32 {
			let Some((i, job)) = jobs.next() else { break };
			let mut id = WorkId::default();
			id.0[..8].copy_from_slice(&i.to_le_bytes());
			scheduler.submit(id, job).unwrap();
		}
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			let i = usize::from_le_bytes(id.0[..8].try_into().unwrap());
			results.push((i, result.unwrap()));
		}
	}
	results.sort_by_key(|(i, _)| *i);
	results.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn honest_answers_are_all_confirmed() {
	let model = model(Tiny::default());
	let runs = repetitions(RUNS);
	let executed: Vec<Executed> = results(&model, (0..runs).map(job))
		.into_iter()
		.map(|result| match result {
			Finished::Executed(executed) => executed,
			Finished::Verified(_) => panic!("nothing was to be verified"),
		})
		.collect();
	let claims = executed.iter().zip(0..).map(|(executed, i)| Job {
		claim: Some(executed.output.clone()),
		..job(i)
	});
	let votes = results(&model, claims);
	assert_eq!(votes.len(), runs as usize);
	let rejected = votes.iter().zip(&executed).filter(|(vote, executed)| {
		let trace_root = executed.trace_root;
		**vote != Finished::Verified(Vote::Confirm { trace_root })
	});
	assert_eq!(rejected.count(), 0);
	// They are so many answers, not one.
	let mut roots: Vec<_> = executed.iter().map(|executed| executed.trace_root).collect();
	roots.sort_unstable();
	roots.dedup();
	assert_eq!(roots.len(), runs as usize);
}
