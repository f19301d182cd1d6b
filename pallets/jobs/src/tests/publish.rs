//! Publications: what counts, and what is refused without a change.

use crate::{
	mock::{Jobs, *},
	*,
};
use assay_primitives::{
	digest::output_hash,
	job::Failure,
	limits::{MAX_OUTPUT_TOKENS, MIN_OUTPUT_BYTES},
	rules::generation_work,
	traits::ClaimSource,
	ClaimId, FinishReason, JobId, SamplingParams, State, Verdict,
};
use frame_support::{assert_noop, assert_ok};
use frame_system::RawOrigin;

#[test]
fn a_publication_frees_the_place_and_opens_a_claim() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let (who, name) = (executor(id), claim_of(id));
		HeartbeatDue::insert(&who, ());
		assert_ok!(publish(publication(id)));
		assert_eq!(job(id).state, State::Published);
		assert_eq!(Load::get(&who).expect("a provider").0, 0);
		assert_eq!(Reckoned::get(), generation_work(12, 3), "of the work what was needed");
		assert!(!HeartbeatDue::contains_key(&who), "who publishes is alive");
		let claim = OpenClaims::get(name).expect("a claim");
		assert_eq!((claim.origin, claim.record.executor), (id, who.clone()));
		assert_eq!(claim.record.output_hash, output_hash(&output()));
		assert_eq!((claim.record.verifiers, claim.record.attempt), (2, 0));
		assert_eq!(claim.work, 12 + 3);
		assert_eq!(claim.seat_fee, 15 * 10, "at the price of prompt tokens");
		let work = <Jobs as ClaimSource<_, _>>::work(&id, true).expect("work");
		assert_eq!(work.claim, Some(output()));
		let event = Event::Published {
			job: id,
			claim: name,
			executor: who,
			output_hash: output_hash(&output()),
		};
		assert!(events().contains(&event));
	});
}

#[test]
fn an_answer_that_nobody_will_check_has_its_verdict_at_once() {
	TestExt::providers(1).build_and_execute(|| {
		let id = published(0);
		assert_eq!(job(id).state, State::Window);
		let receipt = Jobs::receipt(id).expect("a provisional receipt");
		assert_eq!(receipt.verdict, Verdict::Unchecked);
	});
}

#[test]
fn a_publication_for_the_draw_of_another_fork_costs_nobody_anything() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let mut foreign = publication(id);
		foreign.claim = ClaimId([1; 32]);
		assert_noop!(publish(foreign), Error::<Test>::WrongClaim);
		assert_ok!(publish(publication(id)));
	});
}

#[test]
fn a_publication_of_an_earlier_attempt_is_refused() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let early = publication(id);
		let deadline = job(id).deadline;
		run_to(deadline + 1);
		let late = Publication {
			at: System::block_number(),
			..early
		};
		assert_noop!(publish(late.clone()), Error::<Test>::WrongClaim);
		next_block();
		assert_eq!(job(id).state, State::Executing, "another attempt");
		assert_noop!(publish(late), Error::<Test>::WrongClaim);
	});
}

#[test]
fn wrong_publications_are_refused_with_their_errors() {
	TestExt::providers(4).build_and_execute(|| {
		let waiting = request(2);
		let mut early = Publication {
			executor: account(1),
			claim: ClaimId([0; 32]),
			job: waiting,
			output: output().into(),
			seal: Default::default(),
			at: 1,
		};
		assert_noop!(publish(early.clone()), Error::<Test>::WrongClaim);
		early.job = JobId([0; 32]);
		assert_noop!(publish(early), Error::<Test>::UnknownJob);

		let id = drawn(2);
		let good = publication(id);
		let with = |change: fn(&mut PublicationOf<Test>)| {
			let mut publication = good.clone();
			change(&mut publication);
			publication
		};
		let stranger = Publication {
			executor: others(&executor(id))[0].clone(),
			..good.clone()
		};
		assert_noop!(publish(stranger), Error::<Test>::NotExecutor);
		assert_noop!(publish(with(|p| p.at += 1)), Error::<Test>::StaleMessage);
		let long = with(|p| p.output.tokens = vec![1; 9]);
		assert_noop!(publish(long), Error::<Test>::OutputTooLong);
		let endless = with(|p| p.output.tokens = vec![1; MAX_OUTPUT_TOKENS as usize + 1]);
		assert_noop!(publish(endless), Error::<Test>::OutputTooLong);
		let wordy = with(|p| p.output.text = vec![b'a'; MIN_OUTPUT_BYTES as usize + 1]);
		assert_noop!(publish(wordy), Error::<Test>::OutputTooLong);
		let garbled = with(|p| p.output.text = vec![0xff]);
		assert_noop!(publish(garbled), Error::<Test>::OutputNotUtf8);

		assert_ok!(publish(good.clone()));
		assert_noop!(publish(good.clone()), Error::<Test>::AlreadyPublished);
		settle(id, &[]);
		assert_noop!(publish(good), Error::<Test>::UnknownJob);
	});
}

#[test]
fn a_message_is_stale_after_sixteen_blocks() {
	TestExt::providers(4).build_and_execute(|| {
		ExecutionBlocks::set(40);
		let id = drawn(2);
		let old = publication(id);
		run_to(old.at + 17);
		assert_noop!(publish(old.clone()), Error::<Test>::StaleMessage);
		let fresh = Publication { at: old.at + 1, ..old };
		assert_ok!(publish(fresh));
	});
}

