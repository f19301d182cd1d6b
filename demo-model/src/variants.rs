//! Variants of a question: phrasings of a term, and the casing, punctuation, filler words and typos of a typed question.

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

/// Phrases and what may replace them.
const SYNONYMS: &[(&str, &[&str])] = &[
	(
		"how do i",
		&[
			"how can i",
			"how to",
			"how does one",
			"how would i",
			"what must i do to",
			"what is the way to",
		],
	),
	("how can i", &["how do i", "how could i", "how to"]),
	("what is", &["what's", "what exactly is", "tell me what is"]),
	("what are", &["what exactly are", "tell me what are"]),
	(
		"what happens to",
		&["what becomes of", "what will happen to", "what is done with"],
	),
	(
		"what happens if",
		&["what if", "what happens when", "what will happen if"],
	),
	("what if", &["what happens if", "what happens when", "suppose"]),
	("what does", &["tell me what does", "what exactly does"]),
	("can i", &["may i", "is it possible to", "am i able to", "could i"]),
	("can a", &["could a", "may a", "is it possible that a"]),
	("can somebody", &["could someone", "can anyone", "can someone"]),
	("why is", &["how come", "for what reason is", "tell me why is"]),
	("why do", &["for what reason do", "how come"]),
	("how many", &["what number of", "tell me how many"]),
	("how much", &["what amount", "tell me how much"]),
	("how long", &["how much time", "for how long"]),
	(
		"how is",
		&["in what way is", "by what rule is", "how exactly is", "tell me how is"],
	),
	("how are", &["in what way are", "how exactly are", "tell me how are"]),
	("how does", &["in what way does", "how exactly does"]),
	("who", &["which people", "tell me who"]),
	("which", &["what", "what kind of"]),
	("what", &["which"]),
	("when is", &["at what time is", "at what moment is", "tell me when is"]),
	("when do", &["at what time do", "in which cases do"]),
	("where", &["in which place", "tell me where"]),
	("role of", &["task of", "job of", "part of"]),
	("good for", &["used for", "useful for", "needed for"]),
	("is there", &["do you have", "does it have"]),
	("is needed", &["is required", "is necessary"]),
	("are needed", &["are required", "are necessary"]),
	("need", &["require"]),
	("drawn", &["chosen", "selected", "picked"]),
	("chosen", &["selected", "picked", "determined"]),
	("selected", &["chosen", "picked"]),
	("choose", &["select", "pick", "set"]),
	("answer", &["reply", "response", "output"]),
	("question", &["query", "prompt"]),
	("prompt", &["question", "input", "text"]),
	("money", &["funds", "tokens"]),
	("cost", &["price"]),
	("expensive", &["costly", "dear"]),
	("paid", &["rewarded", "given money"]),
	("get", &["receive", "obtain"]),
	("gets", &["receives", "obtains"]),
	("see", &["look at", "view", "find"]),
	("check", &["verify", "examine"]),
	("checked", &["verified", "examined"]),
	("checks", &["verifies", "examines"]),
	("computer", &["machine"]),
	("computers", &["machines"]),
	("lies", &["cheats", "is dishonest"]),
	("cheats", &["lies", "is dishonest"]),
	("punished", &["penalised", "dealt with"]),
	("made", &["created", "produced", "built"]),
	("used", &["taken", "employed"]),
	("big", &["large"]),
	("fast", &["quick"]),
	("members", &["people", "providers", "participants"]),
	("allowed", &["possible", "permitted"]),
	("add", &["put in", "submit", "publish"]),
	("remove", &["delete", "take back", "withdraw"]),
	("stored", &["kept", "saved"]),
	("find", &["look up", "locate"]),
	("begin", &["start"]),
	("explain", &["describe", "clarify"]),
	("fail", &["break", "go wrong"]),
	("fails", &["breaks", "goes wrong"]),
	("wrong", &["incorrect", "false"]),
	("different", &["distinct", "unlike"]),
	("mean", &["stand for", "signify"]),
];

/// Returns all phrasings of a term.
pub fn phrasings(term: &Term) -> impl Iterator<Item = String> + '_ {
	let (is, does) = if term.plural { ("are", "do") } else { ("is", "does") };
	PHRASINGS
		.iter()
		.map(move |p| p.replace("{is}", is).replace("{does}", does).replace("{}", &term.text))
}

/// Phrasings of each term in one pass.
const PER_TERM: usize = 2;

/// Returns the questions of a topic for one pass over the corpus: all in the corpus, and a few phrasings of each term.
pub fn questions(topic: &Topic, rng: &mut StdRng) -> Vec<String> {
	let mut asked = topic.questions.clone();
	for term in &topic.terms {
		let ways: Vec<String> = phrasings(term).collect();
		asked.extend(ways.choose_multiple(rng, PER_TERM).cloned());
	}
	asked
}

