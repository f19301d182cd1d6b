//! Views and pages of the catalog.

use super::*;
use crate::MAX_PAGE;
use frame_support::assert_ok;
use std::collections::BTreeSet;

#[test]
fn a_view_shows_the_entry_and_leaves_providers_to_the_runtime() {
	build_and_execute(|| {
		assert!(Models::view(&ModelId([7; 32])).is_none());
		assert_ok!(register(1, registration(7)));
		let view = Models::view(&ModelId([7; 32])).unwrap();
		assert_eq!(
			(view.name.as_str(), view.architecture.as_str(), view.providers),
			("Tiny Llama", "llama", 0)
		);
		assert_eq!(view.terms.parameters, registration(7).parameters);
	});
}

#[test]
fn pages_show_every_model_once_even_if_one_is_removed_between_them() {
	build_and_execute(|| {
		for id in 1..=25 {
			assert_ok!(register(1, registration(id)));
		}
		let (mut seen, mut start) = (BTreeSet::new(), None);
		loop {
			let page = Models::page(start, 10);
			let Some(last) = page.last() else { break };
			start = Some(last.id);
			assert!(page.iter().all(|view| seen.insert(view.id)), "no entry is on two pages");
			if seen.len() == 10 {
				assert_ok!(Models::retire(RuntimeOrigin::signed(1), last.id));
				System::set_block_number(11);
				assert_ok!(Models::remove(RuntimeOrigin::signed(1), last.id));
			}
		}
		assert_eq!(seen.len(), 25);
	});
}

#[test]
fn a_page_has_at_most_a_hundred_entries() {
	build_and_execute(|| {
		frame_support::assert_ok!(<Balances as frame_support::traits::fungible::Mutate<u64>>::mint_into(
			&1,
			1 << 40
		));
		for id in 0..=MAX_PAGE as u8 {
			assert_ok!(register(1, registration(id)));
		}
		assert_eq!(Models::page(None, u32::MAX).len(), MAX_PAGE as usize);
		assert!(Models::page(None, 0).is_empty());
	});
}
