//! Views and pages of the catalog.

use super::*;
use crate::MAX_PAGE;
use frame_support::{assert_ok, traits::fungible::Mutate};
use std::collections::BTreeSet;

#[test]
fn a_view_shows_model_and_listings_and_leaves_providers_to_the_runtime() {
	build_and_execute(|| {
		let (id, _) = model(7);
		assert!(Models::view(&id).is_none());
		assert_ok!(register(1, 7));
		assert_ok!(list(2, 7, 0));
		let view = Models::view(&id).unwrap();
		assert_eq!(
			(
				view.name.as_str(),
				view.architecture.as_str(),
				view.providers,
				view.stake
			),
			("Tiny 7", "llama", 0, 0)
		);
		assert_eq!((view.parameters, view.context_length), (1_000_000, 256));
		let owners: Vec<_> = view.listings.iter().map(|listing| listing.owner).collect();
		assert_eq!(owners, [1, 2]);
		// A retired listing is in no list, but can be read by its name.
		assert_ok!(Models::retire(signed(1), FIRST));
		assert_eq!(Models::view(&id).unwrap().listings.len(), 1);
		assert_eq!(Models::listing_view(FIRST).unwrap().retired_at, Some(1));
		assert!(Models::listing_view(ListingId(2)).is_none());
	});
}

#[test]
fn pages_show_every_model_once_even_if_one_is_removed_between_them() {
	build_and_execute(|| {
		Balances::set_balance(&1, 1 << 40);
		for n in 1..=25 {
			assert_ok!(register(1, n));
		}
		let (mut seen, mut start) = (BTreeSet::new(), None);
		loop {
			let page = Models::page(start, 10);
			let Some(last) = page.last() else { break };
			start = Some(last.id);
			assert!(page.iter().all(|view| seen.insert(view.id)), "no model is on two pages");
			if seen.len() == 10 {
				let listing = last.listings[0].listing;
				assert_ok!(Models::retire(signed(1), listing));
				System::set_block_number(11);
				assert_ok!(Models::remove(signed(1), listing));
			}
		}
		assert_eq!(seen.len(), 25);
	});
}

#[test]
fn a_page_has_at_most_a_hundred_models() {
	build_and_execute(|| {
		Balances::set_balance(&1, 1 << 40);
		for n in 0..=MAX_PAGE as u8 {
			assert_ok!(register(1, n));
		}
		assert_eq!(Models::page(None, u32::MAX).len(), MAX_PAGE as usize);
		assert!(Models::page(None, 0).is_empty());
	});
}
