//! Listings: which one a job gets, at which prices, and who executes it.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{api::QuoteError, draw::is_supermajority, model::Prices, ListingId, State, Target, Verdict};
use frame_support::{assert_noop, assert_ok, dispatch::GetDispatchInfo};
use proptest::prelude::*;

const FIRST: ListingId = ListingId(1);

fn least(n: u8, price_in: u128, price_out: u128) {
	Least::insert(account(n), Prices { price_in, price_out });
}

fn quoted(target: impl Into<Target>, max_tokens: u32, verifiers: u8) -> Result<ListingId, QuoteError> {
	Jobs::quote(target.into(), 18, max_tokens, verifiers).map(|quote| quote.listing)
}

#[test]
fn a_job_that_names_the_model_gets_the_listing_that_is_cheapest_for_it() {
	TestExt::providers(4).build_and_execute(|| {
		// Dear prompts and cheap answers, and the reverse: which is cheaper depends on the job.
		let cheap_out = list(10, MODEL, 20, 5);
		let cheap_in = list(11, MODEL, 4, 30);
		assert_eq!(quoted(MODEL, 100, 0), Ok(cheap_out));
		assert_eq!(quoted(MODEL, 8, 0), Ok(cheap_in));
		// With checks, the price of a prompt counts for the whole answer too.
		assert_eq!(quoted(MODEL, 20, 8), Ok(cheap_in));
		let id = request_of(MODEL, 0);
		assert_eq!((job(id).terms.listing, job(id).listing_named), (cheap_in, false));
	});
}

#[test]
fn a_request_weighs_what_was_compared_for_it() {
	TestExt::providers(4).build_and_execute(|| {
		list(10, MODEL, 10, 20);
		let weight = |listings| {
			let bytes = input().bytes().len() as u32;
			Some(<() as WeightInfo>::request(bytes, listings))
		};
		let actual = |target: Target| try_request(target, 0).expect("a request").actual_weight;
		assert_eq!(actual(MODEL.into()), weight(2));
		assert_eq!(actual(FIRST.into()), weight(1));
		let before = |target: Target| {
			crate::Call::<Test>::request {
				target,
				input: input(),
				params: assay_primitives::SamplingParams::greedy(8).into(),
				verifiers: 0,
				max_fee: FUNDS,
			}
			.get_dispatch_info()
			.call_weight
		};
		assert_eq!(
			Some(before(MODEL.into())),
			weight(assay_primitives::limits::MAX_LISTINGS)
		);
		assert_eq!(Some(before(FIRST.into())), weight(1));
	});
}

#[test]
fn of_equal_listings_the_older_one_is_taken() {
	TestExt::providers(4).build_and_execute(|| {
		list(10, MODEL, 10, 20);
		assert_eq!(quoted(MODEL, 8, 2), Ok(FIRST));
		// Both cost the minimum.
		list(5, FREE, 0, 0);
		assert_eq!(quoted(FREE, 8, 0), Ok(ListingId(4)));
	});
}

#[test]
fn a_job_that_names_a_listing_gets_that_one() {
	TestExt::providers(4).build_and_execute(|| {
		let cheap = list(10, MODEL, 1, 1);
		let id = request_of(FIRST, 2);
		assert_eq!(
			(job(id).model, job(id).terms.listing, job(id).listing_named),
			(MODEL, FIRST, true)
		);
		assert_eq!(job(id).terms.prices.price_in, 10);
		assert_noop!(try_request(ListingId(99), 0), Error::<Test>::UnknownListing);
		assert_noop!(try_request(ListingId(2), 0), Error::<Test>::RetiredListing);
		assert_eq!(quoted(cheap, 8, 0), Ok(cheap));
		// What was asked is part of the job's name.
		let named = request_of(cheap, 2);
		let asked = request_of(MODEL, 2);
		let name = |count, listing| {
			let hash = assay_primitives::digest::input_hash(&input());
			let params = job(asked).params;
			assay_primitives::JobId::derive(&GENESIS, &requester(), count, &MODEL, listing, &hash, &params)
		};
		assert_eq!((named, asked), (name(2, Some(cheap)), name(3, None)));
	});
}

