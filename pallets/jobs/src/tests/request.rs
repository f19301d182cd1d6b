//! Requests: what is refused, and what is held.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	api::QuoteError,
	limits::{MAX_INPUT_BYTES, MAX_STOPS, MAX_STOP_BYTES},
	JobId, ModelId, SamplingParams, State, UncheckedInput, UncheckedParams,
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResultWithPostInfo};
use frame_system::RawOrigin;
use sp_runtime::TokenError;

/// The arguments of a request: a good one by default.
struct Request {
	model: ModelId,
	input: UncheckedInput,
	params: UncheckedParams,
	verifiers: u8,
	max_fee: u128,
}

impl Default for Request {
	fn default() -> Self {
		Self {
			model: MODEL,
			input: input(),
			params: SamplingParams::greedy(8).into(),
			verifiers: 2,
			max_fee: FUNDS,
		}
	}
}

impl Request {
	fn send(self) -> DispatchResultWithPostInfo {
		Jobs::request(
			RawOrigin::Signed(requester()).into(),
			self.model.into(),
			self.input,
			self.params,
			self.verifiers,
			self.max_fee,
		)
	}
}

#[test]
fn a_request_holds_the_quoted_fee_ceiling_and_the_deposit() {
	TestExt::providers(4).build_and_execute(|| {
		let quote = Jobs::quote(MODEL.into(), 18, 8, 2).expect("a quote");
		// (18 + 16) tokens in at 10, 8 out at 20; two checks of 42 tokens at 10; 8 % of one of them.
		assert_eq!(quote.fee_ceiling, 340 + 160 + 2 * 420 + 34);
		// The prompt, 8 token ids, and the least that every text may have.
		assert_eq!(quote.deposit, 500 + 18 + 8 * 4 + 1024);
		let longer = Jobs::quote(MODEL.into(), 18, 128, 2).expect("a quote");
		assert_eq!(longer.deposit, 500 + 18 + 128 * 4 + 128 * 16);
		assert_eq!((quote.seat_fee, quote.input_tokens, quote.output_tokens), (420, 34, 8));
		let id = request(2);
		assert_eq!(balance(&requester()), FUNDS - quote.fee_ceiling - quote.deposit);
		assert_eq!((job(id).state, job(id).verifiers), (State::Waiting, 2));
	});
}

#[test]
fn a_quote_states_the_electorate_and_the_queue() {
	TestExt::providers(4).build_and_execute(|| {
		let stakes = [50, 10, 30, 20];
		seal(&MODEL, (1..=4).map(account).zip(stakes).collect());
		request_many(3, 1);
		request_of(FREE, 1);
		let quote = Jobs::quote(MODEL.into(), 18, 8, 2).expect("a quote");
		assert_eq!((quote.electorate.members, quote.electorate.stake), (4, 110));
		assert_eq!((quote.electorate.largest, quote.median_stake), (50, 20));
		assert_eq!(quote.electorate.chain, 4 * BOND);
		assert_eq!(quote.jobs_ahead, 3);
	});
}

#[test]
fn sampling_parameters_are_part_of_a_jobs_name() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(0);
		let hash = assay_primitives::digest::input_hash(&input());
		let name = |params| JobId::derive(&GENESIS, &requester(), 1, &MODEL, None, &hash, &params);
		assert_eq!(id, name(SamplingParams::greedy(8)));
		assert_ne!(id, name(SamplingParams::greedy(9)));
	});
}

#[test]
fn the_same_request_made_twice_is_two_jobs() {
	TestExt::providers(4).build_and_execute(|| assert_ne!(request(1), request(1)));
}

