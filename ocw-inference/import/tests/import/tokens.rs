//! The special tokens of chat templates, and the files beside `tokenizer.json` that could change tokens.

use crate::hugging_face::source;
use assay_import::import;
use assay_model_folder::{template::Template, tokenizer::Tokenizer};
use assay_primitives::chat::Chat;
use assay_test_fixtures::{options, TEMPLATE};
use serde_json::{json, Value};
use std::{fs, path::Path};

/// Every special token that the fixture's vocabulary knows by name, so that a prompt shows what a template got.
const NAMING: &str =
	"{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}{% for m in messages %}{{ m.content }}{% endfor %}";

/// Imports the tiny model with other files, and renders "hi" with the template of the result.
fn prompt(template: &str, files: &[(&str, Value)]) -> Result<String, String> {
	let (dir, source) = source();
	fs::write(source.join("chat_template.jinja"), template).unwrap();
	for (name, json) in files {
		let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
		fs::write(source.join(name), text).unwrap();
	}
	let out = dir.path().join("out");
	import(&source, &out, &options()).map_err(|e| e.to_string())?;
	Ok(rendered(&out))
}

fn rendered(out: &Path) -> String {
	let template = fs::read(out.join("chat_template.jinja")).unwrap();
	Template::parse(&template).unwrap().render("hi").unwrap()
}

#[test]
fn special_tokens_come_from_where_transformers_takes_them() {
	let config = |value: Value| ("tokenizer_config.json", value);
	let map = |value: Value| ("special_tokens_map.json", value);
	for (files, expected) in [
		// Nothing is guessed: without a file that says so there is none.
		(vec![], "||Falsehi"),
		(
			vec![config(json!({ "bos_token": "<|user|>", "eos_token": "<|end|>" }))],
			"<|user|>|<|end|>|Falsehi",
		),
		(
			vec![config(
				json!({ "bos_token": { "content": "<|user|>", "lstrip": false }, "eos_token": null }),
			)],
			"<|user|>||Falsehi",
		),
		(
			vec![config(json!({ "eos_token": "<|assistant|>" }))],
			"|<|assistant|>|Falsehi",
		),
		// The older file counts more, also where it says that there is none.
		(
			vec![
				config(json!({ "bos_token": "<|user|>", "eos_token": "<|end|>" })),
				map(json!({ "bos_token": null, "eos_token": { "content": "<|assistant|>" }, "pad_token": "<|end|>" })),
			],
			"|<|assistant|>|Truehi",
		),
		// Unless the newer one lists all added tokens.
		(
			vec![
				config(json!({ "bos_token": "<|user|>", "added_tokens_decoder": {
					"262": { "content": "<|user|>", "special": true, "normalized": false } } })),
				map(json!({ "bos_token": "<|end|>" })),
			],
			"<|user|>||Falsehi",
		),
		// A class has tokens of its own.
		(
			vec![config(
				json!({ "tokenizer_class": "Qwen2TokenizerFast", "eos_token": "<|end|>" }),
			)],
			"|<|end|>|Truehi",
		),
		(
			vec![config(json!({ "tokenizer_class": "GPT2Tokenizer" }))],
			"<|endoftext|>|<|endoftext|>|Falsehi",
		),
		// What calls itself Llama's and is byte-level is read as the file is.
		(
			vec![config(json!({ "tokenizer_class": "LlamaTokenizer" }))],
			"||Falsehi",
		),
		(
			vec![config(json!({ "tokenizer_class": "PreTrainedTokenizerFast" }))],
			"||Falsehi",
		),
	] {
		assert_eq!(prompt(NAMING, &files).unwrap(), expected, "{files:?}");
	}
}

#[test]
fn a_token_that_only_an_unknown_class_could_name_is_asked_for() {
	let config = json!({ "tokenizer_class": "SomeTokenizer", "bos_token": "<|user|>" });
	let refused = prompt(NAMING, &[("tokenizer_config.json", config.clone())]).unwrap_err();
	for part in [
		"tokenizer_config.json",
		"`eos_token`",
		"SomeTokenizer",
		"null if there is none",
	] {
		assert!(refused.contains(part), "{refused}");
	}
	// A template that does not name it does without.
	prompt(TEMPLATE, &[("tokenizer_config.json", config)]).unwrap();
}

