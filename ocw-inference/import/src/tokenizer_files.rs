//! The files beside `tokenizer.json`: what special tokens a chat template may name, and what else changes tokens. The
//! order in which they count is that of transformers.

use crate::{
	source::{json_map, JsonMap},
	Error, Result,
};
use assay_model_folder::{
	config::{keys::Keys, Architecture},
	manifest::SourceFile,
	template::{SpecialTokens, NAMES},
	tokenizer::{Kind, Tokenizer},
};
use serde_json::Value;
use std::path::Path;

pub(super) const CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL: &str = "special_tokens_map.json";
const ADDED: &str = "added_tokens.json";
/// What mends files that disagree.
const SAVE: &str =
	"save the tokenizer again with `AutoTokenizer.from_pretrained(dir).save_pretrained(dir)` of transformers";

/// Keys of `tokenizer_config.json`; every other key that ends in `_token` names a special token.
pub(crate) const KEYS: Keys = Keys {
	read: &[
		"tokenizer_class",
		"chat_template",
		"added_tokens_decoder",
		"additional_special_tokens",
		"extra_special_tokens",
		"model_specific_special_tokens",
		"add_prefix_space",
		"do_lower_case",
		"strip_accents",
		"tokenize_chinese_chars",
	],
	inert: &[
		"_commit_hash",
		"add_bos_token",
		"add_eos_token",
		"backend",
		"bos_token_id",
		"chat_control_tokens",
		"clean_up_tokenization_spaces",
		"do_basic_tokenize",
		"eos_token_id",
		"errors",
		"files_loaded",
		"from_slow",
		"is_local",
		"legacy",
		"local_files_only",
		"max_len",
		"max_length",
		"merges_file",
		"model_input_names",
		"model_max_length",
		"name_or_path",
		"pad_to_multiple_of",
		"pad_token_id",
		"pad_token_type_id",
		"padding",
		"padding_side",
		"processor_class",
		"response_schema",
		"response_template",
		"return_token_type_ids",
		"revision",
		"sp_model_kwargs",
		"spaces_between_special_tokens",
		"special_tokens_map_file",
		"stride",
		"tokenizer_file",
		"tokenizer_type",
		"transformers_version",
		"truncation",
		"truncation_side",
		"truncation_strategy",
		"trust_remote_code",
		"unk_token_id",
		"use_default_system_prompt",
		"use_fast",
		"verbose",
		"vocab_file",
	],
	neutral: &[
		("auto_map", "null"),
		(
			"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
			"false",
		),
		("fast_tokenizer_files", "null"),
		("fix_mistral_regex", "false"),
		("init_inputs", "[]"),
		("never_split", "null"),
		("split_special_tokens", "false"),
	],
};

/// Keys of `special_tokens_map.json`, beside those that end in `_token`.
pub(crate) const SPECIAL_KEYS: Keys = Keys {
	read: &["additional_special_tokens", "extra_special_tokens"],
	inert: &[],
	neutral: &[],
};

/// The special tokens that a class of transformers has where no file says otherwise.
const DEFAULTS: [(&str, &[(&str, &str)]); 6] = [
	(
		"LlamaTokenizer",
		&[("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>")],
	),
	(
		"Qwen2Tokenizer",
		&[
			("unk_token", "<|endoftext|>"),
			("eos_token", "<|endoftext|>"),
			("pad_token", "<|endoftext|>"),
		],
	),
	(
		"GPT2Tokenizer",
		&[
			("unk_token", "<|endoftext|>"),
			("bos_token", "<|endoftext|>"),
			("eos_token", "<|endoftext|>"),
		],
	),
	("TokenizersBackend", &[]),
	("PreTrainedTokenizer", &[]),
	("PythonBackend", &[]),
];

/// What the files beside `tokenizer.json` say.
pub(super) struct TokenizerFiles {
	/// `tokenizer_config.json`; empty if there is none.
	pub(super) config: JsonMap,
	/// The special tokens that the files name.
	pub(super) special: SpecialTokens,
	/// Special tokens of which no file says anything, and their class's are not known here.
	pub(super) unknown: Vec<&'static str>,
	/// The files that were read.
	pub(super) read: Vec<SourceFile>,
}

