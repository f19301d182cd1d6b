//! How near the quantised models are to the floats they were made from.

use ocw_inference::{import, manifest::Defaults, ImportOptions, Manifest};
use std::{
	fs,
	path::{Path, PathBuf},
};

/// A folder of the bundled demo model.
fn demo(name: &str) -> PathBuf {
	Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo-model").join(name)
}

#[test]
fn the_bundled_model_is_what_its_original_gives_byte_for_byte() {
	let out = tempfile::tempdir().unwrap();
	let options = ImportOptions {
		name: "assay-demo".into(),
		source: "assay-train, from demo-model/corpus".into(),
		licence: "Apache-2.0".into(),
		defaults: Defaults {
			max_tokens: 128,
			..Defaults::default()
		},
		..ImportOptions::default()
	};
	let id = import(&demo("original"), out.path(), &options).unwrap();
	let mut files = 0;
	for entry in fs::read_dir(out.path()).unwrap() {
		let name = entry.unwrap().file_name();
		let bundled = fs::read(demo("assay-demo").join(&name)).unwrap();
		assert!(fs::read(out.path().join(&name)).unwrap() == bundled, "{name:?} differs");
		files += 1;
	}
	assert_eq!(files, 5);
	assert_eq!(Manifest::read(&demo("assay-demo")).unwrap().model_id(), id);
	assert_eq!(
		fs::read_to_string(demo("assay-demo/model_id")).unwrap().trim(),
		id.to_string()
	);
}
