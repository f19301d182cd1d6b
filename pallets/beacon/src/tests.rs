//! Tests of the beacon.

use crate::{mock::*, WeightInfo};
use assay_primitives::{draw::next_beacon, traits::Beacon as _, Hash32};
use frame_support::{
	traits::{OnFinalize, OnInitialize},
	weights::Weight,
};

/// Runs the chain through blocks with these VRF outputs and returns the beacon's value in the end.
fn run(outputs: &[Option<Hash32>]) -> Hash32 {
	new_test_ext().execute_with(|| {
		for (n, vrf) in (1u64..).zip(outputs) {
			System::set_block_number(n);
			Vrf::set(*vrf);
			AllPalletsWithSystem::on_initialize(n);
			AllPalletsWithSystem::on_finalize(n);
		}
		Beacon::value()
	})
}

#[docify::export]
#[test]
fn the_value_follows_from_every_vrf_output() {
	new_test_ext().execute_with(|| {
		assert_eq!(Beacon::value(), [0; 32]);
		Vrf::set(Some([7; 32]));
		Beacon::on_finalize(1);
		let first = next_beacon(&[0; 32], 1u64, Some(&[7; 32]));
		assert_eq!(Beacon::value(), first);

		Vrf::set(Some([8; 32]));
		Beacon::on_finalize(2);
		assert_eq!(Beacon::value(), next_beacon(&first, 2u64, Some(&[8; 32])));
	});
}

#[test]
fn every_vrf_output_changes_the_value() {
	let outputs: Vec<_> = (1..=5).map(|i| Some([i; 32])).collect();
	let value = run(&outputs);
	assert_eq!(value, run(&outputs));
	for changed in 0..outputs.len() {
		let mut other = outputs.clone();
		other[changed] = Some([99; 32]);
		assert_ne!(value, run(&other), "output of block {}", changed + 1);
	}
}

#[test]
fn the_order_of_the_vrf_outputs_matters() {
	assert_ne!(
		run(&[Some([1; 32]), Some([2; 32])]),
		run(&[Some([2; 32]), Some([1; 32])])
	);
}

#[test]
fn a_block_without_a_vrf_output_changes_the_value() {
	let one = run(&[Some([1; 32])]);
	let two = run(&[Some([1; 32]), None]);
	let three = run(&[Some([1; 32]), None, None]);
	assert!(one != two && two != three && one != three);
	assert_ne!(
		two,
		run(&[Some([1; 32]), Some([0; 32])]),
		"no output is not an output of zeros"
	);
}

#[test]
fn nothing_before_the_end_of_a_block_changes_the_value() {
	new_test_ext().execute_with(|| {
		Vrf::set(Some([1; 32]));
		Beacon::on_initialize(1);
		assert_eq!(Beacon::value(), [0; 32]);
	});
}

#[test]
fn the_weight_is_reserved_when_the_block_begins() {
	new_test_ext().execute_with(|| {
		let reserved = Beacon::on_initialize(1);
		assert_eq!(reserved, <() as WeightInfo>::accumulate());
		assert_ne!(reserved, Weight::zero());
	});
}
