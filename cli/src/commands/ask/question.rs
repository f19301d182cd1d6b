//! What a model is asked: a text, or a conversation.

use crate::{args::AskArgs, error::CliError};
use assay_primitives::{chat::Chat, limits::MAX_INPUT_BYTES, Input};
use serde_json::{json, Value};
use std::{io::Read, path::Path};

/// Returns what is asked, if any chain could take it.
pub(super) fn input(args: &AskArgs) -> Result<Input, CliError> {
	match (&args.chat, &args.prompt, &args.system) {
		(Some(path), ..) => chat(read(path)?).map_err(|e| match e {
			CliError::Usage(reason) => CliError::Usage(format!("{}: {reason}", path.display())),
			other => other,
		}),
		(None, Some(prompt), None) => text(prompt),
		(None, Some(prompt), Some(system)) if !prompt.is_empty() => conversation(&[
			json!({ "role": "system", "content": system }),
			json!({ "role": "user", "content": prompt }),
		]),
		(None, ..) => Err(empty()),
	}
}

fn empty() -> CliError {
	CliError::Usage("the prompt is empty: ask something".into())
}

fn too_long(what: &str, length: usize) -> CliError {
	CliError::Usage(format!(
		"{what} has {length} bytes, the limit is {MAX_INPUT_BYTES}: shorten it"
	))
}

fn text(prompt: &str) -> Result<Input, CliError> {
	if prompt.is_empty() {
		return Err(empty());
	}
	let bytes = prompt.as_bytes().to_vec();
	Ok(Input::Text(
		bytes.try_into().map_err(|_| too_long("the prompt", prompt.len()))?,
	))
}

/// Returns these messages as an input.
pub(in crate::commands) fn conversation(messages: &[Value]) -> Result<Input, CliError> {
	chat(json!({ "messages": messages }).to_string().into_bytes())
}

/// Checks a conversation as chain and engine will.
fn chat(json: Vec<u8>) -> Result<Input, CliError> {
	let length = json.len();
	let bytes = json.try_into().map_err(|_| too_long("the conversation", length))?;
	let input = Input::Chat(bytes);
	Chat::parse(input.bytes()).map_err(|e| CliError::Usage(format!("the conversation cannot be asked: {e}")))?;
	Ok(input)
}

/// Reads a file, or standard input for `-`, as far as it could be a conversation.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
	// One byte more than allowed is enough to know that it is too long.
	let limit = u64::from(MAX_INPUT_BYTES).saturating_add(1);
	let mut bytes = Vec::new();
	let read = if path == Path::new("-") {
		std::io::stdin().take(limit).read_to_end(&mut bytes)
	} else {
		std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
	};
	read.map_err(|e| CliError::file(path, e))?;
	if bytes.len() > MAX_INPUT_BYTES as usize {
		return Err(CliError::Usage(format!(
			"{}: it has more than {MAX_INPUT_BYTES} bytes, the limit of a conversation",
			path.display()
		)));
	}
	Ok(bytes)
}

#[cfg(test)]
mod tests {
	use super::*;
	use crate::args::{Cli, Command};
	use clap::Parser;

	fn asked(list: &[&str]) -> Result<Input, String> {
		match Cli::parse_from(["assay", "ask"].iter().chain(list)).command {
			Command::Ask(args) => input(&args).map_err(|e| {
				assert!(e.exit_code() == 2 || matches!(e, CliError::File(_)));
				e.to_string()
			}),
			_ => unreachable!(),
		}
	}

	#[test]
	fn a_prompt_over_the_limit_is_refused_with_the_limit() {
		let long = "x".repeat(65_537);
		for (prompt, word) in [("", "empty"), (long.as_str(), "65536")] {
			let error = asked(&[prompt]).unwrap_err();
			assert!(error.contains(word), "{error}");
		}
		assert!(asked(&[&long[1..]]).is_ok());
	}

	#[test]
	fn an_instruction_makes_a_conversation() {
		let input = asked(&["Who \"pays\"?", "--system", "Be brief."]).unwrap();
		let Input::Chat(json) = &input else { panic!("{input:?}") };
		let json: Value = serde_json::from_slice(json).unwrap();
		let messages = json!([
			{ "role": "system", "content": "Be brief." },
			{ "role": "user", "content": "Who \"pays\"?" },
		]);
		assert_eq!(json["messages"], messages);
		assert!(asked(&["", "--system", "Be brief."]).unwrap_err().contains("empty"));
	}

	#[test]
	fn a_conversation_is_asked_as_it_stands_in_its_file() {
		let dir = tempfile::tempdir().unwrap();
		let path = dir.path().join("chat.json");
		let file = path.to_str().unwrap();
		let json = r#"{ "messages": [ {"role": "user", "content": "hi"} ] }"#;
		std::fs::write(&path, json).unwrap();
		assert_eq!(asked(&["--chat", file]).unwrap().bytes(), json.as_bytes());
		for (json, word) in [
			("{", "cannot be asked"),
			(r#"{"messages":[{"role":"wizard","content":"hi"}]}"#, "messages[0].role"),
			(
				r#"{"messages":[{"role":"user","content":"hi"}],"temperature":1}"#,
				"temperature",
			),
			(&" ".repeat(70_000), "65536"),
		] {
			std::fs::write(&path, json).unwrap();
			let error = asked(&["--chat", file]).unwrap_err();
			assert!(error.contains(word) && error.contains("chat.json"), "{error}");
		}
		assert!(asked(&["--chat", "/nowhere/chat.json"])
			.unwrap_err()
			.contains("/nowhere"));
	}
}