/// Returns a question as a person might type it.
pub fn typed(question: &str, rng: &mut StdRng) -> String {
	let mut text = question.to_string();
	for _ in 0..2 {
		if rng.gen_bool(0.45) {
			text = reworded(&text, rng);
		}
	}
	if rng.gen_bool(0.25) {
		text = typo(&text, rng);
	}
	if rng.gen_bool(0.12) {
		text = format!("{}{text}", OPENINGS.choose(rng).copied().unwrap_or_default());
	}
	if rng.gen_bool(0.35) {
		text = text.trim_end_matches(['?', '.', '!']).to_string();
	} else if rng.gen_bool(0.3) && !text.ends_with(['?', '.', '!']) {
		text.push(*['?', '?', '.', '!'].choose(rng).unwrap_or(&'?'));
	}
	match rng.gen_range(0..100) {
		0..=34 => text.to_lowercase(),
		35..=84 => proper(&text),
		85..=94 => capitalized(&text),
		95 => text.to_uppercase(),
		_ => text,
	}
}

/// Words that are written with capitals wherever they stand.
const PROPER: &[&str] = &[
	"I",
	"Assay",
	"ASY",
	"AI",
	"API",
	"GPU",
	"CLI",
	"GRANDPA",
	"BABE",
	"GGUF",
	"Substrate",
	"Polkadot",
	"Rust",
	"JavaScript",
	"Llama",
	"Bitcoin",
	"Ethereum",
	"Paris",
	"London",
];

/// Returns a question with proper capitals: of the first letter and of names.
pub fn proper(text: &str) -> String {
	let spelled = |word: &str| {
		let core = word.trim_matches(|c: char| !c.is_alphanumeric());
		match PROPER.iter().find(|p| p.eq_ignore_ascii_case(core)) {
			Some(name) => word.replacen(core, name, 1),
			None => word.to_string(),
		}
	};
	capitalized(&text.split(' ').map(spelled).collect::<Vec<_>>().join(" "))
}

/// Replaces one word or phrase by a synonym, if the table has one.
fn reworded(text: &str, rng: &mut StdRng) -> String {
	let padded = format!(" {text} ");
	let lower = padded.to_ascii_lowercase();
	let whole =
		|at: usize, end: usize| lower[..at].ends_with(' ') && lower[end..].starts_with([' ', '?', ',', '.', '!']);
	let found: Vec<(usize, usize, &[&str])> = SYNONYMS
		.iter()
		.filter_map(|(word, others)| {
			let mut places = lower.match_indices(word).map(|(at, _)| (at, at + word.len()));
			let (at, end) = places.find(|(at, end)| whole(*at, *end))?;
			Some((at, end, *others))
		})
		.collect();
	match found
		.choose(rng)
		.and_then(|(at, end, others)| Some((at, end, others.choose(rng)?)))
	{
		Some((at, end, other)) => format!("{}{other}{}", &padded[..*at], &padded[*end..])
			.trim()
			.to_string(),
		None => text.to_string(),
	}
}

fn capitalized(text: &str) -> String {
	let mut chars = text.chars();
	chars
		.next()
		.map(|c| c.to_uppercase().chain(chars).collect())
		.unwrap_or_default()
}

/// Makes one typing error: leaves out a word, swaps two letters or drops one.
fn typo(text: &str, rng: &mut StdRng) -> String {
	let mut words: Vec<Vec<char>> = text.split(' ').map(|w| w.chars().collect()).collect();
	let at = rng.gen_range(0..words.len());
	if words.len() >= 4 && rng.gen_bool(0.6) {
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
	fn whole_words_are_reworded_and_nothing_else() {
		let mut rng = StdRng::seed_from_u64(4);
		let results: Vec<_> = (0..60).map(|_| reworded("checkers check?", &mut rng)).collect();
		assert!(
			results
				.iter()
				.all(|q| ["checkers verify?", "checkers examine?"].contains(&q.as_str())),
			"{results:?}"
		);
		assert_eq!(reworded("nothing here", &mut rng), "nothing here");
	}

	#[test]
	fn only_names_and_first_letters_get_capitals() {
		assert_eq!(
			proper("what is assay, and what can i do?"),
			"What is Assay, and what can I do?"
		);
		assert_eq!(proper("is it a gpu?"), "Is it a GPU?");
		assert_eq!(proper("???"), "???");
	}

	#[test]
	fn short_and_foreign_questions_survive_every_typo() {
		let mut rng = StdRng::seed_from_u64(3);
		for question in ["a", "¿qué?", "überhaupt nicht", "x y z w v"] {
			(0..200).for_each(|_| assert!(!typed(question, &mut rng).trim().is_empty()));
		}
	}
}
