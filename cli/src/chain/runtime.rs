//! The runtime's interface, generated from the metadata that is checked in. A test of the runtime keeps that file current.

use assay_primitives::{
	model::Prices, Balance, ClaimId, Input, ModelId, OutputHash, SamplingParams, Target, UncheckedInput,
};
use subxt::{tx::Payload, Metadata};

/// Name of the runtime that this program talks to.
pub(crate) const SPEC_NAME: &str = "assay";

/// Calls, events and storage, generated from `metadata.scale`.
#[allow(missing_docs, unreachable_pub, clippy::all)]
#[subxt::subxt(
	runtime_metadata_path = "metadata.scale",
	substitute_type(
		path = "assay_primitives::hash::JobId",
		with = "::subxt::utils::Static<::assay_primitives::JobId>"
	),
	substitute_type(
		path = "assay_primitives::hash::ClaimId",
		with = "::subxt::utils::Static<::assay_primitives::ClaimId>"
	),
	substitute_type(
		path = "assay_primitives::hash::OutputHash",
		with = "::subxt::utils::Static<::assay_primitives::OutputHash>"
	),
	substitute_type(
		path = "assay_primitives::hash::ModelId",
		with = "::subxt::utils::Static<::assay_primitives::ModelId>"
	),
	substitute_type(
		path = "assay_primitives::model::Profile",
		with = "::subxt::utils::Static<::assay_primitives::model::Profile>"
	),
	substitute_type(
		path = "assay_primitives::model::ListingId",
		with = "::subxt::utils::Static<::assay_primitives::ListingId>"
	),
	substitute_type(
		path = "assay_primitives::model::Prices",
		with = "::subxt::utils::Static<::assay_primitives::model::Prices>"
	),
	substitute_type(
		path = "assay_primitives::job::Target",
		with = "::subxt::utils::Static<::assay_primitives::Target>"
	),
	substitute_type(
		path = "assay_primitives::job::Input",
		with = "::subxt::utils::Static<::assay_primitives::UncheckedInput>"
	),
	substitute_type(
		path = "assay_primitives::job::SamplingParams",
		with = "::subxt::utils::Static<::assay_primitives::SamplingParams>"
	)
)]
mod generated {}

pub(crate) use generated::{jobs, models, runtime_types, storage, timestamp, tx};

use runtime_types::{
	assay_primitives::crypto::app, pallet_models::types::ListingTerms, sp_arithmetic::per_things::Permill,
};

/// Returns the call that requests a job of a model or a listing.
pub(crate) fn request(
	target: Target,
	input: Input,
	params: SamplingParams,
	verifiers: u8,
	max_fee: Balance,
) -> impl Payload {
	let input = UncheckedInput::from(input);
	tx().jobs()
		.request(target.into(), input.into(), params.into(), verifiers, max_fee)
}

/// Returns the call that registers a model by its manifest and lists it.
pub(crate) fn register(manifest: &[u8], prices: Prices, royalty: u32) -> impl Payload {
	tx().models().register(manifest.to_vec(), terms(prices, royalty))
}

/// Returns the call that lists a registered model.
pub(crate) fn list(model: ModelId, prices: Prices, royalty: u32, deposit: Balance) -> impl Payload {
	tx().models().list(model.into(), terms(prices, royalty), deposit)
}

fn terms(prices: Prices, royalty: u32) -> ListingTerms {
	ListingTerms {
		prices: prices.into(),
		royalty: permill(royalty),
	}
}

/// Returns the call that objects to a claim's output.
pub(crate) fn object(claim: ClaimId, output_hash: OutputHash) -> impl Payload {
	tx().verification().object(claim.into(), output_hash.into())
}

/// Returns the call by which a provider declares that it votes again.
pub(crate) fn ready() -> impl Payload {
	tx().providers().ready()
}

/// Wraps parts per million for a call.
fn permill(parts: u32) -> Permill {
	Permill(parts)
}

/// Returns whether a node's runtime offers the whole interface unchanged.
pub(crate) fn fits(metadata: &Metadata) -> bool {
	generated::is_codegen_valid_for(metadata)
}

/// Reads session keys, which are three public keys one after the other.
pub(crate) fn session_keys(public: &[u8]) -> Option<runtime_types::assay_runtime::SessionKeys> {
	let (babe, rest) = public.split_first_chunk()?;
	let (grandpa, rest) = rest.split_first_chunk()?;
	let authority_discovery = rest.try_into().ok()?;
	Some(runtime_types::assay_runtime::SessionKeys {
		babe: runtime_types::sp_consensus_babe::app::Public(*babe),
		grandpa: runtime_types::sp_consensus_grandpa::app::Public(*grandpa),
		authority_discovery: runtime_types::sp_authority_discovery::app::Public(authority_discovery),
	})
}

/// Wraps an inference key for a call.
pub(crate) fn inference_key(public: [u8; 32]) -> app::Public {
	app::Public(public)
}

/// Wraps a signature by an inference key for a call.
pub(crate) fn inference_signature(signature: [u8; 64]) -> app::Signature {
	app::Signature(signature)
}