#[test]
fn wrong_requests_are_refused_with_their_errors_and_hold_nothing() {
	TestExt::providers(4).build_and_execute(|| {
		let greedy = |max_tokens| UncheckedParams::from(SamplingParams::greedy(max_tokens));
		let mut hot = greedy(8);
		hot.temperature = u32::MAX;
		let stops = |stop| UncheckedParams { stop, ..greedy(8) };
		let fee_ceiling = Jobs::quote(MODEL.into(), 18, 8, 2).expect("a quote").fee_ceiling;
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
					input: UncheckedInput::Text(vec![]),
					..Request::default()
				},
				Error::EmptyInput,
			),
			(
				Request {
					input: UncheckedInput::Text(vec![0xff, 0xfe]),
					..Request::default()
				},
				Error::InputNotUtf8,
			),
			(
				Request {
					input: UncheckedInput::Text(vec![b'a'; 240 * 8 + 1]),
					..Request::default()
				},
				Error::InputTooLong,
			),
			(
				Request {
					model: LONG_CONTEXT,
					input: UncheckedInput::Chat(vec![b'a'; MAX_INPUT_BYTES as usize + 1]),
					..Request::default()
				},
				Error::InputTooLong,
			),
			(
				Request {
					params: stops(vec![b"x".to_vec(); MAX_STOPS as usize + 1]),
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					params: stops(vec![vec![b'x'; MAX_STOP_BYTES as usize + 1]]),
					..Request::default()
				},
				Error::BadParams,
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
					params: greedy(4097),
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
					params: stops(vec![vec![]]),
					..Request::default()
				},
				Error::BadParams,
			),
			(
				Request {
					verifiers: 9,
					..Request::default()
				},
				Error::TooManyVerifiers,
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
		assert_eq!(
			Jobs::quote(ModelId([7; 32]).into(), 1, 1, 1),
			Err(QuoteError::UnknownModel)
		);
		assert_eq!(Jobs::quote(RETIRED.into(), 1, 1, 1), Err(QuoteError::RetiredModel));
		assert_eq!(Jobs::quote(MODEL.into(), 0, 1, 1), Err(QuoteError::EmptyInput));
		assert_eq!(
			Jobs::quote(LONG_CONTEXT.into(), 65_537, 1, 1),
			Err(QuoteError::InputTooLong)
		);
		assert_eq!(Jobs::quote(MODEL.into(), 1, 0, 1), Err(QuoteError::BadParams));
		assert_eq!(Jobs::quote(MODEL.into(), 1, 1, 9), Err(QuoteError::TooManyVerifiers));
		assert!(Jobs::quote(MODEL.into(), 1, 1, 8).is_ok());
	});
}

#[test]
fn a_model_that_nobody_serves_takes_no_jobs() {
	TestExt::providers(4).build_and_execute(|| {
		seal(&MODEL, vec![]);
		assert_noop!(try_request(MODEL, 0), Error::<Test>::NoProvider);
		seal(&MODEL, vec![(account(1), 0)]);
		assert_noop!(try_request(MODEL, 0), Error::<Test>::NoProvider);
		assert_eq!(Jobs::quote(MODEL.into(), 1, 1, 0), Err(QuoteError::NoProvider));
	});
}

#[test]
fn an_only_provider_cannot_be_checked() {
	TestExt::providers(4).build_and_execute(|| {
		seal(&MODEL, vec![(account(1), BOND)]);
		assert_noop!(try_request(MODEL, 1), Error::<Test>::NoVerifier);
		assert_eq!(Jobs::quote(MODEL.into(), 1, 1, 1), Err(QuoteError::NoVerifier));
		assert_ok!(try_request(MODEL, 0));
	});
}

#[test]
fn a_requester_without_money_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let poor = account(77);
		assert_noop!(
			Jobs::request(
				RawOrigin::Signed(poor).into(),
				MODEL.into(),
				input(),
				SamplingParams::greedy(8).into(),
				1,
				FUNDS
			),
			TokenError::FundsUnavailable
		);
	});
}

#[test]
fn the_number_of_waiting_jobs_is_bounded() {
	TestExt::providers(4).build_and_execute(|| {
		Params::mutate(|params| params.max_waiting_jobs = 3);
		request_many(3, 0);
		assert_noop!(try_request(MODEL, 0), Error::<Test>::TooManyJobs);
		next_block();
		next_block();
		assert_ok!(try_request(MODEL, 0));
	});
}

#[test]
fn a_job_keeps_the_terms_of_its_request() {
	TestExt::providers(4).build_and_execute(|| {
		let id = request(0);
		assert_eq!(job(id).terms.prices.price_out, 20);
		assert_eq!(job(id).fee_ceiling, 534);
	});
}
