//! One step: which sequences take part, the batch, and the tokens sampled from its rows.

use super::{RunningSequence, Scheduler};
use crate::{
	model::decoder::{Batch, Decoder, Rows},
	sequence::Sequence,
	Result,
};
use assay_numerics::{
	kv::Segment,
	trace::{push_all, CHUNK},
};
use rayon::prelude::*;
use std::{collections::VecDeque, ops::Range};

/// Most logits that are in memory at once: 64 MiB of f32.
const MAX_LOGITS: usize = 1 << 24;

impl Scheduler<'_> {
	/// Lets sequences that are at the start of a page take over pages that contain their next tokens already.
	pub(super) fn reuse_prefixes(&mut self) {
		for RunningSequence { sequence, table, .. } in &mut self.running {
			loop {
				let from = sequence.computed();
				if !from.is_multiple_of(CHUNK) || from + CHUNK > sequence.prompt_only_rows() {
					break;
				}
				let tokens = sequence.tokens().get(from..from + CHUNK);
				match tokens.and_then(|tokens| self.pages.reuse(table, tokens)) {
					Some(leaves) => sequence.trace_mut().push_chunk(&leaves),
					None => break,
				};
			}
		}
	}

	/// Plans the batch of this step: one token of each answer that is being generated, and tokens of prompts and claims up to the
	/// budget. Prompts and claims take turns, and among themselves those first that have waited longest. Returns whether the batch
	/// has a token.
	pub(super) fn plan(&mut self) -> bool {
		let mut order: Vec<usize> = (0..self.running.len()).collect();
		order.sort_by_key(|i| self.running.get(*i).map(|running| running.last_prefill));
		let (mut takes, mut prompts, mut claims) = (vec![0; order.len()], VecDeque::new(), VecDeque::new());
		for i in order {
			let (Some(running), Some(take)) = (self.running.get(i), takes.get_mut(i)) else {
				continue;
			};
			if running.sequence.is_decoding() {
				*take = 1;
			} else if running.sequence.is_verification() {
				claims.push_back(i);
			} else {
				prompts.push_back(i);
			}
		}
		let decoding = takes.contains(&1);
		let budget = self.limits.max_batched_tokens / if decoding { 2 } else { 1 };
		let queues = if self.steps % 2 == 1 {
			[claims, prompts]
		} else {
			[prompts, claims]
		};
		self.plan_prefills(budget.max(1), queues, &mut takes);
		let mut row = 0;
		for (running, take) in self.running.iter_mut().zip(takes) {
			running.rows = row..row + take;
			row += take;
		}
		row > 0
	}

	/// Divides a budget of tokens among the sequences of two queues, which take turns.
	fn plan_prefills(&mut self, mut budget: usize, [mut first, mut second]: [VecDeque<usize>; 2], takes: &mut [usize]) {
		let mut queued = first.len() + second.len();
		while let (Some(i), true) = (first.pop_front().or_else(|| second.pop_front()), budget > 0) {
			let (Some(running), Some(take)) = (self.running.get_mut(i), takes.get_mut(i)) else {
				continue;
			};
			// What a short one leaves of its share goes to the others.
			*take = (budget / queued).max(CHUNK).min(budget).min(running.sequence.pending());
			budget -= *take;
			queued -= 1;
			running.last_prefill = self.steps + 1;
			std::mem::swap(&mut first, &mut second);
		}
	}

	/// Runs the batch, gives each sequence its rows and adds them to the traces.
	pub(super) fn compute(&mut self) -> Result<()> {
		#[cfg(test)]
		match self.fault {
			Some(super::Fault::Panic) => panic!("a fault, as the test asked for"),
			Some(super::Fault::Device) => {
				return Err(candle_core::Error::Cuda("a fault, as the test asked for".into()).into())
			}
			None => {}
		}
		let decoder = self.decoder;
		let mut tokens = Vec::new();
		for running in &mut self.running {
			let from = running.sequence.computed();
			let until = from + running.rows.len();
			if until > from {
				self.pages.allocate(&mut running.table, until)?;
			}
			tokens.extend_from_slice(running.sequence.tokens().get(from..until).unwrap_or_default());
		}
		let batched = || self.running.iter().filter(|running| !running.rows.is_empty());
		let segments: Vec<_> = batched()
			.map(|running| Segment {
				rows: running.rows.clone(),
				start: running.sequence.computed(),
				pages: running.table.pages(),
			})
			.collect();
		let batch = Batch {
			tokens: &tokens,
			segments: &segments,
		};
		let rows = decoder.forward(&batch, self.pages.pool())?;
		let non_finite = &rows.non_finite;
		self.running.par_iter_mut().for_each(|running| {
			let finite = finite_rows(running.rows.clone(), non_finite);
			running.sequence.compute_masks(finite.len());
		});
		let sampled = sample(decoder, &rows, self.running.iter())?;
		let mut traced = Vec::new();
		for running in &mut self.running {
			let first = running.rows.start;
			let non_finite = rows.non_finite.get(running.rows.clone()).unwrap_or_default();
			let token = |i| sampled.get(first + i).copied().flatten();
			let outcome = running.sequence.accept(non_finite, &token);
			running.ending = outcome.ending;
			running.grew = outcome.grew;
			traced.push((running.sequence.trace_mut(), first..first + outcome.traced));
		}
		self.computed_tokens += tokens.len() as u64;
		rows.with_layers(|layers| push_all(layers, rows.width(), traced))
	}
}

/// Returns the rows before the first that isn't finite.
fn finite_rows(rows: Range<usize>, non_finite: &[bool]) -> Range<usize> {
	let finite = rows.clone().take_while(|row| non_finite.get(*row) == Some(&false));
	rows.start..rows.start + finite.count()
}

/// Returns the token sampled from each row of the batch, if one is and its logits are finite. Rows behind one that isn't finite
/// are left out.
fn sample<'t, 'm: 't>(
	decoder: &Decoder,
	rows: &Rows,
	batched: impl Iterator<Item = &'t RunningSequence<'m>>,
) -> Result<Vec<Option<u32>>> {
	let mut sampling: Vec<(usize, &Sequence<'_>, usize)> = Vec::new();
	for RunningSequence {
		sequence, rows: part, ..
	} in batched
	{
		let positions = finite_rows(part.clone(), &rows.non_finite)
			.map(|row| (row, sequence.as_ref(), sequence.computed() + row - part.start));
		sampling.extend(positions.filter(|(_, sequence, position)| sequence.samples(*position)));
	}
	let mut sampled = vec![None; rows.non_finite.len()];
	let vocabulary = decoder.vocabulary();
	for group in sampling.chunks((MAX_LOGITS / vocabulary.max(1)).max(1)) {
		let ids: Vec<usize> = group.iter().map(|(row, ..)| *row).collect();
		let logits = decoder.sampling_logits(&rows.norm_of(&ids)?)?;
		let tokens = logits.sample(group.len(), |i| {
			group.get(i).map(|(_, sequence, position)| sequence.sampling(*position))
		})?;
		for (row, token) in ids.into_iter().zip(tokens) {
			if let Some(slot) = sampled.get_mut(row) {
				*slot = token;
			}
		}
	}
	Ok(sampled)
}
