//! A chain of another release: its Wasm makes the blocks.
//!
//! What the release stores is read by its own metadata, and what it returns as the types of the SDK, so that nothing here
//! depends on what this release stores. Messages are written as the release wants them, in [`request`].

use super::{merge, pre_digest, FIRST_SLOT};
use assay_primitives::ModelId;
use assay_runtime::{AccountId, Hash, Header, RuntimeCall, TxExtension, UncheckedExtrinsic};
use codec::{Decode, Encode};
use frame_metadata::{
	v16::{RuntimeMetadataV16, StorageEntryType},
	RuntimeMetadata, RuntimeMetadataPrefixed,
};
use frame_support::storage::unhashed;
use sc_executor::WasmExecutor;
use scale_value::{At, Primitive, Value, ValueDef};
use sp_consensus_babe::Slot;
use sp_core::{
	storage::well_known_keys::CODE,
	traits::{CallContext, CodeExecutor, ReadRuntimeVersionExt, RuntimeCode, WrappedRuntimeCode},
	OpaqueMetadata,
};
use sp_genesis_builder::PresetId;
use sp_io::{
	hashing::{blake2_256, twox_128},
	TestExternalities,
};
use sp_keyring::Sr25519Keyring;
use sp_runtime::{generic::Era, traits::Header as _, ApplyExtrinsicResult, MultiAddress, MultiSignature};
use sp_version::RuntimeVersion;
use std::collections::BTreeMap;

/// Returns the encoding of a release's `jobs.request` for the demo model. Adapt what is written here when the last release
/// is a newer one, whose call is another: what is asserted there says so.
pub fn request(released: &Released, model: ModelId, verifiers: u8) -> Vec<u8> {
	if released.is_this {
		return RuntimeCall::from(super::claims::request(verifiers, u128::MAX)).encode();
	}
	let input = super::claims::PROMPT.as_bytes().to_vec();
	// At most so many tokens; temperature, two filters, and no stop string.
	let params = (super::claims::MAX_TOKENS, 0u32, 0u32, 0u32, Vec::<Vec<u8>>::new());
	(13u8, 0u8, model, input, params, verifiers, u128::MAX).encode()
}

/// Calls a Wasm runtime's functions on a state.
#[derive(Clone)]
pub struct Released {
	executor: WasmExecutor,
	code: Vec<u8>,
	/// Whether it is this release and not the last one.
	pub is_this: bool,
}

impl Released {
	/// Returns the last release, whose code this is.
	pub fn last(code: Vec<u8>) -> Self {
		Self::new(code, false)
	}

	/// Returns this release, whose code this is.
	pub fn this(code: Vec<u8>) -> Self {
		Self::new(code, true)
	}

	fn new(code: Vec<u8>, is_this: bool) -> Self {
		let executor = WasmExecutor::builder().with_allow_missing_host_functions(true).build();
		Self {
			executor,
			code,
			is_this,
		}
	}

	/// Calls a function with encoded arguments and returns what it returns.
	pub fn call<R: Decode>(&self, ext: &mut TestExternalities, method: &str, arguments: &[u8]) -> R {
		let code = WrappedRuntimeCode(self.code.as_slice().into());
		let runtime = RuntimeCode {
			code_fetcher: &code,
			heap_pages: None,
			hash: blake2_256(&self.code).to_vec(),
		};
		let mut ext = ext.ext();
		let (returned, _) = CodeExecutor::call(
			&self.executor,
			&mut ext,
			&runtime,
			method,
			arguments,
			CallContext::Offchain,
		);
		let returned = returned.unwrap_or_else(|error| panic!("{method}: {error}"));
		R::decode(&mut &returned[..]).unwrap_or_else(|error| panic!("{method} returns another type: {error}"))
	}

	/// Returns the release's metadata.
	pub fn metadata(&self) -> RuntimeMetadataV16 {
		let mut ext = TestExternalities::default();
		let metadata: Option<OpaqueMetadata> = self.call(&mut ext, "Metadata_metadata_at_version", &16u32.encode());
		decode_metadata(&metadata.expect("every release serves this version"))
	}

	/// Returns the release's version.
	pub fn version(&self) -> RuntimeVersion {
		self.call(&mut TestExternalities::default(), "Core_version", &[])
	}
}

/// Decodes metadata of version 16.
pub fn decode_metadata(metadata: &OpaqueMetadata) -> RuntimeMetadataV16 {
	let prefixed = RuntimeMetadataPrefixed::decode(&mut &metadata[..]).expect("metadata decodes");
	match prefixed.1 {
		RuntimeMetadata::V16(metadata) => metadata,
		_ => panic!("asked for version 16"),
	}
}

/// A chain of a release, whose blocks Alice makes.
pub struct ReleasedChain {
	/// The release.
	pub released: Released,
	/// The state of the last block.
	pub ext: TestExternalities,
	/// Hash of the last block.
	pub parent: Hash,
	/// Number of the last block.
	pub number: u32,
	/// Slot of the next block.
	pub slot: u64,
	metadata: RuntimeMetadataV16,
	version: RuntimeVersion,
}

