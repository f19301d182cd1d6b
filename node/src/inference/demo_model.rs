//! The demo model that comes inside the node, for development and local chains.

use std::{fs, io, path::Path};

/// The demo model's directory in the directory of models.
pub const NAME: &str = "assay-demo";

const FILES: [(&str, &[u8]); 5] = [
	(
		"manifest.json",
		include_bytes!("../../../demo-model/assay-demo/manifest.json"),
	),
	(
		"config.json",
		include_bytes!("../../../demo-model/assay-demo/config.json"),
	),
	(
		"model.safetensors",
		include_bytes!("../../../demo-model/assay-demo/model.safetensors"),
	),
	(
		"tokenizer.json",
		include_bytes!("../../../demo-model/assay-demo/tokenizer.json"),
	),
	(
		"chat_template.jinja",
		include_bytes!("../../../demo-model/assay-demo/chat_template.jinja"),
	),
];

/// What was found or done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unpacked {
	/// The model was written.
	Written,
	/// It was there.
	Present,
	/// A directory of that name holds something else; it was left alone.
	Other,
}

/// Writes the demo model to `models/assay-demo`, whole or not at all, if nothing is there.
pub fn unpack(models: &Path) -> io::Result<Unpacked> {
	let directory = models.join(NAME);
	if directory.exists() {
		let same = |(name, bytes): &(&str, &[u8])| fs::read(directory.join(name)).is_ok_and(|found| found == *bytes);
		return Ok(if FILES.iter().all(same) {
			Unpacked::Present
		} else {
			Unpacked::Other
		});
	}
	let beside = models.join(format!(".{NAME}.{}", std::process::id()));
	fs::create_dir_all(&beside)?;
	let written = FILES
		.iter()
		.try_for_each(|(name, bytes)| fs::write(beside.join(name), bytes))
		.and_then(|()| fs::rename(&beside, &directory));
	if written.is_err() {
		drop(fs::remove_dir_all(&beside));
	}
	written.map(|()| Unpacked::Written)
}

#[cfg(test)]
mod tests {
	use super::*;

	#[test]
	fn the_demo_model_is_written_once_and_never_over_something_else() {
		let models = tempfile::tempdir().unwrap();
		assert_eq!(unpack(models.path()).unwrap(), Unpacked::Written);
		assert_eq!(unpack(models.path()).unwrap(), Unpacked::Present);
		fs::write(models.path().join(NAME).join("config.json"), b"{}").unwrap();
		assert_eq!(unpack(models.path()).unwrap(), Unpacked::Other);
		assert_eq!(fs::read(models.path().join(NAME).join("config.json")).unwrap(), b"{}");
		assert_eq!(
			fs::read_dir(models.path()).unwrap().count(),
			1,
			"nothing is left beside it"
		);
	}
}
