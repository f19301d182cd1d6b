//! The examples of the pallet's documentation.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{SamplingParams, Verdict};
use frame_support::{assert_noop, assert_ok};
use frame_system::RawOrigin;

#[docify::export]
#[test]
fn a_job_from_request_to_receipt() {
	TestExt::providers(4).build_and_execute(|| {
		let job = request(4);
		// The committee is drawn at the end of the next block.
		next_block();
		next_block();
		let members = committee(job);

		// The executor publishes the answer and its own blinded vote, the verifiers commit theirs.
		assert_ok!(publish(publication(job, 0, &members[0], CONFIRM)));
		for verifier in &members[1..] {
			assert_ok!(send_batch(commits(verifier, vec![(job, 0, CONFIRM)])));
		}
		// Once all have committed, all reveal. The last reveal concludes the job.
		for member in &members {
			assert_ok!(send_batch(reveals(member, vec![(job, 0, CONFIRM)])));
		}
		assert_eq!(receipt(job).verdict, Verdict::Confirmed);
	});
}

#[docify::export]
#[test]
fn a_quote_is_what_a_request_must_offer() {
	TestExt::providers(4).build_and_execute(|| {
		let (prompt, params) = (input(), SamplingParams::greedy(8));
		let quote =
			Jobs::quote(MODEL, prompt.len() as u32, params.max_tokens, 4).expect("four providers are available");
		let request = |max_fee| {
			let origin = RawOrigin::Signed(requester()).into();
			Jobs::request(origin, MODEL, prompt.clone(), params.clone(), 4, max_fee)
		};
		assert_noop!(request(quote.fee_ceiling - 1), Error::<Test>::FeeTooLow);
		assert_ok!(request(quote.fee_ceiling));
		// Both are held until the verdict; what the job does not cost comes back.
		assert_eq!(balance(&requester()), FUNDS - quote.fee_ceiling - quote.deposit);
	});
}
