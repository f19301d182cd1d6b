//! Our engine, through the library that the node's engine process runs. All uses of that library are below this module.

pub mod cpu;
pub mod gpu;

use anyhow::{anyhow, bail, ensure, Result};
use assay_engine::{
	scheduler::{Scheduler, SchedulerLimits},
	sequence::Outcome,
	spot_check::{check_once, Record, SpotFinding},
	Model,
};
use assay_primitives::{Finding, SamplingParams, UncheckedInput, Work, WorkId};
use serde_json::{json, Value};
use std::{cmp::Ordering, collections::HashMap, time::Instant};

/// Finished work by its id.
type Results = HashMap<WorkId, Outcome>;

/// The id of the work on one of the jobs that are measured together.
fn work_id(job: usize) -> WorkId {
	let mut id = [0; 32];
	id[..8].copy_from_slice(&(job as u64).to_le_bytes());
	WorkId(id)
}

/// A job to execute.
fn job(model: &Model, prompt_tokens: usize, params: SamplingParams, index: usize) -> Result<Work> {
	let input = UncheckedInput::from(&prompt(model, prompt_tokens, index)?).bounded();
	Ok(Work {
		model: model.id(),
		input: input.ok_or_else(|| anyhow!("a prompt of {prompt_tokens} tokens is longer than a job's"))?,
		params,
		seed: [index as u8; 32],
		claim: None,
	})
}

/// A text that is exactly `count` tokens with its template around it, another one for each `index`.
fn prompt(model: &Model, count: usize, index: usize) -> Result<String> {
	let mut text = format!("{index} ");
	let letter = |i: usize| char::from(if i % 5 == 4 { b' ' } else { b'a' + (i * i % 26) as u8 });
	let mut letters = (0..8 * count).map(letter);
	loop {
		// A template may cut a space from the end.
		let whole = format!("{text}.");
		let tokens = model.prompt(&whole)?.len();
		match tokens.cmp(&count) {
			Ordering::Equal => return Ok(whole),
			// A letter is at most a token.
			Ordering::Less => text.extend(letters.by_ref().take(count - tokens)),
			Ordering::Greater => {
				text.pop();
				text.extend(letters.next());
			}
		}
		if letters.len() == 0 {
			bail!("no prompt of {count} tokens found");
		}
	}
}

/// Executes jobs in a scheduler of their own, all at the same time, then verifies them, all at the same time.
fn jobs(model: &Model, limits: SchedulerLimits, mut jobs: Vec<Work>) -> Result<Value> {
	let (executed, generate) = timed(model, limits, jobs.clone())?;
	let (mut expected, mut tokens) = (Vec::new(), 0);
	for (i, job) in jobs.iter_mut().enumerate() {
		let Some(Outcome::Executed(done)) = executed.get(&work_id(i)) else {
			bail!("job {i} was not executed");
		};
		tokens += done.output.tokens.len();
		job.claim = Some(done.output.clone());
		expected.push(Outcome::Verified(Finding::Confirm {
			trace_root: done.trace_root,
		}));
	}
	let (verified, verify) = timed(model, limits, jobs)?;
	for (i, expected) in expected.iter().enumerate() {
		let found = verified.get(&work_id(i));
		ensure!(
			found == Some(expected),
			"the engine does not confirm its own answer: {found:?}"
		);
	}
	Ok(json!({ "generate": generate, "verify": verify, "answer": tokens as f64 / expected.len() as f64 }))
}

/// Executes a job, then checks its middle chunk from what the trace commits to, and all of it.
fn spot_check(model: &Model, mut work: Work) -> Result<Value> {
	let (executed, _) = timed(model, SchedulerLimits::default(), vec![work.clone()])?;
	let Some(Outcome::Executed(done)) = executed.get(&work_id(0)) else {
		bail!("the job was not executed");
	};
	work.claim = Some(done.output.clone());
	let record = Record::compute(model, &work)?;
	ensure!(record.trace_root() == done.trace_root, "the record is of another trace");
	let spot = record.make(record.chunks() / 2)?;
	let begun = Instant::now();
	let found = check_once(model, &work, &done.trace_root, &spot)?;
	let seconds = begun.elapsed().as_secs_f64();
	ensure!(
		matches!(found, SpotFinding::Confirm),
		"the engine does not confirm its own chunk: {found:?}"
	);
	let (verified, whole) = timed(model, SchedulerLimits::default(), vec![work])?;
	let expected = Outcome::Verified(Finding::Confirm {
		trace_root: done.trace_root,
	});
	let found = verified.get(&work_id(0));
	ensure!(
		found == Some(&expected),
		"the engine does not confirm its own answer: {found:?}"
	);
	Ok(json!({ "seconds": seconds, "whole": whole }))
}

/// Results of jobs, and the seconds they took.
fn timed(model: &Model, limits: SchedulerLimits, jobs: Vec<Work>) -> Result<(Results, f64)> {
	let mut scheduler = Scheduler::new(model, limits)?;
	let begun = Instant::now();
	for (i, job) in jobs.into_iter().enumerate() {
		scheduler.submit(work_id(i), job)?;
	}
	let mut finished = HashMap::new();
	while !scheduler.is_idle() {
		for (id, result) in scheduler.step(&mut |_, _| ()) {
			finished.insert(id, result?);
		}
	}
	Ok((finished, begun.elapsed().as_secs_f64()))
}
