//! Continuous batching: executions and verifications of one model, in one forward pass a step.
//!
//! A run gets pages for its worst case when it is admitted, first come, first served, so nothing that runs is ever pushed out.
//! Each step ([`step`]) takes one row of every answer that is being made, and rows of prompts and claims up to a budget, in
//! turn. None of this can reach a result: a row depends on its tokens and their prefix alone.

mod pages;
mod step;
#[cfg(test)]
mod tests;

use crate::{
	generate::{
		run::{End, Run, Start},
		Finished, Job,
	},
	Error, Model, Result,
};
use assay_numerics::trace::CHUNK;
use assay_primitives::WorkId;
use pages::{Pages, Table};
use std::{
	collections::VecDeque,
	ops::Range,
	panic::{catch_unwind, AssertUnwindSafe},
};

/// Bounds of a scheduler. They decide about time and memory, never about a result.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
	/// Rows of prompts and claims in one step; half as many while answers are being made, which wait for each step's end.
	pub rows: usize,
	/// Bytes of keys and values.
	pub kv_bytes: usize,
	/// Jobs that have their pages at the same time.
	pub running: usize,
	/// Jobs that wait for pages.
	pub waiting: usize,
}

impl Default for Limits {
	fn default() -> Self {
		Self {
			rows: 128,
			kv_bytes: 1 << 30,
			running: 64,
			waiting: 64,
		}
	}
}

/// A job's name, and what it came to.
pub type Done = (WorkId, Result<Finished>);

/// The jobs of one model.
pub struct Scheduler<'m> {
	model: &'m Model,
	limits: Limits,
	total_pages: usize,
	pages: Pages,
	waiting: VecDeque<(WorkId, Box<Run<'m>>)>,
	running: Vec<Task<'m>>,
	/// What ended without a step.
	done: Vec<Done>,
	steps: u64,
	/// Rows computed so far.
	rows: u64,
	/// What goes wrong in each step.
	#[cfg(test)]
	fault: Option<Fault>,
}

#[cfg(test)]
#[derive(Clone, Copy)]
enum Fault {
	Panic,
	Card,
}

/// A run that has its pages.
struct Task<'m> {
	id: WorkId,
	run: Box<Run<'m>>,
	table: Table,
	/// The step that last took rows of its prompt or claim, for turns.
	served: u64,
	/// Its rows in the batch of this step; empty if it isn't in it.
	rows: Range<usize>,
	/// How it ended, if it did in this step.
	end: Option<End>,
	/// Whether its answer grew in this step.
	grew: bool,
}

impl<'m> Scheduler<'m> {
	/// A scheduler with as many pages as fit into `limits.kv_bytes`, but no more than its jobs can fill.
	pub fn new(model: &'m Model, limits: Limits) -> Result<Self> {
		let context = model.manifest().context_length() as usize;
		let useful = context.div_ceil(CHUNK).saturating_mul(limits.running);
		let pages = limits.kv_bytes / model.decoder()?.page_bytes().max(1);
		Self::with_pages(model, limits, pages.min(useful))
	}

	/// A scheduler for one job only, with its pages.
	pub(crate) fn for_one(model: &'m Model, start: &Start<'m>, limits: Limits) -> Result<Self> {
		let pages = match start {
			Start::Done(_) => 0,
			Start::Run(run) => run.most_rows().div_ceil(CHUNK),
		};
		Self::with_pages(model, limits, pages)
	}

	fn with_pages(model: &'m Model, limits: Limits, pages: usize) -> Result<Self> {
		Ok(Self {
			model,
			limits,
			total_pages: pages,
			pages: Pages::new(model.decoder()?.pool(pages)?, pages),
			waiting: VecDeque::new(),
			running: Vec::new(),
			done: Vec::new(),
			steps: 0,
			rows: 0,
			#[cfg(test)]
			fault: None,
		})
	}

	/// Takes a job in. An error says nothing about its claim: the job is invalid, or there is no room for it.
	pub fn submit(&mut self, id: WorkId, job: Job) -> Result<()> {
		self.enqueue(id, Run::start(self.model, job)?)
	}

	/// Takes in a job that was looked at.
	pub(crate) fn enqueue(&mut self, id: WorkId, start: Start<'m>) -> Result<()> {
		let run = match start {
			Start::Done(finished) => {
				self.done.push((id, Ok(finished)));
				return Ok(());
			}
			Start::Run(run) => run,
		};
		let (needed, total) = (run.most_rows().div_ceil(CHUNK), self.total_pages);
		if needed > total {
			return Err(Error::Work(format!(
				"it needs {needed} pages of keys and values; the memory for them has {total}"
			)));
		}
		if self.waiting.len() >= self.limits.waiting {
			return Err(Error::Work(format!("{} jobs wait already", self.waiting.len())));
		}
		self.waiting.push_back((id, run));
		Ok(())
	}

