//! Spot checks: 32 positions of a claim are computed again, from what its trace commits to of the positions before them.
//!
//! A row depends on its token, and on the keys and values of its prefix alone. These are in the trace, so whoever has them
//! with a proof computes a chunk without its prefix: a fraction of a verification. What is found is about that chunk; a
//! chunk that nobody checks may still be false.
//!
//! The executor keeps nothing for it: [`Record::compute`] computes a claim's rows once more, and [`Record::make`] takes out
//! what the check of a chunk needs. [`check`] trusts none of it. Prompt and tokens are those of the work item that the
//! verifier has itself.
//!
//! When an answer ends, its scheduler has all that a record is made of, in pages that serve other work from then on. A record
//! is not taken from them, because nobody can ask for one at that time: a claim is checked after its publication. Keeping the
//! keys and values of each answer until then would take 128 KiB for every token of Llama 3.1 8B, and computing them again is
//! one prefill, for those claims alone of which somebody wants a record.

use crate::{
	kv::KvPool,
	model::decoder::{Batch, Decoder},
	recheck,
	scheduler::{finite_rows, sample, SchedulerLimits},
	sequence::{Ending, Outcome, Prepared, Sequence, StepOutcome},
	Error, Model, Result,
};
use assay_numerics::{
	kv::{PageId, Segment},
	trace::{kv_leaf, push_all, verify_proof, Leaf, TraceShape, CHUNK},
};
use assay_primitives::{Finding, Hash32, TraceRoot, Work};
use codec::{Decode, Encode};

/// What a check of one chunk needs besides the work item and the root of its trace.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct SpotCheck {
	/// Rows of the trace.
	pub rows: u32,
	/// The chunk that is computed again, from 0.
	pub chunk: u32,
	/// Keys and values of the chunks before it as the trace hashes them, f16 bits: chunk by chunk, in each chunk layer by layer.
	pub kv: Vec<u16>,
	/// The chunk's leaves: of each layer its rows' and its keys' and values', then the final norm's. None if its first row fails.
	pub leaves: Vec<Hash32>,
	/// The hashes that lead from the keys' and values' leaves of the chunks before, and from the chunk's, to the root.
	pub proof: Vec<Hash32>,
}

/// What a spot check finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotFinding {
	/// The chunk is as the model computes it from what the trace has before it.
	Confirm,
	/// The claim is false: a chunk of its trace, or its output, is not the model's.
	Reject(SpotDefect),
	/// What was given is not of this trace, and says nothing about the claim.
	Unusable(Flaw),
}

/// What is false in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpotDefect {
	/// No provider whose model chooses the claimed tokens publishes this output.
	Output,
	/// The trace has more rows than the output's, or fewer.
	Rows,
	/// The model chooses another token at this position of the answer.
	Token(u32),
	/// The answer goes on or ends at this row, and the claim says otherwise.
	End(u32),
	/// The rows after this layer are others.
	Residual(u32),
	/// The keys and values that this layer adds are others.
	Kv(u32),
	/// The rows after the final norm are others.
	Norm,
}

/// Why what was given cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
	/// Nothing is computed for this work item: its output follows from model and input. Verify it as a whole.
	NothingComputed,
	/// The trace has no such chunk.
	NoChunk,
	/// There are more or fewer keys, values or leaves than the chunk needs.
	Size,
	/// Keys, values, leaves and proof do not lead to the trace root: one of them was changed, or is of another trace.
	NotInTrace,
}

/// A claim that this machine computed, with everything that checks of its chunks need.
pub struct Record<'m> {
	run: Run<'m>,
	trace_root: TraceRoot,
	chunks: usize,
}

