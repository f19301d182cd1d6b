//! Requests: what is refused, and what is held.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	api::{JobPhase, QuoteError},
	job::Stop,
	ModelId, SamplingParams,
};
use frame_support::{assert_noop, assert_ok, traits::ConstU32, BoundedVec};
use frame_system::RawOrigin;
use sp_runtime::{DispatchResult, TokenError};

/// The arguments of a request: a good one by default.
struct Request {
	model: ModelId,
	input: Vec<u8>,
	params: SamplingParams,
	size: u32,
	max_fee: u128,
}

impl Default for Request {
	fn default() -> Self {
		Self {
			model: MODEL,
			input: input().into_inner(),
			params: SamplingParams::greedy(8),
			size: 4,
			max_fee: FUNDS,
		}
	}
}

impl Request {
	fn send(self) -> DispatchResult {
		let input: BoundedVec<u8, ConstU32<8192>> = BoundedVec::truncate_from(self.input);
		Jobs::request(
			RawOrigin::Signed(requester()).into(),
			self.model,
			input,
			self.params,
			self.size,
			self.max_fee,
		)
	}
}

#[test]
fn a_request_holds_the_quoted_fee_ceiling_and_the_deposit() {
	TestExt::providers(4).build_and_execute(|| {
		let quote = Jobs::quote(MODEL, 18, 8, 4).expect("a quote");
		// (18 + 16) tokens in at 10, 8 out at 20, and 3 verifiers at 10 % each.
		assert_eq!(quote.fee_ceiling, (340 + 160) * 130 / 100);
		assert_eq!(quote.deposit, 500 + 18 + 8 * 8);
		let id = request(4);
		assert_eq!(balance(&requester()), FUNDS - quote.fee_ceiling - quote.deposit);
		assert!(matches!(job(id).phase, Phase::Drawing { .. }));
		let view = Jobs::view(id).expect("a view");
		assert_eq!(
			(view.phase, view.attempt, view.input),
			(JobPhase::Drawing, 1, input().into_inner())
		);
	});
}

#[test]
fn the_same_request_made_twice_is_two_jobs() {
	TestExt::providers(4).build_and_execute(|| assert_ne!(request(1), request(1)));
}

#[test]
fn wrong_requests_are_refused_with_their_errors_and_hold_nothing() {
	TestExt::providers(4).build_and_execute(|| {
		let greedy = SamplingParams::greedy;
		let mut hot = greedy(8);
		hot.temperature = u32::MAX;
		let mut stop = greedy(8);
		stop.stop = BoundedVec::truncate_from(vec![Stop::default()]);
		let fee_ceiling = Jobs::quote(MODEL, 18, 8, 4).expect("a quote").fee_ceiling;
		for (request, error) in [
			(
				Request {
					model: ModelId([7; 32]),
					..Request::default()
				},
				Error::<Test>::UnknownModel,
			),
			(
				Request {
					model: RETIRED,
					..Request::default()
				},
				Error::RetiredModel,
			),
			(
				Request {
					input: vec![],
					..Request::default()
				},
				Error::EmptyInput,
			),
			(
				Request {
					input: vec![0xff, 0xfe],
					..Request::default()
				},
				Error::InputNotUtf8,
			),
			(
				Request {
					input: vec![b'a'; 240 * 4 + 1],
					..Request::default()
				},
				Error::InputTooLong,
			),
			(
				Request {
					params: greedy(0),
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					params: greedy(1025),
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					params: hot,
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					params: stop,
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					size: 0,
					..Request::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Request {
					size: 3,
					..Request::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Request {
					size: 10,
					..Request::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Request {
					size: 7,
					..Request::default()
				},
				Error::TooFewProviders,
			),
			(
				Request {
					max_fee: fee_ceiling - 1,
					..Request::default()
				},
				Error::FeeTooLow,
			),
		] {
			assert_noop!(request.send(), error);
		}
		assert_ok!(Request {
			max_fee: fee_ceiling,
			..Request::default()
		}
		.send());
	});
}

#[test]
fn a_quote_returns_the_error_that_the_request_would_meet() {
	TestExt::providers(4).build_and_execute(|| {
		assert_eq!(Jobs::quote(ModelId([7; 32]), 1, 1, 1), Err(QuoteError::UnknownModel));
		assert_eq!(Jobs::quote(RETIRED, 1, 1, 1), Err(QuoteError::RetiredModel));
		assert_eq!(Jobs::quote(MODEL, 0, 1, 1), Err(QuoteError::EmptyInput));
		assert_eq!(Jobs::quote(MODEL, 8193, 1, 1), Err(QuoteError::InputTooLong));
		assert_eq!(Jobs::quote(MODEL, 1, 0, 1), Err(QuoteError::BadParams));
		assert_eq!(Jobs::quote(MODEL, 1, 1, 2), Err(QuoteError::BadCommitteeSize));
		assert_eq!(Jobs::quote(MODEL, 1, 1, 7), Err(QuoteError::TooFewProviders));
	});
}

#[test]
fn a_requester_without_money_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let poor = account(77);
		assert_noop!(
			Jobs::request(
				RawOrigin::Signed(poor).into(),
				MODEL,
				input(),
				SamplingParams::greedy(8),
				1,
				FUNDS
			),
			TokenError::FundsUnavailable
		);
	});
}

#[test]
fn the_number_of_open_jobs_is_bounded() {
	TestExt::providers(4).build_and_execute(|| {
		for _ in 0..40 {
			request(1);
		}
		assert_noop!(try_request(1), Error::<Test>::TooManyJobs);
	});
}

#[test]
fn a_job_keeps_the_terms_of_its_request() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(1);
		assert_eq!(job(id).terms.price_out, 20);
		assert_eq!(job(id).fee_ceiling, 500);
	});
}
