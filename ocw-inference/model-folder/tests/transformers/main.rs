//! Prompts and tokens are those of transformers: what its own code made of the same conversations is recorded here
//! (`oracle.py`), for templates that use every construct and for published ones, which are fetched.

// Also in helpers of tests, where a panic is a failed test.
#![allow(clippy::unwrap_used)]

use assay_model_folder::{
	template::{with_special_tokens, Chat, SpecialTokens, Template},
	tokenizer::Tokenizer,
};
use serde_json::Value;
use std::{
	collections::{BTreeMap, HashMap},
	fs,
	path::{Path, PathBuf},
	process::Command,
};

/// The vocabularies that are compared, each of another kind.
const TOKENIZERS: [&str; 3] = ["llama2", "llama3_1", "qwen3"];

/// Published templates, by the first digits of their hash, of which some conversation is refused here and not there, and why.
const REFUSED: [(&str, &str); 0] = [];

fn conversations() -> Vec<(String, Chat)> {
	// In the order of the file, which is the order of the records.
	let text = include_str!("conversations.json");
	let parsed: BTreeMap<String, Chat> = serde_json::from_str(text).unwrap();
	let mut all: Vec<_> = parsed.into_iter().collect();
	all.sort_by_key(|(name, _)| text.find(&format!("\n  \"{name}\":")).unwrap());
	all
}

fn recorded() -> HashMap<&'static str, Vec<&'static str>> {
	let lines = include_str!("recorded.txt").lines();
	let mut words = lines.map(|line| line.split(' '));
	std::iter::from_fn(|| {
		let mut line = words.next()?;
		Some((line.next()?, line.collect()))
	})
	.collect()
}

fn constructs() -> BTreeMap<String, String> {
	serde_json::from_str(include_str!("constructs.json")).unwrap()
}

fn short(bytes: &[u8]) -> String {
	blake3::hash(bytes).to_hex()[..16].to_owned()
}

fn special<'a>(named: impl IntoIterator<Item = (&'a str, &'a str)>) -> SpecialTokens {
	let mut special = SpecialTokens::default();
	for (name, written) in named {
		special.set(name, written);
	}
	special
}

/// Returns how many prompts are the recorded ones, and says of each other what it is.
fn compare(
	name: &str,
	source: &str,
	special: &SpecialTokens,
	expected: &[&str],
	finish: impl Fn(String) -> Result<Vec<u8>, String>,
) -> (usize, Vec<String>) {
	let template = with_special_tokens(source.as_bytes(), special).and_then(|source| Template::parse(&source));
	let conversations = conversations();
	assert_eq!(conversations.len(), expected.len(), "{name}");
	let (mut same, mut others) = (0, Vec::new());
	for ((conversation, chat), expected) in conversations.iter().zip(expected) {
		let ours = match &template {
			Ok(template) => template.render_chat(chat).map_err(|e| e.to_string()).and_then(&finish),
			Err(e) => Err(e.to_string()),
		};
		match ours {
			Ok(bytes) if short(&bytes) == *expected => same += 1,
			Err(_) if *expected == "-" => same += 1,
			Ok(bytes) => others.push(format!("{name}, {conversation}: {:?}", String::from_utf8_lossy(&bytes))),
			Err(e) => others.push(format!("{name}, {conversation}: {e}")),
		}
	}
	(same, others)
}

/// Returns the directory of the published templates and tokenizers, fetched if it isn't here; none without a network.
fn published() -> Option<PathBuf> {
	let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/templates.sh");
	let output = Command::new("bash").arg(script).output().unwrap();
	if !output.status.success() {
		eprintln!(
			"\n*** NOT TESTED: published chat templates could not be fetched: {}\n",
			String::from_utf8_lossy(&output.stderr).trim()
		);
		return None;
	}
	Some(String::from_utf8(output.stdout).unwrap().trim().into())
}

#[test]
fn every_construct_renders_as_transformers_renders_it() {
	let (recorded, special) = (recorded(), special([("bos_token", "<s>"), ("eos_token", "</s>")]));
	for (name, source) in constructs() {
		let expected = &recorded[short(source.as_bytes()).as_str()];
		let (_, others) = compare(&name, &source, &special, expected, |prompt| Ok(prompt.into_bytes()));
		assert!(others.is_empty(), "{others:#?}");
	}
}

#[test]
fn published_templates_render_as_transformers_renders_them() {
	let Some(directory) = published() else { return };
	let templates: Vec<(String, String)> =
		serde_json::from_slice(&fs::read(directory.join("templates.json")).unwrap()).unwrap();
	let (recorded, special) = (recorded(), special([("bos_token", "<s>"), ("eos_token", "</s>")]));
	let (mut same, mut others) = (0, Vec::new());
	for (name, source) in &templates {
		let hash = short(source.as_bytes());
		let (right, wrong) = compare(name, source, &special, &recorded[hash.as_str()], |prompt| {
			Ok(prompt.into_bytes())
		});
		same += right;
		let known = REFUSED.iter().find(|(known, _)| *known == hash);
		others.extend(
			wrong
				.into_iter()
				.filter(|what| !known.is_some_and(|(_, why)| what.ends_with(why))),
		);
	}
	assert!(others.is_empty(), "{others:#?}");
	assert!(
		templates.len() >= 90 && same >= 12 * templates.len(),
		"{same} prompts of {}",
		templates.len()
	);
}

#[test]
fn published_tokenizers_make_the_tokens_that_transformers_makes() {
	let Some(directory) = published() else { return };
	let (recorded, constructs) = (recorded(), constructs());
	for name in TOKENIZERS {
		let read = |file: &str| fs::read(directory.join(name).join(file)).unwrap();
		let tokenizer = Tokenizer::parse(&read("tokenizer.json")).unwrap();
		let config: Value = serde_json::from_slice(&read("tokenizer_config.json")).unwrap();
		let named = config.as_object().unwrap().iter();
		let named =
			named.filter_map(|(key, value)| Some((key.as_str(), value.as_str().filter(|_| key.ends_with("_token"))?)));
		let template = config["chat_template"].as_str().unwrap_or(&constructs["turns"]);
		let (same, others) = compare(name, template, &special(named), &recorded[name], |prompt| {
			let ids = tokenizer.encode(&prompt).map_err(|e| e.to_string())?;
			Ok(ids.iter().flat_map(|id| id.to_le_bytes()).collect())
		});
		assert!(others.is_empty(), "{others:#?}");
		assert_eq!(same, conversations().len());
	}
}