impl ReleasedChain {
	/// Returns the chain at block 1 of the release's own preset.
	pub fn new(released: Released, preset: &str) -> Self {
		let mut ext = TestExternalities::default();
		ext.register_extension(ReadRuntimeVersionExt::new(released.executor.clone()));
		let mut json = |id: Option<&str>| {
			let id = id.map(PresetId::from);
			let bytes: Option<Vec<u8>> = released.call(&mut ext, "GenesisBuilder_get_preset", &id.encode());
			let bytes = bytes.expect("the preset exists");
			serde_json::from_slice::<serde_json::Value>(&bytes).expect("a preset is JSON")
		};
		let mut config = json(None);
		merge(&mut config, json(Some(preset)));
		let config = config.to_string().into_bytes();
		let built: Result<(), String> = released.call(&mut ext, "GenesisBuilder_build_state", &config.encode());
		built.expect("the preset builds");
		ext.execute_with(|| unhashed::put_raw(CODE, &released.code));
		let (metadata, version) = (released.metadata(), released.version());
		let mut chain = Self {
			released,
			ext,
			parent: Hash::repeat_byte(1),
			number: 0,
			slot: FIRST_SLOT,
			metadata,
			version,
		};
		chain.block(vec![]);
		chain
	}

	fn call<R: Decode>(&mut self, method: &str, arguments: &[u8]) -> R {
		self.released.call(&mut self.ext, method, arguments)
	}

	/// Makes one block of these encoded extrinsics and returns the result of each.
	pub fn block(&mut self, extrinsics: Vec<Vec<u8>>) -> Vec<ApplyExtrinsicResult> {
		self.number += 1;
		let slot = Slot::from(self.slot);
		self.slot += 1;
		let digest = self.ext.execute_with(|| pre_digest(Sr25519Keyring::Alice, slot));
		let header = Header::new(self.number, Hash::default(), Hash::default(), self.parent, digest);
		let _: u8 = self.call("Core_initialize_block", &header.encode());
		let now = pallet_timestamp::Call::set {
			now: *slot * assay_runtime::constants::time::SLOT_DURATION,
		};
		let inherent = UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(now)).encode();
		let mut results: Vec<ApplyExtrinsicResult> = Vec::new();
		for extrinsic in std::iter::once(inherent).chain(extrinsics) {
			results.push(self.call("BlockBuilder_apply_extrinsic", &extrinsic));
		}
		let header: Header = self.call("BlockBuilder_finalize_block", &[]);
		self.parent = header.hash();
		results.remove(0).expect("valid").expect("the time is right");
		results
	}

	/// Makes a block in which every extrinsic must succeed.
	pub fn good_block(&mut self, extrinsics: Vec<Vec<u8>>) {
		for result in self.block(extrinsics) {
			result
				.expect("the last release knows the transaction: see common/released.rs")
				.expect("succeeds");
		}
	}

	/// Makes empty blocks.
	pub fn idle(&mut self, blocks: u32) {
		for _ in 0..blocks {
			self.block(vec![]);
		}
	}

	/// Returns an encoded call as a wallet's transaction for this release.
	pub fn signed(&mut self, who: Sr25519Keyring, call: Vec<u8>) -> Vec<u8> {
		let account = who.to_account_id();
		let nonce: u32 = self.call("AccountNonceApi_account_nonce", &account.encode());
		let extension: TxExtension = (
			frame_system::AuthorizeCall::new(),
			frame_system::CheckNonZeroSender::new(),
			frame_system::CheckSpecVersion::new(),
			frame_system::CheckTxVersion::new(),
			frame_system::CheckGenesis::new(),
			frame_system::CheckMortality::from(Era::Immortal),
			frame_system::CheckNonce::from(nonce),
			frame_system::CheckWeight::new(),
			pallet_transaction_payment::ChargeTransactionPayment::from(0),
			frame_metadata_hash_extension::CheckMetadataHash::new(false),
			frame_system::WeightReclaim::new(),
		);
		let genesis = Hash::repeat_byte(1);
		let version = (self.version.spec_version, self.version.transaction_version);
		// The genesis hash is also that of an immortal transaction's first block. There is no metadata hash.
		let implicit = (version, genesis, genesis, None::<[u8; 32]>);
		let payload = [call.clone(), extension.encode(), implicit.encode()].concat();
		let signature = if payload.len() > 256 {
			who.sign(&blake2_256(&payload))
		} else {
			who.sign(&payload)
		};
		let address = MultiAddress::<AccountId, ()>::Id(account);
		let signature = MultiSignature::from(signature);
		// Version 4, signed.
		let body = [
			vec![0x84],
			address.encode(),
			signature.encode(),
			extension.encode(),
			call,
		]
		.concat();
		body.encode()
	}

	/// Returns the keys of a map's entries, and what they have in storage.
	pub fn map(&mut self, pallet: &str, name: &str) -> BTreeMap<Vec<u8>, Value<u32>> {
		let prefix = [twox_128(pallet.as_bytes()), twox_128(name.as_bytes())].concat();
		let entries = raw_entries(&mut self.ext, &prefix);
		let types = value_types(&self.metadata);
		let (_, ty) = types
			.get(&prefix)
			.unwrap_or_else(|| panic!("the last release has no {pallet}.{name}"));
		let decode = |(key, bytes): (Vec<u8>, Vec<u8>)| {
			let value = scale_value::scale::decode_as_type(&mut &bytes[..], *ty, &self.metadata.types);
			(key[prefix.len()..].to_vec(), value.expect("decodes"))
		};
		entries.into_iter().map(decode).collect()
	}

	/// Returns the model that its genesis serves: the last release's demo model, which may be another than this one's.
	pub fn model(&mut self) -> ModelId {
		let models = self.map("Models", "Models");
		let key = models.keys().next().expect("the genesis has a model");
		// Behind the hash that the map's keys begin with.
		let id = key.last_chunk().expect("a key ends with a name");
		ModelId(*id)
	}
}

