//! The quote of a job, and its request.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::{Quote, QuoteError},
	digest::input_hash,
	draw::Member,
	economics::Bill,
	job::Input,
	limits::{MAX_INPUT_BYTES, MAX_OUTPUT_BYTES, MAX_OUTPUT_TOKENS, MAX_VERIFIERS},
	model::ModelTerms,
	rules::{check_work, generation_work},
	traits::{summarize, Escrow, ModelCatalog, ProviderSet},
	Balance, JobId, ModelId, SamplingParams, State,
};
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use sp_runtime::traits::{Saturating, UniqueSaturatedInto};

/// The least that tokenizers average on plain text. A prompt with more bytes than this for each token of the context
/// hardly fits and is refused at once; one that passes and does not fit ends as `Failed(PromptTooLong)`.
const BYTES_PER_CONTEXT_TOKEN: u32 = 4;

/// Stored bytes of one generated token's id.
const BYTES_PER_TOKEN_ID: u32 = 4;

impl<T: Config> From<QuoteError> for Error<T> {
	fn from(error: QuoteError) -> Self {
		match error {
			QuoteError::UnknownModel => Self::UnknownModel,
			QuoteError::RetiredModel => Self::RetiredModel,
			QuoteError::EmptyInput => Self::EmptyInput,
			QuoteError::InputTooLong => Self::InputTooLong,
			QuoteError::BadParams => Self::BadParams,
			QuoteError::TooManyVerifiers => Self::TooManyVerifiers,
			QuoteError::NoProvider => Self::NoProvider,
			QuoteError::NoVerifier => Self::NoVerifier,
		}
	}
}

impl<T: Config> Pallet<T> {
	pub(crate) fn do_request(
		requester: T::AccountId,
		model: ModelId,
		input: Input,
		params: SamplingParams,
		verifiers: u8,
		max_fee: Balance,
	) -> DispatchResult {
		let limits = T::Params::get();
		ensure!(params.is_valid(), Error::<T>::BadParams);
		let (terms, quote) =
			Self::price(&model, input.len() as u32, params.max_tokens, verifiers).map_err(Error::<T>::from)?;
		ensure!(core::str::from_utf8(&input).is_ok(), Error::<T>::InputNotUtf8);
		ensure!(max_fee >= quote.fee_ceiling, Error::<T>::FeeTooLow);
		ensure!(
			WaitingJobs::<T>::get().jobs < limits.max_waiting_jobs,
			Error::<T>::TooManyJobs
		);

		let now = frame_system::Pallet::<T>::block_number();
		let hash = input_hash(&input);
		let count = JobCount::<T>::mutate(&requester, |count| {
			*count = count.saturating_add(1);
			*count
		});
		let id = JobId::derive(&T::GenesisHash::get(), &requester, count, &model, &hash, &params);
		T::Escrow::hold(id, &requester, quote.fee_ceiling, quote.deposit)?;

		Inputs::<T>::insert(id, input);
		let job = Job {
			requester: requester.clone(),
			count,
			model,
			terms,
			params,
			input_hash: hash,
			input_ceiling: quote.input_tokens,
			output_ceiling: quote.output_tokens,
			fee_ceiling: quote.fee_ceiling,
			verifiers,
			requested_at: now,
			state: State::Waiting,
			attempt: 0,
			deadline: now.saturating_add(limits.queue_blocks),
			engagement: None,
			answer: None,
			failed: Default::default(),
		};
		Jobs::<T>::insert(id, job);
		Self::enqueue(&model, id);
		Self::deposit_event(Event::Requested {
			job: id,
			requester,
			model,
			verifiers,
			fee_ceiling: quote.fee_ceiling,
		});
		Ok(())
	}

	/// Returns the price of a job before it is requested, or the error that its request would meet.
	pub fn quote(model: ModelId, input_bytes: u32, max_tokens: u32, verifiers: u8) -> Result<Quote, QuoteError> {
		Self::price(&model, input_bytes, max_tokens, verifiers).map(|(_, quote)| quote)
	}

	fn price(
		model: &ModelId,
		input_bytes: u32,
		max_tokens: u32,
		verifiers: u8,
	) -> Result<(ModelTerms<T::AccountId>, Quote), QuoteError> {
		let params = T::Params::get();
		let terms = T::Catalog::terms(model).ok_or(QuoteError::UnknownModel)?;
		ensure!(!terms.retired, QuoteError::RetiredModel);
		ensure!(input_bytes > 0, QuoteError::EmptyInput);
		let context_bytes = terms
			.context_length
			.saturating_sub(terms.prompt_overhead)
			.saturating_mul(BYTES_PER_CONTEXT_TOKEN);
		ensure!(
			input_bytes <= context_bytes.min(MAX_INPUT_BYTES),
			QuoteError::InputTooLong
		);
		ensure!((1..=MAX_OUTPUT_TOKENS).contains(&max_tokens), QuoteError::BadParams);
		ensure!(verifiers <= MAX_VERIFIERS, QuoteError::TooManyVerifiers);
		let electorate = Self::electorate(model);
		ensure!(!electorate.is_empty(), QuoteError::NoProvider);
		ensure!(verifiers == 0 || electorate.len() > 1, QuoteError::NoVerifier);

		let input_tokens = terms.input_ceiling(input_bytes);
		let output_tokens = max_tokens.min(terms.context_length);
		let bill = Bill::new(
			&params.rates,
			(terms.price_in, terms.price_out),
			terms.parameters,
			(input_tokens, output_tokens),
		);
		let quote = Quote {
			fee_ceiling: bill.total(verifiers),
			deposit: deposit(&params, input_bytes, output_tokens),
			input_tokens,
			output_tokens,
			seat_fee: bill.seat,
			median_stake: median_stake(&electorate),
			electorate: summarize(&electorate, None, T::Providers::chain_stake()),
			jobs_ahead: Self::jobs_ahead(model),
			longest_wait: params.queue_blocks.unique_saturated_into(),
			t_max: Self::t_max(
				generation_work(input_tokens, output_tokens),
				check_work(input_tokens, output_tokens),
			),
		};
		Ok((terms, quote))
	}

	/// Returns the members of a model's electorate that can be drawn.
	pub(crate) fn electorate(model: &ModelId) -> Vec<Member<T::AccountId>> {
		let mut members = T::Providers::electorate(model);
		members.retain(|member| member.stake > 0);
		members
	}
}

/// Returns what is held for the storage of a job: for its prompt, the most token ids, and the longest text there may be.
///
/// Nothing bounds the text of one token, and an honest executor must be able to publish any answer, so the deposit covers
/// the longest text whatever `max_tokens` is.
fn deposit<BlockNumber>(params: &JobParams<BlockNumber>, input_bytes: u32, output_tokens: u32) -> Balance {
	let bytes = input_bytes
		.saturating_add(output_tokens.saturating_mul(BYTES_PER_TOKEN_ID))
		.saturating_add(MAX_OUTPUT_BYTES);
	params
		.deposit_base
		.saturating_add(params.deposit_per_byte.saturating_mul(bytes.into()))
}

/// Returns the median of the members' stakes, the lower of two; 0 if there is none.
fn median_stake<AccountId>(members: &[Member<AccountId>]) -> Balance {
	let mut stakes: Vec<_> = members.iter().map(|member| member.stake).collect();
	stakes.sort_unstable();
	let middle = stakes.len().saturating_sub(1) / 2;
	stakes.get(middle).copied().unwrap_or(0)
}
