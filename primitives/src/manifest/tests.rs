//! Good manifests, and what is refused of others.

use super::{test_utils::TestManifest, *};
use alloc::{vec, vec::Vec};
use codec::Encode;
use proptest::prelude::*;

fn refused(manifest: &TestManifest) -> ManifestError {
	read(&manifest.encode()).expect_err("a bad manifest")
}

#[test]
fn a_manifest_proves_its_facts_and_its_name() {
	let manifest = TestManifest {
		parent: Some(ModelId([9; 32])),
		..TestManifest::new("Märchen")
	};
	let bytes = manifest.encode();
	let (id, facts) = read(&bytes).unwrap();
	assert_eq!(id, model_id(&bytes));
	assert_eq!(facts.name.as_slice(), "Märchen".as_bytes());
	assert_eq!(facts.architecture.as_slice(), b"llama");
	assert_eq!((facts.parameters, facts.weight_bytes), (1_000_000, 1_064_000));
	assert_eq!((facts.context_length, facts.prompt_overhead), (256, 16));
	assert_eq!((facts.profile, facts.parent), (Profile::C2, manifest.parent));
}

#[test]
fn weights_of_every_format_are_counted_once() {
	let tensor = |name: &str, dtype: u8, shape: &[u64]| (name.into(), dtype, shape.to_vec());
	let manifest = TestManifest {
		tensors: vec![
			tensor("a.weight", 0, &[10, 64]),
			tensor("a.weight_scale", 1, &[10, 2]),
			tensor("b.weight", 5, &[10, 32]),
			tensor("b.weight_scale", 1, &[10, 2]),
			tensor("b.weight_table", 0, &[16]),
			tensor("c.weight", 5, &[10, 32]),
			tensor("c.weight_scale", 1, &[10, 1]),
			tensor("c.weight_zero", 5, &[10, 1]),
			tensor("norm.weight", 2, &[64]),
		],
		..TestManifest::new("Mixed")
	};
	let (_, facts) = read(&manifest.encode()).unwrap();
	assert_eq!(facts.parameters, 3 * 640 + 64);
	assert_eq!(facts.weight_bytes, (640 + 40) + (320 + 40 + 16) + (320 + 20 + 10) + 256);
	assert_eq!(weights_of("a", true, u64::MAX), None);
	assert_eq!(weights_of("a_zero", true, u64::MAX), Some(0));
}

#[test]
fn an_encoder_has_its_own_hyperparameters() {
	let head = (1u32, "e", 2u8, "bert", 1u8, [5u32; 8], 77u32, true);
	let rest = ([0u8; 32], 0u32, [0u32; 4], [[0u8; 32]; 3], Vec::<u8>::new());
	let provenance = ("", "", Vec::<u8>::new(), "", None::<ModelId>, "");
	let (_, facts) = read(&(head, rest, provenance).encode()).unwrap();
	assert_eq!((facts.context_length, facts.parameters), (77, 0));
}

