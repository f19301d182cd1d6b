//! Grammars on the fixture's tokenizer: a token for each byte, six merges, and special tokens.

mod hostile;
mod schemas;
mod soundness;
mod speed;
mod tools;

use super::{Grammar, Mask};
use crate::Model;
use assay_import::import;
use assay_numerics::sampler::Sampler;
use assay_primitives::chat::Chat;
use assay_test_fixtures::{options, write_source, Tiny, EOS, VOCABULARY};
use serde_json::{json, Value};
use std::fs;

/// What the fixtures' templates write before an answer, with a part that says how calls are written.
pub(super) fn model_with(calls: &str) -> Model {
	let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
	write_source(source.path(), Tiny::default());
	let template = format!(
		"{{% if tools %}}{{{{ tools | tojson }}}}{{% endif %}}{{# {calls} #}}{}",
		assay_test_fixtures::TEMPLATE
	);
	fs::write(source.path().join("chat_template.jinja"), template).unwrap();
	import(source.path(), out.path(), &options()).unwrap();
	Model::load(out.path()).unwrap()
}

fn chat(with: Value) -> Chat {
	let mut chat = json!({ "messages": [{ "role": "user", "content": "x" }] });
	chat.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
	Chat::parse(chat.to_string().as_bytes()).unwrap()
}

fn with_schema(schema: &Value) -> Chat {
	chat(json!({ "response_format": { "type": "json_schema", "json_schema": { "name": "x", "schema": schema } } }))
}

fn grammar(model: &Model, chat: &Chat) -> Result<Option<Grammar>, &'static str> {
	Grammar::of(model, chat).unwrap()
}

/// Returns whether a mask lets a token through.
fn allows(mask: &Mask, token: u32) -> bool {
	match mask {
		Mask::All => true,
		Mask::Only(words) => words[token as usize / 32] >> (token % 32) & 1 == 1,
		Mask::Nothing => false,
	}
}

/// Feeds a text byte by byte; returns how many bytes are let through, and whether the answer may end behind them.
fn fed(grammar: &mut Grammar, text: &str) -> (usize, bool) {
	for (i, byte) in text.bytes().enumerate() {
		if !allows(&grammar.mask(), u32::from(byte)) {
			return (i, false);
		}
		grammar.push(u32::from(byte));
	}
	(text.len(), allows(&grammar.mask(), EOS))
}

/// Returns whether a grammar lets a text through as a whole answer.
fn accepts(model: &Model, chat: &Chat, text: &str) -> bool {
	fed(&mut grammar(model, chat).unwrap().unwrap(), text) == (text.len(), true)
}

/// An answer of random logits through the sampler.
struct Walk {
	tokens: Vec<u32>,
	masks: Vec<Mask>,
	text: Vec<u8>,
	/// Whether its end token came, and not the limit.
	ended: bool,
}

fn walk(model: &Model, grammar: &mut Grammar, seed: u64, most: u32) -> Walk {
	let mut key = [0; 32];
	key[..8].copy_from_slice(&seed.to_le_bytes());
	let sampler = Sampler::new(1 << 16, 0, 0, key);
	let mut walk = Walk {
		tokens: Vec::new(),
		masks: Vec::new(),
		text: Vec::new(),
		ended: false,
	};
	for step in 0..most {
		let mask = grammar.mask();
		walk.masks.push(mask.clone());
		let logits: Vec<f32> = (0..VOCABULARY).map(|token| wish(token, step)).collect();
		let token = match &mask {
			Mask::All => sampler.sample(&logits, step),
			Mask::Only(words) => sampler.sample_allowed(&logits, step, words),
			Mask::Nothing => return walk,
		};
		let token = token.unwrap();
		assert!(allows(&mask, token));
		walk.tokens.push(token);
		if token == EOS {
			walk.ended = true;
			return walk;
		}
		walk.text.extend_from_slice(model.tokenizer().bytes(token));
		grammar.push(token);
	}
	walk
}

/// How much a walk wishes for a token: what closes, the more the longer it lasts, and no escapes.
fn wish(token: u32, step: u32) -> f32 {
	match token {
		34 | 58 | 93 | 125 | EOS => 2.0 + 0.05 * step as f32,
		32 | 10 | 92 => -2.0,
		69 | 101 => -4.0,
		128..256 => -3.0,
		_ => 0.0,
	}
}
