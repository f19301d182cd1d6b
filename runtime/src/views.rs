//! The views that dApps read, put together from the pallets' own views. Strangers call them for free, so what each reads is
//! bounded: see `AssayApi`.

use crate::{AccountId, BlockNumber, Jobs, Models, Providers, Runtime};
use alloc::vec::Vec;
use assay_primitives::{
	accumulator::Accumulator,
	api::{ExecutionView, JobView, ListingView, ModelView, ProviderView, Quote, QuoteError, TooManyJobs},
	draw::{is_supermajority, willing_stake, SealedMember},
	limits::MAX_JOB_VIEWS,
	traits::ProviderSet,
	Balance, JobId, ListingId, ModelId, Receipt, Target,
};
use frame_support::ensure;

/// Returns a page of the catalog.
pub(crate) fn models(start: Option<ModelId>, limit: u32) -> Vec<ModelView<AccountId, BlockNumber>> {
	Models::page(start, limit).into_iter().map(with_providers).collect()
}

/// Returns one model.
pub(crate) fn model(id: ModelId) -> Option<ModelView<AccountId, BlockNumber>> {
	Models::view(&id).map(with_providers)
}

/// Returns one listing.
pub(crate) fn listing(id: ListingId) -> Option<ListingView<AccountId, BlockNumber>> {
	let view = Models::listing_view(id)?;
	let sealed = <Providers as ProviderSet<AccountId>>::sealed(&view.model);
	Some(with_willing(view, &sealed))
}

/// Adds what follows from a model's electorate, which the catalog doesn't know.
fn with_providers(view: ModelView<AccountId, BlockNumber>) -> ModelView<AccountId, BlockNumber> {
	let sealed = <Providers as ProviderSet<AccountId>>::sealed(&view.id);
	let listings = view.listings.into_iter();
	ModelView {
		providers: u32::try_from(sealed.len()).unwrap_or(u32::MAX),
		stake: stake(&sealed),
		listings: listings.map(|listing| with_willing(listing, &sealed)).collect(),
		..view
	}
}

/// Adds what follows from the electorate to a listing.
fn with_willing(
	view: ListingView<AccountId, BlockNumber>,
	sealed: &[SealedMember<AccountId>],
) -> ListingView<AccountId, BlockNumber> {
	let willing = willing_stake(sealed, &view.prices);
	let takes_jobs = view.retired_at.is_none() && willing > 0;
	ListingView {
		willing,
		takes_checked_jobs: takes_jobs && is_supermajority(willing, stake(sealed)),
		..view
	}
}

fn stake(sealed: &[SealedMember<AccountId>]) -> Balance {
	let stakes = sealed.iter().map(|sealed| sealed.member.stake);
	stakes.fold(0, Balance::saturating_add)
}

/// Returns the providers of a model.
pub(crate) fn providers_of(model: ModelId) -> Vec<ProviderView<AccountId>> {
	Providers::providers_of(model)
}

/// Returns what a job would cost at most.
pub(crate) fn quote(target: Target, input_bytes: u32, max_tokens: u32, verifiers: u8) -> Result<Quote, QuoteError> {
	Jobs::quote(target, input_bytes, max_tokens, verifiers)
}

/// Returns one job.
pub(crate) fn job(id: JobId) -> Option<JobView<AccountId, BlockNumber>> {
	Jobs::view(id)
}

/// Returns jobs in the order of their ids.
pub(crate) fn jobs(ids: Vec<JobId>) -> Result<Vec<Option<JobView<AccountId, BlockNumber>>>, TooManyJobs> {
	ensure!(ids.len() <= MAX_JOB_VIEWS as usize, TooManyJobs);
	Ok(ids.into_iter().map(Jobs::view).collect())
}

/// Returns who makes a job's draft, with the endpoint, which the jobs pallet doesn't know.
pub(crate) fn execution(id: JobId) -> Option<ExecutionView<AccountId>> {
	let view = Jobs::execution(id)?;
	Some(ExecutionView {
		endpoint: Providers::endpoint_of(&view.executor),
		..view
	})
}

/// Returns the receipt of a job that has a verdict.
pub(crate) fn receipt(id: JobId) -> Option<Receipt<AccountId, BlockNumber>> {
	Jobs::receipt(id)
}

/// Returns the index of a final receipt's leaf in the accumulator.
pub(crate) fn receipt_leaf(id: JobId) -> Option<u64> {
	pallet_jobs::Leaves::<Runtime>::get(id)
}

/// Returns what is stored of all receipts that ever became final.
pub(crate) fn receipt_accumulator() -> Accumulator {
	pallet_jobs::ReceiptAccumulator::<Runtime>::get()
}
