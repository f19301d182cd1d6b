//! Section 4: texts to tokens and back, conversations to texts.

use super::{compare, stream, Cases};
use crate::common::{byte_fallback, sorted, tokenizer, tokenizer_json, word_piece};
use assay_model_folder::{
	template::Template,
	tokenizer::{patterns, Kind, Tokenizer},
	Error,
};
use assay_primitives::chat::Chat;
use serde_json::{json, Map, Value};

/// Texts in which pieces, characters and bytes begin and end everywhere.
const TEXTS: [&str; 15] = [
	"",
	"hello world",
	" hello  hello   world.",
	"Hello, WORLD's 12345 don't DON'T we'LL I'm it'd",
	"1234567 ½Ⅷ² ٣٤٥ x1y22z333",
	"'\u{17f}abc 'ſ S'S",
	"  leading\t\ttabs\r\n\r\nlines \n x\n\n  y\u{a0}\u{3000}z \u{85}",
	"naïve e\u{301} Å \u{1100}\u{1161}\u{11a8} q\u{307}\u{323} \u{11935}\u{11930} \u{1c89}\u{a7ce}",
	"你好，世界 🙂👍🏽",
	"CamelCaseWords fooBAR Ǆx ǅX ʰmod ªº",
	"a/b//c ... /// !?\n/\n",
	"<|user|>hello<|end|> <|assistant|>\n",
	"<s>hello</s> <s>",
	"_<x>_ ._ \u{200d}_",
	"hellos othello hello_ hello- guidelines lines2 lines. hello worlds",
];

/// Returns the text of a tokenizer that golden models have: the very bytes of its `tokenizer.json`.
pub(super) fn tokenizer_file(name: &str) -> String {
	match name {
		"tiny" => tokenizer_json(),
		"fallback" => sorted(byte_fallback()).to_string(),
		"long" => sorted(long()).to_string(),
		"words" => sorted(word_piece()).to_string(),
		other => panic!("no golden model has the tokenizer {other}"),
	}
}

/// Printable ASCII, and many tokens of more than a hundred bytes, of which a text has only few; a third of their characters
/// has two bytes.
fn long() -> Value {
	let mut tokenizer = tokenizer();
	let special = tokenizer["added_tokens"].as_array().unwrap().clone();
	let (mut vocabulary, mut added) = (special_tokens(&special), special.clone());
	for byte in b' '..=b'~' {
		let symbol = if byte == b' ' { 'Ġ' } else { char::from(byte) };
		vocabulary.insert(symbol.to_string(), json!(byte - b' '));
	}
	for id in (95..262).chain(265..272u32) {
		let letter = |b: u8| match b % 32 {
			low @ 0..16 => char::from(b'a' + low),
			high => char::from(0xE0 + high - 16),
		};
		let content: String = stream(&format!("long/{id}"), 86).into_iter().map(letter).collect();
		let mut token = special[0].clone();
		(token["id"], token["content"], token["special"]) = (json!(id), json!(content), json!(false));
		vocabulary.insert(content, json!(id));
		added.push(token);
	}
	tokenizer["added_tokens"] = json!(added);
	tokenizer["model"]["vocab"] = json!(vocabulary);
	tokenizer["model"]["merges"] = json!([]);
	tokenizer
}

/// The entries that keep special tokens their ids, whatever else a vocabulary has.
fn special_tokens(added: &[Value]) -> Map<String, Value> {
	let entry = |token: &Value| (token["content"].as_str().unwrap().to_owned(), token["id"].clone());
	added.iter().map(entry).collect()
}

/// A tokenizer with a token for every two symbols that stand side by side in a text: where it is cut shows in its tokens.
fn pairs(mut tokenizer: Value, symbols: &dyn Fn(&str) -> Vec<String>) -> Value {
	let vocabulary = tokenizer["model"]["vocab"].as_object_mut().unwrap();
	let mut merges = Vec::new();
	let all: Vec<String> = TEXTS.iter().flat_map(|text| symbols(text)).collect();
	for two in all.windows(2) {
		let both = two.concat();
		if two.iter().all(|symbol| vocabulary.contains_key(symbol)) && !vocabulary.contains_key(&both) {
			merges.push(json!(two));
			// Behind the added tokens of the fixture.
			vocabulary.insert(both, json!(1_000 + merges.len()));
		}
	}
	tokenizer["model"]["merges"] = json!(merges);
	tokenizer
}

