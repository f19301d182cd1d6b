//! Tiny models where this test program computes.

use assay_engine::Model;
pub(crate) use assay_test_fixtures::*;
use std::path::Path;

/// Returns a tiny model where this test program computes.
pub(crate) fn model(tiny: Tiny) -> Model {
	load(folder(tiny).path())
}

/// Loads a model where this test program computes.
pub(crate) fn load(dir: &Path) -> Model {
	placed(Model::load(dir).unwrap())
}

/// Moves a model to the device of this test program if it has one.
pub(crate) fn placed(model: Model) -> Model {
	match crate::device() {
		Some(device) => model.on_gpu(device).unwrap(),
		None => model,
	}
}