impl TokenizerFiles {
	/// Reads the files and compares them with the tokenizer.
	pub(super) fn read(dir: &Path, family: Architecture, tokenizer: &Tokenizer) -> Result<Self> {
		let mut read = Vec::new();
		let mut optional = |name: &str| {
			if dir.join(name).exists() {
				json_map(dir, name, &mut read)
			} else {
				Ok(JsonMap::new())
			}
		};
		let config = optional(CONFIG)?;
		check_keys(&config, &[KEYS], CONFIG)?;
		let decoder = config.get("added_tokens_decoder").filter(|v| !v.is_null());
		let mut stated = config.clone();
		if let Some(decoder) = decoder {
			check_decoder(decoder, tokenizer)?;
		} else {
			// Files from before `added_tokens_decoder`; what they say counts more.
			let map = optional(SPECIAL)?;
			check_keys(&map, &[SPECIAL_KEYS], SPECIAL)?;
			stated.extend(map);
			check_added(&optional(ADDED)?, tokenizer)?;
		}
		let mut files = Self {
			config,
			special: SpecialTokens::default(),
			unknown: Vec::new(),
			read,
		};
		files.name_tokens(&stated, family, tokenizer)?;
		files.check_flags(tokenizer)?;
		Ok(files)
	}

	/// Finds the written form of each special token.
	fn name_tokens(&mut self, stated: &JsonMap, family: Architecture, tokenizer: &Tokenizer) -> Result<()> {
		let specific = ["extra_special_tokens", "model_specific_special_tokens"]
			.iter()
			.filter_map(|key| stated.get(*key)?.as_object());
		for (key, value) in stated
			.iter()
			.filter(|(key, _)| key.ends_with("_token"))
			.chain(specific.flatten())
		{
			if let Some(written) = written(key, value)? {
				check_known(key, written, tokenizer)?;
				self.special.set(key, written);
			}
		}
		for key in ["additional_special_tokens", "extra_special_tokens"] {
			for value in stated.get(key).and_then(Value::as_array).into_iter().flatten() {
				if let Some(written) = written(key, value)? {
					check_known(key, written, tokenizer)?;
				}
			}
		}
		let unstated = NAMES.into_iter().filter(|name| !stated.contains_key(*name));
		let Some(class) = class_of(&self.config, family, tokenizer)? else {
			self.unknown = unstated.collect();
			return Ok(());
		};
		for name in unstated {
			if let Some((_, written)) = class.iter().find(|(known, _)| *known == name) {
				self.special.set(name, written);
			}
		}
		Ok(())
	}

	/// Refuses flags that say another thing than `tokenizer.json`, which the engine reads.
	fn check_flags(&self, tokenizer: &Tokenizer) -> Result<()> {
		let prefix = self.config.get("add_prefix_space").and_then(Value::as_bool);
		if tokenizer.kind() == Kind::ByteLevel && prefix == Some(true) {
			return Err(Error::file(
				CONFIG,
				"`add_prefix_space` is true, and tokenizer.json writes no space before a text; remove the key if \
				 transformers' tokens begin without one",
			));
		}
		for (flag, theirs) in [
			("do_lower_case", "lowercase"),
			("strip_accents", "strip_accents"),
			("tokenize_chinese_chars", "handle_chinese_chars"),
		] {
			let Some(stated) = self.config.get(flag).filter(|v| !v.is_null()) else {
				continue;
			};
			let Some(ours) = tokenizer.normalizer_flag(theirs) else {
				continue;
			};
			if *stated != ours {
				return Err(Error::file(
					CONFIG,
					format!("`{flag}` is {stated}, and `normalizer.{theirs}` of tokenizer.json is {ours}; {SAVE}"),
				));
			}
		}
		Ok(())
	}
}

/// Checks the keys of a file in which every key that ends in `_token` names a special token.
fn check_keys(map: &JsonMap, lists: &[Keys], file: &str) -> Result<()> {
	let others: JsonMap = map
		.iter()
		.filter(|(key, _)| !key.ends_with("_token") || KEYS.inert.contains(&key.as_str()))
		.map(|(key, value)| (key.clone(), value.clone()))
		.collect();
	Keys::check(lists, &others, file, "").map_err(|reason| Error::file(file, reason))
}

