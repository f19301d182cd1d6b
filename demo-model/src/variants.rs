//! How people write: phrasings of a term, and the casing, punctuation, filler words and slips of a typed question.

use crate::corpus::{Term, Topic};
use rand::{rngs::StdRng, seq::SliceRandom, Rng};

/// Ways to ask about a noun phrase; `{}` is the phrase, `{is}` and `{does}` agree with it.
const PHRASINGS: &[&str] = &[
	"what {is} {}?",
	"what {is} {} exactly?",
	"so what {is} {}?",
	"explain {}",
	"can you explain {}?",
	"please explain what {} {is}",
	"tell me about {}",
	"what {does} {} mean?",
	"what do you mean by {}?",
	"define {}",
	"describe {}",
	"i don't understand {}",
	"{}?",
	"do you know what {} {is}?",
	"in simple words, what {is} {}?",
	"give me a short explanation of {}",
];

const OPENINGS: &[&str] = &[
	"hey, ",
	"hi, ",
	"ok, ",
	"please, ",
	"well, ",
	"sorry, ",
	"hello! ",
	"quick question: ",
	"and ",
];

/// Every phrasing of a term.
pub fn phrasings(term: &Term) -> impl Iterator<Item = String> + '_ {
	let (is, does) = if term.plural { ("are", "do") } else { ("is", "does") };
	PHRASINGS
		.iter()
		.map(move |p| p.replace("{is}", is).replace("{does}", does).replace("{}", &term.text))
}

/// The questions of a topic for one pass over the corpus: all written ones, and a few phrasings of each term.
pub fn questions(topic: &Topic, rng: &mut StdRng) -> Vec<String> {
	let per_term = if topic.is_unknown() { 1 } else { 3 };
	let mut asked = topic.questions.clone();
	for term in &topic.terms {
		let ways: Vec<String> = phrasings(term).collect();
		asked.extend(ways.choose_multiple(rng, per_term).cloned());
	}
	asked
}

/// A question as somebody might type it.
pub fn typed(question: &str, rng: &mut StdRng) -> String {
	let mut text = question.to_string();
	if rng.gen_bool(0.25) {
		text = slip(&text, rng);
	}
	if rng.gen_bool(0.12) {
		text = format!("{}{text}", OPENINGS.choose(rng).copied().unwrap_or_default());
	}
	if rng.gen_bool(0.35) {
		text = text.trim_end_matches(['?', '.', '!']).to_string();
	} else if rng.gen_bool(0.2) && !text.ends_with(['?', '.', '!']) {
		text.push(if rng.gen_bool(0.7) { '?' } else { '.' });
	}
	match rng.gen_range(0..100) {
		0..=39 => text.to_lowercase(),
		40..=84 => capitalised(&text),
		85..=87 => text.to_uppercase(),
		_ => text,
	}
}

fn capitalised(text: &str) -> String {
	let mut chars = text.chars();
	chars
		.next()
		.map(|c| c.to_uppercase().chain(chars).collect())
		.unwrap_or_default()
}

/// One slip of the fingers: a word left out, two letters swapped, or a letter lost.
fn slip(text: &str, rng: &mut StdRng) -> String {
	let mut words: Vec<Vec<char>> = text.split(' ').map(|w| w.chars().collect()).collect();
	let at = rng.gen_range(0..words.len());
	if words.len() >= 5 && rng.gen_bool(0.4) {
		words.remove(at);
	} else if let Some(word) = words.get_mut(at).filter(|w| w.len() >= 5) {
		let letter = rng.gen_range(1..word.len() - 2);
		if rng.gen_bool(0.5) {
			word.swap(letter, letter + 1);
		} else {
			word.remove(letter);
		}
	}
	words
		.iter()
		.map(|w| w.iter().collect::<String>())
		.collect::<Vec<_>>()
		.join(" ")
}

#[cfg(test)]
mod tests {
	use super::*;
	use rand::SeedableRng;

	#[test]
	fn phrasings_agree_with_the_number_of_their_noun() {
		let one: Vec<_> = phrasings(&Term {
			text: "a bond".into(),
			plural: false,
		})
		.collect();
		assert!(one.contains(&"what is a bond?".into()) && one.contains(&"what does a bond mean?".into()));
		let many: Vec<_> = phrasings(&Term {
			text: "bonds".into(),
			plural: true,
		})
		.collect();
		assert!(many.contains(&"what are bonds?".into()) && many.contains(&"what do bonds mean?".into()));
		assert!(one.iter().chain(&many).all(|q| !q.contains('{')));
	}

	#[test]
	fn the_same_seed_types_the_same_question() {
		let type_all = |seed| {
			let mut rng = StdRng::seed_from_u64(seed);
			(0..50)
				.map(|_| typed("what is a receipt good for?", &mut rng))
				.collect::<Vec<_>>()
		};
		assert_eq!(type_all(1), type_all(1));
		assert_ne!(type_all(1), type_all(2));
	}

	#[test]
	fn short_and_foreign_questions_survive_every_slip() {
		let mut rng = StdRng::seed_from_u64(3);
		for question in ["a", "¿qué?", "überhaupt nicht", "x y z w v"] {
			(0..200).for_each(|_| assert!(!typed(question, &mut rng).trim().is_empty()));
		}
	}
}
