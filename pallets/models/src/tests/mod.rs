//! Tests of the catalog, one file per topic.

mod examples;
mod genesis;
mod life;
mod reading;
mod register;

use crate::{mock::*, Registration};
use assay_primitives::{model::Profile, ModelId};
use sp_runtime::Permill;

/// Returns a good registration.
fn registration(id: u8) -> Registration {
	Registration {
		id: ModelId([id; 32]),
		name: b"Tiny Llama".to_vec().try_into().unwrap(),
		architecture: b"llama".to_vec().try_into().unwrap(),
		profile: Profile::C1W8,
		parameters: 1_000_000,
		weight_bytes: 1_062_500,
		price_in: 3,
		price_out: 5,
		royalty: Permill::from_percent(5),
		context_length: 256,
		prompt_overhead: 16,
		parent: None,
	}
}

fn register(owner: u64, registration: Registration) -> sp_runtime::DispatchResult {
	Models::register(RuntimeOrigin::signed(owner), registration)
}