#[test]
fn every_bad_field_is_refused_by_its_name() {
	let good = TestManifest::new("Tiny");
	let tensor = |name: &str, dtype: u8, shape: &[u64]| (name.into(), dtype, shape.to_vec());
	let with = |tensors| TestManifest {
		tensors,
		..good.clone()
	};
	let named = |name: &str| TestManifest {
		name: name.into(),
		..good.clone()
	};
	let profile = |profile| TestManifest {
		profile,
		..good.clone()
	};
	let built = |architecture: &str| TestManifest {
		architecture: architecture.into(),
		..good.clone()
	};
	let cases = [
		(
			TestManifest {
				schema: 2,
				..good.clone()
			},
			ManifestError::UnknownSchema,
		),
		(profile(0), ManifestError::UnknownProfile),
		// That of the first edition, of which models are read where they are stored, and registered no more.
		(profile(1), ManifestError::UnknownProfile),
		(profile(3), ManifestError::UnknownProfile),
		(
			TestManifest {
				ends: vec![3, 3],
				..good.clone()
			},
			ManifestError::Unsorted,
		),
		(
			TestManifest {
				ends: vec![3, 2],
				..good.clone()
			},
			ManifestError::Unsorted,
		),
		(named(""), ManifestError::BadName),
		(named("a\nb"), ManifestError::BadName),
		(named(&"x".repeat(65)), ManifestError::BadName),
		(built(""), ManifestError::BadArchitecture),
		(built("Llama"), ManifestError::BadArchitecture),
		(built(&"x".repeat(33)), ManifestError::BadArchitecture),
		(with(vec![tensor("", 0, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor("a\0", 0, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor(&"x".repeat(513), 0, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor("a", 3, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor("a", 4, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor("a", 6, &[1])]), ManifestError::BadTensor),
		(with(vec![tensor("a", 0, &[1; 9])]), ManifestError::BadTensor),
		(
			with(vec![tensor("b", 0, &[1]), tensor("a", 0, &[1])]),
			ManifestError::Unsorted,
		),
		(
			with(vec![tensor("a", 0, &[1]), tensor("a", 0, &[1])]),
			ManifestError::Unsorted,
		),
		(with(vec![tensor("a", 0, &[1 << 32, 1 << 32])]), ManifestError::Overflow),
		(with(vec![tensor("a", 2, &[1 << 62])]), ManifestError::Overflow),
		(
			with(vec![tensor("a", 0, &[1 << 63]), tensor("b", 0, &[1 << 63])]),
			ManifestError::Overflow,
		),
		// Of four bits there are two to a byte.
		(with(vec![tensor("a", 5, &[1 << 63])]), ManifestError::Overflow),
		(
			with(vec![tensor("a", 5, &[1 << 62]), tensor("b", 5, &[1 << 62])]),
			ManifestError::Overflow,
		),
		(
			with(vec![tensor("a", 0, &[u64::MAX]), tensor("b", 5, &[1])]),
			ManifestError::Overflow,
		),
		// Scales, zero points and tables are no parameters, but they have bytes.
		(
			with(vec![tensor("a_table", 0, &[1 << 63]), tensor("b_zero", 5, &[1 << 63])]),
			ManifestError::Overflow,
		),
		(
			with(vec![tensor("a_scale", 0, &[1 << 63]), tensor("b_scale", 0, &[1 << 63])]),
			ManifestError::Overflow,
		),
	];
	for (manifest, error) in cases {
		assert_eq!(refused(&manifest), error, "{manifest:?}");
	}
	let many = (0..=MAX_MANIFEST_TENSORS).map(|n| tensor(&format!("{n:05}"), 0, &[1]));
	assert_eq!(refused(&with(many.collect())), ManifestError::TooManyTensors);
}

#[test]
fn a_manifest_has_one_encoding() {
	let bytes = TestManifest::new("Tiny").encode();
	let mut longer = bytes.clone();
	longer.push(0);
	assert_eq!(read(&longer), Err(ManifestError::TrailingBytes));
	assert_eq!(
		read(&vec![0; MAX_MANIFEST_BYTES as usize + 1]),
		Err(ManifestError::TooLong)
	);
	for length in 0..bytes.len() {
		assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
	}
	// The length of the name, 4, in two bytes where one would do.
	let mut wide = bytes[..4].to_vec();
	wide.extend(Compact(4u32 + 0x4000).encode()[..2].iter().map(|_| 0u8));
	wide[4..].copy_from_slice(&((4u16 << 2) | 1).to_le_bytes());
	wide.extend(&bytes[5..]);
	assert_eq!(read(&wide), Err(ManifestError::Malformed));
	// A name that is not UTF-8.
	let mut text = bytes.clone();
	text[5] = 0xff;
	assert_eq!(read(&text), Err(ManifestError::Malformed));
}

#[test]
fn unknown_values_of_enumerations_are_refused() {
	let bytes = TestManifest::new("Tiny").encode();
	let kind = 4 + 5 + 1 + 6;
	assert_eq!(bytes[kind], 0, "the kind of hyperparameters");
	let scaling = kind + 1 + 4 * 10;
	for at in [kind, scaling, scaling + 1, scaling + 2] {
		let mut bad = bytes.clone();
		bad[at] = 9;
		assert_eq!(read(&bad), Err(ManifestError::Malformed), "byte {at}");
	}
}

proptest! {
	#[test]
	fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
		let _ = read(&bytes);
	}

	#[test]
	fn a_changed_byte_is_refused_or_changes_the_name(at in any::<prop::sample::Index>(), flip in 1u8..) {
		let mut bytes = TestManifest::new("Tiny").encode();
		let (id, _) = read(&bytes).unwrap();
		let at = at.index(bytes.len());
		bytes[at] ^= flip;
		if let Ok((other, _)) = read(&bytes) {
			prop_assert_ne!(other, id);
		}
	}

	#[test]
	fn sizes_are_exact_or_refused(
		shapes in prop::collection::vec(
			(prop::sample::select(&[0u8, 1, 2, 5]), prop::collection::vec(0u64..1 << 40, 0..4)),
			0..20,
		),
	) {
		let manifest = TestManifest {
			tensors: shapes.iter().enumerate().map(|(n, (dtype, shape))| (format!("{n:02}"), *dtype, shape.clone())).collect(),
			..TestManifest::new("Tiny")
		};
		let elements = |shape: &Vec<u64>| shape.iter().fold(1u128, |n, dim| n.saturating_mul((*dim).into()));
		let sum = |factors: [u128; 6]| {
			let each = shapes.iter().map(|(dtype, shape)| elements(shape).saturating_mul(factors[usize::from(*dtype)]));
			each.fold(0, u128::saturating_add)
		};
		let (parameters, bytes) = (sum([1, 1, 1, 0, 0, 2]), sum([1, 2, 4, 0, 0, 1]));
		match read(&manifest.encode()) {
			Ok((_, facts)) => prop_assert_eq!((u128::from(facts.parameters), u128::from(facts.weight_bytes)), (parameters, bytes)),
			// An intermediate product may be too large although a later dimension is 0.
			Err(error) => {
				prop_assert_eq!(error, ManifestError::Overflow);
				prop_assert!(parameters.max(bytes) > u64::MAX.into() || shapes.iter().any(|(_, shape)| shape.contains(&0)));
			}
		}
	}
}
