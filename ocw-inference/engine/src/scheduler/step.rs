//! One step: who takes part, the batch, and what its rows choose.

use super::{Scheduler, Task};
use crate::{
	generate::run::Run,
	model::decoder::{Batch, Decoder, Rows},
	Result,
};
use assay_numerics::{
	kv::Segment,
	trace::{push_all, CHUNK},
};
use std::collections::VecDeque;

/// Most logits that are held at once: 64 MiB of f32.
const MAX_LOGITS: usize = 1 << 24;

impl Scheduler<'_> {
	/// Lets runs that stand at the begin of a page take over pages that hold their next tokens already.
	pub(super) fn share_prefixes(&mut self) {
		for Task { run, table, .. } in &mut self.running {
			loop {
				let from = run.done();
				if !from.is_multiple_of(CHUNK) || from + CHUNK > run.silent_rows() {
					break;
				}
				let tokens = run.tokens().get(from..from + CHUNK);
				match tokens.and_then(|tokens| self.pages.share(table, tokens)) {
					Some(leaves) => run.trace_mut().push_chunk(&leaves),
					None => break,
				};
			}
		}
	}

	/// Chooses the rows of this step: one of each answer that is being made; of prompts and claims as many as the budget has,
	/// prompts and claims taking turns, and among themselves those first that have waited longest. False if there are none.
	pub(super) fn plan(&mut self) -> bool {
		let mut turns = [VecDeque::new(), VecDeque::new()];
		let mut order: Vec<usize> = (0..self.running.len()).collect();
		order.sort_by_key(|i| self.running.get(*i).map(|task| task.served));
		let mut takes = vec![0; self.running.len()];
		for i in order {
			let (Some(task), Some(take)) = (self.running.get(i), takes.get_mut(i)) else {
				continue;
			};
			if task.run.is_decoding() {
				*take = 1;
			} else if let Some(turn) = turns.get_mut(usize::from(task.run.is_verification())) {
				turn.push_back(i);
			}
		}
		let decoding = takes.contains(&1);
		let mut left = if decoding {
			self.limits.rows / 2
		} else {
			self.limits.rows
		}
		.max(1);
		let [mut first, mut second] = turns;
		if self.steps % 2 == 1 {
			std::mem::swap(&mut first, &mut second);
		}
		let mut others = first.len() + second.len();
		while let (Some(i), true) = (first.pop_front().or_else(|| second.pop_front()), left > 0) {
			let (Some(task), Some(take)) = (self.running.get_mut(i), takes.get_mut(i)) else {
				continue;
			};
			// What a short one leaves of its share is the others'.
			*take = (left / others).max(CHUNK).min(left).min(task.run.ready());
			left -= *take;
			others -= 1;
			task.served = self.steps + 1;
			std::mem::swap(&mut first, &mut second);
		}
		let mut row = 0;
		for (task, take) in self.running.iter_mut().zip(takes) {
			task.rows = row..row + take;
			row += take;
		}
		row > 0
	}

	/// Runs the batch, judges its rows and adds them to the traces.
	pub(super) fn compute(&mut self) -> Result<()> {
		#[cfg(test)]
		match self.fault {
			Some(super::Fault::Panic) => panic!("a fault, as the test asked for"),
			Some(super::Fault::Card) => {
				return Err(candle_core::Error::Cuda("a fault, as the test asked for".into()).into())
			}
			None => {}
		}
		let decoder = self.model.decoder()?;
		let mut tokens = Vec::new();
		for Task { run, table, rows, .. } in &mut self.running {
			let (from, until) = (run.done(), run.done() + rows.len());
			if until > from {
				self.pages.extend(table, until)?;
			}
			tokens.extend_from_slice(run.tokens().get(from..until).unwrap_or_default());
		}
		let taking_part = || self.running.iter().filter(|task| !task.rows.is_empty());
		let segments: Vec<_> = taking_part()
			.map(|task| Segment {
				rows: task.rows.clone(),
				start: task.run.done(),
				pages: task.table.pages(),
			})
			.collect();
		let batch = Batch {
			tokens: &tokens,
			segments: &segments,
		};
		let rows = decoder.forward(&batch, self.pages.pool())?;
		let chosen = choose(decoder, &rows, taking_part())?;
		let mut traced = Vec::new();
		for task in &mut self.running {
			let first = task.rows.start;
			let bad = rows.non_finite.get(task.rows.clone()).unwrap_or_default();
			let judged = task.run.judge(bad, &|i| chosen.get(first + i).copied().flatten());
			task.end = judged.end;
			task.grew = judged.grew;
			traced.push((task.run.trace_mut(), first..first + judged.good));
		}
		self.rows += tokens.len() as u64;
		rows.with_layers(|layers| push_all(layers, rows.width(), traced))
	}
}

/// What each row of the batch chooses, if it does and its logits are finite. Rows behind a bad one aren't asked.
fn choose<'t, 'm: 't>(
	decoder: &Decoder,
	rows: &Rows,
	tasks: impl Iterator<Item = &'t Task<'m>>,
) -> Result<Vec<Option<u32>>> {
	let mut asked: Vec<(usize, &Run<'_>, usize)> = Vec::new();
	for Task { run, rows: part, .. } in tasks {
		let sound = part.clone().take_while(|row| rows.non_finite.get(*row) == Some(&false));
		let positions = sound.map(|row| (row, run.as_ref(), run.done() + row - part.start));
		asked.extend(positions.filter(|(_, run, position)| run.chooses(*position)));
	}
	let mut chosen = vec![None; rows.non_finite.len()];
	let vocabulary = decoder.vocabulary();
	for group in asked.chunks((MAX_LOGITS / vocabulary.max(1)).max(1)) {
		let ids: Vec<usize> = group.iter().map(|(row, ..)| *row).collect();
		let logits = decoder.sampling_logits(&rows.norm_of(&ids)?)?;
		let tokens = logits.sample(group.len(), |i| {
			group.get(i).map(|(_, run, position)| run.chooser(*position))
		})?;
		for (row, token) in ids.into_iter().zip(tokens) {
			if let Some(slot) = chosen.get_mut(row) {
				*slot = token;
			}
		}
	}
	Ok(chosen)
}