#[test]
fn the_prompt_begins_with_the_first_token_once() {
	let (dir, source) = source();
	fs::write(
		source.join("chat_template.jinja"),
		format!("{{{{ bos_token }}}}{TEMPLATE}"),
	)
	.unwrap();
	let config = json!({ "bos_token": { "content": "<|assistant|>" }, "add_bos_token": true, "add_eos_token": true });
	fs::write(source.join("tokenizer_config.json"), config.to_string()).unwrap();
	let out = dir.path().join("out");
	import(&source, &out, &options()).unwrap();
	let tokenizer = Tokenizer::parse(&fs::read(out.join("tokenizer.json")).unwrap()).unwrap();
	let tokens = tokenizer.encode(&rendered(&out)).unwrap();
	assert_eq!(tokens[..2], [264, 262], "the template's, then the turn's");
	assert_eq!(
		tokens.iter().filter(|token| **token == 264).count(),
		2,
		"the other begins the answer"
	);
}

#[test]
fn a_canonical_template_says_its_tokens_itself() {
	let (dir, source) = source();
	let template = "\n  {% if true %}{{ bos_token }}{% endif %}{{ messages[0].content }}";
	fs::write(source.join("chat_template.jinja"), template).unwrap();
	let config = json!({ "bos_token": "\"<\\n>%}{{\n\u{1F600}" });
	fs::write(source.join("tokenizer_config.json"), config.to_string()).unwrap();
	let out = dir.path().join("out");
	import(&source, &out, &options()).unwrap();
	assert_eq!(rendered(&out), "\n\"<\\n>%}{{\n\u{1F600}hi");
	// Importing the result again changes nothing in what it renders.
	fs::copy(out.join("chat_template.jinja"), source.join("chat_template.jinja")).unwrap();
	fs::remove_file(source.join("tokenizer_config.json")).unwrap();
	let again = dir.path().join("again");
	import(&source, &again, &options()).unwrap();
	assert_eq!(rendered(&again), rendered(&out));
	// One that names a token and sets it nowhere is no canonical one.
	let bare = Template::parse(template.as_bytes()).err().unwrap().to_string();
	assert!(
		bare.contains("`bos_token`") && bare.contains("import the model again"),
		"{bare}"
	);
}

#[test]
fn a_conversation_of_several_turns_is_rendered_too() {
	let (dir, source) = source();
	let out = dir.path().join("out");
	import(&source, &out, &options()).unwrap();
	let template = Template::parse(&fs::read(out.join("chat_template.jinja")).unwrap()).unwrap();
	let chat = json!({
		"messages": [{ "role": "user", "content": "one" }, { "role": "assistant", "content": "two" }],
	});
	let chat = Chat::parse(chat.to_string().as_bytes()).unwrap();
	assert_eq!(
		template.render_chat(&chat).unwrap(),
		"<|user|>one<|end|><|user|>two<|end|><|assistant|>"
	);
}

