//! Scores a model by its greedy answers to held-out questions.

use crate::{
	corpus::Topic,
	llama::Llama,
	training::{exact_matches, Example},
	variants,
	vocabulary::Vocabulary,
};
use anyhow::Result;
use candle_core::{Device, Tensor, D};
use std::fmt;

/// Number of right answers to one kind of question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
	/// Questions answered right.
	pub right: usize,
	/// Questions asked.
	pub asked: usize,
}

impl Score {
	/// Counts one question.
	pub fn count(&mut self, right: bool) {
		self.asked += 1;
		self.right += usize::from(right);
	}
}

impl fmt::Display for Score {
	fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
		let per_cent = 100.0 * self.right as f64 / self.asked.max(1) as f64;
		write!(f, "{} of {} ({per_cent:.1} %)", self.right, self.asked)
	}
}

/// Scores over all held-out questions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scores {
	/// Questions about Assay that got their topic's answer, word for word.
	pub known: Score,
	/// Other questions that were answered with any form of "I don't know".
	pub unknown: Score,
}

/// Returns whether `answer` is right for a question of `topic`: word for word its answer, or for an unknown topic the
/// answer of any unknown topic.
pub fn is_right(topics: &[Topic], topic: &Topic, answer: &str) -> bool {
	let answer = answer.trim();
	if topic.is_unknown() {
		topics.iter().any(|t| t.is_unknown() && t.answer == answer)
	} else {
		topic.answer == answer
	}
}

/// Returns every held-out question with its topic, as it is in the corpus and with proper capitals.
pub fn held_out(topics: &[Topic]) -> impl Iterator<Item = (&Topic, String)> {
	topics.iter().flat_map(|topic| {
		let both = |question: &String| [question.clone(), variants::proper(question)];
		topic
			.held_out
			.iter()
			.flat_map(both)
			.map(move |question| (topic, question))
	})
}

/// Judges a model in training. Returns the scores, and the perplexity of the right answers to known questions.
pub fn judge(model: &Llama, vocabulary: &Vocabulary, topics: &[Topic]) -> Result<(Scores, f64)> {
	let mut scores = Scores::default();
	let (mut nll, mut tokens) = (0.0, 0);
	for (topic, question) in held_out(topics) {
		let accepted: Vec<&Topic> = if topic.is_unknown() {
			topics.iter().filter(|t| t.is_unknown()).collect()
		} else {
			vec![topic]
		};
		let batch = accepted
			.iter()
			.map(|t| Example::new(vocabulary, &question, &t.answer))
			.collect::<Result<Vec<_>>>()?;
		let matches = exact_matches(model, &batch)?;
		let right = matches.iter().any(|(right, _)| *right);
		if topic.is_unknown() {
			scores.unknown.count(right);
		} else {
			scores.known.count(right);
			nll += matches.iter().map(|(_, nll)| nll).sum::<f64>();
			tokens += batch.iter().map(|e| e.tokens.len() - e.answer_at).sum::<usize>();
		}
	}
	Ok((scores, (nll / f64::from(tokens.max(1) as u32)).exp()))
}

/// Generates the model's greedy answer to a question, of at most `max_tokens` tokens.
pub fn generate(model: &Llama, vocabulary: &Vocabulary, question: &str, max_tokens: usize) -> Result<String> {
	let mut tokens = vocabulary.prompt(question)?;
	let start = tokens.len();
	while tokens.len() < (start + max_tokens).min(model.config().context) {
		let input = Tensor::new(tokens.as_slice(), &Device::Cpu)?.unsqueeze(0)?;
		let last = model.hidden_states(&input)?.narrow(0, tokens.len() - 1, 1)?;
		let next = model.logits(&last)?.argmax(D::Minus1)?.to_vec1::<u32>()?[0];
		if next == vocabulary.end {
			break;
		}
		tokens.push(next);
	}
	vocabulary.text(&tokens[start..])
}

#[cfg(test)]
mod tests {
	use super::*;

	fn topics() -> Vec<Topic> {
		let text = "[t]\n= Yes.\n* q\n[unknown a]\n= I don't know.\n* r\n[unknown b]\n= I can't.\n* s";
		crate::corpus::parse(text).unwrap()
	}

	#[test]
	fn a_known_question_needs_its_own_answer() {
		let topics = topics();
		assert!(is_right(&topics, &topics[0], " Yes.\n"));
		assert!(!is_right(&topics, &topics[0], "I don't know."));
	}

	#[test]
	fn any_form_of_not_knowing_is_right_for_an_unknown_question() {
		let topics = topics();
		assert!(is_right(&topics, &topics[1], "I can't."));
		assert!(!is_right(&topics, &topics[1], "Yes."));
	}

	#[test]
	fn exact_matches_agree_with_generated_answers() {
		let topics = topics();
		let texts: Vec<String> = topics.iter().map(|t| t.answer.clone()).collect();
		let vocabulary = Vocabulary::learn(&texts, 280).unwrap();
		let config = crate::llama::LlamaConfig {
			vocab: vocabulary.size(),
			..crate::llama::tests::TINY
		};
		let model = Llama::new(config, 5).unwrap();
		let batch = ["q", "Q"].map(|question| Example::new(&vocabulary, question, "Yes.").unwrap());
		let mut trainer = crate::training::Trainer::new(&model, 1e-2, 80).unwrap();
		for _ in 0..80 {
			trainer.step(&model, &batch).unwrap();
		}
		assert_eq!(generate(&model, &vocabulary, "q", 20).unwrap(), "Yes.");
		let (scores, perplexity) = judge(&model, &vocabulary, &topics).unwrap();
		assert_eq!(scores.known, Score { right: 2, asked: 2 });
		assert!(perplexity < 1.1, "{perplexity}");
	}
}
