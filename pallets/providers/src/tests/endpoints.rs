//! Endpoints: where nodes serve streams.

use super::*;
use crate::{Endpoints, Error, Event};
use assay_primitives::limits::MAX_ENDPOINT_BYTES;
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

const URL: &[u8] = b"wss://provider.example:9944/streams";

fn set(who: u64, url: &[u8]) -> DispatchResult {
	Providers::set_endpoint(signed(who), url.to_vec())
}

fn seen(who: u64) -> Option<Vec<u8>> {
	let views = Providers::providers_of(model(1));
	views.into_iter().find(|view| view.provider == who)?.endpoint
}

#[test]
fn a_provider_publishes_changes_and_removes_its_endpoint() {
	build_and_execute(|| {
		join(1, 1_000);
		assert_eq!(seen(1), None);
		for url in [URL, b"ws://[::1]:1"] {
			assert_ok!(set(1, url));
			assert_eq!(
				(seen(1), Providers::endpoint_of(&1)),
				(Some(url.to_vec()), Some(url.to_vec()))
			);
			let event = Event::EndpointSet {
				provider: 1,
				endpoint: url.to_vec(),
			};
			System::assert_last_event(event.into());
		}
		assert_ok!(set(1, b""));
		assert_eq!((seen(1), Endpoints::<Test>::iter().count()), (None, 0));
		assert_ok!(set(1, b""));
	});
}

#[test]
fn only_providers_have_endpoints_and_only_urls_are() {
	build_and_execute(|| {
		assert_noop!(set(1, URL), Error::<Test>::NotBonded);
		assert_noop!(set(1, b""), Error::<Test>::NotBonded);
		join(1, 1_000);
		assert_noop!(
			Providers::set_endpoint(RuntimeOrigin::none(), URL.to_vec()),
			DispatchError::BadOrigin
		);
		for bad in [
			&b"http://a"[..],
			b"ws://",
			b"ws://me@a",
			b"ws://a?b",
			b"ws://a b",
			b"ws://\xff",
		] {
			assert_noop!(set(1, bad), Error::<Test>::BadEndpoint);
		}
		let mut long = URL.to_vec();
		long.resize(MAX_ENDPOINT_BYTES as usize, b'a');
		assert_ok!(set(1, &long));
		long.push(b'a');
		assert_noop!(set(1, &long), Error::<Test>::EndpointTooLong);
	});
}

#[test]
fn an_endpoint_is_gone_when_its_provider_has_left() {
	build_and_execute(|| {
		join(1, 1_000);
		assert_ok!(set(1, URL));
		assert_ok!(Providers::unbond(signed(1), 1_000));
		assert_eq!(Providers::endpoint_of(&1), Some(URL.to_vec()), "it may have work to do");
		System::set_block_number(1 + PARAMS.unbonding_period);
		assert_ok!(Providers::withdraw(signed(1)));
		assert_eq!(Endpoints::<Test>::iter().count(), 0);
	});
}