#[test]
fn receipts_and_views_name_the_listing() {
	TestExt::providers(4).build_and_execute(|| {
		let id = published(0);
		assert_eq!(Jobs::view(id).expect("a view").listing, FIRST);
		end_claim(id, State::Settled, Verdict::Unchecked);
		assert_eq!((receipt(id).listing, receipt(id).named_listing()), (FIRST, None));
		assert_eq!(Jobs::view(id).expect("a view").listing, FIRST);
		let named = request_of(FIRST, 0);
		assert_eq!(job(named).terms.listing, FIRST);
	});
}

#[test]
fn an_answer_at_no_price_costs_the_minimum() {
	TestExt::providers(4).build_and_execute(|| {
		let quote = Jobs::quote(FREE.into(), 18, 8, 0).expect("a quote");
		// The least fee of an answer, and the levy of 8 % of a check at its least price: 5 millions of parameters.
		let seat = (18 + 16 + 8) * 5 * RATES.check_price;
		assert_eq!(quote.fee_ceiling, RATES.minimum_fee + RATES.levy.mul_ceil(seat));
		assert_eq!(quote.seat_fee, seat);
		let id = request_of(FREE, 0);
		next_block();
		next_block();
		publish(publication(id)).expect("a publication");
		end_claim(id, State::Settled, Verdict::Unchecked);
		assert!(receipt(id).fee >= RATES.minimum_fee);
	});
}

#[test]
fn only_members_that_execute_at_the_price_are_drawn() {
	TestExt::providers(4).build_and_execute(|| {
		let cheap = list(10, MODEL, 5, 5);
		// Three of four at the cheap price.
		least(4, 6, 0);
		(0..30).for_each(|_| {
			let id = request_of(cheap, 0);
			next_block();
			next_block();
			assert_ne!(executor(id), account(4));
			publish(publication(id)).expect("a publication");
		});
		// When all others are away, the job waits although the fourth is free.
		(1..=3).for_each(|n| Offline::insert(account(n), ()));
		let (waits, served) = (request_of(cheap, 0), request_of(FIRST, 0));
		next_block();
		next_block();
		assert_eq!(job(waits).state, State::Waiting);
		assert_eq!(
			executor(served),
			account(4),
			"another listing of the model is not blocked"
		);
	});
}

#[test]
fn a_listing_needs_two_thirds_of_the_stake_for_checked_jobs() {
	TestExt::providers(4).build_and_execute(|| {
		let cheap = list(10, MODEL, 5, 5);
		seal(&MODEL, vec![(account(1), 200), (account(2), 70), (account(3), 30)]);
		least(2, 9, 9);
		least(3, 9, 9);
		// Exactly two thirds.
		assert_eq!(quoted(cheap, 8, 1), Ok(cheap));
		assert_eq!(Jobs::quote(cheap.into(), 18, 8, 1).expect("a quote").willing, 200);
		assert_eq!(quoted(MODEL, 8, 1), Ok(cheap));
		// One unit less.
		seal(&MODEL, vec![(account(1), 199), (account(2), 71), (account(3), 30)]);
		assert_eq!(quoted(cheap, 8, 1), Err(QuoteError::TooFewWilling));
		assert_noop!(try_request(cheap, 1), Error::<Test>::TooFewWilling);
		assert_eq!(quoted(MODEL, 8, 1), Ok(FIRST), "the cheapest of those that may take it");
		// Without checks it may be named, but the chain does not choose it.
		assert_eq!(quoted(cheap, 8, 0), Ok(cheap));
		assert_ok!(try_request(cheap, 0));
		assert_eq!(quoted(MODEL, 8, 0), Ok(FIRST));
		// Unless there is no other.
		least(1, 11, 0);
		least(2, 0, 0);
		assert_eq!(quoted(MODEL, 8, 0), Ok(cheap));
	});
}

