//! The quote of a job, and its request.

use crate::*;
use alloc::vec::Vec;
use assay_primitives::{
	api::{Quote, QuoteError},
	chat::Chat,
	digest::input_hash,
	draw::{is_supermajority, total_stake, willing_stake, Member, SealedMember},
	economics::{Bill, Rates},
	job::{max_text_bytes, Input},
	limits::{MAX_INPUT_BYTES, MAX_LISTINGS, MAX_OUTPUT_TOKENS, MAX_VERIFIERS},
	model::{ModelTerms, Prices},
	rules::{check_work, generation_work},
	traits::{summarize, Escrow, ModelCatalog, ProviderSet},
	Balance, InputHash, JobId, ModelId, SamplingParams, State, Target, UncheckedInput, UncheckedParams,
};
use frame_support::{ensure, pallet_prelude::*, traits::Get};
use sp_runtime::traits::{Saturating, UniqueSaturatedInto};

/// More than tokenizers average on plain text and on the JSON of a conversation, whose characters may be escaped. A prompt
/// with more bytes than this for each token of the context hardly fits and is refused at once; one that passes and does
/// not fit ends as `Failed(PromptTooLong)`.
const BYTES_PER_CONTEXT_TOKEN: u32 = 8;

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
			QuoteError::UnknownListing => Self::UnknownListing,
			QuoteError::RetiredListing => Self::RetiredListing,
			QuoteError::NobodyWilling => Self::NobodyWilling,
			QuoteError::TooFewWilling => Self::TooFewWilling,
		}
	}
}

type TermsOf<T> = ModelTerms<<T as frame_system::Config>::AccountId>;

/// What a job asks of a listing.
#[derive(Clone, Copy)]
struct Size {
	input_bytes: u32,
	max_tokens: u32,
	verifiers: u8,
}

/// A listing that may take a job, the stake that would execute it, and what it would cost there at most.
struct Priced<AccountId> {
	terms: ModelTerms<AccountId>,
	willing: Balance,
	has_supermajority: bool,
	total: Balance,
}

impl<AccountId> Priced<AccountId> {
	fn is_better_than(&self, other: &Self) -> bool {
		(!self.has_supermajority, self.total) < (!other.has_supermajority, other.total)
	}
}

/// The listing that a job gets.
struct Offer<AccountId> {
	model: ModelId,
	terms: ModelTerms<AccountId>,
	quote: Quote,
	compared: u32,
}

impl<T: Config> Pallet<T> {
	/// Stores a request, and returns how many listings were compared for it.
	pub(crate) fn do_request(
		requester: T::AccountId,
		target: Target,
		input: UncheckedInput,
		params: UncheckedParams,
		verifiers: u8,
		max_fee: Balance,
	) -> Result<u32, DispatchError> {
		let params = params.bounded().filter(SamplingParams::is_valid);
		let params = params.ok_or(Error::<T>::BadParams)?;
		let input = input.bounded().ok_or(Error::<T>::InputTooLong)?;
		let size = Size {
			input_bytes: input.bytes().len() as u32,
			max_tokens: params.max_tokens,
			verifiers,
		};
		let offer = Self::offer(&target, size).map_err(Error::<T>::from)?;
		let (compared, deposit) = (offer.compared, offer.quote.deposit);
		ensure!(max_fee >= offer.quote.fee_ceiling, Error::<T>::FeeTooLow);
		ensure!(
			WaitingJobs::<T>::get().jobs < T::Params::get().max_waiting_jobs,
			Error::<T>::TooManyJobs
		);
		Self::check_input(&input)?;

		let job = Self::new_job(requester, &target, offer, input_hash(&input), params, verifiers);
		let id = JobId::derive(
			&T::GenesisHash::get(),
			&job.requester,
			job.count,
			&job.model,
			target.listing(),
			&job.input_hash,
			&job.params,
		);
		T::Escrow::hold(id, &job.requester, job.fee_ceiling, deposit)?;
		Self::enqueue(job.terms.listing, id);
		Self::deposit_event(Event::Requested {
			job: id,
			requester: job.requester.clone(),
			model: job.model,
			listing: job.terms.listing,
			verifiers,
			fee_ceiling: job.fee_ceiling,
		});
		Inputs::<T>::insert(id, input);
		Jobs::<T>::insert(id, job);
		Ok(compared)
	}

