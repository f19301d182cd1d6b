//! Drafts grow, are reported again, contradict themselves and are too many.

use super::*;
use assay_primitives::FinishReason;

fn id(n: usize) -> WorkId {
	let mut id = [0; 32];
	id[..8].copy_from_slice(&(n as u64).to_le_bytes());
	WorkId(id)
}

fn tokens(words: &[&str]) -> Vec<StreamToken> {
	let token = |(i, word): (usize, &&str)| StreamToken {
		id: i as u32,
		text: (*word).into(),
	};
	words.iter().enumerate().map(token).collect()
}

fn output(words: &[&str]) -> Output {
	Output {
		input_tokens: 1,
		tokens: (0..words.len() as u32).collect::<Vec<_>>().try_into().unwrap(),
		text: words.concat().into_bytes().try_into().unwrap(),
		finish: FinishReason::Eos,
	}
}

fn begun(max_tokens: u32) -> (Streams, watch::Receiver<Draft>) {
	let streams = Streams::default();
	streams.begin(&id(1), &SamplingParams::greedy(max_tokens));
	let draft = streams.draft(&id(1)).unwrap();
	(streams, draft)
}

fn has(draft: &watch::Receiver<Draft>, words: &[&str], state: DraftState) {
	let draft = draft.borrow();
	assert_eq!((draft.tokens.as_slice(), draft.state), (&tokens(words)[..], state));
}

const WORDS: [&str; 4] = ["A ", "receipt ", "", "is"];

#[test]
fn a_draft_grows_and_its_answer_completes_it() {
	let (streams, mut draft) = begun(4);
	let all = tokens(&WORDS);
	streams.progress(&id(1), 0, all[..1].to_vec());
	assert!(draft.has_changed().unwrap());
	has(&draft, &WORDS[..1], DraftState::Growing);
	streams.progress(&id(1), 1, all[1..].to_vec());
	streams.complete(&id(1), &output(&WORDS));
	has(&draft, &WORDS, DraftState::Complete);
	draft.mark_unchanged();
	streams.progress(&id(1), 4, tokens(&["late"]));
	streams.give_up(&id(1));
	assert!(!draft.has_changed().unwrap(), "what is complete stays as it is");
}

#[test]
fn tokens_that_were_never_reported_are_left_to_the_publication() {
	let (streams, draft) = begun(4);
	streams.progress(&id(1), 0, tokens(&WORDS[..1]));
	streams.complete(&id(1), &output(&WORDS));
	has(&draft, &WORDS[..1], DraftState::Complete);
}

#[test]
fn text_that_was_held_back_to_the_end_is_no_contradiction() {
	let (streams, draft) = begun(4);
	streams.progress(&id(1), 0, tokens(&["A", ""]));
	streams.complete(&id(1), &output(&["A", " stop that was none"]));
	has(&draft, &["A", ""], DraftState::Complete);
}

#[test]
fn an_engine_that_begins_anew_repeats_and_then_goes_on() {
	let (streams, mut draft) = begun(4);
	let all = tokens(&WORDS);
	streams.progress(&id(1), 0, all[..2].to_vec());
	streams.begin(&id(1), &SamplingParams::greedy(4));
	draft.mark_unchanged();
	streams.progress(&id(1), 0, all[..1].to_vec());
	assert!(!draft.has_changed().unwrap(), "nothing new, so nobody is woken");
	has(&draft, &WORDS[..2], DraftState::Growing);
	streams.progress(&id(1), 1, all[1..3].to_vec());
	has(&draft, &WORDS[..3], DraftState::Growing);
}

#[test]
fn what_contradicts_the_stream_ends_it_and_changes_nothing() {
	let report = |first, words: &[&str]| {
		let (streams, draft) = begun(3);
		streams.progress(&id(1), 0, tokens(&WORDS[..2]));
		streams.begin(&id(1), &SamplingParams::greedy(3));
		streams.progress(&id(1), first, tokens(words));
		has(&draft, &WORDS[..2], DraftState::Failed);
		// Nothing brings it back.
		streams.progress(&id(1), 2, tokens(&WORDS[2..]));
		streams.complete(&id(1), &output(&WORDS));
		has(&draft, &WORDS[..2], DraftState::Failed);
	};
	report(0, &["An ", "receipt "]);
	report(0, &["A ", "receipt"]);
	report(1, &["A "]);
	report(2, &["A "]);
	report(u32::MAX, &["A "]);
}

#[test]
fn another_answer_than_the_streamed_one_ends_the_stream() {
	for words in [&["A ", "recipe"][..], &["A "][..], &[][..]] {
		let (streams, draft) = begun(4);
		streams.progress(&id(1), 0, tokens(&WORDS[..2]));
		streams.complete(&id(1), &output(words));
		has(&draft, &WORDS[..2], DraftState::Failed);
	}
}

#[test]
fn a_draft_never_outgrows_the_answer_it_becomes() {
	let (streams, draft) = begun(3);
	streams.progress(&id(1), 0, tokens(&WORDS));
	has(&draft, &WORDS[..3], DraftState::Failed);
	let (streams, draft) = begun(4_096);
	let half = "x".repeat(MAX_OUTPUT_BYTES as usize / 2);
	streams.progress(&id(1), 0, tokens(&[&half, &half, "y"]));
	has(&draft, &[&half, &half], DraftState::Failed);
}

#[test]
fn work_that_is_given_up_ends_its_stream() {
	let (streams, draft) = begun(4);
	streams.progress(&id(1), 0, tokens(&WORDS[..1]));
	streams.give_up(&id(1));
	streams.give_up(&id(2));
	has(&draft, &WORDS[..1], DraftState::Failed);
}

#[test]
fn of_too_many_drafts_the_oldest_that_ended_go_first() {
	let streams = Streams::default();
	let mut began = streams.begun();
	for n in 0..MAX_DRAFTS {
		streams.begin(&id(n), &SamplingParams::greedy(4));
	}
	assert!(began.has_changed().unwrap());
	began.mark_unchanged();
	streams.complete(&id(7), &output(&WORDS));
	streams.give_up(&id(9));
	let reader = streams.draft(&id(7)).unwrap();
	for (new, gone) in [(1_000, 7), (1_001, 9), (1_002, 0), (1_003, 1)] {
		assert!(streams.draft(&id(gone)).is_some());
		streams.begin(&id(new), &SamplingParams::greedy(4));
		assert!(streams.draft(&id(gone)).is_none() && streams.draft(&id(new)).is_some());
		assert_eq!(streams.drafts.lock().by_work.len(), MAX_DRAFTS);
	}
	assert_eq!(reader.borrow().state, DraftState::Complete, "its readers still have it");
	assert!(reader.has_changed().is_err(), "and learn that no more comes");
	assert!(began.has_changed().unwrap());
}

#[test]
fn progress_of_work_that_has_no_draft_is_ignored() {
	let streams = Streams::default();
	streams.progress(&id(1), 0, tokens(&WORDS));
	streams.complete(&id(1), &output(&WORDS));
	assert!(streams.draft(&id(1)).is_none());
}