fn byte_pairs() -> Value {
	let mut base = tokenizer();
	let vocabulary = base["model"]["vocab"].as_object_mut().unwrap();
	vocabulary.retain(|_, id| id.as_u64().unwrap() < 256);
	let by_byte: Vec<String> = {
		let mut symbols: Vec<_> = vocabulary
			.iter()
			.map(|(s, id)| (id.as_u64().unwrap(), s.clone()))
			.collect();
		symbols.sort();
		symbols.into_iter().map(|(_, symbol)| symbol).collect()
	};
	let special = special_tokens(base["added_tokens"].as_array().unwrap());
	base["model"]["vocab"].as_object_mut().unwrap().extend(special);
	pairs(base, &|text| {
		text.bytes().map(|byte| by_byte[usize::from(byte)].clone()).collect()
	})
}

fn character_pairs() -> Value {
	let mut base = byte_fallback();
	base["model"]["vocab"]
		.as_object_mut()
		.unwrap()
		.retain(|_, id| id.as_u64().unwrap() < 287);
	pairs(base, &|text| text.replace(' ', "▁").chars().map(String::from).collect())
}

/// Parts of a tokenizer that differ from those of the one it is like.
type Parts = Vec<(&'static str, Value)>;

fn byte_level(use_regex: bool) -> Value {
	json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": use_regex })
}

fn split(pattern: &str, behavior: &str, invert: bool) -> Value {
	json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": behavior, "invert": invert })
}

fn sequence(parts: &[Value]) -> Value {
	json!({ "type": "Sequence", "pretokenizers": parts })
}

/// Byte-level tokenizers, as they differ from `bytes`.
fn of_bytes() -> Vec<(String, Parts)> {
	let mut all = Vec::new();
	let named = ["gpt2", "llama3", "qwen2", "qwen3.5", "tekken", "o200k"];
	for (name, pattern) in named.iter().zip(patterns::ALLOWED) {
		let pre = sequence(&[split(pattern, "Isolated", false), byte_level(false)]);
		all.push(((*name).into(), vec![("pre_tokenizer", pre)]));
	}
	for behavior in ["MergedWithPrevious", "MergedWithNext", "Contiguous"] {
		for invert in [false, true] {
			let pre = sequence(&[split(patterns::QWEN2, behavior, invert), byte_level(false)]);
			let name = if invert {
				format!("{behavior}, inverted")
			} else {
				behavior.into()
			};
			all.push((name, vec![("pre_tokenizer", pre)]));
		}
	}
	for (name, each) in [("each digit", true), ("runs of digits", false)] {
		let digits = json!({ "type": "Digits", "individual_digits": each });
		all.push((
			name.into(),
			vec![("pre_tokenizer", sequence(&[digits, byte_level(true)]))],
		));
	}
	let digits = json!({ "type": "Digits", "individual_digits": true });
	all.push((
		"digits behind the bytes".into(),
		vec![("pre_tokenizer", sequence(&[byte_level(true), digits]))],
	));
	all.push(("one piece".into(), vec![("pre_tokenizer", byte_level(false))]));
	all.push(("nfc".into(), vec![("normalizer", json!({ "type": "NFC" }))]));
	let token = |id: u32, content: &str, flags: [bool; 5]| {
		let [single_word, lstrip, rstrip, normalized, special] = flags;
		json!({ "id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
			"normalized": normalized, "special": special })
	};
	let added = json!([
		token(262, "<|user|>", [false, true, true, false, true]),
		token(263, "<|end|>", [false, true, false, false, true]),
		token(264, "<|assistant|>", [false, false, true, false, true]),
		token(265, "hello", [true, false, false, true, false]),
		token(266, "ïv", [false, false, false, true, false]),
		token(267, "lines", [true, true, true, false, false]),
		token(95, "_", [true, false, false, false, false]),
		token(269, "hello world", [false, false, false, true, false]),
	]);
	let mut vocabulary = special_tokens(added.as_array().unwrap());
	vocabulary.remove("_");
	all.push((
		"flags of added tokens".into(),
		vec![
			("normalizer", json!({ "type": "NFC" })),
			("added_tokens", added),
			("vocab", json!(vocabulary)),
		],
	));
	all.push((
		"merges ignored".into(),
		vec![("vocab", json!({ "hello": 5_000 })), ("ignore_merges", json!(true))],
	));
	// No text has the byte 04, and few have c3.
	all.push(("bytes without tokens".into(), vec![("without", json!(["Ą", "Ã"]))]));
	all
}

/// Tokenizers with byte fallback, as they differ from `characters`.
fn of_characters() -> Vec<(String, Parts)> {
	let mut all = Vec::new();
	for scheme in ["first", "always", "never"] {
		for split in [true, false] {
			let metaspace =
				json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
			let name = format!("Metaspace {scheme}{}", if split { "" } else { ", not split" });
			all.push((name, vec![("pre_tokenizer", metaspace), ("normalizer", json!(null))]));
		}
	}
	let normalized = json!([
		{ "id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true },
		{ "id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": true, "special": true },
		{ "id": 2, "content": "</s>", "single_word": false, "lstrip": true, "rstrip": true, "normalized": false, "special": true },
	]);
	all.push(("a normalized token".into(), vec![("added_tokens", normalized)]));
	all
}

/// Replaces parts of a tokenizer; of its model, adds entries to the vocabulary, takes entries out, and sets a flag.
fn with_parts(mut tokenizer: Value, parts: &Parts) -> Value {
	for (part, value) in parts {
		let model = &mut tokenizer["model"];
		match *part {
			"vocab" => model["vocab"]
				.as_object_mut()
				.unwrap()
				.extend(value.as_object().unwrap().clone()),
			"without" => {
				let gone = |text: &str| {
					value
						.as_array()
						.unwrap()
						.iter()
						.any(|symbol| text.contains(symbol.as_str().unwrap()))
				};
				model["vocab"].as_object_mut().unwrap().retain(|token, _| !gone(token));
				let merge = |merge: &Value| {
					merge
						.as_array()
						.unwrap()
						.iter()
						.any(|half| gone(half.as_str().unwrap()))
				};
				model["merges"].as_array_mut().unwrap().retain(|both| !merge(both));
			}
			"ignore_merges" => model["ignore_merges"] = value.clone(),
			_ => tokenizer[*part] = value.clone(),
		}
	}
	tokenizer
}

/// What a tokenizer makes of all texts.
fn texts(tokenizer: &Tokenizer) -> Vec<Value> {
	let words = matches!(tokenizer.kind(), Kind::WordPiece { .. });
	let encode = |text: &str| {
		if words {
			tokenizer.encode_marked(text)
		} else {
			tokenizer.encode(text)
		}
	};
	let shown = |text: &&str| {
		let tokens = encode(text).map_or(json!("refused"), |tokens| json!(tokens));
		json!({ "text": text, "tokens": tokens })
	};
	TEXTS.iter().map(shown).collect()
}

/// The texts of some tokens: a space at the beginning, characters that are cut off or ill-formed.
fn written(tokenizer: &Tokenizer) -> Vec<Value> {
	let byte = |b: u8| (0..tokenizer.size() as u32).find(|id| tokenizer.bytes(*id) == [b]);
	let lists: [&[u8]; 7] = [
		b" a",
		b"  a",
		b"a ",
		b"\xC3\xA9\xE2\x82",
		b"\xE2\x82a\xFFb",
		b"\xF0\x9F\x98\x80\xED\xA0\x80",
		b"",
	];
	let ids = |bytes: &&[u8]| bytes.iter().map(|b| byte(*b)).collect::<Option<Vec<u32>>>();
	let shown = |ids: Vec<u32>| {
		let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.bytes(*id)).copied().collect();
		json!({ "tokens": ids, "text": tokenizer.text(&bytes) })
	};
	lists.iter().filter_map(ids).map(shown).collect()
}

fn bytes_of(tokenizer: &Tokenizer) -> String {
	let written = |id: u32| match tokenizer.bytes(id) {
		[] => "-".into(),
		bytes => hex::encode(bytes),
	};
	(0..tokenizer.size() as u32).map(written).collect::<Vec<_>>().join(" ")
}

#[test]
fn tokenizers_give_the_golden_tokens() {
	let mut cases = Cases::new();
	for name in ["tiny", "fallback", "long", "words"] {
		let file = tokenizer_file(name);
		let made = Tokenizer::parse(file.as_bytes()).unwrap();
		let case = json!({
			"tokenizer": file, "bytes": bytes_of(&made), "texts": texts(&made), "written": written(&made),
		});
		cases.insert(name.into(), case);
	}
	for (base, json, variants) in [
		("bytes", byte_pairs(), of_bytes()),
		("characters", character_pairs(), of_characters()),
	] {
		let mut case = |name: &str, parts: &Parts, described: Value| {
			let made = Tokenizer::parse(sorted(with_parts(json.clone(), parts)).to_string().as_bytes()).unwrap();
			let mut case = described;
			case["texts"] = json!(texts(&made));
			cases.insert(name.into(), case);
		};
		case(
			base,
			&Vec::new(),
			json!({ "tokenizer": sorted(json.clone()).to_string() }),
		);
		for (name, parts) in variants {
			let described: Map<_, _> = parts
				.iter()
				.map(|(part, value)| ((*part).to_owned(), value.clone()))
				.collect();
			case(&name, &parts, json!({ "like": base, "parts": described }));
		}
	}
	compare("tokenizers", &Value::Object(cases));
}

/// Templates, and conversations that they get.
fn templates() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
	let text = r#"{"messages":[{"role":"user","content":" Hi <b>&amp;</b> é\n"}]}"#;
	let turns = r#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"One?"},{"role":"assistant","content":"1"},{"role":"user","content":"Two?"}]}"#;
	let tools = r#"{"messages":[{"role":"user","content":"Weather?"}],"tools":[{"type":"function","function":{"name":"weather","description":"The \"weather\" – now\u0007","parameters":{"type":"object","properties":{"where":{"type":"string","default":"Zürich"},"days":{"type":"number","minimum":1e-05,"maximum":1.5e+17,"multipleOf":0.5}}}}}]}"#;
	let none = r#"{"messages":[{"role":"user","content":"Weather?"}],"tools":[{"type":"function","function":{"name":"weather","parameters":{}}}],"tool_choice":"none"}"#;
	let calls = r#"{"messages":[{"role":"user","content":"Weather?"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"weather","arguments":"{\"where\": \"Bern\", \"n\": 2}"}}]},{"role":"tool","tool_call_id":"a","content":"it \"rains\""}]}"#;
	let reasoning = r#"{"messages":[{"role":"user","content":"Why?"},{"role":"assistant","content":"So.","reasoning_content":"because"},{"role":"user","content":"And?"}]}"#;
	let thoughts = r#"{"messages":[{"role":"user","content":"Why?"},{"role":"assistant","reasoning":"by one","content":"So.","thinking":"by two"},{"role":"user","content":"And?"}]}"#;
	let switch = r#"{"messages":[{"role":"user","content":"Why?"}],"chat_template_kwargs":{"enable_thinking":false}}"#;
	let tool_text = "{% for m in messages %}{{ m.content or '' }}{% for c in m.tool_calls %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %}{% endfor %}";
	vec![
		("a newline at the end", "{{ messages[0].content }}\n", vec![text]),
		("two newlines at the end", "{{ messages[0].content }}\n\n", vec![text]),
		("a return and a newline at the end", "{{ messages[0].content }}\r\n", vec![text]),
		(
			"blocks on lines of their own",
			"  {% if true %}\n  a\n\t{% for m in messages %}\n{{ m.content }}\n    {% endfor %}\n  {% endif %}\n b {%- if true -%} \n c \n{%- endif +%}\n d",
			vec![text, turns],
		),
		(
			"loop",
			"{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}\
			{{ loop.previtem.role }}{{ loop.nextitem.role }}:{{ m.content }}|{% endfor %}",
			vec![text, turns],
		),
		(
			"loops that skip",
			"{% for m in messages if m.role == 'user' %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m.content }}{% else %}none{% endfor %}\
			{% for m in messages %}{% if m.role != 'user' %}{% continue %}{% endif %}{{ m.content[::-1] }}{{ m.content }}{% endfor %}{{ messages[0].content }}{{ messages[2].content }}",
			vec![text, turns],
		),
		(
			"tojson",
			"{{ messages[0].content }}{{ tools | tojson }}{{ tools | tojson(indent=2) }}{{ tools | tojson(ensure_ascii=true) }}\
			{{ tools | tojson(separators=(',', ':')) }}{{ tools | tojson(sort_keys=true) }}",
			vec![tools, none],
		),
		("tools that nobody reads", "{{ messages[0].content }} weather", vec![tools, none]),
		("tool calls", tool_text, vec![calls]),
		("tool calls that nobody reads", "{% for m in messages %}{{ m.content or '' }}{% endfor %} weather", vec![calls]),
		(
			"values",
			"{{ none }}{{ true }}{{ false }}{{ missing }}{{ 'a' ~ 1 ~ none }}{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 'x' * 3 }}{{ messages | length }}\
			{{ missing is defined }}{{ messages[0].content is string }}{{ messages[-1].content }}{{ 'b' in 'abc' }}{{ 1 if missing else 2 }}",
			vec![text, turns],
		),
		(
			"filters and methods",
			"{{ messages[0].content | trim }}|{{ messages[0].content.strip() | upper if false else 'up' | upper }}|{{ ['b', 'a'] | sort | join(', ') }}|\
			{{ 'a,b,,c'.split(',') | length }}|{{ 'title case' | title }}|{{ 'abc' | replace('b', 'x') }}|{{ [1, 2, 3] | map('string') | join('-') }}|\
			{{ messages | map(attribute='role') | join(' ') }}|{{ 'a\nb' | indent(2) }}|{{ 'x{}y{}'.format(1, 'z') }}|{{ messages[0].content }}",
			vec![text],
		),
		(
			"scopes",
			"{% set n = namespace(count=0) %}{% set x = 'outer' %}{% for m in messages %}{% set n.count = n.count + 1 %}{% set x = 'inner' %}{{ m.content }}{% endfor %}\
			{{ n.count }}{{ x }}{% macro twice(a, b='-') %}{{ a }}{{ b }}{{ a }}{% endmacro %}{{ twice('q') }}{{ twice('q', b='+') }}\
			{% set block %}in {{ x }}{% endset %}{{ block | length }}{% with y = 3 %}{{ y }}{% endwith %}{{ y is defined }}",
			vec![text, turns],
		),
		("generation", "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}", vec![turns]),
		("reasoning", "{% for m in messages %}{{ m.thinking }}/{{ m.reasoning_content }}/{{ m.content }}|{% endfor %}", vec![reasoning, thoughts]),
		("a switch", "{{ messages[0].content }}{% if enable_thinking is defined and enable_thinking is false %}<no>{% endif %}", vec![switch, text]),
		("no switch", "{{ messages[0].content }}", vec![switch]),
		("a message left out", "{{ messages[0].content }}", vec![turns]),
		("an exception", "{{ messages[0].content }}{{ raise_exception('Not ' ~ messages[0].role) }}", vec![text]),
		("an error", "{{ messages[0].content + 1 }}", vec![text]),
		("a key of undefined", "{{ messages[0].content }}{{ missing.key }}", vec![text]),
	]
}

#[test]
fn templates_give_the_golden_texts() {
	let mut cases = Cases::new();
	for (name, source, conversations) in templates() {
		let template = Template::parse(source.as_bytes()).unwrap();
		let shown = |chat: &str| match template.render_chat(&Chat::parse(chat.as_bytes()).unwrap()) {
			Ok(rendered) => json!({ "chat": chat, "rendered": rendered }),
			Err(Error::Raised(text)) => json!({ "chat": chat, "failure": "template", "text": text }),
			Err(Error::LeftOut(part)) => json!({ "chat": chat, "failure": "part_left_out", "text": part }),
			Err(_) => json!({ "chat": chat, "failure": "template", "text": "" }),
		};
		let shown: Vec<_> = conversations.into_iter().map(shown).collect();
		cases.insert(name.into(), json!({ "template": source, "conversations": shown }));
	}
	compare("templates", &Value::Object(cases));
}

/// What §1.2 names of the standard library: another version may tell digits and letters apart otherwise.
#[test]
fn the_standard_library_has_the_unicode_of_the_text() {
	assert_eq!(char::UNICODE_VERSION, (17, 0, 0));
}
