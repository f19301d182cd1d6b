//! Tokenizers and chat templates.

use crate::parts;
use assay_model_folder::{
	template::Template,
	tokenizer::{text, Kind, Tokenizer},
};
use assay_primitives::chat::Chat;
use std::sync::OnceLock;

/// A `tokenizer.json`, a zero byte, and a text for it. Without a JSON the text goes to a tokenizer that is good.
pub fn tokenizer(data: &[u8]) {
	let (json, sample) = parts(data);
	let shown = text(sample);
	assert!(shown.len() <= 3 * sample.len());
	let sample = String::from_utf8_lossy(sample);
	if json.is_empty() {
		static GOOD: OnceLock<Tokenizer> = OnceLock::new();
		let good =
			GOOD.get_or_init(|| Tokenizer::parse(assay_test_fixtures::tokenizer().to_string().as_bytes()).unwrap());
		return check_tokens(good, &sample);
	}
	if let Ok(tokenizer) = Tokenizer::parse(json) {
		check_tokens(&tokenizer, "hello, wörld\n\t 123  <|end|> don't");
		check_tokens(&tokenizer, &sample);
	}
}

fn check_tokens(tokenizer: &Tokenizer, sample: &str) {
	// A tokenizer may refuse a text, but then it says so.
	let Ok(ids) = tokenizer.encode(sample) else { return };
	let mut bytes = Vec::new();
	for id in &ids {
		let id = *id;
		assert!((id as usize) < tokenizer.size(), "token {id} of {}", tokenizer.size());
		match tokenizer.special(id) {
			Some(written) => bytes.extend(written.as_bytes()),
			None => bytes.extend(tokenizer.bytes(id)),
		}
	}
	// Byte-level tokenizers say the text again, but for NFC, which changes texts that aren't ASCII.
	if tokenizer.kind() == Kind::ByteLevel && sample.is_ascii() {
		assert!(ids.len() <= sample.len(), "more tokens than bytes");
		assert_eq!(String::from_utf8_lossy(&bytes), sample, "the tokens say another text");
	}
	let _ = tokenizer.text(&bytes);
	let _ = tokenizer.encode_marked(sample);
}

/// A chat template, a zero byte, and a message, or a conversation.
pub fn template(data: &[u8]) {
	let (source, message) = parts(data);
	if let Ok(template) = Template::parse(source) {
		if let Ok(prompt) = template.render(&String::from_utf8_lossy(message)) {
			assert!(prompt.len() <= 128 << 10, "a prompt of {} bytes", prompt.len());
		}
		if let Ok(chat) = Chat::parse(message) {
			let _ = template.render_chat(&chat);
		}
	}
}
