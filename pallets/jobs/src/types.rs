//! What the pallet stores of a job, and the message of executors.

use assay_primitives::{
	claim::Execution,
	economics::{Bill, Rates},
	limits::MAX_ATTEMPTS,
	model::{ModelTerms, Prices},
	receipt::{AnswerRecord, DrawRecord},
	state::Trigger,
	Balance, ClaimId, ExecutionId, Hash32, InputHash, JobId, ModelId, Output, OutputHash, SamplingParams, Seal, State,
	UncheckedOutput,
};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use frame_support::{traits::ConstU32, BoundedVec};
use scale_info::TypeInfo;

/// The chain's parameters of a job, in one struct.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct JobParams<BlockNumber> {
	/// Blocks that a job waits for an executor at most.
	pub queue_blocks: BlockNumber,
	/// Most blocks of other work that an executor may have before it. A provider with more to do is not drawn.
	pub backlog_blocks: u32,
	/// Requests that may wait for an executor at once.
	pub max_waiting_jobs: u32,
	/// Deadlines of executors that are looked at in one block; the others wait for the next.
	pub max_due_per_block: u32,
	/// Executors drawn in one block.
	pub max_draws_per_block: u32,
	/// Blocks after the final state from which anyone may prune a receipt.
	pub retention: BlockNumber,
	/// Held for every job until its receipt is pruned.
	pub deposit_base: Balance,
	/// Held on top for each byte of the prompt, of the longest text, and of the token ids that may be stored for it.
	pub deposit_per_byte: Balance,
	/// Who pays whom, and what faults cost.
	pub rates: Rates,
}

/// The draw of one attempt's executor.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Engagement<AccountId, BlockNumber> {
	/// The executor.
	pub executor: AccountId,
	/// Block and beacon of the draw.
	pub drawn: DrawRecord<BlockNumber>,
	/// The claim that the executor will publish.
	pub claim: ClaimId,
}

/// What is stored of a publication besides its output.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Answer {
	/// Hash of the output.
	pub output_hash: OutputHash,
	/// What is paid for, and why the answer ended.
	pub record: AnswerRecord,
}

/// A job that is not final. Its prompt and its answer are stored separately.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Job<AccountId, BlockNumber> {
	/// Who requested the job and pays for it.
	pub requester: AccountId,
	/// Which of the requester's jobs it is, from 1.
	pub count: u64,
	/// The model that answers.
	pub model: ModelId,
	/// The terms of its listing at the time of the request: a later price is for later jobs.
	pub terms: ModelTerms<AccountId>,
	/// Whether the request named the listing. If not, it named the model.
	pub listing_named: bool,
	/// How tokens are sampled.
	pub params: SamplingParams,
	/// Hash of the prompt.
	pub input_hash: InputHash,
	/// Most prompt tokens that are paid.
	pub input_ceiling: u32,
	/// Most generated tokens that are paid.
	pub output_ceiling: u32,
	/// The most that the job can cost, held from the requester.
	pub fee_ceiling: Balance,
	/// How many verifiers were asked for.
	pub verifiers: u8,
	/// Block of the request.
	pub requested_at: BlockNumber,
	/// The state up to the publication; from then on the state that the claim began with.
	pub state: State,
	/// Attempt, from 0: the present one, or the next while the job waits.
	pub attempt: u8,
	/// Last block in which an executor may be found, or in which it may publish.
	pub deadline: BlockNumber,
	/// The draw of this attempt; none while the job waits.
	pub engagement: Option<Engagement<AccountId, BlockNumber>>,
	/// What was published.
	pub answer: Option<Answer>,
	/// Executors of failed attempts.
	pub failed: BoundedVec<AccountId, ConstU32<MAX_ATTEMPTS>>,
}

impl<AccountId: Encode, BlockNumber: Encode + Clone> Job<AccountId, BlockNumber> {
	/// Returns the name of the present attempt; none while the job waits.
	pub fn execution(&self, genesis: Hash32, id: &JobId) -> Option<ExecutionId> {
		let engagement = self.engagement.as_ref()?;
		Some(self.execution_by(genesis, id, &engagement.executor, &engagement.drawn))
	}

	/// Returns the name of the attempt with this draw.
	pub(crate) fn execution_by(
		&self,
		genesis: Hash32,
		id: &JobId,
		executor: &AccountId,
		drawn: &DrawRecord<BlockNumber>,
	) -> ExecutionId {
		Execution {
			genesis,
			job: *id,
			attempt: self.attempt,
			block: drawn.block.clone(),
			beacon: drawn.beacon,
			executor,
			model: self.model,
		}
		.id()
	}
}

