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
use assay_primitives::Hash32;
use rayon::prelude::*;
use std::{
	collections::{HashSet, VecDeque},
	ops::Range,
	time::Duration,
};

/// Most logits that are in memory at once: 64 MiB of f32.
const MAX_LOGITS: usize = 1 << 24;

/// How many tokens a step computes.
pub(super) struct Planned {
	/// All of them.
	pub(super) rows: usize,
	/// Those of prompts and claims.
	pub(super) prefill: usize,
}

impl RunningSequence {
	/// Returns the key of the page that it fills next, if others can reuse that.
	fn fills(&self) -> Option<Hash32> {
		let from = self.sequence.computed() / CHUNK * CHUNK;
		if from + CHUNK > self.sequence.prompt_only_rows() || self.table.published() * CHUNK != from {
			return None;
		}
		let tokens = self.sequence.tokens().get(from..from + CHUNK)?;
		Some(self.table.next_key(tokens))
	}
}

impl Scheduler {
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
	/// budget. Prompts and claims take turns, and among themselves those first that have waited longest. The step has tokens of them
	/// for the whole budget as long as there are so many. None if the batch has no token.
	pub(super) fn plan(&mut self, pause: Option<Duration>) -> Option<Planned> {
		let mut takes = vec![0; self.running.len()];
		for (running, take) in self.running.iter().zip(&mut takes) {
			*take = usize::from(running.sequence.is_decoding());
		}
		let decoding: usize = takes.iter().sum();
		let most = self.limits.max_batched_tokens;
		let budget = pause.map_or(most, |pause| self.pace.prefill(decoding, pause).min(most));
		let turns = self.turns();
		self.plan_prefills(budget.max(1), &turns, &mut takes);
		let mut rows = 0;
		for (running, take) in self.running.iter_mut().zip(takes) {
			running.rows = rows..rows + take;
			rows += take;
		}
		let prefill = rows - decoding;
		(rows > 0).then_some(Planned { rows, prefill })
	}

	/// Returns which sequences have tokens of prompts and claims to compute now, in the order of their turns. What would fill a page
	/// that another is filling with the same tokens is left out: it reuses that page once it is full.
	fn turns(&self) -> Vec<usize> {
		let mut order: Vec<(usize, &RunningSequence)> = self.running.iter().enumerate().collect();
		order.retain(|(_, running)| !running.sequence.is_decoding());
		order.sort_by_key(|(i, running)| (running.last_prefill, *i));
		let mut filling = HashSet::new();
		// Who is within a page goes on with it, before others begin one.
		for between_pages in [true, false] {
			order.retain(|(_, running)| {
				running.sequence.computed().is_multiple_of(CHUNK) == between_pages
					|| running.fills().is_none_or(|page| filling.insert(page))
			});
		}
		let (claims, prompts): (VecDeque<_>, VecDeque<_>) = order
			.into_iter()
			.partition(|(_, running)| running.sequence.is_verification());
		let [mut first, mut second] = if self.steps % 2 == 1 {
			[claims, prompts]
		} else {
			[prompts, claims]
		};
		let mut turns = Vec::new();
		while let Some((i, _)) = first.pop_front().or_else(|| second.pop_front()) {
			turns.push(i);
			std::mem::swap(&mut first, &mut second);
		}
		turns
	}

	/// Divides a budget of tokens among sequences, whose turns these are.
	fn plan_prefills(&mut self, mut budget: usize, turns: &[usize], takes: &mut [usize]) {
		let mut share = |this: &mut Self, i: usize, least: usize, queued: usize| {
			if let (Some(running), Some(take), true) = (this.running.get_mut(i), takes.get_mut(i), budget > 0) {
				let left = running.sequence.pending().saturating_sub(*take);
				let more = (budget / queued.max(1)).max(least).min(budget).min(left);
				*take += more;
				budget -= more;
				running.last_prefill = this.steps + 1;
			}
		};
		for (served, i) in turns.iter().enumerate() {
			share(self, *i, CHUNK, turns.len() - served);
		}
		// What short ones left of their shares goes to the others.
		for i in turns {
			share(self, *i, 0, 1);
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
		let decoder = &self.decoder;
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
		let batched = self
			.running
			.iter()
			.map(|running| (running.sequence.as_ref(), running.rows.clone()));
		let sampled = sample(decoder, &rows, batched)?;
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
		rows.with_trace_rows(|rows| push_all(rows, traced))
	}
}

/// Returns the rows before the first that isn't finite.
pub(crate) fn finite_rows(rows: Range<usize>, non_finite: &[bool]) -> Range<usize> {
	let finite = rows.clone().take_while(|row| non_finite.get(*row) == Some(&false));
	rows.start..rows.start + finite.count()
}

/// Returns the token sampled from each row of the batch, if one is and its logits are finite. Rows behind one that isn't finite
/// are left out.
pub(crate) fn sample<'t>(
	decoder: &Decoder,
	rows: &Rows,
	batched: impl Iterator<Item = (&'t Sequence, Range<usize>)>,
) -> Result<Vec<Option<u32>>> {
	let mut sampling: Vec<(usize, &Sequence, usize)> = Vec::new();
	for (sequence, part) in batched {
		let positions = finite_rows(part.clone(), &rows.non_finite)
			.map(|row| (row, sequence, sequence.computed() + row - part.start));
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
