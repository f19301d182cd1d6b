//! The examples of the pallet's documentation.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{SamplingParams, State, Verdict};
use frame_support::{assert_noop, assert_ok};
use frame_system::RawOrigin;

#[docify::export]
#[test]
fn a_job_from_request_to_receipt() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(2);
		// The executor is drawn at the end of the next block.
		next_block();
		next_block();
		assert_eq!(job(id).state, State::Executing);

		// It publishes the answer, with a seal over its root.
		let verifiers = others(&executor(id));
		assert_ok!(publish(publication(id)));
		assert_eq!(job(id).state, State::Published);

		// Two verifiers approve; the window passes, and the claim is settled.
		settle(id, &verifiers[..2]);
		assert_eq!(receipt(id).verdict, Verdict::Confirmed);
	});
}

#[docify::export]
#[test]
fn a_quote_is_what_a_request_must_offer() {
	TestExt::providers(4).build_and_execute(|| {
		let (prompt, params) = (input(), SamplingParams::greedy(8));
		let quote = Jobs::quote(MODEL.into(), prompt.bytes().len() as u32, params.max_tokens, 2)
			.expect("four providers serve it");
		let request = |max_fee| {
			let origin = RawOrigin::Signed(requester()).into();
			Jobs::request(origin, MODEL.into(), prompt.clone(), params.clone().into(), 2, max_fee)
		};
		assert_noop!(request(quote.fee_ceiling - 1), Error::<Test>::FeeTooLow);
		assert_ok!(request(quote.fee_ceiling));
		// Both are held until the job is final; what it does not cost comes back.
		assert_eq!(balance(&requester()), FUNDS - quote.fee_ceiling - quote.deposit);
	});
}