	/// Checks what only reading shows. It costs more than all other checks, which come first.
	fn check_input(input: &Input) -> Result<(), Error<T>> {
		match input {
			Input::Text(text) => ensure!(core::str::from_utf8(text).is_ok(), Error::<T>::InputNotUtf8),
			Input::Chat(json) => {
				if let Err(error) = Chat::parse(json) {
					log::debug!(target: LOG_TARGET, "A conversation is refused: {error}");
					return Err(Error::<T>::BadChat);
				}
			}
		}
		Ok(())
	}

	/// Counts a job and returns it as it begins.
	fn new_job(
		requester: T::AccountId,
		target: &Target,
		offer: Offer<T::AccountId>,
		input_hash: InputHash,
		params: SamplingParams,
		verifiers: u8,
	) -> JobOf<T> {
		let Offer {
			model, terms, quote, ..
		} = offer;
		let count = JobCount::<T>::mutate(&requester, |count| {
			*count = count.saturating_add(1);
			*count
		});
		let now = frame_system::Pallet::<T>::block_number();
		Job {
			requester,
			count,
			model,
			terms,
			listing_named: target.listing().is_some(),
			params,
			input_hash,
			input_ceiling: quote.input_tokens,
			output_ceiling: quote.output_tokens,
			fee_ceiling: quote.fee_ceiling,
			verifiers,
			requested_at: now,
			state: State::Waiting,
			attempt: 0,
			deadline: now.saturating_add(T::Params::get().queue_blocks),
			engagement: None,
			answer: None,
			failed: Default::default(),
		}
	}

	/// Returns the price of a job before it is requested, or the error that its request would meet.
	pub fn quote(target: Target, input_bytes: u32, max_tokens: u32, verifiers: u8) -> Result<Quote, QuoteError> {
		let size = Size {
			input_bytes,
			max_tokens,
			verifiers,
		};
		Self::offer(&target, size).map(|offer| offer.quote)
	}

	/// Returns the listing that a job gets: the one it names, or of those of a model that may take it the one at which
	/// this very job costs least, the older one of equals. One without a supermajority is the last choice, also for a job that
	/// nobody checks: few members that list the model at no price for themselves would get all of those.
	fn offer(target: &Target, size: Size) -> Result<Offer<T::AccountId>, QuoteError> {
		let (model, listings) = Self::listings(target)?;
		let compared = u32::try_from(listings.len()).unwrap_or(u32::MAX);
		let context = listings.first().ok_or(QuoteError::RetiredModel)?;
		check_size(context, size)?;
		let sealed = Self::sealed(&model);
		ensure!(!sealed.is_empty(), QuoteError::NoProvider);
		ensure!(size.verifiers == 0 || sealed.len() > 1, QuoteError::NoVerifier);
		let electorate: Vec<_> = sealed.iter().map(|sealed| sealed.member.clone()).collect();
		let stake = total_stake(&electorate);
		let rates = T::Params::get().rates;

		let mut best: Result<Priced<T::AccountId>, _> = Err(QuoteError::NobodyWilling);
		for terms in listings {
			let priced = check_willing(&sealed, stake, &terms, size).map(|willing| Priced {
				total: bill(&rates, &terms, size).total(size.verifiers),
				has_supermajority: is_supermajority(willing, stake),
				terms,
				willing,
			});
			best = match (best, priced) {
				(Ok(best), Ok(other)) if other.is_better_than(&best) => Ok(other),
				(Err(_), other) => other,
				(best, _) => best,
			};
		}
		let priced = best?;
		let quote = Self::quote_of(&priced, &electorate, size);
		Ok(Offer {
			model,
			terms: priced.terms,
			quote,
			compared,
		})
	}

	/// Returns the terms that a job may be answered on, the oldest listing first.
	fn listings(target: &Target) -> Result<(ModelId, Vec<TermsOf<T>>), QuoteError> {
		match target {
			Target::Model(model) => {
				let listings = T::Catalog::listings(model).ok_or(QuoteError::UnknownModel)?;
				Ok((*model, listings))
			}
			Target::Listing(id) => {
				let (model, terms) = T::Catalog::listing(*id).ok_or(QuoteError::UnknownListing)?;
				ensure!(!terms.retired, QuoteError::RetiredListing);
				Ok((model, [terms].into()))
			}
		}
	}