/// Returns all keys that begin so, with their values.
pub fn raw_entries(ext: &mut TestExternalities, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
	ext.execute_with(|| {
		let mut entries = Vec::new();
		let mut key = prefix.to_vec();
		if let Some(value) = unhashed::get_raw(&key).filter(|_| !key.is_empty()) {
			entries.push((key.clone(), value));
		}
		while let Some(next) = sp_io::storage::next_key(&key).filter(|next| next.starts_with(prefix)) {
			entries.push((next.clone(), unhashed::get_raw(&next).expect("the key is there")));
			key = next;
		}
		entries
	})
}

/// Returns what the metadata knows of storage: the prefix of each entry's keys, its name, and the type of its values.
fn value_types(metadata: &RuntimeMetadataV16) -> BTreeMap<Vec<u8>, (String, u32)> {
	let pallets = metadata.pallets.iter().filter_map(|pallet| pallet.storage.as_ref());
	let entries = pallets.flat_map(|storage| storage.entries.iter().map(|entry| (&storage.prefix, entry)));
	entries
		.map(|(pallet, entry)| {
			let ty = match &entry.ty {
				StorageEntryType::Plain(value) => value.id,
				StorageEntryType::Map { value, .. } => value.id,
			};
			let prefix = [twox_128(pallet.as_bytes()), twox_128(entry.name.as_bytes())].concat();
			(prefix, (format!("{pallet}.{}", entry.name), ty))
		})
		.collect()
}

/// Checks that every value in storage is what the metadata describes, to its last byte, and that nothing is stored which
/// no pallet has. Returns how many values there are.
pub fn check_storage(ext: &mut TestExternalities, metadata: &RuntimeMetadataV16) -> usize {
	let types = value_types(metadata);
	let pallets: Vec<_> = metadata
		.pallets
		.iter()
		.map(|pallet| twox_128(pallet.name.as_bytes()))
		.collect();
	let version = twox_128(b":__STORAGE_VERSION__:");
	let mut checked = 0;
	for (key, bytes) in raw_entries(ext, &[]) {
		// Well-known keys, such as the code.
		if key.starts_with(b":") {
			continue;
		}
		let prefix = key.get(..32).unwrap_or_else(|| panic!("a key of no pallet: {key:?}"));
		if prefix.ends_with(&version) {
			assert!(
				pallets.iter().any(|pallet| prefix.starts_with(pallet)),
				"a version of no pallet: {key:?}"
			);
			continue;
		}
		let (name, ty) = types
			.get(prefix)
			.unwrap_or_else(|| panic!("no pallet has the storage at {key:?}"));
		let mut rest = &bytes[..];
		scale_value::scale::decode_as_type(&mut rest, *ty, &metadata.types)
			.unwrap_or_else(|error| panic!("{name} does not decode: {error}"));
		assert!(rest.is_empty(), "{name} has {} bytes too many", rest.len());
		checked += 1;
	}
	checked
}

/// Returns the field of a value, through options and structs of one field.
pub fn field<'a>(value: &'a Value<u32>, path: &[&str]) -> Option<&'a Value<u32>> {
	path.iter().try_fold(value, |value, name| {
		value.at(*name).or_else(|| value.at(0usize)?.at(*name))
	})
}

/// Returns the bytes of a value that is an array of them, in however many structs.
pub fn bytes(value: &Value<u32>) -> Vec<u8> {
	match &value.value {
		ValueDef::Primitive(Primitive::U128(byte)) => vec![*byte as u8],
		ValueDef::Composite(parts) => parts.values().flat_map(bytes).collect(),
		_ => Vec::new(),
	}
}
