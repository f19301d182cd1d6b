//! Registering a model: what is stored, what is held, what is refused.

use super::*;
use crate::{Error, Event, HoldReason};
use assay_primitives::Balance;
use codec::Encode;
use frame_support::{
	assert_noop, assert_ok,
	traits::fungible::{InspectHold, Mutate},
};
use sp_runtime::{DispatchError, TokenError};

#[test]
fn a_registered_model_is_in_the_catalog_and_its_deposit_is_held() {
	build_and_execute(|| {
		let model = registration(7);
		let deposit = PARAMS.deposit_base + PARAMS.deposit_per_byte * model.encoded_size() as Balance;
		assert_ok!(register(1, model.clone()));
		let record = crate::Models::<Test>::get(model.id).unwrap();
		assert_eq!(record.terms.owner, 1);
		assert_eq!((record.terms.price_in, record.terms.price_out), (3, 5));
		assert_eq!(
			(record.deposit, record.registered_at, record.retired_at),
			(deposit, 1, None)
		);
		assert_eq!(Balances::balance_on_hold(&HoldReason::Registration.into(), &1), deposit);
		System::assert_last_event(
			Event::Registered {
				model: model.id,
				owner: 1,
				deposit,
			}
			.into(),
		);
	});
}

#[test]
fn a_manifest_root_has_one_entry() {
	build_and_execute(|| {
		assert_ok!(register(1, registration(7)));
		assert_noop!(register(1, registration(7)), Error::<Test>::AlreadyRegistered);
		assert_noop!(register(2, registration(7)), Error::<Test>::AlreadyRegistered);
	});
}

#[test]
fn unreadable_names_are_refused() {
	build_and_execute(|| {
		for name in [&b""[..], b" ", b" Tiny", b"Tiny ", b"Ti\nny", b"Ti\0ny", &[0xff, 0xfe]] {
			let model = Registration {
				name: name.to_vec().try_into().unwrap(),
				..registration(7)
			};
			assert_noop!(register(1, model), Error::<Test>::BadName);
		}
		for architecture in [&b""[..], b"Llama", b"llama 2", &[0xc3, 0xa4]] {
			let model = Registration {
				architecture: architecture.to_vec().try_into().unwrap(),
				..registration(7)
			};
			assert_noop!(register(1, model), Error::<Test>::BadArchitecture);
		}
		assert_ok!(register(
			1,
			Registration {
				name: "Märchen 小".as_bytes().to_vec().try_into().unwrap(),
				..registration(7)
			}
		));
	});
}

#[test]
fn numbers_outside_the_limits_are_refused() {
	build_and_execute(|| {
		let base = registration(7);
		let royalty = Permill::from_parts(50_001);
		let cases = [
			(
				Registration {
					royalty,
					..base.clone()
				},
				Error::<Test>::RoyaltyTooHigh,
			),
			(
				Registration {
					context_length: 0,
					..base.clone()
				},
				Error::<Test>::ZeroContext,
			),
			(
				Registration {
					context_length: 8_193,
					..base.clone()
				},
				Error::<Test>::ContextTooLong,
			),
			(
				Registration {
					prompt_overhead: 256,
					..base.clone()
				},
				Error::<Test>::OverheadTooLong,
			),
			(
				Registration {
					parameters: 0,
					..base.clone()
				},
				Error::<Test>::ZeroSize,
			),
			(
				Registration {
					weight_bytes: 0,
					..base.clone()
				},
				Error::<Test>::ZeroSize,
			),
			(
				Registration {
					parent: Some(ModelId([9; 32])),
					..base.clone()
				},
				Error::<Test>::UnknownParent,
			),
			(
				Registration {
					parent: Some(base.id),
					..base.clone()
				},
				Error::<Test>::UnknownParent,
			),
		];
		for (model, error) in cases {
			assert_noop!(register(1, model), error);
		}
	});
}

#[test]
fn a_child_names_a_parent_of_the_catalog() {
	build_and_execute(|| {
		assert_ok!(register(1, registration(7)));
		let child = Registration {
			parent: Some(ModelId([7; 32])),
			..registration(8)
		};
		assert_ok!(register(2, child));
		assert_eq!(Models::view(&ModelId([8; 32])).unwrap().parent, Some(ModelId([7; 32])));
	});
}

#[test]
fn an_owner_that_cannot_pay_the_deposit_is_refused() {
	build_and_execute(|| {
		Balances::set_balance(&4, 100);
		assert_noop!(register(4, registration(7)), TokenError::FundsUnavailable);
	});
}

#[test]
fn only_signers_register() {
	build_and_execute(|| {
		assert_noop!(
			Models::register(RuntimeOrigin::none(), registration(7)),
			DispatchError::BadOrigin
		);
		assert_noop!(
			Models::register(RuntimeOrigin::root(), registration(7)),
			DispatchError::BadOrigin
		);
	});
}