/// A job with so many verifiers of which this was published, and which they confirmed.
fn settled(verifiers: u8, finish: FinishReason, tokens: Vec<u32>) -> JobId {
	let id = drawn(verifiers);
	let mut publication = publication(id);
	publication.output.tokens = tokens;
	publication.output.text.clear();
	publication.output.finish = finish;
	let others = others(&publication.executor);
	assert_ok!(publish(publication));
	settle(id, &others[..usize::from(verifiers)]);
	assert_eq!(receipt(id).answer.expect("an answer").finish, finish);
	id
}

#[test]
fn an_answer_for_which_the_model_did_not_run_costs_nothing() {
	use Failure::*;
	for failure in [PromptTooLong, Template, NoTokens, NotGenerative, PartLeftOut, Grammar] {
		TestExt::providers(4).build_and_execute(|| {
			let id = settled(2, FinishReason::Failed(failure), vec![]);
			let receipt = receipt(id);
			assert_eq!((receipt.verdict, receipt.fee), (Verdict::Confirmed, 0));
			let answer = receipt.answer.expect("an answer");
			assert_eq!((answer.input_tokens, answer.output_tokens), (0, 0));
			let deposit = pallet_payments::Escrows::<Test>::get(id).expect("a deposit").deposit;
			assert_eq!(balance(&requester()), FUNDS - deposit);
		});
	}
}

#[test]
fn a_prompt_that_the_model_read_is_paid_also_without_an_answer() {
	TestExt::providers(4).build_and_execute(|| {
		let numbers = settled(1, FinishReason::Failed(Failure::NonFinite), vec![]);
		let answer = receipt(numbers).answer.expect("an answer");
		assert_eq!((answer.input_tokens, answer.output_tokens), (12, 0));
		assert_ne!(receipt(numbers).fee, 0);
		let ended = settled(1, FinishReason::Eos, vec![2]);
		assert!(receipt(ended).fee > receipt(numbers).fee, "one token more");
	});
}

#[test]
fn a_grammar_that_ends_after_tokens_is_paid_like_an_answer() {
	TestExt::providers(4).build_and_execute(|| {
		let refused = settled(1, FinishReason::Failed(Failure::Grammar), vec![]);
		assert_eq!(receipt(refused).fee, 0);
		let ended = settled(1, FinishReason::Failed(Failure::Grammar), vec![5, 6]);
		let answered = settled(1, FinishReason::Eos, vec![5, 6]);
		let paid = |id| {
			receipt(id)
				.answer
				.map(|answer| (answer.input_tokens, answer.output_tokens))
		};
		assert_eq!(
			(paid(ended), receipt(ended).fee),
			(paid(answered), receipt(answered).fee)
		);
		assert_ne!(
			receipt(ended).fee,
			0,
			"or whoever streams a draft would read it for nothing"
		);
	});
}

#[test]
fn a_check_of_a_refusal_is_worth_one_token() {
	TestExt::providers(4).build_and_execute(|| {
		let id = drawn(2);
		let mut refused = publication(id);
		refused.output.tokens.clear();
		refused.output.finish = FinishReason::Failed(Failure::Template);
		let claim = refused.claim;
		assert_ok!(publish(refused));
		assert_eq!(OpenClaims::get(claim).expect("a claim").seat_fee, 10);
	});
}

#[test]
fn more_prompt_tokens_than_quoted_are_not_paid() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(0);
		let mut greedy = publication(id);
		greedy.output.input_tokens = u32::MAX;
		assert_ok!(publish(greedy));
		end_claim(id, State::Settled, Verdict::Unchecked);
		assert_eq!(receipt(id).answer.expect("an answer").input_tokens, 18 + 16);
	});
}

#[test]
fn the_longest_text_follows_from_the_tokens_that_were_asked_for() {
	for (max_tokens, bytes) in [(1, 1_024), (64, 1_024), (65, 65 * 16), (4_096, 65_536)] {
		TestExt::providers(1).build_and_execute(|| {
			let request = Jobs::request(
				RawOrigin::Signed(requester()).into(),
				LONG_CONTEXT.into(),
				input(),
				SamplingParams::greedy(max_tokens).into(),
				0,
				FUNDS,
			);
			assert_ok!(request);
			next_block();
			next_block();
			let id = OpenJobs::iter_keys().next().expect("a job");
			let mut long = publication(id);
			long.output.tokens.truncate(1);
			long.output.text = vec![b'a'; bytes + 1];
			assert_noop!(publish(long.clone()), Error::<Test>::OutputTooLong);
			long.output.text.pop();
			assert_ok!(publish(long));
			let held = pallet_payments::Escrows::<Test>::get(id).expect("a deposit").deposit;
			let stored = Outputs::<Test>::get(id).expect("an output");
			assert!(
				held >= Params::get().deposit_base + stored.text.len() as u128,
				"the deposit covers it"
			);
		});
	}
}

#[test]
fn a_refusal_may_name_what_it_refuses() {
	TestExt::providers(1).build_and_execute(|| {
		let id = drawn(0);
		let mut refused = publication(id);
		refused.output.tokens.clear();
		refused.output.text = vec![b'a'; 256];
		refused.output.finish = FinishReason::Failed(Failure::PartLeftOut);
		assert_ok!(publish(refused));
		let stored = Outputs::<Test>::get(id).expect("an output");
		assert_eq!((stored.text.len(), stored.finish.model_ran()), (256, false));
	});
}
