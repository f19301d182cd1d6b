//! Conversations as inputs: what is accepted, what is refused, and what is paid for reading one.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	digest::input_hash, limits::MAX_INPUT_BYTES, traits::ClaimSource, SamplingParams, UncheckedInput,
};
use frame_support::{
	assert_noop, assert_ok,
	dispatch::{DispatchResultWithPostInfo, GetDispatchInfo},
	weights::Weight,
};
use frame_system::RawOrigin;

fn call(input: UncheckedInput) -> Call<Test> {
	Call::request {
		target: LONG_CONTEXT.into(),
		input,
		params: SamplingParams::greedy(8).into(),
		verifiers: 0,
		max_fee: FUNDS,
	}
}

fn send(input: UncheckedInput) -> DispatchResultWithPostInfo {
	use frame_support::traits::UnfilteredDispatchable;
	call(input).dispatch_bypass_filter(RawOrigin::Signed(requester()).into())
}

fn chat_of(json: impl Into<Vec<u8>>) -> UncheckedInput {
	UncheckedInput::Chat(json.into())
}

#[test]
fn a_conversation_is_stored_and_executed_byte_for_byte() {
	TestExt::providers(1).build_and_execute(|| {
		assert_ok!(send(chat()));
		let id = OpenJobs::iter_keys().next().expect("a job");
		assert_eq!(job(id).input_hash, input_hash(&chat()));
		assert_eq!(Jobs::view(id).expect("a view").input, chat());
		next_block();
		next_block();
		let work = <Jobs as ClaimSource<_, _>>::work(&id, false).expect("work");
		assert_eq!(UncheckedInput::from(work.input), chat());
	});
}

#[test]
fn the_same_bytes_as_text_and_as_conversation_are_two_jobs() {
	let text = UncheckedInput::Text(chat().bytes().to_vec());
	let names = [chat(), text].map(|input| {
		let mut id = None;
		TestExt::providers(1).build_and_execute(|| {
			assert_ok!(send(input));
			id = OpenJobs::iter_keys().next();
		});
		id.expect("a job")
	});
	assert_ne!(names[0], names[1]);
}

#[test]
fn what_is_no_conversation_is_refused_and_holds_nothing() {
	TestExt::providers(1).build_and_execute(|| {
		let user = r#"{"role":"user","content":"x"}"#;
		let deep = format!(
			r#"{{"messages":[{user}],"chat_template_kwargs":{{"a":{}{}}}}}"#,
			"[".repeat(40),
			"]".repeat(40)
		);
		let wide = format!(
			r#"{{"messages":[{user}],"chat_template_kwargs":{{"a":[{}0]}}}}"#,
			"0,".repeat(16_384)
		);
		for json in [
			" ".into(),
			"What is a receipt?".into(),
			"[]".into(),
			"{}".into(),
			r#"{"messages":[]}"#.into(),
			r#"{"messages":[{"role":"god","content":"x"}]}"#.into(),
			r#"{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}"#.into(),
			format!(r#"{{"messages":[{user}],"temperature":1}}"#),
			format!(r#"{{"messages":[{user}],"tools":[{{"type":"web"}}]}}"#),
			format!(r#"{{"messages":[{user}]}} trailing"#),
			format!(r#"{{"messages":[{user}],"messages":[{user}]}}"#),
			deep,
			wide,
		] {
			assert_noop!(send(chat_of(json.clone())), Error::<Test>::BadChat);
		}
		let mut garbled = chat().bytes().to_vec();
		garbled[45] = 0xff;
		assert_noop!(send(chat_of(garbled)), Error::<Test>::BadChat);
		assert_noop!(send(chat_of("")), Error::<Test>::EmptyInput);
		assert_eq!(balance(&requester()), FUNDS);
	});
}

#[test]
fn reading_a_conversation_is_paid_also_when_it_is_refused() {
	TestExt::providers(1).build_and_execute(|| {
		let largest = |input: fn(Vec<u8>) -> UncheckedInput| input(benchmarking::chat(MAX_INPUT_BYTES));
		let weight = |input| call(input).get_dispatch_info().call_weight;
		let text = weight(largest(UncheckedInput::Text));
		let reading = <Test as Config>::WeightInfo::parse_chat(MAX_INPUT_BYTES);
		assert_eq!(weight(largest(UncheckedInput::Chat)), text.saturating_add(reading));
		assert!(reading.any_gt(Weight::zero()));
		// What is given back is for listings that were not compared.
		let after = |input| send(input).expect("a request").actual_weight.expect("it is known");
		let (chat, text) = (
			after(largest(UncheckedInput::Chat)),
			after(largest(UncheckedInput::Text)),
		);
		assert_eq!(chat, text.saturating_add(reading));
		let refused = send(chat_of("[]")).expect_err("it is no conversation");
		assert_eq!(refused.post_info.actual_weight, None, "nothing is given back");
	});
}