impl<'m> Record<'m> {
	/// Computes all rows of a claim. An error if it isn't this model's answer, or if nothing is computed for it.
	pub fn compute(model: &'m Model, work: &Work) -> Result<Self> {
		let Some(sequence) = prepare(model, work)? else {
			return Err(Error::Work("nothing is computed for it, so it has no chunks".into()));
		};
		let most = SchedulerLimits::default().max_batched_tokens;
		let mut run = Run::new(model.decoder()?, sequence, usize::MAX)?;
		let ending = loop {
			let until = run.sequence.computed() + most.min(run.sequence.pending());
			if let Some(ending) = run.compute(until)?.ending {
				break ending;
			}
		};
		let Outcome::Verified(Finding::Confirm { trace_root }) = run.sequence.conclude(ending)? else {
			return Err(Error::Work(
				"the claim isn't the model's answer, so it has no record".into(),
			));
		};
		let failing = usize::from(matches!(ending, Ending::NonFinite(_)));
		Ok(Self {
			chunks: (run.sequence.computed() + failing).div_ceil(CHUNK),
			run,
			trace_root,
		})
	}

	/// Returns the root over all rows.
	pub fn trace_root(&self) -> TraceRoot {
		self.trace_root
	}

	/// Returns how many chunks can be checked. If the answer ends with a row that fails, that row is in the last.
	pub fn chunks(&self) -> usize {
		self.chunks
	}

	/// Returns what a check of a chunk needs.
	pub fn make(&self, chunk: usize) -> Result<SpotCheck> {
		if chunk >= self.chunks {
			return Err(Error::Work(format!(
				"the claim has {} chunks, and no chunk {chunk}",
				self.chunks
			)));
		}
		let trace = self.run.sequence.trace();
		let shape = trace.shape();
		let mut spot = SpotCheck {
			rows: shape.rows,
			chunk: chunk as u32,
			kv: Vec::new(),
			leaves: trace.chunk_so_far(chunk).unwrap_or_default(),
			proof: trace.proof(&places(shape, chunk)).unwrap_or_default(),
		};
		self.fill(&mut spot)?;
		Ok(spot)
	}

	/// Puts the keys and values of this record into a check that came without them: of a claim with the same tokens before the
	/// chunk, such as the same prompt.
	pub fn fill(&self, spot: &mut SpotCheck) -> Result<()> {
		let Run {
			decoder, pool, pages, ..
		} = &self.run;
		let (chunk, layers, cell) = (spot.chunk as usize, decoder.layers(), cell_len(decoder));
		if chunk >= self.chunks {
			return Err(Error::Work(format!(
				"the record has {} chunks, and no chunk {chunk}",
				self.chunks
			)));
		}
		spot.kv = vec![0; chunk * layers * cell];
		let cells = spot.kv.chunks_exact_mut(cell.max(1)).enumerate();
		for (i, rows) in cells {
			let page = pages.get(i / layers).ok_or_else(lost_page)?;
			decoder.read_kv(pool, *page, i % layers, rows)?;
		}
		Ok(())
	}
}

/// Checks a chunk of a claim, whose trace has this root. What is claimed or given is never a reason for an error. A rejection is
/// computed once more with the portable instructions, and what these find is returned.
pub fn check(model: &Model, work: &Work, trace_root: &TraceRoot, spot: &SpotCheck) -> Result<SpotFinding> {
	let found = check_once(model, work, trace_root, spot)?;
	if !matches!(found, SpotFinding::Reject(_)) || model.is_portable() {
		return Ok(found);
	}
	let again = check_with(model, &model.portable_decoder()?, work, trace_root, spot)?;
	recheck::compare(model, work, &found, &again);
	Ok(again)
}

/// Checks a chunk of a claim with the model's own instructions or GPU alone.
pub fn check_once(model: &Model, work: &Work, trace_root: &TraceRoot, spot: &SpotCheck) -> Result<SpotFinding> {
	match model.decoder() {
		Ok(decoder) => check_with(model, decoder, work, trace_root, spot),
		Err(_) => Ok(SpotFinding::Unusable(Flaw::NothingComputed)),
	}
}

