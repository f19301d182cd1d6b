//! Untrusted model directories: one corrupt byte is enough to be refused.

use crate::common::{folder, model, Tiny, CONTEXT};
use assay_engine::{Engine, Error, Model};
use assay_model_folder::{Error as FolderError, Manifest};
use serde_json::Value;
use std::{fs, path::Path};

#[test]
fn one_corrupt_byte_anywhere_is_noticed() {
	let dir = folder(Tiny {
		context: 96,
		..Tiny::default()
	});
	let good = |dir: &Path| Model::load(dir).and_then(|model| Engine::new().add(model));
	good(dir.path()).unwrap();
	for name in [
		"manifest.json",
		"config.json",
		"model.safetensors",
		"tokenizer.json",
		"chat_template.jinja",
	] {
		let path = dir.path().join(name);
		let honest = fs::read(&path).unwrap();
		let step = (honest.len() / 60).max(1);
		for place in (0..honest.len()).step_by(step).chain([honest.len() - 1]) {
			for flip in [0x01, 0x80] {
				let mut bytes = honest.clone();
				bytes[place] ^= flip;
				fs::write(&path, &bytes).unwrap();
				assert!(
					good(dir.path()).is_err(),
					"byte {place} of {name} was changed by {flip:#x} and nobody noticed"
				);
			}
		}
		fs::write(&path, &honest[..honest.len() - 1]).unwrap();
		assert!(good(dir.path()).is_err(), "{name} was cut");
		fs::write(&path, [&honest[..], b" "].concat()).unwrap();
		assert!(good(dir.path()).is_err(), "{name} was made longer");
		fs::remove_file(&path).unwrap();
		assert!(
			matches!(good(dir.path()), Err(Error::Folder(FolderError::Io { .. }))),
			"{name} was removed"
		);
		fs::write(&path, honest).unwrap();
	}
	good(dir.path()).unwrap();
}

#[test]
fn a_changed_weight_is_named() {
	let dir = folder(Tiny::default());
	let path = dir.path().join("model.safetensors");
	let mut bytes = fs::read(&path).unwrap();
	*bytes.last_mut().unwrap() ^= 1;
	fs::write(&path, bytes).unwrap();
	let error = Model::load(dir.path()).err().unwrap();
	assert!(
		matches!(&error, Error::Folder(FolderError::Root { part, .. }) if part == "tensor `model.norm.weight`"),
		"{error}"
	);
}

#[test]
fn a_model_without_its_known_answer_is_not_served() {
	let dir = folder(Tiny::default());
	let path = dir.path().join("manifest.json");
	let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
	assert!(file["known_answer"].is_object());
	let text = fs::read_to_string(&path).unwrap();
	let answer = file["known_answer"]["answer"].take();
	let other = text.replace(answer.as_str().unwrap(), &format!("0x{}", "11".repeat(32)));
	fs::write(&path, other).unwrap();
	let error = Engine::new().add(Model::load(dir.path()).unwrap()).unwrap_err();
	assert!(matches!(error, Error::KnownAnswer { .. }), "{error}");
}

#[test]
fn bad_folders_do_not_keep_good_ones_from_being_served() {
	let models = tempfile::tempdir().unwrap();
	let good = folder(Tiny::default());
	fs::rename(good.path(), models.path().join("good")).unwrap();
	fs::create_dir(models.path().join("empty")).unwrap();
	fs::create_dir(models.path().join("garbage")).unwrap();
	fs::write(models.path().join("garbage/manifest.json"), "{").unwrap();
	fs::write(models.path().join("README"), "not a folder").unwrap();
	let served = Engine::open(models.path()).unwrap().served();
	assert_eq!(served.len(), 1);
	assert_eq!(
		served[0].id,
		Manifest::read(&models.path().join("good")).unwrap().model_id()
	);
	assert_eq!((served[0].name.as_str(), served[0].parameters > 0), ("tiny", true));
}

#[test]
fn a_prompt_never_has_more_tokens_than_bytes_and_overhead() {
	let model = model(Tiny::default());
	let overhead = model.manifest().prompt_overhead;
	assert_eq!(overhead, 3);
	assert_eq!(model.manifest().context_length(), CONTEXT);
	for text in [
		"x",
		"hello",
		"hello world or hell",
		"é😀",
		"<|end|><|user|>",
		"  \n\t ",
		"\u{0}\u{7f}",
	] {
		let tokens = model.prompt(text).unwrap().len();
		assert!(tokens <= text.len() + overhead as usize, "{text}: {tokens}");
	}
}
