//! The training text: topics, each with one answer and many ways to ask for it.
//!
//! The files in `corpus/` are written by people. A topic is a block:
//!
//! ```text
//! [receipt]
//! = A receipt is the stored outcome of a job.
//! term: a receipt
//! plural: receipts
//! - what do i get when a job is done?
//! * what proof do i keep of an answer?
//! ```
//!
//! `=` is the answer, `-` a question for training, `*` a held-out question to judge the model by. A `term` or `plural`
//! is also asked about in the forms of [`crate::variants::phrasings`]. A topic named `unknown …` collects questions to
//! which the model shall answer that it does not know. Lines that start with `#` are comments.

use anyhow::{bail, ensure, Context, Result};
use std::collections::HashMap;

/// What a topic may ask about, as a noun phrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
	/// The phrase, article included.
	pub text: String,
	/// Whether it takes "are" rather than "is".
	pub plural: bool,
}

/// One answer and the questions it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Topic {
	/// Name of the topic; `unknown …` for questions without an answer.
	pub name: String,
	/// The expected answer.
	pub answer: String,
	/// Phrases that are asked about.
	pub terms: Vec<Term>,
	/// Questions for training.
	pub questions: Vec<String>,
	/// Questions that are left out of training and judge the model.
	pub held_out: Vec<String>,
}

impl Topic {
	/// Returns whether the answer is that the model does not know.
	pub fn is_unknown(&self) -> bool {
		self.name.starts_with("unknown")
	}
}

/// Names and contents of the files of the corpus.
const FILES: &[(&str, &str)] = &[
	("about.txt", include_str!("../corpus/about.txt")),
	("jobs.txt", include_str!("../corpus/jobs.txt")),
	("votes.txt", include_str!("../corpus/votes.txt")),
	("money.txt", include_str!("../corpus/money.txt")),
	("models.txt", include_str!("../corpus/models.txt")),
	("smalltalk.txt", include_str!("../corpus/smalltalk.txt")),
	("unknown.txt", include_str!("../corpus/unknown.txt")),
];

/// Reads the corpus that is built into this program.
pub fn load() -> Result<Vec<Topic>> {
	let mut topics = Vec::new();
	for (name, text) in FILES {
		topics.extend(parse(text).with_context(|| format!("corpus/{name}"))?);
	}
	check(&topics)?;
	Ok(topics)
}

/// Reads the topics of one file.
pub fn parse(text: &str) -> Result<Vec<Topic>> {
	let mut topics: Vec<Topic> = Vec::new();
	for (index, line) in text.lines().enumerate() {
		let (number, line) = (index + 1, line.trim());
		if line.is_empty() || line.starts_with('#') {
			continue;
		}
		if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
			topics.push(Topic {
				name: name.into(),
				..Topic::default()
			});
			continue;
		}
		let Some(topic) = topics.last_mut() else {
			bail!("line {number} is before the first [topic]")
		};
		let terms = |rest: &str, plural| -> Vec<Term> {
			rest.split('|')
				.map(|t| Term {
					text: t.trim().into(),
					plural,
				})
				.collect()
		};
		if let Some(rest) = line.strip_prefix("= ") {
			ensure!(
				topic.answer.is_empty(),
				"line {number}: topic {} already has an answer",
				topic.name
			);
			topic.answer = rest.into();
		} else if let Some(rest) = line.strip_prefix("- ") {
			topic.questions.push(rest.into());
		} else if let Some(rest) = line.strip_prefix("* ") {
			topic.held_out.push(rest.into());
		} else if let Some(rest) = line.strip_prefix("term: ") {
			topic.terms.extend(terms(rest, false));
		} else if let Some(rest) = line.strip_prefix("plural: ") {
			topic.terms.extend(terms(rest, true));
		} else {
			bail!("line {number}: a line starts with =, -, *, term:, plural:, # or [topic]: {line}");
		}
	}
	Ok(topics)
}