#[test]
fn a_listing_that_nobody_executes_at_is_refused_by_name() {
	TestExt::providers(4).build_and_execute(|| {
		(1..=4).for_each(|n| least(n, 11, 0));
		assert_noop!(try_request(FIRST, 0), Error::<Test>::NobodyWilling);
		assert_noop!(try_request(MODEL, 2), Error::<Test>::NobodyWilling);
		assert_eq!(quoted(MODEL, 8, 0), Err(QuoteError::NobodyWilling));
		least(1, 10, 20);
		assert_eq!(quoted(MODEL, 8, 0), Ok(FIRST));
		assert_eq!(quoted(MODEL, 8, 1), Err(QuoteError::TooFewWilling));
	});
}

#[test]
fn a_price_that_nobody_has_a_place_for_blocks_no_other_listing() {
	TestExt::providers(4).build_and_execute(|| {
		// A cartel of one lists the model for itself, and never works.
		let bait = list(10, MODEL, 0, 0);
		(1..=3).for_each(|n| least(n, 1, 1));
		Offline::insert(account(4), ());
		let stuck: Vec<_> = (0..10).map(|_| request_of(bait, 0)).collect();
		let served = request_of(FIRST, 2);
		next_block();
		next_block();
		assert_eq!(job(served).state, State::Executing);
		assert!(stuck.iter().all(|id| job(*id).state == State::Waiting));
	});
}

proptest! {
	#![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

	#[test]
	fn whoever_executes_is_willing_and_the_cheapest_listing_is_charged(
		stakes in prop::collection::vec(1u128..100, 5),
		least_prices in prop::collection::vec((0u128..30, 0u128..30), 5),
		prices in prop::collection::vec((0u128..30, 0u128..30), 0..6),
		verifiers in 0u8..4,
	) {
		TestExt::providers(5).build_and_execute(|| {
			seal(&MODEL, (1..=5).map(account).zip(stakes.iter().copied()).collect());
			(1..).zip(&least_prices).for_each(|(n, (price_in, price_out))| least(n, *price_in, *price_out));
			(10..).zip(&prices).for_each(|(id, (price_in, price_out))| {
				list(id, MODEL, *price_in, *price_out);
			});
			let total: u128 = stakes.iter().sum();
			let executes = |n: usize, prices: Prices| {
				least_prices[n].0 <= prices.price_in && least_prices[n].1 <= prices.price_out
			};
			let of_model = || Listed::get().into_iter().filter(|listed| listed.1 == MODEL);
			let willing_at = |price_in, price_out| -> u128 {
				let prices = Prices { price_in, price_out };
				(0..5).filter(|n| executes(*n, prices)).map(|n| stakes[n]).sum()
			};
			let able: Vec<_> = of_model()
				.map(|(id, _, price_in, price_out)| (id, willing_at(price_in, price_out)))
				.filter(|(_, willing)| *willing > 0 && (verifiers == 0 || is_supermajority(*willing, total)))
				.collect();
			let Ok(_) = try_request(MODEL, verifiers) else {
				assert!(able.is_empty());
				return;
			};
			let id = OpenJobs::iter_keys().next().expect("a job");
			let terms = job(id).terms;
			let cost = |id: u32| Jobs::quote(ListingId(id).into(), 18, 8, verifiers).expect("a quote").fee_ceiling;
			let rank = |(id, willing): &(u32, u128)| (!is_supermajority(*willing, total), cost(*id), *id);
			let (_, fee_ceiling, listing) = able.iter().map(rank).min().expect("a listing");
			assert_eq!((job(id).fee_ceiling, terms.listing.0), (fee_ceiling, listing));
			// Whoever is drawn executes at that price, in every attempt; all money is accounted for.
			while OpenJobs::contains_key(id) {
				if let Some(executor) = job(id).executor() {
					let n = (1..=5).position(|n| account(n) == *executor).expect("a member");
					assert!(executes(n, terms.prices));
				}
				next_block();
			}
			assert_eq!(receipt(id).fee, 0);
		});
	}
}