/// Returns the text of a special token: a text, or a map with the text and flags.
fn written<'v>(key: &str, value: &'v Value) -> Result<Option<&'v str>> {
	match (value, value.get("content").and_then(Value::as_str)) {
		(Value::Null | Value::Bool(_), _) => Ok(None),
		(Value::String(written), _) => Ok(Some(written)),
		(_, Some(written)) => Ok(Some(written)),
		_ => Err(Error::file(
			CONFIG,
			format!("`{key}` must be a text, or a map with `content`; {SAVE}"),
		)),
	}
}

/// Refuses a token that transformers would recognize in a text, and `tokenizer.json` alone does not.
fn check_known(key: &str, written: &str, tokenizer: &Tokenizer) -> Result<()> {
	match tokenizer.id(written) {
		Some(id) if tokenizer.added(id).is_none() => Err(Error::file(
			CONFIG,
			format!(
				"`{key}` is `{written}`, which tokenizer.json has in its vocabulary and not in `added_tokens`; {SAVE}"
			),
		)),
		// What is in no vocabulary is no token: the text counts as what it says.
		_ => Ok(()),
	}
}

/// Compares `added_tokens_decoder` with the added tokens of `tokenizer.json`: transformers takes the former.
fn check_decoder(decoder: &Value, tokenizer: &Tokenizer) -> Result<()> {
	let Some(decoder) = decoder.as_object() else {
		return Err(Error::file(
			CONFIG,
			format!("`added_tokens_decoder` must be a map; {SAVE}"),
		));
	};
	for (id, stated) in decoder {
		let flag = |name: &str, otherwise: bool| stated.get(name).and_then(Value::as_bool).unwrap_or(otherwise);
		let special = flag("special", false);
		let added = id.parse().ok().and_then(|id| tokenizer.added(id));
		let same = added.is_some_and(|added| {
			stated.get("content").and_then(Value::as_str) == Some(added.content.as_str())
				&& special == added.special
				&& flag("normalized", !special) == added.normalized
				&& flag("lstrip", false) == added.lstrip
				&& flag("rstrip", false) == added.rstrip
				&& flag("single_word", false) == added.single_word
		});
		if !same {
			return Err(Error::file(
				CONFIG,
				format!(
					"`added_tokens_decoder.{id}` is {stated}, and not so in `added_tokens` of tokenizer.json; {SAVE}"
				),
			));
		}
	}
	Ok(())
}

/// Compares `added_tokens.json` with the added tokens of `tokenizer.json`.
fn check_added(map: &JsonMap, tokenizer: &Tokenizer) -> Result<()> {
	for (written, id) in map {
		let known = tokenizer.id(written).filter(|id| tokenizer.added(*id).is_some());
		if id.as_u64() != known.map(u64::from) {
			return Err(Error::file(
				ADDED,
				format!("`{written}` is {id}, and not so in `added_tokens` of tokenizer.json; {SAVE}"),
			));
		}
	}
	Ok(())
}

/// Returns what the tokenizer's class sets by itself, as transformers chooses the class; none of an unknown class.
fn class_of(
	config: &JsonMap,
	family: Architecture,
	tokenizer: &Tokenizer,
) -> Result<Option<&'static [(&'static str, &'static str)]>> {
	let stated = match config.get("tokenizer_class") {
		None | Some(Value::Null) => None,
		Some(Value::String(class)) => Some(class.strip_suffix("Fast").unwrap_or(class)),
		Some(other) => {
			return Err(Error::file(
				CONFIG,
				format!("`tokenizer_class` must be a text, not {other}"),
			))
		}
	};
	let class = match (family, stated) {
		(Architecture::Qwen2, _) | (Architecture::Qwen3, None) => "Qwen2Tokenizer",
		// What Llama 3 calls its tokenizer is not what the class does; transformers takes the file as it is.
		(_, Some("LlamaTokenizer")) if tokenizer.kind() == Kind::ByteLevel => "TokenizersBackend",
		(_, Some(class)) => class,
		(_, None) => "TokenizersBackend",
	};
	let known = DEFAULTS.iter().find(|(name, _)| *name == class);
	Ok(known.map(|(_, defaults)| *defaults))
}
