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

struct Ask {
	model: ModelId,
	input: Vec<u8>,
	params: SamplingParams,
	size: u32,
	max_fee: u128,
}

impl Default for Ask {
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

impl Ask {
	fn send(self) -> DispatchResult {
		let input: BoundedVec<u8, ConstU32<8192>> = BoundedVec::truncate_from(self.input);
		Jobs::request(
			RawOrigin::Signed(asker()).into(),
			self.model,
			input,
			self.params,
			self.size,
			self.max_fee,
		)
	}
}

#[test]
fn a_request_holds_the_quoted_ceiling_and_the_deposit() {
	TestExt::providers(4).execute_with(|| {
		let quote = Jobs::quote(MODEL, 18, 8, 4).expect("a quote");
		// (18 + 16) tokens in at 10, 8 out at 20, and 3 verifiers at 10 % each.
		assert_eq!(quote.max_fee, (340 + 160) * 130 / 100);
		assert_eq!(quote.deposit, 500 + 18 + 8 * 8);
		let id = request(4);
		assert_eq!(balance(&asker()), FUNDS - quote.max_fee - quote.deposit);
		assert!(matches!(job(id).phase, Phase::Drawing { .. }));
		let view = Jobs::view(id).expect("a view");
		assert_eq!(
			(view.phase, view.attempt, view.input),
			(JobPhase::Drawing, 1, input().into_inner())
		);
	});
}

#[test]
fn the_same_question_asked_twice_is_two_jobs() {
	TestExt::providers(4).execute_with(|| assert_ne!(request(1), request(1)));
}

#[test]
fn wrong_requests_are_refused_by_name_and_nothing_is_held() {
	TestExt::providers(4).execute_with(|| {
		let greedy = SamplingParams::greedy;
		let mut hot = greedy(8);
		hot.temperature = u32::MAX;
		let mut stop = greedy(8);
		stop.stop = BoundedVec::truncate_from(vec![Stop::default()]);
		let dear = Jobs::quote(MODEL, 18, 8, 4).expect("a quote").max_fee;
		for (ask, error) in [
			(
				Ask {
					model: ModelId([7; 32]),
					..Ask::default()
				},
				Error::<Test>::UnknownModel,
			),
			(
				Ask {
					model: RETIRED,
					..Ask::default()
				},
				Error::RetiredModel,
			),
			(
				Ask {
					input: vec![],
					..Ask::default()
				},
				Error::EmptyInput,
			),
			(
				Ask {
					input: vec![0xff, 0xfe],
					..Ask::default()
				},
				Error::InputNotUtf8,
			),
			(
				Ask {
					input: vec![b'a'; 240 * 4 + 1],
					..Ask::default()
				},
				Error::InputTooLong,
			),
			(
				Ask {
					params: greedy(0),
					..Ask::default()
				},
				Error::BadParams,
			),
			(
				Ask {
					params: greedy(1025),
					..Ask::default()
				},
				Error::BadParams,
			),
			(
				Ask {
					params: hot,
					..Ask::default()
				},
				Error::BadParams,
			),
			(
				Ask {
					params: stop,
					..Ask::default()
				},
				Error::BadParams,
			),
			(
				Ask {
					size: 0,
					..Ask::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Ask {
					size: 3,
					..Ask::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Ask {
					size: 10,
					..Ask::default()
				},
				Error::BadCommitteeSize,
			),
			(
				Ask {
					size: 7,
					..Ask::default()
				},
				Error::TooFewProviders,
			),
			(
				Ask {
					max_fee: dear - 1,
					..Ask::default()
				},
				Error::FeeTooLow,
			),
		] {
			assert_noop!(ask.send(), error);
		}
		assert_ok!(Ask {
			max_fee: dear,
			..Ask::default()
		}
		.send());
	});
}

#[test]
fn the_quote_names_the_error_that_the_request_would_meet() {
	TestExt::providers(4).execute_with(|| {
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
fn a_requester_without_money_is_refused_and_its_counter_stays() {
	TestExt::providers(4).execute_with(|| {
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
fn no_more_jobs_are_open_than_the_chain_takes() {
	TestExt::providers(4).execute_with(|| {
		for _ in 0..40 {
			request(1);
		}
		assert_noop!(try_request(1), Error::<Test>::TooManyJobs);
	});
}

#[test]
fn a_later_price_is_for_later_jobs() {
	TestExt::providers(4).execute_with(|| {
		let id = request(1);
		assert_eq!(job(id).terms.price_out, 20);
		assert_eq!(job(id).ceiling, 500);
	});
}
