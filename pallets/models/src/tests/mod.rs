//! Tests of the catalog, one file per topic.

mod examples;
mod genesis;
mod life;
mod list;
mod migrations;
mod prices;
mod reading;
mod register;

use crate::{mock::*, ListingTerms};
use assay_primitives::{
	manifest::{model_id, test_utils::TestManifest},
	model::Prices,
	ListingId, ModelId,
};
use sp_runtime::{DispatchResult, Permill};

/// Returns terms with these prices.
fn terms(price_in: u128, price_out: u128) -> ListingTerms {
	ListingTerms {
		prices: Prices { price_in, price_out },
		royalty: Permill::from_percent(5),
	}
}

fn bytes(manifest: &TestManifest) -> Vec<u8> {
	manifest.encode()
}

/// Returns the model that is numbered so.
fn model(n: u8) -> (ModelId, Vec<u8>) {
	let manifest = bytes(&TestManifest::new(&format!("Tiny {n}")));
	(model_id(&manifest), manifest)
}

/// Registers a model. Its listing is the next one.
fn register(owner: u64, n: u8) -> DispatchResult {
	Models::register(RuntimeOrigin::signed(owner), model(n).1, terms(3, 5))
}

fn list(owner: u64, n: u8, deposit: u128) -> DispatchResult {
	Models::list(RuntimeOrigin::signed(owner), model(n).0, terms(4, 6), deposit)
}

/// Returns the least deposit of a listing of the numbered models.
fn least_deposit() -> u128 {
	Models::least_deposit(&assay_primitives::manifest::read(&model(7).1).expect("a manifest").1)
}

fn signed(who: u64) -> RuntimeOrigin {
	RuntimeOrigin::signed(who)
}

const FIRST: ListingId = ListingId(0);
