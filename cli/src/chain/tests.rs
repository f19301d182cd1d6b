//! What this program sends and reads is what the checked-in metadata describes, byte for byte.

use super::{runtime, Job, Listing, Model, Provider};
use assay_primitives::{
	accumulator::Accumulator,
	api::{ExecutionView, Quote, QuoteError},
	economics::Fault,
	model::{PriceChange, Prices, Profile},
	receipt::{ElectorateSummary, SeatRecord, SeatVote},
	vote::Defect,
	BoundRoot, ClaimId, FinishReason, Input, JobId, LeafHash, ListingId, ModelId, Output, OutputHash, SamplingParams,
	State, Target, UncheckedInput, Verdict, Vote, WorkId,
};
use assay_receipt::{Account, ReceiptFile};
use codec::{Decode, Encode};
use subxt::{
	config::substrate::{SpecVersionForRange, SubstrateConfig},
	dynamic::Value,
	ext::{scale_decode::DecodeAsType, scale_value::scale},
	Metadata, OfflineClient,
};

const METADATA: &[u8] = include_bytes!("../../metadata.scale");
const SETTLED: &str = include_str!("../../../receipt/tests/golden/settled.json");
const OVERTURNED: &str = include_str!("../../../receipt/tests/golden/overturned.json");

fn metadata() -> Metadata {
	Metadata::decode(&mut &METADATA[..]).unwrap()
}

fn params() -> SamplingParams {
	let mut params = SamplingParams::greedy(64);
	params.stop.try_push(b"END".to_vec().try_into().unwrap()).unwrap();
	params
}

#[test]
fn the_generated_interface_is_that_of_the_metadata() {
	assert!(runtime::fits(&metadata()));
}