	fn quote_of(priced: &Priced<T::AccountId>, electorate: &[Member<T::AccountId>], size: Size) -> Quote {
		let params = T::Params::get();
		let listing = priced.terms.listing;
		let (input_tokens, output_tokens) = most_tokens(&priced.terms, size);
		Quote {
			listing,
			fee_ceiling: priced.total,
			deposit: deposit(&params, size, output_tokens),
			input_tokens,
			output_tokens,
			seat_fee: bill(&params.rates, &priced.terms, size).seat,
			median_stake: median_stake(electorate),
			electorate: summarize(electorate, None, T::Providers::chain_stake()),
			willing: priced.willing,
			jobs_ahead: Self::jobs_ahead(listing),
			longest_wait: params.queue_blocks.unique_saturated_into(),
			t_max: Self::t_max(
				generation_work(input_tokens, output_tokens),
				check_work(input_tokens, output_tokens),
			),
		}
	}

	/// Returns the members of a model's electorate that can be drawn.
	pub(crate) fn sealed(model: &ModelId) -> Vec<SealedMember<T::AccountId>> {
		let mut members = T::Providers::sealed(model);
		members.retain(|sealed| sealed.member.stake > 0);
		members
	}
}

/// Returns the stake of the members that execute at a listing's prices, if it is enough for the job.
fn check_willing<AccountId>(
	sealed: &[SealedMember<AccountId>],
	stake: Balance,
	terms: &ModelTerms<AccountId>,
	size: Size,
) -> Result<Balance, QuoteError> {
	let willing = willing_stake(sealed, &terms.prices);
	ensure!(willing > 0, QuoteError::NobodyWilling);
	ensure!(
		size.verifiers == 0 || is_supermajority(willing, stake),
		QuoteError::TooFewWilling
	);
	Ok(willing)
}

/// Returns the most tokens, of prompt and answer, that a job is paid for.
fn most_tokens<AccountId>(terms: &ModelTerms<AccountId>, size: Size) -> (u32, u32) {
	(
		terms.input_ceiling(size.input_bytes),
		size.max_tokens.min(terms.context_length),
	)
}

/// Returns what a job costs at most.
fn bill<AccountId>(rates: &Rates, terms: &ModelTerms<AccountId>, size: Size) -> Bill {
	let Prices { price_in, price_out } = terms.prices;
	Bill::new(rates, (price_in, price_out), terms.parameters, most_tokens(terms, size))
}

/// Checks what does not depend on prices: all listings of a model have its context.
fn check_size<AccountId>(terms: &ModelTerms<AccountId>, size: Size) -> Result<(), QuoteError> {
	ensure!(size.input_bytes > 0, QuoteError::EmptyInput);
	let context_bytes = terms
		.context_length
		.saturating_sub(terms.prompt_overhead)
		.saturating_mul(BYTES_PER_CONTEXT_TOKEN);
	ensure!(
		size.input_bytes <= context_bytes.min(MAX_INPUT_BYTES),
		QuoteError::InputTooLong
	);
	ensure!(
		(1..=MAX_OUTPUT_TOKENS).contains(&size.max_tokens),
		QuoteError::BadParams
	);
	ensure!(size.verifiers <= MAX_VERIFIERS, QuoteError::TooManyVerifiers);
	Ok(())
}

/// Returns how many listings are compared for a job at most.
pub(crate) fn most_listings(target: &Target) -> u32 {
	match target {
		Target::Model(_) => MAX_LISTINGS,
		Target::Listing(_) => 1,
	}
}

/// Returns the weight of reading a conversation; a text has none.
pub(crate) fn weight_of_parsing<T: Config>(input: &UncheckedInput) -> Weight {
	match input {
		Input::Text(_) => Weight::zero(),
		Input::Chat(json) => T::WeightInfo::parse_chat(json.len() as u32),
	}
}

/// Returns what is held for the storage of a job: for its prompt, the most token ids, and the longest text that an answer
/// of so many tokens may have.
fn deposit<BlockNumber>(params: &JobParams<BlockNumber>, size: Size, output_tokens: u32) -> Balance {
	let bytes = size
		.input_bytes
		.saturating_add(output_tokens.saturating_mul(BYTES_PER_TOKEN_ID))
		.saturating_add(max_text_bytes(size.max_tokens));
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