fn check_with(
	model: &Model,
	decoder: &Decoder,
	work: &Work,
	trace_root: &TraceRoot,
	spot: &SpotCheck,
) -> Result<SpotFinding> {
	let Some(mut sequence) = prepare(model, work)? else {
		return Ok(SpotFinding::Unusable(Flaw::NothingComputed));
	};
	if let Err(flaw) = spot.verify(decoder, trace_root) {
		return Ok(SpotFinding::Unusable(flaw));
	}
	let (rows, chunk) = (spot.rows as usize, spot.chunk as usize);
	match sequence.claimed_rows()? {
		None => return Ok(SpotFinding::Reject(SpotDefect::Output)),
		Some(claimed) if !claimed.contains(&rows) => return Ok(SpotFinding::Reject(SpotDefect::Rows)),
		Some(_) => {}
	}
	// The row behind the last is computed too if there is one, because it has to fail.
	let end = sequence.tokens().len().min(rows + 1);
	let (from, until) = (chunk * CHUNK, end.min((chunk + 1) * CHUNK));
	if from >= until {
		return Ok(SpotFinding::Unusable(Flaw::NoChunk));
	}
	sequence.begin_at(chunk);
	let mut run = Run::new(decoder, sequence, until)?;
	run.load(&spot.kv)?;
	let outcome = run.compute(until)?;
	if let Some(defect) = compare(spot, &run.sequence, &outcome, until == end) {
		return Ok(SpotFinding::Reject(defect));
	}
	let concluded = outcome.ending.map(|ending| run.sequence.conclude(ending)).transpose()?;
	Ok(match concluded {
		None | Some(Outcome::Verified(Finding::Confirm { .. })) => SpotFinding::Confirm,
		Some(_) => SpotFinding::Reject(SpotDefect::Output),
	})
}

/// Compares what was computed of a chunk with what the trace has of it. `last` says whether the claim ends in it.
fn compare(spot: &SpotCheck, sequence: &Sequence, outcome: &StepOutcome, last: bool) -> Option<SpotDefect> {
	if let Some(Ending::Mismatch(position)) = outcome.ending {
		return Some(SpotDefect::Token(position as u32));
	}
	let chunk = spot.chunk as usize;
	let traced = CHUNK.min((spot.rows as usize).saturating_sub(chunk * CHUNK));
	if outcome.traced != traced || outcome.ending.is_some() != last {
		return Some(SpotDefect::End(sequence.computed() as u32));
	}
	let computed = sequence.trace().chunk_so_far(chunk).unwrap_or_default();
	let differs = computed
		.iter()
		.zip(&spot.leaves)
		.position(|(computed, given)| computed != given)?;
	let layer = (differs / 2) as u32;
	Some(match differs % 2 {
		_ if differs + 1 == computed.len() => SpotDefect::Norm,
		0 => SpotDefect::Residual(layer),
		_ => SpotDefect::Kv(layer),
	})
}

impl SpotCheck {
	/// Checks that keys, values and leaves are those of the trace with this root. Takes no more memory than it has itself.
	fn verify(&self, decoder: &Decoder, trace_root: &TraceRoot) -> std::result::Result<(), Flaw> {
		let (chunk, layers, cell) = (self.chunk as usize, decoder.layers(), cell_len(decoder));
		let shape = TraceShape {
			rows: self.rows,
			layers: layers as u32,
		};
		// The chunk behind the last may have one row, which fails and is not in the trace.
		if chunk > shape.chunks() || self.rows == u32::MAX {
			return Err(Flaw::NoChunk);
		}
		let leaves = if chunk < shape.chunks() { 2 * layers + 1 } else { 0 };
		let kv = chunk.checked_mul(layers).and_then(|cells| cells.checked_mul(cell));
		if kv != Some(self.kv.len()) || self.leaves.len() != leaves {
			return Err(Flaw::Size);
		}
		let hashes = self
			.kv
			.chunks_exact(cell.max(1))
			.map(kv_leaf)
			.chain(self.leaves.iter().copied());
		let known: Vec<_> = places(shape, chunk).into_iter().zip(hashes).collect();
		if verify_proof(&trace_root.0, shape, &known, &self.proof) {
			Ok(())
		} else {
			Err(Flaw::NotInTrace)
		}
	}
}

