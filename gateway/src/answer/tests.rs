//! Every way in which an answer can grow, be replaced and end, without time and network.

use super::{progress::Progress, *};
use assay_primitives::{Failure, UncheckedOutput, Verdict};

fn progress(wait: Wait) -> Progress {
	let assay = Assay {
		job: JobId([1; 32]),
		model: ModelId([2; 32]),
		receipt: String::new(),
		idempotency_key: "k".into(),
		draft: true,
		verdict: None,
		verifiers: 2,
		executor: None,
		attempt: 0,
		fee: None,
		fee_ceiling: "9".into(),
		contradiction: None,
		ignored: Vec::new(),
		adjusted: Vec::new(),
	};
	Progress::new(assay, Reading::default(), wait)
}

fn drawn(attempt: u8) -> JobEvent {
	JobEvent::Drawn {
		attempt,
		executor: "x".into(),
	}
}

fn text(text: &str) -> JobEvent {
	JobEvent::Text {
		tokens: 1,
		text: text.into(),
	}
}

fn published(text: &str) -> JobEvent {
	let output = UncheckedOutput {
		input_tokens: 1,
		tokens: vec![1],
		text: text.into(),
		finish: FinishReason::Eos,
	};
	JobEvent::Published {
		output: output.bounded().unwrap(),
	}
}

fn verdict(verdict: Verdict) -> JobEvent {
	JobEvent::Verdict { verdict, fee: 3 }
}

/// Plays events, and writes what a client gets.
fn play(mut progress: Progress, events: &[JobEvent]) -> String {
	let mut told = String::new();
	for event in events {
		progress.take(event);
		while let Some(step) = progress.pending.pop() {
			match step {
				Step::Reasoning(text) => told.push_str(&format!("({text})")),
				Step::Text(text) => told.push_str(&text),
				Step::Call(call) => told.push_str(&format!("[{}]", call.name)),
				Step::End(answer) => told.push_str(&format!("|{}|", answer.parts.content)),
				Step::Failed(error) => told.push_str(&format!("!{}", error.code)),
			}
		}
	}
	told
}

#[test]
fn every_split_of_a_draft_is_sent_once_and_whole() {
	let whole = "añb cdé";
	let cuts: Vec<_> = (0..=whole.len()).filter(|at| whole.is_char_boundary(*at)).collect();
	for first in &cuts {
		for second in cuts.iter().filter(|second| *second >= first) {
			let events = [
				drawn(1),
				text(&whole[..*first]),
				JobEvent::Replaced,
				drawn(2),
				text(&whole[..*second]),
				text(&whole[*second..]),
				published(whole),
				verdict(Verdict::Confirmed),
			];
			assert_eq!(play(progress(Wait::Verdict), &events), format!("{whole}|{whole}|"));
		}
	}
}

#[test]
fn what_was_sent_is_never_taken_back() {
	for (events, told) in [
		(vec![drawn(1), text("ab"), published("ac")], "ab!draft_contradicted"),
		(vec![drawn(1), text("ab"), published("a")], "ab!draft_contradicted"),
		(vec![drawn(1), text("ab"), published("")], "ab!draft_contradicted"),
		(
			vec![drawn(1), text("ab"), JobEvent::Replaced, drawn(2), text("b")],
			"ab!executor_replaced",
		),
		(
			vec![drawn(1), text("ab"), JobEvent::Replaced, drawn(2), published("a")],
			"ab!executor_replaced",
		),
		(
			vec![
				drawn(1),
				text("ab"),
				JobEvent::Replaced,
				drawn(2),
				text("a"),
				published("abc"),
			],
			"abc",
		),
	] {
		assert_eq!(play(progress(Wait::Verdict), &events), told);
	}
}

#[test]
fn an_answer_ends_when_its_client_wanted_it_to() {
	let events = [
		drawn(1),
		published("a"),
		verdict(Verdict::Confirmed),
		JobEvent::Finalized {
			verdict: Verdict::Confirmed,
			fee: 3,
		},
		JobEvent::Settled {
			verdict: Verdict::Confirmed,
			fee: 3,
		},
	];
	for (wait, count) in [
		(Wait::Draft, 2),
		(Wait::Verdict, 3),
		(Wait::Final, 4),
		(Wait::Settled, 5),
	] {
		assert_eq!(play(progress(wait), &events[..count - 1]).matches('|').count(), 0);
		assert_eq!(play(progress(wait), &events[..count]), "a|a|");
	}
}

#[test]
fn a_verdict_without_an_answer_is_a_fault_of_the_network() {
	assert_eq!(
		play(progress(Wait::Verdict), &[verdict(Verdict::Confirmed)]),
		"!internal_error"
	);
}

#[test]
fn a_refusal_is_an_error_only_when_it_is_confirmed() {
	let output = UncheckedOutput {
		input_tokens: 0,
		tokens: vec![],
		text: b"tools".to_vec(),
		finish: FinishReason::Failed(Failure::PartLeftOut),
	};
	let refused = JobEvent::Published {
		output: output.bounded().unwrap(),
	};
	let events = [drawn(1), refused.clone(), verdict(Verdict::Confirmed)];
	assert_eq!(play(progress(Wait::Verdict), &events[..2]), "");
	assert_eq!(play(progress(Wait::Verdict), &events), "!part_left_out");
	// An executor that lies about it is overturned.
	let events = [drawn(1), refused.clone(), verdict(Verdict::Overturned)];
	assert_eq!(play(progress(Wait::Verdict), &events), "!answer_overturned");
	// A model may fail in the middle of its answer.
	let events = [drawn(1), text("a"), refused, verdict(Verdict::Confirmed)];
	assert_eq!(play(progress(Wait::Verdict), &events), "a!part_left_out");
}
