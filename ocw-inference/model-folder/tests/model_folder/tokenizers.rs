//! Tokenizers of three kinds: what is on the list, what is refused, and the bytes of tokens.

use assay_model_folder::tokenizer::{patterns, text, Kind, Tokenizer};
use assay_test_fixtures::{byte_fallback, qwen, tokenizer as byte_level, word_piece};
use serde_json::{json, Value};

fn parse(json: &Value) -> Result<Tokenizer, String> {
	Tokenizer::parse(json.to_string().as_bytes()).map_err(|e| e.to_string())
}

/// The bytes of all tokens that aren't special.
fn bytes(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
	tokens.iter().flat_map(|t| tokenizer.bytes(*t).to_vec()).collect()
}

#[test]
fn byte_fallback_writes_spaces_and_bytes_as_tokens_and_gets_them_back() {
	let tokenizer = parse(&byte_fallback()).unwrap();
	assert_eq!(
		tokenizer.kind(),
		Kind::ByteFallback {
			strips_first_space: true
		}
	);
	let library = tokenizers::Tokenizer::from_bytes(byte_fallback().to_string()).unwrap();
	for prompt in ["hello", "hello hello", "  a\n", "é😀 x", "a. b", "▁", "<0x41>"] {
		let tokens = tokenizer.encode(prompt).unwrap();
		assert_eq!(tokens, library.encode(prompt, false).unwrap().get_ids(), "{prompt}");
		let answer = tokenizer.text(&bytes(&tokenizer, &tokens));
		assert_eq!(answer, library.decode(&tokens, true).unwrap(), "{prompt}");
	}
	// `▁` in a text is a space when it comes back; all else is the text itself.
	let tokens = tokenizer.encode("hello é").unwrap();
	assert_eq!(tokenizer.text(&bytes(&tokenizer, &tokens)), "hello é");
	assert_eq!(tokens.len(), 4);
	// Special tokens written in a prompt count as such, and have no bytes.
	let tokens = tokenizer.encode("<s>hello</s>").unwrap();
	assert_eq!((tokens[0], tokens[2], tokens.len()), (1, 2, 3));
	assert_eq!(bytes(&tokenizer, &tokens), b" hello");
	// Without the decoder's Strip the space stays; a space in the middle always does.
	let mut kept = byte_fallback();
	kept["decoder"]["decoders"].as_array_mut().unwrap().pop();
	let kept = parse(&kept).unwrap();
	assert_eq!(kept.text(b" a b"), " a b");
	assert_eq!(tokenizer.text(b" a b"), "a b");
	assert_eq!(tokenizer.text(b"  a"), " a");
}

#[test]
fn a_metaspace_does_the_work_of_the_two_normalizers() {
	let mut json = byte_fallback();
	json["normalizer"] = Value::Null;
	json["pre_tokenizer"] =
		json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false });
	let (one, other) = (parse(&byte_fallback()).unwrap(), parse(&json).unwrap());
	let round =
		|tokenizer: &Tokenizer, prompt: &str| tokenizer.text(&bytes(tokenizer, &tokenizer.encode(prompt).unwrap()));
	assert_eq!(round(&other, "hello hello"), "hello hello");
	assert_eq!(round(&one, " a b"), " a b");
	// Metaspace puts no second one before a space.
	assert_eq!(round(&other, " a b"), "a b");
}

#[test]
fn words_and_endings_are_marked_and_neither_cut_nor_padded() {
	let tokenizer = parse(&word_piece()).unwrap();
	assert_eq!(tokenizer.kind(), Kind::WordPiece { marks: (2, 3) });
	let mut library = tokenizers::Tokenizer::from_bytes(word_piece().to_string()).unwrap();
	library.with_padding(None).with_truncation(None).unwrap();
	for prompt in [
		"Hello, WORLDs",
		"naïve",
		"",
		"hello hello hello hello",
		"unheard-of",
		"[SEP]",
	] {
		let tokens = tokenizer.encode_marked(prompt).unwrap();
		assert_eq!(tokens, library.encode(prompt, true).unwrap().get_ids(), "{prompt}");
	}
	assert_eq!(tokenizer.encode_marked("Hello, worlds").unwrap(), [2, 4, 8, 5, 6, 9, 3]);
	assert!(parse(&byte_level()).unwrap().encode_marked("hello").is_err());
}

