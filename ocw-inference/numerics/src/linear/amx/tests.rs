//! The kernel for tiles against the definition, on machines without them too: with the instructions emulated.

#[allow(dead_code)]
#[path = "../../../tests/operations/definition.rs"]
mod definition;

use super::super::{
	panels::Panels,
	product::{Columns, Product, WriteMode},
	tier::Tier,
};
use crate::{
	isa::{amx_status, AmxStatus},
	Isa,
};
use definition::{bits, formats, noise, uneven, Matrix};
use proptest::prelude::*;
use std::io::Write;

fn run(tier: Tier, matrix: &Matrix, x: &[f32], bias: Option<&[f32]>) -> Vec<u32> {
	let packed = matrix.pack();
	let format = tier.format(packed.format());
	let panels = Panels::on_this_thread(x, matrix.k, format, tier.cut(&format)).unwrap();
	let mut out = vec![0f32; x.len() / matrix.k * matrix.n];
	let product = Product {
		weight: &packed,
		bias,
		isa: Isa::Portable,
		tier,
		panels: &panels,
		out: Columns::new(&mut out, matrix.n, matrix.n, WriteMode::Write),
	};
	// In pieces, as threads would.
	let (tiles, count) = (packed.tiles(), panels.count());
	for (tiles, panels) in [
		(0..tiles / 2, 0..count),
		(tiles / 2..tiles, 0..count / 2),
		(tiles / 2..tiles, count / 2..count),
	] {
		product.run(tiles, panels).unwrap();
	}
	bits(&out)
}

/// The tiers that this machine can try.
fn tiers() -> Vec<Tier> {
	let mut tiers = vec![Tier::PortableAmx];
	if Isa::Avx512.works() {
		tiers.push(Tier::EmulatedAmx);
		tiers.push(Tier::Avx512Unpacked);
	}
	if Isa::Amx.works() {
		tiers.push(Tier::Amx);
	}
	tiers
}

proptest! {
	#![proptest_config(ProptestConfig::with_cases(96))]
	#[test]
	fn tiles_give_the_bits_of_the_definition(
		seed in any::<u64>(), rows in 1usize..=40, blocks in 1usize..40, n in 1usize..70, which in 0usize..6,
		magnitude in -120i32..100, biased in any::<bool>(),
	) {
		let k = blocks * 32;
		let x = uneven(seed, rows, k, magnitude);
		let matrix = Matrix::random(seed, n, k, formats(seed)[which]);
		let bias = noise(seed ^ 7, n);
		let bias = biased.then_some(bias.as_slice());
		let truth = bits(&definition::linear(&x, &matrix, bias));
		for tier in tiers() {
			prop_assert_eq!(&run(tier, &matrix, &x, bias), &truth, "{:?} in {}", tier, matrix.format);
		}
	}
}

#[test]
fn the_largest_sums_of_a_group_are_exact() {
	let (rows, n, k) = (17, 33, 384);
	for format in formats(5) {
		for byte in [0x80, 0x7F, 0xFF, 0] {
			let mut matrix = Matrix::random(5, n, k, format);
			matrix.weights.fill(byte);
			for sign in [1.0, -1.0] {
				let x = vec![sign; rows * k];
				let truth = bits(&definition::linear(&x, &matrix, None));
				for tier in tiers() {
					assert!(run(tier, &matrix, &x, None) == truth, "{tier:?}, {byte:x} in {format}");
				}
			}
		}
	}
}

#[test]
fn many_panels_share_what_is_unpacked() {
	let (rows, n, k) = (1100, 33, 64);
	for format in formats(5) {
		let (x, matrix) = (uneven(1, rows, k, 0), Matrix::random(1, n, k, format));
		let truth = bits(&definition::linear(&x, &matrix, None));
		for tier in tiers() {
			assert!(run(tier, &matrix, &x, None) == truth, "{tier:?} in {format}");
		}
	}
}

#[test]
fn panels_that_no_cache_holds_are_used_in_batches() {
	let (rows, n, k) = (300, 33, 8192);
	let format = formats(5)[1];
	let (x, matrix) = (uneven(1, rows, k, 0), Matrix::random(1, n, k, format));
	let truth = bits(&definition::linear(&x, &matrix, None));
	for tier in tiers() {
		assert!(run(tier, &matrix, &x, None) == truth, "{tier:?} in {format}");
	}
}

#[test]
fn the_proof_accepts_exact_tiles_and_refuses_wrong_ones() {
	use super::status::tiles_are_exact;
	assert!(tiles_are_exact(Tier::PortableAmx));
	assert!(!tiles_are_exact(Tier::FaultyAmx));
}

/// What no other machine can show.
#[test]
fn the_instructions_of_amx_give_the_bits_of_the_emulation() {
	match amx_status() {
		AmxStatus::Works => {
			for format in formats(11) {
				let (x, matrix) = (uneven(2, 50, 1120, 0), Matrix::random(2, 70, 1120, format));
				assert!(
					run(Tier::Amx, &matrix, &x, None) == run(Tier::EmulatedAmx, &matrix, &x, None),
					"{format}"
				);
			}
		}
		AmxStatus::Differs => panic!("{}", AmxStatus::Differs),
		// Past the test harness, which shows what a passing test prints to nobody.
		status => {
			let _ = writeln!(
				std::io::stderr(),
				"NOT TESTED: no AMX on this machine: the tile instructions did not run ({status})"
			);
		}
	}
}