/// Returns the leaves that a check of a chunk has to show, in the tree's order.
fn places(shape: TraceShape, chunk: usize) -> Vec<Leaf> {
	let layers = || 0..shape.layers as usize;
	let before = (0..chunk).flat_map(|chunk| layers().map(move |layer| Leaf::Kv { chunk, layer }));
	let own = layers().flat_map(|layer| [Leaf::Residual { chunk, layer }, Leaf::Kv { chunk, layer }]);
	let own = own.chain([Leaf::Norm { chunk }]).filter(|_| chunk < shape.chunks());
	before.chain(own).collect()
}

/// Returns the length of the keys and values of one chunk and layer.
fn cell_len(decoder: &Decoder) -> usize {
	CHUNK * decoder.page_shape().row()
}

/// Prepares the sequence of a claim; none if nothing is computed for it.
fn prepare(model: &Model, work: &Work) -> Result<Option<Box<Sequence>>> {
	if work.claim.is_none() {
		return Err(Error::Work("a spot check is of a claim, and there is none".into()));
	}
	Ok(match Sequence::prepare(model, work.clone())? {
		Prepared::Done(_) => None,
		Prepared::Sequence(sequence) => Some(sequence),
	})
}

fn lost_page() -> Error {
	Error::Compute("a sequence outgrew its pages".into())
}

/// A sequence on pages of its own.
struct Run<'d> {
	decoder: &'d Decoder,
	sequence: Box<Sequence>,
	pool: KvPool,
	pages: Vec<PageId>,
}

impl<'d> Run<'d> {
	/// Makes the pages of a sequence's first `rows` rows.
	fn new(decoder: &'d Decoder, sequence: Box<Sequence>, rows: usize) -> Result<Self> {
		let mut pool = decoder.pool(sequence.tokens().len().min(rows).div_ceil(CHUNK))?;
		let pages = std::iter::from_fn(|| pool.alloc()).collect();
		Ok(Self {
			decoder,
			sequence,
			pool,
			pages,
		})
	}

	/// Puts keys and values into the first pages.
	fn load(&mut self, kv: &[u16]) -> Result<()> {
		let layers = self.decoder.layers();
		for (i, rows) in kv.chunks_exact(cell_len(self.decoder).max(1)).enumerate() {
			let page = self.pages.get(i / layers).ok_or_else(lost_page)?;
			self.decoder.write_kv(&mut self.pool, *page, i % layers, rows)?;
		}
		Ok(())
	}

	/// Computes the next rows, up to one, and adds them to the trace.
	fn compute(&mut self, until: usize) -> Result<StepOutcome> {
		let from = self.sequence.computed();
		let tokens = self.sequence.tokens().get(from..until).ok_or_else(lost_page)?;
		let part = 0..tokens.len();
		let segments = [Segment {
			rows: part.clone(),
			start: from,
			pages: &self.pages,
		}];
		let batch = Batch {
			tokens,
			segments: &segments,
		};
		let rows = self.decoder.forward(&batch, &mut self.pool)?;
		let finite = finite_rows(part.clone(), &rows.non_finite).len();
		self.sequence.compute_masks(finite);
		let sampled = sample(self.decoder, &rows, std::iter::once((self.sequence.as_ref(), part)))?;
		let token = |i: usize| sampled.get(i).copied().flatten();
		let outcome = self.sequence.accept(&rows.non_finite, &token);
		let traced = vec![(self.sequence.trace_mut(), 0..outcome.traced)];
		rows.with_trace_rows(|rows| push_all(rows, traced))?;
		Ok(outcome)
	}
}