/// Returns a question without casing, punctuation and doubled spaces.
pub fn normalize(question: &str) -> String {
	let words: String = question
		.chars()
		.map(|c| if c.is_alphanumeric() { c } else { ' ' })
		.collect();
	words.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns all questions of a topic in training, before casing and filler words.
pub fn all_questions(topic: &Topic) -> impl Iterator<Item = String> + '_ {
	let phrased = topic.terms.iter().flat_map(crate::variants::phrasings);
	topic.questions.iter().cloned().chain(phrased)
}

/// Checks that the corpus has enough questions, short answers, and no question in both training and evaluation.
pub fn check(topics: &[Topic]) -> Result<()> {
	let mut asked: HashMap<String, &str> = HashMap::new();
	for topic in topics {
		let name = &topic.name;
		ensure!(!topic.answer.is_empty(), "topic {name} has no answer");
		ensure!(
			topic.answer.split_whitespace().count() <= 60,
			"the answer of topic {name} is longer than 60 words"
		);
		ensure!(!topic.held_out.is_empty(), "topic {name} has no held-out question");
		let ways = all_questions(topic)
			.map(|q| normalize(&q))
			.collect::<std::collections::HashSet<_>>();
		ensure!(ways.len() >= 12, "topic {name} is asked in only {} ways", ways.len());
		for way in ways {
			if let Some(other) = asked.insert(way.clone(), name) {
				bail!("topics {other} and {name} share the question \"{way}\"");
			}
		}
	}
	for topic in topics {
		for question in &topic.held_out {
			if let Some(other) = asked.insert(normalize(question), "the held-out questions") {
				bail!(
					"the held-out question \"{question}\" of topic {} also belongs to {other}",
					topic.name
				);
			}
		}
	}
	Ok(())
}

#[cfg(test)]
mod tests {
	use super::*;

	fn topic(lines: &str) -> String {
		let many: String = (0..12).map(|i| format!("- way {i}\n")).collect();
		format!("[t]\n= Answer.\n{many}* kept back\n{lines}")
	}

	#[test]
	fn the_corpus_is_valid_and_large_enough() {
		let topics = load().unwrap();
		let known = topics.iter().filter(|t| !t.is_unknown());
		assert!(known.clone().count() >= 60, "{} topics", known.count());
		let unknown: Vec<_> = topics.iter().filter(|t| t.is_unknown()).collect();
		let asked: usize = unknown.iter().map(|t| t.questions.len() + t.terms.len()).sum();
		let held_out: usize = unknown.iter().map(|t| t.held_out.len()).sum();
		assert!(
			asked >= 400 && held_out >= 60,
			"{asked} unknown questions, {held_out} held out"
		);
	}

	#[test]
	fn a_question_of_training_cannot_be_held_out_in_any_casing() {
		let error = check(&parse(&topic("* WAY 3!")).unwrap()).unwrap_err().to_string();
		assert!(error.contains("held-out question"), "{error}");
	}

	#[test]
	fn two_topics_cannot_share_a_question() {
		let text = topic("") + &topic("").replace("[t]", "[u]").replace("way 1\n", "Way 1?\n");
		let error = check(&parse(&text).unwrap()).unwrap_err().to_string();
		assert!(error.contains("share the question"), "{error}");
	}

	#[test]
	fn a_long_answer_or_too_few_ways_to_ask_are_refused() {
		let long = topic("").replace("Answer.", &"word ".repeat(61));
		assert!(check(&parse(&long).unwrap())
			.unwrap_err()
			.to_string()
			.contains("60 words"));
		let few = "[t]\n= Answer.\n- one way\n* kept back\n";
		assert!(check(&parse(few).unwrap())
			.unwrap_err()
			.to_string()
			.contains("only 1 ways"));
	}

	#[test]
	fn an_unexpected_line_is_named_by_its_number() {
		assert!(parse("[t]\n= A.\nwhat?").unwrap_err().to_string().contains("line 3"));
		assert!(parse("- too early").unwrap_err().to_string().contains("line 1"));
	}
}
