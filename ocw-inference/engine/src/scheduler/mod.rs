//! Continuous batching: executions and verifications of one model, in one forward pass a step.
//!
//! A sequence gets pages for its worst case when it is admitted, first come, first served, so none is ever preempted for want of
//! memory. Each step ([`step`]) takes one token of every answer that is being generated, and tokens of prompts and claims up to a
//! budget, in turn. None of this can affect a result: a row depends on its tokens and their prefix alone.

mod pages;
mod step;
#[cfg(test)]
mod tests;

use crate::{
	model::decoder::Decoder,
	sequence::{Ending, Outcome, Prepared, Sequence},
	Error, Model, Result,
};
use assay_numerics::trace::CHUNK;
use assay_primitives::{stream::StreamToken, Work, WorkId};
use pages::{PageCache, PageTable};
use std::{
	collections::VecDeque,
	ops::Range,
	panic::{catch_unwind, AssertUnwindSafe},
};

/// Bounds of a scheduler. They decide about time and memory, never about a result.
#[derive(Clone, Copy, Debug)]
pub struct SchedulerLimits {
	/// Tokens of prompts and claims in one step; half as many while answers are being generated, which wait for each step's end.
	pub max_batched_tokens: usize,
	/// Bytes of keys and values.
	pub kv_bytes: usize,
	/// Sequences that have their pages at the same time.
	pub max_running: usize,
	/// Sequences that wait for pages.
	pub max_waiting: usize,
}

impl Default for SchedulerLimits {
	fn default() -> Self {
		Self {
			max_batched_tokens: 128,
			kv_bytes: 1 << 30,
			max_running: 64,
			max_waiting: 64,
		}
	}
}

/// A work item's id and result.
pub type Completion = (WorkId, Result<Outcome>);

/// The work items of one model.
pub struct Scheduler<'m> {
	model: &'m Model,
	/// What computes: the model's own decoder, or another on the same weights.
	decoder: &'m Decoder,
	limits: SchedulerLimits,
	total_pages: usize,
	pages: PageCache,
	waiting: VecDeque<(WorkId, Box<Sequence<'m>>)>,
	running: Vec<RunningSequence<'m>>,
	/// Work items that were complete without a step.
	completed: Vec<Completion>,
	steps: u64,
	computed_tokens: u64,
	/// What goes wrong in each step.
	#[cfg(test)]
	fault: Option<Fault>,
}

#[cfg(test)]
#[derive(Clone, Copy)]
enum Fault {
	Panic,
	Device,
}

/// A sequence that has its pages.
struct RunningSequence<'m> {
	id: WorkId,
	sequence: Box<Sequence<'m>>,
	table: PageTable,
	/// The step that last took tokens of its prompt or claim, for turns.
	last_prefill: u64,
	/// Its rows in the batch of this step; empty if it isn't in it.
	rows: Range<usize>,
	/// How it ended, if it did in this step.
	ending: Option<Ending>,
	/// Whether its answer grew in this step.
	grew: bool,
}

impl<'m> Scheduler<'m> {
	/// Makes a scheduler with as many pages as fit into `limits.kv_bytes`, but no more than its sequences can fill.
	pub fn new(model: &'m Model, limits: SchedulerLimits) -> Result<Self> {
		let context = model.manifest().context_length() as usize;
		let useful = context.div_ceil(CHUNK).saturating_mul(limits.max_running);
		let decoder = model.decoder()?;
		let pages = limits.kv_bytes / decoder.page_bytes().max(1);
		Self::with_pages(model, decoder, limits, pages.min(useful))
	}

	/// Makes a scheduler of one sequence alone, which a decoder on the weights of its model computes, with no more pages than that
	/// needs.
	pub(crate) fn for_one(
		model: &'m Model,
		decoder: &'m Decoder,
		sequence: Box<Sequence<'m>>,
		limits: SchedulerLimits,
	) -> Result<Self> {
		let pages = sequence.max_rows().div_ceil(CHUNK);
		let mut scheduler = Self::with_pages(model, decoder, limits, pages)?;
		scheduler.enqueue(WorkId::default(), Prepared::Sequence(sequence))?;
		Ok(scheduler)
	}

	fn with_pages(model: &'m Model, decoder: &'m Decoder, limits: SchedulerLimits, pages: usize) -> Result<Self> {
		Ok(Self {
			model,
			decoder,
			limits,
			total_pages: pages,
			pages: PageCache::new(decoder.pool(pages)?, pages),
			waiting: VecDeque::new(),
			running: Vec::new(),
			completed: Vec::new(),
			steps: 0,
			computed_tokens: 0,
			#[cfg(test)]
			fault: None,
		})
	}

	/// Takes a work item in. An error says nothing about its claim: the work item is invalid, or there is no room for it.
	pub fn submit(&mut self, id: WorkId, work: Work) -> Result<()> {
		self.enqueue(id, Sequence::prepare(self.model, work)?)
	}

	/// Takes in a work item that was checked. An error says nothing about its claim.
	pub(crate) fn enqueue(&mut self, id: WorkId, prepared: Prepared<'m>) -> Result<()> {
		let sequence = match prepared {
			Prepared::Done(outcome) => {
				self.completed.push((id, Ok(outcome)));
				return Ok(());
			}
			Prepared::Sequence(sequence) => sequence,
		};
		let (needed, total) = (sequence.max_rows().div_ceil(CHUNK), self.total_pages);
		if needed > total {
			return Err(Error::Work(format!(
				"it needs {needed} pages of keys and values; the memory for them has {total}"
			)));
		}
		if self.waiting.len() >= self.limits.max_waiting {
			return Err(Error::Work(format!("{} work items wait already", self.waiting.len())));
		}
		self.waiting.push_back((id, sequence));
		Ok(())
	}

