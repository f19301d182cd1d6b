//! No argument has a bounded type: what exceeds the bound of a type does not decode, and then a node logs a trap instead
//! of telling the sender what is wrong. Arguments are of any length, and calls check them.

use assay_primitives::{limits::MAX_JOB_VIEWS, JobId};
use assay_runtime::{AccountId, Block, BlockNumber, Runtime};
use codec::Decode;
use frame_metadata::{v16::RuntimeMetadataV16, RuntimeMetadata, RuntimeMetadataPrefixed};
use scale_info::{form::PortableForm, PortableRegistry, TypeDef};
use sp_io::TestExternalities;
use std::collections::BTreeSet;

/// Beginnings of the names of types whose decoding fails for long input.
const BOUNDED: [&str; 2] = ["Bounded", "WeakBounded"];

fn metadata() -> RuntimeMetadataV16 {
	let metadata = TestExternalities::default().execute_with(|| Runtime::metadata_at_version(16));
	let metadata = metadata.expect("the runtime has it");
	match RuntimeMetadataPrefixed::decode(&mut &metadata[..]).expect("decodes").1 {
		RuntimeMetadata::V16(metadata) => metadata,
		_ => panic!("asked for version 16"),
	}
}

fn parts(def: &TypeDef<PortableForm>) -> Vec<u32> {
	match def {
		TypeDef::Composite(composite) => composite.fields.iter().map(|field| field.ty.id).collect(),
		TypeDef::Variant(variant) => {
			let fields = variant.variants.iter().flat_map(|variant| &variant.fields);
			fields.map(|field| field.ty.id).collect()
		}
		TypeDef::Sequence(sequence) => vec![sequence.type_param.id],
		TypeDef::Array(array) => vec![array.type_param.id],
		TypeDef::Tuple(tuple) => tuple.fields.iter().map(|field| field.id).collect(),
		TypeDef::Compact(compact) => vec![compact.type_param.id],
		TypeDef::BitSequence(_) | TypeDef::Primitive(_) => Vec::new(),
	}
}

/// Returns the bounded types that a type is made of, and how many types it is made of at all.
fn bounded(types: &PortableRegistry, root: u32) -> (BTreeSet<String>, usize) {
	let (mut found, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![root]);
	while let Some(id) = left.pop() {
		if !seen.insert(id) {
			continue;
		}
		let ty = types.resolve(id).expect("the registry is complete");
		let name = ty.path.ident().unwrap_or_default();
		if BOUNDED.iter().any(|beginning| name.starts_with(beginning)) {
			found.insert(ty.path.to_string());
		}
		left.extend(parts(&ty.type_def));
	}
	(found, seen.len())
}

#[test]
fn no_call_takes_an_argument_of_a_bounded_type() {
	let metadata = metadata();
	let calls = metadata
		.pallets
		.iter()
		.filter_map(|pallet| Some((&pallet.name, pallet.calls.as_ref()?.ty.id)));
	let mut pallets = 0;
	for (name, calls) in calls {
		let (found, types) = bounded(&metadata.types, calls);
		assert!(types > 1, "{name} has calls");
		assert!(
			found.is_empty(),
			"calls of {name} take {found:?}: take a Vec, and check it"
		);
		pallets += 1;
	}
	assert!(pallets >= 5);
}

#[test]
fn no_method_of_the_runtime_api_takes_an_argument_of_a_bounded_type() {
	let metadata = metadata();
	let api = metadata
		.apis
		.iter()
		.find(|api| api.name == "AssayApi")
		.expect("it is there");
	for method in &api.methods {
		for input in &method.inputs {
			let (found, _) = bounded(&metadata.types, input.ty.id);
			assert!(found.is_empty(), "{} takes {found:?}", method.name);
		}
	}
}

#[test]
fn the_rule_sees_bounded_types_where_they_are() {
	let metadata = metadata();
	let jobs = metadata
		.pallets
		.iter()
		.find(|pallet| pallet.name == "Jobs")
		.expect("it is there");
	let storage = jobs.storage.as_ref().expect("it stores jobs");
	let stored = storage.entries.iter().filter_map(|entry| match &entry.ty {
		frame_metadata::v16::StorageEntryType::Map { value, .. } => Some(value.id),
		frame_metadata::v16::StorageEntryType::Plain(_) => None,
	});
	assert!(stored.map(|id| bounded(&metadata.types, id).0.len()).sum::<usize>() > 0);
}

#[test]
fn more_jobs_than_one_call_returns_are_an_error_and_no_trap() {
	use assay_primitives::api::runtime_decl_for_assay_api::AssayApi;
	let read = |count| {
		let ids = vec![JobId([1; 32]); count as usize];
		TestExternalities::default().execute_with(|| <Runtime as AssayApi<Block, AccountId, BlockNumber>>::jobs(ids))
	};
	assert_eq!(
		read(MAX_JOB_VIEWS).expect("as many as there may be").len(),
		MAX_JOB_VIEWS as usize
	);
	assert!(read(MAX_JOB_VIEWS + 1).is_err());
}
