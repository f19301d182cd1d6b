//! Prompts and tokens are those of transformers: what its own code made of the same conversations is recorded here
//! (`oracle.py`), for templates that use every construct and for published ones, which are fetched.

// Also in helpers of tests, where a panic is a failed test.
#![allow(clippy::unwrap_used)]

use assay_model_folder::{
	template::{with_special_tokens, SpecialTokens, Template},
	tokenizer::Tokenizer,
	Error,
};
use assay_primitives::{chat::Chat, json::Json};
use serde_json::Value;
use std::{
	collections::{BTreeMap, HashMap},
	fs,
	path::{Path, PathBuf},
	process::Command,
};

/// The vocabularies that are compared, each of another kind.
const TOKENIZERS: [&str; 3] = ["llama2", "llama3_1", "qwen3"];

/// Python writes a list into a text as its source would; that is no prompt, and refused here by this name.
const REFUSED: &str = "a list has no written form; the filter `tojson` makes one of data";

fn conversations() -> Vec<(String, Json)> {
	// In the order of the file, which is the order of the records.
	let text = include_str!("conversations.json");
	let parsed: BTreeMap<String, Json> = serde_json::from_str(text).unwrap();
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

/// Returns a conversation as an input has it, if it can be one, and the variables that a template gets of it.
fn as_chat(conversation: &Json) -> Option<(Chat, Vec<(String, Json)>)> {
	let known = |(key, _): &&(String, Json)| ["messages", "tools", "enable_thinking"].contains(&key.as_str());
	let variables: Vec<_> = conversation.as_map()?.iter().filter(known).cloned().collect();
	let (further, mut own): (Vec<_>, Vec<_>) = variables.iter().cloned().partition(|(key, _)| key == "enable_thinking");
	own.push(("chat_template_kwargs".into(), Json::Map(further)));
	let answered = conversation.get("add_generation_prompt").is_none();
	let chat = Chat::from_json(Json::Map(own)).ok().filter(|_| answered)?;
	Some((chat, variables))
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
			Ok(template) => template
				.render_variables(chat.as_map().unwrap())
				.map_err(|e| e.to_string())
				.and_then(&finish),
			Err(e) => Err(e.to_string()),
		};
		match ours {
			Ok(bytes) if short(&bytes) == *expected => same += 1,
			Err(_) if *expected == "-" => same += 1,
			Err(e) if e.ends_with(REFUSED) => {}
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
		others.extend(wrong);
	}
	assert!(others.is_empty(), "{others:#?}");
	assert!(
		templates.len() >= 90 && same >= 15 * templates.len(),
		"{same} prompts of {}",
		templates.len()
	);
}

/// What becomes of a conversation as an input: the prompt that transformers makes of it, or the part that is missing there.
#[test]
fn published_templates_write_a_conversation_whole_or_name_a_part() {
	let Some(directory) = published() else { return };
	let templates: Vec<(String, String)> =
		serde_json::from_slice(&fs::read(directory.join("templates.json")).unwrap()).unwrap();
	let special = special([("bos_token", "<s>"), ("eos_token", "</s>")]);
	let mut outcomes = HashMap::new();
	for (name, source) in &templates {
		let source = with_special_tokens(source.as_bytes(), &special).unwrap();
		let Ok(template) = Template::parse(&source) else {
			continue;
		};
		for (conversation, all) in conversations() {
			let Some((chat, variables)) = as_chat(&all) else {
				continue;
			};
			let outcome = match (template.render_chat(&chat), template.render_variables(&variables)) {
				(Ok(prompt), Ok(written)) => {
					assert_eq!(prompt, written, "{name}, {conversation}");
					"whole".into()
				}
				(Err(Error::LeftOut(part)), Ok(_)) => part,
				(Err(Error::LeftOut(_)) | Ok(_), Err(error)) => panic!("{name}, {conversation}: {error}"),
				(Err(_), _) => "refused".into(),
			};
			outcomes.insert(
				(name.strip_prefix("library/").unwrap_or(name).to_owned(), conversation),
				outcome,
			);
		}
	}
	for (conversation, expected) in [
		(
			"one user",
			[
				("llama3.1:8b", "whole"),
				("mistral:7b-instruct-fp16", "whole"),
				("hermes3:70b", "whole"),
			],
		),
		(
			"unicode",
			[
				("qwen3:0.6b", "whole"),
				("gemma3:1b", "whole"),
				("smollm2:135m", "whole"),
			],
		),
		(
			"system and user",
			[
				("qwen2.5:0.5b", "whole"),
				("gemma3:1b", "refused"),
				("phi3:14b", "messages[0]"),
			],
		),
		(
			"tools",
			[
				("qwen3:0.6b", "whole"),
				("llama3.1:8b", "whole"),
				("hermes3:70b", "tools[0]"),
			],
		),
		(
			"a tool was called",
			[
				("qwen2.5:0.5b", "whole"),
				("llama3.1:8b", "whole"),
				("granite4:latest", "whole"),
			],
		),
		(
			"two calls at once",
			[
				("qwen2.5:0.5b", "whole"),
				("qwen3-coder:30b", "whole"),
				("llama3.1:8b", "refused"),
			],
		),
		(
			"fractions",
			[
				("qwen3:0.6b", "whole"),
				("llama3.1:8b", "whole"),
				("tinyllama:1.1b", "messages[1].tool_calls[0]"),
			],
		),
		(
			"with thinking switched off",
			[
				("qwen3:0.6b", "whole"),
				("qwen2.5:0.5b", "enable_thinking"),
				("llama3.1:8b", "enable_thinking"),
			],
		),
		(
			"a developer and parts",
			[
				("granite4:latest", "messages[0]"),
				("llama3.1:8b", "refused"),
				("qwen3:0.6b", "refused"),
			],
		),
	] {
		for (name, expected) in expected {
			let found = &outcomes[&(name.to_owned(), conversation.to_owned())];
			assert_eq!(found, expected, "{name}, {conversation}");
		}
	}
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
		assert!(same + 1 >= conversations().len(), "{name}: {same}");
	}
}
