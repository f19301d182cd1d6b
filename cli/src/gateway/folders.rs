//! Model directories on this machine: the chat templates and tokenizers of models that others serve.

use crate::error::CliError;
use assay_gateway::network::NetworkError;
use assay_model_folder::{files::MANIFEST, Error, ModelFolder};
use assay_primitives::{chat::Chat, Input, ModelId};
use std::{collections::HashMap, fs, io, path::Path};

/// The model directories that were read.
#[derive(Default)]
pub(crate) struct Folders(HashMap<ModelId, ModelFolder>);

impl Folders {
	/// Reads all model directories in a directory, as a node has them. Weights are not read.
	pub(crate) fn read(directory: &Path) -> Result<Self, CliError> {
		let failed = |e: io::Error| CliError::file(directory, e);
		let entries = fs::read_dir(directory).map_err(failed)?;
		let paths = entries.map(|entry| entry.map(|entry| entry.path()));
		let mut folders = HashMap::new();
		for path in paths.collect::<io::Result<Vec<_>>>().map_err(failed)? {
			// An import that is not complete has no manifest yet.
			if path.join(MANIFEST).is_file() {
				let folder = ModelFolder::read(&path).map_err(|e| CliError::model_directory(&path, e))?;
				folders.insert(folder.manifest.model_id, folder);
			}
		}
		Ok(Self(folders))
	}

	/// Returns how many models there are.
	pub(crate) fn count(&self) -> usize {
		self.0.len()
	}

	/// Returns the chat template of a model.
	pub(super) fn template(&self, model: &ModelId) -> Option<String> {
		self.0.get(model).map(|folder| folder.template.source().into())
	}

	/// Returns how many tokens an input has as a prompt of a model.
	pub(super) fn count_tokens(&self, model: &ModelId, input: &Input) -> Result<Option<u32>, NetworkError> {
		let Some(folder) = self.0.get(model) else {
			return Ok(None);
		};
		let chat = match input {
			Input::Text(bytes) => Chat::of_message(String::from_utf8_lossy(bytes)),
			Input::Chat(json) => Chat::parse(json).map_err(|e| refused(e.to_string()))?,
		};
		let prompt = folder.template.render_chat(&chat);
		let tokens = prompt
			.and_then(|prompt| folder.tokenizer.encode(&prompt))
			.map_err(refusal)?;
		Ok(Some(u32::try_from(tokens.len()).unwrap_or(u32::MAX)))
	}
}

fn refusal(error: Error) -> NetworkError {
	match error {
		Error::LeftOut(part) => refused(format!(
			"the model's chat template leaves out a part of the request: `{part}`"
		)),
		e => refused(format!("the model's chat template refuses this conversation: {e}")),
	}
}

fn refused(reason: String) -> NetworkError {
	NetworkError::Refused {
		param: Some("messages"),
		reason,
	}
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_bundled_model_is_found_and_counts_tokens() {
		let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo-model");
		let folders = Folders::read(&directory).unwrap();
		let model = *folders.0.keys().next().unwrap();
		assert!(folders.template(&model).unwrap().contains("messages"));
		let chat = |text: &str| Input::Chat(text.as_bytes().to_vec().try_into().unwrap());
		let asked = chat(r#"{"messages":[{"role":"user","content":"Who pays whom?"}]}"#);
		let text = Input::Text(b"Who pays whom?".to_vec().try_into().unwrap());
		// What an answer's `usage` has for this question.
		assert_eq!(folders.count_tokens(&model, &asked), Ok(Some(9)));
		assert_eq!(folders.count_tokens(&model, &text), Ok(Some(9)));
		assert_eq!(folders.count_tokens(&ModelId([0; 32]), &text), Ok(None));
		let refused = chat(r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#);
		assert!(matches!(
			folders.count_tokens(&model, &refused),
			Err(NetworkError::Refused { .. })
		));
	}

	#[test]
	fn a_directory_without_models_has_none_and_a_missing_one_is_an_error() {
		let empty = tempfile::tempdir().unwrap();
		assert_eq!(Folders::read(empty.path()).unwrap().count(), 0);
		assert!(Folders::read(&empty.path().join("missing")).is_err());
		let broken = empty.path().join("broken");
		fs::create_dir(&broken).unwrap();
		fs::write(broken.join(MANIFEST), "{}").unwrap();
		assert!(Folders::read(empty.path()).is_err());
	}
}