	/// Drops a work item without a result; returns whether it was here.
	pub fn cancel(&mut self, id: &WorkId) -> bool {
		let before = self.waiting.len() + self.completed.len();
		self.waiting.retain(|(waiting, _)| waiting != id);
		self.completed.retain(|(completed, _)| completed != id);
		match self.running.iter().position(|running| running.id == *id) {
			Some(at) => {
				let cancelled = self.running.remove(at);
				self.pages.release(cancelled.table);
				true
			}
			None => self.waiting.len() + self.completed.len() < before,
		}
	}

	/// Returns whether there is nothing to do.
	pub fn is_idle(&self) -> bool {
		self.waiting.is_empty() && self.running.is_empty() && self.completed.is_empty()
	}

	/// Returns how many sequences have their pages.
	pub fn running(&self) -> usize {
		self.running.len()
	}

	/// Returns how many sequences wait for their pages.
	pub fn waiting(&self) -> usize {
		self.waiting.len()
	}

	/// Returns how many tokens went through the model so far. Those of reused pages count once.
	pub fn computed_tokens(&self) -> u64 {
		self.computed_tokens
	}

	/// Computes one batch. Calls `on_token` with each new token of an answer and the text that it adds; returns the work items that
	/// are complete. The texts together are the beginning of the answer's: what may begin a stop string is held back, and where it
	/// is in the answer after all, only the answer has it.
	pub fn step(&mut self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) -> Vec<Completion> {
		let mut completed = std::mem::take(&mut self.completed);
		self.admit();
		self.reuse_prefixes();
		if !self.plan() {
			return completed;
		}
		self.steps += 1;
		// A defect must end no more than the work items of this step.
		let computed = catch_unwind(AssertUnwindSafe(|| self.compute()))
			.unwrap_or_else(|_| Err(Error::Compute("the computation panicked".into())));
		match computed {
			Ok(()) => {
				self.report(on_token);
				self.publish_pages();
				self.remove_ended(&mut completed);
			}
			Err(error) => self.recover(&error, &mut completed),
		}
		completed
	}

	/// Calls `on_token` for the answers that grew in this step.
	fn report(&self, on_token: &mut dyn FnMut(&WorkId, StreamToken)) {
		for RunningSequence { id, sequence, .. } in self.running.iter().filter(|running| running.grew) {
			if let Some(token) = sequence.last_token() {
				on_token(id, token);
			}
		}
	}

	/// Gives waiting sequences their pages, in order, while there is room.
	fn admit(&mut self) {
		while self.running.len() < self.limits.max_running.max(1) {
			let Some((id, sequence)) = self.waiting.pop_front() else {
				return;
			};
			let Some(table) = self.pages.reserve(sequence.max_rows()) else {
				self.waiting.push_front((id, sequence));
				return;
			};
			self.running.push(RunningSequence {
				id,
				sequence,
				table,
				last_prefill: 0,
				rows: 0..0,
				ending: None,
				grew: false,
			});
		}
	}

	/// Lets other sequences reuse the pages that this step filled.
	fn publish_pages(&mut self) {
		for RunningSequence { sequence, table, .. } in &mut self.running {
			for chunk in table.published()..sequence.computed() / CHUNK {
				let tokens = sequence.tokens().get(chunk * CHUNK..(chunk + 1) * CHUNK);
				if let (Some(tokens), Some(leaves)) = (tokens, sequence.trace().chunk(chunk)) {
					self.pages.publish(table, tokens, leaves);
				}
			}
		}
	}

	/// Releases the sequences that ended in this step.
	fn remove_ended(&mut self, completed: &mut Vec<Completion>) {
		let (ended, running) = std::mem::take(&mut self.running)
			.into_iter()
			.partition::<Vec<_>, _>(|running| running.ending.is_some());
		self.running = running;
		for RunningSequence {
			id,
			mut sequence,
			table,
			ending,
			..
		} in ended
		{
			self.pages.release(table);
			completed.extend(ending.map(|ending| (id, sequence.conclude(ending))));
		}
	}

	/// After a defect: the work items of this step end without a result, the others are preempted and start again with new pages.
	/// Not on a GPU that failed, because there is none to start on.
	fn recover(&mut self, error: &Error, completed: &mut Vec<Completion>) {
		for running in std::mem::take(&mut self.running).into_iter().rev() {
			let RunningSequence {
				id, mut sequence, rows, ..
			} = running;
			if rows.is_empty() {
				sequence.restart();
				self.waiting.push_front((id, sequence));
			} else {
				completed.push((id, Err(copy_of(error))));
			}
		}
		if matches!(error, Error::Device(_)) {
			return;
		}
		match self.decoder.pool(self.total_pages) {
			Ok(pool) => self.pages = PageCache::new(pool, self.total_pages),
			Err(error) => {
				let lost = std::mem::take(&mut self.waiting).into_iter();
				completed.extend(lost.map(|(id, _)| (id, Err(copy_of(&error)))));
			}
		}
	}
}

/// Returns the error of a step for one of its work items.
fn copy_of(error: &Error) -> Error {
	match error {
		Error::Device(why) => Error::Device(why.clone()),
		error => Error::Compute(error.to_string()),
	}
}