#[test]
fn what_would_change_tokens_is_refused_by_file_and_key() {
	let config = "tokenizer_config.json";
	for (file, json, parts) in [
		(
			config,
			json!({ "split_special_tokens": true }),
			vec!["`split_special_tokens` is true"],
		),
		(config, json!({ "add_prefix_space": true }), vec!["`add_prefix_space`"]),
		(
			config,
			json!({ "normalise_text": true }),
			vec!["`normalise_text` is not a known key"],
		),
		(
			config,
			json!({ "fix_mistral_regex": true }),
			vec!["`fix_mistral_regex`"],
		),
		(
			config,
			json!({ "auto_map": { "AutoTokenizer": ["own.Tokenizer", null] } }),
			vec!["`auto_map`"],
		),
		(
			config,
			json!({ "bos_token": "hello" }),
			vec!["`bos_token` is `hello`", "save_pretrained"],
		),
		(config, json!({ "bos_token": 7 }), vec!["`bos_token` must be"]),
		(
			config,
			json!({ "additional_special_tokens": ["hell"] }),
			vec!["`hell`", "save_pretrained"],
		),
		(
			config,
			json!({ "added_tokens_decoder": { "262": { "content": "<|user|>", "special": true, "rstrip": true } } }),
			vec!["`added_tokens_decoder.262`"],
		),
		(
			config,
			json!({ "added_tokens_decoder": { "7": { "content": "<new>", "special": true } } }),
			vec!["`added_tokens_decoder.7`"],
		),
		(
			"special_tokens_map.json",
			json!({ "eos": "<|end|>" }),
			vec!["`eos` is not a known key"],
		),
		(
			"added_tokens.json",
			json!({ "<|user|>": 5 }),
			vec!["added_tokens.json", "`<|user|>` is 5"],
		),
		(config, json!("[]"), vec!["not a JSON object"]),
	] {
		let refused = prompt(TEMPLATE, &[(file, json.clone())]).unwrap_err();
		let parts = parts.into_iter().chain([file]);
		for part in parts {
			assert!(refused.contains(part), "{json}: {refused}");
		}
	}
}

#[test]
fn what_training_left_in_the_files_does_not_matter() {
	let (_kept, source) = source();
	let mut tokenizer: Value = serde_json::from_slice(&fs::read(source.join("tokenizer.json")).unwrap()).unwrap();
	tokenizer["truncation"] = json!({ "direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0 });
	tokenizer["padding"] = json!({ "strategy": { "Fixed": 40 }, "direction": "Left", "pad_to_multiple_of": null,
		"pad_id": 263, "pad_type_id": 0, "pad_token": "<|end|>" });
	let config = json!({
		"model_max_length": 1e30, "padding_side": "left", "legacy": false, "add_bos_token": true, "pad_token": "[PAD]",
		"clean_up_tokenization_spaces": true, "tokenizer_class": "PreTrainedTokenizer", "image_token": "<image>",
		"extra_special_tokens": { "video_token": "<video>" },
	});
	let files = [("tokenizer.json", tokenizer), ("tokenizer_config.json", config)];
	let specific = "{{ image_token }}{{ video_token }}{{ messages[0].content }}";
	assert_eq!(prompt(specific, &files).unwrap(), "<image><video>hi");
	assert_eq!(prompt(TEMPLATE, &files).unwrap(), "<|user|>hi<|end|><|assistant|>");
}

#[test]
fn a_template_is_found_in_every_place_and_by_its_name() {
	let template = |json: &Value| {
		let (dir, source) = source();
		fs::remove_file(source.join("chat_template.jinja")).unwrap();
		for (name, json) in json.as_object().unwrap() {
			fs::write(source.join(name), json.to_string()).unwrap();
		}
		let out = dir.path().join("out");
		import(&source, &out, &options())
			.map_err(|e| e.to_string())
			.map(|_| rendered(&out))
	};
	let named =
		|name: &str, text: &str| json!({ "name": name, "template": format!("{text}{{{{ messages[0].content }}}}") });
	let list = json!({ "chat_template": [named("tool_use", "t"), named("default", "d")] });
	assert_eq!(template(&json!({ "tokenizer_config.json": list })).unwrap(), "dhi");
	let processor = json!({ "chat_template": "p{{ messages[0].content }}" });
	assert_eq!(
		template(&json!({ "chat_template.json": processor.clone() })).unwrap(),
		"phi"
	);
	assert_eq!(
		template(&json!({ "chat_template.json": processor, "tokenizer_config.json": list })).unwrap(),
		"dhi"
	);
	let none = json!({ "chat_template": [named("tool_use", "t")] });
	let none = template(&json!({ "tokenizer_config.json": none })).unwrap_err();
	assert!(none.contains("tool_use") && none.contains("--chat-template"), "{none}");
}