impl<AccountId, BlockNumber> Job<AccountId, BlockNumber> {
	/// Returns the executor of this attempt; none while the job waits.
	pub fn executor(&self) -> Option<&AccountId> {
		self.engagement.as_ref().map(|engagement| &engagement.executor)
	}

	/// Returns how many attempts have begun.
	pub fn attempts(&self) -> u8 {
		self.attempt.saturating_add(self.engagement.is_some().into())
	}

	/// Returns what is paid for of an answer: nothing if the model did not run.
	pub(crate) fn record(&self, output: &Output) -> AnswerRecord {
		let mut record = AnswerRecord {
			input_tokens: output.input_tokens.min(self.input_ceiling),
			output_tokens: (output.tokens.len() as u32).min(self.output_ceiling),
			finish: output.finish,
		};
		if !record.model_ran() {
			record.input_tokens = 0;
		}
		record
	}

	/// Returns what an answer costs: nothing if the model did not run.
	pub(crate) fn bill(&self, rates: &Rates, answer: &AnswerRecord) -> Bill {
		if answer.model_ran() {
			self.bill_of(rates, answer.input_tokens, answer.output_tokens)
		} else {
			Bill::default()
		}
	}

	/// Returns what one check of an answer counts for where a requester does not pay it: in fines, audits and juries. If the
	/// model did not run, a check is worth one token: nobody runs the model for it either, and the pool, into which such a
	/// job pays nothing, could not pay more.
	pub(crate) fn check_fee(&self, rates: &Rates, answer: &AnswerRecord) -> Balance {
		let tokens_in = if answer.model_ran() { answer.input_tokens } else { 1 };
		self.bill_of(rates, tokens_in, answer.output_tokens).seat
	}

	/// Returns what the job costs at most.
	pub fn bill_at_most(&self, rates: &Rates) -> Bill {
		self.bill_of(rates, self.input_ceiling, self.output_ceiling)
	}

	fn bill_of(&self, rates: &Rates, tokens_in: u32, tokens_out: u32) -> Bill {
		let Prices { price_in, price_out } = self.terms.prices;
		Bill::new(
			rates,
			(price_in, price_out),
			self.terms.parameters,
			(tokens_in, tokens_out),
		)
	}

	/// Moves the job to the state after a trigger. Returns false, and changes nothing, if there is no such step.
	#[must_use]
	pub(crate) fn step(&mut self, trigger: Trigger) -> bool {
		match self.state.after(trigger) {
			Some(state) => {
				self.state = state;
				true
			}
			None => false,
		}
	}
}

/// A listing's queue: the indices of its waiting jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Line {
	/// The index of the head.
	pub first: u64,
	/// The index that the next job gets.
	pub end: u64,
}

impl Default for Line {
	/// Returns an empty queue with room at both ends.
	fn default() -> Self {
		Self {
			first: 1 << 63,
			end: 1 << 63,
		}
	}
}

impl Line {
	/// Returns how many jobs wait.
	pub fn len(&self) -> u64 {
		self.end.saturating_sub(self.first)
	}

	/// Returns whether no job waits.
	pub fn is_empty(&self) -> bool {
		self.len() == 0
	}
}

/// Waiting jobs, and the listings whose turn comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Waiting {
	/// Jobs that wait, of all listings.
	pub jobs: u32,
	/// The index of the listing whose turn comes first.
	pub first_turn: u64,
	/// The index that the next listing gets.
	pub end_turn: u64,
}

impl Waiting {
	/// Returns how many listings have waiting jobs.
	pub fn listings(&self) -> u64 {
		self.end_turn.saturating_sub(self.first_turn)
	}
}

/// An executor that must publish.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Duty<AccountId> {
	/// The job.
	pub job: JobId,
	/// The executor.
	pub executor: AccountId,
}

/// The executor's message: the answer and the seal over its root.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Publication<AccountId, BlockNumber> {
	/// The executor, who sends it.
	pub executor: AccountId,
	/// The claim: this attempt, by its draw.
	pub claim: ClaimId,
	/// The job.
	pub job: JobId,
	/// The answer.
	pub output: UncheckedOutput,
	/// The seal over the root.
	pub seal: Seal,
	/// The block the worker saw.
	pub at: BlockNumber,
}

impl<AccountId: Encode, BlockNumber: Encode> Publication<AccountId, BlockNumber> {
	/// Returns the bytes that the inference key signs.
	pub fn message(&self, genesis: &Hash32) -> alloc::vec::Vec<u8> {
		(b"assay/v2/publish", genesis, self).encode()
	}
}