	/// Drops a job; false if it isn't here. Nothing more is said of it.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		let before = self.waiting.len() + self.done.len();
		self.waiting.retain(|(waiting, _)| waiting != id);
		self.done.retain(|(done, _)| done != id);
		match self.running.iter().position(|task| task.id == *id) {
			Some(at) => {
				let task = self.running.remove(at);
				self.pages.release(task.table);
				true
			}
			None => self.waiting.len() + self.done.len() < before,
		}
	}

	/// Whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.waiting.is_empty() && self.running.is_empty() && self.done.is_empty()
	}

	/// Jobs that have their pages, and jobs that wait for theirs.
	pub fn load(&self) -> (usize, usize) {
		(self.running.len(), self.waiting.len())
	}

	/// Rows computed so far: those of shared pages count once.
	pub fn rows(&self) -> u64 {
		self.rows
	}

	/// Computes one batch of rows. Tells the text so far of each answer that grew; returns what came to its end.
	pub fn step(&mut self, told: &mut dyn FnMut(&WorkId, &str)) -> Vec<Done> {
		let mut done = std::mem::take(&mut self.done);
		self.admit();
		self.share_prefixes();
		if !self.plan() {
			return done;
		}
		self.steps += 1;
		// A defect must take no more away than the jobs of this step.
		let computed = catch_unwind(AssertUnwindSafe(|| self.compute()))
			.unwrap_or_else(|_| Err(Error::Compute("the computation panicked".into())));
		match computed {
			Ok(()) => {
				for task in self.running.iter().filter(|task| task.grew) {
					told(&task.id, task.run.text());
				}
				self.settle(&mut done);
			}
			Err(error) => self.abandon(&error, &mut done),
		}
		done
	}

	/// Gives waiting runs their pages, in order, while there is room.
	fn admit(&mut self) {
		while self.running.len() < self.limits.running.max(1) {
			let Some((id, run)) = self.waiting.pop_front() else {
				return;
			};
			let Some(table) = self.pages.admit(run.most_rows()) else {
				self.waiting.push_front((id, run));
				return;
			};
			self.running.push(Task {
				id,
				run,
				table,
				served: 0,
				rows: 0..0,
				end: None,
				grew: false,
			});
		}
	}

	/// Offers the pages that this step filled to other runs, and lets go of the runs that ended.
	fn settle(&mut self, done: &mut Vec<Done>) {
		for Task { run, table, .. } in &mut self.running {
			for chunk in table.named()..run.done() / CHUNK {
				let tokens = run.tokens().get(chunk * CHUNK..(chunk + 1) * CHUNK);
				if let (Some(tokens), Some(leaves)) = (tokens, run.trace().chunk(chunk)) {
					self.pages.offer(table, tokens, leaves);
				}
			}
		}
		let (ended, running) = std::mem::take(&mut self.running)
			.into_iter()
			.partition::<Vec<_>, _>(|task| task.end.is_some());
		self.running = running;
		for Task {
			id,
			mut run,
			table,
			end,
			..
		} in ended
		{
			self.pages.release(table);
			done.extend(end.map(|end| (id, run.conclude(end))));
		}
	}

	/// After a defect: the jobs of this step end without a result, the others begin anew with new pages. Not on a graphics card that
	/// failed, because there is none to begin on.
	fn abandon(&mut self, error: &Error, done: &mut Vec<Done>) {
		for task in std::mem::take(&mut self.running).into_iter().rev() {
			let Task { id, mut run, rows, .. } = task;
			if rows.is_empty() {
				run.restart();
				self.waiting.push_front((id, run));
			} else {
				done.push((id, Err(same(error))));
			}
		}
		if matches!(error, Error::Device(_)) {
			return;
		}
		let pool = self.model.decoder().and_then(|decoder| decoder.pool(self.total_pages));
		match pool {
			Ok(pool) => self.pages = Pages::new(pool, self.total_pages),
			Err(error) => {
				let lost = std::mem::take(&mut self.waiting).into_iter();
				done.extend(lost.map(|(id, _)| (id, Err(same(&error)))));
			}
		}
	}
}

/// One error for each of many jobs.
fn same(error: &Error) -> Error {
	match error {
		Error::Device(why) => Error::Device(why.clone()),
		error => Error::Compute(error.to_string()),
	}
}