#[test]
fn every_call_is_read_by_the_runtime_to_its_last_byte() {
	let versions = SpecVersionForRange {
		block_range: 0..u64::MAX,
		spec_version: 1,
		transaction_version: 1,
	};
	let config = SubstrateConfig::builder()
		.set_metadata_for_spec_versions([(1, metadata().arc())])
		.set_spec_version_for_block_ranges([versions])
		.build();
	let at = OfflineClient::new_with_config(config).at_block(1u64).unwrap();
	let read = |bytes: Result<Vec<u8>, _>| {
		let decoded = bytes.and_then(|bytes: Vec<u8>| at.tx().from_call_data_bytes(&bytes));
		assert!(decoded.is_ok(), "{decoded:?}");
	};
	let (model, job) = (ModelId([2; 32]), JobId([1; 32]));
	let tx = runtime::tx;
	let prices = Prices {
		price_in: 3,
		price_out: u128::MAX,
	};
	let listing = ListingId(5);
	for target in [Target::Model(model), Target::Listing(listing)] {
		for input in [
			Input::Text(b"What is a receipt?".to_vec().try_into().unwrap()),
			Input::Chat(br#"{"messages":[]}"#.to_vec().try_into().unwrap()),
		] {
			let request = runtime::request(target, input, params(), 2, 7);
			read(at.tx().call_data(&request));
		}
	}
	let object = runtime::object(ClaimId([4; 32]), OutputHash([5; 32]));
	read(at.tx().call_data(&object));
	read(at.tx().call_data(&runtime::ready()));
	read(at.tx().call_data(&tx().jobs().prune(job.into())));
	read(at.tx().call_data(&runtime::register(b"a manifest", prices, 50_000)));
	read(at.tx().call_data(&runtime::list(model, prices, 50_000, 9)));
	read(at.tx().call_data(&tx().models().update_price(listing.into(), 1, 2)));
	read(at.tx().call_data(&tx().models().retire(listing.into())));
	read(at.tx().call_data(&tx().models().remove(listing.into())));
	read(at.tx().call_data(&tx().providers().bond(1)));
	read(at.tx().call_data(&tx().providers().serve(model.into(), prices.into())));
	read(
		at.tx()
			.call_data(&tx().providers().set_least_price(model.into(), prices.into())),
	);
	read(
		at.tx()
			.call_data(&tx().providers().set_endpoint(b"wss://example.org".to_vec())),
	);
	let (key, proof) = (runtime::inference_key([5; 32]), runtime::inference_signature([6; 64]));
	read(at.tx().call_data(&tx().providers().set_inference_key(key, proof)));
}

/// Checks that the runtime's type of a method's result takes exactly the bytes of ours.
fn returns(method: &str, ours: impl Encode) {
	let metadata = metadata();
	let api = metadata.runtime_api_trait_by_name("AssayApi").unwrap();
	let output = api.method_by_name(method).unwrap().output_ty();
	let bytes = ours.encode();
	let mut rest = &bytes[..];
	let value = Value::decode_as_type(&mut rest, output, metadata.types()).unwrap();
	assert!(rest.is_empty(), "{method} leaves {} bytes", rest.len());
	// And back: no field may have changed its position or width.
	let mut again = Vec::new();
	scale::encode_as_type(&value, output, metadata.types(), &mut again).unwrap();
	assert_eq!(again, bytes, "{method}");
}

#[test]
fn every_view_is_the_runtimes_to_its_last_byte() {
	let account = Account([9; 32]);
	let prices = Prices {
		price_in: 1,
		price_out: 2,
	};
	let listing = Listing {
		listing: ListingId(5),
		model: ModelId([2; 32]),
		owner: account,
		prices,
		next_prices: Some(PriceChange { prices, at: 7 }),
		royalty: Default::default(),
		deposit: 3,
		listed_at: 1,
		retired_at: Some(6),
		willing: 30,
		takes_checked_jobs: true,
	};
	let model = Model {
		id: ModelId([2; 32]),
		name: "assay-demo".into(),
		architecture: "llama".into(),
		profile: Profile::C2,
		parameters: 1,
		weight_bytes: 2,
		context_length: 512,
		prompt_overhead: 4,
		parent: Some(ModelId([3; 32])),
		providers: 4,
		stake: 40,
		listings: vec![listing.clone()],
	};
	let provider = Provider {
		provider: account,
		least: prices,
		bond: 1,
		capacity: 2,
		load: 1,
		sealed: 3,
		ready: true,
		available: true,
		endpoint: Some(b"wss://example.org".to_vec()),
	};
	let execution = ExecutionView {
		attempt: 1,
		executor: account,
		key: Some([8; 32]),
		claim: ClaimId([4; 32]),
		work: WorkId([6; 32]),
		endpoint: Some(b"wss://example.org".to_vec()),
		published: false,
	};
	let output = Output {
		input_tokens: 3,
		tokens: vec![1, 2].try_into().unwrap(),
		text: b"yes".to_vec().try_into().unwrap(),
		finish: FinishReason::Stop,
	};
	let job = Job {
		id: JobId([1; 32]),
		requester: account,
		model: ModelId([2; 32]),
		listing: ListingId(5),
		params: params(),
		verifiers: 2,
		state: State::Disputed,
		verdict: Some(Verdict::Confirmed),
		verdict_at: Some(9),
		attempt: 2,
		executor: Some(account),
		claim: Some(ClaimId([4; 32])),
		seats: vec![SeatRecord {
			provider: account,
			tranche: 1,
			vote: Some(SeatVote {
				tranche: 1,
				vote: Vote::Reject {
					defect: Defect::Output(3),
					root: BoundRoot([5; 32]),
				},
			}),
			fault: Some(Fault::Lapse),
		}]
		.try_into()
		.unwrap(),
		deadline: Some(50),
		input: UncheckedInput::Text(b"hi".to_vec()),
		output: Some(output),
		requested_at: 1,
		genesis: [7; 32],
	};
	let quote = Quote {
		listing: ListingId(5),
		willing: 30,
		fee_ceiling: 1,
		deposit: 2,
		input_tokens: 3,
		output_tokens: 4,
		seat_fee: 5,
		electorate: ElectorateSummary {
			members: 4,
			stake: 40,
			largest: 10,
			executor: 10,
			chain: 50,
		},
		median_stake: 10,
		jobs_ahead: 1,
		longest_wait: 600,
		t_max: 6,
	};
	returns("models", vec![model.clone()]);
	returns("model", Some(model));
	returns("listing", Some(listing));
	returns("providers_of", vec![provider]);
	returns("execution", Some(execution));
	returns("job", Some(job));
	for golden in [SETTLED, OVERTURNED] {
		returns("receipt", Some(ReceiptFile::from_json(golden).unwrap().receipt));
	}
	returns("receipt_leaf", Some(7u64));
	let mut accumulator = Accumulator::default();
	for n in 0..3 {
		accumulator.append(&LeafHash([n; 32])).unwrap();
	}
	returns("receipt_accumulator", accumulator);
	returns("quote", Ok::<_, QuoteError>(quote));
	returns("quote", Err::<Quote, _>(QuoteError::TooFewWilling));
}