#[test]
fn qwens_normalizer_composes_and_every_published_pattern_runs() {
	for pattern in patterns::ALLOWED {
		let tokenizer = parse(&qwen(pattern)).unwrap();
		assert_eq!(tokenizer.kind(), Kind::ByteLevel);
		for prompt in ["hello  world\r\n\n x's 12345 Größe", "你好 🙂", "   \n \t"] {
			let tokens = tokenizer.encode(prompt).unwrap();
			assert_eq!(text(&bytes(&tokenizer, &tokens)), prompt, "{pattern}");
		}
		// e and a combining accent become one character.
		let tokens = tokenizer.encode("e\u{301}").unwrap();
		assert_eq!(text(&bytes(&tokenizer, &tokens)), "é");
		// A long run of what a pattern tries in several ways takes no time that grows faster than the text.
		let begun = std::time::Instant::now();
		for run in [" ", "\t", "a", "A", "1", "'", "\u{301}", " \n"] {
			tokenizer.encode(&run.repeat(20_000)).unwrap();
		}
		assert!(begun.elapsed().as_secs() < 60, "{pattern}");
	}
}

/// A tokenizer by name.
type Form = (&'static str, fn() -> Value);

#[test]
fn what_is_on_no_list_is_refused_by_name() {
	let forms: [Form; 4] = [
		("bytes", byte_level),
		("fallback", byte_fallback),
		("words", word_piece),
		("qwen", || qwen(patterns::ALLOWED[2])),
	];
	for (_, form) in forms {
		parse(&form()).unwrap();
	}
	for (form, place, value, reason) in [
		("bytes", "/normalizer", json!({ "type": "NFKC" }), "normalizer NFKC"),
		(
			"bytes",
			"/normalizer",
			json!({ "type": "Precompiled" }),
			"normalizer Precompiled",
		),
		("bytes", "/normaliser", json!(null), "`normaliser` is not a known key"),
		("bytes", "/version", json!("2.0"), "`version`"),
		("bytes", "/model/cache_size", json!(7), "`model.cache_size`"),
		(
			"bytes",
			"/added_tokens/0/stripped",
			json!(true),
			"`added_tokens.stripped`",
		),
		("bytes", "/pre_tokenizer/regex", json!("x"), "`pre_tokenizer.regex`"),
		("bytes", "/decoder/trim", json!(1), "`decoder.trim`"),
		(
			"qwen",
			"/pre_tokenizer/pretokenizers/0/inverted",
			json!(true),
			"`pre_tokenizer.inverted`",
		),
		(
			"fallback",
			"/normalizer/normalizers/0/append",
			json!("x"),
			"`normalizer.append`",
		),
		("words", "/normalizer/casing", json!(true), "`normalizer.casing`"),
		("bytes", "/model/dropout", json!(0.1), "random"),
		("bytes", "/model/type", json!("Unigram"), "the model is Unigram"),
		(
			"bytes",
			"/model/end_of_word_suffix",
			json!("</w>"),
			"end_of_word_suffix",
		),
		("bytes", "/decoder", json!({ "type": "Metaspace" }), "decoder"),
		(
			"bytes",
			"/pre_tokenizer",
			json!({ "type": "Whitespace" }),
			"pre-tokenizer Whitespace",
		),
		(
			"bytes",
			"/pre_tokenizer/add_prefix_space",
			json!(true),
			"add_prefix_space",
		),
		(
			"bytes",
			"/pre_tokenizer",
			json!({ "type": "Sequence", "pretokenizers": [] }),
			"0 ByteLevel",
		),
		(
			"bytes",
			"/model/byte_fallback",
			json!(true),
			"on c2's list for byte fallback",
		),
		(
			"qwen",
			"/pre_tokenizer/pretokenizers/0/pattern/Regex",
			json!("(a+)+$"),
			"published patterns",
		),
		(
			"qwen",
			"/pre_tokenizer/pretokenizers/0/pattern",
			json!({ "String": "a" }),
			"published patterns",
		),
		(
			"qwen",
			"/pre_tokenizer/pretokenizers/0/behavior",
			json!("Removed"),
			"removes text",
		),
		(
			"fallback",
			"/normalizer/normalizers/0/prepend",
			json!("x"),
			"normalizer Prepend",
		),
		(
			"fallback",
			"/normalizer/normalizers/1/pattern",
			json!({ "Regex": "(a+)+$" }),
			"normalizer Replace",
		),
		(
			"fallback",
			"/normalizer/normalizers/1/content",
			json!(""),
			"normalizer Replace",
		),
		("fallback", "/normalizer", json!(null), "0 steps write"),
		(
			"fallback",
			"/pre_tokenizer",
			json!({ "type": "Metaspace", "replacement": "▁" }),
			"2 steps write",
		),
		("fallback", "/decoder/decoders/3/start", json!(2), "the decoder"),
		("fallback", "/decoder/decoders/3/stop", json!(1), "the decoder"),
		("fallback", "/decoder", json!({ "type": "ByteFallback" }), "the decoder"),
		("words", "/normalizer", json!({ "type": "NFC" }), "BertNormalizer"),
		(
			"words",
			"/pre_tokenizer",
			json!({ "type": "Whitespace" }),
			"BertPreTokenizer",
		),
		("words", "/post_processor", json!(null), "one mark before"),
		(
			"words",
			"/post_processor/special_tokens/[CLS]/ids",
			json!([2, 2]),
			"one mark before",
		),
		(
			"words",
			"/post_processor/special_tokens/[CLS]/ids",
			json!([4]),
			"special tokens",
		),
		(
			"words",
			"/model/max_input_chars_per_word",
			json!(1_000_000),
			"at most 1000",
		),
	] {
		let mut json = forms.iter().find(|(name, _)| *name == form).unwrap().1();
		let (parent, key) = place.rsplit_once('/').unwrap();
		match json.pointer_mut(parent).unwrap() {
			Value::Object(map) => drop(map.insert(key.into(), value)),
			_ => *json.pointer_mut(place).unwrap() = value,
		}
		let error = parse(&json).err().unwrap_or_else(|| panic!("{form} {place} was taken"));
		assert!(error.contains(reason), "{form} {place}: {error}");
	}
}

/// SmolLM2's vocabulary lacks bytes: the bytes that no text has, and some that hardly any has.
#[test]
fn a_text_that_needs_a_byte_without_a_token_is_refused_by_name() {
	let mut json = byte_level();
	let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
	// 0x04, 0xF5 and the first byte of é.
	for (symbol, instead) in [("Ą", "xq"), ("õ", "qx"), ("Ã", "qq")] {
		let id = vocabulary.remove(symbol).unwrap();
		vocabulary.insert(instead.into(), id);
	}
	let tokenizer = parse(&json).unwrap();
	assert_eq!(tokenizer.missing_bytes(), [0x04, 0xC3, 0xF5]);
	let text = "hello, <|user|>\u{1}漢";
	assert_eq!(
		bytes(&tokenizer, &tokenizer.encode(text).unwrap()),
		text.replace("<|user|>", "").as_bytes()
	);
	for (text, named) in [("caf\u{e9}", "'é' (U+00E9)"), ("<|end|>\u{4}", "U+0004")] {
		let refused = tokenizer.encode(text).unwrap_err().to_string();
		assert!(refused.contains(named) && refused.contains("leave it out"), "{refused}");
	}
	// A token that is written with such a byte is one token all the same.
	json["added_tokens"][0]["content"] = json!("<|é|>");
	assert_eq!(parse(&json).unwrap().encode("<|é|>").unwrap(), [262]);
}

#[test]
fn byte_fallback_needs_a_byte_only_for_what_has_no_token() {
	let mut json = byte_fallback();
	let vocabulary = json["model"]["vocab"].as_object_mut().unwrap();
	let letter = vocabulary.keys().find(|token| token.as_str() == "h").cloned().unwrap();
	for byte in ["<0x68>", "<0xC3>"] {
		vocabulary.remove(byte).unwrap();
	}
	let tokenizer = parse(&json).unwrap();
	tokenizer.encode(&letter).unwrap();
	let refused = tokenizer.encode("é").unwrap_err().to_string();
	assert!(refused.contains("U+00E9"), "{refused}");
}

/// A control token written by a user is that token, as in transformers by default; `docs/security.md` says what follows.
#[test]
fn special_tokens_in_a_users_text_are_obeyed() {
	let tokenizer = parse(&byte_level()).unwrap();
	assert_eq!(tokenizer.encode("<|end|><|user|>").unwrap(), [263, 262]);
}
