//! The views that dApps read, put together from the pallets' own views. Strangers call them for free, so what each reads is
//! bounded: see `AssayApi`.

use crate::{AccountId, BlockNumber, Jobs, Models, Providers, Runtime};
use alloc::vec::Vec;
use assay_primitives::{
	accumulator::Accumulator,
	api::{JobIds, JobView, ModelView, ProviderView, Quote, QuoteError},
	traits::ProviderSet,
	JobId, ModelId, Receipt,
};

/// Returns a page of the catalog.
pub(crate) fn models(start: Option<ModelId>, limit: u32) -> Vec<ModelView<AccountId>> {
	Models::page(start, limit).into_iter().map(with_providers).collect()
}

/// Returns one model.
pub(crate) fn model(id: ModelId) -> Option<ModelView<AccountId>> {
	Models::view(&id).map(with_providers)
}

/// Adds the number of providers, which the catalog doesn't know.
fn with_providers(view: ModelView<AccountId>) -> ModelView<AccountId> {
	let electorate = <Providers as ProviderSet<AccountId>>::electorate(&view.id);
	ModelView {
		providers: u32::try_from(electorate.len()).unwrap_or(u32::MAX),
		..view
	}
}

/// Returns the providers of a model.
pub(crate) fn providers_of(model: ModelId) -> Vec<ProviderView<AccountId>> {
	Providers::providers_of(model)
}

/// Returns what a job would cost at most.
pub(crate) fn quote(model: ModelId, input_bytes: u32, max_tokens: u32, verifiers: u8) -> Result<Quote, QuoteError> {
	Jobs::quote(model, input_bytes, max_tokens, verifiers)
}

/// Returns one job.
pub(crate) fn job(id: JobId) -> Option<JobView<AccountId, BlockNumber>> {
	Jobs::view(id)
}

/// Returns jobs in the order of their ids.
pub(crate) fn jobs(ids: JobIds) -> Vec<Option<JobView<AccountId, BlockNumber>>> {
	ids.into_iter().map(Jobs::view).collect()
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
